"""Reproduce a recorded trial: train it with its configuration, seeds, data and threads, and compare the metrics.

On the same code, versions and processor all metrics are equal to the last bit. Elsewhere they are compared within the
tolerance of equal models, where one was measured.
"""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.trial import FrozenTrial
from rich.console import Console

from platform.core.console import print_table
from platform.core.provenance import source_of
from platform.leaderboard.archive import EVALUATIONS
from platform.leaderboard.model_types import MODEL_FUNCTIONS
from platform.study.resume import METRICS, OVERRIDES, last_epoch, trial_folder
from platform.study.search_space import value_at
from platform.study.sweep import Sweep
from platform.sweep.metric_tolerance import EQUAL, EXACT, MetricComparison, compare, conclude, noise_tolerances, table
from trainables.core.atomic_files import write_atomically
from trainables.core.config import ConfigError, build, digest, require, with_values
from trainables.core.renamed import config_today
from trainables.core.threads import threads
from trainables.data.config import DataConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.metric_registry import METRIC_SETS
from trainables.specs import TRAINABLES
from trainables.training import metric_names as names
from trainables.training.manifest import Manifest, differences
from trainables.training.progress import Progress
from trainables.training.run_folder import RunFolder, opened, recording
from trainables.training.worker import Worker

REPRODUCED = "reproduced"
REPORT = "reproduction.json"


@dataclass(frozen=True)
class Original:
    """A trial as the study recorded it.

    Attributes:
        epoch: Its last epoch, to which the metrics belong.
        manifest: None where the trial wrote none.
    """

    number: int
    trainable: str
    config: Mapping[str, Any]
    epoch: int
    metrics: Mapping[str, float]
    manifest: Manifest | None


def reproduce(console: Console, sweep: Sweep, study: optuna.Study, trial_number: int, given: Sequence[str] = ()) -> int:
    """Train a trial again and compare; 0 if every metric is equal or within its tolerance, else 1.

    Args:
        given: Keys that the command line sets; those of the data must have their recorded values.

    Raises:
        ConfigError: no such trial, one without a result, or other data than recorded.
    """
    original = original_of(study, trial_number)
    _require_recorded_data_keys(original, sweep.trainable, given)
    data = load_splits(build(DataConfig, study.user_attrs["config"]["data"], at="trainable.data"))
    _require_same_data(study, original, data)
    with threads(_threads(original, sweep)):
        now = _manifest(original, data)
        differing = ["the trial has no manifest: its code, versions and processor are unknown"]
        if original.manifest:
            differing = differences(original.manifest, now)
        _print_differences(console, original, differing)
        place = sweep.settings.folder / REPRODUCED / f"trial-{original.number:04d}"
        found = retrain(console, original, now, place / f"run-{fingerprint(now)}")
        compared = compare(original.metrics, found, {})
        if any(row.verdict != EQUAL for row in compared):
            compared = compare(original.metrics, found, tolerances(original, sweep.settings.folder))
    print_table(console, table(compared))
    conclusion, code = conclude(compared)
    console.print(conclusion, highlight=False, soft_wrap=True)
    _write(place / REPORT, study, original, now, differing, compared, conclusion)
    console.print(f"  numbers      {place / REPORT}", highlight=False, soft_wrap=True)
    return code


def original_of(study: optuna.Study, number: int) -> Original:
    """Return the record of a trial.

    Raises:
        ConfigError: there is no such trial, it is not finished, or it has no result.
    """
    trials = study.get_trials(deepcopy=False)
    known = f"0 to {len(trials) - 1}" if trials else "none"
    require(0 <= number < len(trials), f"`trials` in the study's ({known})", f"trials=[{number}]")
    trial = trials[number]
    epoch = last_epoch(trial)
    if not trial.state.is_finished() or epoch is None or METRICS not in trial.user_attrs:
        state = trial.state.name
        raise ConfigError(f"trials=[{number}]: expected an ended trial with metrics, but got {state}; choose another")
    folder = trial_folder(study, trial)
    manifest = Manifest.read(folder) if folder else None
    config = manifest.config if manifest else _configuration(study, trial)
    trainable = manifest.trainable if manifest else study.user_attrs["trainable"]
    return Original(number, trainable, config, epoch, trial.user_attrs[METRICS], manifest)


def _configuration(study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
    """Return the study's configuration with the trial's values; a repeat has another seed among its overrides."""
    return with_values(
        config_today(study.user_attrs["config"]), {**trial.params, **trial.user_attrs.get(OVERRIDES, {})}
    )


def _require_recorded_data_keys(original: Original, trainable: Mapping[str, Any], given: Sequence[str]) -> None:
    """Require that data keys of the command line have the recorded values."""
    for key in (name.removeprefix("trainable.") for name in given if name.startswith("trainable.data.")):
        recorded, given_value = value_at(original.config, key), value_at(trainable, key)
        law = f"`trainable.{key}` as trial {original.number} recorded it ({recorded})"
        require(
            recorded == given_value, law, str(given_value), "leave it out: a trial is reproduced on its recorded data"
        )


def _require_same_data(study: optuna.Study, original: Original, data: DataSplits) -> None:
    recorded = original.manifest.data_sha256 if original.manifest else study.user_attrs["data_sha256"]
    require(
        recorded == data.sha256,
        "the same data as the recorded trial",
        f"{data.sha256[:12]} and {recorded[:12]}",
        "a trial cannot be reproduced on other data; restore them",
    )


def _threads(original: Original, sweep: Sweep) -> int:
    """Return the number of threads of the trial, on which sums of floats depend."""
    return original.manifest.threads["torch"] if original.manifest else sweep.settings.scaling.cpus_per_worker


def _device(original: Original) -> torch.device:
    """Return the type of device of the trial, where this machine has one."""
    cuda = original.manifest is not None and original.manifest.device.startswith("cuda")
    return torch.device("cuda" if cuda and torch.cuda.is_available() else "cpu")


def _manifest(original: Original, data: DataSplits) -> Manifest:
    facts = source_of().facts()
    return Manifest.here(original.trainable, original.config, data.sha256, facts, device=_device(original))


def fingerprint(manifest: Manifest) -> str:
    """Return a hash of everything that metrics depend on; a reproduction is resumed only while it is the same."""
    facts = manifest.to_json()
    return digest({key: facts[key] for key in facts if key not in ("source", "machine")})[:8]


def retrain(console: Console, original: Original, now: Manifest, path: Path) -> Mapping[str, float]:
    """Train to the trial's last epoch in this process and return its metrics; epochs in the folder are not repeated."""
    spec = TRAINABLES[original.trainable]
    config = build(spec.config, original.config, at="trainable")
    with opened(path, original.trainable, config, spec.metrics.epoch_order) as folder:
        now.write(folder.path)
        progress = Progress(console, folder, original.epoch, METRIC_SETS[original.trainable], spec.notes)
        with progress, recording(folder) as record:
            epochs = spec.load().epochs(config, resume=folder.last, worker=Worker(device=_device(original)))
            for epoch in itertools.islice(epochs, original.epoch + 1 - _epochs_done(folder)):
                progress(record(epoch))
        return {name: value for name, value in folder.metrics()[original.epoch].items() if name != names.EPOCH}


def _epochs_done(folder: RunFolder) -> int:
    """Return the number of epochs in the folder, including the untrained model."""
    return len(folder.metrics())


def tolerances(original: Original, study: Path) -> dict[str, float]:
    """Return the tolerance of every metric that has one."""
    config = build(TRAINABLES[original.trainable].config, original.config, at="trainable")
    data = load_splits(config.data)
    found = noise_tolerances(study / EVALUATIONS, data.sha256) | dict.fromkeys(EXACT, 0.0)
    metric_set = METRIC_SETS[original.trainable]
    reference = MODEL_FUNCTIONS[TRAINABLES[original.trainable].model_type.name].reference
    if reference is not None and metric_set.headline in original.metrics:
        band = reference(config).no_difference
        found[metric_set.headline] = (band.high - band.low) / 2
    return found


def _print_differences(console: Console, original: Original, differing: Sequence[str]) -> None:
    console.print(f"Trial {original.number}, epoch {original.epoch}: recorded and reproduced", style="bold")
    for line in differing or ["no differences: same code, versions, processor and threads"]:
        console.print(f"  {line}", highlight=False, soft_wrap=True)


def _write(
    file: Path,
    study: optuna.Study,
    original: Original,
    now: Manifest,
    differing: Sequence[str],
    compared: Sequence[MetricComparison],
    conclusion: str,
) -> None:
    report = {
        "study": study.study_name,
        "trial": original.number,
        "epoch": original.epoch,
        "conclusion": conclusion,
        "differences": list(differing),
        "figures": [asdict(row) for row in compared],
        "manifest": now.to_json(),
    }
    write_atomically(file, json.dumps(report, indent=1, sort_keys=True) + "\n")
