"""`python -m platform.tune`: the sweep.

Ray Tune runs trials of a trainable under Ray Train, Optuna suggests their parameters and remembers everything, ASHA
stops the hopeless ones. The same command on an existing study continues it until its budget of trials is met.
"""

import sys
from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any

import optuna
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from rich.console import Console

from platform.cluster import available_cpus, ray_instance
from platform.disk import Guard, Quota
from platform.plan import describe_plan, make_plan
from platform.progress import Progress
from platform.recovery import recover_orphans
from platform.search import Goal, OptunaBridge, Started, drawn_apart, enqueue_baselines, finished, owed
from platform.settings import Sweep, TuneConfig, sweep_of
from platform.study import JOURNAL, OBJECTIVES, enqueue_repeats, held, load_study, mend, open_study
from platform.summary import summarise
from platform.tensorboard import TensorBoard
from trainables.command import Command, Request, run
from trainables.config import build, digest, plain
from trainables.data.dataset import DataConfig, DataParts, load_parts
from trainables.names import EPOCH
from trainables.session import TRAINABLES, Job, trial

ABOUT = """
Search the parameters of a trainable by their judgement on held-out people.

  python -m platform.tune                                             the default sweep
  python -m platform.tune budget.trials=16 budget.wall=20m            a longer one
  python -m platform.tune trainable.epochs=12 scaling.num_workers=1   each trial in a Ray Train worker group
  python -m platform.tune trainable.model.base_channels=64            fix a key of the space
  python -m platform.tune 'trainable.optim.lr=tag(log,interval(1e-4,3e-3))'   search any key: interval, range, choice

The same command again continues the study; another study_name starts a new one.
"""

PLAN = "--plan"

COMMAND = Command(
    module="platform.tune",
    config_name="tune",
    about=ABOUT,
    schemas={
        "tune_schema": plain(TuneConfig()),
        **{f"trainable/{name}_schema": plain(trainable.config()) for name, trainable in TRAINABLES.items()},
    },
    sweeps=True,
    switches={PLAN: "print trials, expected time and disk, and start nothing"},
)


class SweepStoppedError(RuntimeError):
    """The sweep cannot go on, through no fault of its trials; what it has done is recorded."""


def main(request: Request) -> int:
    """Plan, run and summarise one sweep; returns the exit code (1 if no trial has a result)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    console = Console()
    sweep = sweep_of(request)
    data = load_parts(build(DataConfig, sweep.trainable["data"], at="trainable.data"))
    _print_data(console, data)
    if PLAN in request.switches:
        return _plan_only(console, sweep)
    with held(sweep.settings.folder):
        cut = mend(sweep.settings.folder / JOURNAL)
        if cut:
            console.print(f"the journal's last line had no end ({cut} bytes) and is cut: its writer was killed over it")
        study = open_study(sweep, record_of(sweep, data))
        resumed = recover_orphans(study)
        enqueue_baselines(study, sweep.space, sweep.settings.budget.trials)
        if resumed:
            console.print(f"{resumed} trial(s) that an earlier run left unfinished are enqueued again")
        _search(console, sweep, study)
        return summarise(console, sweep, study, data)


def _plan_only(console: Console, sweep: Sweep) -> int:
    """The plan, from the study as it is; nothing is started and nothing is written."""
    settings, done = sweep.settings, 0
    if (settings.folder / JOURNAL).is_file() or settings.storage:
        done = len(finished(load_study(settings.folder.parent, settings.study_name, settings.storage)))
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
    }


def _print_data(console: Console, data: DataParts) -> None:
    console.print("Data", style="bold")
    console.print("  " + data.table().replace("\n", "\n  "), highlight=False)
    console.print(f"  sha256 {data.sha256[:16]}", highlight=False)


def _search(console: Console, sweep: Sweep, study: optuna.Study) -> None:
    """Run what the budget has room for, then the repeats of the finalists; everything is in the study afterwards."""
    settings = sweep.settings
    remaining = owed(study, settings.budget.trials)
    if remaining:
        _run(console, sweep, study, remaining, halving=True)
    else:
        console.print(f"the budget of {settings.budget.trials} trials is met; raise budget.trials to go on")
    asked = enqueue_repeats(study, sweep.space.tie_breaker, settings.finalists.top, settings.finalists.repeats)
    if asked and not owed(study, settings.budget.trials) - asked:
        console.print(f"Repeats: {asked} trainings of the best trials with other seeds", style="bold")
        _run(console, sweep, study, asked, halving=False)


def _run(console: Console, sweep: Sweep, study: optuna.Study, remaining: int, halving: bool) -> None:
    settings = sweep.settings
    with ray_instance(settings.address, settings.scaling) as cpus:
        concurrent = min(concurrency(settings, cpus), remaining)
        _print_plan(console, sweep, remaining, concurrent)
        bridge = OptunaBridge(study, sweep.space, settings.budget.trials, sweep.goal, settings.budget.retries)
        progress = Progress(bridge, sweep.epochs, settings.budget.wall_s, console)
        guard = Guard(settings.budget, settings.folder, bridge, progress.ends)
        try:
            tuner(sweep, bridge, progress, guard, concurrent, halving=halving).fit()
        finally:
            progress.close()
        if guard.reason:
            bridge.cut(guard.reason)
        elif bridge.running:
            raise KeyboardInterrupt  # Tune has caught it: what was running stays so, and the next run takes it up
    if guard.reason:
        console.print(guard.reason, style="yellow", highlight=False, soft_wrap=True)
    if guard.reason and not guard.by_time:
        raise SweepStoppedError(f"{guard.reason}; everything so far is recorded: make room and run the command again")


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
    job = Job(sweep.space.trainable, dict(sweep.trainable), settings.scaling, str(folder / "groups"))
    trainable = tune.with_resources(tune.with_parameters(function, job=job), settings.scaling.trial_resources())
    quota = Quota(guard, sweep.space.tie_breaker, settings.finalists.top)
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=bridge,
            scheduler=scheduler(sweep, bridge.study) if halving else FIFOScheduler(),
            num_samples=-1,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
            trial_dirname_creator=bridge.folder_name,
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(folder),
            stop=guard,
            callbacks=[Started(bridge), TensorBoard(bridge, folder / "tensorboard"), progress, quota],
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
        _remember(asha, f"earlier-{earlier.number}", goal, earlier.intermediate_values)
    return asha


def _remember(asha: Any, name: str, goal: Goal, rungs: Mapping[int, float]) -> None:
    """Let ASHA see a trial of an earlier run, epoch by epoch, as it saw it then; it asks a trial for its name alone."""
    seen = SimpleNamespace(trial_id=name)
    asha.on_trial_add(None, seen)
    for epoch, value in rungs.items():
        asha.on_trial_result(None, seen, {EPOCH: epoch, goal.rung: value})


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
