"""The nearest training image's answer: what one gets by looking things up instead of reading the image.

Images are compared as grey thumbnails (or as any features a caller gives): like positions, sizes and exposures are
near, like findings only by chance. Of a test Example it sees the image and what `baselines` sees.
"""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
from PIL import Image

from radrl.images.files import read_image
from radrl.manifest.example_set import ExampleSet

NAME = "nearest image (thumbnail)"
SIDE = 16  # pixels of a thumbnail's side
MOST = 5000  # training images looked through; more are drawn from by the seed
Picture = tuple[Path, str]  # the manifest's folder, and the path in it
Features = Callable[[Image.Image], np.ndarray]
T = TypeVar("T", bound=Hashable)


def thumbnail(picture: Image.Image) -> np.ndarray:
    """Returns a picture as 16 x 16 grey values of mean 0 and norm 1, (256,); its product with another is their
    correlation, so that brightness and contrast do not count."""
    small = np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BOX), dtype=np.float32).ravel()
    small -= small.mean()
    return small / max(float(np.linalg.norm(small)), 1e-6)


def first_picture(examples: ExampleSet, index: int) -> Picture | None:
    """Returns an Example's first image; None where it has none."""
    images = examples[index].images
    return (examples.root(index), images[0]) if images else None


class Neighbours(Generic[T]):
    """The training Examples by their images. ``features`` maps a picture to a vector; nearest is the largest product.

    Raises:
        UserError: an image cannot be read.
    """

    def __init__(
        self,
        train: ExampleSet,
        keys: Callable[[int], Sequence[T]],
        seed: int = 0,
        features: Features = thumbnail,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        self.features = features
        rows: dict[Picture, list[int]] = defaultdict(list)
        for i in range(len(train)):
            if picture := first_picture(train, i):
                rows[picture].append(i)
        pictures = list(rows)
        if len(pictures) > MOST:
            pictures = random.Random(seed).sample(pictures, MOST)
        table = []
        for done, (root, path) in enumerate(pictures, 1):
            table.append(features(read_image(root, path)))
            if progress:
                progress(done, len(pictures))
        self.table = np.stack(table) if table else np.zeros((0, 1), np.float32)  # (pictures, features)
        self.rows: dict[T, dict[int, list[int]]] = defaultdict(dict)  # group -> picture -> training Examples
        for place, picture in enumerate(pictures):
            for i in rows[picture]:
                for key in keys(i):
                    self.rows[key].setdefault(place, []).append(i)
        self._order: tuple[Picture | None, np.ndarray] = (None, np.zeros(0, int))

    def find(self, picture: Picture, group: T, fits: Callable[[int], bool]) -> int | None:
        """Returns the training Example of the group that fits and whose image is nearest; None where none does."""
        there = self.rows.get(group)
        if not there:
            return None
        if self._order[0] != picture:  # the Examples of one film follow each other
            near = self.table @ self.features(read_image(*picture))
            self._order = (picture, np.argsort(-near, kind="stable"))
        return next((i for place in self._order[1].tolist() for i in there.get(place, ()) if fits(i)), None)
