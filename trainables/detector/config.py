"""The configuration of a detector: what it learns from, how it is built, its losses, and the judgement."""

import math
from dataclasses import dataclass, field

from trainables.core.config import require, require_member
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
)  # of simple bots
SOURCES = ("bots", "gan", "diffusion", "served")


@dataclass(frozen=True)
class NegativesConfig:
    """Which bots stand beside the people, and how many: by count (`alpha`) or by weight (`weight`), never both.

    `bots`, `gan`, `diffusion` and `served` are shares of the generated part, relative to each other.
    """

    alpha: float | None = 1.0  # generated over real movements, each of them counting as one
    weight: float | None = None  # as many generated as real movements, each of them counting as this much
    held_out: tuple[str, ...] = ("windmouse", "lognormal")  # families never trained on, by which unseen bots are judged
    bots: float = 1.0
    gan: float = 0.0
    diffusion: float = 0.0
    served: float = 0.0
    gan_checkpoint: str = ""
    diffusion_checkpoint: str = ""
    served_folder: str = ""  # of movements that were drawn from the service, see `platform.negatives`

    def __post_init__(self) -> None:
        one = (self.alpha is None) != (self.weight is None)
        got = f"alpha={self.alpha}, weight={self.weight}"
        require(one, "`alpha` or `weight`, one of the two", got, "both would scale the generated part twice")
        for name, value, most in (("alpha", self.alpha, 10.0), ("weight", self.weight, 1.0)):
            require(value is None or 0 < value <= most, f"`0 < {name} <= {most:g}`", f"{name}={value}")
        for family in self.held_out:
            require_member("held_out", family, FAMILY_NAMES)
        once = len(set(self.held_out)) == len(self.held_out)
        require(once, "`held_out` to name each family once", f"{', '.join(self.held_out)}")
        shares = self.shares
        require(all(0 <= share < math.inf for share in shares.values()), "`0 <= share < inf`", f"{shares}")
        require(sum(shares.values()) > 0, "`sum of the shares > 0`", f"{shares}")
        require(self.bots == 0 or bool(self.families), "`families to train on` with `bots > 0`", "all are held out")
        for name in SOURCES[1:]:
            key = f"{name}_{'folder' if name == 'served' else 'checkpoint'}"
            given = bool(getattr(self, key)) or shares[name] == 0
            require(given, f"`{key}` with `{name} > 0`", f"{name}={shares[name]:g}")

    @property
    def shares(self) -> dict[str, float]:
        """Source -> its share of the generated part, relative to the others."""
        return {name: getattr(self, name) for name in SOURCES}

    @property
    def families(self) -> tuple[str, ...]:
        """Families of simple bots to learn from."""
        return tuple(family for family in FAMILY_NAMES if family not in self.held_out)


@dataclass(frozen=True)
class DetectorModelConfig:
    """Shape of the network."""

    width: int = 24  # channels of the finest stage; the next ones have half as many again, and twice as many
    features_width: int = 64  # of the networks on features
    fused_width: int = 96
    task_width: int = 32  # hidden, of the task's head
    embedding_dim: int = 32  # of the task and of the embodiment
    dropout: float = 0.1
    deep_bound: float = 2.0  # of what the fused vector may add to the logit
    reach: float = 1.5  # log(1 + squared distance from people) at which half of it is left; one in a hundred is beyond
    drop_part: float = 0.5  # share of the training rows that a part of the logit is left out of
    frozen_from: str = ""  # checkpoint of a detector whose trunk is kept as it is: the heads alone are trained

    def __post_init__(self) -> None:
        for name in ("width", "features_width", "fused_width", "task_width", "embedding_dim"):
            require(getattr(self, name) >= 2, f"`{name} >= 2`", f"{name}={getattr(self, name)}")
        for name in ("dropout", "drop_part"):
            require(0 <= getattr(self, name) < 1, f"`0 <= {name} < 1`", f"{name}={getattr(self, name)}")
        require(0 < self.deep_bound < math.inf, "`0 < deep_bound < inf`", f"deep_bound={self.deep_bound}")
        require(math.isfinite(self.reach), "`reach` to be finite", f"reach={self.reach}")

    @property
    def widths(self) -> tuple[int, ...]:
        """Channels of each stage, finest first."""
        return (self.width, self.width * 3 // 2, self.width * 2)


@dataclass(frozen=True)
class LossConfig:
    """Binary cross-entropy, two supervised-contrastive losses, and what keeps their embeddings apart."""

    task_weight: float = 1.0  # of the task embedding's contrastive loss; its head alone feels it
    embodiment_weight: float = 0.05  # of the embodiment embedding's, which the trunk feels too
    temperature: float = 0.07  # of both
    club_weight: float = 0.3  # of the bound on what the task embedding says of the other
    club_lr: float = 1e-3
    club_steps: int = 10  # of the bound's own network, before each step of the detector

    def __post_init__(self) -> None:
        for name in ("task_weight", "embodiment_weight", "club_weight"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"`0 <= {name} < inf`", f"{name}={value}")
        require(0 < self.temperature < math.inf, "`0 < temperature < inf`", f"temperature={self.temperature}")
        require(0 < self.club_lr < math.inf, "`0 < club_lr < inf`", f"club_lr={self.club_lr}")
        require(self.club_steps >= 1, "`club_steps >= 1`", f"club_steps={self.club_steps}")


@dataclass(frozen=True)
class OptimConfig:
    """AdamW with linear warm-up and cosine decay, and an average of the weights."""

    lr: float = 5e-3
    weight_decay: float = 1e-2
    warmup_steps: int = 50
    final_lr_share: float = 0.05
    grad_clip: float = 1.0
    ema_decay: float = 0.995

    def __post_init__(self) -> None:
        require(0 < self.lr < math.inf, "`0 < lr < inf`", f"lr={self.lr}")
        require(0 <= self.weight_decay < math.inf, "`0 <= weight_decay < inf`", f"weight_decay={self.weight_decay}")
        require(self.warmup_steps >= 0, "`warmup_steps >= 0`", f"warmup_steps={self.warmup_steps}")
        require(0 <= self.final_lr_share <= 1, "`0 <= final_lr_share <= 1`", str(self.final_lr_share))
        require(self.grad_clip > 0, "`grad_clip > 0`", f"grad_clip={self.grad_clip}")
        require(0 <= self.ema_decay < 1, "`0 <= ema_decay < 1`", f"ema_decay={self.ema_decay}")


@dataclass(frozen=True)
class JudgementConfig:
    """How a detector is judged after each epoch: validation people against every style under their conditions."""

    fpr: float = 0.01  # share of people who may be accused
    seed: int = 20240  # of the bots: common to all trials of a study

    def __post_init__(self) -> None:
        require(0 < self.fpr < 1, "`0 < fpr < 1`", f"fpr={self.fpr}")


@dataclass(frozen=True)
class DetectorConfig:
    """One training run."""

    seed: int = 0
    epochs: int = 6
    steps_per_epoch: int = 100  # on the default recordings; more of them fit the people by heart
    batch_size: int = 128
    data: DataConfig = field(default_factory=DataConfig)
    negatives: NegativesConfig = field(default_factory=NegativesConfig)
    model: DetectorModelConfig = field(default_factory=DetectorModelConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    judgement: JudgementConfig = field(default_factory=JudgementConfig)

    def __post_init__(self) -> None:
        require(self.epochs >= 1, "`epochs >= 1`", f"epochs={self.epochs}")
        require(self.steps_per_epoch >= 1, "`steps_per_epoch >= 1`", f"steps_per_epoch={self.steps_per_epoch}")
        require(self.batch_size >= 4, "`batch_size >= 4`", f"batch_size={self.batch_size}")
