"""Figures of a study's parameters: which matter, where good trials lie in each, and all of them together."""

import html
from collections.abc import Mapping

import optuna
import plotly.graph_objects as go
from optuna.distributions import BaseDistribution, CategoricalDistribution
from plotly.colors import sample_colorscale

from platform.report.importance import NotShownError, importances, in_memory
from platform.report.plots import BEST, REAL, RUN, STOPPED, Figure, add_points, plain, signed
from platform.report.study_view import WORDS, View
from trainables.metric_registry import symbol
from trainables.training.metric_names import MINIMISED

FADING = [[0.0, BEST], [0.25, "#c98a5c"], [1.0, STOPPED]]  # from the best to the worst


def importance(shown: View, values: Mapping[int, float], direction: str) -> Figure:
    """Importances of the parameters, beside what chance makes of as many trials. Raises NotShownError."""
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


def parallel(shown: View, name: str, values: Mapping[int, float], direction: str) -> Figure:
    """Every trial with a result as a line over its parameters, coloured by the objective.

    Raises:
        NotShownError: one line has nothing beside it.
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
    figure.update_xaxes(ticktext=[label, *(html.escape(key.rpartition(".")[2]) for key in keys)], tickangle=0)
    figure.update_layout(title=None, plot_bgcolor=None)
    for axis in figure.layout.annotations:
        axis.update(bgcolor=None, font=None)
    return plain(figure, 400)


def slices(shown: View, name: str, values: Mapping[int, float]) -> dict[str, Figure]:
    """The objective against each parameter, by parameter; trials without the parameter are left out of its slice."""
    laws: dict[str, BaseDistribution] = {}
    for trial in shown.evaluated:
        laws |= shown.trials[trial.number].distributions
    return {key: _slice(shown, name, values, key, law) for key, law in laws.items()}


def _slice(shown: View, name: str, values: Mapping[int, float], key: str, law: BaseDistribution) -> Figure:
    figure = go.Figure()
    asked = [trial for trial in shown.evaluated if key in trial.params and trial.number in values]
    categorical = isinstance(law, CategoricalDistribution)
    x = {t.number: html.escape(str(t.params[key])) if categorical else t.params[key] for t in asked}
    for word in ("stopped", "cut", "full"):
        add_points(figure, word, [trial for trial in asked if WORDS[trial.state] == word], x, values)
    figure.update_traces(hovertemplate="%{text}<br>%{y:.4f}<extra></extra>", showlegend=False)
    kind = "category" if categorical else "log" if getattr(law, "log", False) else "linear"
    order = [html.escape(str(choice)) for choice in law.choices] if isinstance(law, CategoricalDistribution) else None
    figure.update_xaxes(title=html.escape(key), type=kind, categoryarray=order)
    figure.update_yaxes(title=symbol(name))
    return plain(figure, 260)
