"""Chest ImaGenome: 36 regions of the chest boxed by an atlas on 242,072 frontal films of MIMIC-CXR (arXiv 2108.00316).

An object of a scene graph has two boxes: ``x1 ... y2`` in a frame of 224 x 224 into which the film was shrunk and
padded, and ``original_x1 ... original_y2`` in the pixels of the film. Only the second is read. It may hang over the
edge, where the box lay in the padding: it is cut there; what lies wholly outside is counted and left out.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from radrl.data.published import Row, Wrong, has, is_plain, read_bytes, table
from radrl.data.readers._common import first_there
from radrl.data.readers._files import SPLIT_OPTION, MimicSplit
from radrl.data.reading import Option, Reader, Record, Region, Skipped, Split
from radrl.errors import UserError
from radrl.images import image_size

BASE = "silver_dataset"
SPLITS: tuple[tuple[str, Split], ...] = (("train", "train"), ("valid", "dev"), ("test", "test"))
COLUMNS = ("subject_id", "study_id", "dicom_id", "path")
LARGEST_GRAPH = 4 << 20


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a film; films of the patients of the gold standard are left out of train and dev."""
    if not any((Path(root) / f"{folder}").is_dir() for folder in _folders()):
        zipped = " (unzip scene_graph.zip there)" if has(root, [f"{BASE}/scene_graph"]) else ""
        raise UserError(f"{root}: holds no folder {BASE}/scene_graph{zipped}; 'radrl data list' shows the layout")
    splits = MimicSplit(root) if options["split"] == "mimic" else None
    gold = _gold(root)
    for name, own in SPLITS:
        if not has(root, [f"{BASE}/splits/{name}.csv"]):
            continue
        for row in table(root, [f"{BASE}/splits/{name}.csv"], COLUMNS, optional=["ViewPosition"]):
            if isinstance(row, Wrong):
                yield Skipped(row.where, row.why, bad=True, where=row.where)
                continue
            try:
                split = splits.of(row["dicom_id"]) if splits else own
                if split != "test" and row["dicom_id"] in gold:
                    yield Skipped(row["dicom_id"], "of a patient of the gold standard")
                    continue
                yield from _film(root, row, split, options["regions"])
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError, UserError) as error:
                yield Skipped(row["dicom_id"], "not a scene graph", bad=True, where=row.where, detail=str(error))


def _folders() -> tuple[str, ...]:
    return (f"{BASE}/scene_graph", f"{BASE}/scene_graph/scene_graph")


def _gold(root: Path) -> frozenset[str]:
    file = f"{BASE}/splits/images_to_avoid.csv"
    if not has(root, [file]):
        return frozenset()
    return frozenset(row["dicom_id"] for row in table(root, [file], ["dicom_id"]) if isinstance(row, Row))


def _film(root: Path, row: Row, split: Split, wanted: str) -> Iterator[Record | Skipped]:
    film, base = row["dicom_id"], row["path"].removesuffix(".dcm").removesuffix(".jpg")
    if not (is_plain(film) and is_plain(base)):
        raise ValueError(f"path {row['path']!r} of film {film!r} should stay below the root")
    file = first_there(root, [f"{folder}/{film}_SceneGraph.json" for folder in _folders()])
    if not (Path(root) / file).is_file():
        yield Skipped(film, "no scene graph")  # of some films none was published
        return
    graph = json.loads(read_bytes(root, file, LARGEST_GRAPH))
    path = first_there(root, [f"{base}.jpg", f"{base}.dcm"])
    size = image_size(root, path) if (Path(root) / path).is_file() else None
    regions, outside = [], []
    for thing in graph["objects"]:
        box = tuple(float(thing[f"original_{end}"]) for end in ("x1", "y1", "x2", "y2"))
        cut = _cut(box, size) if size else box
        if cut is None:
            outside.append(Skipped(f"{film}/{thing['bbox_name']}", "a region outside the film", detail=str(list(box))))
        else:
            regions.append(Region(str(thing["bbox_name"]), cut))
    yield from outside
    if wanted == "one" and regions:  # as RadVLM asks; the same one each time
        regions = [regions[zlib.crc32(film.encode()) % len(regions)]]
    yield Record(
        film,
        (path,),
        patient=row["subject_id"],
        study=row["study_id"],
        split=split,
        frame=(float(size[0]), float(size[1])) if size else "image",
        regions=tuple(regions),
        meta={"type": "anatomy", **_said(graph, row)},
    )


def _cut(box: tuple[float, ...], size: tuple[int, int]) -> tuple[float, float, float, float] | None:
    x1, y1, x2, y2 = box
    x1, x2 = (min(max(x, 0.0), size[0]) for x in (x1, x2))
    y1, y2 = (min(max(y, 0.0), size[1]) for y in (y1, y2))
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None


def _said(graph: dict[str, Any], row: Row) -> dict[str, str]:
    view = graph.get("viewpoint") or row.get("ViewPosition") or ""
    return {"view": str(view), "sex": str(graph.get("gender") or "")}


READER = Reader(
    name="chest_imagenome",
    title="Chest ImaGenome: 36 regions of the chest boxed on 242,072 films of MIMIC-CXR",
    kinds=("locate", "detect"),
    layout="""\
silver_dataset/scene_graph/*_SceneGraph.json    objects [{bbox_name, original_x1, original_y1, original_x2, \
original_y2}] in the film's pixels (unzip scene_graph.zip)
silver_dataset/splits/train.csv, valid.csv, test.csv, images_to_avoid.csv   subject_id, study_id, dicom_id, path
mimic-cxr-2.0.0-split.csv                       dicom_id, split; of MIMIC-CXR-JPG, for --option split=mimic
files/p1?/p*/s*/*.jpg                           MIMIC-CXR-JPG (or .dcm of MIMIC-CXR)""",
    access="https://physionet.org/content/chest-imagenome/1.0.0/ and "
    "https://physionet.org/content/mimic-cxr-jpg/2.1.0/; PhysioNet credentialed, with a data use agreement",
    read=read,
    options={
        "split": SPLIT_OPTION,
        "regions": Option(("one", "all"), "one region a film, as RadVLM asks, or every one of them"),
    },
)
