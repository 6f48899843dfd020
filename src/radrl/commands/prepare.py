"""What ``radrl data list`` and ``radrl data prepare`` say and are told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from radrl.data.published.asking import SECTIONS, UNCERTAIN, Asking
from radrl.data.published.prepare import SHARES, Settings, prepare
from radrl.data.published.readers import reader as reader_of
from radrl.data.published.readers import titles
from radrl.data.published.unfinished import SKIPPED
from radrl.data.published.wordings import read as wordings_of
from radrl.errors import UserError, nearest


def described(name: str | None = None) -> str:
    """Returns the list of data sets as text, or one with its layout, access, questions and options."""
    if name is None:
        return "\n".join(f"{one:<16}{title}" for one, title in titles())
    one = reader_of(name)
    options = [f"  --option {key}={'|'.join(o.values)}   {o.help}" for key, o in one.options.items()]
    parts = [
        f"{one.name}: {one.title}",
        f"Access: {one.access}",
        "Files below --root:",
        *(f"  {line}" for line in one.layout.splitlines()),
        f"Questions (--ask): {', '.join(one.kinds)}; without it {one.kinds[0]}",
        *(["Options:", *options] if options else []),
    ]
    return "\n".join(parts)


def run(
    name: str, root: Path, out: Path, *, ask: str, section: str, uncertain: str, option: list[str], shares: str,
    images: bool, max_pixels: int, max_side: int | None, skip_bad: bool, workers: int | None,
    annotated_size: str = "", wordings: str = "",
) -> str:  # fmt: skip
    """Prepares a data set with the command line's words; returns what to print. Raises UserError."""
    reader = reader_of(name)
    kinds = tuple(dict.fromkeys(filter(None, (word.strip() for word in ask.split(","))))) or reader.kinds[:1]
    for kind in kinds:
        if kind not in reader.kinds:
            raise UserError(
                f"--ask {kind}: '{name}' can be asked {', '.join(reader.kinds)}{nearest(kind, reader.kinds)}"
            )
    for flag, value, known in (("section", section, SECTIONS), ("uncertain", uncertain, UNCERTAIN)):
        if value not in known:
            raise UserError(f"--{flag} {value}: give {', '.join(known)}{nearest(value, known)}")
    settings = Settings(
        Asking(kinds, section, uncertain, wordings_of(wordings) if wordings else {}), _pairs("--option", option),
        images, max_pixels, max_side, _shares(shares), skip_bad, annotated_size,
    )  # fmt: skip
    with _bar() as progress:
        summary = prepare(name, root, out, settings, workers=workers, progress=progress)
    lines = [f"{out / split}.jsonl: {count} Examples" for split, count in sorted(summary.examples.items())]
    lines.append(f"{summary.records} records read")
    for title, of in (("skipped", summary.skipped), ("broken, skipped", summary.bad)):
        lines += [f"{count:>9} {title}: {why}" for why, count in sorted(of.items(), key=lambda one: -one[1])]
    if summary.cut:
        lines.append(f"{summary.cut:>9} boxes reached beyond their film and were cut at its edge")
    if summary.renamed:
        lines.append(f"{summary.renamed:>9} ids stood more than once; the later ones end in #2, #3, ...")
    if summary.skipped or summary.bad:
        lines.append(f"each is listed in {out / SKIPPED}")
    return "\n".join(lines)


def _pairs(flag: str, given: list[str]) -> dict[str, str]:
    pairs = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise UserError(f"{flag} {item}: write NAME=VALUE")
        pairs[name] = value
    return pairs


def _shares(text: str) -> dict[str, float]:
    try:
        shares = {name: float(value) for name, value in _pairs("--shares", text.split(",")).items()}
    except ValueError:
        shares = {}
    if (
        not shares
        or set(shares) - set(SHARES)
        or not all(0 <= v <= 1 for v in shares.values())
        or not any(shares.values())
    ):
        raise UserError(f"--shares {text}: write train=0.8,dev=0.1,test=0.1, shares from 0 to 1")
    return shares


@contextmanager
def _bar() -> Iterator[Callable[[int], None] | None]:
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("Prepare"), TextColumn("{task.completed:,.0f} records"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done: bar.update(task, completed=done)
