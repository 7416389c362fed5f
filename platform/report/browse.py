"""List studies, and show a study or one of its trials, in a terminal.

Nothing is written or started, so that a running sweep can be inspected.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from rich.console import Console
from rich.table import Table

from platform.core.console import (
    columns,
    describe,
    figure_columns,
    figures_of,
    metric,
    metric_interval,
    plain,
    print_facts,
    print_heading,
    print_line,
    print_table,
)
from platform.report.study_view import (
    REPORT,
    Board,
    StudyView,
    curve,
    lineage,
    manifest_of,
    state_of,
    states,
    successor,
    times,
    trial_of,
    view,
)
from platform.study.resume import ATTEMPT, METRICS, OVERRIDES, PRIOR, REASON, REPEATS, trial_folder
from platform.study.storage import JOURNAL, has_driver, open_storage, redact_password, require_database
from platform.study.study import load_study
from trainables.core.config import ConfigError
from trainables.core.formatting import clock, number
from trainables.metric_registry import title
from trainables.training.metric import MetricSet
from trainables.training.trial_log import LOG

TRIALS = 12  # shown of a study; the report has all


def list_studies(console: Console, storage_path: Path, storage: str = "") -> int:
    """Print the studies below a storage path, or in a database, latest first."""
    found, unreadable = list[tuple[optuna.Study, Path]](), list[str]()
    for name in _names(storage_path, storage):
        try:
            found.append((load_study(storage_path, name, storage), storage_path / name))
        except ConfigError as error:
            unreadable.append(str(error))
    for reason in unreadable:
        print_line(console, f"unreadable: {reason}")
    found.sort(key=lambda pair: _last(pair[0]), reverse=True)
    if not found and not unreadable:
        print_line(console, f"no studies in {redact_password(storage) or storage_path} yet")
        return 0
    views = [_view(study, folder) for study, folder in found]
    headlines = {shown.metric_set.title for shown in views if isinstance(shown, StudyView)}
    [best] = headlines if len(headlines) == 1 else [""]
    table = columns("study", "objectives", "~trials", f">best {best}".rstrip(), "last activity")
    for (study, _), shown in zip(found, views, strict=True):
        table.add_row(study.study_name, *_summary(study, shown, named=not best))
    print_table(console, table)
    return 0


def _view(study: optuna.Study, folder: Path) -> StudyView | str:
    """Return the view of a study; for a study that no sweep made, the reason why there is none."""
    try:
        return view(study, folder)
    except ConfigError as error:
        return str(error)


def _names(storage_path: Path, storage: str) -> list[str]:
    if not storage:
        return sorted(file.parent.name for file in storage_path.glob(f"*/{JOURNAL}"))
    require_database(storage)
    return sorted(optuna.get_all_study_names(open_storage(storage, storage_path, create=False)))


def _last(study: optuna.Study) -> float:
    return max((time.timestamp() for time in times(study.get_trials(deepcopy=False))), default=0.0)


def _summary(study: optuna.Study, shown: StudyView | str, named: bool) -> tuple[str, str, str, str]:
    """Return the cells of a study; one that no sweep made has only its trials.

    Args:
        named: Whether the metric of the best trial is shown with its name, as studies differ in it.
    """
    trials = study.get_trials(deepcopy=False)
    when = times(trials)
    counts, last = _counts(trials), f"{when[-1]:%Y-%m-%d %H:%M}" if when else "-"
    if isinstance(shown, str):
        return shown, counts, "-", last
    best = f"{shown.metric_set.title} {_best(shown)}" if named and shown.best else _best(shown)
    return ", ".join(objective.text for objective in shown.objectives), counts, best, last


def _counts(trials: Sequence[FrozenTrial]) -> str:
    return ", ".join(f"{count} {word}" for word, count in states(trials).items()) or "none yet"


def _best(shown: StudyView) -> str:
    """Return the headline metric of the best trial: re-evaluated with its interval, else the search estimate."""
    row, name = next(iter((shown.board or {"rows": []})["rows"]), None), shown.metric_set.headline
    if row and name in row["validation"]:
        return metric_interval(name, row["validation"][name]) + (" (stale leaderboard)" if shown.stale else "")
    return f"{number(shown.best.metrics.get(name))} (search estimate)" if shown.best else "-"


def show(console: Console, study: optuna.Study, folder: Path, trial: int | None = None) -> int:
    """Print a study, or one of its trials."""
    shown = view(study, folder)
    if trial is None:
        _show_study(console, shown)
    else:
        _show_trial(console, shown, trial_of(shown, trial))
    return 0


def _show_study(console: Console, shown: StudyView) -> None:
    attributes, when = shown.study.user_attrs, times(shown.trials)
    facts = {
        "objectives": ", ".join(objective.text for objective in shown.objectives),
        "constraints": ", ".join(attributes.get("constraints", ())),
        "data": str(attributes.get("data_sha256", ""))[:16],
        "trials": _counts(shown.trials),
        "driver": _driver(shown),
        "ran": f"{when[0]:%Y-%m-%d %H:%M} to {when[-1]:%Y-%m-%d %H:%M}" if when else "",
        "total trial time": clock(sum(t.duration.total_seconds() for t in shown.trials if t.duration)),
        "report": str(shown.folder / REPORT) if (shown.folder / REPORT).is_file() else "",
    }
    print_heading(console, f"Study {shown.study.study_name}")
    print_facts(console, facts)
    if shown.board is not None:
        print_heading(console, "Leaderboard: finalists re-evaluated with new seeds, 95 % intervals")
        if shown.stale:
            print_line(console, f"the leaderboard is {shown.stale}")
        print_table(console, _leaderboard(shown.board, shown.metric_set))
        anew = shown.board.get("retraining") or {}  # absent in files of older versions
        noise = anew.get("noise")
        if noise:
            print_line(console, f"noise between trainings: standard deviation {noise['sd']:.4f}, {noise['source']}")
        if anew:
            print_line(console, anew["conclusion"])
    if shown.ranked:
        more = f" (the first {TRIALS} of {len(shown.ranked)})" if len(shown.ranked) > TRIALS else ""
        print_heading(console, f"Ranking by search estimate{more}")
        print_table(console, _ranking(shown))


def _driver(shown: StudyView) -> str:
    """Return that nothing runs the trials that are recorded as RUNNING; empty where something does, or none is."""
    running = sum(trial.state == TrialState.RUNNING for trial in shown.trials)
    if not running or has_driver(shown.folder):
        return ""
    return f"driver not running: the sweep's command resumes {running} trial(s) that are recorded as RUNNING"


def _leaderboard(board: Board, metric_set: MetricSet) -> Table:
    name, second = metric_set.shown[:2]
    titles = (">trial", f">new {metric_set.resampled}", ">holdout", ">search estimate", f">{title(second)}", ">P(best)")
    gains = any(row.get("gain") for row in board["rows"])
    table = columns(*titles, *([">minus default, trained anew"] if gains else []), "~parameters")
    for row in board["rows"]:
        table.add_row(
            str(row["trial"]),
            metric_interval(name, row["validation"].get(name)),
            metric_interval(name, (row["holdout"] or {}).get(name)),
            number(row["searched"].get(name)),
            metric_interval(second, row["validation"].get(second)),
            number(row["probability_best"], 2),
            *([metric_interval(name, row.get("gain"))] if gains else []),
            describe(dict(row["params"])),
        )
    return table


def _ranking(shown: StudyView) -> Table:
    table = columns(">rank", ">trial", "state", ">epoch", *figure_columns(shown.metric_set), "~parameters")
    for rank, trial in enumerate(shown.ranked[:TRIALS], start=1):
        values = figures_of(trial.metrics, shown.metric_set)
        state = state_of(shown.trials[trial.number]) + ("" if trial.feasible else ", violates a constraint")
        table.add_row(str(rank), str(trial.number), state, str(trial.epoch), *values, describe(dict(trial.params)))
    return table


def _show_trial(console: Console, shown: StudyView, trial: FrozenTrial) -> None:
    ranked = next((one for one in shown.ranked if one.number == trial.number), None)
    attributes, after = trial.user_attrs, successor(shown.trials, trial.number)
    line, home, prior = lineage(shown.trials, trial.number), trial_folder(shown.study, trial), attributes.get(PRIOR)
    log = home / LOG if home else None
    facts = {
        "state": state_of(trial),
        "reason": attributes.get(REASON, ""),
        "observation of": f"trial {prior[1]} of {prior[0]}" if prior else "",
        "resumed from": ", ".join(map(str, line[:-1])),
        "resumed by": str(after.number) if after else "",
        "repeats": str(attributes.get(REPEATS, "")),
        "own seeds": plain(attributes.get(OVERRIDES, {})),
        "attempt": str(attributes[ATTEMPT] + 1) if ATTEMPT in attributes else "",
        "started": f"{trial.datetime_start:%Y-%m-%d %H:%M}" if trial.datetime_start else "",
        "duration": clock(trial.duration.total_seconds()) if trial.duration else "",
        "log": str(log) if log and log.is_file() else "",
        "checkpoint": str(ranked.checkpoint or "") if ranked else "",
    }
    print_heading(console, f"Trial {trial.number} of {shown.study.study_name}")
    print_facts(console, facts)
    for heading, values in (("Parameters", trial.params), ("Metrics of the last epoch", attributes.get(METRICS, {}))):
        if values:
            print_heading(console, heading)
            print_facts(console, {name: plain(value) for name, value in values.items()})
    points = curve(trial, shown.scheduler_metric)
    if points:
        print_heading(console, "Epochs")
        print_table(console, _epochs(shown.scheduler_metric, points))
    _show_manifest(console, manifest_of(shown.study, trial))


def _epochs(name: str, points: Mapping[int, float]) -> Table:
    table = columns(">epoch", f">{name}")
    for epoch, value in points.items():
        table.add_row(str(epoch), metric(name, value))
    return table


def _show_manifest(console: Console, manifest: Mapping[str, Any] | None) -> None:
    if manifest is not None:
        print_heading(console, "Trained with")
        print_facts(console, {name: plain(value) for name, value in manifest.items() if name != "config"})
