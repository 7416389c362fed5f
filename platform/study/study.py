"""Open, continue or load a study, with the record that makes its trials comparable."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import check_distribution_compatibility
from optuna.exceptions import ExperimentalWarning
from optuna.trial import FrozenTrial

from platform.study.budget import waiting_repeats
from platform.study.comparable import require_comparable
from platform.study.paths import StudyInFolder
from platform.study.ranking import (
    current_names,
    ranking,
    require_measured_metrics,
)
from platform.study.resume import OVERRIDES, REPEATS, point_of
from platform.study.samplers import sampler_for
from platform.study.seeds import TRAINING_SEED, seeds_of_repeat
from platform.study.storage import JOURNAL, NoStudyError, open_storage, redact_password, require_database
from platform.study.sweep import Sweep
from search_spaces import Space
from trainables.core.config import ConfigError
from trainables.core.version import VERSION, minor, version_of

RENAMED_IN = {"detector": "0.2.0", "gan": "0.2.0"}  # trainable -> version that renamed its metrics or searched keys
FOLDER = "folder"  # of a study in a database: where its checkpoints are, and the lock of its driver


def open_study(sweep: Sweep, record: Mapping[str, Any]) -> StudyInFolder:
    """Create the study or continue it.

    Args:
        record: Data, configuration and objectives, which make trials comparable; stored with a new study.

    Raises:
        ConfigError: an existing study of this name has another record.
    """
    settings = sweep.settings
    storage = open_storage(settings.storage, settings.folder)
    name = settings.study_name
    known = next((one for one in optuna.get_all_study_summaries(storage) if one.study_name == name), None)
    recorded = current_names(known.user_attrs) if known else {}
    _require_readable(name, recorded)
    there = recorded.get(FOLDER)
    if there not in (None, record.get(FOLDER)):
        raise ConfigError(
            f"storage_path={settings.storage_path}: the study {name} of this database is kept in {there}; give the "
            "storage_path of its first run, or choose another study_name"
        )
    directions: list[Any] = [objective.direction for objective in sweep.goal.objectives]
    if not known:
        optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
    study = StudyInFolder(name, storage, settings.folder)
    _name_metrics(study, [objective.text for objective in sweep.goal.objectives])
    trials = study.get_trials(deepcopy=False)
    require_comparable(name, recorded, record, sweep.space, trials)
    _require_compatible_distributions(name, trials, sweep.space)
    study.sampler = sampler_for(settings.sampler, settings.seed, len(trials), sweep.space, settings.grid_values)
    for key, value in {"version": VERSION, **record}.items():
        if key not in recorded and (key != "version" or not known):
            study.set_user_attr(key, value)
    return study


def _name_metrics(study: optuna.Study, names: list[str]) -> None:
    """Name the values of a study by its objectives, for optuna-dashboard and Optuna's own tables and plots."""
    if study.metric_names != names:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            study.set_metric_names(names)


def _require_compatible_distributions(name: str, trials: Sequence[FrozenTrial], space: Space) -> None:
    """Raise `ConfigError` where a distribution has other choices or another type than in earlier trials.

    Optuna would refuse it during the sweep; other bounds of an interval are allowed.
    """
    known = {key: distribution for trial in trials for key, distribution in trial.distributions.items()}
    for key, distribution in space.parameters.items():
        try:
            check_distribution_compatibility(known.get(key, distribution), distribution)
        except ValueError:
            raise ConfigError(
                f"study_name={name}: expected the distribution of the study for trainable.{key}, "
                f"{known[key]}, but got {distribution}; "
                "choose another study_name or restore the old distribution"
            ) from None


def load_study(storage_path: Path, study_name: str, storage: str = "") -> StudyInFolder:
    """Load an existing study for reading; nothing is created.

    Raises:
        NoStudyError: there is no study of this name.
        ConfigError: A version made it whose studies are no longer read.
    """
    file = storage_path / study_name / JOURNAL
    if not storage and not file.is_file():
        known = sorted(path.parent.name for path in storage_path.glob(f"*/{JOURNAL}"))
        there = f"known: {', '.join(known)}" if known else "there is none yet"
        raise NoStudyError(f"study_name={study_name}: no such study in {storage_path}; {there}")
    require_database(storage)
    try:
        study = StudyInFolder(study_name, open_storage(storage, file.parent, create=False), file.parent)
    except KeyError:
        raise NoStudyError(f"study_name={study_name}: no such study in {redact_password(storage) or file}") from None
    _require_readable(study_name, study.user_attrs)
    study.folder = Path(study.user_attrs.get(FOLDER, study.folder))
    return study


def _require_readable(name: str, attributes: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for a study whose metrics or searched keys had other names, or whose metrics are retired."""
    written_by, trainable = version_of(attributes), str(attributes.get("trainable"))
    renamed_in = RENAMED_IN.get(trainable, written_by)
    if minor(written_by) < minor(renamed_in):
        raise ConfigError(
            f"study_name={name}: expected a {trainable} study of version {renamed_in} or later, but version "
            f"{written_by} wrote it; choose another study_name, and give its checkpoints to platform.evaluate and "
            "platform.promote as ckpt=FOLDER"
        )
    require_measured_metrics(name, attributes)


def enqueue_repeats(study: optuna.Study, top: int, repeats: int, default: int | None = None) -> int:
    """Enqueue repeats of the best trials and of the default with other seeds, each once; returns how many wait to run.

    Args:
        default: Trial of the default configuration; None where the study has none.
    """
    known = {_repeat_of(trial) for trial in study.get_trials(deepcopy=False)}
    trainable, configured = str(study.user_attrs["trainable"]), study.user_attrs["config"][TRAINING_SEED]
    seeds = [seeds_of_repeat(trainable, configured, k) for k in range(1, repeats + 1)]
    trials = study.get_trials(deepcopy=False)
    best = [ranked.number for ranked in ranking(study) if ranked.state == "COMPLETE"][:top]
    for number in dict.fromkeys([*best, *([] if default is None or not best else [default])]):
        for others in seeds:
            if (number, others[TRAINING_SEED]) not in known:
                study.enqueue_trial(point_of(trials[number]), user_attrs={REPEATS: number, OVERRIDES: others})
    return waiting_repeats(study)


def _repeat_of(trial: FrozenTrial) -> tuple[int, int] | None:
    """Return the trial that a repeat repeats, and its seed; None for other trials."""
    attributes = trial.user_attrs
    return (attributes[REPEATS], attributes[OVERRIDES][TRAINING_SEED]) if REPEATS in attributes else None
