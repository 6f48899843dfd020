"""Does our RadGraph say what the package radgraph says, on the user's own weights and device?"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from radrl.errors import UserError
from radrl.scoring.neural import runtime
from radrl.scoring.neural.graphs import Graph, graph
from radrl.scoring.neural.radgraph import RadGraph

SCRIPT = Path(__file__).with_name("reference_radgraph.py")


class Parity(NamedTuple):
    """What a comparison found: the reports whose graphs differ, those of them that are ties (a decision closer than
    1e-4, which float64 settled for ours), and those where the package fails."""

    reports: int
    different: list[int]
    ties: list[int]
    failed: list[int]


def reference_graphs(folder: Path, texts: Sequence[str], python: str) -> dict[str, Any]:
    """Returns ``{"version", "type", "graphs", "seconds"}`` of the package radgraph, run by the interpreter ``python``.

    Raises:
        UserError: that interpreter has no radgraph, or it fails.
    """
    command = [python, "-I", str(SCRIPT), str(folder.resolve())]
    try:
        done = subprocess.run(command, input=json.dumps(list(texts)), capture_output=True, text=True)
    except OSError as error:
        raise UserError(f"{python}: cannot run: {error.strerror}") from None
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no message"])[-1][:200]
        raise UserError(
            f"{python}: the package radgraph does not run there ({said}); make an environment with "
            "pip install radgraph 'transformers<5' and name its python with --python"
        )
    return json.loads(done.stdout)


def our_graphs(model: RadGraph, texts: Sequence[str], batch: int) -> tuple[list[Graph], list[bool]]:
    """Returns the graph of each report, so many at a time, and whether it was a tie."""
    words = [model.words(text) for text in texts]
    spans = [one for k in range(0, len(words), batch) for one in model(words[k : k + batch])]
    return [graph(*both) for both in zip(words, spans, strict=True)], [one.tie for one in spans]


def compare(ours: Sequence[Graph], ties: Sequence[bool], theirs: Sequence[Graph | None]) -> Parity:
    """Compares graphs byte by byte."""
    rows = range(len(ours))
    failed = [i for i in rows if theirs[i] is None]
    different = [i for i in rows if theirs[i] is not None and json.dumps(ours[i]) != json.dumps(theirs[i])]
    return Parity(len(ours), different, [i for i in different if ties[i]], failed)


def compare_with_package(folder: Path, texts: Sequence[str], python: str, device: str = "auto") -> str:
    """Returns one line: identical, or where not.

    Raises:
        UserError: the archive cannot be read, or the package does not run.
    """
    on = runtime.torch_device(device)
    model = RadGraph(folder, on)
    theirs = reference_graphs(folder, texts, python)
    found = compare(*our_graphs(model, texts, 64), theirs["graphs"])
    about = f"{theirs['type']} on {on}, package radgraph {theirs['version']}"
    failed = f"; the package fails on {len(found.failed)}" if found.failed else ""
    if not found.different:
        return f"identical: {found.reports} of {found.reports} reports ({about}){failed}"
    at = ", ".join(str(i + 1) for i in found.different[:10])
    return (
        f"different: {len(found.different)} of {found.reports} reports ({about}): {at}; {len(found.ties)} of them are "
        f"ties that float64 settled{failed}"
    )
