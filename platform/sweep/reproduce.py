"""A recorded trial trained again, with the configuration, seeds, data and threads of then, and compared with then.

On the same code, versions and processor every figure is equal to the last bit. Elsewhere a figure is judged by the band
in which equal models differ, where one was measured.
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

from platform.core.provenance import source_of
from platform.leaderboard.archive import EVALUATIONS
from platform.leaderboard.model_types import MODEL_FUNCTIONS
from platform.study.config import Sweep
from platform.study.resume import FOLDER, METRICS, OVERRIDES, last_epoch
from platform.study.search_space import value_at
from platform.sweep.metric_tolerance import EQUAL, EXACT, MetricComparison, compare, conclude, noise_tolerances, table
from trainables.core.atomic_files import write_atomically
from trainables.core.config import ConfigError, build, digest, require, with_values
from trainables.core.threads import threads
from trainables.data.config import DataConfig
from trainables.data.dataset import DataSplits, load_splits
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
    """What the study has of a trial.

    Attributes:
        epoch: Its last one, to which the metrics belong.
        manifest: None where the trial left none.
    """

    number: int
    trainable: str
    config: Mapping[str, Any]
    epoch: int
    metrics: Mapping[str, float]
    manifest: Manifest | None


def reproduce(console: Console, sweep: Sweep, study: optuna.Study, trial_number: int, given: Sequence[str] = ()) -> int:
    """Train a trial again and compare; 0 if every judged figure is equal or inside its band, else 1.

    Args:
        given: Keys that the command line sets; of the data none may differ from then.

    Raises:
        ConfigError: no such trial, one without a result, or other data than then.
    """
    original = original_of(study, trial_number)
    _require_data_of_then(original, sweep.trainable, given)
    data = load_splits(build(DataConfig, study.user_attrs["config"]["data"], at="trainable.data"))
    _require_same_data(study, original, data)
    with threads(_threads(original, sweep)):
        now = _manifest(original, data)
        changed = ["the trial left no manifest: what it ran on is unknown"]
        if original.manifest:
            changed = differences(original.manifest, now)
        _print_changed(console, original, changed)
        place = sweep.settings.folder / REPRODUCED / f"trial-{original.number:04d}"
        found = trained_again(console, original, now, place / f"run-{fingerprint(now)}")
        compared = compare(original.metrics, found, {})
        if any(row.verdict != EQUAL for row in compared):
            compared = compare(original.metrics, found, bands(original, sweep.settings.folder))
    console.print(table(compared))
    conclusion, code = conclude(compared)
    console.print(conclusion, highlight=False, soft_wrap=True)
    _write(place / REPORT, study, original, now, changed, compared, conclusion)
    console.print(f"  numbers      {place / REPORT}", highlight=False, soft_wrap=True)
    return code


def original_of(study: optuna.Study, number: int) -> Original:
    """A trial as it can be trained again.

    Raises:
        ConfigError: there is no such trial, it is not finished, or it has no result.
    """
    trials = study.get_trials(deepcopy=False)
    known = f"0 to {len(trials) - 1}" if trials else "none"
    require(0 <= number < len(trials), f"`trials` in the study's ({known})", f"trials=[{number}]")
    trial = trials[number]
    epoch = last_epoch(trial)
    if not trial.state.is_finished() or epoch is None or METRICS not in trial.user_attrs:
        raise ConfigError(f"trials=[{number}]: the trial is {trial.state.name} and has no result to compare with")
    folder = trial.user_attrs.get(FOLDER)
    manifest = Manifest.read(Path(folder)) if folder else None
    config = manifest.config if manifest else _configuration(study, trial)
    trainable = manifest.trainable if manifest else study.user_attrs["trainable"]
    return Original(number, trainable, config, epoch, trial.user_attrs[METRICS], manifest)


def _configuration(study: optuna.Study, trial: FrozenTrial) -> dict[str, Any]:
    """The study's configuration with the trial's values; a repeated trial has another seed among its overrides."""
    return with_values(study.user_attrs["config"], {**trial.params, **trial.user_attrs.get(OVERRIDES, {})})


def _require_data_of_then(original: Original, trainable: Mapping[str, Any], given: Sequence[str]) -> None:
    """What the command line says of the data is what the trial was made with."""
    for key in (name.removeprefix("trainable.") for name in given if name.startswith("trainable.data.")):
        then, now = value_at(original.config, key), value_at(trainable, key)
        law = f"`trainable.{key}` as trial {original.number} had it ({then})"
        require(then == now, law, str(now), "leave it out: a trial is reproduced on the data that it was made with")


def _require_same_data(study: optuna.Study, original: Original, data: DataSplits) -> None:
    then = original.manifest.data_sha256 if original.manifest else study.user_attrs["data_sha256"]
    require(
        then == data.sha256,
        "the same data as the recorded trial",
        f"{data.sha256[:12]} and {then[:12]}",
        "a trial cannot be reproduced on other data; restore them",
    )


def _threads(original: Original, sweep: Sweep) -> int:
    """As many threads as the trial had: sums of floats depend on it."""
    return original.manifest.threads["torch"] if original.manifest else sweep.settings.scaling.cpus_per_worker


def _device(original: Original) -> torch.device:
    """The kind of device that the trial had, where this machine has one."""
    cuda = original.manifest is not None and original.manifest.device.startswith("cuda")
    return torch.device("cuda" if cuda and torch.cuda.is_available() else "cpu")


def _manifest(original: Original, data: DataSplits) -> Manifest:
    facts = source_of().facts()
    return Manifest.here(original.trainable, original.config, data.sha256, facts, device=_device(original))


def fingerprint(manifest: Manifest) -> str:
    """Of all on which figures depend: a reproduction goes on from its folder only while it stays the same."""
    facts = manifest.to_json()
    return digest({key: facts[key] for key in facts if key not in ("source", "machine")})[:8]


def trained_again(console: Console, original: Original, now: Manifest, path: Path) -> Mapping[str, float]:
    """The metrics of the trial's last epoch, trained in this process; what the folder already holds is not repeated."""
    spec = TRAINABLES[original.trainable]
    config = build(spec.config, original.config, at="trainable")
    with opened(path, original.trainable, config, spec.metrics.epoch_order) as folder:
        now.write(folder.path)
        progress = Progress(console, folder, original.epoch, METRIC_SETS[original.trainable])
        with progress, recording(folder) as record:
            epochs = spec.load().epochs(config, resume=folder.last, worker=Worker(device=_device(original)))
            for epoch in itertools.islice(epochs, original.epoch + 1 - _begun(folder)):
                progress(record(epoch))
        return {name: value for name, value in folder.metrics()[original.epoch].items() if name != names.EPOCH}


def _begun(folder: RunFolder) -> int:
    """Epochs that the folder holds, the untrained model among them."""
    return len(folder.metrics())


def bands(original: Original, study: Path) -> dict[str, float]:
    """Half the width of the band of every figure that has one."""
    config = build(TRAINABLES[original.trainable].config, original.config, at="trainable")
    data = load_splits(config.data)
    found = noise_tolerances(study / EVALUATIONS, data.sha256) | dict.fromkeys(EXACT, 0.0)
    metric_set = METRIC_SETS[original.trainable]
    people = MODEL_FUNCTIONS[TRAINABLES[original.trainable].model_type.name].reference
    if people is not None and metric_set.headline in original.metrics:
        floor = people(config).floor
        found |= dict.fromkeys((metric_set.headline, metric_set.objective), (floor.high - floor.low) / 2)
    return found


def _print_changed(console: Console, original: Original, changed: Sequence[str]) -> None:
    console.print(f"Trial {original.number}, epoch {original.epoch}: then and now", style="bold")
    for line in changed or ["nothing differs: the same code, versions, processor and threads"]:
        console.print(f"  {line}", highlight=False, soft_wrap=True)


def _write(
    file: Path,
    study: optuna.Study,
    original: Original,
    now: Manifest,
    changed: Sequence[str],
    compared: Sequence[MetricComparison],
    conclusion: str,
) -> None:
    report = {
        "study": study.study_name,
        "trial": original.number,
        "epoch": original.epoch,
        "conclusion": conclusion,
        "differences": list(changed),
        "figures": [asdict(row) for row in compared],
        "manifest": now.to_json(),
    }
    write_atomically(file, json.dumps(report, indent=1, sort_keys=True) + "\n")
