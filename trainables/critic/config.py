"""Configuration of a contrastive critic: data, goals, networks, loss, optimiser and evaluation; without torch."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import (
    AnyInt,
    Choice,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    Share,
    check,
)
from trainables.core.config import require
from trainables.data.config import DataConfig

BLOCK = 4  # layers of a residual block, and so the step of the depth
DEEPEST = 1024
SIMILARITY_NAMES = ("l2", "dot", "cosine", "mixture")  # the keys of `trainables.critic.similarity.SIMILARITIES`
LOSS_NAMES = ("forward", "backward", "symmetric", "binary")  # the keys of `trainables.critic.losses.LOSSES`
BatchSize = Annotated[int, Range(ge=2)]
Gamma = Annotated[float, Range(gt=0, le=1)]


@dataclass(frozen=True)
class CriticModelConfig:
    """Shape of both networks, of (state, action) and of the goal."""

    # hidden layers, a multiple of 4: residual blocks of four; the layer before and the one after are not counted
    depth: Annotated[int, Range(ge=BLOCK, le=DEEPEST)] = 8
    width: PositiveInt = 256  # width of the hidden layers
    embedding_dim: PositiveInt = 64  # width of the embeddings
    # f of two embeddings; l2: minus their distance; mixture: logarithm of a sum of kernels around several places, which
    # begin at linear extrapolation
    similarity: Annotated[str, Choice(SIMILARITY_NAMES)] = "l2"
    # of `mixture`: kernels of a (state, action), at first 0, 1, 2, 4, 8 ... steps straight on
    kernels: Annotated[int, Range(ge=1, le=12)] = 8
    # octaves of sines and cosines beside each standardised input, of wavelengths from 2 pi down to 2 pi / 2^(n - 1); 0:
    # the inputs alone. With 25,000 movements 6 are worth six times the steps of l2, with the 1,513 default ones they
    # overfit; mixture gains little
    frequencies: Annotated[int, Range(ge=0, le=12)] = 0
    # depth above which a block's activations are computed again in the backward pass: memory for a third more time
    checkpoint_above: PositiveInt = 64

    def __post_init__(self) -> None:
        check(self)
        below, above = self.depth // BLOCK * BLOCK, -(-self.depth // BLOCK) * BLOCK
        whole = self.depth % BLOCK == 0
        require(whole, f"`depth` to be a multiple of {BLOCK}", f"depth={self.depth}", f"take {below} or {above}")
        flat = self.similarity != "mixture" or self.embedding_dim >= 2
        require(flat, "`embedding_dim >= 2` where similarity=mixture", f"embedding_dim={self.embedding_dim}")


@dataclass(frozen=True)
class CriticLossConfig:
    """Contrastive loss over the pairs of a batch."""

    # which one: forward compares the goals of a (state, action), backward the (state, action) pairs of a goal
    name: Annotated[str, Choice(LOSS_NAMES)] = "forward"
    temperature: PositiveFloat = 1.0  # f is divided by it
    penalty: NonNegativeFloat = 0.1  # weight of the mean square of the log-sum-exp, which leaves f no free offset

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class CriticOptimConfig:
    """Adam with linear warm-up and cosine decay, and the average of the weights."""

    lr: PositiveFloat = 1e-3  # peak learning rate
    warmup_steps: NonNegativeInt = 50  # steps over which the learning rate rises linearly to its peak
    final_lr_share: Share = 0.05  # learning rate of the last step over its peak
    grad_clip: PositiveFloat = 10.0  # largest norm of the gradient; longer ones are scaled down to it
    ema_decay: Fraction = 0.995  # decay per step of the averaged weights, which are the ones that are evaluated

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class CriticEvaluationConfig:
    """Evaluation after each epoch, on users who were not trained on, source by source."""

    # pairs of a batch; in a source with fewer movements as many as it has
    batch_size: BatchSize = 512
    batches: PositiveInt = 8  # batches of each source
    # discount of the evaluated goals, whichever is trained with, so that trials of a study have the same ones
    gamma: Gamma = 0.99
    seed: AnyInt = 20240  # seed of transitions and goals: common to all trials of a study

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class CriticConfig:
    """One training run on recordings."""

    seed: AnyInt = 0  # seed of weights, transitions and goals
    epochs: PositiveInt = 6  # epochs of the run, each followed by an evaluation
    steps_per_epoch: PositiveInt = 250  # optimiser steps per epoch
    batch_size: BatchSize = 512  # transitions per optimiser step, of all workers together
    gamma: Gamma = 0.99  # discount of goals per step of 1/60 s; 1: uniform to the end
    goal_velocity: bool = False  # whether a goal has a velocity beside its position
    # goals of other movements that are no further away, in px, are no negatives; readings of one point on a grid of
    # whole pixels lie up to sqrt(2) px apart
    tolerance_px: NonNegativeFloat = 1.5
    data: DataConfig = field(default_factory=DataConfig)
    model: CriticModelConfig = field(default_factory=lambda: CriticModelConfig(similarity="mixture", embedding_dim=16))
    loss: CriticLossConfig = field(default_factory=CriticLossConfig)
    optim: CriticOptimConfig = field(default_factory=CriticOptimConfig)
    evaluation: CriticEvaluationConfig = field(default_factory=CriticEvaluationConfig)

    def __post_init__(self) -> None:
        check(self)
