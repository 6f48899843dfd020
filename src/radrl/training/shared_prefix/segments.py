"""Where prompts and branches lie in a packed row (packing.py), as the attention kernels take it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch

SHORT, LIKE = 64, 0.75  # segments up to SHORT tokens share a padded call, longer ones if the shorter is LIKE the longer


class Lengths(NamedTuple):
    """Cumulated lengths (int32) of the queries and keys of a call, and the longest of each."""

    q_starts: torch.Tensor
    q_longest: int
    k_starts: torch.Tensor
    k_longest: int


class Marks(NamedTuple):
    """What a variable-length kernel takes for both attention calls of a packed row."""

    own: Lengths
    """Of all segments, each of which attends to itself."""
    across: Lengths | None
    """Of each group's branches and its prompt; None where there are no branches."""
    ask: torch.Tensor | None
    """The branches' tokens, counted from the first, that have a prompt; None where all have."""
    look: torch.Tensor | None
    """The tokens of prompts that have branches; None where all have."""


class Segments:
    """Where prompts and branches lie in a packed row: prompts first, then the branches, those of a group together.

    ``prefixes`` are the prompts' lengths, ``branches`` the lengths of each prompt's branches.
    """

    def __init__(self, prefixes: Sequence[int], branches: Sequence[Sequence[int]], device: torch.device | str) -> None:
        self.prompt_tokens = sum(prefixes)
        lengths = [*prefixes, *(length for group in branches for length in group)]
        starts = [0]
        for length in lengths:
            starts.append(starts[-1] + length)
        self.length = starts[-1]
        self.groups: list[tuple[slice, slice]] = []  # (prompt's tokens, its branches' tokens counted from the first)
        before = 0
        for k, group in enumerate(branches):
            if sum(group) and prefixes[k]:
                self.groups.append((slice(starts[k], starts[k + 1]), slice(before, before + sum(group))))
            before += sum(group)
        self.prefixes = list(prefixes)
        self.lengths, self.starts, self.device = lengths, starts, torch.device(device)
        self._buckets: list[tuple[torch.Tensor, torch.Tensor | None]] | None = None
        self._marks: Marks | None = None

    def buckets(self) -> list[tuple[torch.Tensor, torch.Tensor | None]]:
        """Returns padded batches of segments: positions (n, L), and which of them are real (none where all are)."""
        if self._buckets is None:
            order = sorted((i for i, n in enumerate(self.lengths) if n), key=lambda i: -self.lengths[i])
            batches: list[list[int]] = []
            for i in order:
                longest = self.lengths[batches[-1][0]] if batches else 0
                if batches and (longest <= SHORT or self.lengths[i] >= LIKE * longest):
                    batches[-1].append(i)
                else:
                    batches.append([i])
            made = []
            for batch in batches:
                length = self.lengths[batch[0]]
                column = torch.arange(length)
                start = torch.tensor([self.starts[i] for i in batch])[:, None]
                real = column < torch.tensor([self.lengths[i] for i in batch])[:, None]
                index = torch.where(real, start + column, start).to(self.device)
                made.append((index, None if bool(real.all()) else real.to(self.device)))
            self._buckets = made
        return self._buckets

    def marks(self) -> Marks:
        """Returns what a variable-length kernel takes."""
        if self._marks is None:
            lengths = _cumulated([n for n in self.lengths if n], self.device)
            queries = [branches.stop - branches.start for _, branches in self.groups]
            keys = [prompt.stop - prompt.start for prompt, _ in self.groups]
            across = None
            if self.groups:
                across = Lengths(*_cumulated(queries, self.device), *_cumulated(keys, self.device))
            whole = len(self.groups) == len(self.prefixes)  # else some prompts or branches have no counterpart
            ask = None if whole else torch.cat([torch.arange(b.start, b.stop) for _, b in self.groups] or [_NONE])
            look = None if whole else torch.cat([torch.arange(p.start, p.stop) for p, _ in self.groups] or [_NONE])
            self._marks = Marks(
                Lengths(*lengths, *lengths),
                across,
                None if ask is None else ask.to(self.device),
                None if look is None else look.to(self.device),
            )
        return self._marks


_NONE = torch.zeros(0, dtype=torch.long)


def _cumulated(lengths: list[int], device: torch.device) -> tuple[torch.Tensor, int]:
    total = torch.tensor([0, *lengths]).cumsum(0)
    return total.to(device=device, dtype=torch.int32), max(lengths)
