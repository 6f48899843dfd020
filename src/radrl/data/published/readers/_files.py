"""What several readers of boxes share: which folders are there, and MIMIC's official split."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from radrl.data.published.record import Option, Split
from radrl.data.published.tables import Lookup, table
from radrl.errors import UserError

MIMIC_SPLITS: dict[str, Split] = {"train": "train", "validate": "dev", "test": "test"}
SPLIT_OPTION = Option(
    ("mimic", "own"),
    "mimic: MIMIC-CXR's official split, so that no film is trained on as a report and tested here; own: the set's",
)


def folders_there(root: Path, folders: Iterable[str]) -> list[str]:
    """Returns those of the folders that are below the root; the first one where none is. Spares a look a film."""
    folders = list(folders)
    return [folder for folder in folders if (Path(root) / folder).is_dir()] or folders[:1]


class MimicSplit:
    """MIMIC-CXR's split by dicom_id, from ``mimic-cxr-2.0.0-split.csv`` below the root."""

    def __init__(self, root: Path) -> None:
        """Raises UserError where the table is not there."""
        try:
            rows = table(root, ["mimic-cxr-2.0.0-split.csv"], ["dicom_id", "split"])
            self._rows = Lookup(rows, lambda row: row["dicom_id"])
        except UserError as error:
            raise UserError(
                f"{error}; or give --option split=own, and mind that MIMIC's reports split otherwise"
            ) from None

    def of(self, dicom: str) -> Split:
        """Returns the split of a film. Raises ValueError where the table does not have it."""
        row = self._rows.get(dicom)
        if row is None or row["split"] not in MIMIC_SPLITS:
            raise ValueError(f"film {dicom} stands in no split of MIMIC-CXR")
        return MIMIC_SPLITS[row["split"]]
