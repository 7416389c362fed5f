"""`python -m platform.tune`: the sweep.

Ray Tune runs trials of a trainable under Ray Train, Optuna suggests their parameters and remembers everything, ASHA
stops the hopeless ones. The same command on an existing study continues it until its budget of trials is met.
"""

import sys
from collections.abc import Callable
from typing import Any

import optuna
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from rich.console import Console

from platform.cluster import ray_instance
from platform.plan import describe_plan, make_plan
from platform.progress import Progress
from platform.search import OptunaBridge, close_unfinished, enqueue_baselines, finished, recover_orphans
from platform.settings import Sweep, TuneConfig, sweep_of
from platform.study import open_study
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

COMMAND = Command(
    module="platform.tune",
    config_name="tune",
    about=ABOUT,
    schemas={
        "tune_schema": plain(TuneConfig()),
        **{f"trainable/{name}_schema": plain(trainable.config()) for name, trainable in TRAINABLES.items()},
    },
    sweeps=True,
)


def main(request: Request) -> int:
    """Plan, run and summarise one sweep; returns the exit code (1 if no trial has a result)."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    console = Console()
    sweep = sweep_of(request)
    data = load_parts(build(DataConfig, sweep.trainable["data"], at="trainable.data"))
    study = open_study(sweep, record_of(sweep, data))
    resumed = recover_orphans(study)
    enqueue_baselines(study, sweep.space)
    _print_data(console, data)
    remaining = max(sweep.settings.budget.trials - len(finished(study)), 0)
    if resumed:
        console.print(f"{resumed} trial(s) that an earlier run left unfinished are enqueued again")
    if remaining:
        _run(console, sweep, study, remaining)
    else:
        console.print(f"the budget of {sweep.settings.budget.trials} trials is met; raise budget.trials to go on")
    return summarise(console, sweep, study, data)


def record_of(sweep: Sweep, data: DataParts) -> dict[str, Any]:
    """What makes the trials of a study comparable: data, fixed configuration, and judgement."""
    searched = set(sweep.space.parameters)
    return {
        "data_sha256": data.sha256,
        "config_hash": digest({"config": sweep.trainable, "searched": sorted(searched)}),
        "metric": sweep.space.metric,
        "config": sweep.trainable,
    }


def _print_data(console: Console, data: DataParts) -> None:
    console.print("Data", style="bold")
    console.print("  " + data.table().replace("\n", "\n  "), highlight=False)
    console.print(f"  sha256 {data.sha256[:16]}", highlight=False)


def _run(console: Console, sweep: Sweep, study: optuna.Study, remaining: int) -> None:
    settings = sweep.settings
    with ray_instance(settings.address, settings.scaling) as cpus:
        concurrent = min(concurrency(settings, cpus), remaining)
        console.print("Plan", style="bold")
        console.print(describe_plan(make_plan(sweep, remaining, concurrent), sweep), highlight=False, soft_wrap=True)
        bridge = OptunaBridge(study, sweep.space, settings.budget.trials, sweep.epochs)
        progress = Progress(bridge, sweep.epochs, settings.budget.wall_s, console)
        try:
            tuner(sweep, bridge, progress, concurrent).fit()
        finally:
            progress.close()
        if progress.time_is_over():
            close_unfinished(bridge)
        elif bridge.running:
            raise KeyboardInterrupt  # Tune has caught it: what was running stays so, and the next run takes it up


def concurrency(settings: TuneConfig, cpus: int) -> int:
    """Trials side by side: what was asked for, but never more than the CPUs carry, so that none waits for another."""
    fitting = max(cpus // settings.scaling.cpus_per_trial(), 1)
    return min(settings.budget.concurrent or fitting, fitting)


def tuner(
    sweep: Sweep, bridge: OptunaBridge, progress: Progress, concurrent: int, function: Callable[..., None] = trial
) -> tune.Tuner:
    """The Tuner of a sweep: trials by the bridge until its budget is met, actors reused from trial to trial.

    Args:
        function: Tune's function trainable of a `Job`; a benchmark puts its own in place.
    """
    settings, folder = sweep.settings, sweep.settings.folder
    job = Job(sweep.space.trainable, dict(sweep.trainable), settings.scaling, str(folder / "groups"))
    trainable = tune.with_resources(tune.with_parameters(function, job=job), settings.scaling.trial_resources())
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=bridge,
            scheduler=scheduler(sweep),
            num_samples=-1,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
            time_budget_s=settings.budget.wall_s,
            trial_dirname_creator=bridge.folder_name,
        ),
        run_config=tune.RunConfig(
            name="trials",
            storage_path=str(folder),
            callbacks=[TensorBoard(bridge, folder / "tensorboard"), progress],
            failure_config=tune.FailureConfig(max_failures=settings.scaling.max_failures),
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            verbose=0,
        ),
    )


def scheduler(sweep: Sweep) -> TrialScheduler:
    """ASHA on the space's metric, or none where its first rung lies beyond the last epoch."""
    settings = sweep.settings.scheduler
    if not settings.rungs(sweep.epochs):
        return FIFOScheduler()
    return AsyncHyperBandScheduler(
        time_attr=EPOCH,
        metric=sweep.space.metric,
        mode="min",
        max_t=sweep.epochs,
        grace_period=settings.grace_epochs,
        reduction_factor=settings.reduction_factor,
    )


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
