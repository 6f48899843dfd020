"""One phantom: its film and what is true of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from radrl.data.phantom.anatomy import Patient, sample_patient
from radrl.data.phantom.draw import draw
from radrl.data.phantom.findings import Plan, sample_plans
from radrl.example import Box, Finding


@dataclass(frozen=True)
class Phantom:
    """A film and the truth about it.

    ``image`` is uint8 (size, size), air dark; ``findings`` have boxes; ``anatomy`` are boxes labelled 'right lung',
    'left lung' and 'heart'. The patient's right is the image's left.
    """

    image: np.ndarray
    findings: tuple[Finding, ...]
    anatomy: tuple[Box, ...]
    sex: str
    age: int
    view: str


def plan(seed: int, index: int) -> tuple[Patient, tuple[Plan, ...]]:
    """Returns the patient and findings number ``index`` of a seed, before drawing."""
    rng = np.random.default_rng(np.random.SeedSequence([seed, index]))
    return sample_plans(rng, sample_patient(rng))


def make(seed: int, index: int, size: int = 192) -> Phantom:
    """Returns phantom number ``index`` of a seed as a film of ``size`` x ``size`` pixels."""
    patient, plans = plan(seed, index)
    image, boxes, anatomy = draw(patient, plans, size)
    findings = tuple(
        Finding(name=p.name, side=p.side, region=p.region, severity=p.severity, boxes=b)
        for p, b in zip(plans, boxes, strict=True)
    )
    return Phantom(image, findings, anatomy, patient.sex, patient.age, patient.view)
