"""Names of labels, whatever their spelling, and the words that say that none of them is there.

``Pleural_Effusions`` and ``effusion, pleural`` are one label. What a whole answer says is read by
`radrl.clinical.label_sets`.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import resources

import yaml

NOTHING = "No Finding"
"""The label of an answer that says that none is there, where no label of the set has that sense."""
BESIDE = frozenset({("device", "support")})
"""Labels that "No Finding" may be given with: in CheXpert's sense it is of disease (arXiv 1901.07031)."""

FARTHEST = 12  # words from "no" to its noun
WORD = re.compile(r"[^\W_]+")
_FILL = frozenset({"of", "the", "and", "or", "a", "an"})
_SPLIT = re.compile(r"[,;\n|]")
_AND = re.compile(r"\band\b|&")

_DENY_OF = {"free": ("of", "from"), "clear": ("of",), "devoid": ("of",), "absence": ("of",), "negative": ("for",)}
_NORMAL = frozenset({"none", "nothing", "normal", "unremarkable", "healthy"})
_BARE = frozenset({"no", "negative", "clear"})
_ALL = frozenset({"all", "absent", "negative", "no"})


@lru_cache
def label_words(name: str) -> frozenset[str]:
    """Returns the words of a list of label_words.yaml."""
    return frozenset(label_words_in_order(name))


def label_words_in_order(name: str) -> tuple[str, ...]:
    """Returns a list of label_words.yaml in its order."""
    return _lists()[name]


@lru_cache(maxsize=1)
def _lists() -> dict[str, tuple[str, ...]]:
    text = resources.files("radrl").joinpath("label_words.yaml").read_text(encoding="utf-8")
    return {name: tuple(str(some).split()) for name, some in yaml.load(text, yaml.BaseLoader).items()}


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


@lru_cache(maxsize=1 << 14)
def label_key(name: str) -> tuple[str, ...]:
    """Returns what identifies a label: its stems in order of the alphabet, without articles, "of" and "and"."""
    words = stems(name)
    return tuple(sorted(word for word in words if word not in _FILL)) or tuple(words)


@lru_cache(maxsize=1 << 14)
def is_nothing(name: str) -> bool:
    """Returns whether a label says that no other is there: "No Finding", "Normal", "None of these"."""
    return bool(says_nothing(name))


def stated_labels(reference: str, may: Sequence[str] = ()) -> tuple[str, ...] | None:
    """Returns the labels of a reference that lists them: with commas, semicolons, line breaks or "and" between. Empty
    where it says that none is there, None where it says nothing at all."""
    known = {label_key(name) for name in may}
    items = [item.strip(" .*-•\t") for item in _SPLIT.split(reference)]
    if label_key(reference) not in known:
        if all(not item or says_nothing(item) for item in items):
            return () if any(items) else None
        items = [part for item in items for part in ([item] if label_key(item) in known else _AND.split(item))]
    return tuple(item for part in items if (item := part.strip(" .*-•\t")))


def canonical_labels(labels: Iterable[str], may: Sequence[str]) -> tuple[str, ...]:
    """Returns labels in the spelling and order of those that may be named, each once; as they are where ``may`` is
    empty. "No Finding" is left out where no label of ``may`` has its sense, and put in where one has and it is all.

    Raises:
        ValueError: one may not be named, two that may are the same, or "No Finding" is given with another.
    """
    labels = tuple(labels)
    for name in (*may, *labels):
        if not label_key(name):
            raise ValueError(f"label {name!r} holds no letter or digit")
    known: dict[tuple[str, ...], str] = {}
    for name in may:
        if known.setdefault(label_key(name), name) != name:
            raise ValueError(f"the labels {known[label_key(name)]!r} and {name!r} are the same; leave one out")
    given = {label_key(name): name for name in labels}
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
    distinct = set(words)
    if not words or distinct & label_words("limit"):
        return ""
    if distinct & _BARE and distinct <= _BARE | label_words("film"):
        return "softly"
    if "all" in distinct and distinct & _ALL - {"all"} and distinct <= _ALL | label_words("noun") | {"are"}:
        return "plainly"
    if distinct & _NORMAL and distinct <= label_words("round") | label_words("film"):
        return "plainly"
    return next((how for at in range(len(words)) if (how := _denied(words, at))), "")


def _denied(words: Sequence[str], at: int) -> str:
    """Returns what "no ... finding" says that begins with word ``at``, as says_nothing does."""
    if words[at] in label_words("deny"):
        start = at + 1
    elif words[at + 1 : at + 2] and words[at + 1] in _DENY_OF.get(words[at], ()):
        start = at + 2
    else:
        return ""
    if at and (words[at - 1] in label_words("deny") or words[at - 1] == "if"):
        return ""  # "not without abnormalities"
    end, soft = -1, False
    for k in range(start, min(start + FARTHEST, len(words))):
        if words[k] in label_words("noun"):
            end = k
        elif words[k] in label_words("soft"):
            soft = True
        elif words[k] not in label_words("between"):
            break
    after = words[end + 1 : end + 9]
    place = next((k for k, word in enumerate(after[:4]) if word in label_words("place")), None)
    if end < 0 or (place is not None and not label_words("film").intersection(after[place + 1 : place + 5])):
        return ""  # "no abnormality of the heart"
    if after[:1] and after[0] in label_words("purpose") and not label_words("telling").intersection(after[1:2]):
        return ""  # "no findings to suggest edema"
    return "softly" if soft else "plainly"
