"""Which labels an answer names as there, in any order and wording. `radrl.answers.parsing.parse` calls `read`.

Labels are told by their names (`radrl.label_names`), by their letters where the question has letters and, where they
are those of CheXpert or ChestX-ray14, or have the name of a concept of `radrl.clinical`, by all that it takes for them
("enlarged heart"). Verdicts beside a label are read by `label_wording`; what denies or doubts it in words, as in
reports (`radrl.clinical.scope`). A label that may be there counts as named, as in CheXpert's U-Ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from radrl.clinical import scope, sections
from radrl.clinical.label import schemas
from radrl.clinical.label_wording import Piece, pieces
from radrl.clinical.vocabulary import Meaning, load
from radrl.label_names import BESIDE, NOTHING, WORD, is_nothing, label_key, label_words, says_nothing, stem, stems

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST = 20_000  # characters that are read
HIDDEN = -1  # instead of a label: what is named here is not counted
LONGEST_NAME = 8  # words in a row that are tried as a name
LONGEST_ITEM = 6  # words of what is taken for a label where any may be named
SCHEMAS = ("chexpert14", "nih14")

_GAP = re.compile(r"[\s\-/()]*")
_FILL = frozenset({"of", "the"})
_LETTER_LIST = re.compile(
    r"\s*(?:(?:the |both )?(?:(?:correct|right|final|best) )?(?:answers?|options?|choices?|labels?|letters?|findings?)?"
    r"(?: (?:is|are))?(?: both)?\s?:?\s?)"
    r"((?:\(?[A-Za-z]\)?|[A-Z]{2,26})(?:(?:\s?(?:,\s?and\b|,|&|/|\+|\band\b)\s?|\s)\(?[A-Za-z]\)?(?!\w))*)"
    r"(?=[.)\s]*(?:$|because\b|since\b|as\b|due\b|is\b|are\b|apply\b|[-–—(;]))",
    re.I,
)
_LETTERED = re.compile(
    r"(?<![\w'’.])(?:\(([A-Z])\)[.:]?|([A-Z])[.):](?=\s|$)"
    r"|(?<=[Oo]ption )([A-Z])\b"
    r"|([A-Z])(?=\s*$|\s+(?:is|are)\b|\s*[(=]|\s*(?:,|\band\b|\bor\b|&)\s*(?:and )?\(?[A-Z]\b))"
)
_ITEM = re.compile(r"[^,;\n]*")
_AFTER_LETTER = re.compile(r"[\s.):(=\-–—]*")
_LABEL_HEADING = re.compile(r"\s*([^:]{1,60}):\s+(?=\S)")
_AND = re.compile(r",|\band\b|&")
_NOTHING_NAMED = frozenset({"no finding", "no findings", "none", "normal", "nothing"})
_HAN = re.compile(r"[\u4e00-\u9fff]")
_HAN_NO, _HAN_AND = re.compile(r"未见到?|未发现|没有|无"), re.compile(r"和|及|与")
_OR_OTHER = re.compile(r"\bor (?:any )?(?:of the )?other\b", re.I)  # "no edema or other abnormality"
_DENIES = re.compile(r"\b(?:no|not|none|without|normal|absent|clear|unremarkable|negative)\b", re.I)


class Reading(NamedTuple):
    """What an answer names: ``labels`` that it says are there, in the order and spelling of the label set, and "No
    Finding" (or the label of that sense) where it says that none is. ``readable`` is False where it names and denies
    nothing, or contradicts itself."""

    labels: tuple[str, ...]
    readable: bool


def read(text: str, choices: Sequence[str] = (), label_set: Sequence[str] = ()) -> Reading:
    """Returns what a text names of the labels that may be named: of ``choices``, which stand in the question with
    letters, or of ``label_set``; any where both are empty. Never raises on any text.

    "No finding" beside a label stays among the labels: scorers call it wrong. A letter with the name of another label
    names neither, nor does a label with a verdict of yes and no.
    """
    names = _names(tuple(choices or label_set))
    said = _Said(names, bool(choices))
    for piece in pieces(_spaced(text[:MOST], names.labels)):
        said.add(piece)
    return said.reading()


def _spaced(text: str, labels: Sequence[str]) -> str:
    """Returns a text with spaces around names in Chinese characters, and with its denials in words that are read."""
    own = sorted((label for label in labels if _HAN.search(label)), key=len, reverse=True)
    if not own:
        return text
    text = re.sub("|".join(map(re.escape, own)), r" \g<0> ", text)
    return _HAN_AND.sub(" and ", _HAN_NO.sub(" no ", text)).replace("、", ", ").replace("。", ". ")


class _Names(NamedTuple):
    """A label set made ready: names by their joined stems and by their sorted ones, how the joined ones begin, and all
    stems; labels by concept; ``nothing`` are the places of labels such as "No Finding"."""

    labels: tuple[str, ...]
    exact: Mapping[str, int]
    begun: frozenset[str]
    sorted: Mapping[tuple[str, ...], int]
    words: frozenset[str]
    concepts: Mapping[str, tuple[int, ...]]
    nothing: frozenset[int]


@lru_cache(maxsize=64)
def _names(labels: tuple[str, ...]) -> _Names:
    nothing = frozenset(i for i, label in enumerate(labels) if is_nothing(label))
    exact: dict[str, int] = {}
    ordered: dict[tuple[str, ...], int] = {}
    for i, label in enumerate(labels):
        if i not in nothing:
            exact["".join(stems(label))] = i
            ordered[_order(stems(label))] = i
    for i, label in enumerate(labels):
        if i not in nothing and "/" in label:  # "Nodule/Mass": either of them
            for part in label.split("/"):
                exact.setdefault("".join(stems(part)), i)
    exact.pop("", None)
    begun = frozenset(name[:end] for name in exact for end in range(1, len(name) + 1))
    parts = frozenset(word for name in ordered for word in name) | _FILL
    return _Names(labels, exact, begun, ordered, parts, _concepts(labels, nothing), nothing)


def _order(words: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(word for word in words if word not in _FILL))


def _concepts(labels: tuple[str, ...], nothing: frozenset[int]) -> dict[str, tuple[int, ...]]:
    """Returns which labels each concept of the clinical vocabulary stands for."""
    keys = {label_key(label): i for i, label in enumerate(labels) if i not in nothing}
    found: dict[str, list[int]] = {}
    for schema in SCHEMAS:
        columns = {label_key(column): concepts for column, concepts in schemas()[schema]["labels"].items()}
        if keys and set(keys) <= set(columns):
            for name, i in keys.items():
                for concept in columns[name]:
                    found.setdefault(concept, []).append(i)
            break
    else:
        for concept in load().concepts:
            if label_key(concept) in keys:
                found[concept] = [keys[label_key(concept)]]
    return {concept: tuple(places) for concept, places in found.items()}


class _Span(NamedTuple):
    """Where a label is named by its name or letter."""

    start: int
    end: int
    label: int


@dataclass
class _Said:
    """What was read so far: labels by place (by name where any may be named)."""

    names: _Names
    lettered: bool

    def __post_init__(self) -> None:
        self.there: set[int] = set()
        self.denied: set[int] = set()
        self.open: dict[tuple[str, ...], tuple[int, str]] = {}
        self.nothing = self.softly = self.clash = False

    def add(self, piece: Piece) -> None:
        """Reads one piece."""
        heading = _LABEL_HEADING.match(piece.text)
        if heading and not piece.verdict:
            about = {label for label, _ in self._mentions(heading[1])}
            rest = piece.text[heading.end() :]
            if about:
                said = self._mentions(rest, implied=True)
                self._take(said, "")
                left = about - {label for label, _ in said}
                denied = bool(says_nothing(rest) or (not said and _DENIES.search(rest)))
                self._take([(label, not denied) for label in left], "")
                return
        parts = _AND.split(piece.text)
        named = [part for part in parts if part.strip(" .").casefold() in _NOTHING_NAMED]
        if named and len(named) < len(parts):  # "No finding, support devices": the "no" is not of the devices
            for part in parts:
                self.add(Piece(part, piece.verdict))
            return
        said = self._mentions(piece.text)
        self._take(said, piece.verdict)
        if not any(there for _, there in said):
            self._nothing(piece)
        if said and not any(there for _, there in said) and _OR_OTHER.search(piece.text):
            self.nothing = True

    def _take(self, said: Sequence[tuple[int, bool]], verdict: str) -> None:
        for label, there in said:
            if verdict == "both":
                self.clash = True
            elif there and verdict != "no":
                self.there.add(label)
            else:
                self.denied.add(label)

    def _nothing(self, piece: Piece) -> None:
        text = piece.text
        for span in reversed(self._spans(sections.lower(text)) if self.names.labels else []):
            text = f"{text[: span.start]} labelnamed {text[span.end :]}"  # "no disease X" is said of X alone
        found = says_nothing(text)
        words = {stem(word) for word in WORD.findall(piece.text)}
        if not found and piece.verdict == "no" and words and words <= label_words("about all"):
            found = "plainly"  # "Abnormalities: none"
        elif piece.verdict in ("no", "both"):
            found = ""
        self.nothing |= found == "plainly"
        self.softly |= found == "softly"

    def _mentions(self, text: str, *, implied: bool = False, letters: bool = True) -> list[tuple[int, bool]]:
        """Returns the labels that a text speaks of, and whether it says that they are there."""
        lowered = sections.lower(text)
        spans = self._spans(lowered)
        if letters and self.lettered:
            spans = self._with_letters(text, spans)
        vocabulary = load()
        units = scope.units(sections.tokens(lowered, vocabulary), vocabulary.tree)
        found: list[tuple[int, bool]] = []
        for mention in scope.Reader(_merged(units, sorted(spans), bool(self.names.concepts))).read():
            prefix, _, number = mention.concept.partition("\0")
            labels = (int(number),) if number else self.names.concepts.get(prefix, ())
            if not mention.implied or implied:
                found += [(label, mention.presence != "absent") for label in labels]
        return found

    def _spans(self, lowered: str) -> list[_Span]:
        words = [(stem(m[0]), m.start(), m.end()) for m in WORD.finditer(lowered)]
        return list(_named(lowered, words, self.names)) if self.names.labels else self._items(lowered, words)

    def _items(self, lowered: str, words: Sequence[tuple[str, int, int]]) -> list[_Span]:
        """Returns what is taken for a label where any may be named: runs of words that are not those of sentences."""
        spans: list[_Span] = []
        run: list[tuple[str, int, int]] = []
        for word in [*words, ("and", len(lowered), len(lowered))]:
            glued = not run or _GAP.fullmatch(lowered, run[-1][2], word[1])
            if run and (word[0] in label_words("breaks") or not glued):
                while run and run[-1][0] in _FILL:
                    run.pop()
                if len(run) > 2 and run[0][0] in ("sign", "evidence") and run[1][0] == "of":
                    run = run[2:]
                if 0 < len(run) <= LONGEST_ITEM:
                    name = lowered[run[0][1] : run[-1][2]]
                    place = self.open.setdefault(label_key(name), (len(self.open), name))[0]
                    spans.append(_Span(run[0][1], run[-1][2], place))
                run = []
            if word[0] not in label_words("breaks") and (run or word[0] not in _FILL):
                run.append(word)
        return spans

    def _with_letters(self, text: str, spans: list[_Span]) -> list[_Span]:
        """Returns the spans with those of letters; a letter before the name of another label takes it away."""
        letters: list[_Span] = []
        only = _LETTER_LIST.match(text) if not spans else None
        end = only.end(1) if only and _are_letters(only[1]) else 0
        if end:
            for match in re.finditer(r"(?<![a-z])[A-Za-z](?![a-z])", text[only.start(1) : end]):
                start = only.start(1) + match.start()
                letters.append(_Span(start, start + 1, LETTERS.index(match[0].upper())))
        for match in _LETTERED.finditer(text, end):
            letter = match[1] or match[2] or match[3] or match[4]
            letters.append(_Span(match.start(), match.end(), LETTERS.index(letter)))
        kept = list(spans)
        for k, letter in enumerate(letters):
            if letter.label >= len(self.names.labels):
                self.clash = True
                continue
            start = _AFTER_LETTER.match(text, letter.end).end()
            stop = letters[k + 1].start if k + 1 < len(letters) else len(text)
            stop = start + len(_ITEM.match(text[start:stop])[0])
            named = {label for label, _ in self._mentions(text[start:stop], letters=False)}
            if not named:
                kept.append(letter)
            elif letter.label not in named:
                self.clash = True
                kept = [span for span in kept if not start <= span.start < stop]
                kept.append(_Span(start, stop, HIDDEN))
        return sorted(kept)

    def reading(self) -> Reading:
        """Returns what all pieces say together."""
        names = self.names
        if names.labels:
            labels = [names.labels[i] for i in sorted(self.there - names.nothing)]
            every = set(range(len(names.labels))) - names.nothing
        else:
            labels = [name for _, (place, name) in sorted(self.open.items()) if place in self.there]
            every = None
        plainly = self.nothing or bool(self.there & names.nothing)
        nothing = plainly or (not labels and (self.softly or self.denied == every))
        readable = bool(labels or nothing or self.denied) and not self.clash and not contradicts(labels, nothing)
        if nothing:
            place = min(names.nothing, default=None)
            labels.append(NOTHING if place is None else names.labels[place])
        return Reading(tuple(labels), readable)


def _are_letters(listed: str) -> bool:
    """Returns whether a list is of letters: not "a" before a noun, nor a word in capitals that is no row of letters."""
    first = WORD.search(listed)
    word = first[0] if first else ""
    return len(word) == 1 or (word.isupper() and list(word) == sorted(set(word)))


def contradicts(labels: Sequence[str], nothing: bool) -> bool:
    """Returns whether "No Finding" is said beside labels that it cannot stand beside."""
    return nothing and any(label_key(label) not in BESIDE for label in labels)


def _named(lowered: str, words: Sequence[tuple[str, int, int]], names: _Names) -> Iterator[_Span]:
    """Yields where labels are named, without overlaps: the longest names, then names in another order of words."""
    n = len(words)
    taken = [False] * n
    for ordered in (False, True):
        i = 0
        while i < n:
            best, label = i, -1
            run: list[str] = []
            for end in range(i, min(n, i + LONGEST_NAME)):
                word = words[end][0]
                glued = end == i or _GAP.fullmatch(lowered, words[end - 1][2], words[end][1])
                run.append(word)
                if taken[end] or not glued or not (word in names.words if ordered else "".join(run) in names.begun):
                    break
                found = names.sorted.get(_order(run)) if ordered else names.exact.get("".join(run))
                if found is not None and word not in _FILL:
                    best, label = end + 1, found
            if best > i:
                taken[i:best] = [True] * (best - i)
                yield _Span(words[i][1], words[best - 1][2], label)
            i = max(best, i + 1)


def _merged(units: Sequence[scope.Unit], spans: Sequence[_Span], hides: bool) -> list[scope.Unit]:
    """Returns the units of a sentence with labels as findings where their spans lie. A phrase of the vocabulary that
    means something else ("mass effect") hides the label in it, where ``hides``."""
    found: list[scope.Unit] = []
    k = 0
    for span in spans:
        while k < len(units) and units[k].end <= span.start:
            found.append(units[k])
            k += 1
        over = []
        while k < len(units) and units[k].start < span.end:
            over.append(units[k])
            k += 1
        if span.label == HIDDEN:
            found.append(scope.Unit(scope.UNKNOWN, span.start, span.end, "hidden"))
        elif hides and any(unit.meaning.cue == "ignore" for unit in over):
            found += over
        else:
            found.append(scope.Unit(Meaning(findings=(f"\0{span.label}",)), span.start, span.end, "label"))
    return found + list(units[k:])
