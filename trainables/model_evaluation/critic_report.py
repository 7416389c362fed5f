"""Report of a critic: goal accuracy by source beside both baselines, with intervals over users; maps of its values.

Writes `report.json`, `values.png` and, where the log of the run lies beside the checkpoint, `learning.png` into
`out_dir`, and prints the table.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console

from trainables.core.config import build
from trainables.core.formatting import format_interval
from trainables.core.output_folder import output_folder
from trainables.critic.api import load_critic
from trainables.critic.config import CriticConfig
from trainables.critic.evaluation.config import CriticEvaluationCommand
from trainables.critic.evaluation.metrics import CRITIC
from trainables.critic.evaluation.plots import plot_value_maps
from trainables.data.splits.loading import load_splits
from trainables.detector.evaluation.tables import Table, show
from trainables.eval.intervals.jackknife import JackknifeEstimate, interval
from trainables.model_evaluation.learning_curve import LEARNING_CURVE, LearningCurve, plot_learning_curve
from trainables.model_evaluation.reevaluate import evaluate
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint_record import load_record
from trainables.training.metric_names import (
    TRAIN_STEPS,
    VAL_GOAL_ACCURACY,
    VAL_GOAL_CHANCE,
    VAL_GOAL_DISTANCE,
    VAL_GOAL_EXTRAPOLATION,
    VAL_GOAL_LOSS,
    VAL_GOAL_MASKED,
    VAL_GOAL_SHORTFALL,
)
from trainables.training.run_folder import epochs_of

ACCURACIES = {
    "chance": VAL_GOAL_CHANCE,
    "distance": VAL_GOAL_DISTANCE,
    "extrapolation": VAL_GOAL_EXTRAPOLATION,
    "critic": VAL_GOAL_ACCURACY,
}
"""Column of the table -> metric."""
CURVE = LearningCurve((TRAIN_STEPS, "steps"), "goal accuracy on validation users", ACCURACIES)
COLUMNS = ("source", "movements", "users", *ACCURACIES, "shortfall [95 %]", "InfoNCE", "masked")
MEAN = "mean over sources"
Metrics = Mapping[str, JackknifeEstimate]


def write_report(config: CriticEvaluationCommand) -> int:
    """Evaluate, write report and plots, print the table; returns the exit code.

    Raises:
        CheckpointError: The checkpoint cannot be used, or was trained on other data than the present ones.
        ConfigError: The log of its run cannot be read.
    """
    checkpoint, folder, console = Path(config.ckpt), output_folder(config.out_dir), Console()
    critic, trained = load_critic(checkpoint), build(CriticConfig, load_record(checkpoint)["config"])
    log = epochs_of(checkpoint)
    result = evaluate(checkpoint, config.split, range(config.seed, config.seed + config.eval_seeds))
    folder.mkdir(parents=True, exist_ok=True)
    numbers = {**numbers_of(result), "evaluation": result.to_json()}
    (folder / "report.json").write_text(json.dumps(numbers, indent=1, sort_keys=True) + "\n")
    plot_value_maps(critic, load_splits(trained.data)[config.split], folder / "values.png")
    if log:
        plot_learning_curve(CURVE, log, folder / LEARNING_CURVE)
    show(console, [table_of(result, trained.evaluation.batch_size)])
    for line in filter(None, (result.warning, f"report and plots: {folder.resolve()}")):
        console.print(line, highlight=False, soft_wrap=True)
    return 0


def numbers_of(result: EvaluationResult) -> dict[str, Any]:
    """Return every metric with its interval over users, of all sources and of each of several."""
    by_source = {source: _intervals(one.metrics) for source, one in result.sources.items()}
    return {"metrics": _intervals(result.metrics), "by_source": by_source}


def _intervals(metrics: Metrics) -> dict[str, Any]:
    """Return the intervals; of one user alone, who has none, nothing."""
    several = {name: metric for name, metric in metrics.items() if len(metric.without) > 1}
    return {name: vars(interval(metric, within=CRITIC[name].range)) for name, metric in several.items()}


def table_of(result: EvaluationResult, batch_size: int) -> Table:
    """Return the table of goal accuracies by source, with their mean where there are several."""
    sources = [(name, one.movements, len(one.users), one.metrics) for name, one in result.sources.items()]
    name = MEAN if sources else result.split
    rows = [*sources, (name, result.movements, len(result.users), result.metrics)]
    title = f"Goal accuracy on the {result.split} split, of batches of {batch_size} or as many movements as there are"
    return Table(title, COLUMNS, tuple(_row(*row) for row in rows))


def _row(name: str, movements: int, users: int, metrics: Metrics) -> tuple[str, ...]:
    accuracies = (f"{metrics[metric].value:.3f}" for metric in ACCURACIES.values())
    rest = f"{metrics[VAL_GOAL_LOSS].value:.3f}", f"{metrics[VAL_GOAL_MASKED].value:.2%}"
    return (name, str(movements), str(users), *accuracies, _shortfall(metrics[VAL_GOAL_SHORTFALL]), *rest)


def _shortfall(metric: JackknifeEstimate) -> str:
    """Return the shortfall with its interval over users, which one user alone does not have."""
    if len(metric.without) < 2:
        return f"{metric.value:.3f}"
    found = interval(metric)
    return format_interval(found.value, found.low, found.high)
