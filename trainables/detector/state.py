"""Training state of a detector: networks, optimisers and average, saved to and restored from checkpoints."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables.contrastive.club import CLUB
from trainables.core.seeding import derive
from trainables.data.splits.data_splits import DataSplits
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.training_set import WIDTH, Scaling
from trainables.detector.model import DetectorNetwork
from trainables.generation.training_state import restore_training_state, save_training_state
from trainables.nn.ema import ExponentialMovingAverage
from trainables.training.checkpoint import (
    CheckpointError,
    flatten,
    load_checkpoint,
    load_record,
    optimizer_tensors,
    restore_optimizer,
    select,
)
from trainables.training.worker import Worker

KIND = "detector"
SCALES = {"wide": 5.0, "task": 0.2}
"""Factors of the learning rate by part: the linear part moves far, a slow task head lets the bound follow."""


@dataclass
class State:
    """State that training changes.

    Attributes:
        parallel: Network whose gradients are averaged over all workers; the one that training calls.
        club: Network of the bound; its weights change equally in every worker.
    """

    network: DetectorNetwork
    parallel: nn.Module
    optimizer: torch.optim.Optimizer
    club: CLUB
    club_optimizer: torch.optim.Optimizer
    ema: ExponentialMovingAverage
    step: int = 0
    epoch: int = 0

    def tensors(self) -> dict[str, Tensor]:
        """Return weights, moments and averages by name."""
        return {
            **flatten("network", self.network.state_dict()),
            **flatten("optimizer", optimizer_tensors(self.optimizer)),
            **flatten("club", self.club.state_dict()),
            **flatten("club_optimizer", optimizer_tensors(self.club_optimizer)),
            **flatten("ema", self.ema.model.state_dict()),
        }

    def load(self, tensors: Mapping[str, Tensor], record: Mapping[str, Any]) -> None:
        """Load the tensors of `tensors`; nothing else of the state is in a checkpoint's record."""
        self.network.load_state_dict(select("network", tensors))
        restore_optimizer(self.optimizer, select("optimizer", tensors))
        self.club.load_state_dict(select("club", tensors))
        restore_optimizer(self.club_optimizer, select("club_optimizer", tensors))
        self.ema.model.load_state_dict(select("ema", tensors))


def initial_state(config: DetectorConfig, channels: int, worker: Worker, features: int = WIDTH) -> State:
    """Return the state before the first step; weights follow from the seed, and the trunk from a frozen checkpoint.

    Args:
        features: `Scaling.width`.

    Raises:
        CheckpointError: `model.frozen_from` holds no detector of this shape.
    """
    torch.manual_seed(derive(config.seed, "weights"))
    network = DetectorNetwork(channels, features, config.model).to(worker.device)
    if config.model.frozen_from:
        freeze(network, Path(config.model.frozen_from))
    loss = config.loss  # a head without a loss has no gradient, for which workers would wait
    network.task.requires_grad_(loss.task_weight > 0 or loss.club_weight > 0)
    network.embodiment.requires_grad_(loss.embodiment_weight > 0)
    width = config.model.embedding_dim
    club = CLUB(width, width).to(worker.device)
    optimizer = torch.optim.AdamW(
        groups(network), lr=config.optim.lr, weight_decay=config.optim.weight_decay, fused=True
    )
    club_optimizer = torch.optim.Adam(club.parameters(), lr=config.loss.club_lr, fused=True)
    ema = ExponentialMovingAverage(network, config.optim.ema_decay)
    return State(network, worker.wrap(network), optimizer, club, club_optimizer, ema)


def groups(network: DetectorNetwork) -> list[dict[str, Any]]:
    """Return the trained parameters in groups, each with the factor of its learning rate."""
    by_scale: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            by_scale.setdefault(SCALES.get(name.partition(".")[0], 1.0), []).append(parameter)
    return [{"params": parameters, "scale": scale} for scale, parameters in by_scale.items()]


def freeze(network: DetectorNetwork, folder: Path) -> None:
    """Load the trunk of a checkpoint and exclude it from training."""
    tensors, record = load_checkpoint(folder)
    if record.get("kind") != KIND:
        raise CheckpointError(f"{folder}: expected a checkpoint of kind `{KIND}`, but got {record.get('kind')}")
    try:
        network.trunk.load_state_dict(select("trunk", select("ema", tensors)))
    except RuntimeError:
        raise CheckpointError(f"{folder}: its trunk has another shape than `model`") from None
    network.trunk.requires_grad_(False)


def frozen_weights(config: DetectorConfig, data_sha256: str) -> str:
    """Return the hash of the checkpoint with the frozen trunk, "" if there is none.

    Raises:
        CheckpointError: It was trained on other data, which scaled its inputs.
    """
    if not config.model.frozen_from:
        return ""
    record = load_record(Path(config.model.frozen_from))
    theirs = str(record.get("data_sha256"))
    if theirs != data_sha256:
        hashes = f"{theirs[:12]}, not {data_sha256[:12]}"
        raise CheckpointError(f"{config.model.frozen_from}: its trunk was trained on other data ({hashes})")
    return str(record["weights_sha256"])


def save_state(
    state: State, config: DetectorConfig, splits: DataSplits, scaling: Scaling, extra: Mapping[str, Any], folder: Path
) -> None:
    """Write the state, and the statistics and the critic for scoring, as a checkpoint.

    Args:
        extra: Further entries of the record: labels, negatives, temperature; plain values.
    """
    scales = {name: getattr(scaling, name) for name in ("mean", "std", "whitening")}
    tensors, record = flatten("scaling", scales), dict(extra)
    if scaling.goals is not None:
        tensors, record = tensors | scaling.goals.tensors(), record | scaling.goals.account()
    save_training_state(folder, KIND, config, splits, state, tensors=tensors, record=record)


def restore_state(state: State, config: DetectorConfig, splits: DataSplits, folder: Path) -> None:
    """Restore the state from a checkpoint of the same run; raises as `restore_training_state` does."""
    restore_training_state(folder, KIND, config, splits, state)
