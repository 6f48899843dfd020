"""Digests that tell two models, or two sets of Examples, apart."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from radrl.example import Example

BLOCKS, BLOCK = 64, 65_536  # of each weight file so many pieces go into its digest: all of it may be 16 GB


def json_digest(value: Any) -> str:
    """Returns 16 hexadecimal digits of SHA-256 over a JSON value."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=True).encode()).hexdigest()[:16]


def manifest_digest(examples: Iterable[Example]) -> str:
    """Returns a digest of Examples in their order: ids, questions, references, everything but the pixels."""
    digest = hashlib.sha256()
    for example in examples:
        digest.update(example.model_dump_json(exclude_defaults=True).encode() + b"\n")
    return digest.hexdigest()[:16]


def model_digest(start: str) -> str:
    """Returns a digest of a model's files that tells two trainings of one architecture apart: the small files, and of
    each weight file its size, its beginning and 64 pieces spread over it. A hub id stands for itself."""
    from radrl.models.adapters import base_of  # late: it loads torch, which files of predictions need not

    folder = Path(start)
    if not folder.is_dir():
        return start
    digest = hashlib.sha256()
    kinds = (".safetensors", ".json", ".jinja", ".txt", ".model")
    for file in sorted(p for p in folder.iterdir() if p.suffix in kinds):
        size = file.stat().st_size
        digest.update(f"{file.name}\0{size}\0".encode())
        with file.open("rb") as content:
            if size <= BLOCKS * BLOCK:
                digest.update(content.read())
                continue
            for k in range(BLOCKS):
                content.seek((size - BLOCK) * k // (BLOCKS - 1), os.SEEK_SET)
                digest.update(content.read(BLOCK))
    if base := base_of(start):  # of an adapter: what it is merged into
        digest.update(model_digest(base).encode())
    return digest.hexdigest()[:16]
