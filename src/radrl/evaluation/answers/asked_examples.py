"""The Examples that a model is asked about: a set as it is, or a set changed by a control."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from radrl.boxes.notation import Size
from radrl.example import Example
from radrl.manifest.example_set import ExampleSet

GREY = (128, 128, 128)


class ChangedExamples(Sequence[Example]):
    """Examples made from a set's, with the pictures that other rows of the set have, or grey ones as large."""

    def __init__(
        self, source: ExampleSet, examples: Sequence[Example], pictures_of: Sequence[int], *, grey: bool = False
    ) -> None:
        self.source, self.examples, self.pictures_of, self.grey = source, list(examples), list(pictures_of), grey

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]  # no slices
        return self.examples[index]

    def pictures(self, index: int) -> list[Image.Image]:
        """Returns the pictures of one Example."""
        pictures = self.source.pictures(self.pictures_of[index])
        return [Image.new("RGB", picture.size, GREY) for picture in pictures] if self.grey else pictures

    def sizes(self, index: int) -> list[Size]:
        """Returns width and height of the pictures of one Example."""
        return self.source.sizes(self.pictures_of[index])


class OneQuestion(Sequence[Example]):
    """The one Example that is asked now, with pictures in memory; another may take its place. Empty at first."""

    def __init__(self) -> None:
        self.now: tuple[Example, list[Image.Image]] | None = None

    def __len__(self) -> int:
        return int(self.now is not None)

    def __getitem__(self, index: int) -> Example:  # type: ignore[override]  # no slices
        return self._held(index)[0]

    def pictures(self, index: int) -> list[Image.Image]:
        """Returns its pictures."""
        return self._held(index)[1]

    def sizes(self, index: int) -> list[Size]:
        """Returns width and height of its pictures."""
        return [picture.size for picture in self.pictures(index)]

    def _held(self, index: int) -> tuple[Example, list[Image.Image]]:
        if index != 0 or self.now is None:
            raise IndexError(index)
        return self.now


AskedExamples = ExampleSet | ChangedExamples | OneQuestion
