"""What the models that help are told: teacher, judge and cleaner. A text file each, which a user's own may replace.

A file is taken as it stands; words in braces that are known are filled in, all other braces are left alone.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Literal

from radrl.errors import UserError, one_line
from radrl.prompt.control_tokens import FAMILIES

Kind = Literal["teacher", "judge", "cleaner"]
NEEDED: Mapping[Kind, tuple[str, ...]] = {
    "teacher": ("{question}", "{reference}"),
    # between the marks stands what a model wrote that is paid for good verdicts
    "judge": ("{question}", "{reference}", "{answer}", "{mark}", "VERDICT:"),
    "cleaner": ("{report}",),
}


def read_instruction(kind: Kind, file: Path | None = None) -> str:
    """Returns the text of ``file``, or else of the packaged one.

    Raises:
        UserError: the file cannot be read, or lacks one of ``NEEDED``.
    """
    if file is None:
        return (resources.files("radrl.prompt.instructions") / f"{kind}.txt").read_text(encoding="utf-8")
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(one_line(f"{file}: cannot read the {kind}'s prompt: {error.strerror}")) from None
    except UnicodeDecodeError:
        raise UserError(one_line(f"{file}: the {kind}'s prompt is not UTF-8 text; save it as UTF-8")) from None
    for part in NEEDED[kind]:
        if part not in text:
            raise UserError(one_line(f"{file}: the {kind}'s prompt has no {part}; put it where it belongs"))
    return text


def fill(text: str, words: Mapping[str, str]) -> str:
    """Returns a text with its words in braces filled in, in one pass: what is filled in is not looked at again.

    Texts of the data should be plain (`radrl.prompt.control_tokens`); no mark comes of two that stand side by side.
    """
    parts = re.split(r"\{(\w+)\}", text)  # words in braces at odd places
    return FAMILIES.joined([words.get(part, f"{{{part}}}") if k % 2 else part for k, part in enumerate(parts)])


def digest(text: str) -> str:
    """Returns 16 hexadecimal digits that tell one prompt from another, to be kept beside what a model made of it."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]
