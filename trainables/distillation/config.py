"""The configuration of a distillation: the teacher, how far its network calls are halved, and the training."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import AnyInt, Choice, PositiveInt, Range, check
from trainables.core.config import require
from trainables.data.config import DataConfig
from trainables.diffusion.config import OptimConfig
from trainables.eval.generation.config import EvaluationConfig

WEIGHTING_NAMES = ("truncated_snr", "snr_plus_one")  # the keys of `trainables.distillation.objective.WEIGHTINGS`


@dataclass(frozen=True)
class Stage:
    """A part of the run in which a student learns to make one network call of two.

    Attributes:
        number: From 0.
        calls: Network calls of the student's sampler; its parent's makes twice as many.
        first_epoch: Number of its first epoch.
        epochs: Their number.
    """

    number: int
    calls: int
    first_epoch: int
    epochs: int

    def begins(self, epoch: int) -> bool:
        """Whether this is its first epoch."""
        return epoch == self.first_epoch

    def ends(self, epoch: int) -> bool:
        """Whether this is its last epoch."""
        return epoch == self.first_epoch + self.epochs - 1


@dataclass(frozen=True)
class DistillConfig:
    """One training run; the network, the noise and the augmentation are those of the teacher."""

    teacher: str = ""  # checkpoint folder of the diffusion that is distilled
    # network calls of the teacher's deterministic sampler, which the first stage halves; 16: the power of two nearest
    # to the 20 calls that a diffusion is evaluated with
    teacher_calls: Annotated[int, Range(ge=2)] = 16
    calls: PositiveInt = 1  # network calls of the last stage's student; each stage halves them
    # weight of the squared error of x_0 at a noise level, whose signal-to-noise ratio is SNR: max(SNR, 1) or SNR + 1
    weighting: Annotated[str, Choice(WEIGHTING_NAMES)] = "truncated_snr"
    seed: AnyInt = 0  # seed of batches, noise and generated movements
    epochs: PositiveInt = 8  # epochs of the run, equally many in each stage
    steps_per_epoch: PositiveInt = 150  # optimiser steps per epoch
    batch_size: Annotated[int, Range(ge=2)] = 64  # movements per optimiser step, of all workers together
    data: DataConfig = field(default_factory=DataConfig)  # the same as the teacher's
    # a quarter of the learning rate that a diffusion begins with, anew in each stage
    optim: OptimConfig = field(default_factory=lambda: OptimConfig(lr=5e-4, weight_decay=0.0))
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        check(self)
        halvings = self.teacher_calls // self.calls
        whole = self.teacher_calls % self.calls == 0 and halvings > 1 and halvings & (halvings - 1) == 0
        got = f"teacher_calls={self.teacher_calls}, calls={self.calls}"
        law = "`teacher_calls` to be `calls` times 2, 4, 8 or another power of two"
        require(whole, law, got, "choose calls by halving teacher_calls")
        stages = len(self.stage_calls)
        law = f"the {stages} stages ({', '.join(map(str, self.stage_calls))} calls) to divide `epochs`"
        require(self.epochs % stages == 0, law, f"epochs={self.epochs}", "train each stage for as many epochs")
        require(
            self.batch_size % self.optim.accumulate == 0,
            "`accumulate` to divide `batch_size`",
            f"accumulate={self.optim.accumulate}, batch_size={self.batch_size}",
        )

    @property
    def stage_calls(self) -> tuple[int, ...]:
        """Network calls of the students, stage after stage.

        >>> DistillConfig(teacher_calls=16, calls=2, epochs=6).stage_calls
        (8, 4, 2)
        """
        halvings = (self.teacher_calls // self.calls).bit_length() - 1
        return tuple(self.teacher_calls >> number for number in range(1, halvings + 1))

    def stage_of(self, epoch: int) -> Stage:
        """Return the stage of an epoch; that of epoch 0, before any training, is the first.

        >>> [DistillConfig(calls=4, epochs=4).stage_of(epoch).calls for epoch in range(5)]
        [8, 8, 8, 4, 4]
        """
        each = self.epochs // len(self.stage_calls)
        number = max(epoch - 1, 0) // each
        return Stage(number, self.stage_calls[number], number * each + 1, each)
