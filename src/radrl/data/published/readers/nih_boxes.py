"""The 984 boxes of NIH ChestX-ray14: eight findings, boxed by a radiologist on 880 films (arXiv 1705.02315).

A film's boxes need not be all it shows, so only a named finding is asked for. Boxes are ``x, y, w, h`` in the
1024 x 1024 pixels of the published PNG files. The table says Infiltrate where the labels say Infiltration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from radrl.data.published.readers._common import first_there, folders_there, spoken
from radrl.data.published.record import Reader, Record, Region, Skipped, corner_and_size, each_group
from radrl.data.published.tables import Row, table

FILE = "BBox_List_2017.csv"
COLUMNS = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]")
SIDE = 1024.0
FOLDERS = ["images", *(f"images_{n:03d}/images" for n in range(1, 13))]


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record a film."""
    folders = folders_there(root, FOLDERS)

    def record(file: str, rows: list[Row]) -> Record:
        regions = []
        for row in rows:
            label = spoken(row["Finding Label"]).replace("infiltrate", "infiltration")
            regions.append(Region(label, corner_and_size(row[key] for key in COLUMNS[2:])))
        path = first_there(root, [f"{folder}/{file}" for folder in folders])
        patient = str(int(file.split("_")[0]))
        return Record(file, (path,), patient=patient, frame=(SIDE, SIDE), regions=tuple(regions))

    return each_group(table(root, [FILE], COLUMNS), "Image Index", record, "not a box of a film")


READER = Reader(
    name="nih_boxes",
    title="NIH ChestX-ray14: 984 boxes of 8 findings on 880 films",
    kinds=("locate",),
    layout="""\
BBox_List_2017.csv   Image Index, Finding Label, Bbox [x, y, w, h] in the 1024 x 1024 pixels of the PNG files
images_001/images/*.png ... images_012/images/*.png, or images/*.png""",
    access="https://nihcc.app.box.com/v/ChestXray-NIHCC; free, to be cited (arXiv 1705.02315), no registration",
    read=read,
)
