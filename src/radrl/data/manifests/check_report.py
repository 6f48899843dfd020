"""What ``radrl data check`` says of manifests, and how it is printed."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from radrl.data.manifests.line_checks import CONTROL, MOST_LISTED

UNREADABLE = "image not readable"
ODD = "image to look at"
WORDS = "words in the image"
WARNED = (CONTROL,)  # kinds that are counted and named, and that nothing need be done about
KINDS = (
    "not an Example", "id twice", "empty answer", "labels", "language", "too long", CONTROL, UNREADABLE, ODD, WORDS,
    "patient in two splits",
    "image in two splits", "image nearly in two splits",
    "study in two splits",
)  # fmt: skip


class Problem(NamedTuple):
    """A thing to fix: ``file:line``, the kind it is counted under, and what is wrong with how to fix it."""

    where: str
    kind: str
    why: str


@dataclass
class Report:
    """What is in the manifests, and what is wrong. ``counts`` has every kind of problem, ``problems`` the first 200 of
    each piece of a manifest."""

    examples: dict[str, int] = field(default_factory=dict)
    tasks: Counter[str] = field(default_factory=Counter)
    languages: Counter[str] = field(default_factory=Counter)
    images: int | None = None
    burned_in: bool = False
    patients: int = 0
    without_patient: int = 0
    longest: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)

    @property
    def fit(self) -> bool:
        """Whether there is nothing that has to be fixed."""
        return not set(self.counts) - set(WARNED)

    def add(self, where: str, kind: str, why: str) -> None:
        """Counts a problem; the first 200 of a kind are kept with their place."""
        self.counts[kind] += 1
        if self.counts[kind] <= MOST_LISTED:
            self.problems.append(Problem(where, kind, why))


def report_text(report: Report, listed: int = 20) -> str:
    """Returns a report as text: what there is, a row for each kind of problem, and the first ``listed`` of a kind."""
    rows = [f"{count:>10,}  Examples in {path}" for path, count in report.examples.items()]
    rows += [f"{count:>10,}  of task {task}" for task, count in report.tasks.most_common()]
    rows += [f"{count:>10,}  in language: {name}" for name, count in report.languages.most_common()]
    rows.append(f"{report.patients:>10,}  patients; {report.without_patient:,} Examples name none")
    rows.append("images not looked at" if report.images is None else f"{report.images:>10,}  images read")
    if report.longest:
        rows.append(f"{report.longest:>10,}  tokens in the longest text")
    rows.append("")
    not_asked = {"image": report.images is None, "too long": not report.longest, WORDS: not report.burned_in}
    for kind in KINDS:
        skipped = any(skip and kind.startswith(name) for name, skip in not_asked.items())
        rows.append(f"{'not asked' if skipped else f'{report.counts[kind]:,}':>10}  {kind}")
    for kind in KINDS:
        own = [problem for problem in report.problems if problem.kind == kind]
        if own:
            rows += ["", f"{kind}:", *(f"  {p.where}: {p.why}" for p in own[:listed])]
            if report.counts[kind] > min(len(own), listed):
                rows.append(f"  and {report.counts[kind] - min(len(own), listed):,} more")
    return "\n".join(rows)
