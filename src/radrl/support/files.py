"""How this program keeps files: whole or not there (`replacing`), or grown line by line (`Journal`).

Every result file is written under a temporary name and then renamed. What is paid for answer by answer (predictions,
traces, replies, verdicts) is appended to a journal, so that a run that was stopped goes on where it was.
"""

from __future__ import annotations

import errno
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Self

from radrl.errors import UserError, in_words

PIECE = 1 << 16  # bytes that are read at once to find the last end of a line
POLL = 0.002  # seconds between two tries to get a lock that another process holds for one line


def no_space(error: BaseException) -> bool:
    """Returns whether an error says that the disk, or the user's share of it, is full, whoever raised it."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return True
    # torch and safetensors raise errors of their own; torch's reader is in the same file as its writer
    text = str(error)
    signs = ("No space left", "Disk quota exceeded", "PytorchStreamWriter", "inline_container")
    return "PytorchStreamReader" not in text and any(sign in text for sign in signs)


@contextmanager
def write_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turns an OSError of the block into a UserError that names the file and what to do."""
    try:
        yield
    except OSError as error:
        if no_space(error):
            raise UserError(
                f"{path}: no space left on device; free some and run again (training: with --resume)"
            ) from None
        raise UserError(f"{path}: cannot write: {in_words(error)}; check the folder and its rights") from None


# --- files that are whole or not there --------------------------------------------------------------------------------


@contextmanager
def replacing(path: str | os.PathLike[str], *, sync: bool = True) -> Iterator[IO[bytes]]:
    """Opens a temporary file that takes the name ``path`` when the block ends, or is removed when it fails. A reader
    sees either the old file or the whole new one. Without ``sync`` a crash of the machine may leave it cut short.

    Raises:
        UserError: the disk is full or the file cannot be written; the old file is left as it was.
    """
    path = Path(path)
    with write_errors(path):
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


def write_bytes(path: str | os.PathLike[str], data: bytes, *, sync: bool = True) -> None:
    """Writes a file whole, as `replacing` does. Raises UserError."""
    with replacing(path, sync=sync) as file:
        file.write(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a text file whole, in UTF-8, as `replacing` does.

    Raises:
        UserError: the text holds half a surrogate pair, or the file cannot be written; the old file is left as it was.
    """
    try:
        data = text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{path}: the text holds half a surrogate pair (character {error.start}); remove it") from None
    write_bytes(path, data)


def write_json(path: str | os.PathLike[str], value: Any) -> None:
    """Writes JSON as write_text writes text; NaN and infinity are errors."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


# --- files that grow line by line -------------------------------------------------------------------------------------


class Journal:
    """A JSONL file that is only appended to: a line is on the disk, whole, when `append` returns.

    Use it as a context manager. When it is opened, what a killed process has written of a last line is cut off. While
    it is open no other process can open it, but for ``shared`` journals: several processes add lines to such a one, and
    each locks it for the time of a line. (On a file system without locks nothing is locked.)

    Raises:
        UserError: when opened, another process holds it; or the file cannot be written. Lines written before stay.
    """

    def __init__(self, path: str | os.PathLike[str], *, shared: bool = False, advice: str = "wait for it") -> None:
        """``advice`` is what the user is told to do where another process holds the file."""
        self.path, self.shared, self.advice = Path(path), shared, advice

    def __enter__(self) -> Self:
        with write_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            # unbuffered: what append has written is in the file, and not in this process alone
            self._file = self.path.open("ab+", buffering=0)
            try:
                if not self.shared:
                    lock(self._file, f"{self.path}: another process is writing it; {self.advice}")
                with self._turn():
                    _cut_torn_line(self.path, self._file)
            except BaseException:
                self._file.close()
                raise
        return self

    def __exit__(self, *exception: object) -> None:
        self._file.close()  # which gives the lock back

    def append(self, *lines: str) -> None:
        """Adds JSON texts, a line each, and returns when they are on the disk. Raises UserError."""
        # JSON may hold half a surrogate pair: it is written as JSON's own escape
        content = "".join(line + "\n" for line in lines).encode(errors="backslashreplace")
        with write_errors(self.path):
            with self._turn():
                if self._file.write(content) != len(content):  # a disk that fills up takes a part without an error
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._file.fileno())

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Keeps the other processes of a shared journal away while the block runs."""
        if not self.shared:
            yield
            return
        from filelock import unlock_descriptor

        lock(self._file)
        try:
            yield
        finally:
            with suppress(OSError):  # a file system without locks
                unlock_descriptor(self._file.fileno())


def lock(file: IO[bytes], held: str | None = None) -> None:
    """Locks an open file until it is closed, by a kill too; other processes (and other openings of it) are kept out.

    The file itself is locked: there is no second file that stays behind, and nothing is truncated. Where a file system
    has no locks, nothing is locked.

    Raises:
        UserError: another process holds the lock, with the message ``held``. Without one it is waited for.
    """
    from filelock import lock_descriptor  # late: half of the commands lock nothing

    try:
        locked = lock_descriptor(file.fileno(), blocking=held is None, poll_interval=POLL)
    except OSError:  # a file system without locks
        return
    if not locked:
        raise UserError(held or "")


def numbered_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, bytes]]:
    """Yields (number, line) of the lines of a text file that are not blank; numbers count all lines, from 1. A byte
    order mark, with which editors on Windows begin a file, is left out. Raises UserError where it cannot be read."""
    try:
        with Path(path).open("rb") as lines:
            for number, line in enumerate(lines, 1):
                line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if line.strip():
                    yield number, line
    except OSError as error:
        raise UserError(f"{path}: cannot read: {in_words(error)}") from None


def journal_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, bytes]]:
    """Yields (number, line) of the whole lines of a journal: a last line without its end was torn by a kill, and is
    left out. None where there is no such file. Raises UserError where it cannot be read."""
    if Path(path).exists():
        yield from ((number, line) for number, line in numbered_lines(path) if line.endswith(b"\n"))


def _cut_torn_line(path: Path, file: IO[bytes]) -> None:
    """Cuts what follows the last line end of a file that is open for writing."""
    with path.open("rb") as lines:  # buffered: a raw file may give less than it is asked for
        end = lines.seek(0, os.SEEK_END)
        size, whole = end, 0
        while end and not whole:
            start = max(0, end - PIECE)
            lines.seek(start)
            whole = start + 1 + last if (last := lines.read(end - start).rfind(b"\n")) >= 0 else 0
            end = start
    if whole < size:
        file.truncate(whole)
