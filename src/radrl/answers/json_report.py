"""A report that is written as JSON by its sections, ``{"findings": "...", "impression": "..."}``, as text."""

from __future__ import annotations

import json
import re
from typing import Any

SECTIONS = {
    "findings": "Findings", "finding": "Findings", "impression": "Impression", "impressions": "Impression",
    "conclusion": "Impression",
}  # fmt: skip
_OBJECT = re.compile(r"\s*(?:```\w{0,20}\s)?\s*(\{.*\})\s*(?:```)?\s*", re.S)


def of_json(text: str) -> str | None:
    """Returns the sections of a text that is one JSON object with findings or an impression, below ``report`` too; None
    of every other text. One section is its text alone, two are written as ``radrl data prepare --section both`` does.
    Other keys (indication, technique) are left out."""
    whole = _OBJECT.fullmatch(text)
    if not whole or ("inding" not in text.lower() and "impression" not in text.lower()):
        return None
    try:
        said = json.loads(whole[1], strict=False)
    except (ValueError, RecursionError):
        return None
    while isinstance(said, dict) and list(map(str.lower, said)) in (["report"], ["answer"], ["final_answer"]):
        (said,) = said.values()
    if not isinstance(said, dict) or any(isinstance(said.get(key), str) for key in ("report", "answer")):
        return None
    parts: dict[str, str] = {}
    for key, value in said.items():
        name = SECTIONS.get(key.lower().strip(" :"))
        if name and (words := _words(value)) and name not in parts:
            parts[name] = words
    if len(parts) < 2:
        return next(iter(parts.values()), None)
    return "\n".join(f"{name}: {parts[name]}" for name in ("Findings", "Impression"))


def _words(value: Any) -> str:
    """Returns a section's text; of a list its items, of an object its "key: value"s."""
    if isinstance(value, dict):
        value = [f"{key}: {_words(one).rstrip('.')}." for key, one in value.items()]
    if isinstance(value, list):
        return " ".join(one if isinstance(one, str) else _words(one) for one in value)
    return value.strip() if isinstance(value, str) else ""
