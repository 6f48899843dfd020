"""How a text refers to options otherwise than by a capital or by their words ("option b", "choice (b)", "option 2",
"the second option"), which options it turns down ("not B but C", "A and B are wrong", "all but B"), and which it names
in one breath ("B and option C").

The first two rewrite a cleaned text, so that the rest of reading knows one form: a reference becomes "option B", and
what is turned down is left out. What is turned down by its words is left to `radrl.choices.wording`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice
from typing import Literal, NamedTuple

from radrl.choices.options import LETTERS, Named, Options
from radrl.choices.wording import NUMBERS, Said

_ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_PLACE = {word: k for k, word in enumerate(_ORDINALS)}
_PLACE |= {f"{k + 1}{end}": k for k, end in enumerate(("st", "nd", "rd", *["th"] * 7))}
_COUNT = {word: k - 1 for k, word in enumerate(NUMBERS) if k}

_NOUN = r"(?:answer )?(?:options?|choices?|statements?)"
_PLACED = r"(?:answer )?(?:options?|choices?)"  # "statement 1" may be one of the question's own
_AND = r"(?:,? ?(?:\b(?:and|or|nor|to|through)\b|[,/&+-]) ?)"
_NTH = rf"\b(?:{'|'.join([*_PLACE, 'last'])})\b"
_EACH_NTH = re.compile(_NTH, re.I)
_NTH_OPTION = re.compile(
    rf"(?<!to )(?<!to the )(?<!my )(?:\b(?:both )?the |\A|(?<=[.,:\n] )|(?<=\n)|(?<=is )|(?<=with ))"
    rf"({_NTH}(?:{_AND}(?:the )?{_NTH})*) (?:of (?:the|these|those) )?(?:(?:given|listed|above) )?"
    rf"(?:{_PLACED}|answers?)\b",
    re.I,
)
# once the options are spoken of so: "the first option is wrong, the second is right"
_NTH_AGAIN = re.compile(
    rf"\bthe ({_NTH})(?: one)?(?= (?:is|are|was|seems?|appears?|looks?|would|must|should|not|but|fits|matches|and|or)\b"
    r"|[.,;!?)]|\Z|\n)",
    re.I,
)
_NTH_ALONE = re.compile(
    rf"(?:\A|\b(?:answer is|choose|pick|select|go with|say) )the ({_NTH})(?: one)?"
    r"(?=[.!]?\Z| is (?:correct|right|the (?:correct|right|best)))",
    re.I,
)
_NUMBER = rf"#?(?:\d{{1,2}}|{'|'.join(_COUNT)})(?![\w%]|\.\d| of\b)"
_EACH_NUMBER = re.compile(rf"(?<!\w){_NUMBER}", re.I)
_NUMBERED = re.compile(
    rf"\b{_PLACED}(?: number| no\.?)?[ :]{{1,2}}({_NUMBER}(?:{_AND}(?:{_PLACED} )?{_NUMBER})*)", re.I
)

_A_LETTER = r"(?:\([A-Za-z]\)|\[[A-Za-z]\]|(?<![\w'])[A-Za-z](?!'?\w)[)\]]?)"
_LETTERS = rf"{_A_LETTER}(?:{_AND}(?:(?:{_NOUN}|letter) )?{_A_LETTER})*"
_EACH_SMALL = re.compile(r"(?<![\w'])[a-z](?![\w'])")
_BE = r"(?:is|are|was|were|seems?|appears?|looks?|remains?|(?:must|would|should|can|could|may|might) be)"
_WRONG = (
    r"(?:wrong|incorrect|false|excluded|ruled out|eliminated|discarded|rejected|unlikely|less likely|improbable"
    r"|inconsistent|implausible)\b"
)
_RIGHT = r"(?:correct|right|true|best|answers?|likely|likeliest|appropriate|accurate|consistent|choice|option|one)\b"
_AFTER_NOUN = re.compile(
    rf"\b(?:{_NOUN}|letters?)[ :-]{{1,2}}({_LETTERS})(?:(?<![ai])|(?=\s?(?:\Z|[\n.,:;!?()\]/&+])"
    rf"| (?:{_BE}|and|or|but|not|nor|through|over|plus|because|since|as|with|instead|rather|fits?|match(?:es)?"
    r"|describes?|explains?)\b))",
    re.I,
)  # "option a mass" is no reference
_JUDGED = re.compile(
    rf"(?:\A|(?<=[.;:!,\n] )|(?<=\n)|\b(?:so|thus|but|and|while|because|since|therefore|hence|that|both|either),? )"
    rf"({_LETTERS})(?= (?:both |all )?{_BE} (?:not )?(?:\w+ ){{0,4}}?(?:{_RIGHT}|{_WRONG}))",
    re.I,
)

_CAPITAL = _A_LETTER.replace("A-Za-z", "A-Z")
_CAPITALS = (
    rf"(?:(?i:both|either|neither) )?(?:(?i:(?:the )?(?:{_NOUN}|letters?)) )?{_CAPITAL}"
    rf"(?:{_AND}(?:(?i:{_NOUN}|letters?) )?{_CAPITAL})*(?: ?\([^()\n]{{2,80}}\))?"
)
_EACH_CAPITAL = re.compile(r"(?<![\w'])[A-Z](?![\w'])")
_CALLED_WRONG = re.compile(
    rf"(?<![\w'])({_CAPITALS}),? (?:which )?(?:both |all )?"
    rf"(?:{_BE} (?:(?!not\b)\w+ ){{0,2}}{_WRONG}|(?:{_BE} not|isn't|aren't) (?:(?!only\b|just\b)\w+ ){{0,3}}?{_RIGHT})"
)
_TURNED_DOWN = re.compile(
    r"\b(?i:(?:but |and )?(?:cannot be|can't be|isn't|aren't|not|neither|rather than|instead of|except(?: for)?"
    r"|other than|excluding|excludes?|eliminat(?:es?|ed|ing)|rul(?:es?|ed|ing) out|dismiss(?:es|ed|ing)?"
    r"|reject(?:s|ed|ing)?|discard(?:s|ed|ing)?|over"
    r"|(?:all|any(?:thing|one)?|every(?:thing)?|each)(?: of (?:the above|them|these|those))?"
    rf" (?:but|except(?: for)?|besides|save))) ({_CAPITALS})"
    r"(?=[.,;:!?)]|\Z|\n| (?:but|so|and (?:so|thus|the|it|that|this)|leav\w+|which|because|as|since)\b)"
)
_ALL_BUT = re.compile(
    r"\b(all|any(?:thing|one)?|every(?:thing|one)?|each)( of (?:the above|them|these|those))? but\b", re.I
)
_LISTED = (  # "A and (b)"
    re.compile(rf"(?<![\w'])[A-Z][)\]]?{_AND}([(\[][a-z][)\]])(?!\w)"),
    re.compile(rf"(?<!\w)([(\[][a-z][)\]]){_AND}(?:{_NOUN} )?[(\[]?[A-Z](?!'?\w)"),
)
_MAY_REFER = re.compile(
    rf"option|choice|answer|letter|statement|\bthe {_NTH}|[(\[][a-z][)\]]|\bbut\b|{_RIGHT}|{_WRONG}", re.I
)
_MAY_TURN = re.compile(
    r"\b(?:not|cannot|neither|nor|rather|instead|over|except|other than|exclud|eliminat|rul(?:e|ing)|dismiss|reject"
    r"|discard|wrong|incorrect|false|unlikely|less likely|improbable|inconsistent|implausible)|n't\b",
    re.I,
)
_REFERENCE = re.compile(
    rf"(?:(?i:the )?(?i:{_NOUN}|letter) )?(?:[(\[]?(?<![\w'])([A-Z])(?!'?\w)[)\]]?|(?<!\w)[(\[]([a-z])[)\]])"
)
_IN_ONE_BREATH = re.compile(
    r"[.)\]]?,?\s?(?:(?P<word>and/or|and|or|nor|as well as)|but also|plus|through|to|then|versus|vs\.?|[,;/&+-])\s?"
    r"(?:(?:also|maybe|possibly|perhaps|even|the|an?) ){0,3}[(\[]?"
)
_AND_ARE = re.compile(r"\b(?:and|or|nor) \0.*\bare\b", re.S)
_OWN_WORDS = re.compile(r"[)\].:,]{0,2} ?[(-]? ?")
REFERENCES = 200  # that are looked at
# under these nothing is turned down: "I doubt that B is wrong", "if B is wrong", "it is not that B is wrong"
_DOUBTED = re.compile(
    r"\b(?:if|whether|unless|not|never|doubt|thought|think|believe|say|n't|no|might|may|could|initially|at first)\b"
    r"[^.;!?\n]{0,60}\Z|n't [^.;!?\n]{0,60}\Z",
    re.I,
)
_LEFT_OVER = re.compile(
    r"(?:(?<=\n)|\A)(?: ?(?:[.,;:!-]|and\b|but\b|so\b|therefore\b|hence\b|thus\b))+ ?|(?<=[;,]) ?[;,]"
)


def with_capitals(text: str, options: Options) -> str:
    """Returns a cleaned text with its references by small letters, numbers and places as "option B"."""
    if not _MAY_REFER.search(text):
        return text
    count, own = len(options.phrases), {word for phrase in options.phrases for word in phrase}
    text = _ALL_BUT.sub(r"\1 except", text)
    if _EACH_NTH.search(text) and not own & (_PLACE.keys() | {"last"}):
        text, found = _NTH_OPTION.subn(lambda m: f"option {_places(m[1], count)}", text)
        again = _NTH_AGAIN if found else _NTH_ALONE
        text = again.sub(lambda m: _put(m, f"option {_places(m[1], count)}", before=4), text)
    if not any(word.isdigit() for word in own):
        text = _NUMBERED.sub(lambda m: f"option {_EACH_NUMBER.sub(lambda n: _letter(_number(n[0])), m[1])}", text)
    if _letters_are_words(options):
        return text
    for pattern in (_AFTER_NOUN, _JUDGED, *_LISTED):
        text = pattern.sub(lambda m: _put(m, _EACH_SMALL.sub(lambda small: small[0].upper(), m[1])), text)
    return text


def _letters_are_words(options: Options) -> bool:
    """Returns whether a letter may be part of an option's words: the B of "vitamin B"."""
    return any(len(word) == 1 and word.isalpha() and word != "a" for phrase in options.phrases for word in phrase)


def _put(match: re.Match[str], text: str, before: int = 0) -> str:
    """Returns what was matched with other text for its group, and for so many characters before it."""
    start, end = match.start(1) - match.start() - before, match.end(1) - match.start()
    return match[0][:start] + text + match[0][end:]


def _places(text: str, count: int) -> str:
    """Returns "B or C" of "second or the third"."""
    text = re.sub(r"\bthe ", "", text, flags=re.I)
    return _EACH_NTH.sub(lambda m: _letter(count - 1 if m[0].lower() == "last" else _PLACE[m[0].lower()]), text)


def _number(text: str) -> int:
    text = text.lstrip("#").lower()
    return int(text) - 1 if text.isdigit() else _COUNT[text]


def _letter(index: int) -> str:
    return LETTERS[index] if 0 <= index < len(LETTERS) else "?"


def turned_down(text: str, options: Options) -> tuple[str, set[int]]:
    """Returns a cleaned text without what it turns down by letter, and the options that it does."""
    if _letters_are_words(options) or not _MAY_TURN.search(text):
        return text, set()
    down: set[int] = set()

    def drop(match: re.Match[str]) -> str:
        if _DOUBTED.search(match.string, max(0, match.start() - 80), match.start()):
            return match[0]
        if _AND_ARE.search(f"{match.string[max(0, match.start() - 5) : match.start()]}\0{match[0]}"):
            return match[0]  # "effusion and B are wrong"
        for letter in _EACH_CAPITAL.findall(re.sub(r"\([^()]{2,}\)", " ", match[1])):
            down.update(options.letter(letter))
        return " "

    for pattern in _with_words(options.named):
        text = pattern.sub(r"\1 (\2)", text)
    for pattern in (_CALLED_WRONG, _TURNED_DOWN):
        text = pattern.sub(drop, text)
    return (_LEFT_OVER.sub("", re.sub(r" +(?= |[.,;:!?)\n]|\Z)", "", text)).strip(), down) if down else (text, down)


@lru_cache(maxsize=4096)
def _with_words(named: tuple[str, ...]) -> list[re.Pattern[str]]:
    """Returns what finds each letter with its words in mid-sentence: "not A. Pneumothorax" is one thing."""
    lettered = [(letter, re.escape(name)) for letter, name in zip(LETTERS, named, strict=False) if "(" not in name]
    return [re.compile(rf"(?<=[a-z,] )({letter})[.):] ((?i:{name}))(?!\w)") for letter, name in lettered]


def named_with_another(named: Named, index: int) -> bool:
    """Returns whether a text names an option in one breath with another, one of them by letter, and not alone after."""
    if len(named.words) < 2:
        return False
    found: list[_Naming] = []
    for one in sorted([*_by_letter(named), *(_Naming(m.start, m.end, m.index, m.said) for m in named.mentions)]):
        if found and found[-1].index == one.index and _OWN_WORDS.fullmatch(named.lines, found[-1].end, one.start):
            found[-1] = found[-1]._replace(end=one.end)  # "B. Pleural effusion"
        else:
            found.append(one)
    joined = [k for k in range(1, len(found)) if _in_one_breath(named, found[k - 1], found[k])]
    mine = [k for k, one in enumerate(found) if one.index == index and one.said != "denied"]
    return bool(mine) and any(k in joined or k + 1 in joined for k in mine[-1:])


class _Naming(NamedTuple):
    """An option that is named, where, and how; ``letter`` where it is by its letter."""

    start: int
    end: int
    index: int
    said: Said | Literal["letter"]


def _by_letter(named: Named) -> Iterator[_Naming]:
    for match in islice(_REFERENCE.finditer(named.lines), REFERENCES):
        letter = match[match.lastindex or 0]
        if not named.inside(match.start(match.lastindex or 0)):
            for index in named.options.letter(letter):
                yield _Naming(match.start(), match.end(), index, "letter")


def _in_one_breath(named: Named, one: _Naming, other: _Naming) -> bool:
    """Returns whether two different options are named with nothing but "and", "or", a comma between them."""
    said = {one.said, other.said}
    if one.index == other.index or said & {"open", "clear"} or said == {"denied"}:
        return False
    between = _IN_ONE_BREATH.fullmatch(named.lines, one.end, other.start)
    # "A and effusion are wrong", "effusion and pneumothorax are right"; but "B, effusion is absent"
    return bool(between) and (between["word"] is not None or ("letter" in said and "denied" not in said))
