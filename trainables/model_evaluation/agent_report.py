"""Report of an agent: success and time beside scripted controllers in the same tasks, and its trajectories.

Writes `report.json` and `trajectories.png` into `out_dir`, and prints the table. Intervals of shares are Wilson's over
the episodes of all seeds, which are independent: blocks of tasks that are all reached would have one of width 0. Those
of means are over blocks of tasks. Of a checkpoint in the folder of its run `learning.png` shows the success of the
epochs up to it. With `movements` it writes `movements.parquet` too, the agent's movements between the ends of users'.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from rich.console import Console

from trainables.core.formatting import format_interval
from trainables.core.output_folder import output_folder
from trainables.critic.agent.api import load_agent
from trainables.critic.agent.collect import Act
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.evaluation.config import AgentEvaluationCommand
from trainables.critic.agent.evaluation.metrics import AGENT
from trainables.critic.agent.evaluation.plots import plot_trajectories
from trainables.critic.agent.evaluation.reach_evaluation import reach
from trainables.critic.agent.movement_file import write_movements
from trainables.critic.agent.movements import reached_movements
from trainables.critic.agent.train import VALIDATION
from trainables.critic.environment.config import MotorConfig
from trainables.critic.environment.controller import CONTROLLERS
from trainables.critic.environment.reaching import Observation
from trainables.data.splits.loading import load_splits
from trainables.detector.evaluation.tables import Table, show
from trainables.eval.detection.calibration import wilson
from trainables.eval.intervals.jackknife import JackknifeEstimate, interval, mean
from trainables.model_evaluation.agent import metrics_by_block
from trainables.model_evaluation.learning_curve import LEARNING_CURVE, LearningCurve, plot_learning_curve
from trainables.model_evaluation.reevaluate import evaluate
from trainables.training.checkpoint import load_record
from trainables.training.metric import SHARE
from trainables.training.metric_names import (
    TRAIN_ENVIRONMENT_STEPS,
    TRAIN_STEPS,
    VAL_REACH_ERROR,
    VAL_REACH_SECONDS,
    VAL_REACH_SUCCESS,
)
from trainables.training.run_folder import Line, epochs_of

SHOWN = {"success [95 %]": VAL_REACH_SUCCESS, "seconds [95 %]": VAL_REACH_SECONDS, "error px [95 %]": VAL_REACH_ERROR}
MOVEMENTS = "movements.parquet"
Metrics = Mapping[str, JackknifeEstimate]
Intervals = Mapping[str, Mapping[str, float]]
"""Metric -> its value, `low` and `high`."""


def write_report(config: AgentEvaluationCommand) -> int:
    """Evaluate, write report and plot, print the table; returns the exit code.

    Raises:
        CheckpointError: The checkpoint cannot be used, or was trained on other data than the present ones.
        ConfigError: The log of its run cannot be read, or there are no movements to write, as `reached_movements` says.
    """
    checkpoint, folder, console = Path(config.ckpt), output_folder(config.out_dir), Console()
    agent, seeds = load_agent(checkpoint), range(config.seed, config.seed + config.eval_seeds)
    users, log = load_splits(agent.config.data)[config.split], epochs_of(checkpoint)
    made = reached_movements(agent, users, config.seed) if config.movements else None
    result = evaluate(checkpoint, config.split, seeds)
    rows = {"agent": result.metrics} | {
        name: controller_metrics(name, agent.config, config.split, seeds) for name in CONTROLLERS
    }
    folder.mkdir(parents=True, exist_ok=True)
    found = {name: intervals(metrics, len(seeds) * agent.config.evaluation.episodes) for name, metrics in rows.items()}
    numbers = {"metrics": found, "evaluation": result.to_json()}
    (folder / "report.json").write_text(json.dumps(numbers, indent=1, sort_keys=True) + "\n")
    plot_trajectories(agent, users, folder / "trajectories.png")
    if log:
        plot_learning_curve(learning_curve(agent.config, log), log, folder / LEARNING_CURVE)
    show(console, [table_of(found, agent.config, config.eval_seeds)])
    if made is not None:
        write_movements(made.movements, str(load_record(checkpoint)["weights_sha256"]), folder / MOVEMENTS)
        left_out = "".join(f", {n} {reason}" for reason, n in made.left_out.items())
        console.print(f"{MOVEMENTS}: {len(made.movements)} movements{left_out}", highlight=False, soft_wrap=True)
    console.print(f"report and plot: {folder.resolve()}", highlight=False, soft_wrap=True)
    return 0


def learning_curve(config: AgentConfig, log: Sequence[Line]) -> LearningCurve:
    """Return success against steps of the environment, or against updates where the run makes none."""
    online = log[-1][TRAIN_ENVIRONMENT_STEPS] > 0
    x = (TRAIN_ENVIRONMENT_STEPS, "steps of the environment") if online else (TRAIN_STEPS, "updates")
    lines = {"agent, without exploration": VAL_REACH_SUCCESS}
    return LearningCurve(x, "success", lines, config.evaluation.episodes, validation_success(config))


def scripted(controller: str, motor: MotorConfig) -> Act:
    """Return a controller as a function of state and goal; it does not see the width of a target."""
    return lambda state, goal: CONTROLLERS[controller](Observation(state, goal, torch.zeros(len(goal))), motor)


def controller_metrics(controller: str, config: AgentConfig, split: str, seeds: Sequence[int]) -> Metrics:
    """Return the metrics of a controller in the episodes of the agent, means over seeds."""
    act, episodes = scripted(controller, config.environment.motor), config.evaluation.episodes
    found = [reach(act, config.environment, episodes, seed, split, config.coordinates) for seed in seeds]
    by_seed = [metrics_by_block(one) for one in found]
    return {name: mean([one[name] for one in by_seed]) for name in by_seed[0]}


def validation_success(config: AgentConfig) -> dict[str, float]:
    """Return the success of the controllers in the episodes that follow each epoch of a training."""
    fixed, at = config.evaluation, config.coordinates
    acts = {name: scripted(name, config.environment.motor) for name in CONTROLLERS}
    found = {
        name: reach(act, config.environment, fixed.episodes, fixed.seed, VALIDATION, at) for name, act in acts.items()
    }
    return {name: one.mean("success") for name, one in found.items()}


def table_of(found: Mapping[str, Intervals], config: AgentConfig, seeds: int) -> Table:
    """Return the table of agent and controllers."""
    title = f"{seeds} x {config.evaluation.episodes} episodes, layout {config.environment.layout}"
    cells = ((name, *(_cell(one[metric]) for metric in SHOWN.values())) for name, one in found.items())
    return Table(title, ("", *SHOWN), tuple(cells))


def _cell(found: Mapping[str, float]) -> str:
    return format_interval(found["value"], found["low"], found["high"])


def intervals(metrics: Metrics, episodes: int) -> Intervals:
    """Return every metric with its 95 % interval, of so many episodes."""
    found = {name: vars(interval(metric, within=AGENT[name].range)) for name, metric in metrics.items()}
    for name, metric in metrics.items():
        if AGENT[name].range == SHARE:
            low, high = wilson(metric.value, episodes)
            found[name] = {"value": metric.value, "low": low, "high": high}
    return found
