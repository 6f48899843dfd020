"""Where a text names the options of a question by their words, and how it stands to them."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cached_property, lru_cache
from typing import NamedTuple

from radrl.choices.wording import ARTICLES, SIGN, Said, Word, cleaned, lowered, standing, words

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MENTIONS = 20  # of one option; what names it more often says it in the first ones

Phrase = tuple[str, ...]

# one end of a range, a bound, or the number of something else
_NOT_ALONE = re.compile(
    r"(?:\d\s?(?:-|to|/|x|×)\s?|[<>≤≥]\s?"
    r"|\b(?:than|least|most|over|under|below|above|up to|figure|fig\.|image|series|stage|grade|level|type) )\Z"
)
_CLAUSE_END = re.compile(r"[!?\n;]|\.(?!\d)")
_LABEL = re.compile(r"\s[A-Z]\. \w")
_PARTED = re.compile(r"[.,;:!?]")
_LETTER_ENDS = re.compile(r"'?\s?(?:[.,;:!?)\]/&+\n-]|\Z| (?:and|or)\b)")
_GOES_TO = re.compile(r"\s?(?:-|to|/|x|×)\s?\d")


class Options(NamedTuple):
    """The options of a question: as they stand, their words, and which of them begin with a word, the longest first."""

    named: tuple[str, ...]
    phrases: tuple[Phrase, ...]
    by_first: dict[str, list[int]]
    signed: bool

    def letter(self, letter: str) -> set[int]:
        """Returns the option of a letter; empty where there are not so many."""
        index = LETTERS.find(letter.upper())
        return {index} if 0 <= index < len(self.phrases) else set()

    def of_letter(self, letter: str) -> set[int]:
        """Returns the options whose words are a letter, of panels or grades."""
        return {i for i, phrase in enumerate(self.phrases) if phrase == (letter.lower(),)}


@lru_cache(maxsize=4096)
def options(choices: tuple[str, ...]) -> Options:
    """Returns the options of a question, made ready to be looked for."""
    named = [cleaned(choice) for choice in choices]
    labels = [re.match(rf"[(\[]?{letter}[)\].:]\s", name) for letter, name in zip(LETTERS, named, strict=False)]
    if all(labels):  # options that are written with their letters
        named = [name[label.end() :] for name, label in zip(named, labels, strict=False) if label]
    signed = any(SIGN.search(name) for name in named)
    phrases = tuple(tuple(word.norm for word in words(name, signed)) for name in named)
    by_first: dict[str, list[int]] = {}
    for index in sorted(range(len(phrases)), key=lambda i: -len(phrases[i])):
        phrase = _bare(phrases[index])
        if phrase:
            by_first.setdefault(phrase[0], []).append(index)
    return Options(tuple(named), phrases, by_first, signed)


def _bare(phrase: Phrase) -> Phrase:
    return phrase[1:] if len(phrase) > 1 and phrase[0] in ARTICLES else phrase


class Mention(NamedTuple):
    """An option that is named by its words, where, and how its sentence stands to it."""

    index: int
    start: int
    end: int
    said: Said


class Named:
    """A cleaned text (`wording.cleaned`), and what it names of the options."""

    def __init__(self, lines: str, options: Options) -> None:
        self.lines, self.lower, self.options = lines, lowered(lines), options
        self.words = words(lines, options.signed)
        self._starts = [word.start for word in self.words]

    def phrase(self, start: int = 0, end: int | None = None) -> Phrase:
        """Returns the words of a part of the text."""
        first = bisect_left(self._starts, start)
        last = len(self.words) if end is None else bisect_left(self._starts, end)
        return tuple(word.norm for word in self.words[first:last])

    def first(self, start: int) -> int:
        """Returns where the first word from a place on begins."""
        first = bisect_left(self._starts, start)
        return self._starts[first] if first < len(self.words) else len(self.lines)

    def option(self, start: int = 0, end: int | None = None) -> set[int]:
        """Returns the options whose words are all of a part of the text, an article before them aside. "A Mass" is
        option A too: the A may be a letter, unless the option is written otherwise ("A mass" of "Mass")."""
        said = self.phrase(start, end)
        found = {i for i, phrase in enumerate(self.options.phrases) if phrase and phrase == said}
        if said and not found:
            bare = _bare(said)
            found = {i for i, phrase in enumerate(self.options.phrases) if phrase and _bare(phrase) == bare}
            if found and bare != said and said[0] == "a" and self._may_be_letter(start, found):
                found |= self.options.letter("A")
        return found

    def _may_be_letter(self, start: int, found: set[int]) -> bool:
        """Returns whether the A before an option's words may be a letter: it has a sign after it, or the words are
        written as the option is ("A Mass")."""
        article, word = self.words[(first := bisect_left(self._starts, start)) : first + 2]
        written = any(self.options.named[i].startswith(self.lines[word.start]) for i in found)
        return self.lines[article.end : word.start] != " " or (self.lines[article.start] == "A" and written)

    def own_end(self, index: int, at: int) -> int | None:
        """Returns where the option's own words end that begin at a place; None where others stand there."""
        phrase, first = _bare(self.options.phrases[index]), bisect_left(self._starts, at)
        if first < len(self.words) and (self.words[first].norm,) != phrase[:1]:
            first += self.words[first].norm in ARTICLES
        said = self.words[first : first + len(phrase)]
        if not phrase or tuple(word.norm for word in said) != phrase or self.lines.count("\n", at, said[0].start) > 1:
            return None
        longer = any(m.start <= said[0].start and m.end > said[-1].end for m in self.mentions)
        return None if longer else said[-1].end

    def line_end(self, at: int) -> int:
        """Returns where the line ends that a place is in."""
        end = self.lines.find("\n", at)
        return len(self.lines) if end < 0 else end

    def sentence_end(self, at: int) -> int:
        """Returns where the sentence or clause ends that is under way at a place."""
        for match in _CLAUSE_END.finditer(self.lines, at):
            place = match.start()
            label = place > 1 and _LABEL.match(self.lines, place - 2)  # "B. effusion" goes on
            of_option = label and self.options.letter(self.lines[place - 1]) and not self.inside(place - 1)
            if not of_option and not self.inside(place):
                return place
        return len(self.lines)

    def inside(self, at: int) -> bool:
        """Returns whether a letter is a word of a longer option: the B of "Vitamin B"."""
        return any(m.start <= at < m.end and m.end - m.start > 1 for m in self.mentions)

    @cached_property
    def mentions(self) -> list[Mention]:
        """Where options are named, in the text's order; not where they are part of a longer one that is named."""
        spans: list[tuple[int, int, int, bool]] = []
        counts = [0] * len(self.options.phrases)
        for k, word in enumerate(self.words):
            for index in self.options.by_first.get(word.norm, ()):
                phrase = _bare(self.options.phrases[index])
                last = k + len(phrase) - 1
                same = tuple(w.norm for w in self.words[k : last + 1]) == phrase and not (
                    _PARTED.search(self.lines, word.start, self.words[last].end)  # "L3-L4. L5-S1" is not L4-L5
                    and not _PARTED.search(self.options.named[index])
                )
                if same and counts[index] < MENTIONS and not self._is_plain_letter(word, phrase):
                    counts[index] += 1
                    article = phrase != self.options.phrases[index] and k and self.words[k - 1].norm in ARTICLES
                    start = self.words[k - 1 if article else k].start
                    spans.append((start, self.words[last].end, index, self._is_part(k, last, phrase)))
        spans.sort(key=lambda span: (span[0], -span[1]))
        kept: list[tuple[int, int, int, bool]] = []
        for span in spans:
            if not kept or span[1] > kept[-1][1] or span[:2] == kept[-1][:2]:
                kept.append(span)
        return [self._mention(k, kept) for k in range(len(kept))]

    def _mention(self, k: int, spans: list[tuple[int, int, int, bool]]) -> Mention:
        start, end, index, part = spans[k]
        beside = [span[:2] for span in spans[max(0, k - MENTIONS) : k + MENTIONS] if span[:2] != (start, end)]
        return Mention(index, start, end, "unsure" if part else standing(self.lower, start, end, beside))

    def _is_plain_letter(self, word: Word, phrase: Phrase) -> bool:
        """Returns whether an option of a single letter ("I" of I, II, III) is another word here ("I think")."""
        if len(phrase) > 1 or len(word.norm) > 1 or not "a" <= word.norm <= "z":
            return False
        as_option = self.lines[word.start].isupper() and _LETTER_ENDS.match(self.lines, word.end)
        return not as_option or self.lower.endswith("n/", 0, word.start)  # "N/A"

    def _is_part(self, first: int, last: int, phrase: Phrase) -> bool:
        """Returns whether the text goes on as a longer option does, or the option is a number among others."""
        norms = [word.norm for word in self.words[max(0, first - 2) : last + 3]]
        before, after = norms[: min(first, 2)], norms[min(first, 2) + last + 1 - first :]
        for other in map(_bare, self.options.phrases):
            longer = other[: len(phrase)] == phrase and other[len(phrase) : len(phrase) + 1] == tuple(after[:1])
            # "left and right lung", "pleural effusion and thickening": two options that share a word
            shared = len(before) == 2 and before[1] in ("and", "or") and other == (before[0], *phrase[1:])
            shared |= len(after) == 2 and after[0] in ("and", "or") and other == (*phrase[:-1], after[1])
            if other != phrase and ((longer and after) or (shared and len(phrase) > 1)):
                return True
        start, end = self.words[first].start, self.words[last].end
        return "".join(phrase)[:1].isdigit() and bool(
            _NOT_ALONE.search(self.lower[max(0, start - 20) : start]) or _GOES_TO.match(self.lower, end)
        )
