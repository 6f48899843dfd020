"""The unit of independence: what is never split between training and test, and what is drawn in resampling.

Cases of one patient are alike, so they count as one draw, and a patient in training and test is a leak. Where no
patient is known the next wider thing takes its place: the study (for figures of the literature the article), else the
first image, else the Example itself. Splitting (`radrl data prepare`), the check for leaks (`radrl.manifest.leaks`) and
the intervals all take it from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from importlib import resources
from typing import Literal

import yaml

from radrl.example import Example

Kind = Literal["patient", "study", "image", "id"]
PLURALS: dict[Kind, str] = {"patient": "patients", "study": "studies", "image": "images", "id": "cases"}


def independence_unit(patient: str | None, study: str | None, images: Sequence[str], name: str) -> tuple[Kind, str]:
    """Returns the kind and name of the unit of a record of one data set."""
    if patient:
        return "patient", patient
    if study:
        return "study", study
    return ("image", images[0]) if images else ("id", name)


def unit_of(example: Example) -> str:
    """Returns the unit of an Example as text: equal for two that are not independent. Units of different kinds, and of
    data sets that name their patients each in their own way, differ."""
    kind, name = independence_unit(example.patient, example.study, example.images, example.id)
    return f"{kind}\0{data_set_family(example.source)}\0{name}"


def data_set_family(source: str) -> str:
    """Returns the data set whose patients and studies those of ``source`` are: MS-CXR's are MIMIC-CXR's."""
    return _families().get(source, source)


def units_in_words(examples: Iterable[Example]) -> str:
    """Returns what the units of some Examples are, in words: "patients", or "patients or images" where no patient is
    known of some."""
    kinds = {independence_unit(e.patient, e.study, e.images, e.id)[0] for e in examples}
    return " or ".join(plural for kind, plural in PLURALS.items() if kind in kinds) or PLURALS["patient"]


@cache
def _families() -> dict[str, str]:
    text = (resources.files("radrl.manifest") / "families.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)
