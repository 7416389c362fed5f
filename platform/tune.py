"""`python -m platform.tune`: the sweep.

Ray Tune runs trials of a trainable under Ray Train, Optuna suggests their parameters and remembers everything, ASHA
stops the hopeless ones. The same command on an existing study continues it until its budget of trials is met.
"""

import sys
from typing import Any

import optuna
from rich.console import Console

from platform.core.ray_instance import available_cpus, ray_instance
from platform.report.browse import list_studies, show
from platform.report.compare_trials import compare
from platform.report.html import write_report
from platform.study.budget import STORAGE_ERRORS, enqueue_baselines, finished, reason_of, trials_to_run
from platform.study.config import Sweep, TuneConfig
from platform.study.ranking import OBJECTIVES, SCHEDULER_METRIC
from platform.study.resume import requeue_orphans
from platform.study.search_space import sweep_of
from platform.study.storage import JOURNAL, NoStudyError, lock_study, truncate_partial_line
from platform.study.study import FOLDER, load_study, open_study
from platform.sweep.disk_budget import SweepStoppedError
from platform.sweep.reproduce import reproduce
from platform.sweep.runner import RERUN_HINT, concurrency, print_plan, search_trials
from platform.sweep.summary import summarise
from search_spaces import SPACES
from trainables.core.cli import Command, Request, run
from trainables.core.config import build, digest
from trainables.data.config import DataConfig
from trainables.data.dataset import DataSplits, load_splits
from trainables.specs import TRAINABLES

ABOUT = """
Search the parameters of a trainable by their judgement on held-out people.

  python -m platform.tune                                             the default sweep
  python -m platform.tune budget.trials=16 budget.wall=20m            a longer one
  python -m platform.tune trainable=detector                          of another trainable: gan, or detector
  python -m platform.tune trainable.epochs=12 scaling.num_workers=1   each trial in a Ray Train worker group
  python -m platform.tune trainable.model.base_channels=64            fix a key of the space
  python -m platform.tune 'trainable.optim.lr=tag(log,interval(1e-4,3e-3))'   search any key: interval, range, choice

  python -m platform.tune list                                        the studies, and what has come of them
  python -m platform.tune show study_name=wide trials=[3]             one study, or trials of it
  python -m platform.tune compare study_name=wide trials=[3,5]        what differs between trials, and by how much
  python -m platform.tune report study_name=wide                      write its report.html anew
  python -m platform.tune reproduce=3                                 train a trial again and compare

The same command again continues the study; another study_name starts a new one.
"""

PLAN = "--plan"

COMMAND = Command(
    module="platform.tune",
    config_name="tune",
    about=ABOUT,
    schemas={
        "tune_schema": TuneConfig,
        **{f"trainable/{name}_schema": trainable.config for name, trainable in TRAINABLES.items()},
    },
    sweeps=True,
    implied={f"space={name}": f"trainable={space.trainable}" for name, space in SPACES.items()},
    switches={PLAN: "print trials, expected time and disk, and start nothing"},
    verbs={
        "list": "the studies below storage_path",
        "show": "a study, or those of its trials that are named",
        "compare": "trials side by side",
        "report": "write report.html of a study",
    },
)


def main(request: Request) -> int:
    """Plan, run and summarise one sweep; returns the exit code (1 if no trial has a result)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    console = Console()
    sweep = sweep_of(request)
    if request.verb:
        return _look(console, sweep, request.verb)
    settings = sweep.settings
    if settings.reproduce is not None and PLAN not in request.switches:
        study = load_study(settings.folder.parent, settings.study_name, settings.storage)
        return reproduce(console, sweep, study, settings.reproduce, request.given)
    data = load_splits(build(DataConfig, sweep.trainable["data"], at="trainable.data"))
    _print_data(console, data)
    if PLAN in request.switches:
        return _plan_only(console, sweep)
    try:
        return _continued(console, sweep, data)
    except STORAGE_ERRORS as error:  # the study's storage or Tune's: what is running stays so and is taken up again
        raise SweepStoppedError(f"cannot write ({reason_of(error)}); {RERUN_HINT}") from None


def _continued(console: Console, sweep: Sweep, data: DataSplits) -> int:
    """Open the study, take up what was left, run what is owed, and summarise."""
    with lock_study(sweep.settings.folder):
        cut = truncate_partial_line(sweep.settings.folder / JOURNAL)
        if cut:
            console.print(f"the journal's last line had no end ({cut} bytes) and is cut: its writer was killed over it")
        study = open_study(sweep, record_of(sweep, data))
        resumed = requeue_orphans(study)
        enqueue_baselines(study, sweep.space, sweep.settings.budget.trials)
        if resumed:
            console.print(f"{resumed} trial(s) that an earlier run left unfinished are enqueued again")
        if not trials_to_run(study, sweep.settings.budget.trials) and not sweep.settings.finalists.repeats:
            console.print(f"the budget of {sweep.settings.budget.trials} trials is met; raise budget.trials to go on")
            return summarise(console, sweep, study)
        with ray_instance(sweep.settings.address, sweep.settings.scaling) as cpus:
            search_trials(console, sweep, study, cpus)
            return summarise(console, sweep, study)


def _look(console: Console, sweep: Sweep, verb: str) -> int:
    """What a verb asks for; nothing is run, and only the report is written."""
    settings, trials = sweep.settings, sweep.settings.trials
    if verb == "list":
        return list_studies(console, settings.folder.parent, settings.storage)
    study = load_study(settings.folder.parent, settings.study_name, settings.storage)
    if verb == "compare":
        return compare(console, study, settings.folder, trials)
    if verb == "report":
        console.print(str(write_report(study, settings.folder)), highlight=False, soft_wrap=True)
        return 0
    return max(show(console, study, settings.folder, trial) for trial in trials or (None,))


def _plan_only(console: Console, sweep: Sweep) -> int:
    """The plan, from the study as it is; nothing is started and nothing is written."""
    settings = sweep.settings
    try:
        done = len(finished(load_study(settings.folder.parent, settings.study_name, settings.storage)))
    except NoStudyError:
        done = 0
    cpus = available_cpus(settings.address, settings.scaling)
    remaining = max(settings.budget.trials - done, 0)
    print_plan(console, sweep, remaining, min(concurrency(settings, cpus), max(remaining, 1)))
    return 0


def record_of(sweep: Sweep, data: DataSplits) -> dict[str, Any]:
    """What makes the trials of a study comparable: data, fixed configuration, and judgement."""
    searched = set(sweep.space.parameters)
    goal = sweep.goal
    return {
        "data_sha256": data.sha256,
        "config_hash": digest({"config": sweep.trainable, "searched": sorted(searched)}),
        OBJECTIVES: [objective.text for objective in goal.objectives],
        "constraints": [constraint.text for constraint in goal.constraints],
        SCHEDULER_METRIC: goal.scheduler_metric,
        "config": sweep.trainable,
        "trainable": sweep.space.trainable,
    } | ({FOLDER: str(sweep.settings.folder)} if sweep.settings.storage else {})


def _print_data(console: Console, data: DataSplits) -> None:
    console.print("Data", style="bold")
    console.print("  " + data.table().replace("\n", "\n  "), highlight=False)
    console.print(f"  sha256 {data.sha256[:16]}", highlight=False)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
