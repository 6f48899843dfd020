"""MIMIC-CXR's official split, by film: also for the sets of boxes that are made of MIMIC-CXR."""

from __future__ import annotations

from pathlib import Path

from radrl.data.published.joins import Lookup
from radrl.data.published.record import Option, Split
from radrl.data.published.tables import table
from radrl.errors import UserError

MIMIC_SPLITS: dict[str, Split] = {"train": "train", "validate": "dev", "test": "test"}
SPLIT_OPTION = Option(
    ("mimic", "own"),
    "mimic: MIMIC-CXR's official split, so that no film is trained on as a report and tested here; own: the set's",
)


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
