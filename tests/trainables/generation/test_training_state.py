"""The record of a checkpoint names the users of its training, whatever the trainable."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.serve import published
from trainables.data.config import CONDITION_WIDTH, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.data.training_users import TrainingUsers
from trainables.diffusion import state as diffusion_state
from trainables.training.checkpoint import load_checkpoint
from trainables.training.worker import ALONE


def diffusion(folder: Path) -> Path:
    """Write a checkpoint of an untrained diffusion."""
    config, splits = published.DIFFUSION, load_splits(published.DIFFUSION.data)
    width = CONDITION_WIDTH + len(splits.statistics.sources)
    diffusion_state.save_state(diffusion_state.initial_state(config, ALONE, width), config, splits, folder)
    return folder


@pytest.mark.parametrize("write", [diffusion, published.gan, published.network])
def test_a_checkpoint_names_the_users_of_its_training_split_with_their_movements(
    write: Callable[[Path], Path], tmp_path: Path
) -> None:
    _, record = load_checkpoint(write(tmp_path / "checkpoint"))
    found = TrainingUsers.of_record(record)
    assert found is not None
    splits = load_splits(DataConfig())
    for name in ("train", "validation"):
        expected: dict[str, int] = {}
        for user in splits[name].group:
            expected[user] = expected.get(user, 0) + 1
        assert dict(found.splits[name]) == expected
        assert list(record["users"][name]) == sorted(expected)
    assert set(found.splits) == {"train", "validation"}
    assert TrainingUsers.of_record({"users": found.to_json()}) == found
