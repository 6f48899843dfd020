"""Which option of a multiple-choice question a text picks. The one place that knows; `radrl.answers.parse` calls it.

A text picks an option by being it, by saying what the answer is ("the answer is B because ...", "Answer: right"), by
beginning with its letter ("B) effusion", "(b)"), or else by naming it and no other that it does not deny ("there is an
effusion, no pneumothorax"). A text that picks several picks none: nothing is guessed.
"""

from __future__ import annotations

import re

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
MOST = 20_000  # characters that are read
MENTIONS = 20  # of one option; what names it more often says it in the first ones

_YES_NO = re.compile(r"\W{0,4}(yes|no)\b", re.I | re.A)
_YES_NO_SAID = re.compile(r"['(]{0,2}(yes|no)\b", re.I | re.A)
_SAYS = re.compile(
    r"\b(?:answer|option|choice|choose|select|pick|letter|it is|it's)\b(?: (?:is|would be|should be|must be))?"
    r" ?[:=]? ?(?:the )?(?:option |choice |letter )?",
    re.I,
)
# not re.I: it also lets [A-Z] match the long s and the Kelvin sign
_LETTER = re.compile(r"\(?([A-Za-z])(?:([).:,/])+|(?=[ \n])|$)")
# What may follow a bare letter and a space; without it "a mass" and "A or B" would be picks.
_GOES_ON = re.compile(r" (?:because|since|as|due|given|is|with|[-–—])(?!\w)", re.I)
_WRONG = re.compile(r" (?:is|was|would be|seems) (?:\w+ )?(?:not|wrong|incorrect|false|excluded|unlikely)\b", re.I)
_ANOTHER = re.compile(r" ?(?:and |or |& ?|/ ?)?\(?([A-Z])(?:[).:,/ ]|$)")

_DENIES = re.compile(
    r"\b(?:no|not|without|never|neither|nor|excludes?|excluding|negative for|instead of|rather than)\b|n't\b"
)
_DENIED = re.compile(
    r" (?:\w+ )?(?:is|are|was|were|can be|has been|would be|seems) (?:\w+ )?"
    r"(?:not|absent|excluded|ruled out|unlikely|incorrect|wrong|false)\b"
)
_CLAUSE_END = re.compile(
    r"[.;!?\n]|\b(?:but|however|although|though|yet)\b|\b(?:instead|rather)\b(?! than| of)"
    r"|, (?=(?:it|there|this) (?:is|are)\b)"
)


def is_yes_no(choices: tuple[str, ...]) -> bool:
    """Returns whether the options are yes and no; they are asked and answered without letters."""
    return sorted(c.lower() for c in choices) == ["no", "yes"]


def read_choice(text: str, choices: tuple[str, ...]) -> int | None:
    """Returns the index of the option that ``text`` picks, or None where it picks none or several."""
    text = text[:MOST]
    options = [_plain(choice) for choice in choices]
    whole = _plain(text)
    exact = [i for i, option in enumerate(options) if option == whole]
    if len(exact) == 1:
        return exact[0]
    # without signs of emphasis and long runs of white space
    lines = "\n".join(line for raw in text.splitlines() if (line := " ".join(re.sub(r"[*_`\"]", " ", raw).split())))
    said = [lines[match.end() :][:300] for match in _SAYS.finditer(lines)]
    if is_yes_no(choices):
        names = [choice.lower() for choice in choices]
        first = _YES_NO.match(text)
        found = [first] if first else [match for rest in said if (match := _YES_NO_SAID.match(rest))]
        picked = {names.index(match.group(1).lower()) for match in found}
    else:
        picked = _by_letter(lines[:300], options)
        for rest in said:
            picked |= _by_letter(rest, options) or _by_words(rest, options)
        picked = picked or _affirmed(lines.lower(), options)
    return picked.pop() if len(picked) == 1 else None


def _by_letter(rest: str, options: list[str]) -> set[int]:
    """Returns the options whose letter ``rest`` begins with; two where it goes on to another letter or option."""
    match = _LETTER.match(rest)
    index = LETTERS.index(match.group(1).upper()) if match else len(options)
    if index >= len(options):
        return set()
    after = rest[match.end() :].partition("\n")[0]
    said = _plain(after)
    other = {i for i, option in enumerate(options) if option == said and i != index}
    if match.group(2) or not after:
        if match.group(2) in (",", "/") and (another := _ANOTHER.match(after)):
            other |= {i} if (i := LETTERS.index(another.group(1))) < len(options) else set()
        elif not _starts(said, options[index]):
            other |= {i for i, option in enumerate(options) if _starts(said, option)}
        return {index} | other
    if other:
        return {index} | other
    goes_on = _GOES_ON.match(after) and not _WRONG.match(after)
    return {index} if said == options[index] or goes_on else set()


def _by_words(rest: str, options: list[str]) -> set[int]:
    """Returns the option whose words ``rest`` begins with, the longest of several."""
    said = re.sub(r"^(?:an?|the) ", "", _plain(rest))
    named = [i for i, option in enumerate(options) if _starts(said, option)]
    return {max(named, key=lambda i: len(options[i]))} if named else set()


def _affirmed(text: str, options: list[str]) -> set[int]:
    """Returns the options that ``text``, in lower case, names without denying them."""
    mentions = []
    for i, option in enumerate(options):
        if option:
            words = r"\W+".join(re.escape(word) for word in option.split())
            found = re.finditer(rf"(?<!\w){words}(?!\w)", text)
            mentions += [(i, match.start(), match.end()) for match, _ in zip(found, range(MENTIONS), strict=False)]
    picked = set()
    for i, start, end in mentions:
        # "no effusion" does not name the option "effusion" where "no effusion" is one too
        inside = any(s <= start and end <= e and e - s > end - start for _, s, e in mentions)
        if not inside and not _denied(text, start, end):
            picked.add(i)
    return picked


def _denied(text: str, start: int, end: int) -> bool:
    before = text[max(0, start - 300) : start]
    clause = _CLAUSE_END.split(before)[-1]
    return bool(_DENIES.search(clause) or _DENIED.match(text, end))


def _starts(said: str, option: str) -> bool:
    return bool(option) and f"{said} ".startswith(f"{option} ")


def _plain(text: str) -> str:
    return " ".join(re.sub(r"[^\w\s]", " ", text.lower()).split())
