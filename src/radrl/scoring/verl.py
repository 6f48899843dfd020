"""A recipe's rewards as verl's ``compute_score``.

In verl's config:

    custom_reward_function.path=<the path of this file>
    custom_reward_function.name=compute_score
    +custom_reward_function.reward_kwargs.recipe=/abs/path/recipe.yaml

with each row's ``extra_info.example`` an Example as JSON text, as `write_parquet` makes it (``radrl data export
MANIFEST --format verl``). For ``reward_manager: batch`` name
``compute_scores`` instead: a whole batch at once, which is how the scorers are fast.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from radrl.errors import UserError
from radrl.example import Example
from radrl.manifest.jsonl import stream_manifest
from radrl.prompt.messages import PromptStyle, messages, target
from radrl.scoring.completions import as_example
from radrl.scoring.rewards import RewardFunction, load_rewards
from radrl.support.files import replacing

ROWS = 1000  # of a row group


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: Any,
    extra_info: Mapping[str, Any] | None = None,
    *,
    recipe: str,
    **_: Any,
) -> float:
    """Returns the weighted sum of the recipe's rewards for one completion; ``ground_truth`` is not read.

    Raises:
        UserError: ``extra_info`` holds no Example, the recipe has no reward for its task, or none could be had.
    """
    return compute_scores([data_source], [solution_str], [ground_truth], [extra_info], recipe=recipe)[0]


def compute_scores(
    data_sources: Sequence[str],
    solution_strs: Sequence[str],
    ground_truths: Sequence[Any],
    extra_infos: Sequence[Mapping[str, Any] | None],
    *,
    recipe: str,
    **_: Any,
) -> list[float]:
    """Returns what compute_score does for each completion of a batch."""
    examples = []
    for info in extra_infos:
        if not info or "example" not in info:
            raise UserError("verl's rows need extra_info.example, an Example as JSON text (radrl.scoring.verl.row)")
        examples.append(as_example(info["example"]))
    functions = _functions(recipe)
    found = [function(list(solution_strs), example=examples) for function in functions]
    totals = []
    for i, example in enumerate(examples):
        pairs = zip(functions, found, strict=True)
        parts = [f.weight * value for f, values in pairs if (value := values[i]) is not None]
        if not parts:  # verl knows no None, and 0 would be a score
            raise UserError(f"{recipe}: no reward for Example '{example.id}' (task {example.task}); see 'rewards'")
        totals.append(float(sum(parts)))
    return totals


def row(example: Example, style: PromptStyle, split: str = "train") -> dict[str, Any]:
    """Returns an Example as a row of verl's parquet files; its images stay paths, relative to the manifest."""
    plain = replace(style, thinking=False, answer_format="plain")  # verl's own rewards look into tags and \boxed{}
    turns = [
        {"role": turn["role"], "content": "".join(part.get("text", "<image>") for part in turn["content"])}
        for turn in messages(example, style)
    ]
    return {
        "data_source": example.source or "radrl",
        "prompt": turns,
        "images": [{"image": path} for path in example.images],
        "ability": example.task,
        "reward_model": {"style": "rule", "ground_truth": target(example, plain)},
        "extra_info": {"split": split, "example": example.model_dump_json(exclude_defaults=True)},
    }


def write_parquet(manifest: Path, out: Path, style: PromptStyle) -> int:
    """Writes a manifest as verl's RLHFDataset reads it; returns how many rows. Memory is that of 1,000 rows.

    Columns: ``data_source`` text, ``prompt`` the chat turns with ``<image>`` where a picture stands, ``images``
    ``{image: file:// and the absolute path}``, ``ability`` the task, ``reward_model`` ``{style, ground_truth}``,
    ``extra_info`` ``{split (the manifest's name), index, id, example}``.

    Raises:
        UserError: the manifest is wrong, ``style`` holds ``<image>``, or the file cannot be written.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    text = pa.string()
    schema = pa.schema(
        {
            "data_source": text,
            "prompt": pa.list_(pa.struct({"role": text, "content": text})),
            "images": pa.list_(pa.struct({"image": text})),
            "ability": text,
            "reward_model": pa.struct({"style": text, "ground_truth": text}),
            "extra_info": pa.struct({"split": text, "index": pa.int64(), "id": text, "example": text}),
        }
    )
    root, count = Path(manifest).parent.resolve(), 0
    examples = stream_manifest(manifest)
    with replacing(out) as file, pq.ParquetWriter(file, schema) as writer:
        while chunk := list(islice(examples, ROWS)):
            rows = [row(example, style, Path(manifest).stem) for example in chunk]
            for number, (example, made) in enumerate(zip(chunk, rows, strict=True), count):
                if sum(turn["content"].count("<image>") for turn in made["prompt"]) != len(example.images):
                    raise UserError("the recipe's 'prompt' holds <image>, which stands for a picture; take it out")
                made["images"] = [{"image": f"file://{root / path}"} for path in example.images]
                made["extra_info"] |= {"index": number, "id": example.id}
            writer.write_table(pa.Table.from_pylist(rows, schema))
            count += len(chunk)
    return count


@lru_cache(maxsize=8)
def _functions(recipe: str) -> list[RewardFunction]:
    return load_rewards(recipe)
