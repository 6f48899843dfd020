"""Untrusted text made fit to show: no control characters, and cut at the marks that explain a score."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NamedTuple

from radrl.example import Mark

# Controls, lone surrogates (not writable as UTF-8), bidirectional overrides (they reorder the text around them) and
# the two non-characters. One sign replaces one sign, so the offsets of marks stay right. Tab and line feed are kept.
_UNFIT = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")
_RANK = ("false", "missed", "match", "absent")  # where marks overlap the error is shown


class Piece(NamedTuple):
    """A stretch of text with the kind of its mark (empty: none) and why it is marked."""

    text: str
    kind: str = ""
    note: str = ""


def clean(text: object) -> str:
    """Returns the text with every sign that cannot be shown replaced; a carriage return becomes a space."""
    return _UNFIT.sub("\ufffd", str(text).replace("\r", " "))


def pieces(text: str, marks: Sequence[Mark]) -> list[Piece]:
    """Cuts a text at its marks. Marks may overlap or reach beyond the text; the pieces joined are the text."""
    inside = [(max(0, m.start), min(len(text), m.end), m) for m in marks]
    inside = [(start, end, m) for start, end, m in inside if start < end]
    cuts = sorted({0, len(text), *(start for start, _, _ in inside), *(end for _, end, _ in inside)})
    cut = []
    for start, end in pairwise(cuts):
        over = sorted((m for s, e, m in inside if s <= start and end <= e), key=lambda m: _RANK.index(m.kind))
        notes = dict.fromkeys(m.note for m in over if m.note)
        cut.append(Piece(text[start:end], over[0].kind if over else "", "; ".join(notes)))
    return cut
