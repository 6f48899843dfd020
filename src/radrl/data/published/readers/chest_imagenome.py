"""Chest ImaGenome: 36 regions of the chest boxed by an atlas on 242,072 frontal films of MIMIC-CXR (arXiv 2108.00316).

An object of a scene graph has two boxes: ``x1 ... y2`` in a frame of 224 x 224 into which the film was shrunk and
padded, and ``original_x1 ... original_y2`` in the pixels of the film. Only the second is read. It may hang over the
edge, where the box lay in the padding: it is cut there and counted; what lies wholly outside is counted and left out.

How large the film was stands in MIMIC-CXR-JPG's ``mimic-cxr-2.0.0-metadata.csv``. Without that table it follows from
the two boxes to a few percent: enough to see that a film was resized, not enough to scale its boxes.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from radrl.data.published.joins import Lookup
from radrl.data.published.readers._common import first_there
from radrl.data.published.readers._mimic_split import SPLIT_OPTION, MimicSplit
from radrl.data.published.record import XYXY, Option, Reader, Record, Region, Skipped, Split, corners
from radrl.data.published.safe_files import DAMAGED, has, is_plain, read_bytes
from radrl.data.published.sizes import Size
from radrl.data.published.tables import Row, Wrong, table
from radrl.errors import UserError
from radrl.images.files import image_size

BASE = "silver_dataset"
SPLITS: tuple[tuple[str, Split], ...] = (("train", "train"), ("valid", "dev"), ("test", "test"))
COLUMNS = ("subject_id", "study_id", "dicom_id", "path")
LARGEST_GRAPH = 4 << 20
METADATA = "mimic-cxr-2.0.0-metadata.csv"
FRAME = 224  # side of the frame that films were shrunk into
NEAR = 0.05  # the size that follows from boxes may be so far from the film's: they are whole pixels of the frame
LONG = 20  # pixels; shorter sides of boxes tell the scale too roughly


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a film; films of the patients of the gold standard are left out of train and dev."""
    if not any((Path(root) / f"{folder}").is_dir() for folder in _folders()):
        zipped = " (unzip scene_graph.zip there)" if has(root, [f"{BASE}/scene_graph"]) else ""
        raise UserError(f"{root}: holds no folder {BASE}/scene_graph{zipped}; 'radrl data list' shows the layout")
    splits = MimicSplit(root) if options["split"] == "mimic" else None
    gold, sizes = _gold(root), _sizes(root)
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
                yield from _film(root, row, split, options["regions"], sizes)
            except (*DAMAGED, UserError) as error:
                yield Skipped(row["dicom_id"], "not a scene graph", bad=True, where=row.where, detail=str(error))


def _folders() -> tuple[str, ...]:
    return (f"{BASE}/scene_graph", f"{BASE}/scene_graph/scene_graph")


def _gold(root: Path) -> frozenset[str]:
    file = f"{BASE}/splits/images_to_avoid.csv"
    if not has(root, [file]):
        return frozenset()
    return frozenset(row["dicom_id"] for row in table(root, [file], ["dicom_id"]) if isinstance(row, Row))


def _sizes(root: Path) -> Lookup | None:
    if not has(root, [METADATA]):
        return None
    return Lookup(table(root, [METADATA], ["dicom_id", "Rows", "Columns"]), lambda row: row["dicom_id"])


def _annotated(film: str, objects: list[dict[str, Any]], own: tuple[int, int], sizes: Lookup | None) -> Size:
    """Returns width and height that the boxes of a film are measured in.

    Raises:
        ValueError: the table of sizes lacks the film, or it was resized and there is no table.
    """
    if sizes is not None:
        row = sizes.get(film)
        if row is None:
            raise ValueError(f"{film} stands not in {METADATA}")
        return float(row["Columns"]), float(row["Rows"])
    said = _size_said(objects)
    if said is None or any(abs(a - b) > NEAR * b for a, b in zip(own, said, strict=True)):
        like = f"about {said[0]:.0f} x {said[1]:.0f}" if said else "a size that its boxes do not tell"
        raise ValueError(f"the film is {own[0]} x {own[1]}, its boxes are of {like}; put {METADATA} below the root")
    return float(own[0]), float(own[1])


def _size_said(objects: list[dict[str, Any]]) -> Size | None:
    """Returns the film's width and height as the boxes in both frames tell; None where none is long enough."""
    ends = [
        (float(o[a]), float(o[b]), float(o[f"original_{a}"]), float(o[f"original_{b}"]))
        for o in objects
        for a, b in (("x1", "x2"), ("y1", "y2"))
        if a in o and b in o
    ]
    scales = [(d - c) / (b - a) for a, b, c, d in ends if b - a >= LONG and d > c]
    if not scales:
        return None
    scale = median(scales)
    sides = []
    for axis in ("x", "y"):
        pads = [
            float(o[f"{axis}{k}"]) - float(o[f"original_{axis}{k}"]) / scale
            for o in objects
            for k in (1, 2)
            if f"{axis}{k}" in o
        ]
        sides.append((FRAME - 2 * max(median(pads), 0.0)) * scale)
    return sides[0], sides[1]


def _film(root: Path, row: Row, split: Split, wanted: str, sizes: Lookup | None) -> Iterator[Record | Skipped]:
    film, base = row["dicom_id"], row["path"].removesuffix(".dcm").removesuffix(".jpg")
    if not (is_plain(film) and is_plain(base)):
        raise ValueError(f"path {row['path']!r} of film {film!r} should stay below the root")
    file = first_there(root, [f"{folder}/{film}_SceneGraph.json" for folder in _folders()])
    if not (Path(root) / file).is_file():
        yield Skipped(film, "no scene graph")  # of some films none was published
        return
    graph = json.loads(read_bytes(root, file, LARGEST_GRAPH))
    path = first_there(root, [f"{base}.jpg", f"{base}.dcm"])
    own = image_size(root, path) if (Path(root) / path).is_file() else None
    size = _annotated(film, graph["objects"], own, sizes) if own else None
    regions, outside, over = [], [], 0
    for thing in graph["objects"]:
        box = corners(thing[f"original_{end}"] for end in ("x1", "y1", "x2", "y2"))
        cut = _cut(box, size) if size else box
        if cut is None:
            outside.append(Skipped(f"{film}/{thing['bbox_name']}", "a region outside the film", detail=str(list(box))))
        else:
            regions.append(Region(str(thing["bbox_name"]), cut))
            over += cut != box
    yield from outside
    if wanted == "one" and regions:  # as RadVLM asks; the same one each time
        regions = [regions[zlib.crc32(film.encode()) % len(regions)]]
        over = 0  # of one region asked, whether another was cut is no matter
    yield Record(
        film,
        (path,),
        patient=row["subject_id"],
        study=row["study_id"],
        split=split,
        frame=size or "image",
        regions=tuple(regions),
        cut=over,
        meta={"type": "anatomy", **_said(graph, row)},
    )


def _cut(box: XYXY, size: Size) -> XYXY | None:
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
mimic-cxr-2.0.0-metadata.csv                    dicom_id, Rows, Columns; of MIMIC-CXR-JPG, for resized films
files/p1?/p*/s*/*.jpg                           MIMIC-CXR-JPG (or .dcm of MIMIC-CXR)""",
    access="https://physionet.org/content/chest-imagenome/1.0.0/ and "
    "https://physionet.org/content/mimic-cxr-jpg/2.1.0/; PhysioNet credentialed, with a data use agreement",
    read=read,
    options={
        "split": SPLIT_OPTION,
        "regions": Option(("one", "all"), "one region a film, as RadVLM asks, or every one of them"),
    },
)
