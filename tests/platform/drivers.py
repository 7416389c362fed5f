"""A study driven as Tune drives it: generator over concurrency limiter over searcher over a real journal."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from ray.tune.experiment import Experiment, Trial
from ray.tune.search import ConcurrencyLimiter, SearchGenerator

from platform.study.config import BudgetConfig, SchedulerConfig, TuneConfig
from platform.study.paths import path_within
from platform.study.ranking import OBJECTIVES
from platform.study.resume import FOLDER, RAY_TRIAL
from platform.study.searcher import OptunaSearcher
from platform.study.study import open_study
from platform.study.sweep import Sweep
from search_spaces import Space
from trainables.training.checkpoint import save_checkpoint
from trainables.training.metric_names import EPOCH, VAL_AUC_EXCESS, VAL_MMD
from trainables.training.trial_keys import BEFORE, METRICS_FILE

LAST = 4
SPACE = Space(
    trainable="diffusion",
    parameters={
        "weight": FloatDistribution(0.0, 1.0),
        "optim.rate": FloatDistribution(1e-4, 1e-1, log=True),
        "depth": IntDistribution(1, 7, step=2),
        "width": CategoricalDistribution((16, 32)),
    },
    baselines=(
        {"weight": 0.0, "optim.rate": 1e-3, "depth": 1, "width": 16},
        {"weight": 0.5, "optim.rate": 1e-3, "depth": 3, "width": 32},
    ),
)


def nothing(config: Mapping[str, Any]) -> None:
    """Stand in for the function of a trial; no test here runs it."""


def sweep_in(
    folder: Path, trials: int = 100, retries: int = 0, space: Space = SPACE, scheduler_metric: str = "", **settings: Any
) -> Sweep:
    """A sweep whose study lives in a folder."""
    budget, scheduler = BudgetConfig(trials=trials, retries=retries), SchedulerConfig(metric=scheduler_metric)
    settings = {"study_name": "s", "sampler": "random", **settings}
    config = TuneConfig(storage_path=str(folder), budget=budget, scheduler=scheduler, **settings)
    return Sweep(config, {"epochs": LAST, "seed": 0}, space, ())


class Driver:
    """A driver process: the reopened study, the searcher, and Tune's generator around it."""

    def __init__(self, folder: Path, concurrent: int = 8, **settings: Any) -> None:
        self.sweep = sweep_in(folder, **settings)
        goal, budget = self.sweep.goal, self.sweep.settings.budget
        record = {
            OBJECTIVES: [objective.text for objective in goal.objectives],
            "constraints": [constraint.text for constraint in goal.constraints],
            "scheduler_metric": goal.scheduler_metric,
            "config": self.sweep.trainable,
            "trainable": self.sweep.space.trainable,
        }
        self.study = open_study(self.sweep, record)
        self.searcher = OptunaSearcher(self.study, self.sweep.space, budget.trials, goal, budget.retries)
        self.search = SearchGenerator(ConcurrencyLimiter(self.searcher, concurrent))
        home = str(self.sweep.settings.folder)
        experiment = Experiment("trials", run=nothing, num_samples=sys.maxsize, storage_path=home)
        self.search.add_configurations(experiment)

    def start(self) -> Trial:
        """The next trial, in the folder that Tune would keep it in; the test fails where there is none."""
        trial: Trial | None = self.search.next_trial()
        assert trial is not None
        folder = self.sweep.settings.folder / "trials" / self.searcher.folder_name(trial)
        here = SimpleNamespace(trial_id=trial.trial_id, path=str(folder), error_file=str(folder / "error.txt"))
        self.searcher.record_folder(cast(Trial, here))
        return trial

    def report(self, trial: Trial, epoch: int, value: float, **more: Any) -> None:
        """Report a result after which the trial continues."""
        self.search.on_trial_result(trial.trial_id, result(epoch, value, **more))

    def checkpoint(self, trial: Trial, epoch: int, value: float, **more: Any) -> Path:
        """A result with its checkpoint in the trial's folder."""
        self.report(trial, epoch, value, **more)
        return saved(self.folder(trial), epoch, result(epoch, value))

    def end(self, trial: Trial, epoch: int, value: float, **more: Any) -> None:
        """The result that ends a trial: Tune hands it to this call alone."""
        self.search.on_trial_complete(trial.trial_id, result(epoch, value, **more))

    def crash(self, trial: Trial, words: str = "") -> None:
        """The end of a trial whose process raised or died, with what Tune writes about it."""
        if words:
            self.folder(trial).mkdir(parents=True, exist_ok=True)
            (self.folder(trial) / "error.txt").write_text(words)
        self.search.on_trial_complete(trial.trial_id, error=True)

    def folder(self, trial: Trial) -> Path:
        """Where Tune keeps a trial."""
        folder = path_within(self.recorded(trial).user_attrs[FOLDER], self.study.folder)
        assert folder is not None
        return folder

    def points(self, count: int) -> list[dict[str, Any]]:
        """The parameters of the next trials, each ended at once with a value that grows with its weight."""
        points = []
        for _ in range(count):
            trial = self.start()
            points.append(dict(trial.config))
            self.end(trial, LAST, 0.1 + trial.config["weight"])
        return points

    def recorded(self, trial: Trial) -> FrozenTrial:
        """Return a trial as the journal records it."""
        return next(t for t in self.study.get_trials() if t.user_attrs.get(RAY_TRIAL) == trial.trial_id)

    def in_state(self, state: TrialState) -> list[FrozenTrial]:
        """Trials of a state, in their order."""
        return self.study.get_trials(deepcopy=False, states=(state,))


def result(epoch: int, value: float, **more: Any) -> dict[str, Any]:
    """A result as Tune hands it on: our metrics, flat, among Tune's own keys."""
    return {EPOCH: epoch, VAL_AUC_EXCESS: value, VAL_MMD: 2 * value, "training_iteration": epoch + 1, **more}


def saved(folder: Path, epoch: int, metrics: Mapping[str, Any], before: Sequence[Mapping[str, Any]] = ()) -> Path:
    """Write a complete checkpoint of an epoch, with metrics that were never reported to the driver."""
    checkpoint = folder / f"checkpoint_{epoch:06d}"
    save_checkpoint(checkpoint, {"model.weight": torch.full((64,), float(epoch))}, {"kind": "diffusion"})
    ours = {name: value for name, value in metrics.items() if "/" in name}
    (checkpoint / METRICS_FILE).write_text(json.dumps({EPOCH: epoch, **ours, BEFORE: before}))
    return checkpoint
