"""A study on disk: where Optuna keeps it, what is recorded with it, and how its trials rank."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial
from sqlalchemy.exc import SQLAlchemyError

from platform.search import FOLDER, METRICS, REASON, finished, make_sampler
from platform.settings import Sweep
from trainables import names
from trainables.config import ConfigError

JOURNAL = "study.journal"


def open_storage(sweep: Sweep) -> BaseStorage:
    """The journal file of the study, or the database behind `storage=URL`."""
    url, folder = sweep.settings.storage, sweep.settings.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if url:
            return RDBStorage(url)
    except OSError as error:
        raise ConfigError(
            f"storage_path={sweep.settings.storage_path}: cannot write there ({error.strerror})"
        ) from None
    except (ImportError, ValueError, SQLAlchemyError) as error:
        raise ConfigError(f"storage={url}: not a usable database URL ({str(error).splitlines()[0]})") from None
    return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))


def open_study(sweep: Sweep, record: Mapping[str, Any]) -> optuna.Study:
    """Create the study or continue it.

    Args:
        record: What makes trials comparable (data, configuration, code); stored with a new study.

    Raises:
        ConfigError: an existing study of this name was made with another record.
    """
    storage = open_storage(sweep)
    name, seed = sweep.settings.study_name, sweep.settings.seed
    study = optuna.create_study(storage=storage, study_name=name, direction="minimize", load_if_exists=True)
    study.sampler = make_sampler(sweep.settings.sampler, seed, len(study.get_trials(deepcopy=False)))
    known = study.user_attrs
    for key, value in record.items():
        if known.get(key, value) != value and key in COMPARABLE:
            raise ConfigError(
                f"study_name={name}: the study has another {key} ({known[key]}, now {value}); its trials cannot be "
                "compared with new ones: choose another study_name or restore the old configuration"
            )
        if key not in known:
            study.set_user_attr(key, value)
    return study


COMPARABLE = ("data_sha256", "config_hash", "metric")


@dataclass(frozen=True)
class Ranked:
    """A trial as the ranking shows it."""

    number: int
    state: str
    epoch: int
    value: float
    metrics: Mapping[str, float]
    params: Mapping[str, Any]
    history: Mapping[int, float]
    checkpoint: Path | None
    reason: str


def ranking(study: optuna.Study, tie_breaker: str) -> list[Ranked]:
    """Finished trials, best first.

    By the metric at their last report, whether they reached their last epoch or were stopped, ties by `tie_breaker`;
    trials without a value stand last.
    """
    return [_ranked(trial) for trial in sorted(finished(study), key=lambda trial: _merit(trial, tie_breaker))]


def _merit(trial: FrozenTrial, tie_breaker: str) -> tuple[float, float, int]:
    metrics = trial.user_attrs.get(METRICS, {})
    value = trial.value if trial.value is not None else math.inf
    return value, metrics.get(tie_breaker, math.inf), trial.number


def _ranked(trial: FrozenTrial) -> Ranked:
    attributes = trial.user_attrs
    return Ranked(
        number=trial.number,
        state=trial.state.name,
        epoch=trial.last_step if trial.last_step is not None else 0,
        value=trial.value if trial.value is not None else math.nan,
        metrics=attributes.get(METRICS, {}),
        params=trial.params,
        history=trial.intermediate_values,
        checkpoint=_latest_checkpoint(attributes),
        reason=attributes.get(REASON, ""),
    )


def _latest_checkpoint(attributes: Mapping[str, Any]) -> Path | None:
    """A worker group reports where its checkpoint is; a one-process trial keeps it in its own folder."""
    if names.CHECKPOINT_PATH in attributes:
        return Path(attributes[names.CHECKPOINT_PATH])
    found = sorted(Path(attributes[FOLDER]).glob("checkpoint_*")) if FOLDER in attributes else []
    return found[-1] if found else None
