"""Search the sampling settings of a study's finalists without training: `python -m platform.tune stage=sampling`.

Settings of the sampler act on a finished checkpoint, on validation users alone. Each setting is first varied alone, and
the best values are combined; the combination is then evaluated against the checkpoint's own settings under new noise
that took no part in that choice. It is kept if the paired difference, a jackknife over users, is better with 95 %
confidence; else the checkpoint keeps its own settings. Candidates of a selector are left as they are: a selector is
fitted to samples of one setting, and samples are promoted without selection.

A kept setting is written into a copy of the checkpoint in the study's folder, whose record alone differs. The
leaderboard names the copy, so that a promotion publishes the settings with the weights.
"""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from platform.core.console import print_line
from platform.leaderboard.archive import EVALUATIONS, LEADERBOARD, EvaluationArchive
from platform.leaderboard.finalists import Result, evaluate_on_validation
from platform.leaderboard.leaderboard import merit
from platform.study.config import TuneConfig
from platform.study.objectives import Objective
from platform.study.paths import path_within, relative_path
from platform.study.ranking import objectives_of
from platform.study.storage import lock_study
from platform.study.study import load_study
from trainables.core.atomic_files import write_atomically
from trainables.core.config import ConfigError, build, digest, plain, with_values
from trainables.core.derived_seeds import derive
from trainables.core.formatting import format_interval
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.intervals.jackknife import Interval, JackknifeEstimate, difference, interval
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint import load_checkpoint, save_checkpoint
from trainables.training.checkpoint_record import DISTILLATION, load_record

COPIES = "sampling"  # folder of the copies in that of the study, and key of a row of the leaderboard
AXES: Mapping[str, Sequence[Mapping[str, Any]]] = {
    "steps": ({"steps": 10}, {"steps": 40}),
    "spacing": ({"spacing": "trailing"}, {"spacing": "log_snr"}),
    "guidance": ({"guidance": 0.8}, {"guidance": 0.9}, {"guidance": 1.2}),
    "eta": ({"sampler": "ddim", "eta": 0.5}, {"sampler": "ddim", "eta": 1.0}),
}
"""Setting -> the changes that are tried; those of one setting stand in place of each other."""

Merits = Callable[[Sequence[SamplingConfig], str], Sequence[JackknifeEstimate]]
"""(settings, name of the noise) -> the objective of each with and without each user, smaller being better."""


@dataclass(frozen=True)
class SamplingChoice:
    """Settings of a checkpoint's sampling, and the difference from its own ones under new noise.

    Attributes:
        gain: Negative where the combination of the best settings is better; None where no setting was.
    """

    sampling: SamplingConfig
    gain: Interval | None


def choose(own: SamplingConfig, most_steps: int, merits: Merits) -> SamplingChoice:
    """Vary each setting by itself, combine the best values, and keep the combination where new noise confirms it.

    Args:
        most_steps: Diffusion times of the model, which bound the network calls.
    """
    tried = list(variations(own, most_steps))
    found = merits([own, *(sampling for _, _, sampling in tried)], "choice")
    best: dict[str, tuple[float, Mapping[str, Any]]] = {axis: (found[0].value, {}) for axis in AXES}
    for (axis, changes, _), value in zip(tried, found[1:], strict=True):
        best[axis] = min(best[axis], (value.value, changes), key=lambda pair: pair[0])
    combined = replace(own, **{key: value for _, changes in best.values() for key, value in changes.items()})
    if combined == own:
        return SamplingChoice(own, None)
    before, after = merits([own, combined], "confirmation")
    gain = interval(difference(after, before))
    return SamplingChoice(combined if gain.high < 0 else own, gain)


def variations(own: SamplingConfig, most_steps: int) -> Iterator[tuple[str, Mapping[str, Any], SamplingConfig]]:
    """Yield each setting with the changes to it that differ from a checkpoint's own and are within its bounds."""
    for axis, several in AXES.items():
        for changes in several:
            changed = replace(own, **changes)
            if changed != own and changed.steps <= most_steps:
                yield axis, changes, changed


def search_sampling(console: Console, settings: TuneConfig) -> int:
    """Search the sampling settings of every finalist on the leaderboard of a study; returns the exit code.

    Raises:
        ConfigError: there is no such study, or it has no leaderboard.
    """
    study = load_study(settings.folder.parent, settings.study_name, settings.storage)
    objective, file = objectives_of(study)[0], settings.folder / LEADERBOARD
    with lock_study(settings.folder):
        board = _board(file, settings)
        for row in board["rows"]:
            recorded = Path(row.get(COPIES, {}).get("from", row["checkpoint"]))
            row |= _searched(
                console, settings, objective, row["trial"], path_within(recorded, settings.folder) or recorded
            )
        write_atomically(file, json.dumps(board, indent=1, sort_keys=True, allow_nan=False) + "\n")
    print_line(console, f"leaderboard: {file}")
    return 0


def _board(file: Path, settings: TuneConfig) -> dict[str, Any]:
    try:
        board: dict[str, Any] = json.loads(file.read_text())
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{file}: expected the leaderboard of a finished sweep, but got {type(error).__name__}; "
            f"run `python -m platform.tune study_name={settings.study_name}` to its end"
        ) from None
    return board


def _searched(
    console: Console, settings: TuneConfig, objective: Objective, trial: int, checkpoint: Path
) -> dict[str, Any]:
    """Search the settings of one finalist; returns what its row of the leaderboard gets."""
    record = load_record(checkpoint)
    if "sampling" not in record["config"] or DISTILLATION in record:
        print_line(console, f"trial {trial}: its model has no sampling settings that may be changed")
        return {}
    own = build(SamplingConfig, record["config"]["sampling"])
    merits = partial(_merits, console, settings, objective, checkpoint)
    choice = choose(own, record["config"]["diffusion"]["timesteps"], merits)
    place = settings.folder / COPIES
    kept = _copy(checkpoint, choice.sampling, place) if choice.sampling != own else checkpoint
    for other in place.glob(f"{_stem(checkpoint)}-*") if place.is_dir() else ():
        if other != kept:
            shutil.rmtree(other)
    changed = {key: value for key, value in asdict(choice.sampling).items() if value != getattr(own, key)}
    gain = choice.gain
    shown = "" if gain is None else f", difference {format_interval(gain.value, gain.low, gain.high)}"
    print_line(console, f"trial {trial}: {changed or 'its own settings are kept'}{shown}")
    found = {"from": relative_path(checkpoint, settings.folder), "changed": changed, "gain": gain and vars(gain)}
    return {"checkpoint": relative_path(kept, settings.folder), COPIES: found}


def _merits(
    console: Console,
    settings: TuneConfig,
    objective: Objective,
    checkpoint: Path,
    samplings: Sequence[SamplingConfig],
    noise: str,
) -> list[JackknifeEstimate]:
    """Evaluate a checkpoint under several settings, all with the same new noise.

    Raises:
        ConfigError: an evaluation failed, or does not hold the objective.
    """
    seeds = tuple(derive(settings.seed, "sampling", noise, k) % 2**32 for k in range(settings.finalists.eval_seeds))
    copies = [_copy(checkpoint, sampling, settings.folder / COPIES) for sampling in samplings]
    archive = EvaluationArchive(settings.folder / EVALUATIONS, seeds)
    found = evaluate_on_validation(console, copies, archive)
    return [_merit(found[copy], objective) for copy in copies]


def _merit(result: Result, objective: Objective) -> JackknifeEstimate:
    value = merit(result, objective) if isinstance(result, EvaluationResult) else None
    if value is None:
        why = result if isinstance(result, str) else f"{objective.text} is not re-evaluated"
        raise ConfigError(f"expected an evaluation with the objective {objective.text}, but got none: {why}")
    return value


def _copy(checkpoint: Path, sampling: SamplingConfig, place: Path) -> Path:
    """Return a copy of a checkpoint whose record has this sampling; written once."""
    copy = place / f"{_stem(checkpoint)}-{digest(plain(sampling))}"
    if not copy.exists():
        tensors, record = load_checkpoint(checkpoint)
        config = with_values(record["config"], {f"sampling.{key}": value for key, value in plain(sampling).items()})
        save_checkpoint(copy, tensors, {**record, "config": config})
    return copy


def _stem(checkpoint: Path) -> str:
    return str(load_record(checkpoint)["weights_sha256"])[:16]
