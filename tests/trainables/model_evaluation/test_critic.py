"""Re-evaluation of a critic: the validator's metrics under its seed, and without each user; the report."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.trainables.critic.tiny import TINY
from trainables.core.config import ConfigError, build
from trainables.critic.api import load_critic
from trainables.critic.evaluation.config import CriticEvaluationCommand
from trainables.critic.evaluation.goal_evaluation import SCORES, GoalEvaluation, SourceScores
from trainables.critic.evaluation.metrics import CRITIC
from trainables.critic.train import epochs
from trainables.data.splits.loading import load_splits
from trainables.model_evaluation.critic import metrics_by_user, source_results, validator_of
from trainables.model_evaluation.critic_report import write_report
from trainables.model_evaluation.reevaluate import evaluate
from trainables.training.metric_names import VAL_GOAL_ACCURACY, VAL_GOAL_DISTANCE, VAL_GOAL_SHORTFALL
from trainables.training.run_folder import RunFolder

CONFIG = replace(TINY, epochs=1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A checkpoint in the folder of its run, and the metrics of its training."""
    run = RunFolder(tmp_path_factory.mktemp("critic"), CRITIC.epoch_order)
    *_, last = [run.record(epoch) for epoch in epochs(CONFIG)]
    assert run.best is not None
    return run.best, dict(last)


def of_source(rows: int, seed: int) -> SourceScores:
    random = torch.Generator().manual_seed(seed)
    parts = {name: torch.rand(rows, generator=random, dtype=torch.float64) for name in SCORES}
    return SourceScores(tuple(f"user {seed} {row % 3}" for row in range(rows)), **parts, batch_size=rows)


def test_under_the_seed_of_the_training_the_metrics_are_those_of_the_training(
    trained: tuple[Path, dict[str, float]],
) -> None:
    folder, metrics = trained
    found = evaluate(folder, "validation", [CONFIG.evaluation.seed])
    assert found.kind == "critic"
    assert found.movements == len(load_splits(CONFIG.data)["validation"])
    assert set(found.metrics) == {name for name in metrics if name.startswith("val/goal")}
    for name, metric in found.metrics.items():
        assert metric.value == pytest.approx(metrics[name]), name
    assert found.sources == {}


def test_without_a_user_the_rows_of_the_others_remain(trained: tuple[Path, dict[str, float]]) -> None:
    evaluation = validator_of(CONFIG, "test", 3)(load_critic(trained[0]))
    [scores] = evaluation.sources.values()
    users = tuple(sorted(set(load_splits(CONFIG.data)["test"].group)))
    found = metrics_by_user(evaluation, users)
    for number, user in enumerate(users):
        rows = [row for row, owner in enumerate(scores.owners) if owner != user]
        critic, distance = (sum(float(getattr(scores, name)[row]) for row in rows) / len(rows) for name in SCORES[:2])
        assert found[VAL_GOAL_ACCURACY].without[number] == pytest.approx(critic)
        assert found[VAL_GOAL_DISTANCE].without[number] == pytest.approx(distance)
        assert found[VAL_GOAL_SHORTFALL].without[number] >= distance - critic - 1e-12


def test_several_sources_have_results_of_their_own_users() -> None:
    """Leaving a user out changes the mean by half of what it changes that user's source."""
    sources = {"a": of_source(9, 1), "b": of_source(12, 2)}
    evaluation, whole = GoalEvaluation(sources), load_splits(CONFIG.data)
    users = [*dict.fromkeys(sources["a"].owners), *dict.fromkeys(sources["b"].owners)]
    together = metrics_by_user(evaluation, users)[VAL_GOAL_ACCURACY]
    alone = {name: metrics_by_user(one, users)[VAL_GOAL_ACCURACY] for name, one in evaluation.by_source().items()}
    assert together.value == pytest.approx((alone["a"].value + alone["b"].value) / 2)
    np.testing.assert_allclose(together.without, (np.add(alone["a"].without, alone["b"].without)) / 2)
    split = replace(whole["validation"], source=("a",) * 80 + ("b",) * (len(whole["validation"]) - 80))
    kept = dict.fromkeys("ab", next(iter(whole.kept.values())))
    found = source_results([evaluation], replace(whole, splits={"validation": split}, kept=kept), "validation")
    assert set(found) == {"a", "b"}
    assert found["a"].users == tuple(sorted(set(split.group[:80])))
    assert found["a"].movements == 80
    assert found["a"].metrics[VAL_GOAL_ACCURACY].value == pytest.approx(alone["a"].value)


def test_of_one_user_alone_there_is_a_value_and_no_interval() -> None:
    alone = GoalEvaluation({"a": of_source(3, 1)})
    found = metrics_by_user(alone, ["user 1 0"])[VAL_GOAL_ACCURACY]
    assert found.without == ()
    assert found.value == alone.mean("critic")


def test_the_report_has_intervals_a_table_and_a_plot(
    trained: tuple[Path, dict[str, float]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write_report(CriticEvaluationCommand(str(trained[0]), str(tmp_path), eval_seeds=2)) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    shortfall = report["metrics"][VAL_GOAL_SHORTFALL]
    assert shortfall["low"] < shortfall["value"] < shortfall["high"]
    assert len(report["evaluation"]["seeds"]) == 2
    printed = capsys.readouterr().out
    assert "extrapolation" in printed
    assert f"{shortfall['value']:.3f} [" in printed
    assert (tmp_path / "values.png").stat().st_size > 10_000
    assert (tmp_path / "learning.png").stat().st_size > 10_000


def test_without_the_log_of_its_run_there_is_no_learning_curve(
    trained: tuple[Path, dict[str, float]], tmp_path: Path
) -> None:
    shutil.copytree(trained[0], tmp_path / "moved")
    assert write_report(CriticEvaluationCommand(str(tmp_path / "moved"), str(tmp_path / "out"), eval_seeds=1)) == 0
    assert {file.name for file in (tmp_path / "out").iterdir()} == {"report.json", "values.png"}


def test_the_holdout_split_is_refused() -> None:
    with pytest.raises(ConfigError, match="the holdout split is reserved for the promotion"):
        build(CriticEvaluationCommand, {"ckpt": "x", "split": "holdout"})
