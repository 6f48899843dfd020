"""What ``radrl data check`` asks of the lines of a manifest, in worker processes: a few numbers a line come back."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from radrl import label_names
from radrl.answers.parsing import parse
from radrl.errors import UserError
from radrl.example import Example
from radrl.manifest.independence import unit_of
from radrl.manifest.jsonl import ManifestLine, NotAnExample, count_line_ends, manifest_lines, stretches
from radrl.prompt import control_tokens
from radrl.prompt.messages import PromptStyle, answer_text, earlier, question
from radrl.support.hashing import stable_hash

CONTROL = "control token in a text"
LEAST_WORDS = 3  # of a language's list, and twice as many as of any other, to say that a text is in it
_CJK = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uac00-\ud7af]")
_WORD = re.compile(r"[^\W\d_]+")


class Piece(NamedTuple):
    """A stretch of whole lines of a manifest, in bytes."""

    path: Path
    start: int
    end: int


class Asked(NamedTuple):
    """What is asked of each line: the language it should be in, and the tokens it may have with a model's tokenizer."""

    languages: tuple[str, ...]
    model: str | None = None
    max_tokens: int = 4096


@dataclass
class CheckedPiece:
    """What a piece holds. Arrays have an entry a line that is an Example, but ``images`` one an image of a line.

    ``problems`` are (line, kind, what is wrong and the mend), lines counted from 1 within the piece. ``ids``,
    ``patients`` (0: none named), ``studies`` (0: none named, or the patient is) and ``images`` are hashes.
    """

    lines: int = 0
    number: array = field(default_factory=lambda: array("q"))
    start: array = field(default_factory=lambda: array("q"))
    ids: array = field(default_factory=lambda: array("Q"))
    patients: array = field(default_factory=lambda: array("Q"))
    studies: array = field(default_factory=lambda: array("Q"))
    images: array = field(default_factory=lambda: array("Q"))
    of_line: array = field(default_factory=lambda: array("q"))  # index into ``start`` of each image
    tasks: Counter = field(default_factory=Counter)
    languages: Counter = field(default_factory=Counter)
    longest: int = 0
    problems: list[tuple[int, str, str]] = field(default_factory=list)
    more: Counter = field(default_factory=Counter)


MOST_LISTED = 200  # problems of a kind that a piece keeps; the others are counted


def pieces(path: Path, size: int = 4 << 20) -> list[Piece]:
    """Returns the manifest in pieces of about ``size`` bytes that end with a line. Raises UserError where it cannot."""
    return [Piece(path, start, end) for start, end in stretches(path, size)]


def check_piece(piece: Piece, asked: Asked) -> CheckedPiece:
    """Returns what the lines of a piece hold."""
    found = CheckedPiece()
    for line in manifest_lines(piece.path, piece.start, piece.end):
        found.lines = line.number
        _line(line, asked, found)
    found.lines = count_line_ends(piece.path, piece.start, piece.end)
    return found


def _line(line: ManifestLine, asked: Asked, found: CheckedPiece) -> None:
    try:
        example = line.parse()
    except NotAnExample as error:
        _say(found, "not an Example", str(error))
        return
    found.number.append(line.number)
    found.start.append(line.start)
    found.ids.append(stable_hash(example.id))
    found.patients.append(stable_hash(unit_of(example)) if example.patient else 0)
    found.studies.append(stable_hash(unit_of(example)) if example.study and not example.patient else 0)
    for image in example.images:
        found.images.append(stable_hash(image))
        found.of_line.append(len(found.start) - 1)
    found.tasks[example.task] += 1
    if not example.reference.strip() and example.task != "grounding":
        _say(found, "empty answer", f"'{example.id}' has an empty reference; write the answer or drop the line")
    if example.task == "classification" and (why := _labels_read(example)):
        _say(found, "labels", why)
    told = [language_of(text) for text in (example.question, example.reference)]
    found.languages[told[1] or told[0] or "not told"] += 1
    declared = str(example.meta.get("language") or "")
    allowed = (declared, *asked.languages) if declared else asked.languages
    for name, language in zip(("question", "reference"), told, strict=True):
        if language and language not in allowed:
            why = f"the {name} of '{example.id}' is in {language}, not {', '.join(allowed)}"
            _say(found, "language", f"{why}; drop it or add --language {language}")
            break
    known = control_tokens.of_tokenizer(_tokenizer(asked.model)) if asked.model else control_tokens.FAMILIES
    for name, text in control_tokens.texts_of(example):
        if marks := known.found_in(text):
            said = ", ".join(dict.fromkeys(marks))[:80]
            why = f"{name} of '{example.id}' holds {said}, which is shown and taught as plain text"
            _say(found, CONTROL, why)
            break
    if asked.model:
        length = _tokens(example, asked.model)
        found.longest = max(found.longest, length)
        if length > asked.max_tokens:
            why = f"'{example.id}' has {length} tokens without its images, more than {asked.max_tokens}"
            _say(found, "too long", f"{why}; shorten it or drop the line")


def _labels_read(example: Example) -> str:
    """Returns what is wrong where the taught answer does not name the labels that an answer is scored by."""
    read = {label_names.label_key(name) for name in parse(example.reference, example, PromptStyle()).labels}
    wanted = {label_names.label_key(name) for name in example.labels or (label_names.NOTHING,)}
    if read == wanted:
        return ""
    return f"the reference of '{example.id}' does not name its labels as an answer is read; write {_list(example)}"


def _list(example: Example) -> str:
    return f"'{', '.join(example.labels) or label_names.NOTHING}'"


def _say(found: CheckedPiece, kind: str, why: str) -> None:
    found.more[kind] += 1
    if found.more[kind] <= MOST_LISTED:
        found.problems.append((found.lines, kind, why))


@cache
def _data() -> dict[str, Any]:
    return yaml.safe_load((resources.files("radrl.data.manifests") / "check.yaml").read_text(encoding="utf-8"))


@cache
def _words() -> dict[str, frozenset[str]]:
    lists = {language: set(words.split()) for language, words in _data()["words"].items()}
    return {
        language: frozenset(words.difference(*(other for name, other in lists.items() if name != language)))
        for language, words in lists.items()
    }


def language_of(text: str) -> str | None:
    """Returns the language that the little words of a text tell, or zh, ja or ko as ``zh``; None where they do not."""
    if len(_CJK.findall(text)) >= LEAST_WORDS:
        return "zh"
    said = Counter(_WORD.findall(text.lower()))
    counts = sorted(
        ((sum(said[word] for word in words), language) for language, words in _words().items()), reverse=True
    )
    (most, language), (next_most, _) = counts[:2]
    return language if most >= LEAST_WORDS and most >= 2 * next_most else None


def _tokens(example: Example, model: str) -> int:
    style = PromptStyle()
    asked = earlier(example) + question(example, style)
    text = f"{asked}\n{answer_text(example, style.box_format)}\n{example.thinking or ''}"
    return len(_tokenizer(model)(text)["input_ids"])


@cache
def _tokenizer(model: str) -> Any:
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(model, trust_remote_code=False)
    except Exception as error:  # transformers raises many kinds
        raise UserError(f"--model {model}: has no tokenizer that loads ({str(error).splitlines()[0]})") from None


def check_model(model: str) -> None:
    """Raises UserError where the model has no tokenizer, before any worker asks for it."""
    _tokenizer(model)
