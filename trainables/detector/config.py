"""Configuration of a detector: data, negatives, network, losses, optimiser and evaluation."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import (
    AnyInt,
    Checkpoint,
    Choice,
    Distinct,
    FiniteFloat,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    Share,
    Text,
    check,
)
from trainables.core.config import require
from trainables.data.config import DataConfig

FAMILY_NAMES = (
    "straight",
    "spline",
    "pid",
    "windmouse",
    "minimum_jerk",
    "lognormal",
    "noise",
    "replay",
)  # of scripted bots
SOURCES = ("bots", "gan", "diffusion", "physical", "served", "agent")
Width = Annotated[int, Range(ge=2)]


@dataclass(frozen=True)
class NegativesConfig:
    """Sources of negatives and their number: balanced by count (`alpha`) or by weight (`weight`), never both.

    `bots`, `gan`, `diffusion`, `physical`, `served` and `agent` are shares of the generated part, relative to each
    other.
    """

    # generated over real movements, each of them counting as one; null: `weight` is given
    alpha: Annotated[float, Range(gt=0, le=10)] | None = 1.0
    # weight of each generated movement, of which there are as many as real ones; null: `alpha` is given
    weight: Annotated[float, Range(gt=0, le=1)] | None = None
    # families never trained on, which the detector is evaluated on as unseen ones
    held_out: Annotated[tuple[Annotated[str, Choice(FAMILY_NAMES)], ...], Distinct()] = ("windmouse", "lognormal")
    bots: NonNegativeFloat = 1.0  # share of the scripted bots
    gan: NonNegativeFloat = 0.0  # share of samples of `gan_checkpoint`
    diffusion: NonNegativeFloat = 0.0  # share of samples of `diffusion_checkpoint`
    physical: NonNegativeFloat = 0.0  # share of samples of `physical_checkpoint`
    served: NonNegativeFloat = 0.0  # share of the movements in `served_folder`
    agent: NonNegativeFloat = 0.0  # share of the movements of `agent_checkpoint`
    gan_checkpoint: str = ""  # checkpoint folder of a GAN
    diffusion_checkpoint: str = ""  # checkpoint folder of a diffusion
    physical_checkpoint: str = ""  # checkpoint folder of a physical model
    served_folder: str = ""  # folder of movements from the service, written by `platform.negatives`
    agent_checkpoint: str = ""  # checkpoint folder of an agent

    def __post_init__(self) -> None:
        check(self)
        one = (self.alpha is None) != (self.weight is None)
        got = f"alpha={self.alpha}, weight={self.weight}"
        require(one, "`alpha` or `weight`, one of the two", got, "both would scale the generated part twice")
        shares = self.shares
        require(sum(shares.values()) > 0, "`sum of the shares > 0`", f"{shares}")
        require(self.bots == 0 or bool(self.families), "`families to train on` with `bots > 0`", "all are held out")
        for name in SOURCES[1:]:
            key = f"{name}_{'folder' if name == 'served' else 'checkpoint'}"
            given = bool(getattr(self, key)) or shares[name] == 0
            require(given, f"`{key}` with `{name} > 0`", f"{name}={shares[name]:g}")

    @property
    def shares(self) -> dict[str, float]:
        """Source -> its share of the negatives, relative to the others."""
        return {name: getattr(self, name) for name in SOURCES}

    @property
    def families(self) -> tuple[str, ...]:
        """Families of scripted bots in the training."""
        return tuple(family for family in FAMILY_NAMES if family not in self.held_out)


@dataclass(frozen=True)
class DetectorModelConfig:
    """Shape of the network."""

    width: Width = 24  # channels of the finest stage; the next ones have half as many again, and twice as many
    features_width: Width = 64  # width of the networks on features
    fused_width: Width = 96  # width of the layer that fuses trunk and features
    task_width: Width = 32  # hidden width of the task's head
    embedding_dim: Width = 32  # width of the embeddings of task and embodiment
    dropout: Fraction = 0.1  # dropout rate
    deep_bound: PositiveFloat = 2.0  # largest amount that the fused vector may add to the logit
    # log(1 + squared distance from users) at which half of that is left; one in a hundred is beyond 1.5
    reach: FiniteFloat = 1.5
    drop_part: Fraction = 0.5  # share of the training rows that a part of the logit is left out of
    # checkpoint of a detector whose trunk is kept as it is: the heads alone are trained; empty: none
    frozen_from: str = ""

    def __post_init__(self) -> None:
        check(self)

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage, finest first."""
        return (self.width, self.width * 3 // 2, self.width * 2)


@dataclass(frozen=True)
class LossConfig:
    """Cross-entropy, two supervised contrastive losses, and a bound on the mutual information of their embeddings."""

    task_weight: NonNegativeFloat = 1.0  # weight of the task embedding's contrastive loss; trains its head only
    # weight of the embodiment embedding's contrastive loss; trains the trunk too
    embodiment_weight: NonNegativeFloat = 0.05
    temperature: PositiveFloat = 0.07  # temperature of both contrastive losses
    # weight of the bound on the information that the two embeddings share
    club_weight: NonNegativeFloat = 0.3
    club_lr: PositiveFloat = 1e-3  # learning rate of the bound's own network
    club_steps: PositiveInt = 10  # steps of that network before each step of the detector

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with linear warm-up and cosine decay, and the average of the weights."""

    lr: PositiveFloat = 5e-3  # peak learning rate
    weight_decay: NonNegativeFloat = 1e-2  # decoupled weight decay of AdamW
    warmup_steps: NonNegativeInt = 50  # steps over which the learning rate rises linearly to its peak
    final_lr_share: Share = 0.05  # learning rate of the last step over its peak
    grad_clip: PositiveFloat = 1.0  # largest norm of the gradient; longer ones are scaled down to it
    ema_decay: Fraction = 0.995  # decay per step of the averaged weights, which are the ones that score

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DetectorEvaluationConfig:
    """Evaluation after each epoch: validation users against every style under their conditions."""

    fpr: Annotated[float, Range(gt=0, lt=1)] = 0.01  # target FPR: share of users' movements that may be flagged
    seed: AnyInt = 20240  # seed of the bots: common to all trials of a study

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class DetectorConfig:
    """One training run."""

    seed: AnyInt = 0  # seed of weights, batches and bots
    epochs: PositiveInt = 6  # epochs of the run, each followed by an evaluation
    # optimiser steps per epoch; with more than 100 the default recordings are memorised
    steps_per_epoch: PositiveInt = 100
    batch_size: Annotated[int, Range(ge=4)] = 128  # movements per optimiser step, of all workers together
    data: DataConfig = field(default_factory=DataConfig)
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    model: DetectorModelConfig = field(default_factory=DetectorModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    # checkpoint folder of a critic trained on the same data, whose goal consistency is an input; empty: it is none
    critic_checkpoint: str = ""
    evaluation: DetectorEvaluationConfig = field(default_factory=DetectorEvaluationConfig)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ExportConfig:
    """Checkpoint and file of an export."""

    ckpt: Checkpoint = ""  # checkpoint folder of the detector
    out: Annotated[str, Text("a file that ends in .onnx", r".*\.onnx")] = "detector.onnx"  # file to write

    def __post_init__(self) -> None:
        check(self)
