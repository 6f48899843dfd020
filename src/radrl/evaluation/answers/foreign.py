"""Predictions that others made, read from their files.

| file | what it is | a case is told by |
|---|---|---|
| `.jsonl` | ours, or a record a line: MedVLThinker's results, verl's and LLaVA's answers, Qwen3-VL's | any key |
| `.json`, a list | records: RadVLM's `*_output.json`, MedEvalKit's ``results.json``, VLM-R1's, COCO's | any key |
| `.json`, an object | ReXrank: study to ``model_prediction`` (rajpurkarlab/ReXrank); COCO: id to `[text]` | its keys |
| `.csv` | records; ReXrank's and CXR-Report-Metric's `study_id,report` | any column |
| `.txt`, `.tsv` | plain text pairs, `reference<TAB>prediction` a line (or an id first) | place and reference, or id |

What a record's keys mean is found in `radrl.evaluation.answers.joining`.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from radrl.errors import UserError, one_line
from radrl.evaluation.answers import joining
from radrl.evaluation.answers.digests import manifest_digest
from radrl.evaluation.answers.header import MOST_SAMPLES, Header, read_header
from radrl.evaluation.answers.joining import Record
from radrl.evaluation.answers.predictions import Prediction, read_predictions
from radrl.example import Example
from radrl.prompt.messages import PromptStyle


def read_foreign(path: Path, examples: Sequence[Example], style: PromptStyle) -> tuple[Header, list[Prediction]]:
    """Returns the Header of a file, which says that its Predictions are in ``style``, and these, under the ids of the
    Examples where these are meant.

    Which ids are missing or unknown is for ``arrange_by_sample`` to say. A file of ours brings its own Header;
    otherwise the decoding settings are not known.

    Raises:
        UserError: the file cannot be read or is in no known form, or it was made for another manifest.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot read the predictions: {error.strerror}; check the path") from None
    beside = path.with_suffix(".json")
    if path.suffix == ".jsonl" and beside.is_file() and _is_header(beside):
        header = read_header(beside)
        wanted, given = manifest_digest(examples), header.hashes.get("manifest")
        if given and given != wanted:
            raise UserError(f"{path}: answers another manifest ({given}, not {wanted}); evaluate on the same Examples")
        return header, list(read_predictions(path))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if path.suffix not in READERS:
        raise UserError(f"{path}: predictions are read from {', '.join(READERS)}")
    rows = READERS[path.suffix](path, text, examples, style.thinking)
    if not rows:
        raise UserError(f"{path}: holds no prediction")
    header = Header(
        model=path.stem,
        source=str(path.resolve()),
        backend="file",
        prompt=asdict(style),
        decoding={"samples": 1 + max(one.sample for one in rows)},
        hashes={"file": hashlib.sha256(raw).hexdigest()[:16]},
    )
    return header, rows


def _jsonl(path: Path, text: str, examples: Sequence[Example], thinking: bool) -> list[Prediction]:
    records = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except (ValueError, RecursionError):
            content = None
        if not isinstance(content, dict) or not joining.has_text(content):
            raise UserError(
                f'{path}:{number}: not a line {{"id": ..., "completion": ...}} (or "text", "output", "response", …); '
                "correct or remove it"
            )
        records.append(joining.make_record(f"{path}:{number}:", content))
    return _joined(records, examples, thinking, "completion")


def _joined(records: Sequence[Record], examples: Sequence[Example], thinking: bool, usual: str) -> list[Prediction]:
    """Returns the Predictions of records, whose ``sample`` and ``tokens`` are taken where they are there."""
    if not records:
        return []
    said = joining.model_texts(records, thinking=thinking, usual=usual)
    rows = []
    for name, texts, one in zip(joining.case_ids(records, examples), said, records, strict=True):
        first, tokens = one.fields.get("sample", 0), one.fields.get("tokens")
        if type(first) is not int or not 0 <= first <= MOST_SAMPLES - len(texts):
            raise UserError(f"{one.where} 'sample' should be a whole number from 0 to {MOST_SAMPLES - 1}")
        count = tokens if type(tokens) is int and tokens >= 0 and len(texts) == 1 else None
        rows += [Prediction(_clean(name), first + k, _clean(text), count, "") for k, text in enumerate(texts)]
    return rows


def _json(path: Path, text: str, examples: Sequence[Example], thinking: bool) -> list[Prediction]:
    try:
        content = json.loads(text, object_pairs_hook=lambda pairs: _no_doubles(path, pairs))
    except (ValueError, RecursionError) as error:
        raise UserError(one_line(f"{path}: not JSON ({error}); one object a line belongs in a .jsonl file")) from None
    if isinstance(content, dict):
        lists = [value for value in content.values() if _records(value)]
        if len(lists) != 1:
            return _by_key(path, content, examples, thinking)
        content = lists[0]  # VLM-R1: beside the accuracy
    if not isinstance(content, list) or not all(isinstance(one, dict) for one in content):
        raise UserError(f"{path}: neither a list of records, as RadVLM's outputs, nor ReXrank's object of studies")
    records = [joining.make_record(f"{path}: output {place}:", one) for place, one in enumerate(content, 1)]
    return _joined(records, examples, thinking, "output")


def _records(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(one, dict) for one in value)


def _by_key(path: Path, content: dict[str, Any], examples: Sequence[Example], thinking: bool) -> list[Prediction]:
    records = []
    for name, value in content.items():
        if isinstance(value, str):
            value = [value]
        fields = value if isinstance(value, dict) else {"model_prediction": value}  # pycocoevalcap's form: [text]
        if isinstance(value, list) and len(value) != 1:
            fields = {}
        records.append(joining.make_record(one_line(f"{path}: '{name}'"), fields))
    if not records:
        return []
    said = joining.model_texts(records, thinking=thinking, usual="model_prediction")
    names = joining.example_ids(list(content), examples)
    return [
        Prediction(_clean(name), k, _clean(text), None, "")
        for name, texts in zip(names, said, strict=True)
        for k, text in enumerate(texts)
    ]


def _no_doubles(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object; json itself would keep the last of two equal keys in silence."""
    record = dict(pairs)
    if len(record) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise UserError(one_line(f"{path}: '{double}' stands twice in one object; a file holds each case once"))
    return record


def _is_header(beside: Path) -> bool:
    """Returns whether a file beside a .jsonl is its Header, and not somebody's results of the same name."""
    try:
        content = json.loads(beside.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return True  # which `read_header` then says
    return isinstance(content, dict) and ("prompt" in content or "decoding" in content)


def _csv(path: Path, text: str, examples: Sequence[Example], thinking: bool) -> list[Prediction]:
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [(name or "").strip() for name in lines.fieldnames or []]
        if not {*columns} & {*joining.NAMES, *joining.IMAGES, *joining.COUNTERS, *joining.QUESTIONS}:
            there = ", ".join(columns) or "none"
            raise UserError(one_line(f"{path}: columns are {there}; needed: study_id and report, or the like"))
        if len(set(columns)) < len(columns):
            raise UserError(one_line(f"{path}: a column stands twice: {', '.join(columns)}"))
        lines.fieldnames = columns
        records = []
        for row in lines:
            if row.get(None) is not None or any(row[column] is None for column in columns):
                raise UserError(f"{path}:{lines.line_num}: not as many fields as there are columns; quote the report")
            named = {key: row[key].strip() for key in row if key in joining.NAMES}
            records.append(Record(f"{path}:{lines.line_num}:", {**row, **named}))
        return _joined(records, examples, thinking, "report")
    except csv.Error as error:
        raise UserError(one_line(f"{path}:{lines.line_num}: not CSV ({error})")) from None


def _pairs(path: Path, text: str, examples: Sequence[Example], thinking: bool) -> list[Prediction]:
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    rows = []
    for number, line in enumerate(lines, 1):
        first, tab, said = line.partition("\t")
        if not tab or "\t" in said:
            raise UserError(f"{path}:{number}: a line is a reference (or id), one tab, and the prediction")
        rows.append((number, first.strip(), said))
    names = [name for _, name, _ in rows]
    if sum(n in {e.id for e in examples} | {e.study for e in examples} for n in names) * 2 > len(names):
        names = joining.example_ids(names, examples)
    else:
        # No ids: line by line the manifest's cases, and every reference must be the one that stands there.
        if len(rows) != len(examples):
            raise UserError(f"{path}: {len(rows)} pairs for {len(examples)} Examples; give ids, or one line an Example")
        for (number, reference, _), example in zip(rows, examples, strict=True):
            if reference.split() != example.reference.split():
                raise UserError(
                    one_line(f"{path}:{number}: the reference is not that of '{example.id}', the manifest's case there")
                )
        names = [example.id for example in examples]
    return [Prediction(_clean(n), 0, _clean(said), None, "") for n, (_, _, said) in zip(names, rows, strict=True)]


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode()  # half a surrogate pair cannot be written


READERS: dict[str, Callable[[Path, str, Sequence[Example], bool], list[Prediction]]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".txt": _pairs,
    ".tsv": _pairs,
}
