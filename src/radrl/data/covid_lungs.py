"""Lung boxes on real frontal X-rays: `covid_lungs`.

Images of ieee8023/covid-chestxray-dataset with the left and right lung boxed by radiologists (COCO file of
GeneralBlockchain/covid-19-chest-xray-lung-bounding-boxes-dataset). The folder holds ``metadata.jsonl``, one film a
line: ``image`` (relative path), ``size`` [width, height], ``lung_boxes`` [{label, xyxy in pixels}].

Split, fixed by file name: of the films sorted by path the last 40 are held out, the others train. The right lung of the
patient is on the left of the picture.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

from PIL import Image

from radrl.errors import UserError
from radrl.example import Box, Example, write_manifest
from radrl.images import read_image
from radrl.recipe_yaml import one_line

HELD_OUT = 40
QUESTION = "Locate the right lung and the left lung."


def prepare(root: Path, out: Path, *, max_side: int = 1024) -> dict[str, int]:
    """Writes ``out/train.jsonl`` and ``out/test.jsonl`` with grey copies of at most ``max_side`` pixels a side.

    Returns the number of Examples a split.

    Raises:
        UserError: the folder is not the data set, a line is wrong, ``out`` holds other files, or the disk is full.
    """
    out = Path(os.path.abspath(out))
    ours = {"train.jsonl", "test.jsonl", "images"}
    if out.exists() and (not out.is_dir() or {file.name for file in out.iterdir()} - ours):
        raise UserError(f"{out}: holds other files; give an empty or new folder")
    examples = _read(root)
    splits = {"train": examples[:-HELD_OUT], "test": examples[-HELD_OUT:]}
    temporary = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        for split, rows in splits.items():
            for example in rows:
                picture = read_image(root, example.meta["file"]).convert("L")
                picture.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
                target = temporary / example.images[0]
                target.parent.mkdir(parents=True, exist_ok=True)
                picture.save(target)
            write_manifest(temporary / f"{split}.jsonl", rows)
        shutil.rmtree(out, ignore_errors=True)
        temporary.rename(out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}); free some space and run again") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return {split: len(rows) for split, rows in splits.items()}


def _read(root: Path) -> list[Example]:
    file = Path(root) / "metadata.jsonl"
    if not file.is_file():
        raise UserError(f"{file}: missing; --root must name the folder of covid_lungs that holds metadata.jsonl")
    examples = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            examples.append(_example(row))
        except (ValueError, KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise UserError(
                one_line(f"{file}:{number}: not a film with lung boxes ({error}); mend or drop the line")
            ) from None
    if len(examples) <= HELD_OUT:
        raise UserError(f"{file}: {len(examples)} films, but {HELD_OUT} alone are held out; use the whole data set")
    return sorted(examples, key=lambda e: e.meta["file"])


def _example(row: dict) -> Example:
    width, height = row["size"]
    scale = (width, height, width, height)
    boxes = [
        Box(
            xyxy=tuple(min(max(v / s, 0.0), 1.0) for v, s in zip(box["xyxy"], scale, strict=True)),
            label=box["label"].lower(),
        )
        for box in row["lung_boxes"]
    ]
    if sorted(box.label for box in boxes) != ["left lung", "right lung"]:
        raise ValueError("one left and one right lung box are wanted")
    name = row["image"]
    return Example(
        id=f"covid_lungs/{name}",
        task="grounding",
        question=QUESTION,
        images=(f"images/{Path(name).with_suffix('.png')}",),
        reference="right lung, left lung",
        boxes=tuple(sorted(boxes, key=lambda box: box.label, reverse=True)),  # right first, as the question says
        source="covid_lungs",
        meta={"type": "anatomy", "file": name, "view": row.get("view", ""), "sex": row.get("sex", "")},
    )
