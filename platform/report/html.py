"""The report of a study: one HTML file that holds everything it shows and asks the network for nothing.

It can be written at any time, while the sweep runs too, and shows what is there by then. A figure that cannot be drawn
is replaced by the reason. The file is some 5 MB, nearly all of it plotly.js and the pictures of samples.
"""

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
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
from platform.report.study_view import REPORT, Board, View, curve, manifest_of, state_of, states, successor, times, view
from platform.study.budget import finished
from platform.study.resume import ATTEMPT, METRICS, REASON, REPEATS, history, last_epoch, requeued, resumed_from
from trainables.core.atomic_files import write_atomically
from trainables.core.formatting import clock, format_interval, number
from trainables.metric_registry import digits, offset, shown_as, symbol

TEMPLATE = "template.html.j2"
PICTURES = {
    "gallery.png": "Real movements beside generated ones, the same conditions at the same place.",
    "features.png": "Features of real and of generated movements laid over each other.",
    "detection.png": "Bots caught by family, families never trained on in the strong colour; the curves of those; and "
    "the scores of people and bots about the threshold.",
}

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Plot:
    """A figure of the page, or why there is none."""

    id: str
    label: str
    figure: plots.Figure | None = None
    reason: str = ""


def write_report(study: optuna.Study, folder: Path) -> Path:
    """Write the report of a study into its folder in one atomic step; the file."""
    file = folder / REPORT
    write_atomically(file, render(view(study, folder), datetime.now()))  # noqa: DTZ005  # local, as Optuna's times
    return file


def render(shown: View, now: datetime) -> str:
    """The page."""
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
        shifted=offset(shown.scheduler_metric) != 0,
        head=dict(_head(shown, now)),
        worth=list(_worth(shown)),
        plots=dict(_plots(shown)),
        importances=list(_importances(shown)),
        slices=list(_slices(shown)),
        pictures=list(_pictures(shown.folder / "pictures")),
        failed=[_row(shown, t) for t in shown.trials if t.state == TrialState.FAIL and not requeued(t)],
        cut=[_cut(shown, trial) for trial in shown.trials if requeued(trial)],
        budget=dict(_budget(shown)),
        trials=[_row(shown, trial) for trial in shown.trials if trial.state != TrialState.WAITING],
    )


def _head(shown: View, now: datetime) -> Iterator[tuple[str, str]]:
    """What the study is about, as name and value."""
    attributes, when = shown.study.user_attrs, times(shown.trials)
    yield "objectives", ", ".join(objective.text for objective in shown.objectives)
    if attributes.get("constraints"):
        kept = sum(trial.feasible for trial in shown.evaluated)
        yield "constraints", f"{', '.join(attributes['constraints'])} (kept by {kept} of {len(shown.evaluated)} trials)"
    for name, key in (("trainable", "trainable"), ("data", "data_sha256"), ("configuration", "config_hash")):
        if key in attributes:
            yield name, str(attributes[key])[:16]
    yield "code", _code(shown)
    if when:
        yield "trials ran", f"{when[0]:%Y-%m-%d %H:%M} to {when[-1]:%Y-%m-%d %H:%M}"
    yield "report made", f"{now:%Y-%m-%d %H:%M}"


def _code(shown: View) -> str:
    """The commit of the best trial, or why none is known."""
    manifest = manifest_of(shown.trials[shown.best.number]) if shown.best else None
    if manifest is None:
        return "not recorded"
    source = manifest["source"]
    commit = str(source.get("commit") or f"no commit ({source.get('reason')})")
    return (
        commit[:12] + (" with uncommitted changes" if source.get("dirty") else "") if source.get("commit") else commit
    )


def _worth(shown: View) -> Iterator[tuple[str, Any]]:
    """What the best trial is worth: the headline or an interval of it beside each name."""
    best, headline = shown.best, shown.metric_set.headline
    if best is None or headline not in best.metrics:
        return
    points = (
        curve(shown.trials[best.number], shown.scheduler_metric) if shown_as(shown.scheduler_metric) == headline else {}
    )
    yield from ((name, points[at]) for at, name in ((0, "untrained"), (1, "after 1 epoch")) if at in points)
    yield f"trial {best.number} after {best.epoch} epochs, as the search saw it", best.metrics[headline]
    row = next((row for row in (shown.board or {"rows": []})["rows"] if row["trial"] == best.number), None)
    for split, name in (
        ("validation", f"under fresh {shown.metric_set.resampled}"),
        ("holdout", "on people the search never saw"),
    ):
        if row and row[split] and headline in row[split]:
            yield f"the same trial, {name}", row[split][headline]
    if shown.people is not None:
        yield "real movements of the training people", shown.people
    if shown.floor is not None:
        yield "real movements of the same people (floor)", {"value": shown.floor.mean, **vars(shown.floor)}


def _plots(shown: View) -> Iterator[tuple[str, Plot]]:
    """The figures that every report has, by name."""
    name, metric_set = shown_as(shown.scheduler_metric), shown.metric_set
    first, (values, direction) = next(iter(plots.objectives(shown).items()))
    drawn: Mapping[str, tuple[str, Callable[[], plots.Figure]]] = {
        "forest": (
            f"{symbol(metric_set.headline)} of the finalists with intervals",
            lambda: plots.forest(_board(shown), metric_set, shown.floor),
        ),
        "pareto": ("Pareto front of all trials", lambda: plots.pareto(shown)),
        "parallel": ("Parameters of all trials", lambda: parameter_plots.parallel(shown, first, values, direction)),
        "curves": (f"{symbol(name)} of all trials over their epochs", lambda: plots.curves_of(shown, name)),
    }
    for key, (label, draw) in drawn.items():
        yield key, _drawn(key, label, draw)


def _board(shown: View) -> Board:
    if shown.board is None:
        raise NotShownError("the finalists are judged again when the sweep has ended")
    return shown.board


def _drawn(id: str, label: str, draw: Callable[[], plots.Figure]) -> Plot:
    try:
        return Plot(id, label, draw())
    except NotShownError as error:
        return Plot(id, label, reason=str(error))


def _importances(shown: View) -> Iterator[Plot]:
    """One figure per objective."""
    for at, (name, (values, direction)) in enumerate(plots.objectives(shown).items()):
        label = f"Importances for {symbol(name)}"
        yield _drawn(f"importance-{at}", label, lambda v=values, d=direction: parameter_plots.importance(shown, v, d))  # type: ignore[misc]


def _slices(shown: View) -> Iterator[Plot]:
    """The first objective against each parameter."""
    name, (values, _) = next(iter(plots.objectives(shown).items()))
    for at, (key, figure) in enumerate(parameter_plots.slices(shown, name, values).items()):
        yield Plot(f"slice-{at}", f"{symbol(name)} against {key}", figure)


def _pictures(folder: Path) -> Iterator[tuple[str, str]]:
    """Captions and pictures as data URIs; only those that are there."""
    for name, caption in PICTURES.items():
        file = folder / name
        if file.is_file():
            yield caption, f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"


def _row(shown: View, trial: FrozenTrial) -> dict[str, Any]:
    """A trial as a row of a table."""
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


def _cut(shown: View, trial: FrozenTrial) -> dict[str, Any]:
    after = successor(shown.trials, trial.number)
    return {**_row(shown, trial), "successor": after and {"trial": after.number, "state": state_of(after)}}


def _budget(shown: View) -> Iterator[tuple[str, str]]:
    """What was spent, as name and value."""
    when = times(shown.trials)
    ran = sum((t.duration.total_seconds() for t in shown.trials if t.duration), start=0.0)
    epochs = sum(len([epoch for epoch in history(trial) if epoch]) for trial in shown.trials)
    yield "trials that count", str(len(finished(shown.study)))
    yield "all trials", ", ".join(f"{count} {word}" for word, count in states(shown.trials).items()) or "none yet"
    yield "epochs", str(epochs)
    yield "time inside of trials", clock(ran)
    yield "from the first to the last", clock((when[-1] - when[0]).total_seconds()) if when else "-"
    yield "disk", f"{size(shown.folder) / 1e6:,.0f} MB"


def _value(value: Any) -> str:
    """A parameter for a table."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _interval(figure: Any, digits: int = 3) -> str:
    """A figure with its interval; a plain number where none is known."""
    if not isinstance(figure, Mapping):
        return number(figure, digits)
    return format_interval(figure["value"], figure["low"], figure["high"], digits)
