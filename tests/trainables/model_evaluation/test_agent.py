"""Re-evaluation of an agent: the metrics of its training under its seed, without each block of tasks; the report."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.trainables.critic.agent.tiny import TINY
from trainables.critic.agent.api import load_agent
from trainables.critic.agent.evaluation.config import AgentEvaluationCommand
from trainables.critic.agent.evaluation.reach_evaluation import reach
from trainables.critic.agent.train import epochs
from trainables.model_evaluation.agent import metrics_by_block
from trainables.model_evaluation.agent_report import CONTROLLERS, controller_metrics, write_report
from trainables.model_evaluation.reevaluate import evaluate
from trainables.training.metric_names import VAL_REACH_FAILURE, VAL_REACH_SUCCESS

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


def test_the_report_has_the_agent_beside_the_controllers(
    trained: tuple[Path, dict[str, float]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write_report(AgentEvaluationCommand(ckpt=str(trained[0]), out_dir=str(tmp_path), eval_seeds=2)) == 0
    numbers = json.loads((tmp_path / "report.json").read_text())
    assert set(numbers["metrics"]) == {"agent", *CONTROLLERS}
    for metrics in numbers["metrics"].values():
        found = metrics[VAL_REACH_SUCCESS]
        assert 0.0 <= found["low"] <= found["value"] <= found["high"] <= 1.0
    assert numbers["evaluation"]["seeds"] == [7, 8]
    assert "bell-shaped" in capsys.readouterr().out
    with Image.open(tmp_path / "trajectories.png") as image:
        assert image.size[0] > 1000
