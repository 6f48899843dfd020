"""Which case a record of somebody's file is about, and which of its texts is the model's.

Everybody names both in another way. A case is looked for under every key that may tell it, and the key is taken that
knows the most Examples: an ``idx`` that counts the lines of another data set stands beside an ``img_path`` that tells.
Where no single key knows them all, what a record says together is looked at: its image, its question with the options,
the reference it holds, and in the end its place. No text is guessed at where several may be the model's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from radrl.errors import UserError, one_line
from radrl.example import Example
from radrl.prompt.messages import PromptStyle, question

NAMES = ("id", "question_id", "qid", "uid", "sample_id", "study_id", "dicom_id", "image_id")
IMAGES = ("img_path", "image_path", "image", "images", "img_name", "image_name", "file_name", "Figure_path", "img")
COUNTERS = ("idx", "index", "dataset_index")  # last: they may count something else
QUESTIONS = ("question", "prompt", "prompts", "instr", "instruction", "problem", "query", "input", "messages")
REFERENCES = ("answer", "reference", "ground_truth", "gt", "gts", "gt_answer", "gt_response", "label", "txt")
SURE = "completion"
# A model's words and nothing else; then names that may hold them where none of these is there.
MODELS = (
    "output", "response", "model_output", "prediction", "model_prediction", "pred", "pred_response", "generated_text",
    "output_text", "generation", "gen", "parsed_outputs", "outputs", "responses", "completions",
)  # fmt: skip
MAYBE = ("text", "caption", "report", "answer")
WITH_THINKING = {"output": "full_output", "gen": "gen_raw"}  # the same answer before its thinking was cut off
NESTED = "result"
LONGEST = 50_000  # characters of a text that is looked at for a question
DEEPEST = 4  # parts of an image path that are compared
ENDINGS = re.compile(r"(\.(png|jpe?g|dcm|dicom|bmp|tiff?|webp))+$", re.IGNORECASE)


class Record(NamedTuple):
    """What a file says of one case: where it says it, for messages, and its fields."""

    where: str
    fields: Mapping[str, Any]


def make_record(where: str, fields: Mapping[str, Any]) -> Record:
    """Returns a Record; fields of a mapping under ``result`` stand beside the others."""
    inner = fields.get(NESTED)
    return Record(where, {**inner, **fields} if isinstance(inner, dict) else fields)


# --- the model's words -----------------------------------------------------------------------------------------------


def model_texts(records: Sequence[Record], *, thinking: bool, usual: str) -> list[list[str]]:
    """Returns the model's texts of each record: mostly one, several where it holds several samples.

    ``thinking``: the text before the thinking was cut off, where it is there too. ``usual`` is the key that this form
    of file mostly has, for the message.

    Raises:
        UserError: no key holds a text in all records, or several may hold the model's.
    """
    key = _text_key(records, usual)
    full = WITH_THINKING.get(key, "")
    key = full if thinking and _holds(records, full) else key
    return [_said(one.fields[key]) or [] for one in records]


def has_text(fields: Mapping[str, Any]) -> bool:
    """Returns whether a record holds what may be the model's text."""
    fields = make_record("", fields).fields
    return any(_said(fields.get(key)) is not None for key in (SURE, *MODELS, *MAYBE))


def _text_key(records: Sequence[Record], usual: str) -> str:
    if _holds(records, SURE):
        return SURE
    for keys in (MODELS, MAYBE):
        there = [key for key in keys if _holds(records, key)]
        if keys is MAYBE and len(there) > 1 and there[-1] == "answer":
            there.pop()  # beside the model's text it is the reference
        for other in there[1:]:
            differing = next((one for one in records if one.fields[other] != one.fields[there[0]]), None)
            if differing:
                raise UserError(
                    one_line(
                        f"{differing.where} '{there[0]}' and '{other}' both may be the model's text; name it '{SURE}'"
                    )
                )
        if there:
            return there[0]
    partly = next((k for k in (SURE, *MODELS, *MAYBE) if any(_said(r.fields.get(k)) is not None for r in records)), "")
    lacking = next(one for one in records if _said(one.fields.get(partly)) is None)
    named = ", ".join(str(key)[:40] for key in list(lacking.fields)[:20]) or "none"
    raise UserError(one_line(f"{lacking.where} has no text under '{partly or usual}'; its keys: {named}"))


def _holds(records: Sequence[Record], key: str) -> bool:
    return all(_said(one.fields.get(key)) is not None for one in records)


def _said(value: Any) -> list[str] | None:
    """Returns the texts of a field, or None where it holds something else."""
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list) or not value:
        return None
    each = [next((v[k] for k in (SURE, *MODELS) if k in v), None) if isinstance(v, dict) else v for v in value]
    texts = [one for one in each if isinstance(one, str)]
    return texts if len(texts) == len(each) else None


# --- the case --------------------------------------------------------------------------------------------------------


def case_ids(records: Sequence[Record], examples: Sequence[Example]) -> list[str]:
    """Returns the id of the Example that each record is about; of one that is about none, what the file calls it.

    Raises:
        UserError: the records hold nothing that tells a case.
    """
    known = _Known(examples)
    best: tuple[int, list[str]] | None = None
    for key in (*NAMES, *IMAGES, *COUNTERS):
        names = [_name(one.fields.get(key)) for one in records]
        if all(names):
            found = known.example_ids([str(name) for name in names], counter=key in COUNTERS)
            if best is None or found[0] > best[0]:
                best = found
    if best and best[0] == len(examples):
        return best[1]
    told = known.told(records)
    if len({name for name in told if name}) > (best[0] if best else 0):
        return [name or one.where.rpartition(": ")[2].rstrip(":") for name, one in zip(told, records, strict=True)]
    if best:
        return best[1]
    named = ", ".join(str(key)[:40] for key in list(records[0].fields)[:20])
    wanted = ", ".join((NAMES[0], COUNTERS[0], IMAGES[0]))
    raise UserError(
        one_line(f"{records[0].where} no key of {wanted}, question or the like tells the case; its keys: {named}")
    )


def example_ids(names: Sequence[str], examples: Sequence[Example]) -> list[str]:
    """Returns the ids of the Examples that names mean, and the names that mean none as they are."""
    return _Known(examples).example_ids(names)[1]


def _name(value: Any) -> str | None:
    """Returns a name that a field gives a case: text, a whole number, or the first of a list."""
    if isinstance(value, list) and value:
        value = value[0]
    return str(value) if (isinstance(value, str) and value) or type(value) is int else None


def _images(fields: Mapping[str, Any]) -> list[str]:
    return [name for key in IMAGES if (name := _name(fields.get(key)))]


class _Known:
    """What the Examples may be told by."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self.examples = examples
        reports = [e for e in examples if e.task == "report"]
        self.ids = {example.id: example.id for example in examples}
        self.studies = [_unique((e.study, e.id) for e in of) for of in (examples, reports)]
        self.ends = _unique((example.id.rpartition("/")[2], example.id) for example in examples)
        self.images = [
            _unique((_tail(e.images[0], parts), e.id) for e in of if e.images)
            for of in (examples, reports)
            for parts in range(1, DEEPEST + 1)
        ]

    def example_ids(self, names: Sequence[str], *, counter: bool = False) -> tuple[int, list[str]]:
        """Returns how many Examples some names mean, and the names with the ids of those in their places: as ids,
        studies, ends of ids or ends of image paths, whichever know the most. Those of a counter are ids or nothing."""
        wanted = dict.fromkeys(names)
        found = [{name: self.ids[name] for name in wanted if name in self.ids}]
        if not counter:
            found += [{n: table[n] for n in wanted if n in table} for table in (*self.studies, self.ends)]
            for parts in range(1, DEEPEST + 1):
                tails = {name: _tail(name, parts) for name in wanted}
                for table in self.images[parts - 1 :: DEEPEST]:
                    found.append({name: table[tail] for name, tail in tails.items() if tail in table})
        best = max(found, key=lambda one: len(set(one.values())))  # the first of equals
        return len(set(best.values())), [best.get(name, name) for name in names]

    def told(self, records: Sequence[Record]) -> list[str | None]:
        """Returns the Example that each record tells by what it says together; None where that is none or several."""
        by_image, by_question = defaultdict(set), defaultdict(set)
        for i, example in enumerate(self.examples):
            if example.images:
                by_image[_tail(example.images[0], 1)].add(i)
            for text in (example.question, question(example, PromptStyle())):
                by_question[_norm(text)].add(i)
        pictured = [{i for name in _images(one.fields) for i in by_image.get(_tail(name, 1), ())} for one in records]
        seen = any(pictured)  # then a record with another image is about none of the Examples
        found = [
            [] if seen and not images and _images(one.fields) else self._candidates(one.fields, images, by_question)
            for one, images in zip(records, pictured, strict=True)
        ]
        # in the manifest's order, each where its image and question allow it
        if len(found) == len(self.examples) and all(i in of for i, of in enumerate(found)):
            return [example.id for example in self.examples]
        given: dict[tuple[int, ...], int] = defaultdict(int)
        names: list[str | None] = []
        for of in map(tuple, found):
            place = given[of]  # the same question that stands several times: one after the other
            names.append(self.examples[of[place]].id if place < len(of) and self._asked_alike(of) else None)
            given[of] += 1
        return names

    def _asked_alike(self, of: tuple[int, ...]) -> bool:
        """Returns whether a model sees the same in all these Examples."""
        return len({(e.images, e.question, e.choices, e.history) for e in (self.examples[i] for i in of)}) == 1

    def _candidates(
        self, fields: Mapping[str, Any], of_image: set[int], by_question: Mapping[str, set[int]]
    ) -> list[int]:
        said = "\n".join(text for key in QUESTIONS for text in _strings(fields.get(key)))
        asked = {i for line in _lines(said) for i in by_question.get(line, ())}
        candidates = sorted((of_image & asked) or of_image or asked)
        if len(candidates) < 2:
            return candidates
        whole = _norm(said)
        holding = [i for i in candidates if all(_norm(choice) in whole for choice in self.examples[i].choices)]
        candidates = holding or candidates
        references = {_norm(text) for key in REFERENCES for text in _strings(fields.get(key))}
        return [i for i in candidates if references & self._answers(i)] or candidates

    def _answers(self, i: int) -> set[str]:
        example = self.examples[i]
        return {_norm(example.reference), *(_norm(box.label) for box in example.boxes)} - {""}


def _unique(pairs: Iterable[tuple[str | None, str]]) -> dict[str, str]:
    """Returns key to id, without the keys that stand for several ids."""
    ids: dict[str, str | None] = {}
    for key, name in pairs:
        if key:
            ids[key] = None if ids.get(key, name) != name else name
    return {key: name for key, name in ids.items() if name is not None}


def _tail(path: str, parts: int) -> str:
    """Returns the last parts of an image path, its endings aside: copies are called ``x.jpg.png``."""
    return "/".join(PurePosixPath(ENDINGS.sub("", path[-1000:].replace("\\", "/"))).parts[-parts:])


def _norm(text: str) -> str:
    return " ".join(text.lower().split())


def _lines(text: str) -> Iterator[str]:
    """Yields what may be the question of a prompt: all of it, and each line, without a ``Question:`` before it."""
    for line in (text, *text.split("\n")):
        line = _norm(line.replace("<image>", " "))
        yield line
        for mark in ("question:", "问题：", "问题:"):
            if line.startswith(mark):
                yield line.removeprefix(mark).strip()


def _strings(value: Any, depth: int = 4) -> Iterator[str]:
    """Yields the texts in a JSON value: a prompt may be a text, or chat messages (with pictures in them)."""
    if isinstance(value, str):
        if len(value) <= LONGEST:
            yield value
    elif depth and isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one, depth - 1)
