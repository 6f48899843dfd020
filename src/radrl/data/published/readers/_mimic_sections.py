"""The sections of a MIMIC-CXR report, by the rules of its authors' script create_section_files.py.

A section starts at a line of one space and a heading in capitals with a colon; of several sections of one name the last
counts. Names that the headings are given, and the studies that the script sets apart, are in mimic_sections.yaml.
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import Any, NamedTuple

import yaml

HEADING = re.compile(r"\n ([A-Z ()/,-]+):\s")
PARAGRAPH = "\n \n"


class _Names(NamedTuple):
    by_heading: dict[str, str]
    inside: list[str]
    findings: re.Pattern[str]
    apart: frozenset[str]


def sections(text: str) -> dict[str, str]:
    """Returns the text of each section by name, of several with one name the last.

    ``preamble`` is what stands before the first heading, ``full report`` all of a report without one. Where there is
    neither an impression nor findings, ``last_paragraph`` is what follows the first paragraph of the last section.
    """
    found = _split(text)
    names = [_name(heading) for heading, _ in found]
    kept = [
        (name, content)
        for name, (_, content) in zip(names, found, strict=True)
        if name not in ("impression", "findings") or content.strip()
    ]
    if not {"impression", "findings"} & {name for name, _ in kept}:
        name, content = kept[-1]
        first, paragraph, rest = content.partition(PARAGRAPH)
        if paragraph:
            kept[-1:] = [(name, first), ("last_paragraph", rest)]
    return {name: content.strip() for name, content in kept}


def is_set_apart(study: str) -> bool:
    """Returns whether the authors' script takes this study (``50525523``) out of the rules."""
    return study in _names().apart


def _split(text: str) -> list[tuple[str, str]]:
    """Returns headings and what stands under them; a heading right under another one does not count."""
    match = HEADING.search(text)
    if match is None:
        return [("full report", text)]
    found = [("preamble", text[: match.start(1)])]
    while match:
        heading, start = match[1], match.end()
        skipped = max(0, text.find("\n", start) - start)
        match = HEADING.search(text, start + skipped)
        found.append((heading, text[start : match.start() if match else len(text)]))
    return found


def _name(heading: str) -> str:
    names = _names()
    heading = heading.lower().strip()
    if heading in names.by_heading:
        return names.by_heading[heading]
    for name in names.inside:
        if name in heading:
            return name
    return "findings" if names.findings.search(heading) else heading


@lru_cache
def _names() -> _Names:
    file = resources.files("radrl.data.published.readers") / "mimic_sections.yaml"
    read: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    by_heading = {heading: name for name, headings in read["headings"].items() for heading in headings}
    return _Names(
        by_heading,
        read["inside"],
        re.compile("|".join(map(re.escape, read["findings"]))),
        frozenset(str(study) for study in read["apart"]),
    )
