"""Files that are either whole or not there: write to a temporary name, then rename."""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from radrl.errors import UserError


def no_space(error: BaseException) -> bool:
    """Returns whether an error says that the disk, or the user's share of it, is full, whoever raised it."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    # torch and safetensors raise errors of their own; torch's reader is in the same file as its writer
    said = str(error)
    signs = ("No space left", "Disk quota exceeded", "PytorchStreamWriter", "inline_container")
    return "PytorchStreamReader" not in said and any(sign in said for sign in signs)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file so that a reader sees either the old file or the whole new one, never a part.

    Raises:
        UserError: the disk is full or the file cannot be written; the old file is left as it was.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{path}: the text holds half a surrogate pair (character {error.start}); remove it") from None
    write_bytes(path, data)


def write_bytes(path: str | os.PathLike[str], data: bytes, *, sync: bool = True) -> None:
    """Writes a file as write_text does. Without ``sync`` a crash of the machine may leave it cut short."""
    with replacing(path, sync=sync) as file:
        file.write(data)


@contextmanager
def replacing(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Opens a temporary file that takes the name ``path`` when the block ends, or is removed when it fails.

    Raises:
        UserError: the disk is full or the file cannot be written; the old file is left as it was.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                if sync:
                    file.flush()
                    os.fsync(handle)  # else a crash after the rename can leave an empty file under the new name
            os.chmod(temporary, 0o644)
            os.replace(temporary, path)
        except BaseException:
            os.unlink(temporary)
            raise
    except OSError as error:
        if no_space(error):
            raise UserError(f"{path}: no space left on device; free some and run again with --resume") from None
        raise UserError(f"{path}: cannot write: {error.strerror}; check the folder and its rights") from None


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes JSON as write_text writes text; NaN and infinity are errors."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
