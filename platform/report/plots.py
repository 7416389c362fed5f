"""Plots of a study's report: plotly data and layout as plain mappings, rendered by the page in light or dark mode.

Colours mean the same in every plot and are safe for the colour-blind: vermilion is the best trial or the Pareto front,
blue a re-evaluated or COMPLETE trial, grey a PRUNED one, green the reference of real movements or of chance. They are
legible on white and on black, so that a plot does not depend on the background.
"""

import html
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import plotly.graph_objects as go
from optuna.trial import FrozenTrial

from platform.core.console import describe
from platform.report.importance import NotShownError
from platform.report.study_view import Board, StudyView, curves, state_of
from platform.study.ranking import INTERRUPTED, RankedTrial, pareto_fronts
from trainables.core.formatting import format_interval
from trainables.eval.two_sample.null_band import NullBand
from trainables.metric_registry import METRICS, symbol
from trainables.training.metric import MetricSet
from trainables.training.metric_names import MINIMISED

Figure = dict[str, Any]
BEST, RUN, STOPPED, REAL = "#d55e00", "#3a86c8", "#8b929c", "#009e73"
COLOURS = {"COMPLETE": RUN, "PRUNED": STOPPED, INTERRUPTED: "#b07cc6", "RUNNING": "#c99700"}
MOST_TICKS = 12  # on an axis of whole numbers
SYMBOLS = {"COMPLETE": "circle", "PRUNED": "circle-open", INTERRUPTED: "diamond-open", "RUNNING": "circle-dot"}


def values_of(objective: str, trials: Iterable[RankedTrial]) -> dict[int, float]:
    """Return an objective by trial, of those that have it."""
    return {trial.number: trial.metrics[objective] for trial in trials if objective in trial.metrics}


def objectives(shown: StudyView) -> dict[str, tuple[dict[int, float], str]]:
    """Return by name the values of all trials with a result, at their last report, and the direction."""
    found = {}
    for at, objective in enumerate(shown.objectives):
        name = objective.text
        points = {trial.number: trial.values[at] for trial in shown.ranked if trial.values}
        found[name] = (values_of(objective.text, shown.ranked) or points, objective.direction)
    return found


def forest(board: Board, metric_set: MetricSet, band: NullBand | None) -> Figure:
    """Plot the headline of the finalists with 95 % intervals: search estimate, re-evaluation, holdout split."""
    headline = metric_set.headline
    rows = [row for row in board["rows"] if headline in row["validation"]]
    if not rows:
        raise NotShownError(f"no finalist has been re-evaluated by {metric_set.title}")
    names = [f"trial {row['trial']}" for row in rows]
    figure = go.Figure()
    for split, label, colour, shape in (
        ("validation", f"new {metric_set.resampled}", RUN, "circle"),
        ("holdout", "holdout users", BEST, "diamond"),
    ):
        points = _values_on(split, headline, names, rows)
        if points:
            figure.add_trace(_intervals(points, label))
            figure.data[-1].update(marker={"color": colour, "symbol": shape, "size": 9})
    searched = _values_on("searched", headline, names, rows)
    figure.add_scatter(
        x=[value for _, value in searched],
        y=[name for name, _ in searched],
        mode="markers",
        name="search estimate",
        marker={"color": STOPPED, "symbol": "line-ns-open", "size": 12, "line": {"width": 2}},
        hovertemplate="%{y}, search estimate: %{x:.3f}<extra></extra>",
    )
    _chance_band(figure, band, vertical=True)
    figure.update_xaxes(title=f"{symbol(headline)} ({metric_set.axis_title})", range=_reach(rows, headline, band))
    figure.update_yaxes(categoryorder="array", categoryarray=names[::-1])
    return plain(figure, 180 + 46 * len(rows), scattermode="group", scattergap=0.5)


def _values_on(
    split: str, name: str, trials: Sequence[str], rows: Sequence[Mapping[str, Any]]
) -> list[tuple[str, Any]]:
    """Return trials with their metric on a split; trials that were not evaluated there are left out."""
    return [(trial, row[split][name]) for trial, row in zip(trials, rows, strict=True) if name in (row[split] or {})]


def _reach(rows: Sequence[Mapping[str, Any]], name: str, band: NullBand | None) -> tuple[float, float]:
    """Return the axis range that shows all intervals, with a margin."""
    points = [row[split][name] for row in rows for split in ("validation", "holdout") if name in (row[split] or {})]
    chance = METRICS[name].chance
    ends = [*([] if chance is None else [chance]), *([band.low, band.high] if band else [])]
    low, high = min(ends + [one["low"] for one in points]), max(ends + [one["high"] for one in points])
    return low - 0.02, high + 0.02


def _intervals(points: Sequence[tuple[str, Mapping[str, float]]], name: str) -> go.Scatter:
    return go.Scatter(
        x=[figure["value"] for _, figure in points],
        y=[trial for trial, _ in points],
        error_x={
            "array": [figure["high"] - figure["value"] for _, figure in points],
            "arrayminus": [figure["value"] - figure["low"] for _, figure in points],
            "symmetric": False,
            "thickness": 1.6,
            "width": 4,
        },
        customdata=[[figure["low"], figure["high"]] for _, figure in points],
        mode="markers",
        name=name,
        orientation="h",
        hovertemplate=f"%{{y}}, {name}: %{{x:.3f}} [%{{customdata[0]:.3f}}, %{{customdata[1]:.3f}}]<extra></extra>",
    )


def pareto(shown: StudyView) -> Figure:
    """Plot two metrics against each other over all trials with a result; the Pareto front is highlighted and joined.

    These are the first two objectives, or with a single one the headline and the tie-breaker of the trainable.
    """
    (first, (x, x_way)), (second, (y, y_way)) = _axes(shown)
    trials = [trial for trial in shown.ranked if trial.number in x and trial.number in y]
    if not trials:
        raise NotShownError(f"no trial has both {symbol(first)} and {symbol(second)} yet")
    points = {t.number: (signed(x[t.number], x_way), signed(y[t.number], y_way)) for t in trials if t.feasible}
    front = {number for number, depth in pareto_fronts(points).items() if depth == 0}
    figure = go.Figure()
    on_it = sorted((trial for trial in trials if trial.number in front), key=lambda trial: points[trial.number])
    figure.add_scatter(
        x=[x[trial.number] for trial in on_it],
        y=[y[trial.number] for trial in on_it],
        mode="lines",
        line={"color": BEST, "shape": "hv", "width": 1.4, "dash": "dot"},
        hoverinfo="skip",
        showlegend=False,
    )
    for state in ("PRUNED", INTERRUPTED, "COMPLETE"):
        add_points(figure, state, [t for t in trials if t.state == state and t.number not in front], x, y)
    add_points(figure, "on the front", on_it, x, y)
    if first == shown.metric_set.headline:
        _chance_band(figure, shown.no_difference, vertical=True)
    figure.update_xaxes(title=symbol(first))
    figure.update_yaxes(title=symbol(second))
    return plain(figure, 420)


def _axes(shown: StudyView) -> list[tuple[str, tuple[dict[int, float], str]]]:
    pairs = list(objectives(shown).items())
    if len(pairs) > 1:
        return pairs[:2]
    return [(name, (values_of(name, shown.ranked), MINIMISED)) for name in shown.metric_set.shown[:2]]


def signed(value: float, direction: str) -> float:
    """Return the value with the sign that makes smaller better."""
    return value if direction == MINIMISED else -value


def add_points(
    figure: go.Figure, name: str, trials: Sequence[RankedTrial], x: Mapping[int, Any], y: Mapping[int, float]
) -> None:
    """Add the points of some trials; a trial that violates a constraint is a cross."""
    if not trials:
        return
    colour, shape = COLOURS.get(name, BEST), SYMBOLS.get(name, "star")
    figure.add_scatter(
        x=[x[trial.number] for trial in trials],
        y=[y[trial.number] for trial in trials],
        mode="markers",
        name=name,
        marker={"color": colour, "symbol": [shape if t.feasible else "x-thin-open" for t in trials], "size": 9},
        text=[_hover_text(trial.number, trial.state, trial.params) for trial in trials],
        hovertemplate="%{text}<br>%{x:.4f}, %{y:.4f}<extra></extra>",
    )


def curves_of(shown: StudyView, name: str) -> Figure:
    """Plot the scheduler metric of every trial over its epochs, with the best trial emphasised."""
    trials = list(curves(shown))
    if not trials:
        raise NotShownError("no trial has reported an epoch yet")
    best = shown.best.number if shown.best else None
    figure = go.Figure()
    for trial, points in sorted(trials, key=lambda pair: pair[0].number == best):  # the best one on top
        figure.add_trace(_curve(trial, points, trial.number == best))
    if name == shown.metric_set.headline:
        _chance_band(figure, shown.no_difference, vertical=False)
    last = max(max(points) for _, points in trials)
    figure.update_xaxes(title="epoch (0: untrained)", dtick=math.ceil(last / MOST_TICKS) or 1)
    figure.update_yaxes(title=symbol(name))
    return plain(figure, 440, hovermode="closest")


def _curve(trial: FrozenTrial, points: Mapping[int, float], best: bool) -> go.Scatter:
    state = state_of(trial)
    colour = BEST if best else COLOURS.get(state, STOPPED)
    return go.Scatter(
        x=list(points),
        y=list(points.values()),
        mode="lines+markers",
        line={"color": colour, "width": 2.6 if best else 1.2},
        marker={"size": 6 if best else 4},
        opacity=1.0 if best else 0.55,
        text=[_hover_text(trial.number, state, trial.params)] * len(points),
        hovertemplate="%{text}<br>epoch %{x}: %{y:.3f}<extra></extra>",
        showlegend=best,
        name=f"trial {trial.number} (best)",
    )


def _hover_text(trial: int, state: str, params: Mapping[str, Any]) -> str:
    """Return the hover text of a trial; plotly interprets HTML in it, so values are escaped."""
    return f"<b>trial {trial}</b>, {state}<br>{html.escape(describe(dict(params))).replace('  ', '<br>')}"


def _chance_band(figure: go.Figure, band: NullBand | None, vertical: bool) -> None:
    """Add the 95 % band of the headline where nothing but chance tells the sides apart."""
    if band is None:
        return
    name = f"no difference, 95 %: {format_interval(band.mean, band.low, band.high)}"
    shape = {"fillcolor": REAL, "opacity": 0.16, "line_width": 0, "layer": "below"}
    if vertical:
        figure.add_vrect(x0=band.low, x1=band.high, **shape)
    else:
        figure.add_hrect(y0=band.low, y1=band.high, **shape)
    key = {"color": REAL, "symbol": "square", "size": 10, "opacity": 0.5}
    figure.add_scatter(x=[None], y=[None], mode="markers", marker=key, name=name, hoverinfo="skip")


def plain(figure: go.Figure, height: int, **layout: Any) -> Figure:
    """Return data and layout without a template: the page adds its light or dark one."""
    figure.update_layout(
        template="none",
        height=height,
        margin={"l": 56, "r": 12, "t": 8, "b": 48},
        legend={"orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom"},
        **layout,
    )
    plain: Figure = json.loads(figure.to_json())
    del plain["layout"]["template"]
    return plain
