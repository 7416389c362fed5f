"""Fuse several movements of a session into one score, the sum of their log odds, and measure their dependence.

If the n movements of a session were independent given their class, Bayes' rule would add their log likelihood ratios:

    L = logit(prior) + sum_i (l_i - logit(prior))          l_i = log p_i / (1 - p_i), calibrated at that prior

They are not: the movements of a user are alike, and a user with one movement like a bot's has more of them, so that the
sum is overconfident. This is measured in two ways. `intraclass_correlation` is the share rho of the variance of the log
odds that lies between sessions; the variance of a sum of n is then 1 + (n - 1) rho times that of independent movements.
And the same metrics are computed with the movements of a class shuffled over its sessions: those of independent ones.

A session of fewer than n movements has no score; movements left over at its end are not used. Both are counted.

References: Intraclass correlations: uses in assessing rater reliability (Shrout & Fleiss, 1979), ICC(1),
doi:10.1037/0033-2909.86.2.420; for groups of unequal size, A review of inference procedures for the intraclass
correlation coefficient in the one-way random effects model (Donner, 1986), doi:10.2307/1403259.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.eval.detection.calibration import log_odds


@dataclass(frozen=True, eq=False)
class FusedScores:
    """Session scores of n movements each.

    Attributes:
        log_odds: Fused log odds of a bot.
        rows: Row numbers of the movements of each score.
        unused: Number of movements without a score: in short sessions, or left over.
    """

    log_odds: Float[Tensor, "M"]
    rows: Int[Tensor, "M n"]
    unused: int


def fuse(scores: Float[Tensor, "N"], sessions: Sequence[str], n: int, prior: float = 0.5) -> FusedScores:
    """Return the fused scores of each session, `n` movements at a time in the order of the rows.

    Args:
        scores: Probabilities of a bot, calibrated at a share `prior` of bots.

    Raises ValueError unless `n >= 1` and `0 < prior < 1`.
    """
    if not 0 < prior < 1:
        raise ValueError(f"expected `0 < prior < 1`, but got {prior}")
    rows, offset = session_rows(sessions, n), math.log(prior / (1 - prior))
    total = offset + (log_odds(scores)[rows] - offset).sum(dim=1)
    return FusedScores(total, rows, len(sessions) - rows.numel())


def session_rows(sessions: Sequence[str], n: int) -> Int[Tensor, "M n"]:
    """Return the row numbers of every session, `n` at a time in order; the rest of a session is left out.

    Raises ValueError unless `n >= 1`.
    """
    if n < 1:
        raise ValueError(f"expected `n >= 1`, but got {n}")
    rows: dict[str, list[int]] = {}
    for row, session in enumerate(sessions):
        rows.setdefault(session, []).append(row)
    whole = [found[: len(found) // n * n] for found in rows.values()]
    return torch.tensor([row for found in whole for row in found], dtype=torch.int64).view(-1, n)


def shuffle_within(values: Float[Tensor, "N"], kinds: Sequence[str], random: torch.Generator) -> Float[Tensor, "N"]:
    """Return the values shuffled within each kind: sessions keep their sizes and lose their dependence."""
    kind = torch.from_numpy(np.unique(np.asarray(kinds), return_inverse=True)[1])
    key = kind + torch.rand(len(kind), generator=random, dtype=torch.float64)
    result = values.clone()
    result[kind.argsort(stable=True)] = values[key.argsort()]
    return result


def intraclass_correlation(values: Float[Tensor, "N"], sessions: Sequence[str]) -> float:
    """Return rho = (MSB - MSW) / (MSB + (m - 1) MSW), m the mean size of G sessions corrected for their inequality.

    One-way analysis of variance: mean squares between and within sessions, m = (N - sum_g n_g^2 / N) / (G - 1). It may
    be negative by chance, and is 0 where all values are equal.

    Raises ValueError unless there are two sessions and one of at least two movements.
    """
    names, number = np.unique(np.asarray(sessions), return_inverse=True)
    of_row, N, G = torch.from_numpy(number), len(number), len(names)
    if G < 2 or N <= G:
        raise ValueError(f"expected `sessions >= 2` and `movements > sessions`, but got {G} sessions and {N} movements")
    x, size = values.double(), of_row.bincount().double()
    means = torch.zeros(G, dtype=torch.float64).index_add(0, of_row, x) / size
    between = (size * (means - x.mean()).square()).sum() / (G - 1)
    within = (x - means[of_row]).square().sum() / (N - G)
    m = (N - size.square().sum() / N) / (G - 1)
    total = between + (m - 1) * within
    return ((between - within) / total).item() if total > 0 else 0.0
