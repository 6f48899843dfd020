"""Whether an answer to a yes-or-no question says yes or no.

It says so with the word, or with a sentence: "There is no pneumothorax" is no, and "There is a pneumothorax" yes where
that is what was asked. Yes and no in one answer are neither.
"""

from __future__ import annotations

import re
from typing import Literal

from radrl.reading.wording import INVERSE, REFUSES

YesNo = Literal["yes", "no"]

_POLAR: dict[str, YesNo] = {
    **dict.fromkeys(("yes", "yeah", "yep", "yup", "true", "correct", "affirmative", "positive", "present"), "yes"),
    **dict.fromkeys(("no", "nope", "nah", "false", "incorrect", "negative", "absent", "not present", "not seen"), "no"),
    **dict.fromkeys(("是", "是的", "有", "对", "y"), "yes"),
    **dict.fromkeys(("否", "不是", "没有", "无", "不对", "n"), "no"),
}
_YES_NO = r"(yes|yeah|yep|yup|no|nope|nah)\b"
_AGAIN = re.compile(rf"[\s,/|;&.()-]*(?:(?:and|or|but also|but)\s)?\s?{_YES_NO}(?=[\s.,;:!?)]|$)(?! (?:doubt|question|problem|evidence|\w+ (?:is|are)\b))", re.I)
_HEAD = re.compile(rf"[^\w\n]{{0,9}}{_YES_NO}", re.I)
_LEAD = re.compile(
    r"(?:\b(?:answers?|ans|response|verdict|conclusion|choice|option|prediction)\b(?: (?:to|for|of) [^.!?:\n]{0,80}?)?"
    r"(?:\s?[:=]|\s?->|\s?- |,? (?:is|would be|should be|must be)\b ?:?|\n)"
    r"|\b(?:答案|回答) ?(?:是|为)? ?:?|\b(?:would|i|i'd) (?:say|answer)\b:?"
    r"|\b(?:(?:so|thus|therefore|hence),? (?:it is |it's |i say )?|(?:likely|probably|definitely|clearly|certainly) )"
    r"(?=(?:yes|no)\b(?:[.,!;\n]|$))|(?<=\w\w)[,:] ?(?=(?:yes|no)\b(?:[.!\n]|$)))"
    r"\s?(?:(?:definitely|clearly|therefore|probably|most likely|simply|a|an|option|that)\s)*[(\[{'\s]{0,3}"
    r"(yes|no|true|false|positive|negative|是|否)(?![\w-])(?! (?:\w+ ){0,2}(?:evidence|sign))",
    re.I,
)
_SEGMENT = re.compile(r"[^\n.!?;]+(?:\.(?=\d)[^\n.!?;]*)*[.!?;]*")
_EXPLAINS = re.compile(r"\b(?:explanation|reason(?:ing|s)?|rationale|justification|because|note)\b\s?:?", re.I)
# "No" that belongs to a noun: "No pneumothorax is seen"
_OF_NOUN = re.compile(r"no (?!,|(?:it|there|this|that|the|i|they|he|she|because|since|as|its|not)\b)\w", re.I)
_DENIAL = re.compile(
    r"\b(?:there (?:is|are|was|were) (?:no|not)\b|(?:there|it|this|they) (?:is|are|does|do|has)n't\b"
    r"|(?:do|does|did) not (?:see|show|have|demonstrate|reveal|find|appear|identify)|(?:do|does|did)n't (?:see|show|have|find|appear)"
    r"|(?:cannot|can't|can not) (?:see|find|identify|detect|appreciate)|(?:shows?|see|demonstrates?|reveals?|has|have|with) no\b"
    r"|(?:is|are|was|were) (?:\w+ )?(?:not|absent)\b|(?:not|n't) (?:\w+ )?(?:seen|present|visible|evident|identified|shown|noted)"
    r"|negative for|absence of|free of|without (?:evidence|signs?)|i (?:don't|do not) think so)\b"
    r"|^\W{0,3}no\b|^\W{0,3}(?:it|there|this|that|they) (?:is|are|does|do|has) not\b",
    re.I,
)
_CLAIM = re.compile(
    r"\b(?:there (?:is|are|was|were) (?:an?|some|evidence|signs?|\w)|(?:is|are) (?:\w+ )?(?:seen|present|visible|evident|shown|noted)"
    r"|(?:shows?|demonstrates?|reveals?|see|has|have) (?:an?|some|evidence|signs?|the|\w))",
    re.I,
)
_PART = re.compile(r",? (?:and|but|with) (?=(?:no|without) )|, (?=(?:no|without) )")
_SAYS = re.compile(r"\b(?:yes|answer|option)\b", re.I)
_BARE = re.compile(r"\W{0,3}(?:(?:it|there|this|that|they) (?:is|are|does|do|has)|i think so)\W{0,3}", re.I)
_UNASKED = frozenset(
    "there evidence image images picture film xray radiograph show shown shows seen present visible patient which what this"
    " that does have with from finding findings scan is are was were in on of the an any it does do has can you see following"
    " visualized identified noted these those and or a to be been sign signs one question answer correct true".split()
)
_SIDES = frozenset("left right bilateral upper lower middle".split())


def read_yes_no(lines: str, question: str = "") -> YesNo | None:
    """Returns what a cleaned text says (`wording.cleaned`), or None where it says neither or both.

    ``question`` is what was asked: a sentence that denies is no answer to "Are the lungs normal?", and one that affirms
    is yes only where it says all that was asked.
    """
    whole = " ".join(re.findall(r"\w+", lines.lower()))
    if whole in _POLAR:
        return _POLAR[whole]
    inverse = INVERSE.search(question)
    said = [_POLAR[match.group(1).lower()] for match in list(_LEAD.finditer(lines))[:40] if _both(lines, match) is None]
    if any(_both(lines, match) for match in list(_LEAD.finditer(lines))[:40]):
        return None
    explained = _EXPLAINS.search(lines)
    read = lines[: explained.start()] if explained and re.search(r"\w", lines[: explained.start()]) else lines
    segments = [match.group().strip() for match in list(_SEGMENT.finditer(read))[:200]]
    head = _HEAD.match(read)
    if head and not _OF_NOUN.match(read, head.start(1)):
        first: YesNo = _POLAR[head.group(1).lower()]
        if _turns(read, head, first, question, inverse):
            return None
        said.append(first)
    said += [_POLAR[word] for part in segments if (word := " ".join(re.findall(r"\w+", part.lower()))) in _POLAR]
    if said:
        return said[0] if len(set(said)) == 1 else None
    if REFUSES.search(lines):
        return None
    return _of_sentences(segments, question, inverse)


def _both(lines: str, match: re.Match[str]) -> bool | None:
    again = _AGAIN.match(lines, match.end())
    return True if again and _POLAR[again.group(1).lower()] != _POLAR[match.group(1).lower()] else None


def _turns(read: str, head: re.Match[str], first: YesNo, question: str, inverse: object) -> bool:
    """Returns whether the sentence that begins with yes or no says the opposite."""
    again = _AGAIN.match(read, head.end())
    if again and _POLAR[again.group(1).lower()] != first:
        return True
    segment = _SEGMENT.match(read, head.end())
    rest = segment.group().strip(" ,-:") if segment else ""
    if first == "yes":
        return not inverse and bool(re.match(r"(?:and |but )?(?:there (?:is|are) (?:no|not)|no(?! doubt| question| problem)|not|it is not|it isn't)\b", rest, re.I))
    asked = _content(question)
    return bool(asked) and re.match(r"there (?:is|are) (?!no|not)", rest, re.I) is not None and asked <= _content(rest)


def _of_sentences(segments: list[str], question: str, inverse: re.Match[str] | None) -> YesNo | None:
    """Returns what sentences say that hold neither yes nor no."""
    asked, found = _content(question), set()
    parts = [part for segment in segments for part in _PART.split(segment) if part]
    for segment in parts:
        if segment.endswith("?") or _SAYS.search(segment):
            continue
        content = _content(segment)
        same = not inverse or re.search(rf"\b{inverse.group()}\b", segment, re.I)
        sides = (content & _SIDES) - asked if asked & _SIDES else None
        if _DENIAL.search(segment):
            found.add("no" if same and not sides else "")
        elif _BARE.fullmatch(segment) or (asked and asked <= content) or (not asked and _CLAIM.search(segment)):
            found.add("yes" if same else "")
    return found.pop() or None if len(found) == 1 else None


def _content(text: str) -> frozenset[str]:
    return frozenset(word[:9] for word in re.findall(r"[^\W\d_]{2,}", text.lower()) if word not in _UNASKED)
