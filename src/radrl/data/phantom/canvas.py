"""What the layers of a film are drawn with: filled outlines, bands, clouds and blur, as float32 maps."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy.ndimage import gaussian_filter

from radrl.data.phantom import anatomy
from radrl.data.phantom.anatomy import SIGN, Patient


class Canvas:
    """What the layers share: the patient, the size in pixels, and the masks of the lungs."""

    def __init__(self, p: Patient, size: int) -> None:
        self.p, self.size = p, size
        self.outline = {side: anatomy.lung(p, side) for side in SIGN}
        # Where aerated lung is seen: not behind the heart and the mediastinum.
        self.lung = {side: self.fill([self.outline[side]]) for side in SIGN}
        self.centre = self.fill([anatomy.mediastinum(p), anatomy.heart(p)])
        self.seen = {side: self.lung[side] * (1 - 0.9 * self.centre) for side in SIGN}

    def fill(
        self, shapes: Iterable[np.ndarray], sigma: float = 0.0, values: Sequence[float] | None = None
    ) -> np.ndarray:
        """Returns outlines of the patient frame filled, as float32 in 0-1, (size, size).

        A shape is one outline (k, 2) or many (n, k, 2). ``values`` are what each is filled with (default 1); later
        ones cover earlier ones. ``sigma`` is how far the edges are blurred, in the frame's unit.
        """
        big = Image.new("L", (2 * self.size, 2 * self.size))
        pen = ImageDraw.Draw(big)
        for i, shape in enumerate(shapes):
            value = round(255 * values[i]) if values else 255
            for corners in self.p.pixels(shape, 2 * self.size).reshape(-1, 2 * shape.shape[-2]).tolist():
                pen.polygon(corners, fill=value)
        pixels = sigma * self.size
        if pixels > 2:  # a wide blur loses nothing at a quarter of the size
            layer = big.reduce(8).filter(ImageFilter.GaussianBlur(pixels / 4))
            layer = layer.resize((self.size, self.size), Image.Resampling.BILINEAR)
        else:
            layer = big.reduce(2)
            if pixels:
                layer = layer.filter(ImageFilter.GaussianBlur(pixels))
        return np.asarray(layer, np.float32) * np.float32(1 / 255)

    def bands(self, lines: np.ndarray, widths: np.ndarray | float, sigma: float = 0.0) -> np.ndarray:
        """Returns lines (n, k, 2) drawn ``widths`` wide: one number, or (n, k), in the patient frame's unit."""
        return self.fill([anatomy.ribbon(lines, widths)], sigma)


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
    smooth = Image.Resampling.BICUBIC if cells < size // 8 else Image.Resampling.BILINEAR  # the grid shows on few cells
    return np.asarray(Image.fromarray(coarse).resize((size, size), smooth))


@cache
def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns x and y of the pixel centres, 0-1, as a row and a column."""
    line = ((np.arange(size) + 0.5) / size).astype(np.float32)
    return line[None, :], line[:, None]
