"""Configuration of the evaluation of generators, without torch."""

from dataclasses import dataclass
from typing import Annotated

from trainables.core.bounds import AnyInt, Choice, Length, PositiveInt, Range, check

# the keys of `trainables.eval.metrics.PROBES`
PROBE_NAMES = ("logistic", "wide", "quadratic", "mlp", "forest", "boosting")
HEADLINE_PROBES = ("features", "pixels", "convolutions")  # the keys of `trainables.eval.generation.probes.CLASSIFIERS`
METRIC_NAMES = ("probes", "c2st", "mmd", "prd", "kinematics", "spectra")  # the keys of `report.METRICS`
ONE_USER = 1 / 3  # share of the movements from which on one user decides the figures
MINIMUM_MOVEMENTS = 40  # half may be lost to re-observation, or are clustered into 20 with a row for each


@dataclass(frozen=True)
class EvaluationConfig:
    """Evaluation of a generator on the validation split."""

    # validation movements at most; the default validation split has fewer
    movements: Annotated[int, Range(ge=MINIMUM_MOVEMENTS)] = 512
    # probes of the two-sample test; the headline is the largest excess among them
    probes: Annotated[tuple[Annotated[str, Choice(HEADLINE_PROBES)], ...], Length()] = HEADLINE_PROBES
    folds: Annotated[int, Range(ge=2)] = 5  # folds of the probes' cross-validation
    seed: AnyInt = 20240  # seed of rows and folds: common to all trials of a study
    # seed of the samples' noise, which differs between trials of a sweep; null: `seed`
    noise_seed: AnyInt | None = None

    def __post_init__(self) -> None:
        check(self)

    @property
    def sampling_seed(self) -> int:
        """Return the seed of the samples' noise."""
        return self.seed if self.noise_seed is None else self.noise_seed


@dataclass(frozen=True)
class MetricConfig:
    """Comparison of real and fake movements."""

    # classifiers of the two-sample test
    probes: Annotated[tuple[Annotated[str, Choice(PROBE_NAMES)], ...], Length()] = PROBE_NAMES
    folds: Annotated[int, Range(ge=2)] = 5  # folds of their cross-validation
    null_repeats: Annotated[int, Range(ge=2)] = 10  # random halvings of the real movements for each null band
    permutations: PositiveInt = 999  # of the labels for a p-value, which is therefore never below 0.001
    seed: AnyInt = 20240  # seed of folds, halvings and permutations

    def __post_init__(self) -> None:
        check(self)
