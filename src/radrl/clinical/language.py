"""Whether a report is in English, the only language the rules read.

A library of language identification was looked at and left: those of use here load a pickled model, or weigh 100 MB,
and none knows a report of four words such as "Kein Pneumothorax. Kein Erguss." Counted are words of the vocabulary and
the common words of English reports.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources

import yaml

from radrl.clinical.vocabulary import load_vocabulary

_WORD = re.compile(r"[^\W\d_]+")
READ = 400  # words of a report that are looked at
LEAST = 0.5  # share of the words that an English report has at least; of Open-i's 3,927 the lowest is 0.71


def is_english(text: str) -> bool:
    """Returns whether a text can be read by the rules. A text without a word is in no other language: True."""
    words = _WORD.findall(text.lower())[:READ]
    if not words:
        return not any(character.isalpha() for character in text)
    common, shared = _words()
    telling = [word for word in words if word not in shared] or words
    return sum(word in common for word in telling) >= LEAST * len(telling)


@lru_cache(maxsize=1)
def _words() -> tuple[frozenset[str], frozenset[str]]:
    """Returns the words of English reports, and those that other languages share."""
    text = resources.files("radrl.clinical").joinpath("language.yaml").read_text(encoding="utf-8")
    words = yaml.safe_load(text)
    return frozenset(words["common"]) | load_vocabulary().speller.known, frozenset(words["shared"])
