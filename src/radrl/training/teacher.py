"""Thinking traces for real data, written by a teacher model behind an OpenAI-compatible endpoint.

The teacher sees the image, the question and the reference answer and writes the reasoning that leads there, as for
the cold start of arXiv 2512.10691. A trace is kept only when the reply ends in the reference answer. What leaves this
machine is the pixels (encoded anew, without metadata), the question and the reference answer; never an id.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image

from radrl.errors import UserError, in_words
from radrl.example import Example
from radrl.images.pixels import data_uri
from radrl.prompt import instructions
from radrl.prompt.control_tokens import FAMILIES, restored
from radrl.recipe.endpoints import Endpoint
from radrl.support.endpoint import Chat, Refused, Reply, run_coroutine, side_by_side
from radrl.support.files import Journal, journal_lines

# A trace with these words reasons from the answer it was given, not from the image.
TELLS = re.compile(r"\b(reference|given|provided|supplied) answer\b", re.IGNORECASE)


@dataclass
class TraceReport:
    """What `write_traces` did: ids with a trace from before, new traces, replies rejected, and ids given up and why."""

    already: int = 0
    written: int = 0
    rejected: int = 0
    given_up: dict[str, str] = field(default_factory=dict)


def write_traces(
    examples: Sequence[Example],
    images_root: Path,
    out: Path,
    endpoint: Endpoint,
    reference: Callable[[Example], str],
    *,
    prompt: Path | None = None,
    question: Callable[[Example], str] = lambda example: example.question,
    open_image: Callable[[Path], Image.Image] = Image.open,
    progress: Callable[[int, int], None] | None = None,
) -> TraceReport:
    """Asks the teacher for a trace of each Example and appends the good ones to ``out``, one JSON object a line.

    Ids that ``out`` already holds are not asked again, so a stopped run goes on where it was. The lines stand in
    order of arrival.

    Args:
        examples: what to ask; ids must differ.
        images_root: folder the Examples' image paths are relative to.
        out: JSONL of ``{"id", "thinking", "model", "attempts", "prompt"}``, the last a digest of the teacher's prompt.
        endpoint: the teacher.
        reference: the answer a trace must end in, in the exact form the student will be asked for.
        prompt: file of what the teacher is told after the images; radrl's own when not given.
        question: what the teacher is asked about the image.
        open_image: reads one image file; give another reader for DICOM or 16-bit files.
        progress: called with (Examples done, Examples to do) after each.

    Raises:
        UserError: the API key is missing, an image cannot be read, ``out`` cannot be written, is broken or was written
            with another prompt, or the endpoint fails for good. What was written before stays.
    """
    if len({example.id for example in examples}) < len(examples):
        raise UserError(f"{out}: two Examples to write traces for share an id; give each its own")
    report, text = TraceReport(), instructions.read_instruction("teacher", prompt)
    done = _read(out, instructions.digest(text), endpoint.model)
    todo = [example for example in examples if example.id not in done]
    report.already = len(examples) - len(todo)
    if todo:
        with Journal(out) as journal:
            job = _Job(endpoint, text, images_root, journal, report, reference, question, open_image, progress)
            run_coroutine(job.all(todo))
    return report


def load_traces(path: Path) -> dict[str, str]:
    """Returns the thinking of each Example id that a file of `write_traces` holds.

    Raises:
        UserError: the file is missing or a line is not a trace. A last line without its end is left out.
    """
    if not path.is_file():
        raise UserError(f"{path}: no such file of traces; name a teacher under 'coldstart.teacher' to write one")
    return _read(path)


def _read(path: Path, prompt: str | None = None, model: str | None = None) -> dict[str, str]:
    """Returns the traces of a file by id, none where there is no file. Raises UserError too where a trace was asked for
    with another prompt than that of digest ``prompt``, or of another ``model``."""
    traces = {}
    for number, line in journal_lines(path):
        try:
            record = json.loads(line)
            name, thinking = record["id"], record["thinking"]
            if not (isinstance(name, str) and isinstance(thinking, str)):
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError):
            raise UserError(f'{path}:{number}: not a trace {{"id": …, "thinking": …}}; remove the line') from None
        if (
            prompt is not None
            and record.get("prompt", instructions.digest(instructions.read_instruction("teacher"))) != prompt
        ):
            raise UserError(
                f"{path}:{number}: was asked for with another prompt of the teacher's; move the file away to begin anew"
            )
        if model is not None and record.get("model", model) != model:
            raise UserError(f"{path}:{number}: is of another teacher than {model!r}; move the file away to begin anew")
        traces[name] = thinking
    return traces


@dataclass
class _Job:
    """One call of `write_traces`."""

    endpoint: Endpoint
    text: str
    images_root: Path
    journal: Journal
    report: TraceReport
    reference: Callable[[Example], str]
    question: Callable[[Example], str]
    open_image: Callable[[Path], Image.Image]
    progress: Callable[[int, int], None] | None
    done: int = 0

    async def all(self, todo: list[Example]) -> None:
        """Asks for all Examples with ``concurrency`` workers; the first failure for good stops them."""
        waiting = iter(todo)
        async with Chat(self.endpoint) as chat:
            await side_by_side(lambda: self._work(chat, waiting, len(todo)), min(self.endpoint.concurrency, len(todo)))

    async def _work(self, chat: Chat, waiting: Iterator[Example], total: int) -> None:
        for example in waiting:
            try:
                await self._one(chat, example)
            except Refused as refusal:
                self.report.given_up[example.id] = str(refusal)
            self.done += 1
            if self.progress:
                self.progress(self.done, total)

    async def _one(self, chat: Chat, example: Example) -> None:
        shown = FAMILIES.plain_example(example)
        reference = self.reference(shown)
        content = []
        for image in example.images:
            url = await asyncio.to_thread(_data_uri, self.images_root / image, self.open_image, example.id)
            content.append({"type": "image_url", "image_url": {"url": url}})
        text = instructions.fill(self.text, {"question": self.question(shown), "reference": reference})
        content.append({"type": "text", "text": text})
        for attempt in range(1, self.endpoint.attempts + 1):
            thinking, reason = _judge(await chat.complete(content), reference)
            if thinking is not None:
                made = {"id": example.id, "thinking": thinking, "model": chat.endpoint.model, "attempts": attempt}
                self.journal.append(json.dumps({**made, "prompt": instructions.digest(self.text)}))
                self.report.written += 1
                return
            self.report.rejected += 1
        self.report.given_up[example.id] = reason


def _judge(reply: Reply, reference: str) -> tuple[str | None, str]:
    """Returns the thinking of a good reply, else None and why it is rejected."""
    if reply.cut:
        return None, "cut at max_tokens"
    # the opening tag may be missing: some chat templates write it themselves
    thinking, closed, answer = reply.text.strip().removeprefix("<think>").partition("</think>")
    thinking, answer, reference = restored(thinking.strip()), restored(answer), restored(reference)
    if not closed or not thinking:
        return None, "no thinking (a server's reasoning parser may have taken it out; switch that off)"
    if "<think>" in thinking:
        return None, "text before the thinking"
    if " ".join(answer.split()).casefold() != " ".join(reference.split()).casefold():
        return None, "does not end in the reference answer"
    if TELLS.search(thinking):
        return None, "tells that it was given the answer"
    return thinking, ""


def _data_uri(path: Path, open_image: Callable[[Path], Image.Image], name: str) -> str:
    """Returns the image's pixels, and nothing else of it, as a data URI."""
    try:
        with open_image(path) as image:
            plain = image.convert("L" if image.mode in ("1", "L", "LA") else "RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(
            f"Example '{name}': cannot read an image of it ({in_words(error)[:200]}); repair the file"
        ) from None
    return data_uri(plain)
