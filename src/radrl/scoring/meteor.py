"""METEOR 1.5: its authors' Java program, started once per process and asked line by line.

The program is in the PyPI package pycocoevalcap, whose wrapper reads no errors and keeps a pipe nobody empties.
"""

from __future__ import annotations

import atexit
import importlib.util
import math
import shutil
import subprocess
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from radrl.errors import UserError
from radrl.example import Answer, Example

MOST = 20_000  # characters of a text that are read; aligning much longer ones takes minutes
_lock = threading.Lock()


def missing() -> str | None:
    """Returns what the scorer lacks and how to get it, or None."""
    if importlib.util.find_spec("pycocoevalcap") is None:
        return "scorer 'meteor' needs the package pycocoevalcap: pip install 'radrl[meteor]'"
    if shutil.which("java") is None:
        return "scorer 'meteor' needs Java on the PATH: apt-get install default-jre-headless"
    return None


def scores(answers: Sequence[str], references: Sequence[str]) -> list[float]:
    """Returns METEOR of each pair, in 0-1. Raises UserError when the program fails."""
    return _evaluate(answers, references)[0]


def corpus(examples: Sequence[Example], answers: Sequence[Answer]) -> float:
    """Returns METEOR of a whole set, in 0-1. Raises UserError when the program fails."""
    return _evaluate([answer.text for answer in answers], [example.reference for example in examples])[1]


def _evaluate(answers: Sequence[str], references: Sequence[str]) -> tuple[list[float], float]:
    with _lock:
        statistics = [
            _ask(f"SCORE ||| {_line(wanted)} ||| {_line(given)}")
            for given, wanted in zip(answers, references, strict=True)
        ]
        values = [_value(_ask("EVAL ||| " + " ||| ".join(statistics)))]
        values += [_value(_read()) for _ in statistics]  # one line a pair, then that of the set
    return values[:-1], values[-1]


def _line(text: str) -> str:
    """The program reads lines of fields; anything it could take for their ends goes."""
    return " ".join(text[:MOST].replace("|||", " ").encode("utf-8", "replace").decode().split())


def _value(line: str) -> float:
    value = float(line)
    return 0.0 if math.isnan(value) else min(max(value, 0.0), 1.0)  # NaN: a text in which it finds no word


def _ask(line: str) -> str:
    program = _program()
    try:
        program.stdin.write(line + "\n")
        program.stdin.flush()
    except OSError:
        pass  # it died; the read says so
    return _read()


def _read() -> str:
    line = _program().stdout.readline()
    if not line:
        _program.cache_clear()
        raise UserError("scorer 'meteor': the METEOR program ended (it takes 2 GB of memory); see 'java -version'")
    return line.strip()


@lru_cache(maxsize=1)
def _program() -> subprocess.Popen[str]:
    folder = Path(importlib.util.find_spec("pycocoevalcap").submodule_search_locations[0]) / "meteor"
    program = subprocess.Popen(
        ["java", "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
    )
    atexit.register(_end, program)
    return program


def _end(program: subprocess.Popen[str]) -> None:
    program.kill()
    program.communicate()  # closes its pipes and takes its exit status
