"""Re-evaluation of an agent: the metrics of its training under its seed, without each block of tasks; the report."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.trainables.critic.agent.tiny import TINY
from trainables.core.config import ConfigError
from trainables.critic.agent.api import Agent, load_agent
from trainables.critic.agent.evaluation.config import AgentEvaluationCommand
from trainables.critic.agent.evaluation.reach_evaluation import reach
from trainables.critic.agent.movements import NO_PLACE, reached_movements
from trainables.critic.agent.train import epochs
from trainables.critic.environment.config import MotorConfig, ReachingConfig
from trainables.critic.environment.controller import CONTROLLERS, proportional
from trainables.critic.environment.reaching import Observation
from trainables.data.splits.loading import load_splits
from trainables.eval.detection.calibration import wilson
from trainables.eval.generation.movement_reader import read_movements
from trainables.model_evaluation.agent import metrics_by_block
from trainables.model_evaluation.agent_report import controller_metrics, learning_curve, write_report
from trainables.model_evaluation.reevaluate import evaluate
from trainables.specs import TRAINABLES
from trainables.training.checkpoint import load_record
from trainables.training.metric_names import (
    TRAIN_ENVIRONMENT_STEPS,
    TRAIN_STEPS,
    VAL_REACH_FAILURE,
    VAL_REACH_SUCCESS,
)
from trainables.training.run_folder import CHECKPOINTS, LAST, remaining_epochs

CONFIG = replace(TINY, epochs=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A checkpoint and the metrics of its training."""
    folder = tmp_path_factory.mktemp("agent") / "checkpoint"
    *_, last = epochs(CONFIG)
    last.save(folder)
    return folder, dict(last.metrics)


def test_under_the_seed_of_the_training_the_metrics_are_those_of_the_training(
    trained: tuple[Path, dict[str, float]],
) -> None:
    folder, metrics = trained
    found = evaluate(folder, "validation", [CONFIG.evaluation.seed])
    assert (found.kind, found.movements) == ("agent", CONFIG.evaluation.episodes)
    assert set(found.metrics) == {name for name in metrics if name.startswith("val/reach")}
    for name, metric in found.metrics.items():
        assert metric.value == pytest.approx(metrics[name]), name


def test_without_a_block_the_other_tasks_remain(trained: tuple[Path, dict[str, float]]) -> None:
    agent = load_agent(trained[0])
    evaluation = reach(agent.act, CONFIG.environment, 100, 0, "test", "start")
    found = metrics_by_block(evaluation)[VAL_REACH_FAILURE]
    blocks = sorted(set(evaluation.owners))
    for number, block in enumerate(blocks):
        rest = [not bool(evaluation.reached[row]) for row, owner in enumerate(evaluation.owners) if owner != block]
        assert found.without[number] == pytest.approx(float(np.mean(rest)))


def test_a_controller_in_the_same_episodes_reaches_its_targets() -> None:
    config = replace(CONFIG, environment=replace(CONFIG.environment, max_steps=120))
    for name in CONTROLLERS:
        assert controller_metrics(name, config, "test", [0, 1])[VAL_REACH_SUCCESS].value > 0.9


def steered(agent: Agent, state: Tensor, goal: Tensor) -> Tensor:
    """Return the actions of a scripted controller in place of the agent's own."""
    return proportional(Observation(state, goal, torch.zeros(len(goal))), MotorConfig())


def test_its_movements_are_a_file_of_samples(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "checkpoint"
    next(iter(epochs(replace(CONFIG, environment=ReachingConfig())))).save(folder)
    monkeypatch.setattr(Agent, "act", steered)
    command = AgentEvaluationCommand(ckpt=str(folder), out_dir=str(tmp_path / "out"), eval_seeds=2, movements=True)
    assert write_report(command) == 0
    made, _, left_out = reached_movements(load_agent(folder), load_splits(CONFIG.data)["test"], command.seed)
    assert f"movements.parquet: {len(made)} movements, {left_out[NO_PLACE]} without a place" in capsys.readouterr().out
    found = read_movements(tmp_path / "out" / "movements.parquet")
    assert len(found.movements) == len(made) > 0
    assert (found.movements.group, found.record["weights_sha256"]) == (
        made.group,
        load_record(folder)["weights_sha256"],
    )
    assert torch.equal(found.movements.length, made.length)
    for row, length in enumerate(made.length.tolist()):
        assert torch.equal(found.movements.steps_px[row, :length], made.steps_px[row, :length])


def test_an_agent_that_reaches_nothing_has_no_movements_to_write(
    trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    command = AgentEvaluationCommand(ckpt=str(trained[0]), out_dir=str(tmp_path / "out"), movements=True)
    with pytest.raises(ConfigError, match=r"^expected `movements of the agent that reach their target >= 1`"):
        write_report(command)
    assert not (tmp_path / "out").exists()


def test_the_report_has_the_agent_beside_the_controllers(
    trained: tuple[Path, dict[str, float]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write_report(AgentEvaluationCommand(ckpt=str(trained[0]), out_dir=str(tmp_path), eval_seeds=2)) == 0
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert set(numbers["metrics"]) == {"agent", *CONTROLLERS}
    for metrics in numbers["metrics"].values():
        found = metrics[VAL_REACH_SUCCESS]
        assert 0.0 <= found["low"] <= found["value"] <= found["high"] <= 1.0
        assert (found["low"], found["high"]) == pytest.approx(wilson(found["value"], 2 * CONFIG.evaluation.episodes))
        assert found["low"] < found["high"]  # of an agent that reaches nothing, too
    assert numbers["evaluation"]["seeds"] == [7, 8]
    assert "bell-shaped" in capsys.readouterr().out
    with Image.open(tmp_path / "trajectories.png") as image:
        assert image.size[0] > 1000
    assert not (tmp_path / "learning.png").exists()  # the checkpoint stands in no run


def test_the_report_of_a_run_has_its_learning_curve(tmp_path: Path) -> None:
    *_, last = recorded(tmp_path / "run")
    assert write_report(AgentEvaluationCommand(ckpt=str(last), out_dir=str(tmp_path / "out"), eval_seeds=1)) == 0
    with Image.open(tmp_path / "out" / "learning.png") as image:
        assert image.size[0] > 500


def recorded(path: Path) -> Iterator[Path]:
    """Train a run in a folder and yield the link to its last checkpoint after every epoch."""
    config = replace(CONFIG, epochs=2)
    for _ in remaining_epochs(path, TRAINABLES["agent"], config):
        yield path / CHECKPOINTS / LAST


@pytest.mark.parametrize("steps", [0.0, 160.0])
def test_success_is_drawn_against_steps_of_the_environment_or_updates(steps: float) -> None:
    log = [
        {VAL_REACH_SUCCESS: 0.0, TRAIN_ENVIRONMENT_STEPS: 0.0},
        {VAL_REACH_SUCCESS: 0.5, TRAIN_ENVIRONMENT_STEPS: steps, TRAIN_STEPS: 30.0},
    ]
    curve = learning_curve(CONFIG, log)
    assert [*curve.points(log).values()] == [[(0.0, 0.0), (steps or 30.0, 0.5)]]
    assert curve.x[1] == ("steps of the environment" if steps else "updates")
    assert (curve.episodes, set(curve.references)) == (CONFIG.evaluation.episodes, set(CONTROLLERS))
