"""The configuration of a co-training: both models, what they exchange, and when a cycle counts."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.augmentation.config import AugmentationConfig
from trainables.core.bounds import AnyInt, Choice, NonNegativeFloat, NonNegativeInt, PositiveInt, Range, check
from trainables.core.config import require
from trainables.data.config import DataConfig, VariationsConfig
from trainables.diffusion.config import DiffusionConfig, ModelConfig, MotionConfig, OptimConfig
from trainables.diffusion.latents.config import LatentConfig
from trainables.diffusion.noise.config import NoiseConfig
from trainables.diffusion.ranking_config import ContrastiveConfig
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.physical.config import FitConfig, PhysicalConfig, PopulationConfig

BETTER = "better"
SIDES = ("diffusion", "physical")


@dataclass(frozen=True)
class CotrainingConfig:
    """One training run."""

    seed: AnyInt = 0  # seed of weights, batches, noise and exchanged movements
    # generated movements in the training set of the other model over real ones, without weight; not shown to pay
    alpha: Annotated[float, Range(ge=0, le=10)] = 0.1
    # weight of a generated movement beside the 1 of a real one, in training sets of equally many; excludes alpha
    weight: Annotated[float, Range(ge=0, le=10)] = 0.0
    epochs: PositiveInt = 14  # epochs of the run: the fit, then the warm-up of the diffusion, then the cycles
    cycles: PositiveInt = 3  # cycles of exchange; what they leave of `epochs` is warm-up
    epochs_per_cycle: PositiveInt = 1  # epochs of the diffusion in a cycle; one more refits the physical model
    fit_epochs: PositiveInt = 3  # fits of `fit.iterations` steps in the warm-up of the physical model; one in a cycle
    # improvement of val/auc_excess that its lower bound must exceed, or the cycle of that model is reverted
    margin: NonNegativeFloat = 0.0
    confidence: Annotated[float, Range(gt=0.5, lt=1)] = 0.8  # of that one-sided bound, paired over validation users
    patience: NonNegativeInt = 2  # cycles in succession that both models lose before the run ends; 0: never end early
    # model that a checkpoint samples from; better: the one with the smaller val/auc_excess
    samples_from: Annotated[str, Choice((BETTER, *SIDES))] = BETTER
    physical_checkpoint: str = ""  # checkpoint folder of a physical model that the fit begins with; empty: with none
    steps_per_epoch: PositiveInt = 150  # optimiser steps in an epoch of the diffusion; equal for every alpha
    batch_size: Annotated[int, Range(ge=2)] = 64  # movements per optimiser step, of all workers together
    data: DataConfig = field(default_factory=DataConfig)
    variations: VariationsConfig = field(default_factory=VariationsConfig)
    latent: LatentConfig = field(default_factory=LatentConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    diffusion: NoiseConfig = field(default_factory=NoiseConfig)
    contrastive: ContrastiveConfig = field(default_factory=ContrastiveConfig)
    optim: OptimConfig = field(default_factory=OptimConfig)
    sampling: SamplingConfig = field(default_factory=SamplingConfig)  # of evaluations and of exchanged movements
    fit: FitConfig = field(default_factory=FitConfig)
    population: PopulationConfig = field(default_factory=PopulationConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        check(self)
        least = 2 + self.cycles * self.epochs_in_cycle
        got = f"epochs={self.epochs}, cycles={self.cycles}, epochs_per_cycle={self.epochs_per_cycle}"
        law = f"`epochs >= 2 + cycles * (epochs_per_cycle + 1)`, here {least}"
        require(self.epochs >= least, law, got, "train for more epochs, or in fewer cycles")
        both = self.alpha > 0 and self.weight > 0
        remedy = "set one of them to 0, for both together scale the generated part twice"
        require(not both, "`alpha` or `weight`, not both", f"alpha={self.alpha:g}, weight={self.weight:g}", remedy)
        ranked = self.weight > 0 and self.contrastive.weight > 0
        got = f"weight={self.weight:g}, contrastive.weight={self.contrastive.weight:g}"
        require(not ranked, "no ranking term with `weight`, which it does not know", got, "set contrastive.weight=0")
        self.of_diffusion()
        self.of_physical()

    @property
    def exchanges(self) -> bool:
        """Whether the models see each other's movements at all."""
        return self.alpha > 0 or self.weight > 0

    @property
    def epochs_in_cycle(self) -> int:
        """Epochs of a cycle: those of the diffusion and the refit."""
        return self.epochs_per_cycle + 1

    @property
    def warmup_epochs(self) -> int:
        """Epochs of the diffusion before the first cycle."""
        return self.epochs - 1 - self.cycles * self.epochs_in_cycle

    def of_diffusion(self) -> DiffusionConfig:
        """Return the configuration of the diffusion alone, as long as the run trains it."""
        return DiffusionConfig(
            seed=self.seed,
            epochs=self.warmup_epochs + self.cycles * self.epochs_per_cycle,
            steps_per_epoch=self.steps_per_epoch,
            batch_size=self.batch_size,
            data=self.data,
            augmentation=AugmentationConfig(variations=self.variations),
            latent=self.latent,
            model=self.model,
            motion=self.motion,
            diffusion=self.diffusion,
            contrastive=self.contrastive,
            optim=self.optim,
            sampling=self.sampling,
            evaluation=self.evaluation,
        )

    def of_physical(self) -> PhysicalConfig:
        """Return the configuration of the physical model alone, as long as the run fits it."""
        return PhysicalConfig(
            seed=self.seed,
            epochs=self.fit_epochs + self.cycles,
            fit=self.fit,
            population=self.population,
            data=self.data,
            evaluation=self.evaluation,
        )
