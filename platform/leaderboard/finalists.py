"""Re-evaluate the finalists of a search: as Ray tasks where Ray is running, and none twice.

Results on the validation split are stored as files in the study's folder, those on the holdout split in its ledger
(`platform.leaderboard.holdout_ledger`), each as soon as it is there; results of another version of the code are
computed again. A checkpoint that cannot be evaluated has the reason in place of a result.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ray
from rich.console import Console
from rich.progress import Progress

from platform.leaderboard.archive import VALIDATION, EvaluationArchive
from platform.leaderboard.holdout_ledger import HOLDOUT, HoldoutEvaluation, HoldoutSpentError, Ledger
from trainables.core.derived_seeds import derive
from trainables.model_evaluation.reevaluate import try_evaluate
from trainables.model_evaluation.result import EvaluationResult

Result = EvaluationResult | str  # or the reason why there is none


def noise_seeds(seed: int, count: int) -> tuple[int, ...]:
    """Return new seeds for the finalists of a study, the same for all of them."""
    return tuple(derive(seed, "noise of the finalists", k) % 2**32 for k in range(count))


def evaluate_on_validation(
    console: Console, checkpoints: Sequence[Path], archive: EvaluationArchive, resampled: str = "noise"
) -> dict[Path, Result]:
    """Return the results on the validation split, from the archive or computed now.

    Args:
        resampled: What the seeds sample anew, in a word.
    """
    kept = {checkpoint: archive.find(checkpoint) for checkpoint in checkpoints}
    found: dict[Path, Result] = {checkpoint: known for checkpoint, known in kept.items() if known is not None}
    missing = [checkpoint for checkpoint in checkpoints if checkpoint not in found]
    for checkpoint, result in _evaluate(console, missing, VALIDATION, archive.seeds, resampled):
        found[checkpoint] = result
        if isinstance(result, EvaluationResult):
            archive.store(checkpoint, result)
    return found


def evaluate_on_holdout(
    console: Console,
    trials: Mapping[Path, int],
    study_name: str,
    ledger: Ledger,
    seeds: tuple[int, ...],
    resampled: str = "noise",
) -> tuple[dict[Path, Result], str | None]:
    """Return results on the holdout split, in order while the budget lasts, and why an evaluation was refused."""
    found: dict[Path, Result] = {}
    reserved, refused = dict[Path, HoldoutEvaluation](), None
    for checkpoint, trial in trials.items():
        holdout_evaluation = HoldoutEvaluation.of_checkpoint(checkpoint, seeds, study_name, trial)
        known = ledger.find(holdout_evaluation)
        if known is not None:
            found[checkpoint] = known
            continue
        try:
            ledger.reserve(holdout_evaluation)
            reserved[checkpoint] = holdout_evaluation
        except HoldoutSpentError as error:
            refused = str(error)
    for checkpoint, result in _evaluate(console, list(reserved), HOLDOUT, seeds, resampled):
        found[checkpoint] = result
        if isinstance(result, EvaluationResult):
            ledger.record(reserved[checkpoint], result)
    return found, refused


def _evaluate(
    console: Console, checkpoints: Sequence[Path], split: str, seeds: tuple[int, ...], resampled: str
) -> Iterator[tuple[Path, Result]]:
    """Evaluate checkpoints and yield each with its result as it ends; a terminal shows the progress."""
    if not checkpoints:
        return
    what = f"{len(checkpoints)} finalist(s) on the {split} split"
    console.print(f"re-evaluating {what} with {len(seeds)} new seed(s) of the {resampled} each", soft_wrap=True)
    results = (evaluate_as_tasks if ray.is_initialized() else evaluate_serially)(checkpoints, split, seeds)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(results, total=len(checkpoints), description="evaluating")


def evaluate_serially(checkpoints: Sequence[Path], split: str, seeds: tuple[int, ...]) -> Iterator[tuple[Path, Result]]:
    """Evaluate one checkpoint after the other in this process."""
    for checkpoint in checkpoints:
        yield checkpoint, try_evaluate(checkpoint, split, seeds)


def evaluate_as_tasks(checkpoints: Sequence[Path], split: str, seeds: tuple[int, ...]) -> Iterator[tuple[Path, Result]]:
    """Evaluate checkpoints in Ray tasks of one CPU each; yield results as they end."""
    task = ray.remote(num_cpus=1)(try_evaluate)
    waiting = {task.remote(checkpoint, split, seeds): checkpoint for checkpoint in checkpoints}
    while waiting:
        [ended], _ = ray.wait(list(waiting), num_returns=1)
        yield waiting.pop(ended), ray.get(ended)
