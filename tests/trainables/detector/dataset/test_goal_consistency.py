"""A detector with a critic: its inputs, its checkpoints, and the critics that are refused."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainables.critic.tiny import TINY as TINY_CRITIC
from tests.trainables.detector.tiny import Tensors, assert_equal, saved
from trainables.core.cli import run
from trainables.core.config import with_absolute_paths
from trainables.critic.api import load_critic
from trainables.critic.consistency import COLUMNS as GOAL_COLUMNS
from trainables.critic.consistency import consistency
from trainables.critic.train import epochs as critic_epochs
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.training_users import USERS
from trainables.detector.api import load_trained_detector
from trainables.detector.config import DetectorConfig
from trainables.detector.cost import measure
from trainables.detector.dataset.goal_consistency import CRITIC, GoalConsistency
from trainables.detector.dataset.training_set import COLUMNS, WIDTH, Scaling, columns
from trainables.detector.export import COMMAND, main
from trainables.detector.train import epochs
from trainables.eval.features.kinematic import movement_features
from trainables.model_evaluation.detector import scores_on
from trainables.training.checkpoint import (
    RECORD,
    CheckpointError,
    load_checkpoint,
    load_record,
    save_checkpoint,
    select,
)


@pytest.fixture(scope="module")
def splits(tiny: DetectorConfig) -> DataSplits:
    return load_splits(tiny.data)


@pytest.fixture(scope="module")
def goals(critic: Path, splits: DataSplits) -> GoalConsistency:
    found = GoalConsistency.of_checkpoint(str(critic), splits)
    assert found is not None
    return found


@pytest.fixture(scope="module")
def config(tiny: DetectorConfig, critic: Path) -> DetectorConfig:
    return replace(tiny, critic_checkpoint=str(critic))


@pytest.fixture(scope="module")
def trained(config: DetectorConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a detector after each epoch."""
    folder = tmp_path_factory.mktemp("with_critic")
    for epoch in epochs(config):
        epoch.save(folder / str(epoch.number))
    return folder


# inputs


def test_without_a_critic_inputs_and_checkpoints_are_as_if_there_were_none(
    tiny: DetectorConfig, splits: DataSplits, goals: GoalConsistency, tmp_path: Path
) -> None:
    users = splits["train"]
    expected = torch.cat([movement_features(users.deltas[..., :2], users.mask), users.measured_condition()], dim=1)
    assert torch.equal(columns(users), expected)
    assert (tiny.critic_checkpoint, GoalConsistency.of_checkpoint("", splits)) == ("", None)
    with_critic, without = Scaling.fit(splits, goals), Scaling.fit(splits)
    assert (without.width, with_critic.width) == (WIDTH, WIDTH + len(GOAL_COLUMNS))
    one, other = with_critic.inputs(users), without.inputs(users)
    for name in ("z", "mask", "direction"):
        assert torch.equal(getattr(one, name), getattr(other, name))
    assert torch.equal(one.features[:, : len(COLUMNS)], other.features[:, : len(COLUMNS)])
    first = next(iter(epochs(tiny)))
    tensors = saved(first, tmp_path / "first")
    assert CRITIC not in load_record(tmp_path / "first")
    assert not select(CRITIC, tensors)


def test_columns_of_the_critic_are_scaled_by_the_training_users(
    critic: Path, splits: DataSplits, goals: GoalConsistency
) -> None:
    users, others = splits["train"], splits["validation"].take(torch.arange(5))
    table = consistency(load_critic(critic), users)
    found = Scaling.fit(splits, goals).inputs(others).features[:, len(COLUMNS) : -1]
    for at, movement in enumerate(consistency(load_critic(critic), others)):
        for column in range(len(GOAL_COLUMNS)):
            own = table[:, column]
            expected = float(torch.asinh((movement[column] - own.mean()) / own.std()))
            assert float(found[at, column]) == pytest.approx(expected, abs=1e-3)


# checkpoints


def test_a_detector_holds_its_critic_and_scores_where_the_critics_folder_is_not(
    trained: Path, critic: Path, config: DetectorConfig, splits: DataSplits, tmp_path: Path
) -> None:
    detector, record = load_trained_detector(trained / "2"), load_record(trained / "2")
    assert record[CRITIC]["weights_sha256"] == load_record(critic)["weights_sha256"]
    users = splits["validation"]
    scores = detector.score(users)
    inputs = Scaling.fit(splits, GoalConsistency.of_checkpoint(str(critic), splits)).inputs(users)
    expected = (detector.outputs(inputs).logit.double() / detector.temperature).sigmoid()
    assert torch.equal(scores, expected)
    hidden = tmp_path / "hidden"
    shutil.move(critic, hidden)
    try:
        assert torch.equal(load_trained_detector(trained / "2").score(users), scores)
        found = scores_on(load_trained_detector(trained / "2"), config, "validation", 3)
        torch.testing.assert_close(found.human.sigmoid(), scores, rtol=1e-6, atol=1e-6)
        with pytest.raises(CheckpointError, match="no such file"):
            next(epochs(config))
    finally:
        shutil.move(hidden, critic)


def test_a_resumed_run_equals_the_uninterrupted_run_bit_for_bit(
    trained: Path, config: DetectorConfig, tmp_path: Path
) -> None:
    (last,) = epochs(config, resume=trained / "1")
    assert_equal(saved(last, tmp_path / "last"), load_checkpoint(trained / "2")[0])
    assert load_record(tmp_path / "last") == load_record(trained / "2")


def test_a_run_does_not_resume_with_another_critic(
    trained: Path, config: DetectorConfig, critic: Path, tmp_path: Path
) -> None:
    hidden = tmp_path / "hidden"
    shutil.move(critic, hidden)
    try:
        *_, last = critic_epochs(replace(TINY_CRITIC, seed=1, data=config.data))
        last.save(critic)
        with pytest.raises(CheckpointError, match=r"1: trained with another critic \(\w{12}, not \w{12}\); start a"):
            next(epochs(config, resume=trained / "1"))
    finally:
        shutil.rmtree(critic)
        shutil.move(hidden, critic)


def test_a_checkpoint_without_the_weights_of_its_critic_is_one_line(trained: Path, tmp_path: Path) -> None:
    tensors, record = load_checkpoint(trained / "2")
    save_checkpoint(tmp_path / "part", {k: v for k, v in tensors.items() if not k.startswith("critic.phi")}, record)
    with pytest.raises(CheckpointError, match="weights and configuration do not fit: ") as raised:
        load_trained_detector(tmp_path / "part")
    assert "\n" not in str(raised.value)


def test_the_cost_is_measured_with_the_critic(config: DetectorConfig) -> None:
    assert measure(config).step_s > 0


# refusals

Change = Callable[[Tensors, dict[str, Any], DataSplits], None]


def of_another_kind(tensors: Tensors, record: dict[str, Any], splits: DataSplits) -> None:
    record["kind"] = "gan"


def of_other_data(tensors: Tensors, record: dict[str, Any], splits: DataSplits) -> None:
    record["data_sha256"] = "f" * 64


def of_a_held_out_user(tensors: Tensors, record: dict[str, Any], splits: DataSplits) -> None:
    record[USERS]["train"][splits["test"].group[0]] = 2


def of_unknown_users(tensors: Tensors, record: dict[str, Any], splits: DataSplits) -> None:
    del record[USERS]


REFUSED: dict[str, Change] = {
    "expected a checkpoint of kind `critic`, but got gan$": of_another_kind,
    r"the critic was trained on other data \(f{12}, not \w{12}\); train it with the same data$": of_other_data,
    "the critic was trained on 1 of the held-out users, .* among them; train it with": of_a_held_out_user,
    "the users of the critic's training are unknown: trained before version": of_unknown_users,
}


@pytest.mark.parametrize("line", REFUSED)
def test_a_critic_that_may_know_the_held_out_users_is_refused(
    line: str, critic: Path, config: DetectorConfig, splits: DataSplits, tmp_path: Path
) -> None:
    tensors, record = load_checkpoint(critic)
    REFUSED[line](tensors, record, splits)
    save_checkpoint(tmp_path / "changed", tensors, record)
    with pytest.raises(CheckpointError, match=line) as raised:
        next(epochs(replace(config, critic_checkpoint=str(tmp_path / "changed"))))
    assert "\n" not in str(raised.value)


def test_a_folder_that_is_not_there_is_one_line(config: DetectorConfig, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=rf"^{tmp_path}/none/{RECORD}: no such file"):
        next(islice(epochs(replace(config, critic_checkpoint=str(tmp_path / "none"))), 1))


def test_an_export_is_refused_in_one_line(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(COMMAND, main, [f"ckpt={trained / '2'}", f"out={tmp_path / 'detector.onnx'}"]) == 2
    error = capsys.readouterr().err
    assert "expected a detector without a critic, but got one that reads goal consistency" in error
    assert len(error.splitlines()) == 1
    assert not (tmp_path / "detector.onnx").exists()


def test_the_folder_of_a_critic_is_absolute_for_processes_elsewhere() -> None:
    assert with_absolute_paths({"critic_checkpoint": "critic"})["critic_checkpoint"] == str(Path("critic").absolute())
