"""The geometry of the page's charts. The template draws them as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from radrl.evaluation.metrics.records import Metric
from radrl.evaluation.statistics.result import Comparison
from radrl.output.tables import digits

WIDTH, HEIGHT = 340.0, 170.0  # one curve chart
LEFT, RIGHT, TOP, BOTTOM = 46.0, 8.0, 8.0, 24.0
FOREST = 260.0  # the width of a forest plot's axis
_ONE = {  # charts of one line: log key -> title
    "loss": "Loss (training)",
    "completions/mean_length": "Completion length (tokens)",
    "frac_reward_zero_std": "Groups without reward spread (share)",
}


class Line(NamedTuple):
    """A named line: the points as logged, a running mean of them, and the last running mean."""

    name: str
    raw: str
    smooth: str
    last: str


class Chart(NamedTuple):
    """One curve chart: y ticks as (position, text), x ticks likewise, and its lines."""

    title: str
    x_ticks: list[tuple[float, str]]
    y_ticks: list[tuple[float, str]]
    lines: list[Line]


class Stage(NamedTuple):
    """One stage of training with its charts."""

    name: str
    steps: int
    window: int
    charts: list[Chart]


def curves(logs_by_stage: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Stage]:
    """Returns the charts of each stage from ``trainer_state.log_history``; stages without a curve are left out."""
    stages = []
    for name, logs in logs_by_stage.items():
        series = _series(logs)
        rewards = {key[8:-5]: series[key] for key in sorted(series) if _is_reward(key)}
        if "reward" in series and len(rewards) != 1:
            rewards = {"total": series["reward"], **rewards}
        window = max(1, max((len(points) for points in series.values()), default=0) // 15)
        chosen = {"Mean reward, by scorer": rewards} if rewards else {}
        keys = [key for key in _ONE if key != "loss"] if rewards else ["loss"]
        chosen.update({_ONE[key]: {key: series[key]} for key in keys if key in series})
        charts = [_chart(title, lines, window) for title, lines in chosen.items()]
        if charts:
            steps = max(int(points[-1][0]) for points in series.values())
            stages.append(Stage(name, steps, window, charts))
    return stages


def live_charts(logs: Sequence[Mapping[str, Any]]) -> list[Chart]:
    """Returns the charts of a run while it trains: loss, rewards by part, clinical metrics of the audit, lengths."""
    series = _series(logs)

    def lines(start: str, end: str = "") -> dict[str, list[tuple[float, float]]]:
        keys = [key for key in sorted(series) if key.startswith(start) and key.endswith(end)]
        return {key.removeprefix(start).removesuffix(end).strip("/"): series[key] for key in keys}

    def one(key: str) -> dict[str, list[tuple[float, float]]]:
        return {key: series[key]} if key in series else {}

    chosen = {
        "Loss": one("loss"),
        "Mean reward, by part": {
            **({"total": series["reward"]} if "reward" in series else {}),
            **lines("rewards/", "/mean"),
        },
        "Clinical metric of the rollouts, by task": lines("audit/", "/clinical_metric"),
        "Held-out clinical metric, by task": lines("audit/dev/"),
        "Held-out figures": lines("eval_"),
        "Words of the answers, by task": lines("audit/", "/words"),
        "Completion length (tokens)": one("completions/mean_length"),
        "Groups without reward spread (share)": one("frac_reward_zero_std"),
        "Token accuracy": one("mean_token_accuracy"),
        "Gradient norm": one("grad_norm"),
        "KL to the start": one("kl"),
    }
    window = max(1, max((len(points) for points in series.values()), default=0) // 15)
    return [_chart(title, found, window) for title, found in chosen.items() if found]


def _is_reward(key: str) -> bool:
    return key.startswith("rewards/") and key.endswith("/mean")


def _series(logs: Sequence[Mapping[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """Returns every finite number that was logged with a step, by key, at least two points each."""
    series: dict[str, list[tuple[float, float]]] = {}
    for log in logs:
        step = log.get("step")
        for key, value in log.items():
            if not isinstance(step, int | float) or not isinstance(value, int | float) or key == "step":
                continue
            if math.isfinite(value):
                series.setdefault(key, []).append((float(step), float(value)))
    return {key: sorted(points) for key, points in series.items() if len(points) > 1}


def _chart(title: str, lines: Mapping[str, list[tuple[float, float]]], window: int) -> Chart:
    xs = [x for points in lines.values() for x, _ in points]
    ys = [y for points in lines.values() for _, y in points]
    x_low, x_high = min(xs), max(max(xs), min(xs) + 1)
    ticks = nice_ticks(min(ys), max(ys), 4)
    y_low, y_high = ticks[0], ticks[-1]

    def x_at(x: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (x - x_low) / (x_high - x_low)

    def y_at(y: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (y - y_low) / (y_high - y_low)

    def path(points: Sequence[tuple[float, float]]) -> str:
        return " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in points)

    drawn = []
    for name, points in lines.items():
        means = running_mean(points, window)
        drawn.append(Line(name, path(points), path(means), f"{means[-1][1]:.3g}"))
    return Chart(
        title=title,
        x_ticks=[(x_at(x), f"{x:g}") for x in (x_low, x_high)],
        y_ticks=[(y_at(y), f"{y:g}") for y in ticks],
        lines=drawn,
    )


def running_mean(points: Sequence[tuple[float, float]], window: int) -> list[tuple[float, float]]:
    """Returns at each point the mean of it and the up to ``window`` - 1 points before it."""
    means = []
    for i, (x, _) in enumerate(points):
        part = [y for _, y in points[max(0, i + 1 - window) : i + 1]]
        means.append((x, math.fsum(part) / len(part)))
    return means


def nice_ticks(low: float, high: float, count: int) -> list[float]:
    """Returns round, evenly spaced numbers from at or below ``low`` to at or above ``high``, about ``count``."""
    if high <= low:
        low, high = low - 0.5 * (abs(low) or 1.0), high + 0.5 * (abs(high) or 1.0)
    rough = (high - low) / count
    unit = 10.0 ** math.floor(math.log10(rough))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [float(f"{k * step:.10g}") for k in range(first, last + 1)]


class ForestRow(NamedTuple):
    """One model on the axis: positions, and the numbers in words. ``kind`` is better, worse, unclear or plain."""

    model: str
    kind: str
    low: float
    mean: float
    high: float
    words: str
    interval: str
    title: str


class Panel(NamedTuple):
    """One metric's forest plot: its rows, the ticks as (position, text), and where zero is, if it is marked."""

    title: str
    rows: list[ForestRow]
    ticks: list[tuple[float, str]]
    zero: float | None


class Forest(NamedTuple):
    """The models on each headline metric: the differences to ``base``, or without one the values themselves."""

    base: str | None
    panels: list[Panel]


def forest(comparison: Comparison, base: str | None) -> Forest | None:
    """Returns the forest plots of differences to ``base``, on one axis for metrics of one range, or of values; None
    where there is nothing to show."""
    panels: list[tuple[Metric, list[tuple[str, float, float, float, str, str]]]] = []
    for metric in comparison.headline:
        rows = []
        for model in comparison.models:
            cell = comparison.cells[model][metric.name]
            if not cell or cell.low is None or cell.high is None:
                continue
            if base is None:
                below = bool(cell.below) and model not in comparison.baselines
                kind = "worse" if below else "unclear" if model in comparison.baselines else "plain"
                rows.append((model, cell.low, cell.mean, cell.high, kind, f"n = {cell.n}"))
            rows += [
                (model, d.low, d.mean, d.high, d.way, f"{p_words(d.p)}, corrected {p_words(d.p_holm)}, n = {d.n}")
                for d in cell.differences
                if d.to == base and metric.better != "neither"
            ]
        if rows:
            panels.append((metric, rows))
    if not panels:
        return None
    scales: dict[float, list[float]] = {}
    for metric, rows in panels:
        ends = [end for row in rows for end in (row[1], row[3])]
        scales.setdefault(metric.high - metric.low, [0.0] if base else []).extend(ends)
    return Forest(base, [_panel(metric, rows, scales[metric.high - metric.low], base) for metric, rows in panels])


def _panel(metric: Metric, rows: Sequence[tuple], ends: Sequence[float], base: str | None) -> Panel:
    ticks = nice_ticks(min(ends), max(ends), 5)

    def at(value: float) -> float:
        return FOREST * (value - ticks[0]) / (ticks[-1] - ticks[0])

    def said(value: float) -> str:
        text = f"{value:+.{digits(metric)}f}" if base else f"{value:.{digits(metric)}f}"
        return text.replace("-", "\u2212")

    forest_rows = [
        ForestRow(model, kind, at(low), at(mean), at(high), said(mean), f"({said(low)} to {said(high)})", title)
        for model, low, mean, high, kind, title in rows
    ]
    arrow = " (lower is better)" if metric.better == "lower" else ""
    texts = [(at(tick), (f"{tick:+g}" if base and tick else f"{tick:g}").replace("-", "\u2212")) for tick in ticks]
    return Panel(metric.title + arrow, forest_rows, texts, at(0.0) if base else None)


def p_words(p: float) -> str:
    """Returns ``p < 0.001`` or ``p = 0.034``."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
