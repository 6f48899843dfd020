"""``<image>`` in a question of LLaVA-style data: a mark of where an image is put, or a word of a sentence."""

from __future__ import annotations

import re
from typing import Literal

TAG = "<image>"
_DETERMINER = re.compile(r"\b(?:an?|the|this|that|these|those|each|every|any|both|first|second|third|last)\s*$", re.I)
_NOUN = re.compile(
    r"\b(?:images?|pictures?|films?|scans?|x-?rays?|radiographs?|photos?|figures?|slices?|views?)$", re.I
)
# what follows a tag that begins a sentence as its subject, and not a question of its own
_SUBJECT = re.compile(
    r"(?:,|and|or|vs\.?|versus|of|from|with|was|were|has|have|shows?|depicts?|displays?|demonstrates?|illustrates?|"
    r"contains?|presents?|represents?|reveals?|is (?:an?|the|of|from))(?!\w)"
)
_TAGS = re.compile(r"<image>(?:[ \t]*<image>)*")


def without_tags(text: str) -> str:
    """Returns a question without the tags of its images, which are shown before it, in their order.

    A tag that stands for itself (before the question, behind it, or on a line of its own) is left out. One that is a
    word of a sentence becomes one: "the image", or "image 1", "image 2" ... where there are several.
    """
    several = text.count(TAG) > 1
    written, number, end = "", 0, 0
    for match in _TAGS.finditer(text):
        written += text[end : match.start()]
        end = match.end()
        before, after = text[: match.start()], text[end:]
        place = _place(written, before, after, several)
        names = [f"image {number + k + 1}" for k in range(match.group().count(TAG))]
        number += len(names)
        said = " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
        if place == "nothing" or (place == "aside" and not several):
            written = written if after[:1].isalnum() else written.rstrip(" \t")
        elif place == "aside":
            written += f"({said})"
        else:
            said = said if several else "image" if _DETERMINER.search(written[-20:]) else "the image"
            written += said if written.strip() else said[0].upper() + said[1:]
    return (written + text[end:]).strip()


def _place(written: str, before: str, after: str, several: bool) -> Literal["nothing", "word", "aside"]:
    """Returns what tags between two texts are: a word of a sentence, an aside to one, or neither."""
    follows, line = after.lstrip(" \t"), before.rstrip(" \t")
    as_subject = "word" if _SUBJECT.match(follows) else "nothing"
    if not written.strip():
        return as_subject
    begins, ends = line.endswith("\n"), not follows or follows.startswith("\n")
    last = not after.replace(TAG, "").strip()
    if begins and ends:  # among several, the place may tell which one is meant ("First film:")
        return "word" if several and not last else "nothing"
    if begins:
        return "word" if as_subject == "word" else "aside"
    if _NOUN.search(line[-30:]):
        return "aside"
    if line.endswith((".", "?", "!")) and (ends or not follows[0].islower()):
        return "nothing" if last else "aside"
    return "nothing" if ends and not several and line.endswith(":") else "word"
