"""Whether an answer to a yes-or-no question says yes or no.

It says so with the word, or with a sentence: "There is no pneumothorax" is no, and "There is a pneumothorax" yes where
that is what was asked. Yes and no in one answer are neither, unless the later one says that it corrects.
"""

from __future__ import annotations

import re
from typing import Literal

from radrl.choices.wording import CORRECTS, INVERSE, REFUSES

YesNo = Literal["yes", "no"]

_POLAR: dict[str, YesNo] = {
    **dict.fromkeys(("yes", "yeah", "yep", "yup", "true", "correct", "affirmative", "positive", "present", "y"), "yes"),
    **dict.fromkeys(("no", "nope", "nah", "false", "incorrect", "negative", "absent", "not present", "not seen"), "no"),
    **dict.fromkeys(("n", "否", "不是", "没有", "无", "不对"), "no"),
    **dict.fromkeys(("是", "是的", "有", "对"), "yes"),
}
STATEMENTS = 40  # of the answer that are read

_WORD = r"(yes|yeah|yep|yup|no|nope|nah)\b"
_HEAD = re.compile(rf"[^\w\n]{{0,9}}{_WORD}", re.I)
_AGAIN = re.compile(
    rf"[\s,/|;&.()-]{{0,9}}(?:(?:and|or|but also|but)\s)?\s?{_WORD}(?=[\s.,;:!?)]|\Z)"
    r"(?! (?:doubt|question|problem|evidence|\w+ (?:is|are)\b))",
    re.I,
)
_LEAD = re.compile(
    r"(?:\b(?:answers?|ans|response|verdict|conclusion|choice|option|prediction)\b(?: (?:to|for|of) [^.!?:\n]{0,80}?)?"
    r"(?:\s?[:=]|\s?->|\s?- |,? (?:is|would be|should be|must be)\b ?:?|\n)"
    r"|\b(?:答案|回答) ?(?:是|为)? ?:?|\b(?:would|i|i'd) (?:say|answer)\b:?"
    r"|\b(?:(?:so|thus|therefore|hence),? (?:it is |it's |i say )?|(?:likely|probably|definitely|clearly|certainly) )"
    r"(?=(?:yes|no)\b(?:[.,!;\n]|\Z))|(?<=\w\w)[,:] ?(?=(?:yes|no)\b(?:[.!\n]|\Z)))"
    r"\s?(?:(?:definitely|clearly|actually|therefore|probably|most likely|simply|a|an|option|that)\s){0,4}"
    r"[(\[{'\s]{0,3}(yes|no|true|false|positive|negative|是|否)(?![\w-])(?! (?:\w+ ){0,2}(?:evidence|sign))",
    re.I,
)
_SENTENCE = re.compile(r"[^\n.!?;]+(?:\.(?=\d)[^\n.!?;]*)*[.!?;]*")
_EXPLAINS = re.compile(r"\b(?:explanation|reason(?:ing|s)?|rationale|justification|because|note)\b\s?:?", re.I)
# "No" that belongs to a noun, as in "No pneumothorax is seen", is no answer by itself
_OF_NOUN = re.compile(r"no (?!(?:it|there|this|that|the|i|they|he|she|because|since|as|its|not)\b)\w", re.I)
_DENIES_TOO = re.compile(
    r"(?:and |but )?(?:there (?:is|are) (?:no|not)\b|no\b(?! doubt| question| problem)|not\b(?! yes| no)"
    r"|it is not\b|it isn't\b)",
    re.I,
)
_SEEN = r"(?:seen|present|visible|evident|identified|shown|noted|found|detected)"
_DENIAL = re.compile(
    r"\b(?:there (?:is|are|was|were) (?:no|not|none|nothing)\b|(?:there|it|this|they) (?:is|are|does|do|has)n't\b"
    r"|(?:do|does|did)(?: not|n't) (?:see|show|have|demonstrate|reveal|find|appear|identify)"
    r"|(?:cannot|can't|can not) (?:see|find|identify|detect|appreciate)"
    r"|(?:shows?|see|demonstrates?|reveals?|has|have|with) no\b|(?:is|are|was|were) (?:\w+ )?(?:not|absent)\b"
    rf"|(?:not|n't) (?:\w+ )?{_SEEN}|negative for|absence of|free of|without (?:evidence|signs?)"
    r"|i (?:don't|do not) think so)\b|^\W{0,3}no\b|^\W{0,3}(?:it|there|this|that|they) (?:is|are|does|do|has) not\b",
    re.I,
)
_CLAIM = re.compile(
    r"\bthere (?:is|are|was|were) \w|\b(?:shows?|demonstrates?|reveals?|see|has|have) \w"
    r"|\b(?:is|are|was|were|seems?|appears?|looks?) \w",
    re.I,
)
_THERE_IS = re.compile(
    rf"\bthere (?:is|are|was|were) \w|\b(?:is|are) (?:\w+ )?{_SEEN}|\b(?:shows?|reveals?|see|has) \w", re.I
)
_HEDGES = re.compile(r"\b(?:may|might|could|possibl[ey]|cannot be|can't be|not be excluded|perhaps|maybe)\b", re.I)
_PART = re.compile(r",? (?:and|but|with) (?=(?:no|without) )|, (?=(?:no|without) )")
_SAYS = re.compile(r"\b(?:yes|answer|option)\b", re.I)
_BARE = re.compile(r"\W{0,3}(?:(?:it|there|this|that|they) (?:is|are|does|do|has)|i think so)\W{0,3}", re.I)
_SIDES = frozenset({"left", "right", "bilateral", "upper", "lower", "middle"})
_UNASKED = re.compile(
    r"there|evidence|images?|pictures?|films?|xray|radiograph|show[ns]?|seen?|present|visible|patient|which|what|this|that"
    r"|does|have|with|from|findings?|scan|following|visualized|identified|noted|these|those|signs?|question|answer|correct"
    r"|true|is|are|was|were|in|on|of|the|an?|any|it|do|has|can|you|and|or|to|be|been|one"
)


def read_yes_no(lines: str, question: str = "") -> YesNo | None:
    """Returns what a cleaned text says (`wording.cleaned`), or None where it says neither or both.

    ``question`` is what was asked: a sentence that denies is no answer to "Are the lungs normal?", and one that affirms
    is yes only where it says all that was asked.
    """
    whole = " ".join(re.findall(r"\w+", lines.lower()))
    if whole in _POLAR:
        return _POLAR[whole]
    said: list[tuple[int, YesNo]] = []
    for match in list(_LEAD.finditer(lines))[:STATEMENTS]:
        if _turns(lines, match):
            return None
        said.append((match.start(), _POLAR[match.group(1).lower()]))
    explained = _EXPLAINS.search(lines)
    read = lines[: explained.start()] if explained and re.search(r"\w", lines[: explained.start()]) else lines
    sentences = [match.group().strip() for match in list(_SENTENCE.finditer(read))[:200]]
    head = _HEAD.match(read)
    if head and not _OF_NOUN.match(read, head.start(1)):
        if _turns(read, head) or _says_the_opposite(read, head, question):
            return None
        said.append((-1, _POLAR[head.group(1).lower()]))
    for part in sentences:
        if (word := " ".join(re.findall(r"\w+", part.lower()))) in _POLAR:
            said.append((read.find(part), _POLAR[word]))
    if said:
        return _last(lines, sorted(said))
    return None if REFUSES.search(lines) else _of_sentences(sentences, question)


def _last(lines: str, said: list[tuple[int, YesNo]]) -> YesNo | None:
    """Returns the last word that is said, unless others before it contradict it and are not corrected."""
    at, last = said[-1]
    corrects = max((match.start() for match in CORRECTS.finditer(lines.lower(), 0, max(at, 0))), default=len(lines))
    return last if all(word == last or place < corrects <= at for place, word in said) else None


def _turns(lines: str, match: re.Match[str]) -> bool:
    """Returns whether yes is followed by no at once, or no by yes."""
    again = _AGAIN.match(lines, match.end())
    return bool(again) and _POLAR[again.group(1).lower()] != _POLAR[match.group(1).lower()]


def _says_the_opposite(read: str, head: re.Match[str], question: str) -> bool:
    """Returns whether the sentence that begins with yes denies what is asked, or that with no affirms it."""
    sentence = _SENTENCE.match(read, head.end())
    rest = sentence.group().strip(" ,-:") if sentence else ""
    if _POLAR[head.group(1).lower()] == "yes":
        return not INVERSE.search(question) and bool(_DENIES_TOO.match(rest))
    asked = _content(question)
    return bool(asked) and asked <= _content(rest) and bool(re.match(r"there (?:is|are) (?!no|not)", rest, re.I))


def _of_sentences(sentences: list[str], question: str) -> YesNo | None:
    """Returns what sentences say that hold neither yes nor no."""
    asked, inverse = _content(question), INVERSE.search(question)
    found: set[YesNo | None] = set()
    for sentence in [part for whole in sentences for part in _PART.split(whole) if part]:
        if sentence.endswith("?") or _SAYS.search(sentence):
            continue
        content = _content(sentence)
        # "No opacity is seen" does not say that the lungs are not normal
        same = not inverse or re.search(rf"\b{inverse.group()}\b", sentence, re.I)
        elsewhere = asked & _SIDES and (content & _SIDES) - asked
        if _HEDGES.search(sentence):
            continue
        if _DENIAL.search(sentence):
            found.add("no" if same and not elsewhere else None)
        elif _BARE.fullmatch(sentence):
            found.add("yes")
        elif (asked <= content and _CLAIM.search(sentence)) if asked else _THERE_IS.search(sentence):
            found.add("yes" if same else None)
    return found.pop() if len(found) == 1 else None


def _content(text: str) -> frozenset[str]:
    """Returns the words of a text that say what it is about, cut to nine letters for the sake of endings."""
    return frozenset(word[:9] for word in re.findall(r"[^\W\d_]{2,}", text.lower()) if not _UNASKED.fullmatch(word))
