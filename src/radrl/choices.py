"""Which option of a multiple-choice question a text picks. The one place that knows; `radrl.answers.parse` calls it, with
the answer taken out of what models wrap it in (`radrl.reading.unwrap`).

A text picks an option, in this order,
1. by being it, its letter or its words;
2. by saying what the answer is ("the answer is B because ...", "Answer: right", "I would choose B"), or that an option is
   correct;
3. by beginning with its letter ("B) effusion"), or having it for a line or sentence of its own;
4. by naming it, by letter ("consistent with option B") or words, and no other that it does not deny ("there is an
   effusion, no pneumothorax").

A text that picks several picks none: nothing is guessed. So "A or B", a letter with the words of another option, a letter
whose own words are denied, and two different answers are none, unless the later one says that it corrects ("Wait,
actually the answer is C"). What only begins like an option, or goes on like a longer one, is none; nor is an option that
is named while refusing to answer.
"""

from __future__ import annotations

import re

from radrl.reading.options import LETTERS, Named, options
from radrl.reading.wording import INVERSE, REFUSES, cleaned
from radrl.reading.yes_no import read_yes_no

__all__ = ["LETTERS", "is_yes_no", "read_choice"]

MOST = 20_000  # characters that are read, half of them from the end
CLAIMS = 60  # statements of one kind that are read
CONFLICT = -1  # in a set of picks: the text contradicts itself

# not re.I: it also lets [A-Z] match the long s and the Kelvin sign
_LETTER = re.compile(r"[(\[{<'\s]{0,4}([A-Za-z])(?!'?\w)(?!\.[A-Za-z]\.)([)\]}>'.:,;!?/]{0,4})")
# what may follow a bare letter and a space; without it "a mass" and "I see" would be picks
_GOES_ON = re.compile(r" ?(?:(?:because|since|as|due|given|with|instead|rather|not)\b|-{1,2}(?!\w)|\((?!\w\)))")
_ANOTHER = re.compile(
    r"\s{0,2}(?:,|/|&|\+|;|-|and/or|and|or|nor|to|vs\.?|then|plus|as well as)?\s{0,2}(?:(?:but )?(?:also|maybe|possibly|perhaps|option) )?"
    r"[(\[{'<]{0,2}([A-Za-z])(?!'?\w)(?=[)\]}'.:,;!?/]|\s{0,9}\Z|\n| (?:and|or|&|are|both|seem)\b)"
)
_BESIDE = re.compile(r"[\s,]*(?:and/or|and|or|/|&|,|[(\[]?[A-Z][)\].:])[\s,]*(?:also |[Aa]n? |[Tt]he |possibly |maybe )*")
# words with which a sentence after a letter may state another option: "B. The film shows a ..."
_STATES = re.compile(
    r"(?:[\s()\[\]{}<>.:,;'-]|\b(?:the|this|that|there|it|is|are|an?|images?|film|xray|radiograph|scan|ct|mri|picture|chest|patient"
    r"|shows?|showing|demonstrates?|reveals?|has|have|indicates?|suggests?|consistent|with|most|likely|diagnosis|findings?"
    r"|evidence|of|i|we|see|left|right|small|large|mild|option|answer)\b)*"
)
_NOUN = r"(?:options?|choices?|letters?|answers?|statements?)"
_BEGINS = re.compile(rf"(?:{_NOUN} ?[:#.-]? ?)?", re.I)
_OPTION_LETTER = re.compile(rf"(?:{_NOUN} )?[^\W\d_]", re.I)
_ANSWER = re.compile(
    r"\b(?:answer|ans|(?P<loose>solution|prediction|verdict|conclusion)"
    r"|(?:correct|right|best|my|final|chosen|selected|most likely|most appropriate|likely|likeliest)"
    r" (?:choice|option|selection|pick|letter|one|response|diagnosis|guess))\b"
    r"(?P<about> (?:to|for|of|in|here|based|from|given|regarding|choice|option|letter)\b[^.!?:\n]{0,120}?)?"
    r"(?:\s{0,2}[:=]|\s?->|\s?-(?= )|,? (?:is|would be|should be|must be|will be|has to be|seems to be|appears to be)\b"
    r"|(?P<heading>\.? ?\n|\.(?= ))|(?<=nswer)(?= \(?[A-Z]\b)|(?<=ANSWER)(?= \(?[A-Z]\b))"
    r"|\b(?:i|we|you|one|would|will|should|can|'d|'ll|(?:going|like|have|forced) to)(?: \w+)? (?:choose|chose|select(?:ed)?|pick(?:ed)?"
    r"|go (?:with|for)|went with|opt(?:ed)? for|vote for|say|guess|answer|conclude|settle on)\b:?|\bgoing with\b"
    r"|(?:答案|选择|选项|应选|故选|选|回答|答え|正解|정답|답)(?: ?应该)?(?: ?(?:是|为|は|은|는))? ?:?"
    r"|\b(?:r[ée]ponse|respuesta|antwort|risposta|resposta|ответ)(?: (?:est|es|ist|è))? ?:?",
    re.I,
)
_HEADS = re.compile(r"(?:(?:the|my|final|correct|best|right) ){0,3}\Z", re.I)
_LISTS = re.compile(r"\b(?:options|choices|following|list)\b|\bfrom:?\Z", re.I)  # "the best answer from the options:"
_FILLS = re.compile(
    r"[\s:]{0,4}(?:(?:the|that|it|is|it's|therefore|thus|clearly|definitely|probably|most|likely|either|both|choice|option|letter"
    r"|answer|number|simply|just)\b[ :]{0,2}(?=\S)){0,9}",
    re.I,
)
_CORRECT = re.compile(
    r"(?<![\w'-])[(\[]?([A-Z])[)\].]?(?:\s?\([^()\n]{1,80}\))?,? (?:(?:is|seems|appears|looks|must be|should be|would be|remains)"
    r" (?:(?:to be|the|a|most|clearly|therefore|thus|also|likely|indeed|probably|only|definitely|single|more|very)\s){0,4}"
    r"(?:correct|right|true|best|answer|likely|likeliest|appropriate|accurate|choice|option|consistent|suitable|one)\b"
    r"|(?:best |most closely |most accurately )?(?:fits|matches|describes|explains)(?: (?:it |this |the \w+ )?(?:best|most))?\b"
    r"|makes (?:the )?most sense|是)"
)
_NAMED = re.compile(
    rf"\b(?i:{_NOUN}) ?[:#-]? ?[(\[]?([A-Z])(?![\w-]|'\w)"
    r"|(?:\b(?i:is|be|it's|that's|namely|hence|thus|therefore|so|then|finally|but|conclusion|to)[,:]?|->|=>) [(\[']{0,2}"
    r"([A-Z])(?=[)\]']{0,2}(?:[.,;:!]|\Z|\n))"
    r"|(?<=[a-z]{2}[,:]) ([A-Z])(?=[.!]{0,3}(?:\Z|\n))"
    r"|\(([A-Z])\)"
)
_REASON = re.compile(r"\b(?:because|since|as|due to|given|whereas|while|but|which|although)\b")
_TURNS = re.compile(
    r"\b(?:not|never|cannot|neither|nor|no|rather than|instead of|exclud\w+|rul(?:e|ed|ing) out|eliminat\w+|wrong|incorrect|unlike"
    r"|if|whether|unless|thought|initially|at first|first glance|was|were|between)\b|n't\b"
)
_TURNS_END = re.compile(r"[.;!?\n]|\b(?:but|however|so|therefore|thus|hence)\b|, ")
_WRONG = re.compile(
    r"[)\].:,]{0,2}(?: ?\([^()\n]{0,80}\))?,? ?(?:which |that |however,? |though,? )?(?:(?:is|was|are|would be|seems?|appears?|can be"
    r"|could be|must be)(?: \w+)? not\b|(?:is |was |are |would be |seems? |appears? |can be |could be |must be )?(?:\w+ )?(?:wrong|incorrect|false|excluded|ruled out|eliminated|unlikely|less likely|improbable)\b)"
    r"|[)\].:,]{0,2} (?:isn't|wasn't|can't be|cannot be|does not|doesn't)\b"
)
_CORRECTS = re.compile(
    r"\b(?:wait|actually|correction|sorry|i mean(?:t)?|on second (?:thought|look)|looking (?:again|closer|more closely)"
    r"|(?:up)?on (?:further|closer) \w+|re-?(?:consider|think|evaluat|examin|assess|check|visit|look)\w*|my mistake|i was wrong"
    r"|that is wrong|let me correct|chang\w+ my|revis\w+|scratch that|oops|no, )"
)
_SEGMENT = re.compile(r"(?:[(\[]?[A-Z][)\]]?\. )?[^\n\s][^\n]*?(?:[.!?]+(?=\s|\Z)|(?=\n)|\Z)")
_ITEM = re.compile(r"(?:^|(?<=[.!?;]\s)|(?<=\n))(?:[(\[]?([A-Z])[)\]]?[.):]|\(([a-z])\))(?=\s|\Z)")
_EXPLAINS = re.compile(r"\b(?:explanation|reason(?:ing|s)?|rationale|justification|because|why)\b")
_ITEM_DENIED = re.compile(r"\b(?:no|not|wrong|incorrect|unlikely|absent|without|ruled out|excluded)\b|n't\b")


def is_yes_no(choices: tuple[str, ...]) -> bool:
    """Returns whether the options are yes and no; they are asked and answered without letters."""
    return sorted(c.lower() for c in choices) == ["no", "yes"]


def read_choice(text: str, choices: tuple[str, ...], question: str = "") -> int | None:
    """Returns the index of the option that ``text`` picks, or None where it picks none or several.

    ``question`` tells whether what is denied may be the answer ("Which is not seen?", "Are the lungs normal?").
    """
    if len(text) > MOST:
        text = f"{text[: MOST // 2]}\n{text[-MOST // 2 :]}"
    named = Named(cleaned(text), options(choices))
    picked = _whole(named)
    if not picked and is_yes_no(choices):
        said = read_yes_no(named.lines, question)
        picked = _begins(named) | ({[choice.lower() for choice in choices].index(said)} if said else set())
    elif not picked:
        picked = _picked(named, inverse=bool(INVERSE.search(question)))
    return picked.pop() if len(picked) == 1 and CONFLICT not in picked else None


def _whole(named: Named) -> set[int]:
    """Returns the option that the text is, by words or letter; two where these differ."""
    found = named.option()
    if len(found) != 1:
        text = named.lines.casefold()
        found = {i for i, o in enumerate(named.options.named) if o.casefold() in (text, text.rstrip("."))} or found
    said = named.phrase()
    if len(said) <= 2 and _OPTION_LETTER.fullmatch(" ".join(said)):
        found |= named.options.letter(said[-1])
    return found


def _picked(named: Named, inverse: bool) -> set[int]:
    """Returns the options that a text picks that is more than an option."""
    items = _items(named)
    begins = set() if list(items.values())[:2] == [0, 1] else _begins(named, inverse)  # they are gone through in turn
    if answers := _answers(named, inverse):
        return _final(named, answers, begins)
    if correct := {index for _, index in _correct(named)}:
        return correct | begins
    if begins:
        return begins | _alone(named, inverse) | _other_items(named, items)
    return _alone(named, inverse) or _named(named, inverse)


def _begins(named: Named, inverse: bool = False) -> set[int]:
    at = _BEGINS.match(named.lines).end()
    letter = _LETTER.match(named.lines, at)
    wrong = letter and _WRONG.match(named.lower, letter.end(1))
    if wrong and not any(wrong.start() <= m.start < wrong.end() for m in named.mentions):  # "No mass" may be an option
        return set()
    return _letter(named, at, inverse)


def _letter(named: Named, at: int, inverse: bool) -> set[int]:
    """Returns the option whose letter stands at a place; more, or CONFLICT, where what follows speaks of another."""
    match = _LETTER.match(named.lines, at)
    found = named.options.letter(match.group(1)) if match else set()
    if not match or not found or named.inside(match.start(1)):
        return set()
    (index,), letter, end = found, match.group(1), match.end()
    own = named.own_end(index, end)
    another = _ANOTHER.match(named.lines, end)
    if another and own is None and another.group(1).isupper() >= letter.isupper():
        found |= named.options.letter(another.group(1))
    line = named.lines.find("\n", end) % (len(named.lines) + 1)
    if letter in "Ii" and match.group(2)[:1] == ",":  # "I, as a model, ..."
        return set()
    signed = bool(match.group(2).strip("'"))
    goes_on = letter != "a" and _GOES_ON.match(named.lines, end, line)
    if len(found) == 1 and own is None and not (signed or goes_on or end >= line):
        others = named.option(end, line)
        return found | others if others and letter.isupper() else set()  # "A mass": letter or article
    return found | _goes_on(named, index, end, own, inverse)


def _goes_on(named: Named, index: int, end: int, own: int | None, inverse: bool) -> set[int]:
    """Returns the other options that the sentence after an option states; CONFLICT where it denies the option."""
    stop = named.sentence_end(max(end, own or 0) + 1)
    phrases = named.options.phrases
    here = [m for m in named.mentions if end <= m.start < stop]
    here = [m for m in here if m.index == index or phrases[m.index] != phrases[index]]  # options may read the same
    mine = any(m.index == index for m in here)
    found = {CONFLICT} if mine and here[0][0] == index and here[0].said == "denied" and not inverse else set()
    for other in here:
        beside = own is not None and _BESIDE.fullmatch(named.lines, own, other.start)
        stated = not mine and _STATES.fullmatch(named.lower, end, other.start)
        if other.said in ("said", "unsure") and (beside or stated):
            found.add(other.index)
    return found


def _answers(named: Named, inverse: bool) -> list[tuple[int, set[int]]]:
    """Returns where the text says what the answer is, and what it says then."""
    leads = list(_ANSWER.finditer(named.lines))
    found = []
    for lead in leads if len(leads) <= CLAIMS else leads[: CLAIMS // 2] + leads[-CLAIMS // 2 :]:
        if _turned(named, lead.end()) or _LISTS.search(lead.group()) or named.inside(lead.start()):
            continue
        at = _FILLS.match(named.lines, lead.end()).end()
        next_line = "\n" in named.lines[lead.start() : at]
        if next_line and lead.group("about"):
            continue
        line = named.lines.rfind("\n", 0, lead.start()) + 1
        if lead.group("heading") and not _HEADS.fullmatch(named.lines, line, lead.start()):
            continue
        picked = _letter(named, at, inverse) or _letter(named, lead.end(), inverse)
        if not picked and (next_line or lead.group("loose")):
            picked = named.option(at, named.sentence_end(at))
        elif not picked:
            stop = named.sentence_end(at)
            reason = _REASON.search(named.lower, at, stop)
            stop = reason.start() if reason else stop
            picked = {m.index for m in named.mentions if lead.end() <= m.start < stop and m.said in ("said", "unsure")}
        if picked or _is_letter(named, at):
            found.append((lead.start(), picked or {CONFLICT}))  # a letter that no option has
    return found


def _is_letter(named: Named, at: int) -> bool:
    match = _LETTER.match(named.lines, at)
    return bool(match and match.group(1).isupper() and (match.group(2) or named.lines[match.end() :][:1] in ("", "\n")))


def _correct(named: Named) -> list[tuple[int, int]]:
    """Returns where the text says that an option is correct, and which."""
    matches = list(_CORRECT.finditer(named.lines))[:CLAIMS]
    kept = [m for m in matches if not named.inside(m.start(1)) and not _turned(named, m.start(1))]
    return [(m.start(), index) for m in kept for index in named.options.letter(m.group(1))]


def _turned(named: Named, at: int) -> bool:
    """Returns whether what is said at a place is denied before it, was thought once, or is a question."""
    first = max(0, at - 160)
    first = max((match.end() for match in _TURNS_END.finditer(named.lower, first, at)), default=first)
    stop = named.sentence_end(at)
    turns = any(not named.inside(match.start()) for match in _TURNS.finditer(named.lower, first, at))
    return turns or (named.lines[stop : stop + 1] == "?" and stop + 1 < len(named.lines))


def _final(named: Named, answers: list[tuple[int, set[int]]], begins: set[int]) -> set[int]:
    """Returns the last answer, with those before it that it does not correct, and what is called correct after it."""
    at, last = answers[-1]
    corrects = max((match.start() for match in _CORRECTS.finditer(named.lower, 0, at)), default=-1)
    others = [picks for place, picks in [(-1, begins), *answers[:-1]] if place >= corrects or corrects < 0]
    if any(last <= picks for picks in others if len(picks) > 1):  # "A or B. The answer is B."
        others = [picks for picks in others if not last <= picks]
    return last.union(*others, {index for place, index in _correct(named) if place > at})


def _items(named: Named) -> dict[int, int]:
    """Returns the options whose letters begin lines or sentences, by where they do."""
    matches = list(_ITEM.finditer(named.lines))[:CLAIMS]
    kept = [match for match in matches if not named.inside(match.start(match.lastindex or 0))]
    return {match.end(): index for match in kept for index in named.options.letter(match.group(match.lastindex or 0))}


def _other_items(named: Named, items: dict[int, int]) -> set[int]:
    """Returns the options that an answer goes on to, but for those that it denies or explains."""
    explains = _EXPLAINS.search(named.lower)
    before = explains.start() if explains else len(named.lower)
    return {
        index
        for at, index in items.items()
        if at < before and not _ITEM_DENIED.search(named.lower[at : at + 300].partition("\n")[0])
    }


def _alone(named: Named, inverse: bool) -> set[int]:
    """Returns the options that are lines or sentences of their own, before an explanation if there is one."""
    explains = _EXPLAINS.search(named.lower)
    found: set[int] = set()
    for match in list(_SEGMENT.finditer(named.lines))[:400]:
        if found and explains and match.start() > explains.start():
            break
        start, end = match.span()
        if end - start > 300 or match.group().endswith("?"):
            continue
        label = _ITEM.match(named.lines, start)
        begins = label.end() if label and label.end() < end and not named.inside(label.start(label.lastindex or 0)) else start
        here, said = named.option(begins, end), named.phrase(begins, end)
        letter = named.options.letter(label.group(label.lastindex or 0)) if label and begins > start else set()
        if len(said) == 1 and len(said[0]) == 1 and not here & letter and not named.inside(named.first(begins)):
            here |= named.options.letter(said[0])
        here |= letter if here else set()
        for index in here:
            found |= {index} | _goes_on(named, index, end, None, inverse)
    return found


def _named(named: Named, inverse: bool) -> set[int]:
    """Returns the options that are named in passing, by letter or by words, and not denied."""
    found = set()
    for match in list(_NAMED.finditer(named.lines))[:CLAIMS]:
        at = match.start(match.lastindex or 0)
        if not (_turned(named, at) or named.inside(at) or _WRONG.match(named.lower, at + 1)):
            found |= _letter(named, at, inverse) or named.options.letter(named.lines[at])
    refusal = REFUSES.search(named.lines)
    if refusal and not any(m.start <= refusal.start() < m.end for m in named.mentions):
        return set()
    standings = {m.said for m in named.mentions}
    if inverse and standings & {"denied", "clear"}:
        return set()
    found |= {m.index for m in named.mentions if m.said == "said"}
    unsure = {m.index for m in named.mentions if m.said == "unsure"} - found
    return found | {CONFLICT} if unsure else found
