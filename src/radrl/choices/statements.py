"""Where a text says what the answer is ("The answer is B", "I would choose B"), or that an option is correct."""

from __future__ import annotations

import re

from radrl.choices.letters import CONFLICT, is_letter, joined_to, letter_at, stated_with
from radrl.choices.options import Named
from radrl.choices.wording import CORRECTS

STATEMENTS = 60  # of one kind that are read, half of them from the end

_ANSWER = re.compile(
    r"\b(?:answer|ans|(?P<loose>solution|prediction|verdict|conclusion)"
    r"|(?:correct|right|best|my|final|chosen|selected|most likely|most appropriate|likely|likeliest)"
    r" (?:choice|option|selection|pick|letter|one|response|diagnosis|guess))\b"
    r"(?P<about> (?:to|for|of|in|here|based|from|given|regarding|choice|option|letter)\b[^.!?:\n]{0,120}?)?"
    r"(?:\s{0,2}[:=]|\s?->|\s?-(?= )"
    r"|,? (?:is|would be|should be|must be|will be|has to be|seems to be|appears to be)\b"
    r"|(?P<heading>\.? ?\n|\.(?= ))|(?<=nswer)(?= \(?[A-Z]\b)|(?<=ANSWER)(?= \(?[A-Z]\b))"
    r"|\b(?:i|we|you|one|let's|let us|would|will|should|can|'d|'ll|(?:going|like|have|forced) to)(?: \w+)?"
    r" (?:choose|chose|select(?:ed)?|pick(?:ed)?|go (?:with|for)|went with|opt(?:ed)? for|vote for|say|guess|answer"
    r"|conclude|settle on)\b:?|\bgoing with\b"
    r"|(?:答案|选择|选项|应选|故选|选|回答|答え|正解|정답|답)(?: ?应该)?(?: ?(?:是|为|は|은|는))? ?:?"
    r"|\b(?:r[ée]ponse|respuesta|antwort|risposta|resposta|ответ)(?: (?:est|es|ist|è))? ?:?",
    re.I,
)
_HEADING = re.compile(r"(?:(?:the|my|final|correct|best|right) ){0,3}", re.I)
_LISTS = re.compile(r"\b(?:options|choices|following|list)\b|\bfrom:?\Z", re.I)  # "the best answer from the options:"
_FILLS = re.compile(
    r"[\s:]{0,4}(?:(?:the|that|it|is|it's|therefore|thus|clearly|actually|indeed|definitely|probably|most|likely|either|both"
    r"|choice|option|statement|letter|answer|number|simply|just)\b[ :]{0,2}(?=\S)){0,9}",
    re.I,
)
_REASON = re.compile(r"\b(?:because|since|as|due to|given|whereas|while|but|which|although)\b")
_VERDICT = (
    r"(?:\s?\([^()\n]{1,80}\))?,? (?:both )?"
    r"(?:(?:is|are|seems|appears|looks|must be|should be|would be|remains)"
    r" (?:(?:to be|the|a|most|clearly|therefore|thus|also|likely|indeed|probably|only|definitely|single|more) ){0,4}"
    r"(?:correct|right|true|best|answer|likely|likeliest|appropriate|accurate|choice|option|consistent|suitable|one)\b"
    r"(?: (?:answer|choice|option|one)\b)?"
    r"|(?:best |most closely |most accurately )?(?:fits|matches|describes|explains)\b"
    r"|makes (?:the )?most sense|是)"
)
_CORRECT = re.compile(rf"(?<![\w'-])[(\[]?([A-Z])[)\].]?{_VERDICT}")
_CALLED_CORRECT = re.compile(_VERDICT)
_TURNS = re.compile(
    r"\b(?:not(?! only\b| just\b)|never|cannot|neither|nor|no|rather than|instead of|except|other than|exclud\w+"
    r"|rul(?:e|ed|ing) out|eliminat\w+|wrong|incorrect|unlike|if|whether|unless|thought|initially|at first"
    r"|first glance|was|were|between)\b|n't\b"
)
_TURNS_END = re.compile(r"[.;!?\n]|\b(?:but|however|so|therefore|thus|hence)\b|, ")
_WRONG = (
    r"(?:wrong|incorrect|false|excluded|ruled out|eliminated|unlikely|less likely|improbable)\b"
    r"|[)\].:,]{0,2} (?:isn't|wasn't|can't be|cannot be|does not|doesn't)\b"
)
_BE = r"(?:is|was|are|would be|seems?|appears?|can be|could be|must be)"
CALLED_WRONG = re.compile(
    r"[)\].:,]{0,2}(?: ?\([^()\n]{0,80}\))?,? ?(?:which |that |however,? |though,? )?"
    rf"(?:{_BE}(?: \w+)? not\b|(?:{_BE} )?(?:\w+ )?{_WRONG})"
)
"""What follows a letter that is said to be wrong."""


def final_answer(named: Named, begins: set[int], inverse: bool) -> tuple[int, set[int]]:
    """Returns where the last statement of the answer ends, and the option that it picks.

    With it those that contradict it: of statements before it that it does not correct ("Wait, ..."), of what the text
    ``begins`` with, and of options that are called correct after it. No option where nothing says what the answer is.
    """
    answers = _answers(named, inverse)
    if not answers:
        return 0, set()
    at, last = answers[-1]
    corrections = CORRECTS.finditer(named.lower, 0, at)
    corrects = max((match.start() for match in corrections if not named.inside(match.end() - 1)), default=-1)
    others = [picks for place, picks in [(-1, begins), *answers[:-1]] if place >= corrects or corrects < 0]
    if any(len(picks) > 1 and last <= picks for picks in others):  # "A or B. The answer is B."
        others = [picks for picks in others if not last <= picks]
    return named.sentence_end(at), last.union(*others, {index for place, index in _correct(named) if place > at})


def called_correct(named: Named) -> set[int]:
    """Returns the options of which the text says that they are correct."""
    return {index for _, index in _correct(named)}


def turned(named: Named, at: int) -> bool:
    """Returns whether what is said at a place is denied before it, was thought once, or is a question."""
    first = max(0, at - 160)
    first = max((match.end() for match in _TURNS_END.finditer(named.lower, first, at)), default=first)
    if any(not named.inside(match.start()) for match in _TURNS.finditer(named.lower, first, at)):
        return True
    stop = named.sentence_end(at)
    return named.lines[stop : stop + 1] == "?" and stop + 1 < len(named.lines)


def _answers(named: Named, inverse: bool) -> list[tuple[int, set[int]]]:
    leads = [lead for lead in _ANSWER.finditer(named.lines) if not _LISTS.search(lead.group())]
    found = []
    for lead in leads if len(leads) <= STATEMENTS else leads[: STATEMENTS // 2] + leads[-STATEMENTS // 2 :]:
        if not named.inside(lead.start()) and not turned(named, lead.end()) and (picked := _said(named, lead, inverse)):
            found.append((lead.end(), picked))
    return found


def _said(named: Named, lead: re.Match[str], inverse: bool) -> set[int]:
    """Returns what is picked after words that lead to an answer: by letter, or else by the words that follow."""
    line, fills = named.lines.rfind("\n", 0, lead.start()) + 1, _FILLS.match(named.lines, lead.end())
    at = fills.end() if fills else lead.end()
    next_line = "\n" in named.lines[lead.start() : at]
    if (next_line and lead.group("about")) or (
        lead.group("heading") and not _HEADING.fullmatch(named.lines, line, lead.start())
    ):
        return set()  # it leads to something else than the answer
    if picked := letter_at(named, at, inverse) or letter_at(named, lead.end(), inverse):
        return picked
    if is_letter(named, at) and not any(m.start <= named.first(at) < m.end for m in named.mentions):
        return {CONFLICT}  # a letter that no option has
    stop = named.sentence_end(at)
    if next_line or lead.group("loose"):
        picked = named.option(at, stop)
    else:
        reason = _REASON.search(named.lower, at, stop)
        stop = reason.start() if reason else stop
        here = [m for m in named.mentions if lead.end() <= m.start < stop and m.said in ("said", "unsure")]
        picked = {m.index for m in here}.union(*(joined_to(named, m.end) for m in here))
    return picked


def _correct(named: Named) -> list[tuple[int, int]]:
    """Returns where the text says that an option is correct, and which."""
    matches = list(_CORRECT.finditer(named.lines))[:STATEMENTS]
    kept = [m for m in matches if not named.inside(m.start(1)) and not turned(named, m.start(1))]
    found = [(m.start(), m.end(), index) for m in kept for index in named.options.letter(m.group(1))]
    for m in named.mentions:
        verdict = _CALLED_CORRECT.match(named.lines, m.end) if m.said in ("said", "unsure") else None
        if verdict and not turned(named, m.start):
            found.append((m.start, verdict.end(), m.index))
    return [(start, i) for start, end, index in found for i in (index, *stated_with(named, index, end, end))]
