"""The words of ``radrl data list`` and ``radrl data prepare``: options to settings, results to text."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from radrl.data.published.asking import SECTIONS, UNCERTAIN, Asking
from radrl.data.published.prepare import SHARES, Settings
from radrl.data.published.readers import reader as reader_of
from radrl.data.published.readers import titles
from radrl.data.published.record import Kind, Reader
from radrl.data.published.unfinished import SKIPPED, Summary
from radrl.data.published.wordings import read_wordings
from radrl.errors import UserError, nearest


def description(name: str | None = None) -> str:
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


def settings_from_words(
    name: str, *, ask: str, section: str, uncertain: str, wordings: str, option: list[str], shares: str,
    images: bool, max_pixels: int, max_side: int | None, skip_bad: bool, annotated_size: str,
) -> Settings:  # fmt: skip
    """Returns what decides the manifests, from the words of the command line. Raises UserError for a wrong one."""
    reader = reader_of(name)
    kinds: tuple[Kind, ...] = tuple(
        _kind(name, reader, word) for word in dict.fromkeys(word.strip() for word in ask.split(",")) if word
    )
    for flag, value, known in (("section", section, SECTIONS), ("uncertain", uncertain, UNCERTAIN)):
        if value not in known:
            raise UserError(f"--{flag} {value}: give {', '.join(known)}{nearest(value, known)}")
    asking = Asking(kinds or reader.kinds[:1], section, uncertain, read_wordings(wordings) if wordings else {})
    return Settings(
        asking, _pairs("--option", option), images, max_pixels, max_side, _shares(shares), skip_bad, annotated_size
    )


def _kind(name: str, reader: Reader, word: str) -> Kind:
    for kind in reader.kinds:
        if kind == word:
            return kind
    raise UserError(f"--ask {word}: '{name}' can be asked {', '.join(reader.kinds)}{nearest(word, reader.kinds)}")


def summary_text(out: Path, summary: Summary) -> str:
    """Returns what was written to ``out``, and what was left out of it and why, a line each."""
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
def records_bar() -> Iterator[Callable[[int], None] | None]:
    """Gives a function that shows how many records are done; None where standard error is no terminal."""
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
