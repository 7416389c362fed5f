"""The detector with its optimisers, and its way into a checkpoint and back, bit for bit."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainables.contrastive.club import CLUB
from trainables.core.config import plain
from trainables.core.seeding import derive
from trainables.data.dataset import DataSplits
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.training_set import WIDTH, Scaling
from trainables.detector.model import DetectorNetwork
from trainables.generation.conditions import generator_record
from trainables.nn.ema import ExponentialMovingAverage
from trainables.training.checkpoint import (
    CheckpointError,
    flatten,
    load_checkpoint,
    load_record,
    optimizer_tensors,
    restore_optimizer,
    resumed,
    save_checkpoint,
    select,
)
from trainables.training.worker import Worker

KIND = "detector"
SCALES = {"wide": 5.0, "task": 0.2}
"""Learning rates of parts over that of the others: the linear part goes far, a slow task head lets the bound follow."""


@dataclass
class State:
    """Everything that training changes.

    Attributes:
        parallel: The network with gradients common to all workers; what is called where it is trained.
        club: The network of the bound, whose weights every worker changes alike.
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
        """Weights, moments and averages, by name."""
        return {
            **flatten("network", self.network.state_dict()),
            **flatten("optimizer", optimizer_tensors(self.optimizer)),
            **flatten("club", self.club.state_dict()),
            **flatten("club_optimizer", optimizer_tensors(self.club_optimizer)),
            **flatten("ema", self.ema.model.state_dict()),
        }

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Inverse of `tensors`."""
        self.network.load_state_dict(select("network", tensors))
        restore_optimizer(self.optimizer, select("optimizer", tensors))
        self.club.load_state_dict(select("club", tensors))
        restore_optimizer(self.club_optimizer, select("club_optimizer", tensors))
        self.ema.model.load_state_dict(select("ema", tensors))


def initial_state(config: DetectorConfig, channels: int, worker: Worker) -> State:
    """The detector before the first step; its weights depend on the seed alone, or a part of them on a checkpoint's.

    Raises:
        CheckpointError: `model.frozen_from` holds no detector of this shape.
    """
    torch.manual_seed(derive(config.seed, "weights"))
    network = DetectorNetwork(channels, WIDTH, config.model).to(worker.device)
    if config.model.frozen_from:
        freeze(network, Path(config.model.frozen_from))
    loss = config.loss  # a head that nothing is asked of gets no gradient, which workers wait for
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
    """What is trained, each part with the scale of its learning rate; what is not trained is in none."""
    splits: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            splits.setdefault(SCALES.get(name.partition(".")[0], 1.0), []).append(parameter)
    return [{"params": parameters, "scale": scale} for scale, parameters in splits.items()]


def freeze(network: DetectorNetwork, folder: Path) -> None:
    """Take over the trunk of a checkpoint and let it be."""
    tensors, record = load_checkpoint(folder)
    if record.get("kind") != KIND:
        raise CheckpointError(f"{folder}: expected a checkpoint of kind `{KIND}`, but got {record.get('kind')}")
    try:
        network.trunk.load_state_dict(select("trunk", select("ema", tensors)))
    except RuntimeError:
        raise CheckpointError(f"{folder}: its trunk has another shape than `model` asks for") from None
    network.trunk.requires_grad_(False)


def frozen_weights(config: DetectorConfig, data_sha256: str) -> str:
    """Hash of the checkpoint whose trunk is kept, "" if none is.

    Raises:
        CheckpointError: it was trained on other data, by which its inputs were scaled.
    """
    if not config.model.frozen_from:
        return ""
    record = load_record(Path(config.model.frozen_from))
    theirs = str(record.get("data_sha256"))
    if theirs != data_sha256:
        told = f"{theirs[:12]}, not {data_sha256[:12]}"
        raise CheckpointError(f"{config.model.frozen_from}: its trunk was trained on other data ({told})")
    return str(record["weights_sha256"])


def save_state(
    state: State, config: DetectorConfig, splits: DataSplits, scaling: Scaling, told: Mapping[str, Any], folder: Path
) -> None:
    """Write the whole state, and what scoring needs beside it, as a checkpoint.

    Args:
        told: What else the record says: labels, negatives, calibration, judgement; plain values.
    """
    scales = {name: getattr(scaling, name) for name in ("mean", "std", "whitening")}
    tensors = {**state.tensors(), **generator_record(splits), **flatten("scaling", scales)}
    record = {
        **told,
        "kind": KIND,
        "config": plain(config),
        "data_sha256": splits.sha256,
        "epoch": state.epoch,
        "step": state.step,
        "ema_updates": state.ema.updates,
    }
    save_checkpoint(folder, tensors, record)


def restore_state(state: State, config: DetectorConfig, splits: DataSplits, folder: Path) -> None:
    """Bring back every changing part from a checkpoint of the same run.

    Raises:
        CheckpointError: the checkpoint belongs to another configuration or other data, or is not whole.
    """
    with resumed(folder, KIND, plain(config), splits.sha256) as (tensors, record):
        state.load(tensors)
        state.step, state.epoch, state.ema.updates = record["step"], record["epoch"], record["ema_updates"]
