"""Predictions that others made, read from their files.

| file | what it is | a case is told by |
|---|---|---|
| `.jsonl` | ours, or `{"id", "text"}` a line | `id` |
| `.json`, a list | RadVLM's `*_output.json`: `output` is the answer (uzh-dqbm-cmi/RadVLM) | `id`, `idx` or `img_path` |
| `.json`, an object | ReXrank: study to `model_prediction` (rajpurkarlab/ReXrank); COCO: id to `[text]` | its keys |
| `.csv` | ReXrank's and CXR-Report-Metric's `study_id,report` | `study_id` |
| `.txt`, `.tsv` | plain text pairs, `reference<TAB>prediction` a line (or an id first) | place and reference, or id |

A file's ids are ids of Examples, or else their studies, or else the names of their images.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from radrl.errors import UserError
from radrl.evaluation import predictions as store
from radrl.evaluation.header import MOST_SAMPLES, Header, manifest_hash, read_header
from radrl.evaluation.predictions import Prediction
from radrl.example import Example
from radrl.prompt import PromptStyle
from radrl.recipe_yaml import one_line

Row = tuple[int, str, str]  # line or place from 1, id, text
RADVLM_KEYS = ("id", "idx", "img_path")


def read(path: Path, examples: Sequence[Example], style: PromptStyle) -> tuple[Header, list[Prediction]]:
    """Returns a file's Predictions, under the ids of the Examples where these are meant, and their Header, which says
    that they are in ``style``.

    Which ids are missing or unknown is for `predictions.arrange` to say. A file of ours brings its own Header;
    otherwise the decoding settings are not known.

    Raises:
        UserError: the file cannot be read or is in no known form, or it was made for another manifest.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot read the predictions: {error.strerror}; check the path") from None
    beside = path.with_suffix(".json")
    if path.suffix == ".jsonl" and beside.is_file():
        header = read_header(beside)
        wanted, given = manifest_hash(examples), header.hashes.get("manifest")
        if given and given != wanted:
            raise UserError(f"{path}: answers another manifest ({given}, not {wanted}); evaluate on the same Examples")
        return header, list(store.read(path))
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    if path.suffix not in READERS:
        raise UserError(f"{path}: predictions are read from {', '.join(READERS)}")
    found = READERS[path.suffix](path, text, examples)
    if not found:
        raise UserError(f"{path}: holds no prediction")
    samples = 1
    if path.suffix == ".jsonl":  # the only form that may hold several samples of a case
        rows = found
        samples = 1 + max(one.sample for one in rows)
    else:
        rows = [Prediction(name, 0, said, None, "") for _, name, said in found]
    names = _by_name(examples, {one.id for one in rows})
    header = Header(
        model=path.stem,
        source=str(path.resolve()),
        backend="file",
        prompt=asdict(style),
        decoding={"samples": samples},
        hashes={"file": hashlib.sha256(raw).hexdigest()[:16]},
    )
    return header, [one._replace(id=names.get(one.id, one.id)) for one in rows]


def _by_name(examples: Sequence[Example], wanted: set[str]) -> dict[str, str]:
    """Returns what the file's ids mean: ids of Examples, studies, or image names, whichever knows the most of them."""
    ids = {example.id: example.id for example in examples}
    reports = [example for example in examples if example.task == "report"]
    studies = _unique((e.study, e.id) for e in examples) or _unique((e.study, e.id) for e in reports)
    images = _unique((Path(e.images[0]).stem if e.images else None, e.id) for e in examples)
    stems = {name: images[stem] for name in wanted if (stem := Path(name).stem) in images}
    known = (ids, studies, stems)
    return max(known, key=lambda one: len(wanted & one.keys()))  # the first of equals


def _unique(pairs: Iterable[tuple[str | None, str]]) -> dict[str, str]:
    """Returns key to id, or nothing where a key stands for several ids."""
    found = [(key, name) for key, name in pairs if key]
    return dict(found) if len({key for key, _ in found}) == len(found) else {}


def _jsonl(path: Path, text: str, examples: Sequence[Example]) -> list[Prediction]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            name, said = record["id"], record["completion"] if "completion" in record else record["text"]
            sample = record.get("sample", 0)
            if isinstance(name, int) and not isinstance(name, bool):
                name = str(name)
            texts = isinstance(name, str) and isinstance(said, str)
            if not texts or type(sample) is not int or not 0 <= sample < MOST_SAMPLES:
                raise TypeError
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            raise UserError(
                f'{path}:{number}: not a line {{"id": ..., "completion": ...}} (or "text"); mend or remove it'
            ) from None
        tokens = record.get("tokens")
        rows.append(Prediction(name, sample, _clean(said), tokens if type(tokens) is int else None, ""))
    return rows


def _json(path: Path, text: str, examples: Sequence[Example]) -> list[Row]:
    try:
        content = json.loads(text, object_pairs_hook=lambda pairs: _no_doubles(path, pairs))
    except (ValueError, RecursionError) as error:
        raise UserError(one_line(f"{path}: not JSON ({error}); one object a line belongs in a .jsonl file")) from None
    if isinstance(content, dict):
        return [
            (place, name, _text(path, f"'{name}'", record, "model_prediction"))
            for place, (name, record) in enumerate(content.items(), 1)
        ]
    if not isinstance(content, list) or not all(isinstance(record, dict) for record in content):
        raise UserError(f"{path}: neither RadVLM's list of outputs nor ReXrank's object of studies")
    key = next((key for key in RADVLM_KEYS if all(_named(record.get(key)) for record in content)), None)
    if key is None:
        raise UserError(
            f"{path}: no key of {', '.join(RADVLM_KEYS)} is in all outputs; a case needs one to be found by"
        )
    return [
        (place, str(record[key]), _text(path, f"output {place}", record, "output"))
        for place, record in enumerate(content, 1)
    ]


def _no_doubles(path: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Returns a JSON object; json itself would keep the last of two equal keys in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        double = next(key for key in keys if keys.count(key) > 1)
        raise UserError(one_line(f"{path}: '{double}' stands twice in one object; a file holds each case once"))
    return found


def _named(value: Any) -> bool:
    return (isinstance(value, str) and bool(value)) or type(value) is int


def _text(path: Path, where: str, record: Any, key: str) -> str:
    if isinstance(record, list) and len(record) == 1:  # pycocoevalcap's form
        record = {key: record[0]}
    said = record.get(key) if isinstance(record, dict) else None
    if not isinstance(said, str):
        raise UserError(one_line(f"{path}: {where} has no text under '{key}'"))
    return _clean(said)


def _csv(path: Path, text: str, examples: Sequence[Example]) -> list[Row]:
    lines = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    try:
        columns = [(name or "").strip() for name in lines.fieldnames or []]
        if "study_id" not in columns or "report" not in columns:
            raise UserError(
                one_line(f"{path}: columns are {', '.join(columns) or 'none'}; needed: study_id and report")
            )
        if len(set(columns)) < len(columns):
            raise UserError(one_line(f"{path}: a column stands twice: {', '.join(columns)}"))
        lines.fieldnames = columns
        rows = []
        for record in lines:
            if record.get(None) is not None or any(record[column] is None for column in ("study_id", "report")):
                raise UserError(f"{path}:{lines.line_num}: not as many fields as there are columns; quote the report")
            rows.append((lines.line_num, record["study_id"].strip(), record["report"]))
        return rows
    except csv.Error as error:
        raise UserError(one_line(f"{path}:{lines.line_num}: not CSV ({error})")) from None


def _pairs(path: Path, text: str, examples: Sequence[Example]) -> list[Row]:
    lines = [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
    rows = []
    for number, line in enumerate(lines, 1):
        first, tab, said = line.partition("\t")
        if not tab or "\t" in said:
            raise UserError(f"{path}:{number}: a line is a reference (or id), one tab, and the prediction")
        rows.append((number, first.strip(), said))
    names = [name for _, name, _ in rows]
    if sum(n in {e.id for e in examples} | {e.study for e in examples} for n in names) * 2 > len(names):
        return rows
    # No ids: line by line the manifest's cases, and every reference must be the one that stands there.
    if len(rows) != len(examples):
        raise UserError(f"{path}: {len(rows)} pairs for {len(examples)} Examples; give ids, or one line an Example")
    for (number, reference, _), example in zip(rows, examples, strict=True):
        if reference.split() != example.reference.split():
            raise UserError(
                one_line(f"{path}:{number}: the reference is not that of '{example.id}', the manifest's case there")
            )
    return [(number, example.id, said) for (number, _, said), example in zip(rows, examples, strict=True)]


def _clean(text: str) -> str:
    return text.encode(errors="replace").decode()  # half a surrogate pair cannot be written


READERS: dict[str, Callable[[Path, str, Sequence[Example]], Any]] = {
    ".jsonl": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".txt": _pairs,
    ".tsv": _pairs,
}
