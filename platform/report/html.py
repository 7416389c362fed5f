"""Write the report of a study: one self-contained HTML file that loads nothing from the network.

It can be written at any time, also while the sweep runs, and shows the results so far. A plot that is not available is
replaced by the reason. The file has about 5 MB, nearly all of it plotly.js and images of samples.
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import optuna
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from optuna.trial import FrozenTrial, TrialState
from plotly.offline import get_plotlyjs

from platform.core.disk_usage import size
from platform.report import parameter_plots, plots
from platform.report.importance import NotShownError
from platform.report.study_view import (
    REPORT,
    Board,
    StudyView,
    curve,
    manifest_of,
    state_of,
    states,
    successor,
    times,
    view,
)
from platform.study.budget import finished
from platform.study.resume import ATTEMPT, METRICS, REASON, REPEATS, history, last_epoch, requeued, resumed_from
from trainables.core.atomic_files import write_atomically
from trainables.core.formatting import clock, format_interval, number
from trainables.metric_registry import digits, symbol

TEMPLATE = "template.html.j2"
PICTURES = {
    "gallery.png": "Real movements, and generated ones, each under the conditions of the real one at its place.",
    "features.png": "Features of real and of generated movements laid over each other.",
    "detection.png": "TPR by bot family, unseen families in the strong colour; the ROC curves of these; and the scores "
    "of human movements and bots around the threshold.",
}

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Plot:
    """A plot of the page, or the reason why there is none."""

    id: str
    label: str
    figure: plots.Figure | None = None
    reason: str = ""


def write_report(study: optuna.Study, folder: Path) -> Path:
    """Write the report of a study into its folder in one atomic step and return the file."""
    file = folder / REPORT
    write_atomically(file, render(view(study, folder), datetime.now()))  # noqa: DTZ005  # local, as Optuna's times
    return file


def render(shown: StudyView, now: datetime) -> str:
    """Return the HTML of the report."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "value": _value, "interval": _interval, "clock": clock}
    environment.filters |= {"symbol": symbol, "digits": digits}
    return environment.get_template(TEMPLATE).render(
        plotly_js=Markup(get_plotlyjs()),  # the library's own text
        shown=shown,
        metric_set=shown.metric_set,
        head=dict(_head(shown, now)),
        worth=list(_worth(shown)),
        re_evaluated=_re_evaluated(shown),
        plots=dict(_plots(shown)),
        importances=list(_importances(shown)),
        slices=list(_slices(shown)),
        pictures=list(_pictures(shown.folder / "pictures")),
        failed=[_row(shown, t) for t in shown.trials if t.state == TrialState.FAIL and not requeued(t)],
        interrupted=[_interrupted(shown, trial) for trial in shown.trials if requeued(trial)],
        budget=dict(_budget(shown)),
        trials=[_row(shown, trial) for trial in shown.trials if trial.state != TrialState.WAITING],
    )


def _head(shown: StudyView, now: datetime) -> Iterator[tuple[str, str]]:
    """Yield the facts at the head of the report, as name and value."""
    attributes, when = shown.study.user_attrs, times(shown.trials)
    yield "objectives", ", ".join(objective.text for objective in shown.objectives)
    if attributes.get("constraints"):
        kept = sum(trial.feasible for trial in shown.ranked)
        yield "constraints", f"{', '.join(attributes['constraints'])} (met by {kept} of {len(shown.ranked)} trials)"
    for name, key in (("trainable", "trainable"), ("data", "data_sha256"), ("configuration", "config_hash")):
        if key in attributes:
            yield name, str(attributes[key])[:16]
    yield "code", _code(shown)
    if shown.stale:
        yield "leaderboard", shown.stale
    if when:
        yield "run", f"{when[0]:%Y-%m-%d %H:%M} to {when[-1]:%Y-%m-%d %H:%M}"
    yield "report written", f"{now:%Y-%m-%d %H:%M}"


def _code(shown: StudyView) -> str:
    """Return the commit of the best trial, or the reason why none is known."""
    manifest = manifest_of(shown.study, shown.trials[shown.best.number]) if shown.best else None
    if manifest is None:
        return "not recorded"
    source = manifest["source"]
    commit = str(source.get("commit") or f"no commit ({source.get('reason')})")
    return (
        commit[:12] + (" with uncommitted changes" if source.get("dirty") else "") if source.get("commit") else commit
    )


def _worth(shown: StudyView) -> Iterator[tuple[str, Any]]:
    """Yield names and headline values of the best trial and of its references."""
    best, headline = shown.best, shown.metric_set.headline
    if best is None or headline not in best.metrics:
        return
    points = curve(shown.trials[best.number], shown.scheduler_metric) if shown.scheduler_metric == headline else {}
    yield from ((name, points[at]) for at, name in ((0, "untrained"), (1, "after 1 epoch")) if at in points)
    row = _best_row(shown)
    for split, name in (
        ("validation", f"with new {shown.metric_set.resampled}"),
        ("holdout", "on the holdout split"),
    ):
        if row and row[split] and headline in row[split]:
            yield f"trial {best.number}, {name}", row[split][headline]
    yield f"trial {best.number}, epoch {best.epoch} (search estimate)", best.metrics[headline]
    if shown.reference is not None:
        band = shown.reference.no_difference
        yield "no difference, by chance", {"value": band.mean, **vars(band)}
        for probe, value in shown.reference.floors.items():
            yield f"AUC of other users, {probe} (floor)", value


def _best_row(shown: StudyView) -> Mapping[str, Any] | None:
    """Return the leaderboard's row of the best trial; None where there is none."""
    rows = (shown.board or {"rows": []})["rows"]
    return next((row for row in rows if shown.best is not None and row["trial"] == shown.best.number), None)


def _re_evaluated(shown: StudyView) -> Mapping[str, float] | None:
    """Return the headline of the best trial with its interval under new seeds; None before its re-evaluation."""
    found: Mapping[str, float] | None = ((_best_row(shown) or {}).get("validation") or {}).get(
        shown.metric_set.headline
    )
    return found


def _plots(shown: StudyView) -> Iterator[tuple[str, Plot]]:
    """Yield the plots that every report has, by name."""
    name, metric_set = shown.scheduler_metric, shown.metric_set
    first, (values, direction) = next(iter(plots.objectives(shown).items()))
    makers: Mapping[str, tuple[str, Callable[[], plots.Figure]]] = {
        "forest": (
            f"{symbol(metric_set.headline)} of the finalists with intervals",
            lambda: plots.forest(_board(shown), metric_set, shown.no_difference),
        ),
        "pareto": ("Pareto front of all trials", lambda: plots.pareto(shown)),
        "parallel": ("Parameters of all trials", lambda: parameter_plots.parallel(shown, first, values, direction)),
        "curves": (f"{symbol(name)} of all trials over their epochs", lambda: plots.curves_of(shown, name)),
    }
    for key, (label, draw) in makers.items():
        yield key, _plot_or_reason(key, label, draw)


def _board(shown: StudyView) -> Board:
    if shown.board is None:
        raise NotShownError("finalists are re-evaluated at the end of the sweep")
    return shown.board


def _plot_or_reason(id: str, label: str, draw: Callable[[], plots.Figure]) -> Plot:
    try:
        return Plot(id, label, draw())
    except NotShownError as error:
        return Plot(id, label, reason=str(error))


def _importances(shown: StudyView) -> Iterator[Plot]:
    """Yield one plot per objective."""
    for at, (name, (values, direction)) in enumerate(plots.objectives(shown).items()):
        label = f"Importances for {symbol(name)}"
        make = partial(parameter_plots.importance, shown, values, direction)
        yield _plot_or_reason(f"importance-{at}", label, make)


def _slices(shown: StudyView) -> Iterator[Plot]:
    """Yield plots of the first objective against each parameter."""
    name, (values, _) = next(iter(plots.objectives(shown).items()))
    for at, (key, figure) in enumerate(parameter_plots.slices(shown, name, values).items()):
        yield Plot(f"slice-{at}", f"{symbol(name)} against {key}", figure)


def _pictures(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield captions and images as data URIs, of those that exist."""
    for name, caption in PICTURES.items():
        file = folder / name
        if file.is_file():
            yield caption, f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"


def _row(shown: StudyView, trial: FrozenTrial) -> dict[str, Any]:
    """Return a trial as a row of a table."""
    attributes = trial.user_attrs
    notes = [f"resumed from trial {number}"] if (number := resumed_from(trial)) is not None else []
    notes += [f"repeats trial {attributes[REPEATS]}"] if REPEATS in attributes else []
    notes += [f"attempt {attributes[ATTEMPT] + 1}"] if ATTEMPT in attributes else []
    return {
        "trial": trial.number,
        "state": state_of(trial),
        "epoch": last_epoch(trial),
        "metrics": attributes.get(METRICS, {}),
        "params": trial.params,
        "reason": attributes.get(REASON, ""),
        "notes": ", ".join(notes),
        "best": shown.best is not None and shown.best.number == trial.number,
    }


def _interrupted(shown: StudyView, trial: FrozenTrial) -> dict[str, Any]:
    after = successor(shown.trials, trial.number)
    return {**_row(shown, trial), "successor": after and {"trial": after.number, "state": state_of(after)}}


def _budget(shown: StudyView) -> Iterator[tuple[str, str]]:
    """Yield the consumed budget, as name and value."""
    when = times(shown.trials)
    ran = sum((t.duration.total_seconds() for t in shown.trials if t.duration), start=0.0)
    epochs = sum(len([epoch for epoch in history(trial) if epoch]) for trial in shown.trials)
    yield "finished trials", str(len(finished(shown.study)))
    yield "all trials", ", ".join(f"{count} {word}" for word, count in states(shown.trials).items()) or "none yet"
    yield "epochs", str(epochs)
    yield "total trial time", clock(ran)
    yield "elapsed time", clock((when[-1] - when[0]).total_seconds()) if when else "-"
    yield "disk", f"{size(shown.folder) / 1e6:,.0f} MB"


def _value(value: Any) -> str:
    """Return a parameter as text."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _interval(figure: Any, digits: int = 3) -> str:
    """Return a metric with its interval, or alone where none is known."""
    if not isinstance(figure, Mapping):
        return number(figure, digits)
    return format_interval(figure["value"], figure["low"], figure["high"], digits)
