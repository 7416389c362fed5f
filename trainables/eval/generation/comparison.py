"""Real and fake movements of a comparison, with the features and groups that all metrics share."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trainables.core.config import ConfigError, require
from trainables.data.canonical import Canonical
from trainables.eval.features.feature_tables import Array
from trainables.eval.features.kinematic import FEATURES, movement_features
from trainables.eval.generation.by_source import mean_over_sources, require_enough, rows_by_source
from trainables.eval.generation.config import HEADLINE_PROBES, MINIMUM_MOVEMENTS, MetricConfig
from trainables.eval.generation.matching import evaluated_rows, matched_rows, nearest_rows
from trainables.eval.generation.probes import Probes, ProbeTests
from trainables.eval.indices import Indices
from trainables.eval.intervals.jackknife import Statistic
from trainables.eval.metrics import Standardised, standardise
from trainables.eval.two_sample.null_band import NullBand


@dataclass(frozen=True, eq=False)
class Comparison:
    """Real and fake movements in one form.

    Attributes:
        training: Training movements of the generator.
        in_pairs: Whether row i of both sides is a pair: a movement and the sample made under its conditions.
        requested: Raw conditions of each fake movement, columns as in `CONDITION_NAMES`, if known.

    Raises:
        ConfigError: Fewer movements than `MINIMUM_MOVEMENTS`, or fewer real groups than folds.
    """

    real: Canonical
    fake: Canonical
    training: Canonical
    config: MetricConfig
    requested: Float[Tensor, "M D"] | None = None
    in_pairs: bool = False

    def __post_init__(self) -> None:
        for name, part in (("real", self.real), ("fake", self.fake)):
            law = f"`usable {name} movements >= {MINIMUM_MOVEMENTS}`"
            require(len(part) >= MINIMUM_MOVEMENTS, law, str(len(part)), "give more movements")
        groups = len(set(self.real.group))
        remedy = "give recordings of more users, or name each session as its own user"
        require(groups >= self.config.folds, "`groups of real movements >= folds`", f"{groups} groups", remedy)

    @cached_property
    def paired(self) -> bool:
        """Whether every fake movement has the user of a real one, as samples made under real conditions do."""
        return set(self.fake.group) <= set(self.real.group)

    @cached_property
    def fake_groups(self) -> tuple[str, ...]:
        """Groups of the folds: the user of the real movement that a fake one matches, else the fake movement alone."""
        return self.fake.group if self.paired else tuple(f"fake {row}" for row in range(len(self.fake)))

    @cached_property
    def pairs(self) -> "Pairs":
        """Real movements, the sample that belongs to each, and a movement of another user where there is one."""
        return Pairs.of(self)

    @cached_property
    def features(self) -> tuple[Float[Tensor, "N F"], Float[Tensor, "M F"]]:
        """Features of the real and the fake movements, columns as in `FEATURES`."""
        real, fake = (movement_features(part.deltas, part.mask) for part in (self.real, self.fake))
        return real, fake

    @cached_property
    def scaled(self) -> Standardised:
        """Features on the scale of the real movements."""
        real, fake = self.features
        return standardise(real, fake, columns=FEATURES)


@dataclass(frozen=True, eq=False)
class Pairs:
    """Real movements with one sample each, and with one movement of another user of the same source.

    Of several sources the probes are fitted within each, and what stands for all of them is the mean over sources.

    Attributes:
        others: None where a source of the real movements has none in the training split.
        reason: Why there are no others.
    """

    real: Canonical
    fake: Canonical
    others: Canonical | None
    reason: str
    config: MetricConfig

    @classmethod
    def of(cls, comparison: Comparison) -> "Pairs":
        """Choose as many real movements as there are samples, and others; pair what is not in pairs."""
        real, fake, training, config = comparison.real, comparison.fake, comparison.training, comparison.config
        reason = ""
        try:
            rows = evaluated_rows(real, training, len(fake), config.seed)
        except ConfigError as error:
            rows, reason = torch.arange(min(len(real), len(fake))), str(error)
        chosen = real.take(rows)
        samples = fake.take(rows if comparison.in_pairs else nearest_rows(chosen, fake))
        others = None if reason else training.take(matched_rows(chosen, training))
        return cls(chosen, samples, others, reason, config)

    @cached_property
    def rows(self) -> Mapping[str, Indices]:
        """Source -> rows of its real movements."""
        return rows_by_source(self.real.source)

    @cached_property
    def by_source(self) -> Mapping[str, "PairsOfSource"]:
        """Source -> its pairs, to which the probes are fitted alone.

        Raises:
            ConfigError: Of several sources one has too few movements or users.
        """
        if len(self.rows) > 1:
            owners = {source: [self.real.group[row] for row in own] for source, own in self.rows.items()}
            require_enough(owners, self.config.folds)
        found = {}
        for source, own in self.rows.items():
            at = torch.from_numpy(own)
            others = None if self.others is None else self.others.take(at)
            found[source] = PairsOfSource(self.real.take(at), self.fake.take(at), others, self.config)
        return found

    @property
    def has_floors(self) -> bool:
        """Whether there is a movement of another user for each."""
        return self.others is not None

    def mean(self, statistic: Callable[[ProbeTests, Indices], float]) -> Statistic:
        """Return the mean over sources of a statistic of the tests of each, as one of row numbers."""
        statistics = {source: partial(statistic, of.tests) for source, of in self.by_source.items()}
        return mean_over_sources(statistics, self.rows)

    def no_difference(self, repeats: int) -> NullBand:
        """Return the band of the largest excess without a difference; raises ValueError without others."""
        if not self.has_floors:
            raise ValueError(self.reason)
        return NullBand.of(np.mean([of.swapped_excess(repeats) for of in self.by_source.values()], axis=0).tolist())


@dataclass(frozen=True, eq=False)
class PairsOfSource:
    """The pairs of one source.

    Attributes:
        others: A movement of another user of the source for each; None where the training split has none.
    """

    real: Canonical
    fake: Canonical
    others: Canonical | None
    config: MetricConfig

    @cached_property
    def probes(self) -> Probes:
        """The probes of the headline, with their columns of the real movements."""
        return Probes.fit(self.real, HEADLINE_PROBES, self.config.folds, self.config.seed)

    @cached_property
    def tests(self) -> ProbeTests:
        """What each probe reads of the samples, and of the others in their place where there are any."""
        owners = self.real.group
        floors = {} if self.others is None else self.probes(self.others, owners)
        return ProbeTests(self.probes(self.fake, owners), floors, np.arange(len(owners)))

    def swapped_excess(self, repeats: int) -> Array:
        """Return the largest excess in each of `repeats` swaps of the sides of real movements and others."""
        assert self.others is not None, "a floor is asked for where there are others"
        return self.probes.swapped_excess(self.others, self.real.group, repeats)
