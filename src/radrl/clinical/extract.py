"""Findings from the text of a chest X-ray report, by rules over the vocabulary.

The method follows NegEx and NegBio (arXiv 1712.05898): phrases name findings, cues deny or doubt them within a
scope. All passes are linear in the length of the text.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple

from radrl.clinical.places import Place, places
from radrl.clinical.scope import Mention, SentenceReader, units
from radrl.clinical.sections import is_inside, lower, ranges, sentences, tokens
from radrl.clinical.vocabulary import Certainty, Vocabulary, load_vocabulary
from radrl.example import Change, Finding, Region, Severity, Side

LONGEST_KEPT, MOST_KEPT = 300, 20_000  # characters of a sentence to remember, and sentences


class Statement(NamedTuple):
    """What one phrase of a report says: a concept of the vocabulary, and how the text has it.

    ``name`` is that of the concept's finding. ``presence`` is present, probable ("likely", "versus", "borderline"),
    uncertain ("may be", "cannot be excluded") or absent. ``implied``: ruled out by a state ("lungs are clear") and not
    named. ``limited``: denied in part only ("no large effusion", "no other nodules"). ``span`` is the character range.
    """

    concept: str
    name: str
    presence: Certainty
    implied: bool
    limited: bool
    side: Side | None
    region: Region | None
    severity: Severity | None
    change: Change | None
    position: str | None
    span: tuple[int, int]


class Stretch(NamedTuple):
    """What a stretch of whole sentences says: its statements, whose spans count from its start, and their Findings.

    ``weak`` are the names of findings that it rules out only where the report does not say otherwise (implied or
    limited), ``firm`` the names and Findings of all other statements. ``open``: it ends with an abbreviation, so that
    a full stop behind it does not end a sentence.
    """

    statements: tuple[Statement, ...]
    findings: tuple[Finding, ...]
    firm: tuple[tuple[str, Finding], ...]
    weak: frozenset[str]
    open: bool


def findings(text: str, *, spans: bool = True) -> tuple[Finding, ...]:
    """Returns what a report says of each finding it speaks of, in order of the text.

    ``span`` is the character range in ``text`` of the phrase that says it; with ``spans`` False it is None, which is
    several times as fast: the Findings of a sentence read before are then used again. A finding named twice is returned
    twice; compare.merge makes one of them. Sections such as INDICATION are not read. What "lungs are clear" or "normal
    heart" rules out is returned as absent, unless the report names the finding itself anywhere; "no large effusion"
    likewise, unless there is one.
    """
    starts: list[int] = []
    said = stretches(text, starts)
    everything = [statement for one in said for statement in one.statements]
    named = {s.name for s in everything if not s.implied}
    there = {s.name for s in everything if s.presence != "absent"}
    found: list[Finding] = []
    for start, one in zip(starts, said, strict=True):
        for s, said_of in zip(one.statements, one.findings, strict=True):
            if (s.implied and s.name in named) or (s.limited and s.name in there):
                continue
            found.append(said_of.model_copy(update={"span": _moved(s.span, start)}) if spans else said_of)
    return tuple(found)


def statements(text: str) -> list[Statement]:
    """Returns everything a report says of the vocabulary's concepts, in order of the text, implied ones too."""
    starts: list[int] = []
    said = stretches(text, starts)
    pairs = zip(starts, said, strict=True)
    return [s._replace(span=_moved(s.span, start)) for start, one in pairs for s in one.statements]


def stretches(text: str, starts: list[int] | None = None) -> list[Stretch]:
    """Returns what a report says, stretch by stretch; where each begins in the text is added to ``starts``."""
    vocabulary = load_vocabulary()
    lowered = lower(text)
    said: list[Stretch] = []
    for start, end in ranges(text, vocabulary):
        if "\n" in lowered:
            found = list(sentences(lowered, start, end, vocabulary))
            said += [_known[lowered[a:b]] for a, b in found]
            if starts is not None:
                starts += [a for a, _ in found]
        else:  # cutting at ". " is several times as fast, and mostly gives one sentence each
            parts = lowered[start:end].split(". ")
            of_parts = [_known[part] for part in parts]
            if True in (is_open := [one.open for one in of_parts]):
                parts = _joined(parts, is_open)
                of_parts = [_known[part] for part in parts]
            said += of_parts
            if starts is not None:
                starts += accumulate((len(part) + 2 for part in parts[:-1]), initial=start)
    return said


def _moved(span: tuple[int, int], by: int) -> tuple[int, int]:
    return span[0] + by, span[1] + by


def _joined(parts: list[str], is_open: list[bool]) -> list[str]:
    """Returns the parts with each that is open joined to the next."""
    joined: list[str] = []
    at = 0
    for i in range(len(parts)):
        if not is_open[i] or i == len(parts) - 1:
            joined.append(". ".join(parts[at : i + 1]))
            at = i + 1
    return joined


class _Known(dict[str, Stretch]):
    """What stretches say: reports, and a group's completions above all, say the same sentences again and again."""

    def __missing__(self, text: str) -> Stretch:
        stretch = _stretch(text, load_vocabulary())
        if len(text) <= LONGEST_KEPT:
            if len(self) >= MOST_KEPT:
                self.clear()
            self[text] = stretch
        return stretch


_known = _Known()


def _stretch(text: str, vocabulary: Vocabulary) -> Stretch:
    stretch = text.rstrip(" .")
    said = tuple(
        statement._replace(span=_moved(statement.span, start))
        for start, end in sentences(stretch, 0, len(stretch), vocabulary)
        for statement in _sentence(stretch[start:end], vocabulary)
    )
    found = tuple(finding(s.name, s.presence, s.side, s.region, s.severity, s.change, s.position) for s in said)
    return Stretch(
        statements=said,
        findings=found,
        firm=tuple((s.name, f) for s, f in zip(said, found, strict=True) if not (s.implied or s.limited)),
        weak=frozenset(s.name for s in said if s.implied or s.limited),
        open=text.endswith(vocabulary.abbreviations) and is_inside(text, 0, len(text), vocabulary),
    )


@lru_cache(maxsize=1 << 14)
def finding(
    name: str,
    presence: Certainty,
    side: Side | None,
    region: Region | None,
    severity: Severity | None,
    change: Change | None,
    position: str | None,
) -> Finding:
    """Returns a Finding without a span, the same object for what is alike, so that a comparison sees it at a glance."""
    return Finding(
        name=name,
        presence="uncertain" if presence == "probable" else presence,
        side=side,
        region=region,
        severity=severity,
        change=change,
        position=position,
    )


def _sentence(sentence: str, vocabulary: Vocabulary) -> tuple[Statement, ...]:
    phrases = units(tokens(sentence, vocabulary), vocabulary.tree)
    if not any(unit.meaning.findings or unit.meaning.structure for unit in phrases):
        return ()
    mentions = SentenceReader(phrases).read_mentions()
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
