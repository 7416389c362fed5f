"""The leaderboard: the finalists of a search, re-evaluated with new seeds and shown with confidence intervals.

The best of many trials is optimistic, for it was selected by its luck as well. The finalists are therefore evaluated
once more: on the users of the validation split with new seeds (of a generator's noise, of a detector's bots), common to
all of them, and on the holdout split, which no trial ever used and whose evaluations are counted. A finalist that is
hardly the best by the first evaluation has no holdout evaluation: nothing is decided by it. Rows are ordered by
the re-evaluation on the validation split and never by the holdout split, so that it stays unbiased.
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

from platform.leaderboard.archive import EVALUATIONS, LEADERBOARD, EvaluationArchive
from platform.leaderboard.finalists import evaluate_on_holdout, evaluate_on_validation, noise_seeds
from platform.leaderboard.freshness import ENDED
from platform.leaderboard.holdout_ledger import LEDGER, HoldoutEvaluation, Ledger
from platform.leaderboard.reference import Reference
from platform.leaderboard.retraining import Retraining, retraining_of
from platform.study.budget import default_trial, finished
from platform.study.objectives import Objective
from platform.study.paths import folder_of, relative_path
from platform.study.ranking import INTERRUPTED, RankedTrial
from platform.study.resume import METRICS, REPEATS, newest_checkpoint
from platform.study.sweep import Sweep
from trainables.core import atomic_files
from trainables.core.derived_seeds import derive
from trainables.eval.intervals.jackknife import Interval, JackknifeEstimate, interval, probability_best, weighted_sum
from trainables.metric_registry import value_range
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.metric import MetricSet

PROBABLE = 0.05  # least probability of being the best of a finalist that is evaluated on the holdout split


@dataclass(frozen=True)
class Repeats:
    """The headline metric of trainings of one configuration with other seeds.

    The repeated trial itself is left out: it was selected for its value, they were not.

    Attributes:
        sem: Standard error of the mean; None of one training alone.
    """

    n: int
    mean: float
    sem: float | None


@dataclass(frozen=True)
class Row:
    """A re-evaluated finalist.

    Attributes:
        holdout: None where the budget of holdout evaluations was used up, the trial will be resumed, or it is the best
            with a probability below `PROBABLE`.
        retrained: Number of the repeat whose model was evaluated and may be published; None where the configuration was
            not trained anew.
        gain: Difference of the retrained configuration from the default, in the first objective.
        probability_best: Probability that its metric is the smallest of all rows; None where it is not known.
    """

    trial: RankedTrial
    validation: EvaluationResult
    holdout: EvaluationResult | None = None
    repeats: Repeats | None = None
    retrained: int | None = None
    gain: Interval | None = None
    probability_best: float | None = None


@dataclass(frozen=True)
class Leaderboard:
    """Finalists, best first, evaluated with new `seeds`.

    Attributes:
        metric_set: Headline metric and display names of the trainable.
        by: Name of the objective or metric that orders the rows.
        holdout_evaluations: Those that these data have had so far, of the `budget`.
        refused: Why rows have no holdout evaluation; None if none was refused.
        left_out: Trial -> why it could not be evaluated on a split.
        retraining: Configurations that were trained anew, compared with the default.
        ended: Number of trials of the study that had ended.
    """

    metric_set: MetricSet
    rows: tuple[Row, ...]
    by: str
    seeds: tuple[int, ...]
    holdout_evaluations: int
    budget: int
    refused: str | None
    left_out: Mapping[int, str]
    retraining: Retraining
    ended: int = 0


def leaderboard(console: Console, sweep: Sweep, study: optuna.Study, ranked: Sequence[RankedTrial]) -> Leaderboard:
    """Re-evaluate the finalists of a ranking and order them by the first objective.

    Trials that violate a constraint come after the others. An interrupted trial, which will be resumed, has no holdout
    evaluation yet.

    Raises:
        LedgerError, ConfigError: the ledger or a stored result is damaged.
    """
    settings, metric_set = sweep.settings, sweep.metric_set
    seeds = noise_seeds(settings.seed, settings.finalists.eval_seeds)
    repeats, objective = settings.finalists.retrain_seeds, sweep.goal.objectives[0]
    anew = retraining_of(study, objective, default_trial(study, sweep), repeats)
    searched = finalists_of(with_default(ranked, anew, settings.finalists.top), len(ranked))
    chosen = retrained(study, searched, anew)
    archive = EvaluationArchive(settings.folder / EVALUATIONS, seeds)
    validation = evaluate_on_validation(console, list(chosen), archive, metric_set.resampled)
    evaluated = {path: validation[path] for path in chosen}  # they end in any order; on the holdout the best come first
    rows = {path: Row(chosen[path], found) for path, found in evaluated.items() if isinstance(found, EvaluationResult)}
    merits = {row.trial.number: merit(row.validation, sweep.goal.objectives[0]) for row in rows.values()}
    by = sweep.goal.objectives[0].text if all(merits.values()) else metric_set.headline
    if by == metric_set.headline:
        merits = {row.trial.number: row.validation.metrics.get(by) for row in rows.values()}
    rows = _with_probabilities(rows, merits, settings.seed)
    ledger = Ledger(settings.folder.parent / LEDGER, settings.finalists.holdout_budget)
    asked = {path: row.trial.number for path, row in rows.items() if _deserves_holdout(row)}
    holdout, refused = evaluate_on_holdout(console, asked, settings.study_name, ledger, seeds, metric_set.resampled)
    complete = [
        replace(
            row,
            holdout=_result_or_none(holdout.get(path)),
            repeats=_repeats(study, row, metric_set.headline),
            retrained=None if path in searched else anew.published[row.trial.number],
            gain=anew.gains.get(row.trial.number),
        )
        for path, row in rows.items()
    ]
    return Leaderboard(
        metric_set,
        _ordered(complete, merits, anew.recommended),
        by,
        seeds,
        ledger.count(HoldoutEvaluation.of_checkpoint(next(iter(rows)), seeds)) if rows else 0,  # all on the same data
        ledger.budget,
        refused,
        {chosen[p].number: why for found in (validation, holdout) for p, why in found.items() if isinstance(why, str)},
        anew,
        len(finished(study)),
    )


def merit(evaluation: EvaluationResult, objective: Objective) -> JackknifeEstimate | None:
    """Return a re-evaluated objective, smaller being better; None where one of its metrics is not re-evaluated."""
    names, figures = list(objective.terms), evaluation.metrics
    if any(name not in figures for name in names):
        return None
    sign = 1.0 if objective.minimised else -1.0
    return weighted_sum([figures[name] for name in names], [sign * w for w in objective.terms.values()])


def finalists_of(ranked: Sequence[RankedTrial], top: int) -> dict[Path, RankedTrial]:
    """Return the first trials of a ranking that have a result and a checkpoint, by their checkpoints."""
    with_result = [trial for trial in ranked if trial.metrics and trial.state != TrialState.FAIL.name]
    return dict([(trial.checkpoint, trial) for trial in with_result if trial.checkpoint is not None][:top])


def with_default(ranked: Sequence[RankedTrial], anew: Retraining, top: int) -> list[RankedTrial]:
    """Return the finalists of a ranking, and the default where it was trained anew, in the order of the ranking."""
    best = [trial.number for trial in finalists_of(ranked, top).values()]
    added = [anew.default] if best and anew.default in anew.published else []
    return [trial for trial in ranked if trial.number in (*best, *added)]


def retrained(study: optuna.Study, chosen: Mapping[Path, RankedTrial], anew: Retraining) -> dict[Path, RankedTrial]:
    """Return the finalists by the checkpoints to evaluate: that of the first repeat where one was trained anew."""
    trials, folder, found = study.get_trials(deepcopy=False), folder_of(study), dict[Path, RankedTrial]()
    for path, trial in chosen.items():
        repeat = anew.published.get(trial.number)
        newest = newest_checkpoint(trials[repeat], folder, verified=False) if repeat is not None else None
        found[newest.path if newest else path] = replace(trial, checkpoint=newest.path) if newest else trial
    return found


def _result_or_none(result: EvaluationResult | str | None) -> EvaluationResult | None:
    return result if isinstance(result, EvaluationResult) else None


def _repeats(study: optuna.Study, row: Row, headline: str) -> Repeats | None:
    """Summarise the completed repeats of a trial; None where there are none."""
    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    mine = [trial.user_attrs[METRICS] for trial in ended if trial.user_attrs.get(REPEATS) == row.trial.number]
    values = [metrics[headline] for metrics in mine if headline in metrics]
    if not values:
        return None
    sem = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else None
    return Repeats(len(values), statistics.mean(values), sem)


def _with_probabilities(
    rows: Mapping[Path, Row], merits: Mapping[int, JackknifeEstimate | None], seed: int
) -> dict[Path, Row]:
    """Return the rows with the probability of each to be the best; None for those without a value."""
    known = {row.trial.number: figure for row in rows.values() if (figure := merits[row.trial.number]) is not None}
    found = probability_best(list(known.values()), derive(seed, "best finalist")) if known else ()
    chances = dict(zip(known, found, strict=True))
    return {path: replace(row, probability_best=chances.get(row.trial.number)) for path, row in rows.items()}


def _deserves_holdout(row: Row) -> bool:
    """Whether a finalist has ended and may be the best."""
    probable = row.probability_best is not None and row.probability_best >= PROBABLE
    return probable and row.trial.state != INTERRUPTED


def _ordered(
    rows: Sequence[Row], merits: Mapping[int, JackknifeEstimate | None], recommended: int | None
) -> tuple[Row, ...]:
    """Sort rows by the objective; those without a value come last.

    Args:
        recommended: The trial that comes first, by its trainings anew; None: by the objective alone.
    """

    def place(row: Row) -> tuple[bool, bool, float]:
        figure = merits[row.trial.number]
        return not row.trial.feasible, row.trial.number != recommended, math.inf if figure is None else figure.value

    return tuple(sorted(rows, key=place))


def intervals(evaluation: EvaluationResult | None) -> dict[str, Interval]:
    """Return the 95 % interval of every metric; empty for no result."""
    if evaluation is None:
        return {}
    return {name: interval(figure, within=value_range(name)) for name, figure in evaluation.metrics.items()}


def write_leaderboard(board: Leaderboard, folder: Path, study_name: str, reference: Reference | None) -> None:
    """Write `leaderboard.json` into a study's folder in one atomic step."""
    text = json.dumps(to_json(board, study_name, reference, folder), indent=1, sort_keys=True, allow_nan=False)
    atomic_files.write_atomically(folder / LEADERBOARD, text + "\n")


def to_json(board: Leaderboard, study_name: str, reference: Reference | None, folder: Path) -> dict[str, Any]:
    """Return the content of `leaderboard.json`, which reports plot and promotions take their challenger from.

    Paths are relative to `folder`, that of the study.
    """
    return {
        "study": study_name,
        "reference": reference and reference.to_json(),
        "by": board.by,
        ENDED: board.ended,
        "noise_seeds": list(board.seeds),
        "holdout": {"asked": board.holdout_evaluations, "budget": board.budget, "refused": board.refused},
        "left_out": [{"trial": trial, "reason": reason} for trial, reason in board.left_out.items()],
        "retraining": board.retraining.to_json(),
        "rows": list(_rows_to_json(board, folder)),
    }


def _by_source(evaluation: EvaluationResult) -> dict[str, Any]:
    """Return the tests of each of several sources with their intervals; none of one source."""
    return {
        name: {
            "movements": of.movements,
            "users": len(of.users),
            "effective_users": of.effective_users,
            **{metric: vars(interval(figure)) for metric, figure in of.metrics.items()},
        }
        for name, of in evaluation.sources.items()
    }


def _rows_to_json(board: Leaderboard, folder: Path) -> Iterator[dict[str, Any]]:
    for row in board.rows:
        trial = row.trial
        validation, holdout = ({k: vars(v) for k, v in intervals(j).items()} for j in (row.validation, row.holdout))
        yield {
            "trial": trial.number,
            "epoch": trial.epoch,
            "state": trial.state,
            "feasible": trial.feasible,
            "params": dict(trial.params),
            "checkpoint": None if trial.checkpoint is None else relative_path(trial.checkpoint, folder),
            "searched": {name: trial.metrics[name] for name in board.metric_set.shown if name in trial.metrics},
            "validation": validation,
            "holdout": holdout or None,
            "sources": {found.split: _by_source(found) for found in (row.validation, row.holdout) if found is not None},
            "repeats": None if row.repeats is None else vars(row.repeats),
            "retrained": row.retrained,
            "gain": None if row.gain is None else vars(row.gain),
            "probability_best": row.probability_best,
        }
