"""Judging samples during training: the same real rows, conditions, folds and kernel width in every epoch and trial.

Each sample is asked to match one held-out movement (its duration, distance, direction and path length) and goes through
the same observation model and canonical form before features are taken. With these common random numbers two trials
differ by their models and not by the luck of the draw.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainables import names
from trainables.config import ConfigError, require, require_member
from trainables.data.canonical import Canonical, CanonicalConfig, reobserve
from trainables.eval.features import FEATURES, movement_features
from trainables.eval.metrics import (
    PROBES,
    C2STResult,
    NullBand,
    classifier_two_sample_test,
    median_distance,
    mmd_rbf,
    null_band,
    standardise,
)
from trainables.seeding import generator


@dataclass(frozen=True)
class EvaluationConfig:
    """How a model is judged on the validation part."""

    movements: int = 512  # at most; the default validation part has fewer
    steps: int = 20  # network calls per sample
    probe: str = "quadratic"
    folds: int = 5
    seed: int = 20240  # of noise, rows and folds: common to all trials of a study

    def __post_init__(self) -> None:
        require(self.movements >= 20, "`movements >= 20`", f"movements={self.movements}")
        require(self.steps >= 1, "`steps >= 1`", f"steps={self.steps}")
        require(self.folds >= 2, "`folds >= 2`", f"folds={self.folds}")
        require_member("probe", self.probe, PROBES)


@dataclass(frozen=True, eq=False)
class Validator:
    """Real features and everything else that a comparison fixes; call it with samples.

    Attributes:
        asked: The held-out movements whose conditions the samples are asked to match, row by row.
    """

    asked: Canonical
    features: Float[Tensor, "N F"]
    sigma: float
    canonical: CanonicalConfig
    config: EvaluationConfig

    @classmethod
    def fit(cls, held_out: Canonical, canonical: CanonicalConfig, config: EvaluationConfig) -> "Validator":
        """Choose the rows, take their features, and fix sigma on them."""
        order = torch.randperm(len(held_out), generator=generator(config.seed, "validation rows"))
        asked = held_out.take(order[: config.movements].sort().values)
        features = movement_features(asked.deltas, asked.mask)
        sigma = median_distance(standardise(features, columns=FEATURES).real)
        return cls(asked, features, sigma, canonical, config)

    def __call__(self, samples: Canonical) -> Mapping[str, float]:
        """C2ST and MMD of samples, one per row of `asked`, after re-observation.

        `val/rejected` is the share of samples that no longer are movements then (no net displacement); they are left
        out of both metrics with the movements that they were asked to match, and a model that has many is refused.

        Raises:
            ConfigError: another number of samples, or fewer than half of them survive re-observation.
        """
        require(
            len(samples) == len(self.asked),
            f"`samples == {len(self.asked)}`, one per row of `asked`",
            str(len(samples)),
        )
        observed, rows = reobserve(samples, self.canonical)
        if 2 * len(rows) < len(samples):
            raise ConfigError(f"`usable samples >= half` must hold, but {len(rows)} of {len(samples)} are movements")
        real, fake = self.features[rows], movement_features(observed.deltas, observed.mask)
        test = self._test(real, fake, (self.asked.take(rows).group, observed.group))
        scaled = standardise(real, fake, columns=FEATURES)
        return {
            names.VAL_C2ST: test.accuracy,
            names.VAL_C2ST_AUC: test.auc,
            names.VAL_C2ST_EXCESS: max(0.0, test.accuracy - 0.5),
            names.VAL_MMD: mmd_rbf(scaled.real, scaled.others[0], self.sigma),
            names.VAL_REJECTED: 1.0 - len(rows) / len(samples),
        }

    def floor(self) -> NullBand:
        """Real against real: random halves of the held-out movements under the same probe and folds."""
        config = self.config
        return null_band(
            self.features, groups=self.asked.group, probe=config.probe, folds=config.folds, seed=config.seed
        )

    def against(self, others: Canonical) -> float:
        """C2ST of the held-out movements against other real people: what a perfect copy of those would score."""
        rows = torch.randperm(len(others), generator=generator(self.config.seed, "other people"))[: len(self.asked)]
        chosen = others.take(rows)
        return self._test(self.features, movement_features(chosen.deltas, chosen.mask), None).accuracy

    def _test(
        self,
        real: Float[Tensor, "N F"],
        fake: Float[Tensor, "M F"],
        groups: tuple[tuple[str, ...], tuple[str, ...]] | None,
    ) -> C2STResult:
        """The probe; `groups` of the real and the fake rows keep a person in one fold."""
        config = self.config
        return classifier_two_sample_test(
            real,
            fake,
            real_groups=groups[0] if groups else None,
            fake_groups=groups[1] if groups else None,
            probe=config.probe,
            folds=config.folds,
            seed=config.seed,
            columns=FEATURES,
        )
