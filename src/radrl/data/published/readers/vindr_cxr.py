"""VinDr-CXR: findings boxed by three radiologists each on 15,000 films, by five in consent on 3,000 (arXiv 2012.15029).

Boxes are pixels of the DICOM files. The published tables do not say how large these are; copies in PNG or JPEG may be
smaller, so that for them ``width`` and ``height`` in the table or --annotated-size must say it (Kaggle's copies come
with ``train_meta.csv``). RadVLM fuses with an IoU threshold of 0.1; so does the default here. No patient is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from radrl.data.published.fusion import RULES, fuse
from radrl.data.published.readers._common import first_there, folders_there, spoken
from radrl.data.published.record import Frame, Option, Reader, Record, Region, Skipped, Split, corners, each_group
from radrl.data.published.safe_files import has
from radrl.data.published.tables import Row, table
from radrl.errors import UserError

TABLES: tuple[tuple[tuple[str, ...], Split, str], ...] = (
    (
        ("annotations/annotations_train.csv", "annotations_train.csv", "train.csv", "vinbigdata-train.csv"),
        "train",
        "train",
    ),
    (("annotations/annotations_test.csv", "annotations_test.csv"), "test", "test"),
)
ENDS = ("x_min", "y_min", "x_max", "y_max")
NO_FINDING = "No finding"
READERS = tuple(f"R{n}" for n in range(1, 18))


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a film, its readers' boxes fused by the rule; a film on which nobody boxed has none."""
    there = [one for one in TABLES if has(root, one[0])]
    if not there:
        raise UserError(
            f"{root}: holds no annotations/annotations_train.csv; 'radrl data list vindr_cxr' shows the layout"
        )
    for names, split, folder in there:
        folders = folders_there(root, (folder, f"{folder}_jpg", f"{folder}_png"))
        rows = table(root, names, ["image_id", "class_name", *ENDS], optional=["rad_id", "rad_ID", "width", "height"])
        make = partial(_record, root, split=split, folders=folders, options=options)
        yield from each_group(rows, "image_id", make, "not a box of a film")


def _record(
    root: Path, film: str, rows: list[Row], split: Split, folders: list[str], options: Mapping[str, str]
) -> Record | Skipped:
    rule = options["rule"]
    seen = [_reader(row) for row in rows]
    if rule in READERS:
        if split == "train" and rule not in seen:
            return Skipped(film, "not read by this radiologist")
        rows = [row for row, reader in zip(rows, seen, strict=True) if reader in (rule, "")]
    by_label: dict[str, list[Row]] = {}
    for row in rows:
        if row["class_name"] != NO_FINDING:
            by_label.setdefault(row["class_name"], []).append(row)
        elif any(row[end] for end in ENDS):
            raise ValueError("'No finding' with a box")
    regions = []
    for label, of in by_label.items():
        boxes = [corners(row[end] for end in ENDS) for row in of]
        for x1, y1, x2, y2 in boxes:
            if not (x1 < x2 and y1 < y2):
                raise ValueError(f"box {[x1, y1, x2, y2]} of {label} is not x_min < x_max and y_min < y_max")
        readers = [_reader(row) for row in of]
        if rule in RULES and all(readers):  # the test films have one set of boxes, that of the consent
            boxes = fuse(boxes, readers, rule, float(options["iou"]), len(set(seen)))
        regions += [Region(spoken(label), box) for box in boxes]
    endings = (".dicom", ".dcm", ".png", ".jpg")
    return Record(
        film,
        (first_there(root, [f"{f}/{film}{ending}" for f in folders for ending in endings]),),
        split=split,
        frame=_frame(rows),
        regions=tuple(regions),
        meta={"readers": len(set(filter(None, seen)))} if any(seen) else {},
    )


def _frame(rows: list[Row]) -> Frame:
    """Returns the size that the rows of a film state, or that it is the published film's."""
    sizes = {(row.get("width") or "", row.get("height") or "") for row in rows}
    if len(sizes) != 1 or not all(sizes.copy().pop()):
        return "image"
    width, height = (float(side) for side in sizes.pop())
    if not (width > 0 and height > 0):
        raise ValueError(f"{width:g} x {height:g} is no size")
    return width, height


def _reader(row: Row) -> str:
    return row.get("rad_id") or row.get("rad_ID") or ""


READER = Reader(
    name="vindr_cxr",
    title="VinDr-CXR: findings boxed by radiologists on 15,000 + 3,000 films",
    kinds=("locate", "detect"),
    layout="""\
annotations/annotations_train.csv   image_id, rad_id, class_name, x_min, y_min, x_max, y_max (PhysioNet 1.0.0); or
train.csv                           the same with class_id (Kaggle, VinBigData)
annotations/annotations_test.csv    the same without rad_id
train/*.dicom, test/*.dicom         or .dcm, .png, .jpg, also in train_jpg, test_jpg; for these give --annotated-size \
train_meta.csv (image_id, dim0, dim1), or film where they are as large as the DICOM files""",
    access="https://physionet.org/content/vindr-cxr/1.0.0/; PhysioNet credentialed, with a data use agreement",
    read=read,
    options={
        "rule": Option(
            (*RULES, *READERS),
            "of several readers: the mean box of each group (weighted box fusion), only of groups that most readers "
            "drew, the box around each group, or one reader alone",
        ),
        "iou": Option(("0.1", "0.3", "0.5"), "boxes that overlap by more belong to one group"),
    },
)
