"""A trained critic: loaded as it was saved, its values by pair and along movements."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.trainables.critic.tiny import TINY
from trainables.core.config import with_values
from trainables.critic.api import Critic, load_critic
from trainables.critic.episodes import episodes_of_split
from trainables.critic.networks import CriticNetwork, Scale
from trainables.critic.train import epochs
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("critic") / "checkpoint"
    *_, last = epochs(replace(TINY, epochs=1))
    last.save(folder)
    return folder


def test_a_loaded_critic_has_the_averaged_weights_and_the_statistics(checkpoint: Path) -> None:
    critic, (tensors, _) = load_critic(checkpoint), load_checkpoint(checkpoint)
    for name, tensor in critic.network.state_dict().items():
        assert torch.equal(tensor, tensors[f"ema.{name}"])
    assert float(critic.network.state_std.min()) > 10
    assert not critic.network.training


@pytest.mark.parametrize("velocity", [False, True])
@pytest.mark.parametrize("similarity", ["l2", "dot", "cosine", "mixture"])
def test_values_along_movements_are_those_of_each_step_and_the_end(similarity: str, velocity: bool) -> None:
    torch.manual_seed(0)
    scale = Scale(torch.zeros(4), torch.full((4,), 300.0), torch.zeros(2), torch.full((2,), 10.0))
    network = CriticNetwork(replace(TINY.model, similarity=similarity), scale, goal_velocity=velocity).eval()
    config = DataConfig()
    critic = Critic(network, similarity, velocity, 0.5, config.canonical)
    movements = load_splits(config)["validation"].take(torch.tensor([3, 0, 8]))
    for row, f in enumerate(critic.along(movements)):
        state, action, length = episodes_of_split(movements.take(torch.tensor([row])), config.canonical)
        goal = state[-1:, : 4 if velocity else 2]
        assert len(f) == int(length) - 1
        torch.testing.assert_close(f, critic(state[:-1], action[:-1], goal)[:, 0], rtol=1e-3, atol=1e-3)


def test_a_checkpoint_of_another_kind_or_one_that_is_not_whole_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    tensors, record = load_checkpoint(checkpoint)
    save_checkpoint(tmp_path / "kind", tensors, {**record, "kind": "gan"})
    with pytest.raises(CheckpointError, match="expected a checkpoint of kind `critic`, but got gan"):
        load_critic(tmp_path / "kind")
    save_checkpoint(tmp_path / "part", {k: v for k, v in tensors.items() if "phi.stem" not in k}, record)
    with pytest.raises(CheckpointError, match="weights and configuration do not fit"):
        load_critic(tmp_path / "part")
    deeper = with_values(record["config"], {"model.depth": TINY.model.depth + 4})
    save_checkpoint(tmp_path / "deeper", tensors, {**record, "config": deeper})
    with pytest.raises(CheckpointError, match=r"CriticNetwork: Missing key\(s\) .*phi\.blocks\.\d\.") as error:
        load_critic(tmp_path / "deeper")
    assert "\n" not in str(error.value)
