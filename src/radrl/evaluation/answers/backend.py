"""What every backend takes and gives: transformers, vLLM and an endpoint have a file each beside this one.

A further backend is one more file with a class like `Backend`, a value of the recipe's ``evaluation.backend``, and a
line in `ask_model.open_backend`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from radrl.evaluation.answers.header import Header

Ask = tuple[int, int]  # index of the Example, sample


class Completion(NamedTuple):
    """One completion: of which Example (its index), which sample, the text, and its length in tokens if known."""

    index: int
    sample: int
    text: str
    tokens: int | None


Done = Callable[[Sequence[Completion]], None]  # takes each batch of completions as soon as it is there


class Backend(Protocol):
    """One model that can be asked the Examples of a set. To make one loads no weights.

    Raises:
        UserError: the model cannot be asked as the recipe says.
    """

    @property
    def header(self) -> Header:
        """Which model answers which Examples, and how."""
        ...

    def answer(self, asks: Sequence[Ask], done: Done) -> None:
        """Hands the completion of every ask to ``done``, in any order. Raises UserError where it fails for good."""
        ...
