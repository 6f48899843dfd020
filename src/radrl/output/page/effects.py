"""The plots of the first screen: differences of one model around zero, narrow enough for a telephone. The template
draws them as inline SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from radrl.evaluation.metrics.records import Metric
from radrl.evaluation.statistics.result import Comparison, Difference
from radrl.output.page.charts import nice_ticks
from radrl.output.tables import digits

WIDTH = 340.0
LEFT, AXIS = 178.0, 154.0  # where the axis begins, beside the names of the metrics, and its length
LINE, GAP = 11, 8  # height of an interval, and between two metrics


class Effects(NamedTuple):
    """The differences of one model to another on headline metrics."""

    model: str
    to: str
    differences: list[tuple[Metric, Difference]]


class EffectRow(NamedTuple):
    """One interval: positions on the axis, ``kind`` (better, worse, unclear, plain), the mark's number, and in words.
    ``y`` is its place in the plot; the first interval of a metric has its ``title``, with the title's place."""

    title: str
    title_y: float
    y: float
    kind: str
    mark: int
    low: float
    mean: float
    high: float
    words: str


class EffectPlot(NamedTuple):
    """One plot: what it shows in words, the names of its marks, its rows, ticks, where zero is, and its height."""

    title: str
    marks: list[str]
    rows: list[EffectRow]
    ticks: list[tuple[float, str]]
    zero: float | None
    height: float
    text: str


def effect_plots(effects: Sequence[Effects]) -> list[EffectPlot]:
    """Returns a plot for each model and range of metrics: its differences to each other model, all on one axis."""
    plots = []
    for model in dict.fromkeys(one.model for one in effects):
        of_model = [one for one in effects if one.model == model]
        ranges = dict.fromkeys(metric.high - metric.low for one in of_model for metric, _ in one.differences)
        for reach in ranges:
            rows = [
                (metric, mark, d.low, d.mean, d.high, d.way)
                for metric in dict.fromkeys(m for one in of_model for m, _ in one.differences)
                if metric.high - metric.low == reach
                for mark, one in enumerate(of_model)
                for m, d in one.differences
                if m == metric
            ]
            to = [one.to for one in of_model]
            plots.append(_plot(f"{model} against {' and '.join(to)}", to, rows, signed=True))
    return plots


def value_plots(comparison: Comparison, model: str) -> list[EffectPlot]:
    """Returns the values of one model on the headline metrics, a plot for each range of metrics: for where there is
    nothing to compare it with."""
    cells = [
        (metric, 0, cell.low, cell.mean, cell.high, "worse" if cell.below else "plain")
        for metric in comparison.headline
        if metric.better != "neither" and model and (cell := comparison.cells[model][metric.name])
        if cell.low is not None and cell.high is not None
    ]
    reaches = dict.fromkeys(row[0].high - row[0].low for row in cells)
    by_reach = [[row for row in cells if row[0].high - row[0].low == reach] for reach in reaches]
    return [_plot(f"{model}: values", [model], rows, signed=False) for rows in by_reach]


def _plot(title: str, marks: list[str], found: Sequence[tuple], signed: bool) -> EffectPlot:
    ends = [end for row in found for end in (row[2], row[4])] + ([0.0] if signed else [])
    ticks = nice_ticks(min(ends), max(ends), 3)

    def at(value: float) -> float:
        return LEFT + AXIS * (value - ticks[0]) / (ticks[-1] - ticks[0])

    rows, y, said = [], 0.0, []
    for metric in dict.fromkeys(row[0] for row in found):
        of_metric = [row for row in found if row[0] == metric]
        y += GAP
        middle = y + len(of_metric) * LINE / 2
        for k, (_, mark, low, mean, high, kind) in enumerate(of_metric):
            d, sign = digits(metric), "+" if signed else ""
            words = f"{mean:{sign}.{d}f} ({low:{sign}.{d}f} to {high:{sign}.{d}f})".replace("-", "\u2212")
            name = metric.title + (" (lower is better)" if metric.better == "lower" else "")
            here = y + LINE * (k + 0.5)
            rows.append(EffectRow("" if k else name, middle, here, kind, mark, at(low), at(mean), at(high), words))
            said.append(f"{name}{f' against {marks[mark]}' if signed else ''} {words}")
        y += len(of_metric) * LINE
    texts = [(at(tick), (f"{tick:+g}" if signed and tick else f"{tick:g}").replace("-", "\u2212")) for tick in ticks]
    return EffectPlot(title, marks, rows, texts, at(0.0) if signed else None, y + 26, "; ".join(said))
