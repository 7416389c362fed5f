"""Linear warm-up and cosine decay of the learning rate."""

import math
from typing import Protocol, runtime_checkable

import torch


@runtime_checkable
class Rates(Protocol):
    """Parameters of a learning-rate schedule."""

    @property
    def lr(self) -> float: ...
    @property
    def warmup_steps(self) -> int: ...
    @property
    def final_lr_share(self) -> float: ...


def learning_rate(step: int, total: int, config: Rates) -> float:
    """Linear warm-up to `lr`, then half a cosine down to `final_lr_share * lr` at step `total`."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    done = (step - config.warmup_steps) / max(total - config.warmup_steps, 1)
    low = config.final_lr_share
    return config.lr * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def set_learning_rate(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all parameter groups; a group's own `scale` multiplies it."""
    for group in optimizer.param_groups:
        group["lr"] = lr * group.get("scale", 1.0)
