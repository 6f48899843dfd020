"""A patient: the numbers that fix how the chest is built and how the film was taken.

Patient frame: x runs from the midline, negative towards the image's left (the patient's right); y runs down from the
film's upper edge. The unit is the side of the film. ``Patient.pixels`` carries points from this frame to the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Literal, overload

import numpy as np

Side = Literal["right", "left"]
SIGN: dict[Side, int] = {"right": -1, "left": 1}


@dataclass(frozen=True)
class Patient:
    """Geometry in the patient frame, and the exposure. ``ctr`` is the cardiothoracic ratio."""

    sex: Literal["F", "M"]
    age: int
    view: Literal["PA", "AP"]
    half_width: float  # midline to the inner chest wall
    apex: float  # y of the lung apices
    dome: dict[Side, float]  # y of the top of each half of the diaphragm
    angle: dict[Side, float]  # y of the costophrenic angles
    ctr: float
    knob: float  # how far the aortic knob stands out
    breast: float  # strength of the breast shadows
    scapula: float  # how much the scapulae overlie the lungs
    rotation: float  # radians
    scale: float
    shift: tuple[float, float]
    window: tuple[float, float]  # attenuations shown black and white
    gamma: float
    noise: float  # standard deviation, in grey levels
    blur: float  # in pixels of a 192-pixel film
    marker: str
    seed: int  # ribs, vessels and grain

    def pixels(self, points: np.ndarray, size: int) -> np.ndarray:
        """Carries points (..., 2) of the patient frame to pixel coordinates of a ``size`` x ``size`` film."""
        c, s = np.cos(self.rotation) * self.scale, np.sin(self.rotation) * self.scale
        turn = np.array(((c, s), (-s, c))) * size
        middle = np.array((0.5 + self.shift[0], 0.5 + self.shift[1])) * size - (0.0, 0.5) @ turn
        return points @ turn + middle

    @property
    def hilum(self) -> float:
        """y of the hila."""
        return self.apex + 0.47 * (self.dome["left"] - self.apex)

    @property
    def carina(self) -> float:
        """y of the carina, where the trachea forks."""
        return self.hilum - 0.05


def sample_patient(rng: np.random.Generator) -> Patient:
    """Draws a patient with a heart of normal size."""
    view = "AP" if rng.random() < 0.35 else "PA"
    sex = "F" if rng.random() < 0.5 else "M"
    age = int(np.clip(rng.normal(58, 17), 18, 95))
    apex = rng.uniform(0.10, 0.16)
    right_dome = rng.uniform(0.655, 0.73) - (0.02 if view == "AP" else 0.0)
    left_dome = right_dome + rng.uniform(0.012, 0.035)
    depth = rng.uniform(0.075, 0.105)
    black = rng.uniform(-0.06, 0.06)
    return Patient(
        sex=sex,
        age=age,
        view=view,
        half_width=rng.uniform(0.335, 0.38) + (0.01 if sex == "M" else 0.0),
        apex=apex,
        dome={"right": right_dome, "left": left_dome},
        angle={"right": right_dome + depth, "left": left_dome + depth - 0.01},
        ctr=rng.uniform(0.39, 0.47) + (0.015 if view == "AP" else 0.0),
        knob=0.066 + 0.022 * np.clip((age - 30) / 50, 0, 1) + rng.uniform(-0.006, 0.008),
        breast=rng.uniform(0.3, 1.0) if sex == "F" else 0.0,
        scapula=rng.uniform(0.2, 1.0) if view == "AP" else rng.uniform(0.0, 0.4),
        rotation=rng.normal(0, 0.03),
        scale=rng.uniform(0.98, 1.15),
        shift=(rng.normal(0, 0.015), rng.normal(0.01, 0.015)),
        window=(black, black + rng.uniform(0.78, 0.98)),
        gamma=rng.uniform(0.75, 1.15),
        noise=rng.uniform(1.5, 5.0),
        blur=rng.uniform(0.35, 0.8),
        marker=("L", "R", "border", "")[rng.choice(4, p=(0.35, 0.25, 0.1, 0.3))],
        seed=int(rng.integers(2**31)),
    )


@cache
def _spline(steps: int) -> np.ndarray:
    """Catmull-Rom weights, (steps, 4)."""
    t = np.arange(steps) / steps
    return np.stack((-t + 2 * t**2 - t**3, 2 - 5 * t**2 + 3 * t**3, t + 4 * t**2 - 3 * t**3, -(t**2) + t**3), 1) / 2


def closed(points: np.ndarray, steps: int = 6) -> np.ndarray:
    """Returns a smooth closed line through ``points`` (n, 2), as (n * steps, 2)."""
    around = points[(np.arange(len(points))[:, None] + (-1, 0, 1, 2)) % len(points)]
    return (_spline(steps) @ around).reshape(-1, 2)


def smooth(points: np.ndarray, steps: int = 6) -> np.ndarray:
    """Returns a smooth open line through ``points`` (n, 2)."""
    ends = np.concatenate((points[:1], points, points[-1:]))
    around = np.stack([ends[i : i + len(points) - 1] for i in range(4)], 1)
    return np.concatenate(((_spline(steps) @ around).reshape(-1, 2), points[-1:]))


def ribbon(lines: np.ndarray, widths: np.ndarray | float) -> np.ndarray:
    """Returns the outlines (n, 2 k, 2) of lines (n, k, 2) drawn ``widths`` wide: one number, or (n, k)."""
    along = np.empty_like(lines)
    along[:, 1:-1] = lines[:, 2:] - lines[:, :-2]
    along[:, 0], along[:, -1] = lines[:, 1] - lines[:, 0], lines[:, -1] - lines[:, -2]
    across = along[..., ::-1] * (-1, 1)
    across *= (0.5 * widths / (np.hypot(along[..., 0], along[..., 1]) + 1e-9))[..., None]
    return np.concatenate((lines + across, (lines - across)[:, ::-1]), 1)


def oval(wide: float, high: float, at: tuple[float, float], corners: int = 20) -> np.ndarray:
    """Returns the outline (corners, 2) of an ellipse with half axes ``wide`` and ``high`` around ``at``."""
    t = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack((at[0] + wide * np.cos(t), at[1] + high * np.sin(t)), 1)


def mirrored(line: np.ndarray) -> np.ndarray:
    """Returns a line (k, 2) on both sides of the midline, (2, k, 2)."""
    return np.stack((line * (-1, 1), line))


# Chest wall: share of the half width (second) at shares of the way from apex to costophrenic angle (first).
_WALL = np.array([(0.0, 0.36), (0.07, 0.60), (0.20, 0.79), (0.42, 0.93), (0.70, 0.995), (1.0, 1.0)])


@overload
def wall(p: Patient, side: Side, y: float) -> float: ...
@overload
def wall(p: Patient, side: Side, y: np.ndarray) -> np.ndarray: ...
def wall(p: Patient, side: Side, y: float | np.ndarray) -> float | np.ndarray:
    """Returns the distance of the inner chest wall from the midline at height ``y``."""
    return p.half_width * np.interp((y - p.apex) / (p.angle[side] - p.apex), _WALL[:, 0], _WALL[:, 1])


def lung(p: Patient, side: Side) -> np.ndarray:
    """Returns the outline of a lung, (n, 2): chest wall, diaphragm, and a medial edge the mediastinum covers."""
    height = p.angle[side] - p.apex
    d = (p.dome[side] - p.apex) / height
    points = np.array(
        [
            (0.13, 0.10),
            *_WALL[:, ::-1],
            (1.0, 1.0),  # twice: the costophrenic angle is sharp
            (0.86, d + 0.50 * (1 - d)),
            (0.68, d + 0.13 * (1 - d)),
            (0.46, d),
            (0.24, d + 0.15 * (1 - d)),
            (0.08, d + 0.35 * (1 - d)),
            (0.06, 0.60),
            (0.08, 0.30),
        ]
    )
    return closed(points * (SIGN[side] * p.half_width, height) + (0, p.apex))


def heart_reach(p: Patient) -> tuple[float, float]:
    """Returns how far the heart reaches to the patient's right and left of the midline."""
    width = 2 * p.half_width * p.ctr
    return 0.31 * width, 0.69 * width


def heart(p: Patient) -> np.ndarray:
    """Returns the outline of the heart, (n, 2)."""
    right, left = heart_reach(p)
    top, base = p.hilum - 0.015, p.dome["left"] + 0.03
    h = base - top
    return closed(
        np.array(
            [
                (-0.05, top),
                (-0.86 * right, top + 0.32 * h),
                (-right, top + 0.62 * h),
                (-0.80 * right, base - 0.06 * h),
                (0.10 * left, base + 0.03 * h),
                (0.72 * left, base),
                (left, base - 0.17 * h),
                (0.90 * left, base - 0.40 * h),
                (0.62 * left, top + 0.24 * h),
                (0.35 * left + 0.02, top),
            ]
        )
    )


def mediastinum(p: Patient) -> np.ndarray:
    """Returns the outline of the mediastinum above and behind the heart, with the aortic knob."""
    y, k = p.hilum, p.knob
    return closed(
        np.array(
            [
                (-0.040, -0.1),
                (-0.042, y - 0.24),
                (-0.056, y - 0.10),
                (-0.060, y + 0.10),
                (-0.050, 1.0),
                (0.050, 1.0),
                (0.062, y + 0.10),
                (0.068, y + 0.01),
                (0.055, y - 0.055),
                (k, y - 0.10),
                (0.86 * k, y - 0.145),
                (0.042, y - 0.19),
                (0.036, -0.1),
            ]
        )
    )


def body(p: Patient) -> np.ndarray:
    """Returns the outline of the body: neck, shoulders, arms and trunk."""
    w, a = p.half_width, p.apex
    half = [(0.12, -0.3), (0.125, a - 0.10), (0.20, a - 0.065), (0.36, a - 0.045), (0.52, a - 0.01), (0.62, a + 0.10)]
    half += [(0.66, a + 0.30), (0.66, a + 0.60), (w + 0.13, a + 0.50), (w + 0.095, 0.66), (w + 0.085, 0.9)]
    half += [(w + 0.08, 1.3)]
    right = np.array(half)
    return closed(np.concatenate((right * (-1, 1), right[::-1])))


def spot(p: Patient, side: Side, across: float, down: float) -> np.ndarray:
    """Returns a point (2,) in the visible lung: ``across`` 0 at the mediastinum, 1 at the chest wall; ``down`` 0 at
    the apex, 1 at the dome."""
    y = p.apex + down * (p.dome[side] - p.apex)
    right, left = heart_reach(p)
    top = p.hilum
    reach = {"right": right, "left": left}[side]
    inner = np.interp(y, (top - 0.03, top + 0.04, top + 0.2), (0.06, 0.07, max(0.07, 0.93 * reach)))
    return np.array((SIGN[side] * (inner + across * (wall(p, side, y) - inner)), y))
