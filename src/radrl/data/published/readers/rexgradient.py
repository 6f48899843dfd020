"""ReXGradient-160K: 160,000 chest studies of 109,487 patients with reports in sections (arXiv 2505.00228)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from radrl.data.published.json_lists import json_members
from radrl.data.published.readers import _rex
from radrl.data.published.readers._common import tidy
from radrl.data.published.readers._vqa import text_or_none
from radrl.data.published.record import Option, Reader, Record, Skipped, Split, each_item

SECTIONS = {"findings": "Findings", "impression": "Impression", "indication": "Indication"}
FRONTAL = {"PA", "AP", "POSTERO_ANTERIOR", "ANTERO_POSTERIOR", "AP AXIAL"}  # the views that ImageViewPosition has
META = {"age": "PatientAge", "sex": "PatientSex", "comparison": "Comparison"}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a study with all its films, or one a film: train, valid, test."""
    for split, path in _rex.files(root, ["{}_metadata_view_position.json", "{}_metadata.json"]):
        yield from each_item(json_members(root, [path]), partial(_study, root, split, options))


def _study(
    root: Path, split: Split, options: Mapping[str, str], where: str, member: tuple[str, dict[str, Any]]
) -> list[Record | Skipped]:
    name, item = member
    paths, views = _rex.images(root, item), item.get("ImageViewPosition") or []
    if not isinstance(views, list) or (views and len(views) != len(paths)):
        raise ValueError(f"{len(paths)} paths in ImagePath, but not as many views in ImageViewPosition")
    films = [(path, str(view or "")) for path, view in zip(paths, views or [""] * len(paths), strict=True)]
    made: list[Record | Skipped] = []
    if options["view"] == "frontal":
        kept = [film for film in films if film[1].upper() in FRONTAL]
        why = "a lateral view, or a view that is not known"
        made = [Skipped(f"{name}/{path.rpartition('/')[2]}", why) for path, view in films if (path, view) not in kept]
        films = kept
    report = {section: tidy(text_or_none(item, key)) for section, key in SECTIONS.items()}
    units = [films] if options["unit"] == "study" else [[film] for film in films]
    for unit in filter(None, units):
        own = "" if options["unit"] == "study" else "/" + Path(unit[0][0]).stem
        made.append(
            Record(
                f"{name}{own}",
                tuple(path for path, _ in unit),
                patient=text_or_none(item, "PatientID") or None,
                study=name,
                split=split,
                report={section: text for section, text in report.items() if text},
                lacks="the report lacks the section",
                meta={"view": " ".join(view for _, view in unit)}
                | {key: text_or_none(item, column) for key, column in META.items()},
            )
        )
    return made


READER = Reader(
    name="rexgradient",
    title="ReXGradient-160K: 160,000 studies of several films, with reports in sections",
    kinds=("report",),
    layout="""\
metadata/train_metadata_view_position.json, valid_, test_   {study: {ImagePath ["../deid_png/..."], ImageViewPosition, \
PatientID, Findings, Impression, Indication, Comparison, PatientAge, PatientSex}}
deid_png/...   the unpacked deid_png.part*""",
    access="https://huggingface.co/datasets/rajpurkarlab/ReXGradient-160K; agreement on the Hub, research use",
    read=read,
    options={
        "unit": Option(("study", "image"), "a record a study with all its films, or one a film"),
        "view": Option(("all", "frontal"), "frontal: PA and AP only"),
    },
)
