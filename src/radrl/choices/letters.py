"""An option's letter, and whether what stands beside it speaks for another option."""

from __future__ import annotations

import re

from radrl.choices.options import Named

CONFLICT = -1  # in a set of picks: the text contradicts itself

# not re.I: it also lets [A-Z] match the long s and the Kelvin sign
LETTER = re.compile(r"[(\[{<'\s]{0,4}([A-Za-z])(?!'?\w)(?!\.[A-Za-z]\.)([)\]}>'.:,;!?/]{0,4})")
# what may follow a bare letter and a space; without it "a mass" and "I see" would be picks
_GOES_ON = re.compile(
    r" ?(?:(?:because|since|as|due|given|with|instead|rather|over|not|it is|i think|i believe|for sure|obviously"
    r"|definitely|clearly|probably|most likely)\b|-{1,2}(?!\w)|\((?!\w\)))",
    re.I,
)
_ANOTHER = re.compile(
    r"\s{0,2}(?P<joined>,|/|&|\+|;|-|and/or|and|or|nor|to|vs\.?|then|plus|as well as|[或和与])?\s{0,2}"
    r"(?:(?:but )?(?:also|maybe|possibly|perhaps|option) )?[(\[{'<]{0,2}(?P<letter>[A-Za-z])(?!'?\w)"
    r"(?=[)\]}'.:,;!?/]|\s{0,9}\Z|\n| (?:and|or|&|are|both|seem)\b)"
)
_BESIDE = re.compile(
    r"[^\w\n]{0,6}(?:and/or|and|or|/|&|,|;|[(\[]?[A-Z][)\].:])[^\w\n]{0,6}"
    r"(?:(?:also|[Aa]n?|[Tt]he|possibly|maybe) ){0,4}[^\w\n]{0,3}"
)
_ENDS = re.compile(r"\W{0,2}(?:[^\w\s]|\n|\Z|[A-Z][).:]|\b(?:and|or)\b)")
_LABEL_BEFORE = re.compile(r"(?:\A|[\n(]|[.!?:] |\b[Oo]ption )\(?([A-Z])(?:[).:]|\)| -) ?\Z")
_LABEL_AFTER = re.compile(r" ?\(([A-Z])\)")
# words with which a sentence after a letter may state another option: "B. The film shows a ..."
_STATES = re.compile(
    r"(?:\W|\b(?:the|this|that|there|it|is|are|an?|images?|film|xray|radiograph|scan|ct|mri|picture|chest"
    r"|patient|shows?|showing|demonstrates?|reveals?|has|have|indicates?|suggests?|consistent|with|most|likely|diagnosis"
    r"|findings?|evidence|of|i|we|see|left|right|small|large|mild)\b)*"
)


def letter_at(named: Named, at: int, inverse: bool) -> set[int]:
    """Returns the option whose letter stands at a place; several, or CONFLICT, where what follows speaks for another.

    A bare letter counts where the line ends, where its own words follow, or a sign or a reason; "A mass" names A too
    where the rest is an option written like that, since the A may be an article. ``inverse``: what is denied may be
    the answer.
    """
    match = LETTER.match(named.lines, at)
    found = named.options.letter(match.group(1)) if match else set()
    if not match or not found or named.inside(match.start(1)):
        return set()
    (index,), letter, end = found, match.group(1), match.end()
    # "I, as a model, ..."; "A? No, ..."
    if (letter in "Ii" and match.group(2)[:1] == ",") or ("?" in match.group(2) and named.lines[end:].strip()):
        return set()
    own, another = named.own_end(index, end), _ANOTHER.match(named.lines, end)
    if another and own is None and another.group("letter").isupper() >= letter.isupper():
        found |= named.options.letter(another.group("letter"))
    if own is None:  # "A or mass"; and options that are letters themselves, in another order
        found |= joined_to(named, end) if letter != "a" else set()
        found |= named.options.of_letter(letter)
    line = named.line_end(end)
    signed = match.group(2).strip("'")
    goes_on = letter != "a" and _GOES_ON.match(named.lines, end, line)
    if len(found) == 1 and own is None and not (signed or goes_on or end >= line):
        others = named.option(end, line)
        return found | others if others and letter.isupper() else set()
    return found | stated_with(named, index, end, own, inverse)


def joined_to(named: Named, at: int) -> set[int]:
    """Returns the options that are joined to the words or letter that end at a place: "... or B", ", pneumothorax"."""
    match = _ANOTHER.match(named.lines, at)
    joined = match and match.group("joined") and match.group("letter").isupper()
    found = named.options.letter(match.group("letter")) if match and joined else set()
    beside = [m for m in named.mentions if at <= m.start < at + 30 and m.said in ("said", "unsure")]
    return found | {
        m.index for m in beside if _BESIDE.fullmatch(named.lines, at, m.start) and _ENDS.match(named.lines, m.end)
    }


def has_other_letter(named: Named, index: int) -> bool:
    """Returns whether an option's words stand beside a letter that no option has: "E) pneumothorax" of four."""
    for m in named.mentions:
        before, after = (
            _LABEL_BEFORE.search(named.lines[max(0, m.start - 12) : m.start]),
            _LABEL_AFTER.match(named.lines, m.end),
        )
        for label in (before, after):
            if (
                m.index == index
                and label
                and not named.options.letter(label[1])
                and not named.options.of_letter(label[1])
            ):
                return True
    return False


def is_letter(named: Named, at: int) -> bool:
    """Returns whether a capital stands at a place as an option's letter would, whatever options there are."""
    match = LETTER.match(named.lines, at)
    return bool(match and match.group(1).isupper() and (match.group(2) or match.end() >= named.line_end(match.end())))


def stated_with(named: Named, index: int, end: int, own: int | None = None, inverse: bool = False) -> set[int]:
    """Returns the other options that the sentence after an option states; CONFLICT where it denies the option itself.

    The option, or its letter, ends at ``end``, and its own words after its letter at ``own``.
    """
    at, phrases = own or end, named.options.phrases
    found = joined_to(named, own) if own else set()
    stop = named.sentence_end(at + (named.lines[at : at + 1] == "\n"))
    here = [m for m in named.mentions if end <= m.start < stop]
    here = [m for m in here if m.index == index or phrases[m.index] != phrases[index]]  # options may read the same
    mine = any(m.index == index for m in here)
    if mine and here[0].index == index and here[0].said == "denied" and not inverse:
        found.add(CONFLICT)
    for other in here:
        if not mine and other.said in ("said", "unsure") and _STATES.fullmatch(named.lower, end, other.start):
            found.add(other.index)
    return found
