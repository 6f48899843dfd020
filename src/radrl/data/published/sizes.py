"""The size that a film's boxes are measured in, held against the film's own.

Boxes in pixels are right for films of the annotated size, and for smaller copies of the same shape once they are shares
of it. What is measured in a size that nobody states, or lies on a film of another shape, is refused: a box that is
wrong looks like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from radrl.data.published.record import Record
from radrl.data.published.tables import Wrong, table
from radrl.errors import UserError
from radrl.images.files import is_dicom, is_turned

Size = tuple[float, float]
FILM = "film"  # --annotated-size film: the films are of the published size
OTHER_SHAPE, UNKNOWN, TURNED = (
    "the film is not of the shape of its boxes", "the size that its boxes are measured in is not known",
    "the film has an EXIF orientation",
)  # fmt: skip
OUTSIDE = "a box lies outside its film"
IDS = ("id", "image_id", "dicom_id", "patientId", "film", "file")
WIDTHS, HEIGHTS = ("width", "Columns", "dim1", "image_width"), ("height", "Rows", "dim0", "image_height")


class WrongSize(ValueError):
    """A film on which a record's boxes do not lie; the message is the detail, ``why`` the kind that is counted."""

    def __init__(self, why: str, detail: str) -> None:
        super().__init__(detail)
        self.why = why


def read_annotated(file: str) -> dict[str, Size]:
    """Returns the width and height of films by their ids, from a CSV with a column of each (MIMIC-CXR's
    ``mimic-cxr-2.0.0-metadata.csv`` and Kaggle's ``train_meta.csv`` are such).

    Raises:
        UserError: the file is missing, lacks a column, or has a size that is none.
    """
    path = Path(file)
    if not path.is_file():
        raise UserError(f"--annotated-size {file}: no such file; give a CSV of id, width, height, or '{FILM}'")
    every = (*IDS, *WIDTHS, *HEIGHTS)
    found: dict[str, Size] = {}
    columns: tuple[str, ...] = ()
    for row in table(path.parent, [path.name], [], optional=every):
        if isinstance(row, Wrong):
            raise UserError(f"{row.where}: {row.why}; mend it")
        if not columns:
            columns = tuple(next((name for name in names if name in row), "") for names in (IDS, WIDTHS, HEIGHTS))
            if not all(columns):
                raise UserError(f"{path}: needs a column of ids ({', '.join(IDS)}), of widths and of heights")
        name, width, height = (row[column] for column in columns)
        try:
            size = float(width), float(height)
        except ValueError:
            size = 0.0, 0.0
        if min(size) <= 0:
            raise UserError(f"{row.where}: {width!r} x {height!r} is no size; mend it")
        found[name] = size
    return found


def frame_of(
    record: Record, root: Path, film: tuple[int, int] | None, annotated: Mapping[str, Size] | str
) -> Size | None:
    """Returns width and height that a record's boxes are measured in; None for shares.

    Args:
        record: the record; its first image is the film.
        root: the folder of the published files.
        film: width and height of the film, upright; None where it is not at hand, and so not held against them.
        annotated: sizes by id (of the record, or the film's name without ending), ``film``, or nothing (empty).

    Raises:
        WrongSize: the film has another shape, or its size is not known to be that of the boxes.
    """
    boxes = bool(record.regions or record.phrases)
    frame = record.frame
    if frame == "image":
        frame = _known(record, root, film, annotated)
    if not boxes or film is None:
        return None if frame == "unit" else frame
    if is_turned(root, record.images[0]):
        raise WrongSize(TURNED, f"{record.images[0]}: its boxes may be of the film before it is turned; turn the file")
    if frame == "unit":
        return None
    (width, height), (own_width, own_height) = frame, film
    # a copy's sides are rounded to pixels, so that its shape may be off by one
    if abs(own_width * height - own_height * width) > 1.01 * (width + height):
        swapped = abs(own_width * width - own_height * height) <= 1.01 * (width + height)
        why = "; width and height are swapped" if swapped else ""
        raise WrongSize(
            OTHER_SHAPE,
            f"{record.images[0]} is {own_width} x {own_height}, its boxes are of {width:g} x {height:g}{why}",
        )
    return frame


def _known(record: Record, root: Path, film: tuple[int, int] | None, annotated: Mapping[str, Size] | str) -> Size:
    if not isinstance(annotated, str):
        for name in (record.id, Path(record.images[0]).stem, record.images[0]):
            if name in annotated:
                return annotated[name]
        raise WrongSize(UNKNOWN, f"{record.id} has no row in the file of --annotated-size")
    if film is not None and (annotated == FILM or is_dicom(root, record.images[0])):
        return float(film[0]), float(film[1])
    raise WrongSize(
        UNKNOWN,
        f"{record.images[0]} may be a smaller copy; give --annotated-size FILE.csv (id, width, height), or "
        f"--annotated-size {FILM} where the films are of the published size",
    )


def cut_at_edge(record: Record, frame: Size | None) -> int:
    """Returns how many of a record's boxes reach beyond the film, and are cut there."""
    width, height = frame or (1.0, 1.0)
    boxes = [region.xyxy for region in record.regions or ()] + [box for p in record.phrases for box in p.boxes]
    beyond = sum(x1 < 0 or y1 < 0 or x2 > width or y2 > height for x1, y1, x2, y2 in boxes)
    return record.cut + beyond
