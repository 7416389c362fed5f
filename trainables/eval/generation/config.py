"""Configuration of the evaluation of generators, without torch."""

from dataclasses import dataclass

from trainables.core.config import require, require_member

PROBE_NAMES = ("logistic", "quadratic", "mlp", "forest", "boosting")  # the keys of `trainables.eval.metrics.PROBES`
MINIMUM_MOVEMENTS = 40  # half may be lost to re-observation, or are clustered into 20 with a row for each


@dataclass(frozen=True)
class EvaluationConfig:
    """How a model is judged on the validation split."""

    movements: int = 512  # at most; the default validation split has fewer
    probe: str = "quadratic"
    folds: int = 5
    seed: int = 20240  # of noise, rows and folds: common to all trials of a study

    def __post_init__(self) -> None:
        require(
            self.movements >= MINIMUM_MOVEMENTS, f"`movements >= {MINIMUM_MOVEMENTS}`", f"movements={self.movements}"
        )
        require(self.folds >= 2, "`folds >= 2`", f"folds={self.folds}")
        require_member("probe", self.probe, PROBE_NAMES)


@dataclass(frozen=True)
class MetricConfig:
    """How real and fake are compared."""

    probes: tuple[str, ...] = PROBE_NAMES
    folds: int = 5
    null_repeats: int = 10  # random halvings of the real movements behind each null band
    permutations: int = 999  # of the labels behind a p-value, which is therefore never below 0.001
    seed: int = 20240  # of folds, halvings and permutations

    def __post_init__(self) -> None:
        require(bool(self.probes), "`probes` to name at least one", "none")
        for probe in self.probes:
            require_member("probes", probe, PROBE_NAMES)
        require(self.folds >= 2, "`folds >= 2`", f"folds={self.folds}")
        require(self.null_repeats >= 2, "`null_repeats >= 2`", f"null_repeats={self.null_repeats}")
        require(self.permutations >= 1, "`permutations >= 1`", f"permutations={self.permutations}")
