"""Whether an answer without boxes says that there is nothing to find, which is the right answer on an empty film.

It has to be said: by an empty list, "none", a sentence that denies ("No nodule is seen."), or the Example's own
reference. Whatever else has no readable box claims something, or cannot be read; an answer that refuses ("I cannot help
with that") says neither. Reward, metric and page all ask `radrl.example.Answer.says_none`,
which is set here. English only.

Clauses are taken one by one: one must deny, and none may claim. What a clause without a denial speaks of is asked of
the vocabulary of findings (`radrl.clinical.extract`) and of words for places and for seeing.
"""

from __future__ import annotations

import json
import re
from typing import Any, Literal

from radrl.clinical.extract import statements
from radrl.example import Example

LONGEST = 2_000  # characters; a text that says more is not a mere "nothing"

_Kind = Literal["denies", "claims", "neither"]

_FENCE = re.compile(r"```\w*|</?\|?/?[a-z_]{1,30}\|?>|[`*#]", re.I)
_EMPTY_TAG = re.compile(r"<\|?(?:b?box|box_start)\|?>\s*<\|?/?(?:b?box|box_end)\|?>", re.I)
_EMPTY = re.compile(r"\[[\s\[\]]*\]|\{\s*\}|\bnull\b")
_MEASURE = re.compile(r"\b\d+(?:\.\d+)?\s?(?:mm|cm)\b|(?:^|(?<=\s))\d{1,2}[.)]\s?(?=[a-z])|(?<=bbox_)2d\b", re.M)
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+|%")
_BESIDE = {  # keys of JSON whose values say nothing of whether there is something
    *("label", "name", "class", "category", "object", "finding", "type"),
    *("confidence", "score", "probability", "certainty", "thinking", "thought", "reasoning", "rationale"),
}

_SENTENCE = re.compile(r"([.!?;\n]+)(?=\s|$)|\n| [-–—]+ ")
_CLAUSE = re.compile(
    r",?\s*\b(?:but|however|(?:even )?though|although|except(?: for)?|besides?|(?:apart|aside) from"
    r"|(?:other )?than|while|excluding|barring|save for|outside(?: of)?|beyond|in addition to|rather|whereas|yet"
    r"|instead|only|because|since|as (?=there|no\b|i )|so|therefore|hence|thus|which|where"
    r"|with (?=(?:an?|some|small|large|mild|moderate|severe|bilateral|left|right|new|increas\w+|associated)\b)"
    r"|and (?=(?:there|it|its|i|we|you|an?|the|one|this|that|no|not|is|are|shows?|has)\b))\b"
)
_INTERJECTION = re.compile(r"^no (?=(?:there|it|its|it's|this|that|these|the|an?|i|we|you|he|she|they)\b)")

_IMAGE = r"(?:x-?rays?|radiographs?|films?|images?|pictures?|cxrs?|scans?|photos?|stud(?:y|ies)|examinations?|exams?)"
_SEEN = (
    r"(?:seen|visible|visuali[sz]ed|present|identified|identifiable|detected|detectable|found|evident|observed|noted"
    r"|noticed|noticeable|appreciated|apparent|demonstrated|shown|discernible|discerned|depicted|exist|there|recogni[sz]ed"
    r"|recogni[sz]able|located|localized|reported|(?:in|on) (?:this|the) (?:given |chest |frontal )?" + _IMAGE + ")"
)
_SEE = (
    r"(?:see|find|detect|identify|observe|locate|notice|visuali[sz]e|recogni[sz]e|spot|note|appreciate|discern|show"
    r"|display|demonstrate|reveal|contain|have|exhibit|depict|include|suggest|indicate)"
)
_NOT = (
    r"(?:\b(?:do|does|did|can|could|is|are|was|were|has|have|be) ?(?:n't|not)\b|\bcannot\b|\b(?:un|not )able to\b"
    r"|\bfail(?:s|ed)? to\b)"
)
_DENIAL = re.compile(
    r"\b(?:no|nope|nothing|none|without|zero|neither|nil|n/a|negative for)\b"
    r"|\b(?:free|clear|absence|lack|devoid) (?:of|from)\b"
    r"|^(?:false|empty(?: list)?|not applicable)$"
    rf"|{_NOT}(?: (?:be|been|to|appear|seem|actually|currently|definitely|able))* (?:{_SEE}|{_SEEN})\b"
    r"|\bthere (?:is|are|was|were) ?(?:not|n't) (?:any|an?)\b|(?:\bnot|n't) (?:appear|seem)s? to be (?:any|an?)\b"
    rf"|\bnot {_SEEN}"
)
_UNSEEN = re.compile(rf"(?:\bnot|n't|\bcannot)(?: (?:be|been|to|appear|seem|actually|currently|definitely))* {_SEEN}$")
_CLAIMS_FIRST = re.compile(r"\b(?:there (?:is|are)|with|has|have|and)\b")
_ABSENT = re.compile(r"\b(?:absent|negative|excluded|ruled out|non-?existent)\b")
_NORMAL = re.compile(r"\b(?:normal|unremarkable|clear|clean|healthy)\b")
# What sounds like a denial and is none, or denies another thing than that something is there.
_FALSE_DENIAL = re.compile(
    # "no doubt", "no longer", "no other nodule", "no significant change in the nodule"
    r"\bno (?:single|longer|doubt|question|less|fewer|more|wonder|matter|new|other|further|additional|better|worse"
    r"|reason)\b|\b(?:none other|nothing else)\b|\bdoubt\b|\bwithout (?:an? )?(?:question|change)\b"
    r"|\bno (?:\w+ ){0,3}(?:changes?|interval|increase|decrease|improvement|worsening|progression|growth|resolution"
    r"|clearing|difference)\b"
    # "not only", "not sure", "cannot be excluded", "cannot be clearly seen", "unclear", "cannot see how"
    r"|(?:\bnot|n't) (?:only|just|merely|solely|sure|certain|clear|absent|all|resolved|changed)\b"
    r"|(?:\bnot|n't|\bcannot)(?: \w+){0,3} (?:excluded?|ruled? out|den(?:y|ied)|overlook(?:ed)?|ignored?|missed)\b"
    r"|(?:\bnot|n't|\bcannot)\b.*\b(?:clearly|fully|entirely|completely|properly|reliably|exactly)\b"
    r"|\bun(?:clear|certain|changed)\b|\bsee (?:how|why|what)\b"
    # "not normal", "no lung is clear", "no clear lungs", and what is denied twice
    r"|(?:\bneither|\bnot|n't)\b.*\b(?:normal|unremarkable|healthy|clean)\b|\bneither\b.*\bclear\b"
    r"|\b(?:no|none|nothing)(?: \w+){0,6} (?:is|are|was|were) (?:normal|clear|unremarkable|absent|clean)\b"
    r"|\bno (?:clear|normal|healthy) (?:lungs?|chest|films?|images?)\b"
    r"|\b(?:no|none|nothing)\b.*\b(?:without|free of|clear of|not|\w+n't|cannot)\b"
    r"|(?:\bnot|n't|\bcannot)\b.*\b(?:no|none|nothing|without|absent|false)\b"
    # "none of the nodules is large", "not seen on the prior film"
    rf"|\bnone of (?:the|these|those) (?:\w+ ){{1,3}}(?:is|are|was|were|has|have|shows?) (?!{_SEEN}|any)"
    r"|^(?=.*(?:\bno\b|\bnot\b|n't)).*\b(?:before|previous(?:ly)?|prior|earlier|last)\b"
)
_REFUSAL = re.compile(
    r"\b(?:sorry|apologi[sz]e|as an ai)\b"
    r"|(?:\bnot|n't|\bcannot|\bunable to|\bnot able to)(?: \w+){0,2} (?:help|assist|provide|answer|comply|process"
    r"|analy[sz]e|interpret|view|open|access|determine|tell|say|diagnose|give|comment|evaluate|assess|know|support|read"
    r"|perform|fulfill?|look|draw|point|doctor|physician|radiologist)\b"
    r"|\b(?:no|not any) (?:\w+ )?(?:idea|information|access|answer|comment|response|ability|diagnosis|problem|worries"
    r"|need|results?|reply|opinion)\b"
    rf"|(?:\bno|\bnot {_SEE}|n't {_SEE}|\bcannot {_SEE}|\bable to {_SEE})"
    rf" (?:the |this |that |your |any |an? |such )?(?:attached |provided |uploaded |medical |chest |actual )*{_IMAGE}\b"
    rf"|\b{_IMAGE} (?:is|are|was|were) ?(?:not|n't) (?:\w+ )?(?:visible|provided|available|shown|loaded|attached)\b"
    rf"|\b{_IMAGE} cannot be (?:seen|viewed|loaded|opened)\b"
)
_PLACE = re.compile(
    r"\b(?:left|right|bilateral|both|upper|lower|middle|mid|lobes?|bas(?:es?|al|ilar)|apex|apices|apical|hil(?:um|a|ar)"
    r"|perihilar|retrocardiac|costophrenic|zones?|quadrants?|corners?|regions?|areas?|sides?|cent(?:er|re|ral))\b"
)
_CLAIM = re.compile(
    r"\b(?:here|located|situated|seen|visible|present|noted|identified|detected|observed|found|marked|shown|there(?:'s)?"
    r"|yes|box(?:es|ed)?|coordinates?|positive|ones?|two|three|four|several|multiple|many|numerous|some|diffuse"
    r"|possibl[ey]|probabl[ey]|likely|may|might|suspected|suspicious|(?:consistent|compatible) with|suggest\w*)\b"
)
_THINGS = re.compile(r"\b(?:lesions?|abnormal\w*|anomal\w+|objects?|spots?|shadows?|patholog\w+|disease)\b")
_NOT_IN_LIST = re.compile(
    r"\b(?:is|are|was|were|has|have|shows?|lies?|appears?|an?|the|this|it|in|at|on|with)\b"
    r"|^(?:small|large|mild|moderate|severe|subtle)\b"
)
_HEADING = re.compile(r"\b(?:is|are|was|were|has|have|shows?)\b")


def says_none(text: str, example: Example) -> bool:
    """Returns whether an answer without a box says that there is nothing to find. False for an empty text, a claim in
    any notation, a refusal, and what cannot be read. Never raises."""
    text = text.strip()
    if not text or len(text) > LONGEST:
        return False
    if not example.boxes and _words(text) == _words(example.reference) != "":
        return True
    bare = _FENCE.sub(" ", _EMPTY_TAG.sub("[]", text)).strip()
    if bare[:1] in ("[", "{"):
        try:
            return _empty(_structure(bare))
        except (ValueError, RecursionError):
            pass
    return _denies(bare)


def _words(text: str) -> str:
    return " ".join(re.sub(r"[\W_]+", " ", text.casefold()).split())


def _structure(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        python = {"'": '"', "None": "null", "True": "true", "False": "false"}
        return json.loads(re.sub("'|None|True|False", lambda found: python[found[0]], text))


def _empty(value: Any) -> bool:
    """Returns whether JSON says that nothing is there: no list with something in it, no value that claims."""
    if isinstance(value, dict):
        rest = [v for k, v in value.items() if str(k).lower() not in _BESIDE]
        return all(map(_empty, rest)) if rest else not value
    if isinstance(value, list | tuple):
        return all(map(_empty, value))
    if isinstance(value, str):
        return not value.strip() or _denies(value)
    return value is None or value is False


def _denies(text: str) -> bool:
    text = _EMPTY.sub(" none ", text.lower().replace("’", "'").replace("can't", "cannot"))
    text = _MEASURE.sub(" ", text)
    numbers = _NUMBER.findall(text)
    if numbers == ["0"]:
        text = text.replace("0", "no")
    elif len(numbers) > 1 or any("." in n or "%" in n or len(n) > 6 for n in numbers):
        return False  # coordinates, in whatever notation
    kinds: list[_Kind] = []
    pieces = _SENTENCE.split(text)
    for sentence, stop in zip(pieces[::2], [*pieces[1::2], None], strict=False):
        if not (stop and "?" in stop):
            kinds += _sentence(sentence)
    return "denies" in kinds and "claims" not in kinds


def _sentence(text: str) -> list[_Kind]:
    """Returns what each clause of a sentence says. Of "nodule: none" the words before the colon only name the topic."""
    text = " ".join(re.sub(r"[\"()\[\]{}<>=|_]", " ", text).split())
    topic, colon, rest = text.partition(":")
    while colon and len(topic.split()) < 6 and not _HEADING.search(topic):
        if not rest.strip(" ,:"):
            return ["claims" if _speaks(topic) else "neither"]
        topic, colon, rest = (text := rest).partition(":")
    kinds: list[_Kind] = []
    for clause in _CLAUSE.split(text.replace(":", ",")):
        denied = ""  # what a "no" before has denied, which a list may go on with
        for part in _INTERJECTION.sub("no, ", clause.strip(" ,")).split(","):
            part = part.strip(" '")
            if not part or (denied and _is_item(part, denied)):
                continue
            kinds.append(_clause(part))
            denied = part if kinds[-1] == "denies" and _DENIAL.search(part) else ""
    return kinds


def _is_item(part: str, denied: str) -> bool:
    """Returns whether a part between commas goes on with the list of what "no" denies."""
    if re.search(r"\bn?or\b", part):
        return not re.match(r"(?:an?|the|there|it|this|one|left|right|bilateral|small|large|mild|moderate)\b", part)
    again = {word for word in part.split() if len(word) > 3} & set(denied.split())  # "no large mass, small mass"
    return len(part.split()) < 6 and not again and not any(p.search(part) for p in (_NOT_IN_LIST, _CLAIM, _PLACE))


def _clause(text: str) -> _Kind:
    if _FALSE_DENIAL.search(text):
        return "claims"
    if _REFUSAL.search(text):
        return "neither"
    if denial := _DENIAL.search(text):
        before = text[: denial.start()]
        named = _speaks(before)
        # "a nodule is not seen" names first what it denies; "a nodule with no calcification" claims first
        unseen = _UNSEEN.search(denial[0]) and not _CLAIMS_FIRST.search(before)
        return "claims" if named and not unseen else "denies"
    if absent := _ABSENT.search(text):
        return "claims" if _CLAIM.search(text, absent.end()) else "denies"
    if _speaks(text) or _CLAIM.search(text) or _PLACE.search(text) or _NUMBER.search(text):
        return "claims"
    return "denies" if _NORMAL.search(text) or any(s.implied for s in statements(text)) else "neither"


def _speaks(text: str) -> bool:
    """Returns whether a stretch of text names something that could be found and does not rule it out."""
    return bool(_THINGS.search(text)) or any(s.presence != "absent" for s in statements(text))
