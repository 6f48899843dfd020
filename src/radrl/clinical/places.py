"""Where, how much and how changed: which words of a sentence speak of which finding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from radrl.clinical.scope import Mention, Unit
from radrl.clinical.vocabulary import Vocabulary
from radrl.example import Change, Region, Severity, Side

DOUBTS = frozenset({"uncertainty", "probable"})
SEPARATORS = frozenset({"comma", "and", "or", "versus", "with", "exception", "new", "shows", "link"}) | DOUBTS
INHERITED = frozenset({"link", "or", "versus", "doubt"}) | DOUBTS
NOW, BEFORE = (
    frozenset({"now", "currently", "today"}),
    frozenset({"previously", "formerly", "was", "were", "initially"}),
)
NEVER_TRAILING = frozenset({"with", "exception", "new", "shows", "link"}) | DOUBTS
ENDS = frozenset({"exception", "new", "with", "negation"})


class Place(NamedTuple):
    """What a sentence says of a finding besides its presence; None where it says nothing."""

    side: Side | None = None
    region: Region | None = None
    severity: Severity | None = None
    change: Change | None = None
    position: str | None = None


def places(sentence: Sequence[Unit], mentions: Sequence[Mention], vocabulary: Vocabulary) -> list[Place]:
    """Returns the place of each mention of a sentence: the words around it that speak of it."""
    positions = sorted({mention.unit for mention in mentions})
    gaps = [sentence[a + 1 : b] for a, b in zip([-1, *positions], [*positions, len(sentence)], strict=True)]
    shares = [_share_out(gap, number > 0, number < len(positions)) for number, gap in enumerate(gaps)]
    presence = {mention.unit: mention.presence for mention in mentions}
    found: dict[int, Place] = {}
    for number, position in enumerate(positions):
        own = [*shares[number][1], sentence[position], *shares[number + 1][0]]
        place = _place(own, gaps[number + 1], vocabulary)
        if number:
            source = positions[number - 1]
            gap, before = gaps[number], found[source]
            if place.change is None and before.change and _explains(gap):
                place = place._replace(change=before.change)
            if (
                place.side is None
                and place.region is None
                and (_shares_place(sentence, source, position, vocabulary) or _explains(gap))
                and _inherits(gap, shares[number - 1][1], presence[source] == presence[position])
            ):
                place = place._replace(side=before.side, region=before.region)
        found[position] = place
    return [found[mention.unit] for mention in mentions]


def _shares_place(sentence: Sequence[Unit], source: int, position: int, vocabulary: Vocabulary) -> bool:
    """Whether one finding of a sentence can lend another its place: heart size has none, and edema takes none."""
    lenders = [vocabulary.concepts[concept] for concept in sentence[source].meaning.findings]
    takers = [vocabulary.concepts[concept] for concept in sentence[position].meaning.findings]
    sided = not lenders or any(concept.sided for concept in lenders)
    return sided and not (takers and all(concept.diffuse for concept in takers))


def _explains(gap: Sequence[Unit]) -> bool:
    """Whether a finding is what the one before it stands for: "new opacity consistent with pneumonia"."""
    cues = {unit.meaning.cue for unit in gap}
    return "link" in cues and not cues & ENDS


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


def _side(own: Sequence[Unit]) -> Side | None:
    sides: set[Side] = {unit.meaning.side for unit in own if unit.meaning.side is not None}
    return "bilateral" if len(sides) > 1 else sides.pop() if sides else None


def _region(own: Sequence[Unit]) -> Region | None:
    regions: set[Region] = {unit.meaning.region for unit in own if unit.meaning.region is not None}
    return regions.pop() if len(regions) == 1 else None  # of two regions, none is the one


def _place(own: Sequence[Unit], gap: Sequence[Unit], vocabulary: Vocabulary) -> Place:
    """Returns what the words of a finding say of it; ``gap`` is all up to the next one ("catheter with tip in ...")."""
    changes: set[Change] = {unit.meaning.change for unit in own if unit.meaning.change}
    change = min(changes, key=vocabulary.changes.index) if changes else None
    position = next((unit.meaning.position for unit in (*own, *gap) if unit.meaning.position), None)
    return Place(_side(own), _region(own), _severity(own), change, position)


def _severity(own: Sequence[Unit]) -> Severity | None:
    """Returns the severity on this film: of "previously large, now small" the second, else the first one said."""
    time, said = "", dict[str, Severity]()
    for unit in own:
        time = "now" if unit.word in NOW else "before" if unit.word in BEFORE else time
        if unit.meaning.severity:
            said.setdefault(time, unit.meaning.severity)
    return said.get("now") or said.get("") or said.get("before")
