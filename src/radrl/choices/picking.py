"""Which option of a multiple-choice question a text picks. The one place that knows; `radrl.answers.parsing.parse`
calls it, with the answer taken out of what models wrap it in (`radrl.answers.unwrap`).

References such as "option b" and "the second option" are capitals by then, and what is turned down by letter is left
out (`radrl.choices.references`). A text picks an option, in this order,
1. by being it: its letter, its words, or both;
2. by saying what the answer is ("the answer is B because ...", "Answer: right", "I would choose B"), or that an option
   is correct;
3. by beginning with its letter ("B) effusion"), or having it for a line or sentence of its own;
4. by naming it, by letter ("consistent with option B") or words, and no other that it does not deny ("there is an
   effusion, no pneumothorax").

A text that picks several picks none: nothing is guessed. So "A or B", a letter with the words of another option, a
letter whose own words are denied, and two different answers are none, unless the later one says that it corrects
("Wait, actually the answer is C"). What only begins like an option, or goes on like a longer one, is none; nor is an
option that is named while refusing to answer. Where the options are letters themselves, in another order, a letter
alone may be either, and is none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from radrl.choices.letters import CONFLICT, LETTER, has_other_letter, joined_to, letter_at, stated_with
from radrl.choices.options import LETTERS, Named, options
from radrl.choices.references import named_with_another, turned_down, with_capitals
from radrl.choices.statements import CALLED_WRONG, called_correct, final_answer, turned
from radrl.choices.wording import INVERSE, REFUSES, cleaned
from radrl.choices.yes_no import read_yes_no

__all__ = ["LETTERS", "is_yes_no", "read_choice"]

MOST = 20_000  # characters that are read, half of them from the end
PARTS = 400  # lines and sentences that are looked at

_NOUN = r"(?:options?|choices?|letters?|answers?|statements?)"
_SURELY = r"(?:(?:most )?likely|probably|definitely|clearly|obviously|certainly)"
_HEAD = re.compile(rf"(?:{_NOUN} ?[:#.-]? ?|(?:{_SURELY}|i think|i believe),? )?", re.I)
_OPTION_LETTER = re.compile(rf"(?:{_NOUN} )?[^\W\d_]", re.I)
_LABEL = re.compile(r"[(\[]?([A-Z])[)\]]?[).:\]]\s{0,2}(?=\S)")
_ITEM = re.compile(r"(?:^|(?<=[.!?;]\s)|(?<=\n))(?:[(\[]?([A-Z])[)\]]?[.):]|\(([a-z])\))(?=\s|\Z)")
_PART = re.compile(r"(?:[(\[]?[A-Z][)\]]?\. )?[^\n\s][^\n]*?(?:[.!?]+(?=\s|\Z)|(?=\n)|\Z)")  # a line or a sentence
_IN_BRACKETS = re.compile(r"\(([AB])\)")
_EXPLAINS = re.compile(r"\b(?:explanation|reason(?:ing|s)?|rationale|justification|because|why)\b")
_DENIED = re.compile(r"\b(?:no|not|wrong|incorrect|unlikely|absent|without|ruled out|excluded)\b|n't\b")
_ASKS_FOR_FALSE = re.compile(r"\b(?:incorrect|false|wrong|untrue|not (?:true|correct|right|accurate))\b", re.I)
_NAMED = re.compile(
    rf"\b(?i:{_NOUN}) ?[:#-]? ?[(\[]?([A-Z])(?![\w-]|'\w)"
    r"|(?:\b(?i:is|be|it's|that's|namely|hence|thus|therefore|so|finally|but|conclusion|to|with|suggests?|indicates?"
    rf"|means|favou?rs?|supports?|matches|fits)[,:]?|->|=>) (?:{_SURELY} )?"
    r"[(\[']{0,2}([A-Z])(?=[)\]']{0,2}(?:[.,;:!]|\Z|\n| it is\b))"
    r"|(?<=[A-Za-z][a-z][,:]) ([A-Z])(?=[.!]{0,3}(?:\Z|\n))"
    r"|\(([A-Z])\)"
)


def is_yes_no(choices: tuple[str, ...]) -> bool:
    """Returns whether the options are yes and no; they are asked and answered without letters."""
    return sorted(c.lower() for c in choices) == ["no", "yes"]


def read_choice(text: str, choices: tuple[str, ...], question: str = "") -> int | None:
    """Returns the index of the option that ``text`` picks, or None where it picks none or several.

    ``question`` tells whether what is denied may be the answer ("Which is not seen?", "Are the lungs normal?").
    """
    if len(text) > MOST:
        text = f"{text[: MOST // 2]}\n{text[-MOST // 2 :]}"
    asked, down, inverse = options(choices), set(), bool(INVERSE.search(question))
    text = cleaned(text)
    if not is_yes_no(choices):
        text = with_capitals(text, asked)
        text, down = (text, down) if inverse else turned_down(text, asked)
    named = Named(text, asked)
    picked = _whole(named)
    if not picked and is_yes_no(choices):
        said = read_yes_no(named.lines, question)
        picked = _begins(named, False) | ({[choice.lower() for choice in choices].index(said)} if said else set())
        picked |= {i for match in _IN_BRACKETS.finditer(named.lines) for i in named.options.letter(match.group(1))}
    elif not picked:
        picked = _picked(named, inverse, bool(_ASKS_FOR_FALSE.search(question)))
    if len(picked) != 1 or CONFLICT in picked or picked & down:
        return None
    (index,) = picked
    return None if has_other_letter(named, index) or named_with_another(named, index) else index


def _whole(named: Named) -> set[int]:
    """Returns the option that the text is, by words or letter or both; two where these differ."""
    found = named.option()
    if len(found) != 1:
        text = named.lines.casefold()
        found = {i for i, o in enumerate(named.options.named) if o.casefold() in (text, text.rstrip("."))} or found
    said, label = list(named.phrase()), _LABEL.match(named.lines)
    said = said[:1] if len(set(said)) == 1 else said  # "B B B"
    if len(said) <= 2 and _OPTION_LETTER.fullmatch(" ".join(said)):
        found |= named.options.letter(said[-1]) | named.options.of_letter(said[-1])
    elif label and not found and (of_words := named.option(label.end())):
        of_letter = named.options.letter(label.group(1))
        found = of_letter if of_letter <= of_words else of_letter | of_words
    return found


def _picked(named: Named, inverse: bool, false: bool) -> set[int]:
    """Returns the options that a text picks that says more than an option; ``false``: the wrong one is asked for."""
    items = _items(named)
    first, second = [*items, 0, 0][:2]
    # the options are gone through: "A. Pneumothorax: no line. B. ..."
    in_turn = list(items.values())[:2] == [0, 1] and len(named.phrase(first, second)) > 1
    begins = set() if in_turn else _begins(named, inverse)
    end, answer = final_answer(named, begins, inverse)
    if answer:
        return answer | _alone(named, end)
    if false:
        return begins
    if correct := called_correct(named):
        return correct | begins
    alone = _alone(named)
    return begins | alone | _other_items(named, items) if begins else alone or _named(named, inverse)


def _begins(named: Named, inverse: bool) -> set[int]:
    """Returns the option that the text begins with: its letter, unless that is called wrong, or its words alone."""
    head = _HEAD.match(named.lines)
    at = head.end() if head else 0
    letter = LETTER.match(named.lines, at)
    wrong = letter and CALLED_WRONG.match(named.lower, letter.end(1))
    if wrong and not any(wrong.start() <= m.start < wrong.end() for m in named.mentions):  # "B. Cannot be told"
        return set()
    if found := letter_at(named, at, inverse):
        return found
    first, second = (named.option(*part) for part in [*islice(_parts(named), 2), (0, 0), (0, 0)][:2])
    return set() if second - first else first  # a list of options is no answer


def _items(named: Named) -> dict[int, int]:
    """Returns the options whose letters begin lines or sentences, by where their words begin."""
    found = {}
    for match in list(_ITEM.finditer(named.lines))[:PARTS]:
        if not named.inside(match.start(match.lastindex or 0)):
            found |= {match.end(): index for index in named.options.letter(match.group(match.lastindex or 0))}
    return found


def _other_items(named: Named, items: dict[int, int]) -> set[int]:
    """Returns the options that an answer goes on to, but for those that it denies or that explain it."""
    explains = _EXPLAINS.search(named.lower)
    stop = explains.start() if explains else len(named.lower)
    return {i for at, i in items.items() if at < stop and not _DENIED.search(named.lower, at, named.line_end(at))}


def _alone(named: Named, after: int = 0) -> set[int]:
    """Returns the options that are lines or sentences of their own; in an explanation only if there are no others."""
    explains = _EXPLAINS.search(named.lower)
    found: set[int] = set()
    for start, end in _parts(named):
        if (found or after) and explains and start > explains.start():
            break
        if end <= after or end - start > 300 or named.lines[end - 1] == "?":
            continue
        label = _ITEM.match(named.lines, start, end)
        at = label.end() if label and label.end() < end and not named.inside(named.first(start)) else start
        here, said = named.option(at, end), named.phrase(at, end)
        letter = named.options.letter(label.group(label.lastindex or 0)) if label and at > start else set()
        if letter & here:
            here = letter
        elif len(said) == 1 and len(said[0]) == 1 and not named.inside(named.first(at)):
            here |= named.options.letter(said[0])
        found |= here | letter | named.option(start, at) if here else here
        for index in here:
            found |= stated_with(named, index, end, end)
    for m in named.mentions:  # "pneumothorax or B"
        here = found and m.start >= after and m.said in ("said", "unsure")
        joined = joined_to(named, m.end) if here else set()
        found |= {m.index, *joined} if joined else set()
    return found


def _parts(named: Named) -> Iterator[tuple[int, int]]:
    """Yields where lines and sentences begin and end; an option of several sentences stays whole."""
    ends = [(m.start, m.end) for m in named.mentions if ". " in named.lines[m.start : m.end]]
    begins: int | None = None
    for match in list(_PART.finditer(named.lines))[:PARTS]:
        if not any(start < match.end() < end for start, end in ends):
            yield match.start() if begins is None else begins, match.end()
            begins = None
        elif begins is None:
            begins = match.start()


def _named(named: Named, inverse: bool) -> set[int]:
    """Returns the options that are named in passing, by letter or by words, and not denied."""
    found = set()
    for match in list(_NAMED.finditer(named.lines))[:PARTS]:
        at = match.start(match.lastindex or 0)
        if not (turned(named, at) or named.inside(at) or CALLED_WRONG.match(named.lower, at + 1)):
            found |= letter_at(named, at, inverse) or named.options.letter(named.lines[at])
    refusal = REFUSES.search(named.lines)
    if refusal and not any(m.start <= refusal.start() < m.end for m in named.mentions):
        return set()
    standings = {m.said for m in named.mentions}
    if inverse and standings & {"denied", "clear"}:
        return set()
    said = [m for m in named.mentions if m.said == "said"]
    found |= {m.index for m in said}.union(*(joined_to(named, m.end) for m in said))
    unsure = {m.index for m in named.mentions if m.said == "unsure"} - found
    return found | {CONFLICT} if unsure else found
