"""Whether a probability of a bot is one: temperature, calibration error, Brier score, and the table of reliability.

Temperature scaling divides the log odds by one number, found by maximum likelihood on people and bots that took no part
in the training:

    p = sigma(z / T)          T = argmin of the mean of -y log p - (1 - y) log(1 - p)

It changes no order, hence no area and no rate at a threshold that is moved with it. Labels are y = (n + 1) / (n + 2)
for each of n bots and 1 / (m + 2) for each of m people, as if one more of either had come out either way: with labels
1 and 0 the best T would be 0 where all bots lie above all people, and every score a certainty. The likelihood is
convex in 1 / T, so the root of its slope is found by bisection in float64. Where bots lie below people there is no
root; T then ends at a bound, and says so.

A calibrated probability holds at the share of bots that it was fitted on, the prior. At another one, Bayes' rule adds
the difference of the priors' log odds.

The expected calibration error (ECE) is taken over bins of equal mass: rows sorted by p and cut into bins that differ by
one row at most. Rows of equal p share the mean of their labels before they are cut, so that their order has no say. It
is never zero on finite data; beside it stands what a calibrated detector with the same p would have.

References: On Calibration of Modern Neural Networks (Guo et al., 2017), section 4.2 and eq. 3, arXiv:1706.04599.
Probabilistic outputs for support vector machines (Platt, 1999), section 2.2, for the labels.
Verification of forecasts expressed in terms of probability (Brier, 1950). Mitigating bias in calibration error
estimation (Roelofs et al., 2022), for bins of equal mass, arXiv:2012.08668. Probable inference, the law of succession,
and statistical inference (Wilson, 1927), doi:10.1080/01621459.1927.10502953.
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri
from torch import Tensor

CERTAIN = 1e-15  # a probability nearer to 0 or 1 is that far from it: beyond, 1 - p has no digits in float64
HOTTEST = 100.0  # T is looked for between its inverse and this
BISECTIONS = 60  # of log T in a range of 9.2: to 8e-18
DRAWS = 200  # of labels, for the error of a calibrated detector: its mean is known to a few percent
LEVEL = 0.95  # of the interval of an observed share


@dataclass(frozen=True)
class Temperature:
    """What the log odds are divided by, and the mean negative log likelihood (nats) without and with it.

    Attributes:
        prior: Share of bots among the rows that it was fitted on.
    """

    value: float
    prior: float
    nll_before: float
    nll_after: float

    @property
    def is_at_bound(self) -> bool:
        """Whether no temperature was best: the scores do not tell bots from people, or the wrong way round."""
        return abs(math.log(self.value)) > math.log(HOTTEST) - 1e-6

    def __call__(self, probability: Float[Tensor, "N"], prior: float | None = None) -> Float[Tensor, "N"]:
        """Calibrated probabilities where the share of bots is `prior`, or as it was in the fit; float64."""
        shift = 0.0 if prior is None else _logit(prior) - _logit(self.prior)
        return torch.sigmoid(log_odds(probability) / self.value + shift)


@dataclass(frozen=True)
class ReliabilityBin:
    """Rows of like probability: how many, the mean of what was predicted, and the share that are bots.

    Attributes:
        low, high: Wilson's interval of that share, of independent rows.
    """

    n: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True)
class Reliability:
    """How far probabilities are from being such.

    Attributes:
        ece: Mean over rows of |predicted - observed| of their bin.
        ece_if_calibrated: Its mean if each row were a bot with its own probability.
        brier: Mean of (p - y)^2; 0.25 for one half everywhere.
    """

    bins: tuple[ReliabilityBin, ...]
    ece: float
    ece_if_calibrated: float
    brier: float


def log_odds(probability: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    """log p - log(1 - p) in float64; between -34.5 and 34.5, the log odds of `CERTAIN`."""
    return torch.logit(probability.double(), eps=CERTAIN)


def calibrate(probability: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"]) -> Temperature:
    """The temperature of probabilities.

    Raises ValueError for a value that is no probability, and without bots or people.
    """
    _check(probability)
    z, y = log_odds(probability), is_bot.double()
    value = fit_temperature(z, is_bot)
    before, after = (negative_log_likelihood(z / t, y) for t in (1.0, value))
    return Temperature(value, y.mean().item(), before, after)


def fit_temperature(logits: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"]) -> float:
    """T that makes these labels, smoothed, most likely under sigma(z / T); from 1 / `HOTTEST` to `HOTTEST`.

    Raises ValueError for logits that are not finite, and without bots or people.
    """
    if not bool(logits.isfinite().all()):
        raise ValueError(f"`logits` must be finite, but {int((~logits.isfinite()).sum())} of {len(logits)} are not")
    if bool(is_bot.all()) or not bool(is_bot.any()):
        raise ValueError(f"expected `bots >= 1` and `people >= 1`, but got {int(is_bot.sum())} bots of {len(is_bot)}")
    z, bots, people = logits.double(), int(is_bot.sum()), int((~is_bot).sum())
    y = torch.where(is_bot, (bots + 1) / (bots + 2), 1 / (people + 2))
    low, high = -math.log(HOTTEST), math.log(HOTTEST)  # of log(1 / T), in which the slope grows
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        slope = (z * (torch.sigmoid(z * math.exp(middle)) - y)).mean()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def negative_log_likelihood(z: Float[Tensor, "N"], y: Float[Tensor, "N"]) -> float:
    """Mean of log(1 + exp(-s z)), s = 2 y - 1: nats per row."""
    return torch.nn.functional.softplus(-(2 * y - 1) * z).mean().item()


def brier_score(probability: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"]) -> float:
    """Mean of (p - y)^2."""
    return (probability.double() - is_bot.double()).square().mean().item()


def reliability(
    probability: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"], bins: int, random: torch.Generator
) -> Reliability:
    """Bins of equal mass from the least to the most probable, ECE and Brier score.

    Raises ValueError for a value that is no probability, and unless `1 <= bins <= N`.
    """
    p, y, bin_of, tie_of = _sorted(probability, is_bot, bins)
    coins = (torch.rand(DRAWS, len(p), generator=random, dtype=torch.float64) < p).double()
    size, predicted, observed = bin_of.bincount(), _means(p, bin_of), _means(_shared(y, tie_of), bin_of)
    table = zip(size.tolist(), predicted.tolist(), observed.tolist(), strict=True)
    return Reliability(
        bins=tuple(ReliabilityBin(n, mean, part, *wilson(part, n)) for n, mean, part in table),
        ece=_error(p, y, bin_of, tie_of).item(),
        ece_if_calibrated=_error(p, coins, bin_of, tie_of).mean().item(),
        brier=brier_score(probability, is_bot),
    )


def _sorted(
    probability: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"], bins: int
) -> tuple[Float[Tensor, "N"], Float[Tensor, "N"], Int[Tensor, "N"], Int[Tensor, "N"]]:
    """Probabilities from the least on, their labels, the bin of each row and the tie that it is in."""
    _check(probability)
    if not 1 <= bins <= len(probability):
        raise ValueError(f"expected `1 <= bins <= rows`, but got bins={bins} and {len(probability)} rows")
    order = probability.argsort(stable=True)
    p, y = probability[order].double(), is_bot[order].double()
    bin_of = torch.arange(bins).repeat_interleave(torch.tensor([len(part) for part in p.tensor_split(bins)]))
    return p, y, bin_of, p.unique_consecutive(return_inverse=True)[1]


def _error(
    p: Float[Tensor, "N"], y: Float[Tensor, "*D N"], bin_of: Int[Tensor, "N"], tie_of: Int[Tensor, "N"]
) -> Float[Tensor, "*D"]:
    """The calibration error of each row of labels."""
    gap = (_means(p, bin_of) - _means(_shared(y, tie_of), bin_of)).abs()
    return gap @ (bin_of.bincount().double() / len(p))


def wilson(share: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval of a share of n independent rows."""
    z2 = float(ndtri((1 + level) / 2)) ** 2
    centre, reach = share + z2 / (2 * n), math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n)))
    return max((centre - reach) / (1 + z2 / n), 0.0), min((centre + reach) / (1 + z2 / n), 1.0)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _means(values: Float[Tensor, "*D N"], group: Int[Tensor, "N"]) -> Float[Tensor, "*D K"]:
    """Mean of the values of each group, along the last axis."""
    counts = group.bincount()
    sums = torch.zeros(*values.shape[:-1], len(counts), dtype=torch.float64).index_add(-1, group, values)
    return sums / counts


def _shared(values: Float[Tensor, "*D N"], tie: Int[Tensor, "N"]) -> Float[Tensor, "*D N"]:
    """Every value replaced by the mean of those of its tie."""
    return _means(values, tie)[..., tie]


def _check(probability: Float[Tensor, "N"]) -> None:
    bad = (~((probability >= 0) & (probability <= 1))).nonzero().squeeze(1)
    if len(bad):
        row = bad[0].item()
        raise ValueError(f"expected a probability in [0, 1], but got {probability[bad[0]].item()} in row {row}")
