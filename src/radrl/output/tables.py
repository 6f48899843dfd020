"""A comparison as Markdown, LaTeX and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence

from radrl.evaluation.metrics.records import FindingCounts, Metric
from radrl.evaluation.statistics.intervals import CONFIDENCE
from radrl.evaluation.statistics.result import Cell, Comparison, Difference

_LATEX = {c: f"\\{c}" for c in "&%$#_{}"} | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\^{}"}
_CSV = (
    *("model", "metric", "title", "better", "n", "patients", "value", "low", "high", "seeds", "seed_sd", "sample_sd"),
    *("compared_with", "n_pairs", "difference", "difference_low", "difference_high", "p", "p_holm", "way", "test"),
    "below_baseline",
)


def markdown(comparison: Comparison) -> str:
    """Returns the tables: the main metrics (a dagger where a baseline is not reached), differences, then all metrics
    and counts."""
    lines = [line for note in comparison.notes for line in (f"Note: {_plain(note)}", "")]
    lines += _table(comparison, comparison.headline)
    if below := below_baselines(comparison):
        lines += ["", below]
    for base in filter(None, (comparison.base, comparison.others_base)) if comparison.models[1:] else ():
        lines += ["", f"Difference to {_plain(base)}:", "", *_differences(comparison, base)]
    lines += ["", *_notes(comparison), "", "All metrics:", "", *_table(comparison, comparison.metrics)]
    if any(comparison.labels.values()):
        lines += ["", "F1 of CheXpert labels (precision, recall; reports that have it):", ""]
        lines += _labels(comparison.labels, comparison)
    if any(comparison.classes.values()):
        lines += ["", "F1 of labels of classification questions (precision, recall; cases that have it):", ""]
        lines += _labels(comparison.classes, comparison)
    if comparison.types:
        lines += ["", "Questions by type:", "", _row(["", *map(_plain, comparison.models)])]
        lines.append(_row(["---"] + ["---:"] * len(comparison.models)))
    for kind, rows in comparison.types.items():
        for metric in comparison.metrics:
            if any(row.get(metric.name) for row in rows.values()):
                cells = (value_and_interval(rows[model].get(metric.name), metric) for model in comparison.models)
                lines.append(_row([f"{_plain(kind)}, {metric.short}", *cells]))
    if any(comparison.empty.values()):
        lines += ["", "Grounding cases by what is there and what is answered:", ""]
        kinds = next(counts for counts in comparison.empty.values() if counts)
        lines += [_row(["", *map(_plain, comparison.models)]), _row(["---"] + ["---:"] * len(comparison.models))]
        lines += [_row([kind, *(str(comparison.empty[m].get(kind, 0)) for m in comparison.models)]) for kind in kinds]
    return "\n".join(lines) + "\n"


def latex(comparison: Comparison) -> str:
    """Returns the main metrics as a table for booktabs: models in columns, a star where a difference to the base is
    significant after correction."""
    lines = [
        "% \\usepackage{booktabs}",
        *(f"% {' '.join(note.split())}" for note in comparison.notes),
        f"\\begin{{tabular}}{{l{'r' * len(comparison.models)}}}",
        "\\toprule",
        " & ".join(["Metric", *map(_tex, comparison.models)]) + " \\\\",
        "\\midrule",
    ]
    for metric in comparison.headline:
        row = []
        for model in comparison.models:
            cell = comparison.cells[model][metric.name]
            found = _to(cell, comparison.base)
            star = "$^{*}$" if found and found.significant else ""
            dagger = "$^{\\dagger}$" if cell and cell.below and model not in comparison.baselines else ""
            row.append(f"{value_and_interval(cell, metric)}{star}{dagger}")
        lines.append(" & ".join([_tex(metric.title), *row]) + " \\\\")
    notes = (
        f"{CONFIDENCE:.0%} intervals over {comparison.patients} {comparison.units}; * differs from {comparison.base} "
        "(Holm-corrected p below 0.05)"
        f"{'; dagger: does not reach a trivial baseline' if comparison.baselines else ''}."
    )
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", f"% {' '.join(notes.split())}"]) + "\n"


def as_csv(comparison: Comparison) -> str:
    """Returns a row for each model, metric and model it is compared with, unrounded; empty where there is nothing."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_CSV)
    for model in comparison.models:
        for metric in comparison.metrics:
            cell = comparison.cells[model][metric.name]
            if not cell:
                continue
            first = [
                model, metric.name, metric.title, metric.better, cell.n, cell.patients, cell.mean, cell.low, cell.high,
                cell.seeds, cell.seed_sd, cell.sample_sd,
            ]  # fmt: skip
            below = "; ".join(d.to for d in cell.below)
            for d in cell.differences or (None,):
                rest = [d.to, d.n, d.mean, d.low, d.high, d.p, d.p_holm, d.way, d.test] if d else [""] * 9
                writer.writerow(["" if value is None else value for value in [*first, *rest, below]])
    return text.getvalue()


def digits(metric: Metric) -> int:
    """Returns how many decimals a value of the metric is worth: three of a range of 1, two up to 10, else one."""
    reach = metric.high - metric.low
    return 3 if reach <= 2 else 2 if reach <= 10 else 1


def value_and_interval(cell: Cell | None, metric: Metric) -> str:
    """Returns ``0.371 [0.323, 0.421]``."""
    if not cell:
        return "n/a"
    d = digits(metric)
    ends = "–" if cell.low is None or cell.high is None else f"{cell.low:.{d}f}, {cell.high:.{d}f}"
    return f"{cell.mean:.{d}f} [{ends}]"


def signed(value: float, metric: Metric) -> str:
    """Returns a difference with its sign."""
    return f"{value:+.{digits(metric)}f}"


def _table(comparison: Comparison, metrics: Sequence[Metric]) -> list[str]:
    lines = [_row(["", *(f"**{_plain(model)}**" for model in comparison.models)])]
    lines.append(_row(["---"] + ["---:"] * len(comparison.models)))
    for metric in metrics:
        arrow = {"higher": "", "lower": " (lower is better)", "neither": " (neither way is better)"}[metric.better]
        cells = [value_and_interval(comparison.cells[model][metric.name], metric) for model in comparison.models]
        marks = ["†" if is_below(comparison, model, metric) else "" for model in comparison.models]
        lines.append(_row([metric.title + arrow, *map("".join, zip(cells, marks, strict=True))]))
    return lines


def is_below(comparison: Comparison, model: str, metric: Metric) -> bool:
    """Returns whether a model that is no baseline does not reach one of them."""
    cell = comparison.cells[model][metric.name]
    return bool(cell and cell.below) and model not in comparison.baselines


def count_below(comparison: Comparison, metrics: Sequence[Metric]) -> tuple[int, int]:
    """Returns how many values of models do not reach a baseline, and of how many: those of metrics that have a good
    direction and a baseline's value."""
    compared = [
        (model, metric)
        for metric in metrics
        if metric.better != "neither" and not metric.trivial
        if any(comparison.cells[name][metric.name] for name in comparison.baselines)
        for model in comparison.models
        if model not in comparison.baselines and comparison.cells[model][metric.name]
    ]
    return sum(is_below(comparison, *one) for one in compared), len(compared)


def below_baselines(comparison: Comparison) -> str:
    """Returns a sentence on how many values do not reach a baseline; empty where none does not."""
    first, of_first = count_below(comparison, comparison.headline)
    every, of_all = count_below(comparison, comparison.metrics)
    if not every:
        return ""
    return (
        f"† does not reach one of the baselines, which are not trained: {first} of {of_first} values of this table, "
        f"{every} of {of_all} of all metrics (table.csv says which, comparison.json by how much)."
    )


def _differences(comparison: Comparison, base: str) -> list[str]:
    models = [model for model in comparison.models if model != base]
    lines = [_row(["", *map(_plain, models)]), _row(["---"] + ["---:"] * len(models))]
    for metric in comparison.headline:
        row = []
        for model in models:
            cell = comparison.cells[model][metric.name]
            d = _to(cell, base)
            if d:
                ends = f"[{signed(d.low, metric)}, {signed(d.high, metric)}]"
                row.append(f"{signed(d.mean, metric)} {ends}, p = {d.p:.2g} ({d.p_holm:.2g})")
            else:
                row.append("–" if cell else "n/a")
        lines.append(_row([metric.title, *row]))
    return lines


def _to(cell: Cell | None, base: str) -> Difference | None:
    return next((d for d in cell.differences if d.to == base), None) if cell else None


def _labels(labels: Mapping[str, Mapping[str, FindingCounts]], comparison: Comparison) -> list[str]:
    models = [model for model in comparison.models if labels[model]]
    lines = [_row(["", "In references", *map(_plain, models)]), _row(["---"] + ["---:"] * (len(models) + 1))]
    for name in labels[models[0]]:
        counts = [labels[model][name] for model in models]
        cells = [" ".join([_share(c.f1), f"({_share(c.precision)}, {_share(c.recall)})"]) for c in counts]
        there = (counts[0].match + counts[0].missed) // comparison.answers[models[0]]
        lines.append(_row([_plain(name), str(there), *cells]))
    return lines


def _share(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.2f}"


def _notes(comparison: Comparison) -> list[str]:
    total = sum(comparison.cases.values())
    seeds = {cell.seeds for row in comparison.cells.values() for cell in row.values() if cell}
    lines = [
        f"{total} cases of {comparison.patients} {comparison.units}. Brackets: {CONFIDENCE:.0%} BCa bootstrap interval "
        f"over {comparison.units} ({comparison.samples} resamples, seed {comparison.seed}). p: two-sided, the models' "
        f"places swapped by these; in parentheses corrected for the number of comparisons (Holm)."
    ]
    if max(seeds, default=1) > 1:
        lines.append(
            "Where a model has several training runs, intervals and p are Student's t over seeds and patients; those "
            "of a single run speak of that run alone."
        )
    return lines


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _plain(name: str) -> str:
    """Returns a name so that it cannot break a table row."""
    return " ".join(name.replace("|", "\\|").split())


def _tex(text: str) -> str:
    return re.sub(r"[&%$#_{}\\~^]", lambda found: _LATEX[found[0]], " ".join(text.split()))
