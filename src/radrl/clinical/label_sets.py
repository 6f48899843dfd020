"""Which labels an answer names as there, in any order and wording. `radrl.answers.parsing.parse` calls `read_labels`.

Labels are told by their names (`radrl.label_names`), by their letters where the question has letters and, where they
are those of CheXpert or ChestX-ray14, or have the name of a concept of `radrl.clinical`, by all that it takes for them
("enlarged heart"). Verdicts beside a label are read by `label_wording`; what denies or doubts it in words, as in
reports (`radrl.clinical.scope`). A label that may be there counts as named, as in CheXpert's U-Ones.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from radrl.clinical import scope, sections
from radrl.clinical.label_spans import FILL, GAP, HIDDEN, LabelSet, Span, named_spans, prepare_label_set, with_labels
from radrl.clinical.label_wording import Piece, pieces
from radrl.clinical.vocabulary import load_vocabulary
from radrl.label_names import BESIDE, NOTHING, WORD, label_key, label_words, says_nothing, stem

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST = 20_000  # characters that are read
LONGEST_ITEM = 6  # words of what is taken for a label where any may be named

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


def read_labels(text: str, choices: Sequence[str] = (), label_set: Sequence[str] = ()) -> Reading:
    """Returns what a text names of the labels that may be named: of ``choices``, which stand in the question with
    letters, or of ``label_set``; any where both are empty. Never raises on any text.

    "No finding" beside a label stays among the labels: scorers call it wrong. A letter with the name of another label
    names neither, nor does a label with a verdict of yes and no.
    """
    names = prepare_label_set(tuple(choices or label_set))
    said = _LabelReader(names, bool(choices))
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


@dataclass
class _LabelReader:
    """What was read so far: labels by place (by name where any may be named)."""

    names: LabelSet
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
        vocabulary = load_vocabulary()
        units = scope.units(sections.tokens(lowered, vocabulary), vocabulary.tree)
        found: list[tuple[int, bool]] = []
        for mention in scope.SentenceReader(
            with_labels(units, sorted(spans), bool(self.names.concepts))
        ).read_mentions():
            prefix, _, number = mention.concept.partition("\0")
            labels = (int(number),) if number else self.names.concepts.get(prefix, ())
            if not mention.implied or implied:
                found += [(label, mention.presence != "absent") for label in labels]
        return found

    def _spans(self, lowered: str) -> list[Span]:
        words = [(stem(m[0]), m.start(), m.end()) for m in WORD.finditer(lowered)]
        return list(named_spans(lowered, words, self.names)) if self.names.labels else self._items(lowered, words)

    def _items(self, lowered: str, words: Sequence[tuple[str, int, int]]) -> list[Span]:
        """Returns what is taken for a label where any may be named: runs of words that are not those of sentences."""
        spans: list[Span] = []
        run: list[tuple[str, int, int]] = []
        for word in [*words, ("and", len(lowered), len(lowered))]:
            glued = not run or GAP.fullmatch(lowered, run[-1][2], word[1])
            if run and (word[0] in label_words("breaks") or not glued):
                while run and run[-1][0] in FILL:
                    run.pop()
                if len(run) > 2 and run[0][0] in ("sign", "evidence") and run[1][0] == "of":
                    run = run[2:]
                if 0 < len(run) <= LONGEST_ITEM:
                    name = lowered[run[0][1] : run[-1][2]]
                    place = self.open.setdefault(label_key(name), (len(self.open), name))[0]
                    spans.append(Span(run[0][1], run[-1][2], place))
                run = []
            if word[0] not in label_words("breaks") and (run or word[0] not in FILL):
                run.append(word)
        return spans

    def _with_letters(self, text: str, spans: list[Span]) -> list[Span]:
        """Returns the spans with those of letters; a letter before the name of another label takes it away."""
        letters: list[Span] = []
        only = _LETTER_LIST.match(text) if not spans else None
        end = 0
        if only and _are_letters(only[1]):
            end = only.end(1)
            for match in re.finditer(r"(?<![a-z])[A-Za-z](?![a-z])", text[only.start(1) : end]):
                start = only.start(1) + match.start()
                letters.append(Span(start, start + 1, LETTERS.index(match[0].upper())))
        for match in _LETTERED.finditer(text, end):
            letter = match[1] or match[2] or match[3] or match[4]
            letters.append(Span(match.start(), match.end(), LETTERS.index(letter)))
        kept = list(spans)
        for k, letter in enumerate(letters):
            if letter.label >= len(self.names.labels):
                self.clash = True
                continue
            after = _AFTER_LETTER.match(text, letter.end)
            start = after.end() if after else letter.end
            stop = letters[k + 1].start if k + 1 < len(letters) else len(text)
            item = _ITEM.match(text[start:stop])
            stop = start + (item.end() if item else 0)
            named = {label for label, _ in self._mentions(text[start:stop], letters=False)}
            if not named:
                kept.append(letter)
            elif letter.label not in named:
                self.clash = True
                kept = [span for span in kept if not start <= span.start < stop]
                kept.append(Span(start, stop, HIDDEN))
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
