"""The configuration of a fit of strokes and of the population over them; it imports no torch."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import AnyInt, Choice, NonNegativeFloat, PositiveFloat, PositiveInt, Range, check
from trainables.data.config import DataConfig
from trainables.eval.generation.config import EvaluationConfig

FORM_NAMES = ("sigma_lognormal", "minimum_jerk")  # the keys of `trainables.physical.forms.FORMS`


@dataclass(frozen=True)
class FitConfig:
    """Strokes that are fitted to the training movements."""

    form: Annotated[str, Choice(FORM_NAMES)] = "sigma_lognormal"  # form of a stroke
    iterations: PositiveInt = 10  # steps of the joint optimisation in an epoch
    # training movements that are fitted, drawn by chance from more; their strokes are what a checkpoint holds
    movements: Annotated[int, Range(ge=2)] = 4096

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class PopulationConfig:
    """Distribution of the strokes under a condition."""

    # width of the kernel over conditions, in standard deviations; wider: more movements to draw from, less alike
    bandwidth: PositiveFloat = 0.5
    # perturbation of the strokes, in root mean square steps of their movement; 0 repeats the training movements
    spread: NonNegativeFloat = 0.6
    candidates: PositiveInt = 8  # draws for a sample, of which the one nearest to the condition is taken

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class PhysicalConfig:
    """One training run."""

    seed: AnyInt = 0  # seed of the choice of movements
    epochs: PositiveInt = 4  # epochs of the run; epoch 0 has initial values alone
    fit: FitConfig = field(default_factory=FitConfig)
    population: PopulationConfig = field(default_factory=PopulationConfig)
    data: DataConfig = field(default_factory=DataConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)

    def __post_init__(self) -> None:
        check(self)
