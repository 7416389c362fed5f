"""The probes of the paired two-sample test: three tables of columns, each with the classifier that suits it.

features        kinematic features, the same for a movement in any direction; logistic regression of degree 2
pixels          the pixel grid, still runs, ends and profiles; random forest
convolutions    random convolutions of the raw steps; logistic regression with strong shrinkage

Each probe has a floor: its AUC between the evaluated users and others of their source, who stand in the generator's
place. A perfect generator, which is another user, reads the floor and not one half, for users differ. What counts is
the excess over the floor, and of the probes the one that finds most.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from trainables.data.canonical import Canonical
from trainables.eval.features.convolutions import RandomConvolutions
from trainables.eval.features.feature_tables import Array
from trainables.eval.features.kinematic import movement_features
from trainables.eval.features.pixels import pixel_features
from trainables.eval.indices import Indices
from trainables.eval.two_sample.paired import PairedScores, paired_scores, swapped_aucs

CLASSIFIERS: Mapping[str, str] = {"features": "quadratic", "pixels": "forest", "convolutions": "wide"}
"""Name of a probe -> its classifier, a key of `trainables.eval.metrics.PROBES`."""

Table = Callable[[Canonical], Float[Tensor, "N F"]]


def kinematic_features(movements: Canonical) -> Float[Tensor, "N F"]:
    """Return the columns `FEATURES`."""
    return movement_features(movements.deltas, movements.mask)


@dataclass(frozen=True, eq=False)
class Probes:
    """The probes of one set of evaluated movements, to which thresholds of the convolutions are fitted.

    Attributes:
        tables: Name of a probe -> function that computes its columns.
        real: Name of a probe -> columns of the evaluated movements.
    """

    tables: Mapping[str, Table]
    real: Mapping[str, Float[Tensor, "N F"]]
    folds: int
    seed: int

    @classmethod
    def fit(cls, evaluated: Canonical, names: Sequence[str], folds: int, seed: int) -> "Probes":
        """Compute the columns of the evaluated movements, in 60 Hz steps, for the probes of these names."""
        makers: Mapping[str, Callable[[], Table]] = {
            "features": lambda: kinematic_features,
            "pixels": lambda: pixel_features,
            "convolutions": lambda: RandomConvolutions.fit(evaluated),
        }
        tables = {name: makers[name]() for name in names}
        return cls(tables, {name: table(evaluated) for name, table in tables.items()}, folds, seed)

    def __call__(
        self, others: Canonical, owners: Sequence[str], rows: Int[Tensor, "K"] | None = None
    ) -> dict[str, PairedScores]:
        """Return the scores of every probe for pairs of an evaluated movement and another one.

        Args:
            others: One movement per evaluated one, or per one of `rows`.
            owners: User of the evaluated movement of each pair.
            rows: Row numbers of the evaluated movements; all without it.
        """
        return {
            name: paired_scores(real, other, owners, probe=CLASSIFIERS[name], folds=self.folds, seed=self.seed)
            for name, real, other in self._sides(others, rows)
        }

    def swapped_excess(self, others: Canonical, owners: Sequence[str], repeats: int) -> Array:
        """Return the largest excess in each of `repeats` swaps by chance of the sides of all pairs of a user.

        The excess of a swap is that over the mean of its probe over all swaps.
        """
        swapped = partial(swapped_aucs, owners=owners, repeats=repeats, folds=self.folds, seed=self.seed)
        aucs = np.array([swapped(real, other, probe=CLASSIFIERS[name]) for name, real, other in self._sides(others)])
        largest: Array = (aucs - aucs.mean(axis=1, keepdims=True)).max(axis=0)
        return largest

    def _sides(self, others: Canonical, rows: Int[Tensor, "K"] | None = None) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yield the name of each probe with its columns of both sides."""
        for name, table in self.tables.items():
            yield name, self.real[name] if rows is None else self.real[name][rows], table(others)


@dataclass(frozen=True, eq=False)
class ProbeTests:
    """What the probes read of samples, and of other users in their place.

    Attributes:
        scores: Name of a probe -> its scores of the samples and the movements that they match, in pairs.
        floors: Name of a probe -> its scores of other users' movements in the place of samples; none without others.
        rows: Row in `floors` of each pair of `scores`.
    """

    scores: Mapping[str, PairedScores]
    floors: Mapping[str, PairedScores]
    rows: Indices

    def auc(self, pairs: Indices | None, probe: str) -> float:
        """Return the AUC of a probe on chosen pairs; on all without them."""
        return self.scores[probe].auc(pairs)

    def accuracy(self, pairs: Indices | None, probe: str) -> float:
        """Return its balanced accuracy."""
        return self.scores[probe].accuracy(pairs)

    def floor(self, pairs: Indices | None, probe: str) -> float:
        """Return its AUC with the others in the place of the samples of chosen pairs."""
        return self.floors[probe].auc(self.rows if pairs is None else self.rows[pairs])

    def excess(self, pairs: Indices | None, probe: str) -> float:
        """Return the excess of its AUC over its floor."""
        return self.auc(pairs, probe) - self.floor(pairs, probe)

    def largest_excess(self, pairs: Indices | None = None) -> float:
        """Return the largest excess of a probe on chosen pairs."""
        return max(self.excess(pairs, probe) for probe in self.scores)
