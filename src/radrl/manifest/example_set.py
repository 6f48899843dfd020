"""A set of Examples with their image folders: what every command trains on or evaluates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from radrl.errors import UserError
from radrl.example import TASKS, Example, Task
from radrl.images.files import image_size, read_image
from radrl.manifest.index import ManifestIndex, read_index


class ExampleSet(Sequence[Example]):
    """Examples from one or several manifests, each with the folder its image paths start from.

    Examples and pictures are read when asked for. The last few of both are kept, so that the copies of a prompt in a
    GRPO group share one picture in memory. A set may hold an Example more than once.
    """

    def __init__(
        self, manifest_index: ManifestIndex, rows: np.ndarray, traces: Mapping[int, str] | None = None
    ) -> None:
        """``rows`` are rows of the index, ``traces`` the thinking of some of them."""
        self.manifest_index, self.rows, self.traces = manifest_index, rows, dict(traces or {})
        self._read = lru_cache(maxsize=64)(read_image)
        self._size = lru_cache(maxsize=65_536)(image_size)
        self._example = lru_cache(maxsize=4096)(self._parse)

    def __reduce__(self) -> tuple[Any, ...]:  # the Examples and pictures kept stay behind
        return ExampleSet, (self.manifest_index, self.rows, self.traces)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:  # pyright: ignore[reportIncompatibleMethodOverride]  # no slices
        """Returns an Example. Raises UserError, with file and line, where the manifest's line is none."""
        return self._example(int(self.rows[index]))

    def __iter__(self) -> Iterator[Example]:
        return map(self._parse, self.rows.tolist())

    def _parse(self, row: int) -> Example:
        example = self.manifest_index.example(row)
        trace = self.traces.get(row)
        return example if trace is None else example.model_copy(update={"thinking": trace})

    @property
    def task_codes(self) -> np.ndarray:
        """Each Example's task, as its place in TASKS; int8 of shape (Examples,)."""
        return self.manifest_index.task[self.rows]

    @property
    def image_hashes(self) -> np.ndarray:
        """A hash of each Example's images, equal where two have the same ones; int64 of shape (Examples,)."""
        return self.manifest_index.images[self.rows]

    @property
    def manifest_numbers(self) -> np.ndarray:
        """Which manifest each Example is of, from 0; uint16 of shape (Examples,)."""
        return self.manifest_index.manifest[self.rows]

    @property
    def roots(self) -> list[Path]:
        """The folder of each Example's images."""
        return [self.manifest_index.roots[number] for number in self.manifest_numbers.tolist()]

    def root(self, index: int) -> Path:
        """Returns the folder of one Example's images."""
        return self.manifest_index.roots[self.manifest_index.manifest[self.rows[index]]]

    @property
    def tasks(self) -> set[Task]:
        """The tasks there are."""
        return {TASKS[code] for code in np.unique(self.task_codes).tolist()}

    @property
    def thinking(self) -> np.ndarray:
        """Whether each Example has a thinking trace."""
        own = self.manifest_index.thinking[self.rows].astype(bool)
        return own | np.isin(self.rows, list(self.traces)) if self.traces else own

    def pictures(self, index: int) -> list[Image.Image]:
        """Returns the pictures of one Example; equal paths give the same object."""
        root = self.root(index)
        return [self._read(root, path) for path in self[index].images]

    def sizes(self, index: int) -> list[tuple[int, int]]:
        """Returns width and height of the pictures of one Example, from their files' headers alone."""
        root = self.root(index)
        return [self._size(root, path) for path in self[index].images]

    def where(self, keep: Callable[[Example], bool]) -> ExampleSet:
        """Returns the Examples for which ``keep`` is true, in the same order; reads every one."""
        return self.take([i for i, example in enumerate(self) if keep(example)])

    def take(self, indexes: Sequence[int] | np.ndarray) -> ExampleSet:
        """Returns the Examples at ``indexes``."""
        return ExampleSet(self.manifest_index, self.rows[np.asarray(indexes, dtype=np.int64)], self.traces)

    def select(self, tasks: Sequence[Task] | None = None, *, gold: bool = False) -> ExampleSet:
        """Returns the Examples of these tasks (None: all), with ``gold`` only those whose quality is gold."""
        kept = np.ones(len(self), bool)
        if tasks is not None:
            kept &= np.isin(self.task_codes, [TASKS.index(task) for task in tasks])
        if gold:
            kept &= self.manifest_index.gold[self.rows].astype(bool)
        return self.take(np.flatnonzero(kept))

    def mixed(self, amounts: Sequence[tuple[float | None, int | None]], seed: int) -> ExampleSet:
        """Returns of each manifest as much as its (weight, count) says, (None, None) all of it.

        Whole times take every Example; the rest is drawn without replacement, from the seed and the manifest's place.

        Raises:
            UserError: a count is asked of a manifest of which nothing is kept.
        """
        taken = []
        for number, (weight, count) in enumerate(amounts):
            own = np.flatnonzero(self.manifest_numbers == number)
            if count is not None and not len(own):
                raise UserError(
                    f"{self.manifest_index.paths[number]}: no Example of it is kept, so 'count' has none to take"
                )
            wanted = count if count is not None else round((1 if weight is None else weight) * len(own))
            times, rest = divmod(wanted, len(own)) if len(own) else (0, 0)
            drawn = np.random.default_rng([seed, number]).permutation(len(own))[:rest]
            taken += [own] * times + [own[np.sort(drawn)]]
        return self.take(np.concatenate(taken))

    def repeated(self, times: Mapping[Task, int]) -> ExampleSet:
        """Returns each Example as often as its task says, copies side by side; once where it is not named."""
        often = np.array([times.get(task, 1) for task in TASKS])
        return self.take(np.repeat(np.arange(len(self)), often[self.task_codes]))

    def with_thinking(self, traces: Mapping[str, str]) -> ExampleSet:
        """Returns the Examples with the traces given by id; those that have none there keep their own."""
        given = {
            row: traces[name] for row in self.rows.tolist() if (name := self.manifest_index.example(row).id) in traces
        }
        return ExampleSet(self.manifest_index, self.rows, self.traces | given)

    def rows_by_image(self, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns (order, starts): row k is ``order[starts[k]:starts[k + 1]]``, indexes of at most ``most`` Examples
        with the same images. Rows are in the order of the first Example of their images. An Example without images
        has a row of its own, and one that the set holds twice is not two times in one row.
        """
        keys = self.image_hashes + _times_before(self.rows) * 0x5851F42D4C957F2D  # wraps around, as a hash
        _, first, group = np.unique(keys, return_index=True, return_inverse=True)
        group = np.argsort(np.argsort(first))[group]  # numbered by the first Example of each
        order = np.argsort(group, kind="stable")
        sizes = np.bincount(group, minlength=len(first))
        within = np.arange(len(order)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        return order, np.r_[np.flatnonzero(within % most == 0), len(order)]


def _times_before(rows: np.ndarray) -> np.ndarray:
    """Returns how often each row has come before, at each place."""
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    begins = np.r_[True, ordered[1:] != ordered[:-1]] if len(rows) else np.empty(0, bool)
    since = np.arange(len(rows)) - np.maximum.accumulate(np.where(begins, np.arange(len(rows)), 0))
    times = np.empty(len(rows), np.int64)
    times[order] = since
    return times


def read_manifests(paths: Sequence[Path], roots: Mapping[Path, Path] | None = None) -> ExampleSet:
    """Reads manifests one after the other and checks that ids differ and that every image file exists.

    ``roots`` names the folder of a manifest's images where it is not the manifest's own.

    Raises:
        UserError: a manifest is missing, empty or wrong, an id is used twice, or an image is missing. Lines after the
            first 50,000 are checked in full when they are asked for.
    """
    index = read_index([Path(path) for path in paths], roots)
    return ExampleSet(index, np.arange(len(index.ids)))
