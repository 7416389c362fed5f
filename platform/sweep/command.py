"""Plan, run and summarise a sweep: `python -m platform.tune` without a verb."""

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from rich.console import Console

from platform.core.console import print_line
from platform.core.ray_instance import available_cpus, ray_instance
from platform.study.budget import STORAGE_ERRORS, enqueue_baselines, finished, reason_of, trials_to_run
from platform.study.comparable import CONFIG, CONFIG_HASH, config_hash, other_code
from platform.study.ranking import OBJECTIVES, SCHEDULER_METRIC
from platform.study.resume import requeue_orphans
from platform.study.storage import JOURNAL, NoStudyError, lock_study, truncate_partial_line
from platform.study.study import FOLDER, load_study, open_study
from platform.study.sweep import Sweep
from platform.sweep.disk_budget import SweepStoppedError
from platform.sweep.points import enqueue_points, read_points
from platform.sweep.runner import RERUN_HINT, concurrency, print_plan, search_trials
from platform.sweep.summary import summarise
from platform.sweep.warm_start import source_study, warm_start
from platform.sweep.worker_shares import require_shares
from trainables.core.config import build
from trainables.data.config import DataConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.training.manifest import CODE, code_sha256


def run_sweep(console: Console, sweep: Sweep, *, plan_only: bool) -> int:
    """Plan, run and summarise one sweep; returns the exit code (1 if no trial has a result)."""
    require_shares(sweep)
    points, source = read_points(sweep), source_study(sweep)
    data = load_splits(build(DataConfig, sweep.trainable["data"], at="trainable.data"))
    _print_data(console, data)
    if plan_only:
        return _plan_only(console, sweep)
    try:
        return _continue_study(console, sweep, data, points, source)
    except STORAGE_ERRORS as error:  # the study's storage or Tune's: running trials stay RUNNING and are resumed
        raise SweepStoppedError(f"cannot write ({reason_of(error)}); {RERUN_HINT}") from None


def _continue_study(
    console: Console,
    sweep: Sweep,
    data: DataSplits,
    points: Sequence[Mapping[str, Any]],
    source: optuna.Study | None,
) -> int:
    """Open the study, requeue interrupted trials, run the remaining ones, and summarise."""
    with lock_study(sweep.settings.folder):
        removed = truncate_partial_line(sweep.settings.folder / JOURNAL)
        if removed:
            console.print(
                f"removed an incomplete last record ({removed} bytes) from the journal; the previous run was killed "
                "while writing it"
            )
        record = study_record(sweep, data)
        study = open_study(sweep, record)
        requeued_trials = requeue_orphans(study)
        others = other_code(study.get_trials(deepcopy=False), code_sha256(CODE))
        if others:
            console.print(
                f"{len(others)} trial(s) of this study were trained by other code than the present one, as trial "
                f"{others[0]}; they rank together, whatever the difference is",
                style="yellow",
                highlight=False,
                soft_wrap=True,
            )
        enqueue_baselines(study, sweep.space, sweep.settings.budget.trials)
        if enqueue_points(study, points):
            print_line(console, f"enqueued the {len(points)} point(s) of {sweep.settings.enqueue}")
        if source is not None:
            warm_start(console, sweep, study, source, record)
        if requeued_trials:
            console.print(f"requeued {requeued_trials} trial(s) that an earlier run left unfinished")
        if not trials_to_run(study, sweep.settings.budget.trials) and not sweep.settings.finalists.retrain_seeds:
            console.print(f"budget.trials={sweep.settings.budget.trials} reached; increase it to continue")
            return summarise(console, sweep, study)
        with ray_instance(sweep.settings.address, sweep.settings.scaling) as cpus:
            search_trials(console, sweep, study, cpus)
            return summarise(console, sweep, study)


def _plan_only(console: Console, sweep: Sweep) -> int:
    """Print the plan for the study as it is; nothing is started or written."""
    settings = sweep.settings
    try:
        study = load_study(settings.folder.parent, settings.study_name, settings.storage)
    except NoStudyError:
        study = None
    done = len(finished(study)) if study is not None else 0
    cpus = available_cpus(settings.address, settings.scaling)
    remaining = max(settings.budget.trials - done, 0)
    print_plan(console, sweep, remaining, min(concurrency(settings, cpus), max(remaining, 1)), study)
    return 0


def study_record(sweep: Sweep, data: DataSplits) -> dict[str, Any]:
    """Return what makes the trials of a study comparable: data, fixed configuration, objectives, scheduler metric."""
    goal = sweep.goal
    return {
        "data_sha256": data.sha256,
        CONFIG_HASH: config_hash(sweep.trainable, sweep.space.parameters),
        OBJECTIVES: [objective.text for objective in goal.objectives],
        "constraints": [constraint.text for constraint in goal.constraints],
        SCHEDULER_METRIC: goal.scheduler_metric,
        CONFIG: sweep.trainable,
        "trainable": sweep.space.trainable,
    } | ({FOLDER: str(sweep.settings.folder)} if sweep.settings.storage else {})


def _print_data(console: Console, data: DataSplits) -> None:
    console.print("Data", style="bold")
    console.print("  " + data.table().replace("\n", "\n  "), highlight=False, soft_wrap=True)
    console.print(f"  sha256 {data.sha256[:16]}", highlight=False)
