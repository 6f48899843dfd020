"""From a patient and its findings to a film.

The film is a map of attenuation (0 air, about 0.8 through the spine), float32 of shape (size, size), to which the
layers add or from which they take. Shapes are drawn with Pillow at twice the size and halved, which smooths their
edges at little cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

from radrl.data.phantom import anatomy, lesions
from radrl.data.phantom.anatomy import SIGN, Patient
from radrl.data.phantom.findings import Plan
from radrl.example import Box


class Canvas:
    """What the layers share: the patient, the size in pixels, and the masks of the lungs."""

    def __init__(self, p: Patient, size: int) -> None:
        self.p, self.size = p, size
        self.outline = {side: anatomy.lung(p, side) for side in SIGN}
        # Where aerated lung is seen: not behind the heart and the mediastinum.
        self.lung = {side: self.fill([self.outline[side]]) for side in SIGN}
        self.centre = self.fill([anatomy.mediastinum(p), anatomy.heart(p)], 0.006)
        self.seen = {side: self.lung[side] * (1 - 0.9 * self.centre) for side in SIGN}

    def fill(self, outlines: Iterable[np.ndarray], sigma: float = 0.0) -> np.ndarray:
        """Returns outlines (k, 2) of the patient frame filled, as float32 in 0-1.

        ``sigma`` is how far their edges are blurred, in the frame's unit.
        """
        big = Image.new("L", (2 * self.size, 2 * self.size))
        pen = ImageDraw.Draw(big)
        if isinstance(outlines, np.ndarray):  # all of one length: carried over at once
            corners = self.p.pixels(outlines, 2 * self.size).reshape(len(outlines), -1).tolist()
        else:
            corners = [self.p.pixels(outline, 2 * self.size).ravel().tolist() for outline in outlines]
        for line in corners:
            pen.polygon(line, fill=255)
        layer = big.reduce(2)
        if sigma:
            layer = layer.filter(ImageFilter.GaussianBlur(sigma * self.size))
        return np.asarray(layer, np.float32) * np.float32(1 / 255)

    def bands(self, lines: np.ndarray, widths: np.ndarray | float, sigma: float = 0.0) -> np.ndarray:
        """Returns lines (n, k, 2) drawn ``widths`` wide: one number, or (n, k), in the patient frame's unit."""
        along = np.gradient(lines, axis=1)
        across = np.stack((-along[..., 1], along[..., 0]), -1)
        across /= np.linalg.norm(across, axis=-1, keepdims=True) + 1e-9
        across *= 0.5 * np.broadcast_to(widths, lines.shape[:2])[..., None]
        return self.fill(np.concatenate((lines + across, (lines - across)[:, ::-1]), 1), sigma)


def soften(layer: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur with ``sigma`` in pixels; wide ones are done on a reduced layer."""
    if sigma < 4:
        return gaussian_filter(layer, sigma, truncate=2.5)
    step = int(sigma // 2)
    image = Image.fromarray(layer)
    small = gaussian_filter(np.asarray(image.reduce(step)), sigma / step, truncate=2.5)
    return np.asarray(Image.fromarray(small).resize(image.size, Image.Resampling.BILINEAR))


def cloud(rng: np.random.Generator, cells: int, size: int) -> np.ndarray:
    """Returns smooth noise around 0, (size, size), with ``cells`` bumps along each side."""
    coarse = rng.standard_normal((cells, cells), np.float32)
    return np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))


@cache
def _grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns x and y of the pixel centres, 0-1, as a row and a column."""
    line = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return line[None, :], line[:, None]


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
    att -= 0.47 * open_air
    att += 0.035 * canvas.centre + 0.20 * _bones(canvas, rng)
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
    x, y = _grid(size)
    mask = canvas.fill([anatomy.body(p)], 0.016)
    across = (x - 0.5 - p.shift[0]) / 0.5
    belly = np.clip((y - p.dome["right"] + 0.10) / 0.25, 0, 1)
    att = mask * (0.60 - 0.13 * across**2 + 0.13 * belly + 0.05 * np.clip(0.15 - y, 0, 1))
    if p.breast:
        t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        middle = p.dome["right"] - 0.02
        round_ = np.stack((0.145 * np.cos(t), 0.125 * np.sin(t)), 1)
        at = [(side * 0.72 * p.half_width, middle) for side in (-1, 1)]
        att += 0.085 * p.breast * canvas.fill([round_ + c for c in at], 0.018) * mask
    return att


def _bones(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """Ribs with dense edges, clavicles, scapulae and vertebrae; 1 is dense bone."""
    p = canvas.p
    u = np.linspace(0, 1, 14)
    step = (p.angle["left"] - p.apex) / 9.6
    ribs, front = [], []
    slope = rng.uniform(0.055, 0.085)
    for side, sign in SIGN.items():
        for i in range(10):
            y0 = p.apex - 0.012 + i * step + rng.normal(0, 0.003)
            drop = slope * (0.6 + 0.06 * i)
            reach = wall_at = float(anatomy.wall(p, side, min(y0 + drop, p.angle[side]))) + 0.012
            reach = max(wall_at, 0.15)
            x = 0.045 + (reach - 0.045) * np.sin(u * np.pi / 2)
            ribs.append(np.stack((sign * x, y0 - 0.012 * np.sin(np.pi * u) + drop * u**2.6), -1))
            if 0 < i < 8:
                ye = y0 + drop
                x = reach - (reach - 0.40 * p.half_width) * u**1.25
                front.append(np.stack((sign * x, ye + (0.10 + 0.012 * i) * u**0.8 + 0.01 * np.sin(np.pi * u)), -1))
    back = np.array(ribs)
    wide = np.full(len(back), 0.024)[:, None]
    bones = 0.62 * canvas.bands(back, wide) - 0.22 * canvas.bands(back, wide - 0.0125)
    fade = np.linspace(0.026, 0.018, 14)[None]
    bones += 0.34 * canvas.bands(np.array(front), fade) - 0.14 * canvas.bands(np.array(front), fade - 0.013)
    bones *= 0.25 + 0.75 * (1 - canvas.centre)

    tilt = rng.uniform(-0.025, 0.035)
    clavicle = anatomy.smooth(
        np.array([(0.035, p.apex + 0.075), (0.15, p.apex + 0.055), (0.27, p.apex + tilt), (0.43, p.apex - 0.03 + tilt)])
    )
    pair = np.stack((clavicle * (-1, 1), clavicle))
    bones += 0.55 * canvas.bands(pair, 0.030) - 0.2 * canvas.bands(pair, 0.014)

    blade = anatomy.smooth(
        np.array([(0.50, p.apex + 0.03), (0.33, p.apex + 0.16), (0.33, p.apex + 0.33), (0.40, p.apex + 0.42)])
    )
    blade = blade + ((1 - p.scapula) * 0.075, 0)
    arm = anatomy.smooth(np.array([(0.52, p.apex + 0.05), (0.56, p.apex + 0.22), (0.58, p.apex + 0.5)]))
    bones += 0.30 * canvas.bands(np.stack((blade * (-1, 1), blade)), 0.022)
    bones += 0.40 * canvas.bands(np.stack((arm * (-1, 1), arm)), 0.055)

    y = np.arange(-0.02, 1.0, 0.052)
    vertebra = np.array([(-0.036, 0.0), (0.036, 0.0), (0.033, 0.021), (0.036, 0.042), (-0.036, 0.042), (-0.033, 0.021)])
    bones += 0.20 * canvas.fill(vertebra + np.stack((0 * y, y), -1)[:, None]) + 0.12 * canvas.bands(
        np.stack((np.zeros_like(y), y), -1)[None], 0.075
    )
    return bones


def _lung_markings(canvas: Canvas, rng: np.random.Generator, scene: lesions.Scene) -> np.ndarray:
    """Vessels that fan from the hila and thin out, and a faint grain; attenuation to add inside the lungs."""
    p, size = canvas.p, canvas.size
    u = np.linspace(0, 1, 7)
    n = 15
    lines, widths = [], []
    for side, sign in SIGN.items():
        root = np.array((0.075, p.hilum + (0.012 if side == "right" else -0.008)))
        angle = np.linspace(-1.35, 1.45, n) + rng.normal(0, 0.09, n)
        length = (0.20 + 0.10 * np.abs(np.sin(angle))) * rng.uniform(0.75, 1.15, n)
        bend = rng.normal(0, 0.12, n)[:, None] * u
        thick = rng.uniform(0.75, 1.15, n)[:, None]
        # (n, 7, 2): the trunks, then three forks that leave each of them along its way
        trunk = root + _rays(length, angle[:, None] + bend, u)
        lines.append(trunk * (sign, 1))
        widths.append(thick * (0.015 - 0.0125 * u))
        for start, fork in ((2, 0.5), (3, -0.5), (4, 0.45)):
            branch = trunk[:, start, None] + _rays(0.48 * length, angle[:, None] + fork + 2 * bend, u)
            lines.append(branch * (sign, 1))
            widths.append(thick * (0.0085 - 0.006 * u) * (1.1 - 0.1 * start))
    vessels = canvas.bands(np.concatenate(lines), np.concatenate(widths))
    t = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    oval = np.stack((0.028 * np.cos(t), 0.05 * np.sin(t)), 1)
    hila = canvas.fill([oval + (-0.078, p.hilum + 0.025), oval + (0.078, p.hilum)], 0.014)
    grain = cloud(rng, 56, size) * 0.012
    seen = canvas.seen["right"] + canvas.seen["left"]
    return seen * ((0.125 * vessels * scene.vessels + 0.12 * hila) * (1 - scene.free_air) + grain)


def _rays(length: np.ndarray, turn: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Returns lines (n, k, 2) from the origin, of ``length`` (n,), heading along ``turn`` (n, k) at the steps ``u``."""
    return length[:, None, None] * u[:, None] * np.stack((np.cos(turn), np.sin(turn)), -1)


def _airways(canvas: Canvas) -> np.ndarray:
    """Trachea and main bronchi; attenuation to take away."""
    carina = carina_y(canvas.p)
    trachea = np.array([(0.0, -0.1), (0.002, 0.1), (-0.004, carina - 0.05), (-0.004, carina)])
    tube = canvas.bands(anatomy.smooth(trachea)[None], 0.042, 0.005)
    forks = [[(0.0, carina - 0.008), (sign * 0.03, carina + 0.03), (sign * 0.065, carina + 0.055)] for sign in (-1, 1)]
    tube = np.maximum(tube, 0.7 * canvas.bands(np.array(forks), 0.026, 0.005))
    return 0.15 * tube


def carina_y(p: Patient) -> float:
    """Returns the height of the carina."""
    return p.hilum - 0.05


def _stomach(canvas: Canvas, rng: np.random.Generator) -> np.ndarray:
    """The gastric bubble under the left dome, if there is one; attenuation to take away."""
    p = canvas.p
    show, width, height = rng.uniform(-0.4, 1), rng.uniform(0.04, 0.09), rng.uniform(0.025, 0.05)
    if show < 0:
        return np.zeros((canvas.size, canvas.size), np.float32)
    t = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    at = (0.42 * p.half_width, p.dome["left"] + 0.02 + height)
    return 0.30 * show * canvas.fill([np.stack((width * np.cos(t), height * np.sin(t)), 1) + at], 0.008)


def _expose(canvas: Canvas, att: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Blur, scatter, film curve, grain and markers; attenuation to uint8."""
    p, size = canvas.p, canvas.size
    att = soften(att, p.blur * size / 192)
    att += 0.012 * cloud(rng, 4, size) + 0.04 * rng.uniform(-1, 1) * (_grid(size)[0] - 0.5)
    low, high = p.window
    grey = np.clip((att - low) / (high - low), 0, 1.08) ** np.float32(p.gamma)
    grey = 232 * grey + p.noise * (0.55 + 0.45 * grey) * cloud(rng, int(0.7 * size), size)
    film = np.clip(grey, 0, 255).astype(np.uint8)
    edge = int(rng.integers(3, 9) * size / 192)
    if p.marker == "border":
        for cut in rng.permutation(4)[: rng.integers(1, 4)]:
            film[(slice(None, edge), slice(-edge, None))[cut] if cut < 2 else slice(None)][
                :, (slice(None, edge), slice(-edge, None))[cut - 2] if cut >= 2 else slice(None)
            ] = 4
    elif p.marker:
        image = Image.fromarray(film)
        x = 0.045 if p.marker == "R" else 0.925
        ImageDraw.Draw(image).text((x * size, (0.03 + 0.05 * rng.random()) * size), p.marker, fill=250)
        film = np.asarray(image)
    return film


def _anatomy_boxes(canvas: Canvas) -> tuple[Box, ...]:
    p, size = canvas.p, canvas.size
    shapes = {"right lung": canvas.outline["right"], "left lung": canvas.outline["left"], "heart": anatomy.heart(p)}
    return tuple(lesions.around(p.pixels(points, size) / size, label) for label, points in shapes.items())
