"""Tables at the end of a sweep: ranking, leaderboard, and the best trial beside reference values."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from platform.core.console import (
    columns,
    describe,
    figure_columns,
    figures_of,
    metric,
    metric_interval,
    print_heading,
    print_line,
    print_table,
)
from platform.leaderboard.leaderboard import PROBABLE, Leaderboard, Repeats, Row, intervals
from platform.leaderboard.reference import Reference
from platform.study.objectives import Goal
from platform.study.ranking import INTERRUPTED, RankedTrial
from trainables.core.formatting import format_interval, number
from trainables.detector.evaluation.tables import show
from trainables.model_evaluation.source_table import numbers_of, source_tables
from trainables.training.metric import MetricSet

SHOWN = 10


def print_failures(console: Console, ranked: Sequence[RankedTrial]) -> None:
    """Print why trials failed, one line each."""
    for trial in ranked:
        if trial.state == "FAIL":
            line = f"trial {trial.number} failed: {trial.reason}"
            console.print(line, style="red", highlight=False, soft_wrap=True)


def print_ranking(console: Console, trials: Sequence[RankedTrial], metric_set: MetricSet) -> None:
    """Print the trials in the order of the search estimate."""
    titles = (">rank", ">trial", ">epochs", *figure_columns(metric_set), ">state", "~parameters")
    print_heading(console, "Ranking by search estimate")
    table = columns(*titles)
    for rank, trial in enumerate(trials[:SHOWN], start=1):
        values = figures_of(trial.metrics, metric_set)
        table.add_row(
            str(rank), str(trial.number), str(trial.epoch), *values, trial.state, describe(dict(trial.params))
        )
    print_table(console, table)


def print_leaderboard(console: Console, board: Leaderboard) -> None:
    """Print the finalists with their intervals, and what could not be evaluated or was refused, with the reason."""
    if board.rows:
        seeds = f"{len(board.seeds)} new seeds of the {board.metric_set.resampled}"
        print_heading(console, f"Leaderboard on {seeds}, with 95 % intervals over users")
        print_table(console, _leaderboard(board))
        used = f"{board.holdout_evaluations} of {board.budget}"
        print_line(console, f"P(best): probability of the best {board.by}; holdout evaluations used: {used}")
    _print_basis(console, board)
    _print_sources(console, board)
    for row in board.rows:
        if row.repeats is not None:
            text = _repeats(row.repeats, board.metric_set)
            console.print(f"trial {row.trial.number} {text}", highlight=False, soft_wrap=True)
    _print_retraining(console, board)
    for trial, reason in board.left_out.items():
        console.print(f"trial {trial} could not be evaluated: {reason}", style="red", highlight=False, soft_wrap=True)
    waiting = [str(row.trial.number) for row in board.rows if row.trial.state == INTERRUPTED]
    if waiting:
        line = "no holdout evaluation before it has ended, and the same command continues it"
        console.print(f"interrupted trial {', '.join(waiting)}: {line}", highlight=False, soft_wrap=True)
    improbable = [str(row.trial.number) for row in board.rows if (row.probability_best or 0.0) < PROBABLE]
    if improbable:
        line = f"no holdout evaluation: it is the best with a probability below {PROBABLE:g}"
        console.print(f"trial {', '.join(improbable)}: {line}", highlight=False, soft_wrap=True)
    if board.refused:
        console.print(f"skipped holdout evaluation: {board.refused}", style="yellow", highlight=False, soft_wrap=True)


def _print_retraining(console: Console, board: Leaderboard) -> None:
    """Print the difference of each retrained configuration from the default, the noise, and what follows."""
    anew = board.retraining
    if any(row.gain for row in board.rows):
        what = f"{anew.objective.text} minus that of the default, 95 % intervals over paired seeds"
        print_heading(console, f"Trained anew: {what}")
        table = columns(">trial", ">mean", ">difference", ">published training")
        for row in board.rows:
            trial, repeat = row.trial.number, "-" if row.retrained is None else str(row.retrained)
            gain = "default" if trial == anew.default else metric_interval(board.metric_set.headline, row.gain)
            table.add_row(str(trial), number(anew.means.get(trial)), gain, repeat)
        print_table(console, table)
    if anew.noise is not None:
        sd = f"standard deviation {anew.noise.sd:.4f}, {anew.noise.df:.0f} degrees of freedom"
        print_line(console, f"noise of {anew.objective.text} between trainings: {sd}, {anew.noise.source}")
    if board.rows:
        print_line(console, anew.conclusion)


def _print_basis(console: Console, board: Leaderboard) -> None:
    """Print what the metrics of each split rest on, and a warning where one user decides them."""
    for of_split in ([row.validation for row in board.rows], [row.holdout for row in board.rows]):
        evaluation = next(filter(None, of_split), None)  # of all finalists on the same movements
        if evaluation is not None:
            print_line(console, f"{evaluation.split}: {evaluation.basis}")
            if evaluation.warning:
                console.print(evaluation.warning, style="yellow", highlight=False, soft_wrap=True)


def _print_sources(console: Console, board: Leaderboard) -> None:
    """Print the two-sample tests of the first finalist by source, on each split where there are several."""
    for row in board.rows[:1]:
        for evaluation in filter(None, (row.validation, row.holdout)):
            for table in source_tables(numbers_of(evaluation)):
                print_line(console, f"trial {row.trial.number} on the {evaluation.split} split")
                show(console, (table,))


def _leaderboard(board: Leaderboard) -> Table:
    metric_set = board.metric_set
    first, second = figure_columns(metric_set)[:2]
    table = columns(">rank", ">trial", first, second, f">{metric_set.title} on holdout", ">P(best)")
    for rank, row in enumerate(board.rows, start=1):
        table.add_row(str(rank), str(row.trial.number), *_figures(row, metric_set), style="bold" if rank == 1 else None)
    return table


def _figures(row: Row, metric_set: MetricSet) -> tuple[str, ...]:
    validation, holdout = intervals(row.validation), intervals(row.holdout)
    second = validation[metric_set.tie_breaker].value if metric_set.tie_breaker in validation else None
    first, unseen = (
        metric_interval(metric_set.headline, evaluated.get(metric_set.headline)) for evaluated in (validation, holdout)
    )
    return first, metric(metric_set.tie_breaker, second), unseen, number(row.probability_best, 2)


def _repeats(repeats: Repeats, metric_set: MetricSet) -> str:
    error = "" if repeats.sem is None else f" ± {repeats.sem:.3f} (s.e.m.)"
    return f"retrained with {repeats.n} other seed(s): {metric_set.title} {repeats.mean:.3f}{error}"


def print_worth(
    console: Console, goal: Goal, board: Leaderboard, best: RankedTrial, reference: Reference | None
) -> None:
    """Print the headline metric of the best trial between an untrained model and real movements."""
    metric_set, scheduler_metric, name = board.metric_set, goal.scheduler_metric, f"trial {best.number}"
    print_heading(console, metric_set.headline_title)
    table = columns(f"~{metric_set.compared_with}", f">{metric_set.title}")
    evaluated = (board.rows[0].validation, board.rows[0].holdout) if board.rows else (None, None)
    re_evaluated, on_holdout = (intervals(evaluation).get(metric_set.headline) for evaluation in evaluated)
    rows = [
        ("untrained model", number(headline_at(best, 0, scheduler_metric, metric_set))),
        ("after 1 epoch", number(headline_at(best, 1, scheduler_metric, metric_set))),
        (f"{name} with new {metric_set.resampled}", metric_interval(metric_set.headline, re_evaluated)),
        (f"{name} on the holdout split", metric_interval(metric_set.headline, on_holdout)),
        (f"{name}, epoch {best.epoch} (search estimate)", number(best.metrics.get(metric_set.headline))),
        *_reference_rows(reference),
    ]
    for cells in rows:
        table.add_row(*cells)
    print_table(console, table)


def _reference_rows(reference: Reference | None) -> list[tuple[str, str]]:
    """Return the rows of real movements, where they can be evaluated in the same way."""
    if reference is None:
        return []
    band = reference.no_difference
    floors = [(f"floor: AUC of other users, {probe}", number(value)) for probe, value in reference.floors.items()]
    return [
        (f"no difference, by chance (folds by {reference.folds_by})", format_interval(band.mean, band.low, band.high)),
        *floors,
    ]


def headline_at(trial: RankedTrial, epoch: int, scheduler_metric: str, metric_set: MetricSet) -> float | None:
    """Return the headline metric of a trial after an epoch; None where its scheduler metric is another one."""
    return trial.history.get(epoch) if scheduler_metric == metric_set.headline else None
