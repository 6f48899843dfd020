"""The one error type a user sees: one line that names the place and the fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in something the user gave (file, recipe, model folder).

    The message is one line: what is wrong, where (file, line or key), and how to fix it. The command line
    prints it without a traceback and exits with code 2.
    """


def out_of_memory(error: BaseException) -> bool:
    """Returns whether an error says that memory, of the machine or of a GPU, did not suffice, whoever raised it."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be here
        return True
    text = str(error).lower()
    signs = ("out of memory", "can't allocate memory", "cannot allocate memory", "not enough memory")
    return isinstance(error, OSError | RuntimeError) and any(sign in text for sign in signs)


def in_words(error: BaseException) -> str:
    """Returns what an exception of Python or of a library says, on one line; never the bare name of its type."""
    text = " ".join((getattr(error, "strerror", None) or str(error)).split())
    if isinstance(error, KeyError):
        return f"no key {text}"
    if isinstance(error, IndexError):
        return "fewer values than there should be"
    if out_of_memory(error):
        return "memory did not suffice"
    return text or ("it ends too early" if isinstance(error, EOFError) else "it is not what it should be")


def nearest(name: str, known: Iterable[str]) -> str:
    """Returns ``" (did you mean 'x'?)"`` for the closest known name, or an empty string when none is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f" (did you mean '{close[0]}'?)" if close else ""


def one_line(text: object) -> str:
    """Returns the text as one printable line, cut at 600 characters."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= 600 else line[:599] + "…"
