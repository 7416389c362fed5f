"""`python -m platform.tune`: the sweep.

Ray Tune runs trials of a trainable under Ray Train, Optuna suggests their parameters and remembers everything, ASHA
stops the hopeless ones. The same command on an existing study continues it until its budget of trials is met.
"""

import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import optuna
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from rich.console import Console

from platform.browse import list_studies, show
from platform.cluster import available_cpus, ray_instance
from platform.comparison import compare
from platform.disk import Guard, Quota, SweepStoppedError
from platform.plan import describe_plan, make_plan
from platform.progress import Progress
from platform.ranking import OBJECTIVES
from platform.recovery import history, recover_orphans
from platform.report import write_report
from platform.reproduce import reproduce
from platform.samplers import drawn_apart
from platform.search import (
    UNWRITABLE,
    OptunaBridge,
    Started,
    enqueue_baselines,
    finished,
    owed,
    reason_of,
    remember,
    waiting_repeats,
)
from platform.settings import Sweep, TuneConfig, sweep_of
from platform.source import source_of
from platform.storage import JOURNAL, NoStudyError, held, mend
from platform.study import FOLDER, enqueue_repeats, load_study, open_study
from platform.summary import summarise
from platform.tensorboard import TensorBoard
from search_spaces import SPACES
from trainables.core.cli import Command, Request, run
from trainables.core.config import build, digest, plain
from trainables.data.dataset import DataConfig, DataParts, load_parts
from trainables.session import TRAINABLES, TRIALS, Job, trial
from trainables.training.manifest import PACKAGES, installed
from trainables.training.metric_names import EPOCH

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
AGAIN = "everything so far is recorded; find the remedy and run the same command again"

COMMAND = Command(
    module="platform.tune",
    config_name="tune",
    about=ABOUT,
    schemas={
        "tune_schema": plain(TuneConfig()),
        **{f"trainable/{name}_schema": plain(trainable.config()) for name, trainable in TRAINABLES.items()},
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
    data = load_parts(build(DataConfig, sweep.trainable["data"], at="trainable.data"))
    _print_data(console, data)
    if PLAN in request.switches:
        return _plan_only(console, sweep)
    try:
        return _continued(console, sweep, data)
    except UNWRITABLE as error:  # the study's storage or Tune's: what is running stays so and is taken up again
        raise SweepStoppedError(f"cannot write ({reason_of(error)}); {AGAIN}") from None


def _continued(console: Console, sweep: Sweep, data: DataParts) -> int:
    """Open the study, take up what was left, run what is owed, and summarise."""
    with held(sweep.settings.folder):
        cut = mend(sweep.settings.folder / JOURNAL)
        if cut:
            console.print(f"the journal's last line had no end ({cut} bytes) and is cut: its writer was killed over it")
        study = open_study(sweep, record_of(sweep, data))
        resumed = recover_orphans(study)
        enqueue_baselines(study, sweep.space, sweep.settings.budget.trials)
        if resumed:
            console.print(f"{resumed} trial(s) that an earlier run left unfinished are enqueued again")
        if not owed(study, sweep.settings.budget.trials) and not sweep.settings.finalists.repeats:
            console.print(f"the budget of {sweep.settings.budget.trials} trials is met; raise budget.trials to go on")
            return summarise(console, sweep, study)
        with ray_instance(sweep.settings.address, sweep.settings.scaling) as cpus:
            _search(console, sweep, study, cpus)
            return summarise(console, sweep, study)


def _look(console: Console, sweep: Sweep, verb: str) -> int:
    """What a verb asks for; nothing is run, and only the report is written."""
    settings, trials = sweep.settings, sweep.settings.trials
    if verb == "list":
        return list_studies(console, settings.folder.parent, settings.storage)
    study = load_study(settings.folder.parent, settings.study_name, settings.storage)
    if verb == "compare":
        return compare(console, study, settings.folder, trials, sweep.space.tie_breaker)
    if verb == "report":
        console.print(
            str(write_report(study, settings.folder, sweep.space.tie_breaker)), highlight=False, soft_wrap=True
        )
        return 0
    return max(show(console, study, settings.folder, trial, sweep.space.tie_breaker) for trial in trials or (None,))


def _plan_only(console: Console, sweep: Sweep) -> int:
    """The plan, from the study as it is; nothing is started and nothing is written."""
    settings = sweep.settings
    try:
        done = len(finished(load_study(settings.folder.parent, settings.study_name, settings.storage)))
    except NoStudyError:
        done = 0
    cpus = available_cpus(settings.address, settings.scaling)
    remaining = max(settings.budget.trials - done, 0)
    _print_plan(console, sweep, remaining, min(concurrency(settings, cpus), max(remaining, 1)))
    return 0


def record_of(sweep: Sweep, data: DataParts) -> dict[str, Any]:
    """What makes the trials of a study comparable: data, fixed configuration, and judgement."""
    searched = set(sweep.space.parameters)
    goal = sweep.goal
    return {
        "data_sha256": data.sha256,
        "config_hash": digest({"config": sweep.trainable, "searched": sorted(searched)}),
        OBJECTIVES: [objective.text for objective in goal.objectives],
        "constraints": [constraint.text for constraint in goal.constraints],
        "rung": goal.rung,
        "config": sweep.trainable,
        "trainable": sweep.space.trainable,
    } | ({FOLDER: str(sweep.settings.folder)} if sweep.settings.storage else {})


def _print_data(console: Console, data: DataParts) -> None:
    console.print("Data", style="bold")
    console.print("  " + data.table().replace("\n", "\n  "), highlight=False)
    console.print(f"  sha256 {data.sha256[:16]}", highlight=False)


def _search(console: Console, sweep: Sweep, study: optuna.Study, cpus: int) -> None:
    """Repeats that an earlier run left, what the budget has room for, then the repeats of the finalists."""
    settings, finalists = sweep.settings, sweep.settings.finalists
    ends = time.monotonic() + settings.budget.wall_s
    left = waiting_repeats(study)
    if left and not _run(console, sweep, study, left, cpus, trials=0, ends=ends):
        return
    remaining = owed(study, settings.budget.trials)
    if remaining and not _run(console, sweep, study, remaining, cpus, trials=settings.budget.trials, ends=ends):
        return
    repeats = enqueue_repeats(study, sweep.space.tie_breaker, finalists.top, finalists.repeats)
    if repeats:
        _run(console, sweep, study, repeats, cpus, trials=0, ends=ends)


def _run(
    console: Console, sweep: Sweep, study: optuna.Study, remaining: int, cpus: int, trials: int, ends: float
) -> bool:
    """Run trials until none is owed; False if the time was over before.

    Args:
        trials: The budget of the search; 0 runs repeats, which no scheduler stops on their way.
        ends: When the time of all phases together is over, on the monotonic clock.

    Raises:
        SweepStoppedError: the disk is full, or no trial can be run.
    """
    settings = sweep.settings
    concurrent = min(concurrency(settings, cpus), remaining)
    if trials:
        _print_plan(console, sweep, remaining, concurrent)
    else:
        console.print(f"Repeats: {remaining} training(s) of the best trials with other seeds", style="bold")
    bridge = OptunaBridge(study, sweep.space, trials, sweep.goal, settings.budget.retries, made_with(sweep, study))
    progress = Progress(bridge, sweep.epochs, ends - time.monotonic(), console)
    guard = Guard(settings.budget, settings.folder, bridge, progress.ends)
    try:
        tuner(sweep, bridge, progress, guard, concurrent, halving=trials > 0).fit()
        if guard.reason:
            bridge.cut(guard.reason)
    finally:
        progress.close()
    if guard.by_time:
        console.print(guard.reason, style="yellow", highlight=False, soft_wrap=True)
    elif guard.reason:
        raise SweepStoppedError(f"{guard.reason}; {AGAIN}")
    elif bridge.running:
        raise KeyboardInterrupt  # Tune has caught it: what was running stays so as well
    return not guard.by_time


def made_with(sweep: Sweep, study: optuna.Study) -> dict[str, Any]:
    """What Optuna keeps with every trial, so that it is seen without the trial's folder."""
    settings = sweep.settings
    return {
        **source_of().facts(),
        "data_sha256": study.user_attrs["data_sha256"],
        "sampler": settings.sampler,
        "seed": settings.seed,
        "versions": {name: installed(name) for name in PACKAGES},
    }


def _print_plan(console: Console, sweep: Sweep, remaining: int, concurrent: int) -> None:
    console.print("Plan", style="bold")
    console.print(describe_plan(make_plan(sweep, remaining, concurrent), sweep), highlight=False, soft_wrap=True)
    apart = drawn_apart(sweep.settings.sampler, sweep.space)
    if apart:
        console.print(
            f"  sampler={sweep.settings.sampler} draws {', '.join(apart)} at random, apart from the other parameters, "
            "because they are conditional; sampler=tpe draws all of them jointly",
            highlight=False,
            soft_wrap=True,
        )


def concurrency(settings: TuneConfig, cpus: int) -> int:
    """Trials side by side: what was asked for, but never more than the CPUs carry, so that none waits for another."""
    fitting = max(cpus // settings.scaling.cpus_per_trial(), 1)
    return min(settings.budget.concurrent or fitting, fitting)


def tuner(
    sweep: Sweep,
    bridge: OptunaBridge,
    progress: Progress,
    guard: Guard,
    concurrent: int,
    function: Callable[..., None] = trial,
    halving: bool = True,
) -> tune.Tuner:
    """The Tuner of a sweep: trials by the bridge until its budget is met, actors reused from trial to trial.

    Args:
        function: Tune's function trainable of a `Job`; a benchmark puts its own in place.
        halving: Whether trials are stopped early.
    """
    settings, folder = sweep.settings, sweep.settings.folder
    job = Job(
        sweep.space.trainable,
        dict(sweep.trainable),
        settings.scaling,
        str(folder / "groups"),
        bridge.study.user_attrs.get("data_sha256", ""),
        source_of().keep(folder),
    )
    trainable = tune.with_resources(tune.with_parameters(function, job=job), settings.scaling.trial_resources())
    chosen = scheduler(sweep, bridge.study) if halving else FIFOScheduler()
    quota = Quota(guard, sweep.space.tie_breaker, settings.finalists.top)
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=bridge,
            scheduler=chosen,
            num_samples=-1,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
            trial_dirname_creator=bridge.folder_name,
        ),
        run_config=tune.RunConfig(
            name=TRIALS,
            storage_path=str(folder),
            stop=guard,
            callbacks=[Started(bridge, chosen), TensorBoard(bridge, folder / "tensorboard"), progress, quota],
            failure_config=tune.FailureConfig(max_failures=0),  # the bridge tries again, where Optuna can see it
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            verbose=0,
        ),
    )


def scheduler(sweep: Sweep, study: optuna.Study) -> TrialScheduler:
    """ASHA on the rung metric, with the memory of the study's earlier trials; none if its first rung comes too late."""
    settings, goal = sweep.settings.scheduler, sweep.goal
    if not settings.rungs(sweep.epochs):
        return FIFOScheduler()
    asha = AsyncHyperBandScheduler(
        time_attr=EPOCH,
        metric=goal.rung,
        mode=goal.rung_mode,
        max_t=sweep.epochs,
        grace_period=settings.grace_epochs,
        reduction_factor=settings.reduction_factor,
    )
    for earlier in finished(study):
        seen: Any = SimpleNamespace(trial_id=f"earlier-{earlier.number}")  # ASHA asks a trial for its name alone
        asha.on_trial_add(cast(Any, None), seen)
        remember(asha, seen, goal, history(earlier))
    return asha


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
