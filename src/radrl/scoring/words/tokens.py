"""The ways in which published figures cut a report into words: BLEU of one is not BLEU of another.

==============  ====================================================================================================
``captions``    our own: lower-cased, the marks ``. , : ; ! ? ( ) [ ] { } "`` alone (`words`); on texts that are so
                already, R2Gen's say, the words of the COCO caption scripts
``split``       as the text stands, cut at white space: the COCO caption scripts, RadEval, RadVLM
``13a``         mteval-v13a, case kept: sacrebleu, Hugging Face's ``evaluate``
``cxr_metric``  lower-cased, a space before each full stop: CXR-Report-Metric (ReXrank), MedEvalKit
``r2gen_iu``    R2Gen's clean_report_iu_xray, then cut at white space
``r2gen_mimic`` R2Gen's clean_report_mimic_cxr, then cut at white space
==============  ====================================================================================================
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Literal

from radrl.scoring.words.splitting import LONGEST_KEPT, codes_of, read

Cut = Literal["captions", "split", "13a", "cxr_metric", "r2gen_iu", "r2gen_mimic"]

_SIGN = re.compile(r"([!-&(-+/:-@\[-`{-~])")  # all of ASCII's but ' , - .
_POINT_AFTER, _POINT_BEFORE = re.compile(r"([^0-9])([.,])"), re.compile(r"([.,])([^0-9])")
_DASH = re.compile(r"([0-9])-")
_ENTITIES = {"&quot;": '"', "&amp;": "&", "&lt;": "<", "&gt;": ">"}

_DROPPED = str.maketrans("", "", "\"/\\'")
_MARKS = str.maketrans("", "", ".,?;*!%^&_+()]{}" + "".join(map(chr, range(ord(":"), ord("[") + 1))))
_NUMBERS = [("1. ", ""), *((f". {n}. ", ". ") for n in "2345"), *((f" {n}. ", ". ") for n in "2345")]
_RUNS = {"r2gen_iu": (("..", 3),), "r2gen_mimic": (("__", 7), ("  ", 6), ("..", 8))}  # halved so many times


def tokens(text: str, cut: Cut) -> list[str]:
    """Returns the words of a text, cut in one of the ways above; no word is empty."""
    if cut == "captions":
        return [word for word in read(text).words if word]
    if cut == "13a":
        return _13a(text)
    if cut == "cxr_metric":
        return [word for word in text.lower().replace(".", " .").split(" ") if word]
    return (text if cut == "split" else clean(text, cut)).split()


def spaced(text: str, cut: Cut) -> list[str]:
    """Returns the words as the COCO scripts' ROUGE-L cuts them: at every single space, so that a run of k spaces holds
    k - 1 empty words. Other ways of cutting than by space have none."""
    if cut == "captions":
        return read(text).words
    if cut in ("split", "r2gen_iu", "r2gen_mimic"):
        return (text if cut == "split" else clean(text, cut)).split(" ")
    return tokens(text, cut)


@lru_cache
def coder(cut: Cut) -> Callable[[str], bytes]:
    """Returns the function from a text to the codes of its words (see `words`), 8 bytes each; what it made of short
    texts is kept."""
    if cut == "captions":
        return lambda text: read(text).codes
    made = lru_cache(maxsize=4096)(lambda text: codes_of(tokens(text, cut)))
    return lambda text: made(text) if len(text) <= LONGEST_KEPT else made.__wrapped__(text)


def _13a(text: str) -> list[str]:
    """mteval-v13a as sacrebleu runs it: signs stand alone, points and commas unless between digits, and a dash after a
    digit; ``<skipped>`` and dashes at the ends of lines go."""
    text = text.replace("<skipped>", "").replace("-\n", "").replace("\n", " ")
    for name, sign in _ENTITIES.items():
        text = text.replace(name, sign)
    text = _SIGN.sub(r" \1 ", f" {text} ")
    text = _POINT_BEFORE.sub(r" \1 \2", _POINT_AFTER.sub(r"\1 \2 ", text))
    return _DASH.sub(r"\1 - ", text).split()


def clean(text: str, how: Literal["r2gen_iu", "r2gen_mimic"]) -> str:
    """Returns a report as R2Gen (arXiv 2010.16056) prepares references: lower-cased, numbers of list items and marks
    gone, sentences joined by `` . ``. R2Gen also cuts references to 60 (IU X-ray) or 100 (MIMIC-CXR) words and writes
    rare ones as ``<unk>``; that is not done here."""
    if how == "r2gen_mimic":
        text = text.replace("\n", " ")
    for pair, times in _RUNS[how]:
        for _ in range(times):
            text = text.replace(pair, pair[0])
    for old, new in _NUMBERS:
        text = text.replace(old, new)
    sentences = text.strip().lower().split(". ")
    return " . ".join(one.translate(_DROPPED).strip().lower().translate(_MARKS) for one in sentences) + " ."
