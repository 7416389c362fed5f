"""Sampling-importance-resampling: of K candidates one is drawn with probability proportional to its ratio.

With weights w_c proportional to p_real / p_sampled the drawn candidate is distributed as real movements are, for K
towards infinity and as far as the ratio is right. The candidate of the largest ratio, in contrast, is distributed as
nothing real: its distribution narrows with every candidate more.

Candidate c of the row with key (seed, number) has a key of its own, candidate 0 that of the row: so its noise is that
of a single sample, and K more candidates change none of the others. The draw has its own key as well.

References: Rubin (1988), Using the SIR Algorithm to Simulate Posterior Distributions, section 2.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from trainables.core.derived_seeds import derive
from trainables.core.seeding import generator

Floats = npt.NDArray[np.float64]
Key = tuple[int, int]


def candidate_keys(key: Key, candidates: int) -> list[Key]:
    """Return the keys of the candidates of a row; the first is the row's own."""
    seed, number = key
    return [key, *((derive(seed, "candidate", candidate), number) for candidate in range(1, candidates))]


def weights_of(log_ratio: Floats, usable: npt.NDArray[np.bool_]) -> Floats:
    """Return the weights [K] of the candidates of a row, which sum to 1; equal ones where none is usable.

    Args:
        usable: Whether a candidate is a movement at all; others have no weight.
    """
    if not usable.any():
        return np.full(len(usable), 1.0 / len(usable))
    ratio = np.where(usable, np.exp(log_ratio - log_ratio[usable].max()), 0.0)
    weights: Floats = ratio / ratio.cumsum()[-1]
    return weights


def drawn(weights: Floats, key: Key) -> int:
    """Return the number of the candidate that the row's own uniform number falls on."""
    seed, number = key
    uniform = float(torch.rand((), generator=generator(seed, "selection", number), dtype=torch.float64))
    total = weights.cumsum()
    return int(np.searchsorted(total, uniform * total[-1], side="right").clip(max=int(np.flatnonzero(weights)[-1])))


def effective_candidates(weights: Floats) -> Floats:
    """Return 1 / sum w^2 of weights [..., K]: K where all are equal, 1 where one candidate has all the weight.

    >>> effective_candidates(np.array([[0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]])).tolist()
    [4.0, 1.0]
    """
    values: Floats = 1.0 / np.square(weights).sum(axis=-1)
    return values


def repeated(keys: Sequence[Key], candidates: int) -> list[Key]:
    """Return the keys of all candidates of all rows, those of a row one after another."""
    return [each for key in keys for each in candidate_keys(key, candidates)]
