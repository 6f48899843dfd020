"""The table of findings: how well each is reported, by model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from radrl.evaluation.metrics.records import FindingCounts
from radrl.evaluation.statistics.result import Comparison

Shares = tuple[float | None, float | None, float | None]  # precision, recall, F1


class Row(NamedTuple):
    """One finding, or a mean over them: reports that have it, and per model precision, recall and F1."""

    name: str
    there: int | None
    cells: list[Shares]
    mean: bool = False


def findings_table(comparison: Comparison, counts_of: Mapping[str, Mapping[str, FindingCounts]]) -> list[Row]:
    """Returns a row a finding or label, most frequent first, then the micro and the macro mean; empty without reports.

    ``counts_of`` are the comparison's findings or labels, by model.
    """
    by_model = [counts_of[model] for model in comparison.models]
    often = [comparison.answers[model] for model in comparison.models]
    names = {name for counts in by_model for name in counts}
    if not names:
        return []
    none = FindingCounts(0, 0, 0)
    there = {
        name: max(
            (counts.get(name, none).match + counts.get(name, none).missed) // times
            for counts, times in zip(by_model, often, strict=True)
        )
        for name in names
    }
    rows = []
    for name in sorted(names, key=lambda name: (-there[name], name)):
        rows.append(Row(name.replace("_", " "), there[name], [_cell(counts.get(name, none)) for counts in by_model]))
    # a model that names nothing, of references that name nothing, has no counts at all
    micro = [_cell(FindingCounts(*map(sum, zip(*(counts.values() or [none]), strict=True)))) for counts in by_model]
    macro = [_means([_cell(one) for one in counts.values() or [none]]) for counts in by_model]
    total = sum(there.values())
    return [
        *rows,
        Row("all findings pooled (micro)", total, micro, True),
        Row("mean of findings (macro)", None, macro, True),
    ]


def _cell(counts: FindingCounts) -> Shares:
    return counts.precision, counts.recall, counts.f1


def _means(cells: Sequence[Shares]) -> Shares:
    """Returns the means over the findings for which a share is defined."""
    columns = ([value for value in column if value is not None] for column in zip(*cells, strict=True))
    precision, recall, f1 = (sum(column) / len(column) if column else None for column in columns)
    return precision, recall, f1
