"""Takes references to earlier studies out of reports, by rules: a model that sees one film cannot know of another.

Words of change ("new", "unchanged") and of comparison are cut out of their sentence ("stable mild cardiomegaly" becomes
"Mild cardiomegaly"). A sentence of which nothing is left, or that would then say something else of a finding, is left
out. What the cleaned report says of findings, change apart, the report said too.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

import yaml

from radrl.clinical.extract import findings
from radrl.clinical.scope import units
from radrl.clinical.sections import lower, sentences, tokens
from radrl.clinical.vocabulary import load_vocabulary
from radrl.example import Finding


class Removed(NamedTuple):
    """A stretch of the report that is not in the cleaned one: its character range, and why."""

    start: int
    end: int
    why: str


class Cleaned(NamedTuple):
    """A report without references to earlier studies, and what was taken out of it."""

    text: str
    removed: tuple[Removed, ...]


class _Rules(NamedTuple):
    remove: re.Pattern[str]
    drop: re.Pattern[str]
    dangling: frozenset[str]


REFERENCE, CHANGE, EMPTY, ALTERED = (
    "an earlier study", "a change", "nothing else is said", "without its reference it would say something else"
)  # fmt: skip
BLANKS = re.compile(r"[ \t]{2,}")
STRAY = re.compile(r"^[\s,:;-]+|\s+(?=[,.;:])|[,;:]+(?=[.;,])|\(\s*\)|\b(is|are|has|have|was|were)\s*(?=,)")
VERB = re.compile(r"\b(is|are|was|were|has|have|there|appears?|shows?|demonstrates?|overl(ie|y)\w*)\b", re.IGNORECASE)
ARTICLE = re.compile(r"\ban? (?=(\w))", re.IGNORECASE)
LEAST_WORDS = 4
WORD = re.compile(r"[A-Za-z_]+")


def clean(text: str) -> Cleaned:
    """Returns an English report without references to earlier studies; the text is empty where nothing else is said.

    A report without any comes back as it is.
    """
    removed: list[Removed] = []
    kept: list[tuple[str, bool]] = []  # sentences, and whether each was altered
    vocabulary = load_vocabulary()
    lowered = lower(text)
    for start, end in sentences(lowered, 0, len(text), vocabulary):
        stop = end + 1 if end < len(text) and text[end] in ".;!?" else end
        new, out = _sentence(text, start, end, stop)
        removed += out
        if new.strip():
            kept.append((new, bool(out)))
    if not removed:
        return Cleaned(text, ())
    said = {key(finding) for finding in findings(text, spans=False)}
    if not {key(f) for f in findings(_joined(kept), spans=False)} <= said:
        # together the sentences say something new; those that were altered are to blame
        whole = [(new, altered) for new, altered in kept if not altered]
        removed = [Removed(0, 0, ALTERED), *removed] if len(whole) < len(kept) else removed
        kept = whole
    return Cleaned(_joined(kept), tuple(removed))


def _sentence(text: str, start: int, end: int, stop: int) -> tuple[str, list[Removed]]:
    """Returns what is left of a sentence, with what ends it, and what was taken out."""
    sentence = text[start:end]
    cuts = [(m.start(), m.end(), REFERENCE) for m in _rules().remove.finditer(sentence)]
    open_cuts = []  # "increased" and the like, which need not speak of an earlier film
    words = tokens(lower(sentence), load_vocabulary())
    for unit in units(words, load_vocabulary().tree):
        if unit.meaning.change and not unit.meaning.findings:
            (open_cuts if unit.meaning.states else cuts).append((unit.start, unit.end, CHANGE))
    if not cuts:
        dropped = _rules().drop.search(sentence)
        return ("", [Removed(start, stop, REFERENCE)]) if dropped else (text[start:stop], [])
    before = {key(finding) for finding in findings(sentence, spans=False)}
    why = EMPTY
    for tried in (cuts + open_cuts, cuts) if open_cuts else (cuts,):
        tried = _merged(tried)
        rest = _without(sentence, tried)
        after = {key(finding) for finding in findings(rest, spans=False)}
        if after == before and (after or _says(rest)) and not _rules().drop.search(rest):
            return f" {rest}{text[end:stop] or '.'}", [Removed(start + a, start + b, why) for a, b, why in tried]
        why = ALTERED if after != before else EMPTY
    return "", [Removed(start, stop, why)]


def _says(rest: str) -> bool:
    """Returns whether what is left is still a sentence, though none that the vocabulary reads a finding from."""
    return len(rest.split()) >= LEAST_WORDS and VERB.search(rest) is not None


def _without(sentence: str, cuts: list[tuple[int, int, str]]) -> str:
    """Returns what is left of a sentence, mended."""
    rest, at = "", 0
    for a, b, _ in cuts:
        rest, at = f"{rest}{sentence[at:a]} ", b
    rest = _mended(rest + sentence[at:])
    # "an unchanged silhouette" is now "a silhouette"
    return ARTICLE.sub(lambda m: f"{m[0][0]}{'n' if m[1].lower() in 'aeiou' else ''} ", rest)


def _merged(cuts: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    merged: list[tuple[int, int, str]] = []
    for a, b, why in sorted(cuts):
        if merged and a <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(b, merged[-1][1]), merged[-1][2])
        else:
            merged.append((a, b, why))
    return merged


def _mended(rest: str) -> str:
    """Returns what is left of a sentence with one space between words, no stray signs and no word left dangling."""
    dangling = _rules().dangling
    while True:
        rest = STRAY.sub("", BLANKS.sub(" ", rest)).strip(" ,;:-\t\n")
        last = WORD.findall(rest)[-1:]
        if not last or last[0].lower() not in dangling or not rest.endswith(last[0]):
            return rest[:1].upper() + rest[1:]
        rest = rest[: -len(last[0])]


def _joined(kept: list[tuple[str, bool]]) -> str:
    return BLANKS.sub(" ", "".join(new for new, _ in kept)).strip()


def key(finding: Finding) -> tuple:
    """Returns what a report says of a finding, change apart."""
    return finding.name, finding.presence, finding.side, finding.region, finding.severity


@lru_cache
def _rules() -> _Rules:
    read = yaml.safe_load((resources.files("radrl.clinical") / "cleaning.yaml").read_text(encoding="utf-8"))
    either = {key: re.compile("|".join(f"(?:{p})" for p in read[key]), re.IGNORECASE) for key in ("remove", "drop")}
    return _Rules(either["remove"], either["drop"], frozenset(read["dangling"]))
