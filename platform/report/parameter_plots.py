"""Plots of a study's parameters: importances, slices, and parallel coordinates."""

import html
from collections.abc import Mapping

import optuna
import plotly.graph_objects as go
from optuna.distributions import BaseDistribution, CategoricalDistribution
from plotly.colors import sample_colorscale

from platform.report.importance import NotShownError, importances, in_memory
from platform.report.plots import BEST, REAL, RUN, STOPPED, Figure, add_points, plain, signed
from platform.report.study_view import StudyView
from platform.study.ranking import INTERRUPTED
from trainables.metric_registry import symbol
from trainables.training.metric_names import MINIMISED

FADING = [[0.0, BEST], [0.25, "#c98a5c"], [1.0, STOPPED]]  # from the best to the worst


def importance(shown: StudyView, values: Mapping[int, float], direction: str) -> Figure:
    """Plot the importances of the parameters beside those of shuffled values. Raises NotShownError."""
    target = {number: signed(value, direction) for number, value in values.items()}
    found = importances(shown.trials, target)
    labels = [html.escape(name) for name in found]
    figure = go.Figure()
    colours = [RUN if one.value > one.chance else STOPPED for one in found.values()]
    bars = [one.value for one in found.values()]
    figure.add_bar(x=bars, y=labels, orientation="h", name="importance", marker={"color": colours})
    figure.add_scatter(
        x=[one.chance for one in found.values()],
        y=labels,
        mode="markers",
        name="reached by chance in 1 of 20",
        marker={"color": REAL, "symbol": "line-ns-open", "size": 16, "line": {"width": 3}},
    )
    figure.update_xaxes(title="divergence of the best trials' density", rangemode="tozero")
    figure.update_yaxes(autorange="reversed")
    return plain(figure, 120 + 34 * len(found), bargap=0.45)


def parallel(shown: StudyView, name: str, values: Mapping[int, float], direction: str) -> Figure:
    """Plot every trial with a result as a line over its parameters, coloured by the objective.

    Raises:
        NotShownError: fewer than two trials have a result.
    """
    if len(values) < 2:
        raise NotShownError("parallel coordinates need two trials with a result")
    target = {number: signed(value, direction) for number, value in values.items()}
    label = symbol(name) if direction == MINIMISED else f"-{symbol(name)}"
    figure = optuna.visualization.plot_parallel_coordinate(in_memory(shown.trials, target), target_name=label)
    *lines, scale = figure.data
    for line in lines:  # Optuna's colours end in white, which is lost on white; the first coordinate is the objective
        line.update(line={"color": sample_colorscale(FADING, line.y[0])[0]})
    scale.marker.update(colorscale=FADING, reversescale=False)
    figure.data = (*sorted(figure.data[:-1], key=lambda line: -line.y[0]), scale)
    keys = sorted({key for number in target for key in shown.trials[number].params})
    names = [html.escape(key.rpartition(".")[2]).replace("_", "_<br>") for key in keys]  # long ones stand side by side
    figure.update_xaxes(ticktext=[label, *names], tickangle=0)
    figure.update_layout(title=None, plot_bgcolor=None)
    for axis in figure.layout.annotations:
        axis.update(bgcolor=None, font=None)
    return plain(figure, 400)


def slices(shown: StudyView, name: str, values: Mapping[int, float]) -> dict[str, Figure]:
    """Plot the objective against each parameter; trials without the parameter are left out of its slice."""
    distributions: dict[str, BaseDistribution] = {}
    for trial in shown.ranked:
        distributions |= shown.trials[trial.number].distributions
    return {key: _slice(shown, name, values, key, distribution) for key, distribution in distributions.items()}


def _slice(
    shown: StudyView, name: str, values: Mapping[int, float], key: str, distribution: BaseDistribution
) -> Figure:
    figure = go.Figure()
    searched = [trial for trial in shown.ranked if key in trial.params and trial.number in values]
    categorical = isinstance(distribution, CategoricalDistribution)
    x = {t.number: html.escape(str(t.params[key])) if categorical else t.params[key] for t in searched}
    for state in ("PRUNED", INTERRUPTED, "COMPLETE"):
        add_points(figure, state, [trial for trial in searched if trial.state == state], x, values)
    figure.update_traces(hovertemplate="%{text}<br>%{y:.4f}<extra></extra>", showlegend=False)
    kind = "category" if categorical else "log" if getattr(distribution, "log", False) else "linear"
    order = (
        [html.escape(str(choice)) for choice in distribution.choices]
        if isinstance(distribution, CategoricalDistribution)
        else None
    )
    figure.update_xaxes(title=html.escape(key), type=kind, categoryarray=order)
    figure.update_yaxes(title=symbol(name))
    return plain(figure, 260)
