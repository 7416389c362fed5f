"""The finalists of a search, judged once more: as Ray tasks where Ray is running, and nothing twice.

What is judged on the validation split is kept as a file in the study's folder, what is judged on the holdout split in
its ledger (`platform.leaderboard.holdout_ledger`), each as soon as it is there; figures of other code than today's are
computed again. A checkpoint that cannot be judged has a reason instead.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import ray
from rich.console import Console
from rich.progress import Progress

from platform.leaderboard.archive import VALIDATION, Archive
from platform.leaderboard.holdout_ledger import HOLDOUT, HoldoutSpentError, Ledger, Look
from trainables.core.derived_seeds import derive
from trainables.model_evaluation.reevaluate import try_evaluate
from trainables.model_evaluation.result import EvaluationResult

Result = EvaluationResult | str  # or why there is none


def noise_seeds(seed: int, count: int) -> tuple[int, ...]:
    """Fresh seeds for the finalists of a study, the same for all of them."""
    return tuple(derive(seed, "noise of the finalists", k) % 2**32 for k in range(count))


def on_validation(
    console: Console, checkpoints: Sequence[Path], archive: Archive, drawn: str = "noise"
) -> dict[Path, Result]:
    """Judgements on the validation split, of the archive or fresh.

    Args:
        drawn: What the seeds draw anew, in a word.
    """
    kept = {checkpoint: archive.find(checkpoint) for checkpoint in checkpoints}
    found: dict[Path, Result] = {checkpoint: known for checkpoint, known in kept.items() if known is not None}
    missing = [checkpoint for checkpoint in checkpoints if checkpoint not in found]
    for checkpoint, result in _computed(console, missing, VALIDATION, archive.seeds, drawn):
        found[checkpoint] = result
        if isinstance(result, EvaluationResult):
            archive.keep(checkpoint, result)
    return found


def on_holdout(
    console: Console,
    trials: Mapping[Path, int],
    study_name: str,
    ledger: Ledger,
    seeds: tuple[int, ...],
    drawn: str = "noise",
) -> tuple[dict[Path, Result], str | None]:
    """Judgements of checkpoints on the holdout split, in their order as far as there are looks; why one was refused."""
    found: dict[Path, Result] = {}
    taken, refused = dict[Path, Look](), None
    for checkpoint, trial in trials.items():
        look = Look.at(checkpoint, seeds, study_name, trial)
        known = ledger.judgement(look)
        if known is not None:
            found[checkpoint] = known
            continue
        try:
            ledger.write_down(look)
            taken[checkpoint] = look
        except HoldoutSpentError as error:
            refused = str(error)
    for checkpoint, result in _computed(console, list(taken), HOLDOUT, seeds, drawn):
        found[checkpoint] = result
        if isinstance(result, EvaluationResult):
            ledger.answer(taken[checkpoint], result)
    return found, refused


def _computed(
    console: Console, checkpoints: Sequence[Path], split: str, seeds: tuple[int, ...], drawn: str
) -> Iterator[tuple[Path, Result]]:
    """Each checkpoint with its result as it ends, progress shown."""
    if not checkpoints:
        return
    count, draws = len(checkpoints), len(seeds)
    console.print(f"judging {count} finalist(s) on the {split} split, {draws} draw(s) of fresh {drawn} each")
    results = (in_tasks if ray.is_initialized() else in_turn)(checkpoints, split, seeds)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        yield from progress.track(results, total=count, description="judging")


def in_turn(checkpoints: Sequence[Path], split: str, seeds: tuple[int, ...]) -> Iterator[tuple[Path, Result]]:
    """Judgements one after the other, in this process."""
    for checkpoint in checkpoints:
        yield checkpoint, try_evaluate(checkpoint, split, seeds)


def in_tasks(checkpoints: Sequence[Path], split: str, seeds: tuple[int, ...]) -> Iterator[tuple[Path, Result]]:
    """Judgements as Ray tasks of one CPU each, as they end."""
    task = ray.remote(num_cpus=1)(try_evaluate)
    waiting = {task.remote(checkpoint, split, seeds): checkpoint for checkpoint in checkpoints}
    while waiting:
        [ended], _ = ray.wait(list(waiting), num_returns=1)
        yield waiting.pop(ended), ray.get(ended)
