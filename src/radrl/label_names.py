"""Names of labels, whatever their spelling, and the words that say that none of them is there.

``Pleural_Effusions`` and ``effusion, pleural`` are one label. What a whole answer says is read by `radrl.label_sets`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

NOTHING = "No Finding"
"""What stands among the labels of an answer that says that nothing is there, where no label of the set has that sense."""
BESIDE = frozenset({("device", "support")})
"""Labels that "No Finding" may stand beside: in CheXpert's sense it is of disease (arXiv 1901.07031)."""

WORD = re.compile(r"[^\W_]+")
_FILL = frozenset({"of", "the", "and", "or", "a", "an"})
_SPLIT = re.compile(r"[,;\n|]")
_AND = re.compile(r"\band\b|&")

_DENY = frozenset("no not without none never cannot neither".split())
_DENY_OF = {"free": "of from", "clear": "of", "devoid": "of", "absence": "of", "lack": "of", "negative": "for"}
_NOUN = frozenset(
    "finding abnormality pathology lesion disease anomaly problem label condition diagnosis option".split()
)
_SOFT = frozenset(
    "acute active significant significantly major important relevant clinically definite obvious gross focal "
    "cardiopulmonary cardiothoracic intrathoracic radiographically".split()
)  # "no acute disease" leaves room for another finding
_BETWEEN = frozenset(
    "any visible detectable identifiable apparent evident abnormal pathological pathologic radiographic radiological "
    "such clear specific or and of the these those listed above given evidence sign there is are was were be seen see "
    "find found show shown display reveal demonstrate identify identified detect detected contain have to thoracic "
    "discernible noticeable recognizable observed chest".split()
)
_LIMIT = frozenset("other additional further else except besides apart aside otherwise but new remaining more".split())
_FILM = frozenset(
    "chest x ray xray radiograph radiography cxr film image picture scan study exam examination view imaging".split()
)
_ROUND = _FILM | frozenset(
    "this that the a an it is are was be to i we at all on in of for from appear look seem show reveal as overall "
    "completely entirely essentially grossly perfectly within limit normal unremarkable healthy finding patient answer "
    "so therefore result impression appearance abnormality frontal lateral present provided given above listed these "
    "them which apply applicable been found seen detected identified visible there has have would say nothing none "
    "option label here abnormal report mention note".split()
)
_PLACE = frozenset("in on within at from of for involving about".split())


def stem(word: str) -> str:
    """Returns a word in lower case without its plural, and with one spelling of oe and ae."""
    word = word.casefold()
    if not word.isascii() or len(word) < 4:
        return word
    if word.endswith("is"):
        word = word[:-2] + "e"  # atelectasis, atelectases
    elif word.endswith("ies"):
        word = word[:-3] + "y"
    elif word.endswith("thoraces"):
        word = word[:-4] + "ax"
    elif word.endswith(("sses", "xes", "ches", "shes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us")):
        word = word[:-1]
    return word.replace("oe", "e").replace("ae", "e")


def stems(text: str) -> list[str]:
    """Returns the stems of the words of a text."""
    return [stem(word) for word in WORD.findall(unicodedata.normalize("NFKC", text))]


def key(name: str) -> tuple[str, ...]:
    """Returns what a label is told by: its stems in order of the alphabet, without articles, "of" and "and"."""
    found = stems(name)
    return tuple(sorted(word for word in found if word not in _FILL)) or tuple(found)


def is_nothing(name: str) -> bool:
    """Returns whether a label says that no other is there: "No Finding", "Normal", "None of these"."""
    return bool(says_nothing(name))


def stated(reference: str, may: Sequence[str] = ()) -> tuple[str, ...] | None:
    """Returns the labels of a reference that lists them: with commas, semicolons, line breaks or "and" between. Empty
    where it says that none is there, None where it says nothing at all."""
    known = {key(name) for name in may}
    items = [item.strip(" .*-•\t") for item in _SPLIT.split(reference)]
    if key(reference) not in known:
        if all(not item or says_nothing(item) for item in items):
            return () if any(items) else None
        items = [part for item in items for part in ([item] if key(item) in known else _AND.split(item))]
    return tuple(item for part in items if (item := part.strip(" .*-•\t")))


def canonical(labels: Iterable[str], may: Sequence[str]) -> tuple[str, ...]:
    """Returns labels in the spelling and order of those that may be named, each once; as they are where ``may`` is
    empty. "No Finding" is left out where no label of ``may`` has its sense, and put in where one has and it is all.

    Raises:
        ValueError: one may not be named, two that may are the same, or "No Finding" stands beside another.
    """
    known: dict[tuple[str, ...], str] = {}
    for name in may:
        if known.setdefault(key(name), name) != name or not key(name):
            raise ValueError(f"the labels {known[key(name)]!r} and {name!r} are the same; leave one out")
    given = {key(name): name for name in labels}
    nothing = [name for name in given.values() if is_nothing(name)]
    there = {k: name for k, name in given.items() if name not in nothing}
    if nothing and set(there) - BESIDE:
        raise ValueError(f"labels say both {nothing[0]!r} and {', '.join(map(repr, there.values()))}")
    unknown = [name for k, name in there.items() if may and k not in known]
    if unknown:
        raise ValueError(
            f"labels {', '.join(map(repr, unknown))} are none of those that may be named: {', '.join(may)}"
        )
    keep = set(there)
    if nothing or not there:
        keep |= {k for k, name in known.items() if is_nothing(name)}
    return tuple(name for k, name in (known or there).items() if k in keep)


def says_nothing(text: str) -> str:
    """Returns ``plainly`` where a sentence says that no finding is there at all ("No finding", "Normal chest X-ray"),
    ``softly`` where it says so but leaves room for one ("no acute disease", "No."), else an empty text."""
    words = [stem(word) for word in WORD.findall(text.casefold().replace("n't", " not").replace("n’t", " not"))]
    if not words or _LIMIT.intersection(words):
        return ""
    said = set(words)
    if said <= {"no", "negative", "clear"} | _FILM - {"x"} and said & {"no", "negative", "clear"}:
        return "softly"
    if said <= {"all", "absent", "negative", "no", "label", "finding", "are"} and {"all"} < said & {
        "all",
        "absent",
        "negative",
        "no",
    }:
        return "plainly"
    if said <= _ROUND and said & {"none", "nothing", "normal", "unremarkable", "healthy"}:
        return "plainly"
    return next((found for at in range(len(words)) if (found := _denied(words, at))), "")


def _denied(words: Sequence[str], at: int) -> str:
    """Returns what "no ... finding" says that begins with word ``at``, as says_nothing does."""
    first = words[at]
    if first in _DENY_OF and at + 1 < len(words) and words[at + 1] in _DENY_OF[first].split():
        start = at + 2
    elif first in _DENY:
        start = at + 1
    else:
        return ""
    if at and (words[at - 1] in _DENY or words[at - 1] == "if"):
        return ""  # "not without abnormalities"
    end, soft = -1, False
    for k in range(start, min(start + 12, len(words))):
        if words[k] in _NOUN:
            end = k
        elif words[k] in _SOFT:
            soft = True
        elif words[k] not in _BETWEEN:
            break
    if end < 0:
        return ""
    rest = words[end + 1 :]
    place = next((k for k, word in enumerate(rest[:4]) if word in _PLACE), None)
    if place is not None and not _FILM.intersection(rest[place + 1 : place + 5]):
        return ""  # "no abnormality of the heart"
    if (
        rest[:1]
        and rest[0] in ("to", "suggest", "suggestive", "suggesting", "consistent")
        and rest[1:2] not in (["report"], ["mention"], ["note"], ["describe"], ["see"])
    ):
        return ""
    return "softly" if soft else "plainly"
