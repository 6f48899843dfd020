"""Findings from the text of a chest X-ray report, by rules over the vocabulary.

The method follows NegEx and NegBio (arXiv 1712.05898): phrases name findings, cues deny or doubt them within a
scope. All passes are linear in the length of the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from radrl.clinical.places import Place, places
from radrl.clinical.scope import Mention, Reader, units
from radrl.clinical.sections import is_inside, lower, ranges, sentences, tokens
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


class _Said(NamedTuple):
    """A statement as its sentence has it, and its Finding; its span counts from the start of the stretch."""

    statement: Statement
    finding: Finding


def findings(text: str, *, spans: bool = True) -> tuple[Finding, ...]:
    """Returns what a report says of each finding it speaks of, in order of the text.

    ``span`` is the character range in ``text`` of the phrase that says it; with ``spans`` False it is None, which is
    several times as fast: the Findings of a sentence read before are then used again. A finding named twice is returned
    twice; compare.merge makes one of them. Sections such as INDICATION are not read. What "lungs are clear" or "normal
    heart" rules out is returned as absent, unless the report names the finding itself anywhere; "no large effusion"
    likewise, unless there is one.
    """
    read = _read(text)
    said = [one for _, sentence in read for one in sentence]
    named = {s.name for s, _ in said if not s.implied}
    there = {s.name for s, _ in said if s.presence != "absent"}
    kept = [(not s.implied or s.name not in named) and (not s.limited or s.name not in there) for s, _ in said]
    if not spans:
        return tuple([finding for keep, (_, finding) in zip(kept, said, strict=True) if keep])
    starts = [start for start, sentence in read for _ in sentence]
    return tuple(
        finding.model_copy(update={"span": _moved(s.span, start)})
        for keep, start, (s, finding) in zip(kept, starts, said, strict=True)
        if keep
    )


def statements(text: str) -> list[Statement]:
    """Returns everything a report says of the vocabulary's concepts, in order of the text, implied ones too."""
    return [s._replace(span=_moved(s.span, start)) for start, sentence in _read(text) for s, _ in sentence]


def _moved(span: tuple[int, int], by: int) -> tuple[int, int]:
    return span[0] + by, span[1] + by


def _read(text: str) -> list[tuple[int, tuple[_Said, ...]]]:
    """Returns where each stretch that says something starts, and what it says."""
    vocabulary = load()
    lowered = lower(text)
    found = []
    for start, end in ranges(text, vocabulary):
        for a, b in _stretches(lowered, start, end, vocabulary):
            stretch = lowered[a:b].rstrip(" .")
            said = _known.get(stretch)
            if said is None:
                said = _remember(stretch, vocabulary)
            if said:
                found.append((a, said))
    return found


def _stretches(lowered: str, start: int, end: int, vocabulary: Vocabulary) -> Iterable[tuple[int, int]]:
    """Yields ranges of whole sentences, mostly one each: cutting at ". " is several times as fast as `sentences`."""
    if "\n" in lowered:
        yield from sentences(lowered, start, end, vocabulary)
        return
    at = start
    for part in lowered[start:end].split(". "):
        at += len(part)
        if not (part.endswith(vocabulary.abbreviations) and is_inside(lowered, start, at, vocabulary)):
            yield start, at
            start = at + 2
        at += 2
    if start < end:
        yield start, end


# Reports, and a group's completions above all, say the same sentences again and again.
_known: dict[str, tuple[_Said, ...]] = {}


def _remember(stretch: str, vocabulary: Vocabulary) -> tuple[_Said, ...]:
    """Returns what a stretch of whole sentences says, and keeps it; spans count from its start."""
    said = tuple(
        _Said(statement._replace(span=_moved(statement.span, start)), _finding(statement))
        for start, end in sentences(stretch, 0, len(stretch), vocabulary)
        for statement in _sentence(stretch[start:end], vocabulary)
    )
    if len(stretch) <= LONGEST_KEPT:
        if len(_known) >= MOST_KEPT:
            _known.clear()
        _known[stretch] = said
    return said


def _finding(s: Statement) -> Finding:
    return Finding(
        name=s.name,
        presence="uncertain" if s.presence == "probable" else s.presence,
        side=s.side,
        region=s.region,
        severity=s.severity,
        change=s.change,
        position=s.position,
    )


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
