"""One hash for ids, units of independence and file contents, where Python's own would differ from run to run."""

from __future__ import annotations

import hashlib


def stable_hash(content: str | bytes) -> int:
    """Returns a number from 1 to 2**64 - 1 that is the same in every process and run; 0 can stand for none."""
    data = content.encode(errors="replace") if isinstance(content, str) else content
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big") or 1
