"""From a patient and its findings to a film.

The film is a map of attenuation (0 air, about 0.8 through the spine), float32 of shape (size, size), to which the
layers add or from which they take. Shapes are drawn with Pillow at twice the size and halved, which smooths their
edges at little cost.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from radrl.data.phantom import anatomy, lesions
from radrl.data.phantom.anatomy import SIGN, Patient
from radrl.data.phantom.canvas import Canvas, cloud, grid, soften
from radrl.data.phantom.findings import Plan
from radrl.example import Box

# Strokes of the side markers, in a box one high.
_LETTERS = {
    "L": [[(0, 0), (0, 1), (0.55, 1)]],
    "R": [[(0, 1), (0, 0), (0.5, 0.05), (0.5, 0.45), (0, 0.5)], [(0.2, 0.5), (0.6, 1)]],
}


def draw(p: Patient, plans: Sequence[Plan], size: int) -> tuple[np.ndarray, list[tuple[Box, ...]], tuple[Box, ...]]:
    """Returns the film, uint8 (size, size), the boxes of each plan, and those of lungs and heart.

    The film of the same patient without one of the plans differs only by that finding (a heart is enlarged by
    ``p.ctr``, not by its plan).
    """
    canvas = Canvas(p, size)
    rng = np.random.default_rng(p.seed)
    both = canvas.lung["right"] + canvas.lung["left"]
    scene = lesions.Scene(canvas)
    boxes = [lesions.add(scene, plan) for plan in plans]

    att = _trunk(canvas)
    air = both * (0.42 + 0.58 * soften(both, 0.055 * size)) * (1 - 0.93 * canvas.centre)
    open_air = air * scene.open
    att -= 0.45 * open_air
    att += 0.035 * canvas.centre + (0.11 + 0.09 * open_air) * _bones(canvas, rng)
    att += _lung_markings(canvas, rng, scene) * (0.25 + 0.75 * open_air)
    att -= _airways(canvas)
    att -= _stomach(canvas, rng) * (1 - scene.fluid)
    att -= 0.10 * scene.free_air
    att += scene.lines
    film = _expose(canvas, att, rng)
    return film, boxes, _anatomy_boxes(canvas)


def _trunk(canvas: Canvas) -> np.ndarray:
    """Soft tissue: thick in the middle and below the diaphragm."""
    p, size = canvas.p, canvas.size
    x, y = grid(size)
    mask = canvas.fill([anatomy.body(p)], 0.016)
    across = (x - 0.5 - p.shift[0]) / 0.5
    belly = np.clip((y - p.dome["right"] + 0.10) / 0.25, 0, 1)
    att = mask * (0.60 - 0.13 * across**2 + 0.13 * belly + 0.05 * np.clip(0.15 - y, 0, 1))
    if p.breast:
        breast = anatomy.oval(0.145, 0.125, (0.72 * p.half_width, p.dome["right"] - 0.02))
        att += 0.085 * p.breast * canvas.fill([anatomy.mirrored(breast)], 0.018) * mask
    return att


def _bones(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Ribs with dense edges, clavicles, scapulae and vertebrae; 1 is dense bone."""
    p = canvas.p
    u = np.linspace(0, 1, 12)
    i = np.arange(10.0)[:, None]
    back, fore = [], []
    for side, sign in SIGN.items():
        y = p.apex - 0.012 + i * (p.angle[side] - p.apex) / 9.6 + rng.normal(0, 0.003, (10, 1))
        drop = rng.uniform(0.055, 0.085) * (0.6 + 0.06 * i)
        reach = np.maximum(anatomy.wall(p, side, np.minimum(y + drop, p.angle[side])) + 0.012, 0.15)
        x = 0.045 + (reach - 0.045) * np.sin(u * np.pi / 2)
        back.append(np.stack((sign * x, y - 0.012 * np.sin(np.pi * u) + drop * u**2.6), -1))
        # The front of the ribs falls from the wall towards the breastbone, where cartilage ends it.
        x = reach - (reach - 0.40 * p.half_width) * u**1.25
        y = y + drop + (0.10 + 0.012 * i) * u**0.8 + 0.01 * np.sin(np.pi * u)
        fore.append(np.stack((sign * x, y), -1)[1:7])
    back, fore = np.concatenate(back), np.concatenate(fore)
    ribbon, mirrored, smooth = anatomy.ribbon, anatomy.mirrored, anatomy.smooth
    bones = canvas.fill([ribbon(back, 0.024), ribbon(back, 0.0115)], values=(0.62, 0.42))
    bones *= 0.25 + 0.75 * (1 - canvas.centre)

    a, tilt = p.apex, rng.uniform(-0.025, 0.035)
    blade = smooth(np.array([(0.50, a + 0.03), (0.33, a + 0.16), (0.33, a + 0.33), (0.40, a + 0.42)]))
    blade[:, 0] += 0.075 * (1 - p.scapula)
    arm = smooth(np.array([(0.52, a + 0.05), (0.56, a + 0.22), (0.58, a + 0.5)]))
    collar = [(0.035, a + 0.075), (0.15, a + 0.055), (0.27, a + tilt), (0.43, a - 0.03 + tilt)]
    clavicle = mirrored(smooth(np.array(collar)))
    heights = np.arange(-0.02, 1.0, 0.052)
    spine = np.stack((np.zeros_like(heights), heights), -1)
    vertebra = np.array([(-0.036, 0), (0.036, 0), (0.033, 0.021), (0.036, 0.042), (-0.036, 0.042), (-0.033, 0.021)])
    taper = np.linspace(0.026, 0.018, fore.shape[1])
    return bones + canvas.fill(
        [
            ribbon(fore, taper),
            ribbon(fore, taper - 0.013),
            ribbon(mirrored(blade), 0.022),
            ribbon(mirrored(arm), 0.055),
            ribbon(spine[None], 0.075),
            vertebra + spine[:, None],
            ribbon(clavicle, 0.030),
            ribbon(clavicle, 0.014),
        ],
        values=(0.34, 0.20, 0.30, 0.40, 0.12, 0.32, 0.55, 0.35),
    )


def _lung_markings(canvas: Canvas, rng: np.random.Generator, scene: lesions.Scene) -> np.ndarray:
    """Vessels that fan from the hila and thin out, and a faint grain; attenuation to add inside the lungs."""
    p, size = canvas.p, canvas.size
    u = np.linspace(0, 1, 7)
    n = 12
    lines, widths = [], []
    for side, sign in SIGN.items():
        root = np.array((0.075, p.hilum + (0.012 if side == "right" else -0.008)))
        angle = np.linspace(-1.35, 1.45, n) + rng.normal(0, 0.09, n)
        length = (0.20 + 0.10 * np.abs(np.sin(angle))) * rng.uniform(0.75, 1.15, n)
        bend = rng.normal(0, 0.22, n)[:, None] * u + rng.normal(0, 0.1, (n, 1)) * np.sin(5 * u)
        thick = rng.uniform(0.75, 1.15, n)[:, None]
        # (n, 7, 2): the trunks, then three forks that leave each of them along its way
        trunk = root + _rays(length, angle[:, None] + bend, u)
        lines.append(trunk * (sign, 1))
        widths.append(thick * (0.015 - 0.0125 * u))
        for start, fork in ((2, 0.5), (3, -0.5), (4, 0.45)):
            branch = trunk[:, start, None] + _rays(0.50 * length, angle[:, None] + fork + 2 * bend, u)
            lines.append(branch * (sign, 1))
            widths.append(thick * (0.0085 - 0.006 * u) * (1.1 - 0.1 * start))
    vessels = canvas.bands(np.concatenate(lines), np.concatenate(widths))
    hila = [anatomy.oval(0.028, 0.05, (-0.078, p.hilum + 0.025)), anatomy.oval(0.028, 0.05, (0.078, p.hilum))]
    hila = canvas.fill(hila, 0.014)
    grain = cloud(rng, 56, size) * 0.012
    seen = canvas.seen["right"] + canvas.seen["left"]
    return seen * ((0.11 * vessels * scene.vessels + 0.12 * hila) * (1 - scene.free_air) + grain)


def _rays(length: np.ndarray, turn: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Returns lines (n, k, 2) from the origin, of ``length`` (n,), heading along ``turn`` (n, k) at the steps ``u``."""
    return length[:, None, None] * u[:, None] * np.stack((np.cos(turn), np.sin(turn)), -1)


def _airways(canvas: Canvas) -> np.ndarray:
    """Trachea and main bronchi; attenuation to take away."""
    carina = canvas.p.carina
    trachea = np.array([(0.0, -0.1), (0.002, 0.1), (-0.004, carina - 0.05), (-0.004, carina)])
    forks = [[(0.0, carina - 0.008), (sign * 0.03, carina + 0.03), (sign * 0.065, carina + 0.055)] for sign in (-1, 1)]
    shapes = [anatomy.ribbon(np.array(forks), 0.026), anatomy.ribbon(anatomy.smooth(trachea)[None], 0.042)]
    return 0.15 * canvas.fill(shapes, values=(0.7, 1.0))


def _stomach(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """The gastric bubble under the left dome, if there is one; attenuation to take away."""
    p = canvas.p
    show, width, height = rng.uniform(-0.4, 1), rng.uniform(0.04, 0.09), rng.uniform(0.025, 0.05)
    if show < 0:
        return np.zeros((canvas.size, canvas.size), np.float32)
    return (
        0.30
        * show
        * canvas.fill([anatomy.oval(width, height, (0.42 * p.half_width, p.dome["left"] + 0.02 + height))], 0.011)
    )


def _expose(canvas: Canvas, att: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur, scatter, film curve, grain and markers; attenuation to uint8."""
    p, size = canvas.p, canvas.size
    att = soften(att, p.blur * size / 192)
    att += 0.012 * cloud(rng, 4, size) + 0.04 * rng.uniform(-1, 1) * (grid(size)[0] - 0.5)
    low, high = p.window
    grey = np.clip((att - low) / (high - low), 0, 1.08) ** np.float32(p.gamma)
    grey = 232 * grey + p.noise * (0.55 + 0.45 * grey) * cloud(rng, int(0.7 * size), size)
    film = np.clip(grey, 0, 255).astype(np.uint8)
    _mark(film, p.marker, rng)
    return film


def _mark(film: np.ndarray, marker: str, rng: np.random.Generator) -> None:
    """Puts a side marker on the film, or the black edges of the collimator."""
    size = len(film)
    edge, cuts = round(rng.uniform(0.015, 0.045) * size), rng.permutation(4)[: rng.integers(1, 4)]
    if marker == "border":
        strips = (np.s_[:edge], np.s_[-edge:], np.s_[:, :edge], np.s_[:, -edge:])
        for cut in cuts:
            film[strips[cut]] = 4
    elif marker:
        corner = np.array((0.045 if marker == "R" else 0.925, rng.uniform(0.035, 0.08)))
        image = Image.fromarray(film)
        for stroke in _LETTERS[marker]:
            points = (corner + 0.042 * np.array(stroke)) * size
            ImageDraw.Draw(image).line(points.ravel().tolist(), fill=250, width=max(1, round(0.009 * size)))
        film[:] = image


def _anatomy_boxes(canvas: Canvas) -> tuple[Box, ...]:
    p, size = canvas.p, canvas.size
    shapes = {"right lung": canvas.outline["right"], "left lung": canvas.outline["left"], "heart": anatomy.heart(p)}
    return tuple(lesions.around(p.pixels(points, size) / size, label) for label, points in shapes.items())
