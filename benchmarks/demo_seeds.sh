#!/bin/sh
# The long demo's stages without thinking once more with seeds 1 and 2, on the same films, and one table over the three
# seeds. Needs the run of 'make demo-long'; half an hour a seed on two cores, and goes on where it was stopped.
#
#     benchmarks/demo_seeds.sh [runs/demo-long]
set -eu
first=$(realpath "${1:-runs/demo-long}")
radrl=${RADRL:-.venv/bin/radrl}

for seed in 1 2; do
    out=$first-seed-$seed
    stage() { # command, name, more options
        command=$1 name=$2
        shift 2
        "$radrl" "$command" "$first/$name/recipe.yaml" --name "$name" --set seed=$seed --set "out=$out" --resume "$@"
    }
    stage sft sft
    stage sft sft-gold --start "$out/sft/model"
    stage grpo grpo --start "$out/sft-gold/model"
    stage sft sft-continued --start "$out/sft-gold/model" --as-long-as "$out/grpo"
    "$radrl" evaluate "$first/predictions/recipe.yaml" --set seed=$seed --out "$out" --against "SFT continued" \
        --model SFT="$out/sft-gold/model" --model "SFT continued=$out/sft-continued/model" --model GRPO="$out/grpo/model"
done

every="$first,$first-seed-1,$first-seed-2"
"$radrl" compare --out "$first-seeds" --model SFT="$every" --model "SFT continued=$every" --model GRPO="$every" \
    --against "SFT continued"
