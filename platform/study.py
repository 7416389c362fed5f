"""A study on disk: where Optuna keeps it, what is recorded with it, and how its trials rank."""

import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import check_distribution_compatibility
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import BaseJournalBackend, JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

from platform.objectives import Constraint, Objective
from platform.recovery import METRICS, OVERRIDES, REASON, REPEATS, RESUMES, RETRIED, START, history, newest_checkpoint
from platform.search import finished, make_sampler, waiting_repeats
from platform.settings import Sweep
from search_spaces import Space
from trainables.config import ConfigError
from trainables.durable import locked
from trainables.names import EPOCH

JOURNAL = "study.journal"
OBJECTIVES = "objectives"
INTERRUPTED = "INTERRUPTED"  # the state of a trial that goes on when the study is opened again
CONSTRAINTS = "constraints"
COMPARABLE = ("data_sha256", "config_hash", OBJECTIVES, CONSTRAINTS, "rung")
FOLDER = "folder"  # of a study in a database: where its checkpoints are, and the lock of its driver


class NoStudyError(ConfigError):
    """There is no study of this name."""


def hidden(url: str) -> str:
    """A URL without its password."""
    return re.sub(r"(://[^:/@]*):[^@]*@", r"\1:***@", url)


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The study of a folder for this driver alone; ends with the process whatever its end is.

    Raises:
        ConfigError: another driver runs this study, or the folder cannot be written.
    """
    with ExitStack() as stack:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(locked(folder))
        except BlockingIOError:
            raise ConfigError(
                f"study_name={folder.name}: another sweep runs this study; wait for it or choose another name"
            ) from None
        except OSError as error:
            raise ConfigError(f"storage_path={folder.parent}: cannot write there ({error.strerror})") from None
        yield


def open_storage(url: str, folder: Path, create: bool = True) -> BaseStorage:
    """The journal file in the folder of the study, or the database behind `storage=URL`.

    Args:
        create: Whether the folder is made where there is none.

    Raises:
        ConfigError: a database that cannot be used, a journal that is damaged.
    """
    try:
        if create:
            folder.mkdir(parents=True, exist_ok=True)
        if url:
            return RDBStorage(url)
    except OSError as error:
        raise ConfigError(f"storage_path={folder.parent}: cannot write there ({error.strerror})") from None
    except (ImportError, ValueError, SQLAlchemyError) as error:
        raise ConfigError(f"storage={hidden(url)}: not a usable database URL ({str(error).splitlines()[0]})") from None
    return _journal(folder / JOURNAL)


class WholeLines(BaseJournalBackend):
    """The journal file, in which a full disk leaves no half of a line: later ones would be lost behind it."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.backend = JournalFileBackend(str(file))

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """As the file has them."""
        return self.backend.read_logs(log_number_from)

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """All of them or none."""
        size = self.file.stat().st_size
        try:
            self.backend.append_logs(logs)
        except OSError:
            os.truncate(self.file, size)
            raise


def _journal(file: Path) -> JournalStorage:
    try:
        return JournalStorage(WholeLines(file))
    except ValueError as error:
        raise ConfigError(f"{file}: a line of the journal is damaged ({error}); restore it from a copy") from None


def mend(file: Path) -> int:
    """Cut a last line that its writer was killed over (Optuna would read none after it); returns its bytes.

    Nothing is lost by it: a record counts when its line is whole. A lock of that writer goes too, for which Optuna
    would wait half a minute. Only for who holds the study.
    """
    file.with_name(f"{file.name}.lock").unlink(missing_ok=True)
    if not file.exists():
        return 0
    with file.open("r+b") as stream:
        content = stream.read()
        whole = content.rfind(b"\n") + 1
        stream.truncate(whole)
    return len(content) - whole


def open_study(sweep: Sweep, record: Mapping[str, Any]) -> optuna.Study:
    """Create the study or continue it.

    Args:
        record: What makes trials comparable (data, configuration, objectives); stored with a new study.

    Raises:
        ConfigError: an existing study of this name was made with another record.
    """
    settings = sweep.settings
    storage = open_storage(settings.storage, settings.folder)
    name = settings.study_name
    known = next((one for one in optuna.get_all_study_summaries(storage) if one.study_name == name), None)
    for key, value in record.items():
        if known and key in COMPARABLE and known.user_attrs.get(key, value) != value:
            raise ConfigError(
                f"study_name={name}: the study has another {key} ({known.user_attrs[key]}, now {value}); its trials "
                "cannot be compared with new ones: choose another study_name or restore the old configuration"
            )
    there = known.user_attrs.get(FOLDER) if known else None
    if there not in (None, record.get(FOLDER)):
        raise ConfigError(
            f"storage_path={settings.storage_path}: the study {name} of this database is kept in {there}; give the "
            "storage_path of its first run, or choose another study_name"
        )
    directions: list[Any] = [objective.direction for objective in sweep.goal.objectives]
    study = optuna.create_study(storage=storage, study_name=name, directions=directions, load_if_exists=True)
    _require_laws_of_before(study, sweep.space)
    study.sampler = make_sampler(
        settings.sampler, settings.seed, len(study.get_trials(deepcopy=False)), bool(sweep.space.conditions)
    )
    for key, value in record.items():
        if key not in study.user_attrs:
            study.set_user_attr(key, value)
    return study


def _require_laws_of_before(study: optuna.Study, space: Space) -> None:
    """Raise `ConfigError` where a law has other choices, or is of another kind, than it was for earlier trials.

    Optuna would refuse it amid the sweep; other ends of an interval it allows.
    """
    known = {key: law for trial in study.get_trials(deepcopy=False) for key, law in trial.distributions.items()}
    for key, law in space.parameters.items():
        try:
            check_distribution_compatibility(known.get(key, law), law)
        except ValueError:
            raise ConfigError(
                f"study_name={study.study_name}: trainable.{key} was searched by {known[key]}, now by {law}; choose "
                "another study_name or restore the old law"
            ) from None


def load_study(storage_path: Path, study_name: str, storage: str = "") -> optuna.Study:
    """An existing study, to be read; nothing is created.

    Raises:
        NoStudyError: there is none of this name.
    """
    file = storage_path / study_name / JOURNAL
    if not storage and not file.is_file():
        known = sorted(path.parent.name for path in storage_path.glob(f"*/{JOURNAL}"))
        there = f"known: {', '.join(known)}" if known else "there is none yet"
        raise NoStudyError(f"study_name={study_name}: no such study in {storage_path}; {there}")
    require_database(storage)
    try:
        return optuna.load_study(study_name=study_name, storage=open_storage(storage, file.parent, create=False))
    except KeyError:
        raise NoStudyError(f"study_name={study_name}: no such study in {hidden(storage) or file}") from None


def enqueue_repeats(study: optuna.Study, tie_breaker: str, top: int, repeats: int) -> int:
    """Enqueue the best trials with other training seeds, each seed once; returns how many wait to be run."""
    known = {_repeat_of(trial) for trial in study.get_trials(deepcopy=False)}
    seed = study.user_attrs["config"]["seed"]
    for trial in [ranked for ranked in ranking(study, tie_breaker) if ranked.state == "COMPLETE"][:top]:
        for other in range(seed + 1, seed + 1 + repeats):
            if (trial.number, other) not in known:
                attributes = {REPEATS: trial.number, OVERRIDES: {"seed": other}}
                study.enqueue_trial(dict(trial.params), user_attrs=attributes)
    return waiting_repeats(study)


def _repeat_of(trial: FrozenTrial) -> tuple[int, int] | None:
    """Whom a trial repeats, and with which seed."""
    attributes = trial.user_attrs
    return (attributes[REPEATS], attributes[OVERRIDES]["seed"]) if REPEATS in attributes else None


def require_database(storage: str) -> None:
    """Reading creates no database: SQLite would make a file.

    Raises:
        NoStudyError: the file of the URL does not exist.
    """
    if not storage.startswith("sqlite"):
        return
    database = make_url(storage).database
    if database is None or not Path(database).is_file():
        raise NoStudyError(f"`storage` is a database that exists must hold, but got storage={storage}")


@dataclass(frozen=True)
class Ranked:
    """A trial as the ranking shows it.

    Attributes:
        state: As Optuna spells it, or INTERRUPTED.
        epoch: Of its metrics.
        value: The first objective.
        values: All of them.
        history: Epoch -> the metric of the rungs.
    """

    number: int
    state: str
    epoch: int
    value: float
    metrics: Mapping[str, float]
    params: Mapping[str, Any]
    history: Mapping[int, float]
    checkpoint: Path | None
    reason: str
    values: tuple[float, ...] = ()
    feasible: bool = True
    front: bool = False  # no other trial is at least as good in every objective and better in one


def objectives_of(study: optuna.Study) -> tuple[Objective, ...]:
    """What the study optimises, in order.

    Raises:
        ConfigError: the study does not say; it was made by something else.
    """
    if OBJECTIVES not in study.user_attrs:
        raise ConfigError(f"study_name={study.study_name}: the study does not record its objectives; start a new one")
    return tuple(Objective.parse(text) for text in study.user_attrs[OBJECTIVES])


def ranking(study: optuna.Study, tie_breaker: str) -> list[Ranked]:
    """Trials that ended or were cut, best first.

    By their objectives at their last report, whether they reached their last epoch or were stopped: those that keep the
    constraints first (of a trial that was cut: by its latest metrics); of several objectives by fronts of trials that
    no other one dominates, then by the first objective; ties by `tie_breaker`. Trials without a value stand last.
    """
    objectives = objectives_of(study)
    constraints = tuple(map(Constraint.parse, study.user_attrs.get(CONSTRAINTS, ())))
    shown = [_ranked(trial, objectives, constraints) for trial in shown_trials(study)]
    signed = {trial.number: _signed(trial, objectives) for trial in shown}
    fronts = dict[int, int]()
    for feasible in (True, False):  # a trial that breaks a constraint dominates none that keeps it
        fronts |= _fronts({t.number: signed[t.number] for t in shown if t.feasible == feasible and signed[t.number]})

    def merit(trial: Ranked) -> tuple[Any, ...]:
        values = signed[trial.number]
        first = values[0] if values else math.inf
        tie = trial.metrics.get(tie_breaker, math.inf)
        return not values, not trial.feasible, fronts.get(trial.number, math.inf), first, tie, trial.number

    on_front = {t.number for t in shown if t.feasible and fronts.get(t.number) == 0}
    return [replace(trial, front=trial.number in on_front) for trial in sorted(shown, key=merit)]


def shown_trials(study: optuna.Study) -> list[FrozenTrial]:
    """Those that count, and those that were cut and whose successors have not begun."""
    trials = study.get_trials(deepcopy=False)
    begun = {t.user_attrs[RESUMES] for t in trials if RESUMES in t.user_attrs and t.state != TrialState.WAITING}
    cut = [t for t in trials if t.user_attrs.get(RETRIED) and t.number not in begun and METRICS in t.user_attrs]
    return [*finished(study), *(trial for trial in cut if REPEATS not in trial.user_attrs)]


def _signed(trial: Ranked, objectives: Sequence[Objective]) -> tuple[float, ...]:
    """Objectives, so that smaller is better; none where one is missing."""
    pairs = zip(trial.values, objectives, strict=True) if trial.values else ()
    return tuple(value if objective.minimised else -value for value, objective in pairs)


def _fronts(points: Mapping[int, tuple[float, ...]]) -> dict[int, int]:
    """Number of the front of each point: 0 is dominated by none, 1 by those of front 0 alone, and so on."""
    left, fronts, depth = dict(points), dict[int, int](), 0
    while left:
        free = [key for key, point in left.items() if not any(dominates(other, point) for other in left.values())]
        fronts |= dict.fromkeys(free, depth)
        left = {key: point for key, point in left.items() if key not in fronts}
        depth += 1
    return fronts


def dominates(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    """Whether a is at least as small as b in every place, and smaller in one."""
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


def _ranked(trial: FrozenTrial, objectives: Sequence[Objective], constraints: Sequence[Constraint]) -> Ranked:
    attributes = trial.user_attrs
    metrics = attributes.get(METRICS, {})
    cut = bool(attributes.get(RETRIED))
    found = [value for objective in objectives if (value := objective.value(metrics)) is not None]
    reached = (cut or trial.state == TrialState.PRUNED) and len(found) == len(objectives)
    values = tuple(found if reached else trial.values or ())  # a stopped trial is told the metric of the rungs
    newest = newest_checkpoint(trial, verified=False)
    start, seen = attributes.get(START, {}), history(trial)
    broken = [constraint.excess(metrics) for constraint in constraints] if cut else list(trial.constraints.values())
    return Ranked(
        number=trial.number,
        state=INTERRUPTED if cut else trial.state.name,
        epoch=max(seen, default=start.get(EPOCH, 0)),
        value=values[0] if values else math.nan,
        metrics=metrics,
        params=trial.params,
        history=seen,
        checkpoint=newest.path if newest else _path(start),
        reason=attributes.get(REASON, ""),
        values=values,
        feasible=all(value <= 0 for value in broken),
    )


def _path(start: Mapping[str, Any]) -> Path | None:
    path = Path(start["checkpoint"]) if start else None
    return path if path and path.is_dir() else None
