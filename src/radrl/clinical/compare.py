"""Two reports compared finding by finding.

What counts is what a report says is there: findings that are present or uncertain (an uncertain finding counts as
mentioned, like CheXpert's U-Ones, arXiv 1901.07031). Findings said to be absent are neither credited nor blamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from radrl.clinical import extract
from radrl.example import Finding

HALF = 0.5  # one side against both


@dataclass(frozen=True)
class Comparison:
    """Reference against answer.

    ``matched`` holds pairs (reference finding, answer finding), ``missed`` what only the reference says, ``false``
    what only the answer says. ``precision``, ``recall``, ``f1`` and ``name_f1`` (sides left aside) are in 0-1, and 1
    where neither report says that anything is there.
    """

    matched: tuple[tuple[Finding, Finding], ...]
    missed: tuple[Finding, ...]
    false: tuple[Finding, ...]
    precision: float
    recall: float
    f1: float
    name_f1: float


def compare(reference: str | Iterable[Finding], answer: Iterable[Finding]) -> Comparison:
    """Compares an answer's findings with those of a reference (its text, or the findings read from it).

    Both are merged first. Two findings match when their names are equal and their sides agree: equal sides, or a
    side that one of them leaves open, count 1; left or right against bilateral counts one half, in precision and
    in recall. F1 = 2·matched / (|answer| + |reference|).
    """
    if isinstance(reference, str):
        reference = extract.findings(reference)
    wanted, given = _mentioned(merge(reference)), _mentioned(merge(answer))
    pairs = _pairs(wanted, given)
    weight = sum(w for _, _, w in pairs)
    names = len({f.name for f in wanted} & {f.name for f in given})
    name_total = len({f.name for f in wanted}) + len({f.name for f in given})
    hit = {id(r) for r, _, _ in pairs}, {id(a) for _, a, _ in pairs}
    return Comparison(
        matched=tuple((r, a) for r, a, _ in pairs),
        missed=tuple(f for f in wanted if id(f) not in hit[0]),
        false=tuple(f for f in given if id(f) not in hit[1]),
        precision=weight / len(given) if given else float(not wanted),
        recall=weight / len(wanted) if wanted else float(not given),
        f1=2 * weight / (len(given) + len(wanted)) if given or wanted else 1.0,
        name_f1=2 * names / name_total if name_total else 1.0,
    )


def merge(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Returns at most one finding a name, in order of first mention, as the report says it in the end.

    The later statement wins, except over another side: "left effusion. No right effusion." stays a left effusion.
    So an earlier present finding is withdrawn by a later absent one only if the absent one has the same side or
    none. Findings that are there are joined: left and right become bilateral, a missing side, region or severity is
    filled from the other, the later severity wins, and present outweighs uncertain.
    """
    merged: dict[str, Finding] = {}
    for new in findings:
        old = merged.get(new.name)
        merged[new.name] = new if old is None else _join(old, new)
    return tuple(merged.values())


def _join(old: Finding, new: Finding) -> Finding:
    if old.presence == "absent" or new.presence == "absent":
        if new.presence != "absent":
            return new
        other_side = old.presence != "absent" and new.side is not None and new.side != old.side
        return old if other_side else new
    sides = {old.side, new.side} - {None}
    return old.model_copy(
        update={
            "presence": "present" if "present" in (old.presence, new.presence) else "uncertain",
            "side": "bilateral" if len(sides) > 1 else next(iter(sides), None),
            "region": old.region or new.region,
            "severity": new.severity or old.severity,
            "span": old.span or new.span,
        }
    )


def _mentioned(findings: Sequence[Finding]) -> list[Finding]:
    return [finding for finding in findings if finding.presence != "absent"]


def _pairs(wanted: Sequence[Finding], given: Sequence[Finding]) -> list[tuple[Finding, Finding, float]]:
    """Returns matching pairs with their weight; after merging, a name stands at most once on either side."""
    by_name = {finding.name: finding for finding in given}
    pairs = []
    for finding in wanted:
        other = by_name.get(finding.name)
        if other is not None and (weight := _side_weight(finding.side, other.side)):
            pairs.append((finding, other, weight))
    return pairs


def _side_weight(a: str | None, b: str | None) -> float:
    if a is None or b is None or a == b:
        return 1.0
    return HALF if "bilateral" in (a, b) else 0.0
