"""METEOR 1.5: its authors' Java program aligns two texts; it is started once per process and asked line by line.

The program is in the PyPI package pycocoevalcap, whose wrapper reads no errors and keeps a pipe nobody empties. What
it counts of a pair can be added up over a set, and the value is a formula of the counts (Denkowski and Lavie, WMT 2014;
the program's own settings for English).
"""

from __future__ import annotations

import atexit
import contextlib
import shutil
import subprocess
import threading
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from radrl.errors import UserError
from radrl.scoring.packages_of_others import missing_package, package_folder

COUNTS = 23
WORDS, FUNCTION, WAY, CHUNKS, MATCHED = slice(0, 2), slice(2, 4), slice(4, 20), 20, slice(21, 23)  # see `statistics`
WEIGHTS = (1.0, 0.6, 0.8, 0.6)  # of a match by word, stem, synonym, paraphrase
ALPHA, BETA, GAMMA, DELTA = 0.85, 0.2, 0.6, 0.75
MOST = 20_000  # characters of a text that are read; aligning much longer ones takes minutes
_lock = threading.Lock()


def missing() -> str | None:
    """Returns what the scorer lacks and how to get it, or None."""
    if lacks := missing_package("meteor", "pycocoevalcap", "'radrl[meteor]'"):
        return lacks
    if shutil.which("java") is None:
        return "scorer 'meteor' needs Java on the PATH: apt-get install default-jre-headless"
    return None


def statistics(answers: Sequence[str], references: Sequence[str]) -> NDArray[np.float64]:
    """Returns what the program counts of each pair, (pairs, 23); `value` makes METEOR of it. Raises UserError when the
    program fails.

    The counts are: words of answer and reference, function words of both; of each way to match (word, stem, synonym,
    paraphrase) the content words of both and the function words of both; chunks; words matched in both. As in the
    program's own sums, a pair of equal texts has no chunk: order costs it nothing.
    """
    with _lock:
        counts = [_count(_line(given), _line(wanted)) for given, wanted in zip(answers, references, strict=True)]
    found = np.array(counts, dtype=np.float64).reshape(len(counts), COUNTS)
    matched = found[:, WAY].reshape(-1, len(WEIGHTS), 2, 2).sum(axis=(1, 2))  # of both texts
    equal = (matched == found[:, WORDS]).all(axis=1) & (found[:, CHUNKS] == 1)
    found[equal, CHUNKS] = 0.0
    return found


def value(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns METEOR, in 0-1, of counts (..., 23), those of a pair or sums over pairs; 0 where no word matches."""
    ways = counts[..., WAY].reshape(*counts.shape[:-1], len(WEIGHTS), 2, 2)
    content, function = np.moveaxis(np.einsum("w,...wct->...ct", WEIGHTS, ways), -2, 0)  # (..., 2): answer, reference
    of_function = counts[..., FUNCTION]
    length = DELTA * (counts[..., WORDS] - of_function) + (1 - DELTA) * of_function
    with np.errstate(divide="ignore", invalid="ignore"):
        precision, recall = np.moveaxis((DELTA * content + (1 - DELTA) * function) / length, -1, 0)
        mean = 1 / ((1 - ALPHA) / precision + ALPHA / recall)
        fragments = counts[..., CHUNKS] / (counts[..., MATCHED].sum(axis=-1) / 2)
        found = mean * (1 - GAMMA * fragments**BETA)
    return np.clip(np.nan_to_num(found, nan=0.0, posinf=0.0, neginf=0.0), 0.0, 1.0)


@lru_cache(maxsize=20_000)  # the value of a case and that of its set ask for the same counts
def _count(answer: str, reference: str) -> tuple[float, ...]:
    line = _ask(f"SCORE ||| {reference} ||| {answer}")
    counts = tuple(map(float, line.split()))
    if len(counts) != COUNTS:
        raise UserError(f"scorer 'meteor': the METEOR program said {line[:80]!r} where {COUNTS} counts were due")
    return counts


def _line(text: str) -> str:
    """The program reads lines of fields; anything it could take for their ends goes."""
    return " ".join(text[:MOST].replace("|||", " ").encode("utf-8", "replace").decode().split())


def _ask(line: str) -> str:
    """Returns what the program says to a line."""
    program = _program()
    assert program.stdin is not None  # it is a pipe
    assert program.stdout is not None
    with contextlib.suppress(OSError):  # it died; the read says so
        program.stdin.write(line + "\n")
        program.stdin.flush()
    line = program.stdout.readline()
    if not line:
        _program.cache_clear()
        raise UserError("scorer 'meteor': the METEOR program ended (it takes 2 GB of memory); see 'java -version'")
    return line.strip()


@lru_cache(maxsize=1)
def _program() -> subprocess.Popen[str]:
    package = package_folder("pycocoevalcap")
    if package is None:
        raise ValueError("the registry asks missing() first")
    program = subprocess.Popen(
        ["java", "-Xmx2G", "-Dfile.encoding=UTF-8", "-jar", "meteor-1.5.jar", "-", "-", "-stdio", "-l", "en", "-norm"],
        cwd=package / "meteor",
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
