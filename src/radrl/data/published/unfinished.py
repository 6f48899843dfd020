"""The manifests of a data set while they are written, and how far they are.

Lines are added to files in ``OUT/.parts``. Every few seconds these are flushed and ``OUT/prepare.json`` says how long
they are: a run that was killed cuts them there and goes on. When all is written they get their names.

They are no journals (`radrl.support.files.Journal`): a chunk of records adds lines to several files, of which all count
or none, and a flush to disk for each line would take hours for a data set of millions.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np

from radrl.errors import UserError, one_line
from radrl.support.files import write_json
from radrl.support.hashing import stable_hash

SECONDS_BETWEEN_SAVES = 5.0
STATE, SKIPPED, PARTS = "prepare.json", "skipped.jsonl", ".parts"


@dataclass
class Summary:
    """What a run gave: Examples by split, records read, records skipped by reason (``bad`` are the broken ones), boxes
    that were cut at the edge of their film, and records whose id stood twice."""

    examples: dict[str, int] = field(default_factory=dict)
    records: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    bad: dict[str, int] = field(default_factory=dict)
    cut: int = 0
    renamed: int = 0


class Text(NamedTuple):
    """What a chunk of records became: lines by split, lines of skipped records, hashes of the Examples' ids, how many
    boxes were cut at the edge of their film, and how many records got another id."""

    lines: dict[str, bytes]
    counts: dict[str, int]
    skipped: bytes
    why: dict[tuple[str, bool], int]
    ids: bytes
    records: int
    cut: int = 0
    renamed: int = 0


def state_of(out: Path, made_of: dict[str, Any]) -> dict[str, Any]:
    """Returns how far an earlier run came; empty where there was none, or where it was another, unfinished one."""
    file = out / STATE
    if not file.is_file():
        if out.exists() and (not out.is_dir() or any(out.iterdir())):
            raise UserError(f"{out}: holds other files; give an empty or new folder")
        return {}
    try:
        state = json.loads(file.read_text(encoding="utf-8"))
        old, done = state["made_of"], state["done"]
    except (OSError, ValueError, LookupError, TypeError):
        raise UserError(f"{file}: not readable; give an empty or new folder") from None
    if old == made_of:
        return state
    if done or any(old.get(key) != made_of[key] for key in ("name", "root")):  # copies of images are kept
        differing = next((key for key in made_of if old.get(key) != made_of[key]), "name")
        raise UserError(
            one_line(f"{out}: made with another {differing} ({old.get(differing)}); give a new folder, or remove it")
        )
    return {}


class Manifests:
    """The manifests while they grow, and the account of them."""

    def __init__(self, out: Path, made_of: dict[str, Any], state: dict[str, Any]) -> None:
        self.out, self.made_of = out, made_of
        self.parts = out / PARTS
        self.summary = Summary(**state["summary"]) if state else Summary()
        self.sizes: dict[str, int] = state.get("sizes", {})
        self.files: dict[str, IO[bytes]] = {}
        self.saved = time.monotonic()

    def __enter__(self) -> Manifests:
        self.parts.mkdir(parents=True, exist_ok=True)
        for file in self.parts.iterdir():  # what was written after the last save is written again
            if file.name in self.sizes:
                os.truncate(file, self.sizes[file.name])
            else:
                file.unlink()
        self._save()
        return self

    def __exit__(self, *raised: Any) -> None:
        if self.parts.is_dir():
            self._save()
        for file in self.files.values():
            file.close()
        if raised[0] and not self.summary.records:  # leave nothing behind, or copies of images and whose they are
            shutil.rmtree(self.parts, ignore_errors=True)
            if [file.name for file in self.out.iterdir()] == [STATE]:
                shutil.rmtree(self.out)

    def _append(self, name: str, content: bytes) -> None:
        if name not in self.files:
            self.files[name] = (self.parts / name).open("ab")
        self.files[name].write(content)

    def add(self, text: Text) -> None:
        for split, lines in text.lines.items():
            self._append(f"{split}.jsonl", lines)
        self._append("ids", text.ids)
        self._append(SKIPPED, text.skipped)
        summary = self.summary
        summary.records += text.records
        summary.cut += text.cut
        summary.renamed += text.renamed
        for split, count in text.counts.items():
            summary.examples[split] = summary.examples.get(split, 0) + count
        for (why, bad), count in text.why.items():
            of = summary.bad if bad else summary.skipped
            of[why] = of.get(why, 0) + count
        if time.monotonic() - self.saved > SECONDS_BETWEEN_SAVES:
            self._save()

    def _save(self, *, done: bool = False) -> None:
        for name, file in self.files.items():
            file.flush()
            os.fsync(file.fileno())
            self.sizes[name] = file.tell()
        state = {"done": done, "made_of": self.made_of, "summary": asdict(self.summary)}
        write_json(self.out / STATE, state if done else {**state, "sizes": self.sizes})
        self.saved = time.monotonic()

    def finish(self) -> Summary:
        self._save()
        self._ids_differ()
        if not self.summary.examples:
            raise UserError(
                f"{self.out}: no record gave an Example; {STATE} there counts why, {PARTS}/{SKIPPED} lists them"
            )
        for file in sorted(self.parts.iterdir()):
            if file.name != "ids":
                file.replace(self.out / file.name)
        shutil.rmtree(self.parts)
        self._save(done=True)
        return self.summary

    def _ids_differ(self) -> None:
        file = self.parts / "ids"
        hashes = np.sort(np.fromfile(file, np.uint64)) if file.is_file() else np.empty(0, np.uint64)
        twice = set(hashes[1:][hashes[1:] == hashes[:-1]].tolist())
        if not twice:
            return
        seen: set[str] = set()
        for manifest in sorted(self.parts.glob("*.jsonl")):
            if manifest.name == SKIPPED:
                continue
            for line in manifest.open(encoding="utf-8"):
                name = json.loads(line)["id"]
                if name in seen:
                    raise UserError(one_line(f"{self.out}: two records give id '{name}'; mend the published file"))
                if stable_hash(name) in twice:
                    seen.add(name)
