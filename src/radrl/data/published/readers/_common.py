"""What several readers share: the cells of label tables, report text on one line, and where files lie."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from radrl.example import Presence

CHEXPERT14 = (
    "No Finding", "Enlarged Cardiomediastinum", "Cardiomegaly", "Lung Opacity", "Lung Lesion", "Edema",
    "Consolidation", "Pneumonia", "Atelectasis", "Pneumothorax", "Pleural Effusion", "Pleural Other", "Fracture",
    "Support Devices",
)  # fmt: skip
CHEXPERT_FINDINGS = tuple(label.lower() for label in CHEXPERT14 if label != "No Finding")
_PRESENCE: dict[str, Presence | None] = {
    "1.0": "present", "1": "present", "0.0": "absent", "0": "absent", "-1.0": "uncertain", "-1": "uncertain", "": None,
}  # fmt: skip


def spoken(label: str) -> str:
    """Returns a label as it stands in a sentence: ``Pleural_Thickening`` is ``pleural thickening``, ``ILD`` stays."""
    return " ".join(word if word.isupper() else word.lower() for word in label.replace("_", " ").split())


def tidy(text: str) -> str:
    """Returns the text with every run of white space as one space."""
    return " ".join(text.split())


def label_cells(row: Mapping[str, str], columns: Iterable[str]) -> tuple[dict[str, Presence], bool]:
    """Returns the labels of a row of the CheXpert or NegBio labeler, and whether it says that there is no finding.

    1 is present, 0 absent, -1 uncertain; what is blank (not mentioned) is left out. ``No Finding`` is no label.

    Raises:
        ValueError: a cell holds something else.
    """
    labels: dict[str, Presence] = {}
    for column in columns:
        if row[column] not in _PRESENCE:
            raise ValueError(f"'{row[column]}' under '{column}' is none of 1, 0, -1 and blank")
        presence = _PRESENCE[row[column]]
        if column != "No Finding" and presence is not None:
            labels[spoken(column)] = presence
    return labels, _PRESENCE[row["No Finding"]] == "present"


def says_nothing(labels: Mapping[str, Presence], no_finding: bool) -> bool:
    """Returns whether labels neither name a finding nor say that there is none: nothing can be asked of them."""
    return not no_finding and "present" not in labels.values() and "uncertain" not in labels.values()


def first_there(root: Path, paths: Iterable[str]) -> str:
    """Returns the first of the paths that is a file below the root, else the first one."""
    paths = list(paths)
    # os.path: pathlib would take most of the time that a reader needs
    return next((path for path in paths if os.path.isfile(f"{root}/{path}")), paths[0])


def folders_there(root: Path, folders: Iterable[str]) -> list[str]:
    """Returns those of the folders that are below the root; the first one where none is. Spares a look a film."""
    folders = list(folders)
    return [folder for folder in folders if (Path(root) / folder).is_dir()] or folders[:1]
