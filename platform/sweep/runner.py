"""Run the trials of a sweep: Ray Tune executes them, the searcher suggests them, ASHA stops some early."""

import time
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any, cast

import optuna
from ray import tune
from ray.tune.schedulers import AsyncHyperBandScheduler, FIFOScheduler, TrialScheduler
from rich.console import Console

from platform.core.provenance import source_of
from platform.study.budget import default_trial, finished, trials_to_run, waiting_repeats
from platform.study.comparable import CODE_SHA256
from platform.study.config import TuneConfig
from platform.study.noise import noise_for
from platform.study.resume import history
from platform.study.samplers import sampled_independently
from platform.study.searcher import OptunaSearcher, StartCallback, replay_history
from platform.study.seeds import seeds_of_trial
from platform.study.study import enqueue_repeats
from platform.study.sweep import Sweep
from platform.sweep.cost_estimate import describe_plan, make_plan
from platform.sweep.disk_budget import BudgetStopper, CheckpointQuota, SweepStoppedError
from platform.sweep.progress import Progress
from platform.sweep.scheduler import OncePerConfiguration
from platform.sweep.tensorboard import TensorBoard
from trainables.core.config import with_absolute_paths
from trainables.session import Job, trial
from trainables.training.manifest import CODE, PACKAGES, code_sha256, installed
from trainables.training.metric_names import EPOCH
from trainables.training.run_folder import EVENTS
from trainables.training.trial_keys import GROUPS, TRIALS

RERUN_HINT = "progress is saved; fix the cause and rerun the same command to resume"


def search_trials(console: Console, sweep: Sweep, study: optuna.Study, cpus: int) -> None:
    """Run repeats that an earlier run left, then trials up to the budget, then repeats of the finalists."""
    settings, finalists = sweep.settings, sweep.settings.finalists
    deadline = time.monotonic() + settings.budget.time_limit_s
    left = waiting_repeats(study)
    if left and not run_trials(console, sweep, study, left, cpus, trials=0, deadline=deadline):
        return
    remaining = trials_to_run(study, settings.budget.trials)
    if remaining and not run_trials(
        console, sweep, study, remaining, cpus, trials=settings.budget.trials, deadline=deadline
    ):
        return
    repeats = enqueue_repeats(study, finalists.top, finalists.retrain_seeds, default_trial(study, sweep))
    if repeats:
        run_trials(console, sweep, study, repeats, cpus, trials=0, deadline=deadline)


def run_trials(
    console: Console, sweep: Sweep, study: optuna.Study, remaining: int, cpus: int, trials: int, deadline: float
) -> bool:
    """Run trials until none remains; False if the time limit was reached before.

    Args:
        trials: The budget of the search; 0 runs repeats, which no scheduler prunes.
        deadline: When the time of all phases together is over, on the monotonic clock.

    Raises:
        SweepStoppedError: the disk is full, or no trial can run.
    """
    settings = sweep.settings
    concurrent = min(concurrency(settings, cpus), remaining)
    if trials:
        print_plan(console, sweep, remaining, concurrent, study)
    else:
        console.print(f"Repeats: {remaining} training(s) of the best trials with other seeds", style="bold")
    searcher = OptunaSearcher(
        study,
        sweep.space,
        trials,
        sweep.goal,
        settings.budget.retries,
        made_with(sweep, study),
        partial(seeds_of_trial, sweep),
    )
    progress = Progress(searcher, sweep.epochs, deadline - time.monotonic(), console)
    stopper = BudgetStopper(settings.budget, settings.folder, searcher, progress.deadline)
    try:
        make_tuner(sweep, searcher, progress, stopper, concurrent, halving=trials > 0).fit()
        if stopper.reason:
            searcher.interrupt(stopper.reason)
    finally:
        progress.close()
    if stopper.by_time:
        console.print(stopper.reason, style="yellow", highlight=False, soft_wrap=True)
    elif stopper.reason:
        raise SweepStoppedError(f"{stopper.reason}; {RERUN_HINT}")
    elif searcher.running:
        raise KeyboardInterrupt  # Tune has handled it: running trials stay RUNNING
    return not stopper.by_time


def made_with(sweep: Sweep, study: optuna.Study) -> dict[str, Any]:
    """Return the provenance that Optuna stores with every trial, so that it is known without the trial's folder."""
    settings = sweep.settings
    return {
        **source_of().facts(),
        CODE_SHA256: code_sha256(CODE),
        "data_sha256": study.user_attrs["data_sha256"],
        "sampler": settings.sampler,
        "seed": settings.seed,
        "versions": {name: installed(name) for name in PACKAGES},
    }


def print_plan(
    console: Console, sweep: Sweep, remaining: int, concurrent: int, study: optuna.Study | None = None
) -> None:
    """Print the trials that remain, their expected time and disk usage, and the smallest gain that they can show.

    Args:
        study: Whose repeats tell the noise; None: there is none yet.
    """
    noise = noise_for(study, sweep.space.trainable, sweep.goal.objectives[0])
    console.print("Plan", style="bold")
    console.print(describe_plan(make_plan(sweep, remaining, concurrent), sweep, noise), highlight=False, soft_wrap=True)
    independent = sampled_independently(sweep.settings.sampler, sweep.space)
    if independent:
        console.print(
            f"  sampler={sweep.settings.sampler} samples {', '.join(independent)} at random, independently of the "
            "other parameters, because they are conditional; sampler=tpe samples all of them jointly",
            highlight=False,
            soft_wrap=True,
        )


def concurrency(settings: TuneConfig, cpus: int) -> int:
    """Return the number of concurrent trials: as configured, but at most as many as the CPUs allow."""
    fitting = max(cpus // settings.scaling.cpus_per_trial(), 1)
    return min(settings.budget.concurrent or fitting, fitting)


def make_tuner(
    sweep: Sweep,
    searcher: OptunaSearcher,
    progress: Progress,
    stopper: BudgetStopper,
    concurrent: int,
    function: Callable[..., None] = trial,
    halving: bool = True,
) -> tune.Tuner:
    """Return the Tuner of a sweep: the searcher suggests trials until its budget is reached, and actors are reused.

    Args:
        function: Tune's function trainable of a `Job`; a benchmark puts its own in place.
        halving: Whether trials are pruned.
    """
    settings, folder = sweep.settings, sweep.settings.folder
    job = Job(
        sweep.space.trainable,
        with_absolute_paths(sweep.trainable),  # trials run in other folders
        settings.scaling,
        str(folder / GROUPS),
        searcher.study.user_attrs.get("data_sha256", ""),
        source_of().keep(folder),
        settings.plots_every,
    )
    trainable = tune.with_resources(tune.with_parameters(function, job=job), settings.scaling.trial_resources())
    chosen = make_scheduler(sweep, searcher.study) if halving else FIFOScheduler()
    if isinstance(chosen, AsyncHyperBandScheduler):
        chosen = OncePerConfiguration(chosen, searcher)
    quota = CheckpointQuota(stopper, settings.finalists.top)
    return tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=chosen,
            num_samples=-1,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
            trial_dirname_creator=searcher.folder_name,
        ),
        run_config=tune.RunConfig(
            name=TRIALS,
            storage_path=str(folder),
            stop=stopper,
            callbacks=[StartCallback(searcher, chosen), TensorBoard(searcher, folder / EVENTS), progress, quota],
            failure_config=tune.FailureConfig(max_failures=0),  # the searcher retries, so that Optuna records it
            checkpoint_config=tune.CheckpointConfig(num_to_keep=1),
            verbose=0,
        ),
    )


def make_scheduler(sweep: Sweep, study: optuna.Study) -> TrialScheduler:
    """Return ASHA with the history of the study's earlier trials; FIFO if the first rung comes too late."""
    settings, goal = sweep.settings.scheduler, sweep.goal
    if not settings.rungs(sweep.epochs):
        return FIFOScheduler()
    asha = AsyncHyperBandScheduler(
        time_attr=EPOCH,
        metric=goal.scheduler_metric,
        mode=goal.scheduler_mode,
        max_t=sweep.epochs,
        grace_period=settings.grace_epochs,
        reduction_factor=settings.reduction_factor,
    )
    for earlier in finished(study):
        seen: Any = SimpleNamespace(trial_id=f"earlier-{earlier.number}")  # ASHA only reads the id of a trial
        asha.on_trial_add(cast(Any, None), seen)
        replay_history(asha, seen, goal, history(earlier))
    return asha
