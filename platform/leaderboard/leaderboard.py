"""The leaderboard: the best trials of a search judged again, with intervals instead of one lucky number.

The trial that looks best of many looks better than it is, for it was chosen by its luck as well. So the finalists are
judged once more: on the people of the validation split under fresh draws (of a generator's noise, of a detector's
bots), common to all of them, and on the holdout split, which no trial ever saw and whose looks are counted. The order
is that of the fresh judgement on the validation split; nothing is ordered by the holdout split, so that it stays what
it is.
"""

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import TrialState
from rich.console import Console

from platform.leaderboard.archive import JUDGEMENTS, LEADERBOARD, Archive
from platform.leaderboard.finalists import noise_seeds, on_holdout, on_validation
from platform.leaderboard.holdout_ledger import LEDGER, Ledger
from platform.study.config import Sweep
from platform.study.objectives import Objective
from platform.study.ranking import INTERRUPTED, RankedTrial
from platform.study.resume import METRICS, REPEATS
from trainables.core import atomic_files
from trainables.core.derived_seeds import derive
from trainables.eval.intervals.jackknife import Interval, JackknifeEstimate, interval, probability_best, weighted_sum
from trainables.eval.two_sample.null_band import NullBand
from trainables.metric_registry import shown_as
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.metric import MetricSet


@dataclass(frozen=True)
class Reference:
    """What real people score under the same probe, folds and rows.

    Attributes:
        floor: Random halves of the validation people against each other.
        people: Training people against validation people: what a perfect copy of the training split would score.
    """

    floor: NullBand
    people: float


@dataclass(frozen=True)
class Repeats:
    """The headline figure of trainings of one configuration with other seeds.

    The trial that they repeat is none of them: it was chosen for its value, they were not.

    Attributes:
        sem: Standard error of the mean; None of one training alone.
    """

    n: int
    mean: float
    sem: float | None


@dataclass(frozen=True)
class Row:
    """A finalist as it was judged again.

    Attributes:
        holdout: None where there was no look left, or the trial is to go on.
        probability_best: That its figure is the smallest of all rows; None where it could not be computed.
    """

    trial: RankedTrial
    validation: EvaluationResult
    holdout: EvaluationResult | None = None
    repeats: Repeats | None = None
    probability_best: float | None = None


@dataclass(frozen=True)
class Leaderboard:
    """Finalists, best first, under fresh `seeds`.

    Attributes:
        metric_set: What their kind is judged by.
        by: What the rows are ordered by.
        looks: That the holdout split of these data has had so far, of the `budget`.
        refused: Why rows have no look at the holdout split; None if nothing was refused.
        left_out: Trial -> why it could not be judged on a split.
    """

    metric_set: MetricSet
    rows: tuple[Row, ...]
    by: str
    seeds: tuple[int, ...]
    looks: int
    budget: int
    refused: str | None
    left_out: Mapping[int, str]


def leaderboard(console: Console, sweep: Sweep, study: optuna.Study, ranked: Sequence[RankedTrial]) -> Leaderboard:
    """Judge the finalists of a ranking again and order them by the first objective.

    Trials that break a constraint stand behind the others. A trial that was cut and goes on later is not worth a look
    at the holdout split yet.

    Raises:
        LedgerError, ConfigError: the ledger or a kept judgement is damaged.
    """
    settings, metric_set = sweep.settings, sweep.metric_set
    seeds = noise_seeds(settings.seed, settings.finalists.noise)
    chosen = finalists_of(ranked, settings.finalists.top)
    validation = on_validation(
        console, list(chosen), Archive(settings.folder / JUDGEMENTS, seeds), metric_set.resampled
    )
    judged = {path: validation[path] for path in chosen}  # they ended in any order, and looks go to the best first
    rows = {path: Row(chosen[path], found) for path, found in judged.items() if isinstance(found, EvaluationResult)}
    ledger = Ledger(settings.folder.parent / LEDGER, settings.finalists.holdout_budget)
    ended = {path: row.trial.number for path, row in rows.items() if row.trial.state != INTERRUPTED}
    holdout, refused = on_holdout(console, ended, settings.study_name, ledger, seeds, metric_set.resampled)
    whole = [
        replace(row, holdout=_known(holdout.get(path)), repeats=_repeats(study, row, metric_set.headline))
        for path, row in rows.items()
    ]
    merits = {row.trial.number: merit(row.validation, sweep.goal.objectives[0]) for row in whole}
    by = sweep.goal.objectives[0].text if all(merits.values()) else metric_set.headline
    if by == metric_set.headline:
        merits = {row.trial.number: row.validation.metrics.get(by) for row in whole}
    return Leaderboard(
        metric_set,
        _ordered(whole, merits, settings.seed),
        by,
        seeds,
        sum(map(ledger.looks, {row.validation.data_sha256 for row in whole})),
        ledger.budget,
        refused,
        {chosen[p].number: why for found in (validation, holdout) for p, why in found.items() if isinstance(why, str)},
    )


def merit(judgement: EvaluationResult, objective: Objective) -> JackknifeEstimate | None:
    """An objective as it was judged again, smaller being better; None where it has a figure that is not judged again.

    In place of the excess over one half stands the C2ST itself: below one half the excess knows no order.
    """
    names, figures = [shown_as(name) for name in objective.terms], judgement.metrics
    if any(name not in figures for name in names):
        return None
    sign = 1.0 if objective.minimised else -1.0
    return weighted_sum([figures[name] for name in names], [sign * w for w in objective.terms.values()])


def finalists_of(ranked: Sequence[RankedTrial], top: int) -> dict[Path, RankedTrial]:
    """The first trials of a ranking that have a result and a checkpoint, by their checkpoints."""
    with_result = [trial for trial in ranked if trial.metrics and trial.state != TrialState.FAIL.name]
    return dict([(trial.checkpoint, trial) for trial in with_result if trial.checkpoint is not None][:top])


def _known(result: EvaluationResult | str | None) -> EvaluationResult | None:
    return result if isinstance(result, EvaluationResult) else None


def _repeats(study: optuna.Study, row: Row, headline: str) -> Repeats | None:
    """Of the trainings that ran to their end; None where there are none."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    mine = [trial.user_attrs[METRICS] for trial in ended if trial.user_attrs.get(REPEATS) == row.trial.number]
    values = [metrics[headline] for metrics in mine if headline in metrics]
    if not values:
        return None
    sem = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return Repeats(len(values), statistics.mean(values), sem)


def _ordered(rows: Sequence[Row], merits: Mapping[int, JackknifeEstimate | None], seed: int) -> tuple[Row, ...]:
    """Rows by their merit, with the probability of each to be the best; those without one last."""
    known = {row.trial.number: figure for row in rows if (figure := merits[row.trial.number]) is not None}
    found = probability_best(list(known.values()), derive(seed, "best finalist")) if known else ()
    chances = dict(zip(known, found, strict=True))
    told = [replace(row, probability_best=chances.get(row.trial.number)) for row in rows]

    def place(row: Row) -> tuple[bool, float]:
        figure = known.get(row.trial.number)
        return not row.trial.feasible, math.inf if figure is None else figure.value

    return tuple(sorted(told, key=place))


def intervals(judgement: EvaluationResult | None) -> dict[str, Interval]:
    """The 95 % interval of every figure; none of no judgement."""
    return {} if judgement is None else {name: interval(figure) for name, figure in judgement.metrics.items()}


def write(board: Leaderboard, folder: Path, study_name: str, reference: Reference | None) -> None:
    """Write `leaderboard.json` into a study's folder in one atomic step."""
    text = json.dumps(to_json(board, study_name, reference), indent=1, sort_keys=True, allow_nan=False)
    atomic_files.replace(folder / LEADERBOARD, text + "\n")


def to_json(board: Leaderboard, study_name: str, reference: Reference | None) -> dict[str, Any]:
    """The plain mapping of `leaderboard.json`: what a report draws, and whom a promotion takes for its challenger."""
    return {
        "study": study_name,
        "floor": reference and vars(reference.floor),
        "people": reference and reference.people,
        "by": board.by,
        "noise_seeds": list(board.seeds),
        "holdout": {"asked": board.looks, "budget": board.budget, "refused": board.refused},
        "left_out": [{"trial": trial, "reason": reason} for trial, reason in board.left_out.items()],
        "rows": list(_rows_to_json(board)),
    }


def _rows_to_json(board: Leaderboard) -> Iterator[dict[str, Any]]:
    for row in board.rows:
        trial = row.trial
        validation, holdout = ({k: vars(v) for k, v in intervals(j).items()} for j in (row.validation, row.holdout))
        yield {
            "trial": trial.number,
            "epoch": trial.epoch,
            "state": trial.state,
            "feasible": trial.feasible,
            "params": dict(trial.params),
            "checkpoint": str(trial.checkpoint),
            "searched": {name: trial.metrics[name] for name in board.metric_set.shown if name in trial.metrics},
            "validation": validation,
            "holdout": holdout or None,
            "repeats": None if row.repeats is None else vars(row.repeats),
            "probability_best": row.probability_best,
        }
