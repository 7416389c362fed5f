"""Compare trials of a study side by side: parameters that differ, and metrics with their differences.

Search estimates are single numbers. Where trials were re-evaluated, on the same rows and under the same noise, the
interval of their difference shows whether they differ at all.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import optuna
from optuna.trial import FrozenTrial
from rich.console import Console
from rich.table import Table

from platform.core.console import columns, metric, metric_interval, plain, print_heading, print_table
from platform.report.study_view import StudyView, curve, evaluations, state_of, trial_of, view
from platform.study.resume import METRICS, last_epoch
from trainables.core.config import require
from trainables.eval.intervals.jackknife import difference, interval
from trainables.metric_registry import DIRECTIONS, value_range
from trainables.model_evaluation.result import EvaluationResult


def compare(console: Console, study: optuna.Study, folder: Path, trials: Sequence[int]) -> int:
    """Print trials side by side: the parameters that differ, and their metrics; differences are to the first trial."""
    require(len(set(trials)) == len(trials) >= 2, "`trials` to be two or more different ones", f"trials={list(trials)}")
    shown = view(study, folder)
    chosen = [trial_of(shown, number) for number in trials]
    for title, table in _comparison(shown, chosen):
        print_heading(console, title)
        print_table(console, table)
    return 0


def _comparison(shown: StudyView, chosen: Sequence[FrozenTrial]) -> Iterator[tuple[str, Table]]:
    """Yield titles and tables."""
    yield "Parameters that differ", _different(chosen)
    curves = [curve(trial, shown.scheduler_metric) for trial in chosen]
    common = set.intersection(*map(set, curves))
    if common:
        name, table = shown.scheduler_metric, _side_by_side(chosen)
        table.add_row(name, *(metric(name, points[max(common)]) for points in curves))
        yield f"At epoch {max(common)}, the last that all trials reached", table
    yield "At their last epoch", _metrics(chosen)
    evaluated = _re_evaluated(shown, chosen)
    if evaluated is not None:
        yield "Re-evaluated, with the 95 % interval of the difference to the first trial", evaluated


def _different(chosen: Sequence[FrozenTrial]) -> Table:
    table = _side_by_side(chosen)
    for key in dict.fromkeys(key for trial in chosen for key in trial.params):
        values = [plain(trial.params[key]) if key in trial.params else "-" for trial in chosen]
        if len(set(values)) > 1:
            table.add_row(key, *values)
    if not table.row_count:
        table.add_row("none")
    return table


def _metrics(chosen: Sequence[FrozenTrial]) -> Table:
    table, recorded = _side_by_side(chosen), [trial.user_attrs.get(METRICS, {}) for trial in chosen]
    table.add_row("epoch", *("-" if (last := last_epoch(trial)) is None else str(last) for trial in chosen))
    for name in DIRECTIONS:
        if any(name in metrics for metrics in recorded):
            table.add_row(name, *(metric(name, metrics.get(name)) for metrics in recorded))
    return table


def _re_evaluated(shown: StudyView, chosen: Sequence[FrozenTrial]) -> Table | None:
    """Return the metrics of trials re-evaluated under the same noise on the same rows; None if fewer than two were."""
    checkpoints = {trial.number: trial.checkpoint for trial in shown.ranked}
    kept = {trial.number: evaluations(shown, checkpoints.get(trial.number)) for trial in chosen}
    first, *others = chosen
    table = columns("split", "metric", f">trial {first.number}", *(f">trial {t.number}" for t in others))
    for split, base in kept[first.number].items():
        for name, figure in base.metrics.items():
            cells = [_difference_cell(kept[other.number].get(split), base, name) for other in others]
            table.add_row(split, name, metric_interval(name, interval(figure, within=value_range(name))), *cells)
    comparable = any(kept[other.number] for other in others)
    return table if table.row_count and comparable else None


def _difference_cell(evaluation: EvaluationResult | None, base: EvaluationResult, name: str) -> str:
    """`0.560; 0.012 [-0.010, 0.034]`: the metric and its difference to the first trial's."""
    if evaluation is None or name not in evaluation.metrics or evaluation.users != base.users:
        return "-"
    figure = evaluation.metrics[name]
    return f"{metric(name, figure.value)}; {metric_interval(name, interval(difference(figure, base.metrics[name])))}"


def _side_by_side(chosen: Sequence[FrozenTrial]) -> Table:
    return columns("", *(f">trial {trial.number} ({state_of(trial)})" for trial in chosen))
