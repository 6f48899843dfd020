"""A set of Examples with their image folders: what every command trains on or evaluates."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from PIL import Image

from radrl.errors import UserError
from radrl.example import Example, read_manifest
from radrl.images import read_image


class ExampleSet(Sequence[Example]):
    """Examples from one or several manifests, each with the folder its image paths start from.

    Pictures are read when asked for. The last few are kept, so that the copies of a prompt in a GRPO group share one
    picture in memory.
    """

    def __init__(self, examples: Sequence[Example], roots: Sequence[Path]) -> None:
        self.examples = list(examples)
        self.roots = list(roots)
        self._read = lru_cache(maxsize=64)(read_image)

    def __reduce__(self) -> tuple[Any, ...]:
        # As text: data-loader workers and the fingerprints of `datasets` pickle a set, and records by the ten thousand
        # would take them seconds. The pictures kept stay behind.
        lines = "\n".join(example.model_dump_json(exclude_defaults=True) for example in self.examples)
        return _from_text, (lines, [str(root) for root in self.roots])

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]
        return self.examples[index]

    def __iter__(self) -> Iterator[Example]:
        return iter(self.examples)

    def pictures(self, index: int) -> list[Image.Image]:
        """Returns the pictures of one Example; equal paths give the same object."""
        return [self._read(self.roots[index], path) for path in self.examples[index].images]

    def where(self, keep: Callable[[Example], bool]) -> ExampleSet:
        """Returns the Examples for which ``keep`` is true, in the same order."""
        return self.take([i for i, example in enumerate(self.examples) if keep(example)])

    def take(self, indexes: Sequence[int]) -> ExampleSet:
        """Returns the Examples at ``indexes``."""
        return ExampleSet([self.examples[i] for i in indexes], [self.roots[i] for i in indexes])


def _from_text(lines: str, roots: list[str]) -> ExampleSet:
    return ExampleSet(
        [Example.model_validate_json(line) for line in lines.split("\n") if line], [Path(r) for r in roots]
    )


def read_manifests(paths: Sequence[Path]) -> ExampleSet:
    """Reads manifests one after the other and checks that every image file is there.

    Raises:
        UserError: a manifest is missing, empty or wrong, an id stands in two of them, or an image is missing.
    """
    examples: list[Example] = []
    roots: list[Path] = []
    ids: dict[str, Path] = {}
    found: set[Path] = set()
    for path in paths:
        root = Path(path).parent
        for example in read_manifest(path):
            if example.id in ids:
                raise UserError(f"{path}: id '{example.id}' stands in {ids[example.id]} too; ids must differ")
            ids[example.id] = path
            for image in example.images:
                file = root / image
                if file not in found and not file.is_file():
                    raise UserError(f"{path}: image '{image}' of '{example.id}' is missing; put it at {file}")
                found.add(file)
            examples.append(example)
            roots.append(root)
    return ExampleSet(examples, roots)
