"""Two reports compared finding by finding, and the clinical errors of one against the other, counted.

What counts is what a report says is there: findings that are present or uncertain (an uncertain finding counts as
mentioned, like CheXpert's U-Ones, arXiv 1901.07031). Findings said to be absent are neither credited nor blamed, save
that a report which agrees with the reference in nothing is not a report of a normal film.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from importlib import resources
from itertools import chain
from typing import Literal, NamedTuple, get_args

import yaml

from radrl.clinical import extract
from radrl.errors import UserError, nearest
from radrl.example import Finding

HALF = 0.5  # one side against both
NORMAL = "acute disease"  # said to be absent, it speaks of the whole film
SEVERITIES = ("mild", "moderate", "severe")

ErrorKind = Literal[
    "false_finding",
    "missed_finding",
    "wrong_side",
    "wrong_region",
    "wrong_position",
    "wrong_severity",
    "wrong_change",
]
KINDS: tuple[ErrorKind, ...] = get_args(ErrorKind)


class ClinicalError(NamedTuple):
    """One mistake of the answer: its kind, what each report says (with spans), and how much of a mistake it is.

    ``false_finding``: only the answer has it; ``missed_finding``: only the reference has it; the others: both name it
    and differ.
    ``share`` is 1, or one half for one side against both and for severities one grade apart.
    """

    kind: ErrorKind
    reference: Finding | None
    answer: Finding | None
    share: float = 1.0


class Comparison(NamedTuple):
    """Reference against answer.

    ``matched`` holds pairs (reference finding, answer finding), ``missed`` what only the reference says, ``false``
    what only the answer says; a finding on the wrong side is both missed and false. ``precision``, ``recall``, ``f1``
    and ``name_f1`` (sides left aside) are in 0-1. Where neither report says that anything is there they are 1, if the
    answer agrees with the reference in something that is not there or that the film is normal, else 0: a text off the
    subject is no report of a normal film.

    ``errors`` counts each mistake once: a finding on the wrong side is one ``wrong_side`` error and neither missed nor
    false. ``named`` is in how many findings the reports agree by name, ``agreed_absent`` the share (0-1) of
    what the reference rules out that the answer rules out too, ``silent`` whether the answer says nothing of the film.
    """

    matched: tuple[tuple[Finding, Finding], ...]
    missed: tuple[Finding, ...]
    false: tuple[Finding, ...]
    precision: float
    recall: float
    f1: float
    name_f1: float
    errors: tuple[ClinicalError, ...] = ()
    named: int = 0
    agreed_absent: float = 0.0
    silent: bool = False

    def count(self, kind: ErrorKind) -> int:
        """Returns how many errors of a kind there are."""
        return sum(error.kind == kind for error in self.errors)


def compare(reference: str | Iterable[Finding], answer: str | Iterable[Finding]) -> Comparison:
    """Compares an answer with a reference; each is a report's text, or the findings read from it.

    Both are merged first. Two findings match when their names are equal and their sides agree: equal sides, or a
    side that one of them leaves open, count 1; left or right against bilateral counts one half, in precision and
    in recall. F1 = 2·matched / (|answer| + |reference|).
    """
    return compare_merged(*(Report.of(extract.findings(x) if isinstance(x, str) else x) for x in (reference, answer)))


class Report(NamedTuple):
    """What a report says, merged: its findings that are there or in doubt, by name, and the names of those absent."""

    there: dict[str, Finding]
    absent: frozenset[str]

    @classmethod
    def of(cls, findings: Iterable[Finding]) -> Report:
        """Returns a report's findings merged."""
        return cls._of((finding.name, finding) for finding in findings)

    @classmethod
    def read(cls, text: str) -> Report:
        """Returns what a report's text says: the same as ``of(extract.findings(text, spans=False))``, but faster."""
        said = extract.stretches(text)
        report = cls._of(chain.from_iterable([one.firm for one in said]))
        weak = frozenset().union(*[one.weak for one in said if one.weak])
        return cls(report.there, report.absent.union(weak.difference(report.there)))

    @classmethod
    def _of(cls, named: Iterable[tuple[str, Finding]]) -> Report:
        there: dict[str, Finding] = {}
        absent: list[str] = []
        for name, finding in _merge(named).items():
            if finding.presence == "absent":
                absent.append(name)
            else:
                there[name] = finding
        return cls(there, frozenset(absent))

    @property
    def silent(self) -> bool:
        """Returns whether nothing is said."""
        return not (self.there or self.absent)


def compare_merged(said: Report, told: Report) -> Comparison:
    """Compares what an answer says with what the reference says, as compare does."""
    wanted, given = said.there, told.there
    matched: list[tuple[Finding, Finding]] = []
    missed: list[Finding] = []
    false: list[Finding] = []
    errors: list[ClinicalError] = []
    elsewhere: set[str] = set()  # named by both, on different sides
    weight, names = 0.0, 0
    for name, finding in wanted.items():
        other = given.get(name)
        if other is None:
            missed.append(finding)
            errors.append(ClinicalError("missed_finding", finding, None))
            continue
        names += 1
        side = 1.0
        if other is not finding:
            side = _side_weight(finding.side, other.side)
            errors += _differences(finding, other, side)
        if side:
            matched.append((finding, other))
            weight += side
        else:
            missed.append(finding)
            elsewhere.add(name)
    for name, finding in given.items():
        if name not in wanted:
            false.append(finding)
            errors.append(ClinicalError("false_finding", None, finding))
        elif name in elsewhere:
            false.append(finding)
    agreed_absent = _agreed_absent(said.absent, told.absent)
    empty = float(agreed_absent > 0 or said.silent)  # neither says that anything is there
    total = len(wanted) + len(given)
    return Comparison(
        matched=tuple(matched),
        missed=tuple(missed),
        false=tuple(false),
        precision=weight / len(given) if given else 0.0 if wanted else empty,
        recall=weight / len(wanted) if wanted else 0.0 if given else empty,
        f1=2 * weight / total if total else empty,
        name_f1=2 * names / total if total else empty,
        errors=tuple(errors),
        named=names,
        agreed_absent=agreed_absent,
        silent=told.silent,
    )


@lru_cache(maxsize=1)
def default_weights() -> dict[str, float]:
    """Returns the weights of errors.yaml by kind of error."""
    return yaml.safe_load(resources.files("radrl.clinical").joinpath("errors.yaml").read_text(encoding="utf-8"))


def weighted_error(comparison: Comparison, weights: Mapping[str, float] | None = None) -> float:
    """Returns the weighted sum of the clinical errors as a share of all that was said, in 0-1; 0 is without error.

    E / (E + named + agreed_absent), where E = Σ weight·share over the errors. A finding named by both counts 1 as
    agreement, and so does, in all, what both rule out. ``weights`` by kind of error replace those of errors.yaml; a
    kind left out has the weight given there. 1 where nothing is agreed on, so also for a text that says nothing of
    the film.

    Raises:
        UserError: a weight is of no known kind, negative or not finite.
    """
    table = {**default_weights(), **(weights or {})}
    for kind, value in table.items():
        if kind not in KINDS:
            raise UserError(f"weights: unknown kind of error '{kind}'{nearest(kind, KINDS)}; known: {', '.join(KINDS)}")
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
            raise UserError(f"weights: '{kind}' is {value!r}; give a number from 0 up")
    error = sum(table[e.kind] * e.share for e in comparison.errors)
    agreed = comparison.named + comparison.agreed_absent
    if not agreed:
        return 1.0
    # a weight near the largest float makes E infinite; the share is then 1
    return error / (error + agreed) if error < float("inf") else 1.0


def merge(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Returns at most one finding a name, in order of first mention, as the report says it in the end.

    The later statement wins, except over another side: "left effusion. No right effusion." stays a left effusion.
    So an earlier present finding is withdrawn by a later absent one only if the absent one has the same side or
    none. Findings that are there are joined: left and right become bilateral, a missing side, region, severity, change
    or position is filled from the other, the later severity and change win, and present outweighs uncertain.
    """
    return tuple(_merge((finding.name, finding) for finding in findings).values())


def _merge(named: Iterable[tuple[str, Finding]]) -> dict[str, Finding]:
    merged: dict[str, Finding] = {}
    for name, new in named:
        old = merged.setdefault(name, new)
        if old is not new:
            merged[name] = _join(old, new)
    return merged


def _join(old: Finding, new: Finding) -> Finding:
    if old.presence == "absent" or new.presence == "absent":
        if new.presence != "absent":
            return new
        other_side = old.presence != "absent" and new.side is not None and new.side != old.side
        return old if other_side else new
    joined = (
        "present" if "present" in (old.presence, new.presence) else "uncertain",
        old.side or new.side if old.side == new.side or not (old.side and new.side) else "bilateral",
        old.region or new.region,
        new.severity or old.severity,
        new.change or old.change,
        old.position or new.position,
    )
    span = old.span or new.span
    if span == old.span and joined == (old.presence, old.side, old.region, old.severity, old.change, old.position):
        return old
    if span is None and not old.boxes:
        return extract.finding(old.name, *joined)
    keys = ("presence", "side", "region", "severity", "change", "position")
    return old.model_copy(update={**dict(zip(keys, joined, strict=True)), "span": span})


def _agreed_absent(wanted: frozenset[str], given: frozenset[str]) -> float:
    """Returns the share of what the reference rules out that the answer does too; a normal film rules out all."""
    if not wanted or not given:
        return 0.0
    named = len(wanted) - (NORMAL in wanted)
    return len(wanted & given) / named if named and NORMAL not in given else 1.0


def _side_weight(a: str | None, b: str | None) -> float:
    if a is None or b is None or a == b:
        return 1.0
    return HALF if "bilateral" in (a, b) else 0.0


def _differences(a: Finding, b: Finding, side: float) -> list[ClinicalError]:
    """Returns in what two statements of one finding differ, whose sides agree by ``side``, 0-1.

    Left open is not wrong; a change left open is no change.
    """
    found = []
    if side < 1:
        found.append(ClinicalError("wrong_side", a, b, 1 - side))
    elif a.region and b.region and a.region != b.region:
        found.append(ClinicalError("wrong_region", a, b))
    if a.position and b.position and a.position != b.position:
        found.append(ClinicalError("wrong_position", a, b))
    if a.severity and b.severity and a.severity != b.severity:
        apart = abs(SEVERITIES.index(a.severity) - SEVERITIES.index(b.severity))
        found.append(ClinicalError("wrong_severity", a, b, apart * HALF))
    if (a.change or "stable") != (b.change or "stable"):
        found.append(ClinicalError("wrong_change", a, b))
    return found
