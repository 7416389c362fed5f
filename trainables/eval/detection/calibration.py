"""Temperature scaling, expected calibration error, Brier score and reliability table of a bot probability.

Temperature scaling divides the log odds by one number, fitted by maximum likelihood on human and bot movements that
took no part in the training:

    p = sigma(z / T)          T = argmin of the mean of -y log p - (1 - y) log(1 - p)

It changes no order, hence no area and no rate at a threshold that is moved with it. Labels are y = (n + 1) / (n + 2)
for each of n bots and 1 / (m + 2) for each of m human movements, as if one more of each had each label: with labels
1 and 0 the best T would be 0 where all bots lie above all humans, and every score a certainty. The likelihood is
convex in 1 / T, so the root of its slope is found by bisection in float64. Where bots lie below humans there is
no root; T then ends at a bound, and `is_at_bound` is true.

A calibrated probability holds at the share of bots that it was fitted on, the prior. At another one, Bayes' rule adds
the difference of the priors' log odds.

The expected calibration error (ECE) is taken over bins of equal mass: rows sorted by p and cut into bins that differ by
one row at most. Rows of equal p share the mean of their labels before they are cut, so that their order does not
matter. It is never zero on finite data; `ece_if_calibrated` is that of a calibrated detector with the same p.

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
MAX_TEMPERATURE = 100.0  # the search for T is bounded by this and its inverse
BISECTIONS = 60  # of log T in a range of 9.2: to 8e-18
DRAWS = 200  # of labels, for the error of a calibrated detector: its mean is known to a few percent
LEVEL = 0.95  # of the interval of an observed share


@dataclass(frozen=True)
class Temperature:
    """Temperature that divides the log odds, and the mean negative log likelihood (nats) without and with it.

    Attributes:
        prior: Share of bots among the rows of the fit.
    """

    value: float
    prior: float
    nll_before: float
    nll_after: float

    @property
    def is_at_bound(self) -> bool:
        """Whether the likelihood has no maximum: the scores do not separate bots from humans, or inversely."""
        return abs(math.log(self.value)) > math.log(MAX_TEMPERATURE) - 1e-6

    def __call__(self, probability: Float[Tensor, "N"], prior: float | None = None) -> Float[Tensor, "N"]:
        """Return calibrated probabilities at a share `prior` of bots, by default that of the fit; float64."""
        shift = 0.0 if prior is None else _logit(prior) - _logit(self.prior)
        return torch.sigmoid(log_odds(probability) / self.value + shift)


@dataclass(frozen=True)
class ReliabilityBin:
    """Bin of rows of similar probability: their number, mean prediction, and observed share of bots.

    Attributes:
        low, high: Wilson's interval of the observed share, for independent rows.
    """

    n: int
    predicted: float
    observed: float
    low: float
    high: float


@dataclass(frozen=True)
class Reliability:
    """Calibration errors of probabilities, and their reliability table.

    Attributes:
        ece: Expected calibration error: mean over rows of |predicted - observed| of their bin.
        ece_if_calibrated: Mean ECE if each row were a bot with its own probability.
        brier: Mean of (p - y)^2; 0.25 for p = 1/2 everywhere.
    """

    bins: tuple[ReliabilityBin, ...]
    ece: float
    ece_if_calibrated: float
    brier: float


def log_odds(probability: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    """Return log p - log(1 - p) in float64; between -34.5 and 34.5, the log odds of `CERTAIN`."""
    return torch.logit(probability.double(), eps=CERTAIN)


def calibrate(probability: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"]) -> Temperature:
    """Fit the temperature of probabilities.

    Raises ValueError for a value that is no probability, and without bots or human movements.
    """
    _check(probability)
    z, y = log_odds(probability), is_bot.double()
    value = fit_temperature(z, is_bot)
    before, after = (negative_log_likelihood(z / t, y) for t in (1.0, value))
    return Temperature(value, y.mean().item(), before, after)


def fit_temperature(logits: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"]) -> float:
    """Return the T that maximises the likelihood of these labels, smoothed, under sigma(z / T).

    T lies between 1 / `MAX_TEMPERATURE` and `MAX_TEMPERATURE`.

    Raises ValueError for logits that are not finite, and without bots or human movements.
    """
    if not bool(logits.isfinite().all()):
        got = f"{int((~logits.isfinite()).sum())} of {len(logits)} that are not"
        raise ValueError(f"expected finite `logits`, but got {got}; train again with a lower learning rate")
    if bool(is_bot.all()) or not bool(is_bot.any()):
        raise ValueError(f"expected `bots >= 1` and `humans >= 1`, but got {int(is_bot.sum())} bots of {len(is_bot)}")
    z, bots, humans = logits.double(), int(is_bot.sum()), int((~is_bot).sum())
    y = torch.where(is_bot, (bots + 1) / (bots + 2), 1 / (humans + 2))
    low, high = -math.log(MAX_TEMPERATURE), math.log(MAX_TEMPERATURE)  # of log(1 / T), in which the slope grows
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        slope = (z * (torch.sigmoid(z * math.exp(middle)) - y)).mean()
        low, high = (low, middle) if slope > 0 else (middle, high)
    return math.exp(-(low + high) / 2)


def negative_log_likelihood(z: Float[Tensor, "N"], y: Float[Tensor, "N"]) -> float:
    """Return the mean of log(1 + exp(-s z)), s = 2 y - 1, in nats per row."""
    return torch.nn.functional.softplus(-(2 * y - 1) * z).mean().item()


def brier_score(probability: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"]) -> float:
    """Return the mean of (p - y)^2."""
    return (probability.double() - is_bot.double()).square().mean().item()


def reliability(
    probability: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"], bins: int, random: torch.Generator
) -> Reliability:
    """Return the reliability table in bins of equal mass from the least to the most probable, ECE and Brier score.

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
    """Return the sorted probabilities, their labels, and the bin and the tie of each row."""
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
    """Return the calibration error of each row of labels."""
    gap = (_means(p, bin_of) - _means(_shared(y, tie_of), bin_of)).abs()
    return gap @ (bin_of.bincount().double() / len(p))


def wilson(share: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Return Wilson's interval of a proportion of n independent rows."""
    z2 = float(ndtri((1 + level) / 2)) ** 2
    centre, reach = share + z2 / (2 * n), math.sqrt(z2 * (share * (1 - share) / n + z2 / (4 * n * n)))
    return max((centre - reach) / (1 + z2 / n), 0.0), min((centre + reach) / (1 + z2 / n), 1.0)


def _logit(share: float) -> float:
    return math.log(share / (1 - share))


def _means(values: Float[Tensor, "*D N"], group: Int[Tensor, "N"]) -> Float[Tensor, "*D K"]:
    """Return the mean of the values of each group, along the last axis."""
    counts = group.bincount()
    sums = torch.zeros(*values.shape[:-1], len(counts), dtype=torch.float64).index_add(-1, group, values)
    return sums / counts


def _shared(values: Float[Tensor, "*D N"], tie: Int[Tensor, "N"]) -> Float[Tensor, "*D N"]:
    """Return the values, each replaced by the mean of its tie."""
    return _means(values, tie)[..., tie]


def _check(probability: Float[Tensor, "N"]) -> None:
    bad = (~((probability >= 0) & (probability <= 1))).nonzero().squeeze(1)
    if len(bad):
        row = bad[0].item()
        raise ValueError(f"expected a probability in [0, 1], but got {probability[bad[0]].item()} in row {row}")
