"""``radrl data clean``: a manifest's reports without references to earlier studies, by rules or by a model.

Both ways give the same files: the manifest, a list of what was taken out, and a page to look at it. Of a model's reply
is asked that it says nothing of findings that the report did not say (change apart); else it is asked again.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import yaml
from pydantic import ValidationError

from radrl.answers.thinking import split_thinking
from radrl.clinical.cleaning import Cleaned, Removed, clean, key
from radrl.clinical.extract import findings
from radrl.errors import UserError, one_line
from radrl.example import Example
from radrl.manifest.jsonl import stream_manifest
from radrl.prompt import instructions
from radrl.prompt.control_tokens import FAMILIES, restored
from radrl.prompt.messages import PromptStyle
from radrl.recipe.endpoints import Endpoint
from radrl.support.endpoint import Chat, Refused, Reply, side_by_side
from radrl.support.files import Journal, journal_lines, replacing

ON_PAGE = 200  # changed reports, the first ones
AT_ONCE = 2000  # reports that are put to a model before they are written
LONGER = 1.2  # a reply may not be longer than this times the report


@dataclass
class Counts:
    """What happened to a manifest's Examples: reports looked at, changed, left empty (and out), given up (and out), and
    Examples passed as they are (other tasks, other languages)."""

    reports: int = 0
    changed: int = 0
    emptied: int = 0
    given_up: dict[str, str] = field(default_factory=dict)
    passed: int = 0


class Shown(NamedTuple):
    """A changed report: the Example's id, the report before, and after."""

    id: str
    report: str
    cleaned: Cleaned


def clean_manifest(
    source: Path, out: Path, endpoint: Endpoint | None = None, prompt: Path | None = None
) -> tuple[Counts, list[Shown]]:
    """Writes ``out``, the Examples of ``source`` with cleaned reports; returns what happened, and the first 200 reports
    that were changed.

    Reports of which nothing is left are left out. With an ``endpoint`` its replies are kept in ``out`` + ``.replies``
    and not asked for again with the same ``prompt`` (a file; radrl's own when not given).

    Raises:
        UserError: the manifest is wrong, ``out`` is in another folder (its image paths would not hold), or the endpoint
            fails for good.
    """
    if Path(os.path.abspath(out)).parent != Path(os.path.abspath(source)).parent or out == source:
        raise UserError(f"{out}: give another file in {source.parent}, where the image paths hold")
    counts, shown = Counts(), list[Shown]()
    text = instructions.read_instruction("cleaner", prompt)
    replies = _Replies(out.with_name(f"{out.name}.replies"), endpoint, text) if endpoint else None
    with replacing(out) as file:
        examples = stream_manifest(source, needed=False)
        while some := list(islice(examples, AT_ONCE)):
            asked = [e for e in some if _is_report(e)]
            cleaned = replies.cleaned(asked, counts) if replies else {e.id: clean(e.reference) for e in asked}
            for example in some:
                made = example
                if _is_report(example):
                    made = _made(example, cleaned.get(example.id), counts, shown)
                else:
                    counts.passed += 1
                if made is not None:
                    file.write(f"{made.model_dump_json(exclude_defaults=True)}\n".encode())
    return counts, shown


def _is_report(example: Example) -> bool:
    return example.task == "report" and example.meta.get("language", "en") == "en"


def _made(example: Example, cleaned: Cleaned | None, counts: Counts, shown: list[Shown]) -> Example | None:
    counts.reports += 1
    if cleaned is None:
        return None
    if cleaned.text == example.reference:
        return example
    counts.changed += 1
    if len(shown) < ON_PAGE:
        shown.append(Shown(example.id, example.reference, cleaned))
    if not cleaned.text:
        counts.emptied += 1
        return None
    return example.model_copy(update={"reference": cleaned.text})


def read_endpoint(file: Path) -> Endpoint:
    """Returns the endpoint that a YAML file names (url, model, api_key_env, ...). Raises UserError."""
    try:
        return Endpoint.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(map(str, first["loc"]))
        raise UserError(one_line(f"{file}: key '{name}': {first['msg']}")) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(one_line(f"{file}: not readable as YAML ({error})")) from None


class _Replies:
    """Reports as a model has rewritten them, kept in a file."""

    def __init__(self, file: Path, endpoint: Endpoint, prompt: str) -> None:
        self.file, self.endpoint, self.prompt = file, endpoint, prompt
        self.digest, packaged = (
            instructions.digest(text) for text in (prompt, instructions.read_instruction("cleaner"))
        )
        self.known: dict[tuple[str, str], str] = {}
        for number, line in journal_lines(file):
            try:
                row = json.loads(line)
                if row.get("prompt", packaged) == self.digest:
                    self.known[row["id"], row["report"]] = row["text"]
            except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
                raise UserError(f"{file}:{number}: not a reply of an earlier run; remove the file") from None

    def cleaned(self, examples: list[Example], counts: Counts) -> dict[str, Cleaned]:
        todo = [e for e in examples if (e.id, e.reference) not in self.known]
        if todo:
            asyncio.run(self._ask(iter(todo), min(self.endpoint.concurrency, len(todo)), counts))
        return {
            e.id: difference(e.reference, self.known[e.id, e.reference])
            for e in examples
            if (e.id, e.reference) in self.known
        }

    async def _ask(self, waiting: Iterator[Example], workers: int, counts: Counts) -> None:
        with Journal(self.file) as journal:
            async with Chat(self.endpoint) as chat:

                async def work() -> None:
                    for example in waiting:
                        try:
                            why = await self._one(chat, example, journal)
                        except Refused as refusal:
                            why = str(refusal)
                        if why:
                            counts.given_up[example.id] = why

                await side_by_side(work, workers)

    async def _one(self, chat: Chat, example: Example, journal: Journal) -> str:
        report = FAMILIES.plain(example.reference)
        content = [{"type": "text", "text": instructions.fill(self.prompt, {"report": report})}]
        why = ""
        for _ in range(self.endpoint.attempts):
            text, why = judged(await chat.complete(content), example.reference)
            if text is not None:
                self.known[example.id, example.reference] = text
                row = {"id": example.id, "report": example.reference, "text": text, "prompt": self.digest}
                journal.append(json.dumps(row))
                return ""
        return why


def judged(reply: Reply, report: str) -> tuple[str | None, str]:
    """Returns a reply's text (empty for NONE), or None and why it cannot be used."""
    text = restored(" ".join(split_thinking(reply.text, PromptStyle())[1].split()))
    if reply.cut:
        return None, "cut at max_tokens"
    if not text:
        return None, "empty"
    if text.strip(".\"'") == "NONE":
        return "", ""
    if len(text) > LONGER * len(report) + 20:
        return None, "longer than the report"
    if not {key(f) for f in findings(text, spans=False)} <= {key(f) for f in findings(report, spans=False)}:
        return None, "says something of a finding that the report does not say"
    return text, ""


def difference(report: str, text: str) -> Cleaned:
    """Returns a rewritten report with the words of the first one that are not in it."""
    words, new = (list(re.finditer(r"\S+", t)) for t in (report, text))
    matcher = difflib.SequenceMatcher(None, [w[0].lower() for w in words], [w[0].lower() for w in new], autojunk=False)
    removed = [
        Removed(
            words[a].start(), words[b - 1].end(), f"now: {' '.join(w[0] for w in new[c:d])}" if c < d else "left out"
        )
        for what, a, b, c, d in matcher.get_opcodes()
        if what in ("delete", "replace")
    ]
    return Cleaned(text, tuple(removed))
