"""Which findings a patient has, and where: everything about them that is decided before drawing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from radrl.data.phantom.anatomy import SIGN, Patient, Side, spot, wall

NAMES = (
    "cardiomegaly",
    "pleural effusion",
    "pneumothorax",
    "consolidation",
    "atelectasis",
    "nodule",
    "mass",
    "edema",
    "endotracheal tube",
    "central venous catheter",
    "pacemaker",
)
DEVICES = NAMES[8:]
SEVERITIES = ("mild", "moderate", "severe")
Severity = Literal["mild", "moderate", "severe"]
Region = Literal["upper", "middle", "lower"]
Rng = np.random.Generator

# How far down the visible lung (0 apex, 1 dome) the centre of a lesion of each region lies.
_DOWN: dict[Region, tuple[float, float]] = {"upper": (0.16, 0.32), "middle": (0.46, 0.60), "lower": (0.76, 0.90)}


@dataclass(frozen=True)
class Part:
    """One place of a finding, in the patient frame. ``size`` is a length whose meaning is the finding's own."""

    side: Side
    at: tuple[float, float] = (0.0, 0.0)
    size: float = 0.0
    density: float = 0.0


@dataclass(frozen=True)
class Plan:
    """A finding to be drawn. ``seed`` fixes its texture."""

    name: str
    parts: tuple[Part, ...]
    seed: int
    severity: Severity | None = None
    region: Region | None = None

    @property
    def side(self) -> Literal["left", "right", "bilateral"] | None:
        """The side as a Finding holds it."""
        if self.name in ("cardiomegaly", "endotracheal tube"):
            return None
        sides: set[Side] = {part.side for part in self.parts}
        return "bilateral" if len(sides) == 2 else sides.pop()


def sample_plans(rng: Rng, p: Patient) -> tuple[Patient, tuple[Plan, ...]]:
    """Draws the findings of a patient, in the order of ``NAMES``; returns the patient with its heart enlarged if so."""
    plans: list[Plan] = []
    for name in _names(rng, p):
        severity: Severity = SEVERITIES[rng.choice(3, p=(0.3, 0.4, 0.3))]
        plan = _MAKERS[name](rng, p, severity, plans)
        if plan is None:
            continue
        plans.append(plan)
        if name == "cardiomegaly":
            p = replace(p, ctr=plan.parts[0].size)
    return p, tuple(sorted(plans, key=lambda plan: NAMES.index(plan.name)))


def _names(rng: Rng, p: Patient) -> list[str]:
    """Draws which findings there are: none in a fifth of patients, else one to four that go together."""
    if rng.random() < 0.205:
        return []
    ill = 1.35 if p.view == "AP" else 0.8  # bedside films are of sicker patients
    chance = {
        "cardiomegaly": 0.25,
        "pleural effusion": 0.25,
        "consolidation": 0.25,
        "pneumothorax": 0.10,
        "atelectasis": 0.12,
        "nodule": 0.12,
        "mass": 0.10,
        "edema": 0.02,
        "endotracheal tube": 0.10 * ill,
        "central venous catheter": 0.10 * ill,
        "pacemaker": 0.17 if p.age > 60 else 0.07,
    }
    have: set[str] = set()
    while not have:
        for name, share in chance.items():
            if name == "edema":
                share += 0.19 * ("cardiomegaly" in have) + 0.12 * ("pleural effusion" in have)
            elif name == "endotracheal tube":
                share += 0.10 * bool(have & {"edema", "pneumothorax", "consolidation"})
            elif name == "central venous catheter":
                share += 0.35 * ("endotracheal tube" in have)
            elif name == "pacemaker":
                share += 0.10 * ("cardiomegaly" in have)
            if rng.random() < share:
                have.add(name)
    names = [name for name in NAMES if name in have]
    while len(names) > 4:
        names.pop(rng.integers(len(names)))
    # Pleura first: the lesions of the lung then keep clear of fluid and air.
    return sorted(names, key=lambda name: (name not in ("cardiomegaly", "pleural effusion"), NAMES.index(name)))


def _seed(rng: Rng) -> int:
    return int(rng.integers(2**31))


def _sides(rng: Rng, right: float, left: float) -> tuple[Side, ...]:
    """Draws right, left or, with the chance that remains, both."""
    u = rng.random()
    return ("right",) if u < right else ("left",) if u < right + left else ("right", "left")


def _level(rng: Rng, severity: Severity, mild: float, moderate: float, severe: float) -> float:
    """Draws a value around that of the severity; neighbouring severities do not overlap."""
    values = (mild, moderate, severe)
    i = SEVERITIES.index(severity)
    gap = min(abs(moderate - mild), abs(severe - moderate))
    return values[i] + 0.32 * gap * rng.uniform(-1, 1)


def _cardiomegaly(rng: Rng, p: Patient, severity: Severity, plans: list[Plan]) -> Plan:
    size = _level(rng, severity, 0.545, 0.61, 0.685)
    return Plan("cardiomegaly", (Part("left", (0, 0), size),), _seed(rng), severity)


def _effusion(rng: Rng, p: Patient, severity: Severity, plans: list[Plan]) -> Plan:
    sides = _sides(rng, 0.35, 0.37)
    parts = tuple(Part(s, (0, 0), _level(rng, severity, 0.075, 0.185, 0.33), 0.92) for s in sides)
    return Plan("pleural effusion", parts, _seed(rng), severity)


def _pneumothorax(rng: Rng, p: Patient, severity: Severity, plans: list[Plan]) -> Plan | None:
    """``size`` is how much of the lung's length remains at the apex. Never on a side with fluid."""
    wet = {part.side for plan in plans if plan.name == "pleural effusion" for part in plan.parts}
    free: list[Side] = [side for side in SIGN if side not in wet]
    if not free:
        return None
    part = Part(free[rng.integers(len(free))], (0, 0), _level(rng, severity, 0.86, 0.74, 0.56))
    return Plan("pneumothorax", (part,), _seed(rng), severity, None if severity == "severe" else "upper")


def _blocked(plans: list[Plan], side: Side, region: Region) -> bool:
    """Whether fluid or air already takes that part of the lung."""
    for plan in plans:
        if all(part.side != side for part in plan.parts):
            continue
        if plan.name == "pleural effusion" and region != "upper":
            if plan.severity == "severe" or (plan.severity == "moderate" and region == "lower"):
                return True
        elif plan.name == "pneumothorax":
            return True
    return False


def _clear(plans: list[Plan], at: np.ndarray, size: float) -> bool:
    """Whether a lesion at ``at`` of radius ``size`` keeps clear of the lesions there are."""
    others = (part for plan in plans if plan.name in ("consolidation", "nodule", "mass") for part in plan.parts)
    return all(np.hypot(*(at - other.at)) > size + other.size for other in others)


def _places(
    rng: Rng, p: Patient, plans: list[Plan], count: int, size: float, both: float
) -> tuple[list[tuple[Side, np.ndarray]], Region] | None:
    """Draws ``count`` free places in one region of one lung or, with chance ``both``, of both; None if none is left."""
    bilateral = count > 1 and rng.random() < both
    for _ in range(12):
        region: Region = tuple(_DOWN)[rng.choice(3, p=(0.3, 0.3, 0.4))]
        first: Side = "right" if rng.random() < 0.52 else "left"
        sides: list[Side] = [first] * count
        if bilateral:
            sides[1] = "left" if first == "right" else "right"
        found: list[tuple[Side, np.ndarray]] = []
        for side in sides:
            at = spot(p, side, rng.uniform(0.34, 0.70), rng.uniform(*_DOWN[region]))
            apart = all(np.hypot(*(at - other)) > 2.2 * size for _, other in found)
            if apart and not _blocked(plans, side, region) and _clear(plans, at, size):
                found.append((side, at))
        if len(found) == count:
            return found, region
    return None


def _lesions(
    rng: Rng,
    p: Patient,
    plans: list[Plan],
    name: str,
    severity: Severity,
    count: int,
    both: float,
    sizes: tuple[float, float, float],
    densities: tuple[float, float, float],
) -> Plan | None:
    """Draws ``count`` lesions of one radius and density; the triples are for mild, moderate and severe."""
    size = _level(rng, severity, *sizes)
    places = _places(rng, p, plans, count, size, both)
    if places is None:
        return None
    density = _level(rng, severity, *densities)
    parts = tuple(Part(side, (float(x), float(y)), size, density) for side, (x, y) in places[0])
    return Plan(name, parts, _seed(rng), severity, places[1])


def _consolidation(rng: Rng, p: Patient, severity: Severity, plans: list[Plan]) -> Plan | None:
    count = 1 if rng.random() < 0.68 else 2
    return _lesions(rng, p, plans, "consolidation", severity, count, 1.0, (0.075, 0.10, 0.135), (0.42, 0.65, 0.86))


def _nodule(rng: Rng, p: Patient, severity: Severity, plans: list[Plan]) -> Plan | None:
    count = int(rng.choice((1, 2, 3), p=(0.65, 0.2, 0.15)))
    return _lesions(rng, p, plans, "nodule", severity, count, 0.5, (0.037, 0.043, 0.050), (0.55, 0.72, 0.9))


def _mass(rng: Rng, p: Patient, severity: Severity, plans: list[Plan]) -> Plan | None:
    return _lesions(rng, p, plans, "mass", severity, 1, 0.0, (0.07, 0.09, 0.115), (0.58, 0.7, 0.82))


def _atelectasis(rng: Rng, p: Patient, severity: Severity, plans: list[Plan]) -> Plan | None:
    sides: list[Side] = [side for side in _sides(rng, 0.33, 0.37) if not _blocked(plans, side, "lower")]
    parts = []
    for side in sides:
        at = spot(p, side, rng.uniform(0.38, 0.55), rng.uniform(0.80, 0.88))
        if _clear(plans, at, 0.05):
            size, density = _level(rng, severity, 0.10, 0.125, 0.155), _level(rng, severity, 0.5, 0.68, 0.85)
            parts.append(Part(side, (float(at[0]), float(at[1])), size, density))
    return Plan("atelectasis", tuple(parts), _seed(rng), severity, "lower") if parts else None


def _edema(rng: Rng, p: Patient, severity: Severity, plans: list[Plan]) -> Plan:
    density = _level(rng, severity, 0.30, 0.48, 0.68)
    size = _level(rng, severity, 0.135, 0.155, 0.18)
    across = rng.uniform(0.25, 0.35)
    parts = []
    for side in SIGN:
        y = p.hilum + 0.03
        parts.append(Part(side, (float(SIGN[side] * (0.06 + across * (wall(p, side, y) - 0.06))), y), size, density))
    return Plan("edema", tuple(parts), _seed(rng), severity)


def _device(name: str, right: float) -> Callable[..., Plan]:
    """Returns a maker of devices. ``at`` is where the tip ends, ``size`` which way the line comes."""

    def make(rng: Rng, p: Patient, severity: Severity, plans: list[Plan]) -> Plan:
        side: Side = "right" if rng.random() < right else "left"
        at = (float(rng.uniform(-1, 1)), float(rng.uniform(-1, 1)))
        return Plan(name, (Part(side, at, float(rng.random())),), _seed(rng))

    return make


_MAKERS: dict[str, Callable[..., Plan | None]] = {
    "cardiomegaly": _cardiomegaly,
    "pleural effusion": _effusion,
    "pneumothorax": _pneumothorax,
    "consolidation": _consolidation,
    "atelectasis": _atelectasis,
    "nodule": _nodule,
    "mass": _mass,
    "edema": _edema,
    "endotracheal tube": _device("endotracheal tube", 0.5),
    "central venous catheter": _device("central venous catheter", 0.72),
    "pacemaker": _device("pacemaker", 0.15),
}
