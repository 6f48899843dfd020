"""TBX11K: tuberculosis boxed on 11,200 films (Liu et al., CVPR 2020; arXiv 2307.02848).

The JSON files are in the 512 x 512 pixels of the images, unlike the XML files beside them. Healthy and otherwise sick
films have no boxes. The boxes of the test films are not published.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from radrl.data.published.coco import read_coco
from radrl.data.published.record import Reader, Record, Skipped, Split
from radrl.data.published.safe_files import has
from radrl.errors import UserError

FOLDER = "annotations/json"
FILES: tuple[tuple[str, Split], ...] = (("TBX11K_train.json", "train"), ("TBX11K_val.json", "dev"))
NAMES = {
    "ActiveTuberculosis": "active tuberculosis",
    "ObsoletePulmonaryTuberculosis": "obsolete tuberculosis",
    "PulmonaryTuberculosis": "tuberculosis",
}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a film; in the official split."""
    there: list[tuple[str, Split]] = [(file, split) for file, split in FILES if has(root, [f"{FOLDER}/{file}"])]
    if not there:
        raise UserError(f"{root}: holds no {FOLDER}/{FILES[0][0]}; 'radrl data list tbx11k' shows the layout")
    for file, split in there:
        for record in read_coco(
            root, f"{FOLDER}/{file}", split, lambda name: f"imgs/{name}", lambda n: NAMES.get(n, n)
        ):
            if isinstance(record, Record):
                record.meta["group"] = record.id.split("/")[0]  # tb, health or sick
            yield record


READER = Reader(
    name="tbx11k",
    title="TBX11K: tuberculosis boxed, with healthy and otherwise sick films",
    kinds=("detect", "locate"),
    layout="""\
annotations/json/TBX11K_train.json, TBX11K_val.json   COCO: images, categories, annotations (bbox x, y, w, h)
imgs/tb/*.png, imgs/health/*.png, imgs/sick/*.png     512 x 512""",
    access="https://mmcheng.net/tb/; free for research",
    read=read,
)
