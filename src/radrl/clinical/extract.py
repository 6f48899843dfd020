"""Findings from the text of a chest X-ray report, by rules over the vocabulary.

The method follows NegEx and NegBio (arXiv 1712.05898): phrases name findings, cues deny or doubt them within a
scope. All passes are linear in the length of the text.
"""

from __future__ import annotations

from typing import NamedTuple

from radrl.clinical.places import Place, places
from radrl.clinical.scope import Mention, Reader, units
from radrl.clinical.sections import lower, ranges, sentences, tokens
from radrl.clinical.vocabulary import Vocabulary, load
from radrl.example import Finding

LONGEST_KEPT, MOST_KEPT = 300, 20_000  # characters of a sentence to remember, and sentences


class Statement(NamedTuple):
    """What one phrase of a report says: a concept of the vocabulary, and how the text has it.

    ``name`` is that of the concept's finding. ``presence`` is present, probable ("likely", "versus", "borderline"),
    uncertain ("may be", "cannot be excluded") or absent. ``implied``: ruled out by a state ("lungs are clear") and not
    named. ``limited``: denied in part only ("no large effusion", "no other nodules"). ``span`` is the character range.
    """

    concept: str
    name: str
    presence: str
    implied: bool
    limited: bool
    side: str | None
    region: str | None
    severity: str | None
    change: str | None
    position: str | None
    span: tuple[int, int]


def findings(text: str) -> tuple[Finding, ...]:
    """Returns what a report says of each finding it speaks of, in order of the text.

    ``span`` is the character range in ``text`` of the phrase that says it. A finding named twice is returned twice;
    compare.merge makes one of them. Sections such as INDICATION are not read. What "lungs are clear" or "normal
    heart" rules out is returned as absent, unless the report names the finding itself anywhere; "no large effusion"
    likewise, unless there is one.
    """
    said = statements(text)
    named = {s.name for s in said if not s.implied}
    there = {s.name for s in said if s.presence != "absent"}
    return tuple(
        Finding(
            name=s.name,
            presence="uncertain" if s.presence == "probable" else s.presence,
            side=s.side,
            region=s.region,
            severity=s.severity,
            change=s.change,
            position=s.position,
            span=s.span,
        )
        for s in said
        if not (s.implied and s.name in named) and not (s.limited and s.name in there)
    )


def statements(text: str) -> list[Statement]:
    """Returns everything a report says of the vocabulary's concepts, in order of the text, implied ones too."""
    vocabulary = load()
    lowered = lower(text)
    said: list[Statement] = []
    for start, end in ranges(text, vocabulary):
        for a, b in sentences(lowered, start, end, vocabulary):
            sentence = lowered[a:b]
            for statement in _remembered(sentence, vocabulary):
                first, last = statement.span
                said.append(Statement(*statement[:-1], (first + a, last + a)))
    return said


# Reports, and a group's completions above all, say the same sentences again and again.
_read: dict[str, tuple[Statement, ...]] = {}


def _remembered(sentence: str, vocabulary: Vocabulary) -> tuple[Statement, ...]:
    """Returns what a sentence says; spans count from its start."""
    said = _read.get(sentence)
    if said is None:
        said = _sentence(sentence, vocabulary)
        if len(sentence) <= LONGEST_KEPT:
            if len(_read) >= MOST_KEPT:
                _read.clear()
            _read[sentence] = said
    return said


def _sentence(sentence: str, vocabulary: Vocabulary) -> tuple[Statement, ...]:
    phrases = units(tokens(sentence, vocabulary), vocabulary.tree)
    if not any(unit.meaning.findings or unit.meaning.structure for unit in phrases):
        return ()
    mentions = Reader(phrases).read()
    if not mentions:
        return ()
    limits = any(unit.meaning.limits for unit in phrases)
    return tuple(
        _statement(mention, place, limits, vocabulary)
        for mention, place in zip(mentions, places(phrases, mentions, vocabulary), strict=True)
    )


def _statement(mention: Mention, place: Place, limits: bool, vocabulary: Vocabulary) -> Statement:
    concept = vocabulary.concepts[mention.concept]
    resolved = place.change == "resolved"
    return Statement(
        mention.concept,
        concept.name,
        mention.presence,
        mention.implied,
        mention.presence == "absent" and (limits or place.severity in ("moderate", "severe")),
        place.side if concept.sided else None,
        place.region if concept.sided else None,
        place.severity if concept.graded else None,
        None if (mention.presence == "absent") != resolved else place.change,
        place.position if concept.device else None,
        (mention.start, mention.end),
    )
