#!/bin/sh
# Trains the same three steps of SFT again and again, each time in a process of its own, and prints how many runs gave
# which weights: one line if the same recipe gives the same numbers.
#
#     benchmarks/same_numbers.sh runs/demo/sft/recipe.yaml [16]
set -eu
recipe=$1 times=${2:-16}
radrl=${RADRL:-.venv/bin/radrl}
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
for k in $(seq "$times"); do
    "$radrl" sft "$recipe" --set "out=$out/$k" --set sft.max_steps=3 --set sft.dataloader_num_workers=1 >"$out/log" 2>&1 ||
        { cat "$out/log"; exit 1; }
    sha256sum <"$out/$k/sft/model/model.safetensors"
    rm -r "$out/$k"
done | sort | uniq -c
