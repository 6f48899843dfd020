"""Where the answers of a model come from, and which part of them a process collects."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from radrl.errors import UserError
from radrl.evaluation.answers import foreign

ENDPOINT = "endpoint:"


class Source(NamedTuple):
    """A model to judge: its name in the tables, where its answers come from, and whether it is asked to think.

    ``start`` is a model folder, a hub id, ``endpoint:NAME`` (of the recipe's ``evaluation.endpoints``), or a file of
    predictions. ``model`` is its name in ``evaluation.models`` where that is another, as for a training seed.
    """

    name: str
    start: str
    thinking: bool = False
    model: str = ""

    @property
    def known_as(self) -> str:
        """The name under which the recipe's ``evaluation.models`` has it."""
        return self.model or self.name

    @property
    def is_endpoint(self) -> bool:
        """Whether it is a model behind an endpoint of the recipe."""
        return self.start.startswith(ENDPOINT)

    @property
    def is_file(self) -> bool:
        """Whether its answers are read from a file of predictions, so that it is asked nothing."""
        return not self.is_endpoint and (Path(self.start).is_file() or Path(self.start).suffix in foreign.READERS)

    @property
    def option(self) -> str:
        """The option that names it, for messages."""
        return f"--model {self.name}={self.start}"


class Shard(NamedTuple):
    """Part ``k`` of ``n``, counted from 1: every n-th Example."""

    k: int
    n: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Returns what ``2/4`` says. Raises UserError."""
        first, slash, second = text.partition("/")
        if not (slash and first.isascii() and first.isdigit() and second.isascii() and second.isdigit()):
            raise UserError(f"--shard {text}: write K/N, such as 1/4")
        shard = cls(int(first), int(second))
        if not 1 <= shard.k <= shard.n:
            raise UserError(f"--shard {text}: the first number goes from 1 to the second")
        return shard
