"""VinDr-CXR: 18,000 frontal films, each labelled as a whole by three radiologists, or by consensus (the test films).

28 labels: 22 findings, 6 diagnoses with "No finding" (arXiv 2012.15029). Boxes are another reader's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from radrl.data.published.readers._common import first_there, spoken
from radrl.data.published.record import Option, Reader, Record, Skipped, Split, each_group
from radrl.data.published.tables import Row, table
from radrl.errors import UserError
from radrl.example import Presence

LABELS = (
    "Aortic enlargement", "Atelectasis", "Calcification", "Cardiomegaly", "Clavicle fracture", "Consolidation", "Edema",
    "Emphysema", "Enlarged PA", "ILD", "Infiltration", "Lung Opacity", "Lung cavity", "Lung cyst", "Mediastinal shift",
    "Nodule/Mass", "Pleural effusion", "Pleural thickening", "Pneumothorax", "Pulmonary fibrosis", "Rib fracture",
    "Other lesion", "COPD", "Lung tumor", "Pneumonia", "Tuberculosis",
)  # fmt: skip
SPLITS: tuple[Split, ...] = ("train", "test")
OTHER = ("Other diseases", "Other disease")  # the tables differ
NEEDED = {"any": lambda readers: 1, "majority": lambda readers: readers // 2 + 1, "all": lambda readers: readers}


def read(root: Path, options: Mapping[str, str]) -> Iterator[Record | Skipped]:
    """Yields a Record an image; a label is present where enough of its readers say so, else absent."""
    for split in SPLITS:
        name = f"image_labels_{split}.csv"
        columns = ("image_id", *LABELS, "No finding")
        rows = table(root, [f"annotations/{name}", name], columns, optional=(*OTHER, "rad_id"))
        yield from each_group(rows, "image_id", partial(_record, root, split=split, vote=options["vote"]))


def _record(root: Path, name: str, rows: list[Row], split: Split, vote: str) -> Record:
    other = next((column for column in OTHER if column in rows[0]), None)
    if other is None:
        raise UserError(f"{rows[0].file}: wants a column '{OTHER[0]}'; use the published file")
    needed = NEEDED[vote](len(rows))
    votes = {}
    for column in (*LABELS, other, "No finding"):
        cells = [row[column] for row in rows]
        if set(cells) - {"0", "1", "0.0", "1.0"}:
            raise ValueError(f"'{column}' of {name} should be 0 or 1")
        votes[column] = sum(cell.startswith("1") for cell in cells) >= needed
    no_finding, other_found = votes.pop("No finding"), votes.pop(other)
    labels: dict[str, Presence] = {spoken(label): "present" if there else "absent" for label, there in votes.items()}
    labels["other disease"] = "present" if other_found else "absent"
    lacks = "" if no_finding or "present" in labels.values() else "the readers agree on no label"
    paths = [f"{split}/{name}{ending}" for ending in (".dicom", ".dcm", ".png", ".jpg")]
    return Record(
        name,
        (first_there(root, paths),),
        patient=name,  # no patient is known; films of one are not linked
        split=split,
        labels=None if lacks else labels,
        lacks=lacks,
        meta={"view": "PA", "readers": len(rows)},
    )


READER = Reader(
    name="vindr_labels",
    title="VinDr-CXR: 18,000 frontal films, 28 labels a film by radiologists",
    kinds=("list", "yesno"),
    layout="""\
annotations/image_labels_train.csv   image_id, rad_id, 28 labels of 0 or 1: three rows an image
annotations/image_labels_test.csv    the same without rad_id: one row an image
train/*.dicom, test/*.dicom          (or .dcm, .png, .jpg)""",
    access="https://physionet.org/content/vindr-cxr/1.0.0/; PhysioNet credentialed health data licence 1.5.0 (training "
    "course, signed agreement)",
    read=read,
    options={"vote": Option(("majority", "any", "all"), "how many of the three readers make a label present")},
)
