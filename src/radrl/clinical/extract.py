"""Findings from the text of a chest X-ray report, by rules over the vocabulary.

The method follows NegEx and NegBio (arXiv 1712.05898): phrases name findings, cues deny or doubt them within a
scope. All passes are linear in the length of the text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from radrl.clinical.scope import Mention, Reader, Unit, units
from radrl.clinical.sections import lower, ranges, sentences
from radrl.clinical.vocabulary import Vocabulary, load
from radrl.example import Finding

DOUBTS = frozenset({"uncertainty", "probable"})
SEPARATORS = frozenset({"comma", "and", "or", "versus", "with", "exception", "new", "shows", "link"}) | DOUBTS
INHERITED = frozenset({"link", "or", "versus", "doubt"}) | DOUBTS
NEVER_TRAILING = frozenset({"with", "exception", "new", "shows", "link"}) | DOUBTS
ENDS = frozenset({"exception", "new", "with", "negation"})


class Statement(NamedTuple):
    """What one phrase of a report says: a concept of the vocabulary, and how the text has it.

    ``name`` is that of the concept's finding.     ``presence`` is present, probable ("likely", "versus", "borderline"), uncertain ("may be", "cannot be excluded") or
    absent. ``implied``: ruled out by a state ("lungs are clear") and not named. ``limited``: denied in part only ("no
    large effusion", "no other nodules"). ``span`` is the character range.
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


class _Place(NamedTuple):
    side: str | None = None
    region: str | None = None
    severity: str | None = None
    change: str | None = None
    position: str | None = None


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
        for tokens in sentences(lowered, start, end, vocabulary):
            sentence = units(tokens, vocabulary.tree)
            if not any(unit.meaning.findings or unit.meaning.structure for unit in sentence):
                continue
            if mentions := Reader(sentence).read():
                limits = any(unit.meaning.limits for unit in sentence)
                for mention, place in zip(mentions, _places(sentence, mentions, vocabulary), strict=True):
                    said.append(_statement(mention, place, limits, vocabulary))
    return said


def _statement(mention: Mention, place: _Place, limits: bool, vocabulary: Vocabulary) -> Statement:
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


def _places(sentence: Sequence[Unit], mentions: Sequence[Mention], vocabulary: Vocabulary) -> list[_Place]:
    """Returns side, region and severity of each mention of a sentence."""
    positions = sorted({mention.unit for mention in mentions})
    gaps = [sentence[a + 1 : b] for a, b in zip([-1, *positions], [*positions, len(sentence)], strict=True)]
    shares = [_share_out(gap, number > 0, number < len(positions)) for number, gap in enumerate(gaps)]
    presence = {mention.unit: mention.presence for mention in mentions}
    places: dict[int, _Place] = {}
    for number, position in enumerate(positions):
        before, after = shares[number][1], shares[number + 1][0]
        own = [*before, sentence[position], *after]
        place = _place(own, gaps[number + 1], vocabulary)
        if not number:
            places[position] = place
            continue
        source = positions[number - 1]
        if place.change is None and places[source].change:  # "new opacity consistent with pneumonia"
            cues = {unit.meaning.cue for unit in gaps[number]}
            if "link" in cues and not cues & ENDS:
                place = place._replace(change=places[source].change)
        if place.side is None and place.region is None:
            concepts = [vocabulary.concepts[c] for c in sentence[source].meaning.findings]
            sided = not concepts or any(c.sided for c in concepts)
            diffuse = [vocabulary.concepts[c].diffuse for c in sentence[position].meaning.findings]
            if (
                sided
                and not (diffuse and all(diffuse))
                and _inherits(gaps[number], shares[number - 1][1], presence[source] == presence[position])
            ):
                place = place._replace(side=places[source].side, region=places[source].region)
        places[position] = place
    return [places[mention.unit] for mention in mentions]


def _share_out(gap: Sequence[Unit], has_previous: bool, has_next: bool) -> tuple[list[Unit], list[Unit]]:
    """Shares the words between two findings out among them: (to the one before, to the one after).

    What stands before the first separator belongs to the finding before, what stands after the last to the one
    after, and lists of places and sizes in between to the one before ("effusion, small, on the left").
    """
    parts: list[tuple[str, list[Unit]]] = [("", [])]
    for unit in gap:
        if unit.meaning.cue in SEPARATORS:
            parts.append((unit.meaning.cue, []))
        else:
            parts[-1][1].append(unit)
    previous: list[Unit] = []
    following: list[Unit] = []
    separator = ""
    if has_next:
        joins = ("and",) if has_previous else ("and", "comma")
        if len(parts) > 1 or not has_previous or not any(u.meaning.cue == "preposition" for u in gap):
            separator, following = parts.pop()
            while parts and (len(parts) > 1 or not has_previous) and separator in joins and _only_places(parts[-1][1]):
                separator, part = parts.pop()
                following = part + following
        if not _side(following) and not _region(following):
            following = following + _place_before(parts[1:] if has_previous else parts, separator)
    if has_previous:
        for number, (separator, part) in enumerate(parts):
            if separator in NEVER_TRAILING:
                break
            if number == 0 or _only_places(part):
                previous += part
    return previous, following


def _place_before(parts: Sequence[tuple[str, list[Unit]]], separator: str) -> list[Unit]:
    """Returns the words that place a finding from before the separator: "in the left base, there is ...", "the left
    base shows ...", or "bilateral haze consistent with ..." where the haze itself is no finding."""
    if not parts:
        return []
    opening = parts[0][1]
    if opening and opening[0].meaning.cue == "preposition":
        return opening
    return parts[-1][1] if separator == "shows" or separator in INHERITED else []


def _only_places(part: Sequence[Unit]) -> bool:
    """Whether a stretch names places and sizes and nothing else."""
    meanings = [unit.meaning for unit in part]
    return any(m.side or m.region or m.severity or m.change for m in meanings) and all(
        m.side or m.region or m.severity or m.change or m.position or m.glue for m in meanings
    )


def _inherits(gap: Sequence[Unit], leading: Sequence[Unit], same_presence: bool) -> bool:
    """Whether a finding without a place lies where the one before it does.

    "Left basilar opacity, likely atelectasis" does; of "left effusion and atelectasis" both are left, but of
    "effusion on the left and atelectasis" only the first.
    """
    cues = {unit.meaning.cue for unit in gap}
    if cues & ENDS:
        return False
    if cues & INHERITED:
        return True
    joined = "and" in cues and all(u.meaning.cue == "and" or u.meaning.severity or u.meaning.glue for u in gap)
    return joined and same_presence and (_side(leading) is not None or _region(leading) is not None)


def _side(own: Sequence[Unit]) -> str | None:
    sides = {unit.meaning.side for unit in own} - {None}
    return "bilateral" if len(sides) > 1 else sides.pop() if sides else None


def _region(own: Sequence[Unit]) -> str | None:
    regions = {unit.meaning.region for unit in own} - {None}
    return regions.pop() if len(regions) == 1 else None  # of two regions, none is the one


def _place(own: Sequence[Unit], gap: Sequence[Unit], vocabulary: Vocabulary) -> _Place:
    """Returns what the words of a finding say of it; ``gap`` is all up to the next one ("catheter with tip in ...")."""
    severity = next((unit.meaning.severity for unit in own if unit.meaning.severity), None)
    changes = {unit.meaning.change for unit in own if unit.meaning.change}
    change = min(changes, key=vocabulary.changes.index) if changes else None
    position = next((unit.meaning.position for unit in (*own, *gap) if unit.meaning.position), None)
    return _Place(_side(own), _region(own), severity, change, position)
