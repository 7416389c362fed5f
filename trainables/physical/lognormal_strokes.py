"""Sigma-lognormal strokes of a fit: displacements in closed form with derivatives, and initial values of one stroke.

The speed of stroke i is D_i Lambda(t; t0_i, mu_i, sigma_i), with Lambda the lognormal density of t - t0, and its
heading turns from theta_s to theta_e in proportion to the share F of it that is done. With turn = theta_e - theta_s and
theta = (theta_s + theta_e) / 2 its displacement up to the share F is

    D F sinc(turn F / 2) (cos, sin)(theta - turn (1 - F) / 2),   sinc(x) = sin(x) / x,

the arc's D / turn (sin(theta_s + turn F) - sin theta_s, cos theta_s - cos(theta_s + turn F)), which has no 0 / 0 in it
where a stroke is straight. Strokes add as vectors.

A fit moves ln D, the median time m = t0 + e^mu, the logarithm of the width w = sigma e^mu, theta, ln sigma and turn:
the median and the width of a stroke are seen in its speed, while t0 and mu are so together only.

References: A multi-level representation paradigm for handwriting stroke generation (Plamondon & Djioua, 2006),
doi:10.1016/j.humov.2006.07.004; Development of a Sigma-Lognormal representation for on-line signatures (O'Reilly &
Plamondon, 2009), doi:10.1016/j.patcog.2008.10.017, for the initial values.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.physical.stroke_form import SHARED, Peak, StrokeForm, heading_vector, turned

SIGMAS = (0.05, 1.2)  # of initial values: less is a Gaussian bell, more is a stroke whose end is never seen
TURN_RAD = 1.5  # most of an initial turn: headings of a slow pointer are those of the pixel grid
BEGUN = 1e-12  # e^mu over which t - t0 is 0: nothing of a stroke is done there
STRAIGHT = 1e-3  # half a turn below which the derivative of sinc is its series


def displacement(free: Float[Tensor, "N K 6"], t_s: Float[Tensor, "N T"]) -> Float[Tensor, "N K T 2"]:
    """Return the displacement of each stroke since its beginning."""
    done, _, _ = _done(free, t_s)
    log_distance, _, _, direction, _, turn = free[:, :, None, :].unbind(-1)
    length = log_distance.exp() * done * torch.sinc(0.5 * turn * done / math.pi)
    return heading_vector(direction - 0.5 * turn * (1.0 - done), length)


def jacobian(
    free: Float[Tensor, "N K 6"], t_s: Float[Tensor, "N T"]
) -> tuple[Float[Tensor, "N K T 2"], Float[Tensor, "N K 6 T 2"]]:
    """Return the displacements with their derivatives by the free parameters."""
    done, score, since = _done(free, t_s)
    log_distance, _, log_width, direction, log_sigma, turn = free[:, :, None, :].unbind(-1)
    distance, half, heading = log_distance.exp(), 0.5 * turn * done, direction - 0.5 * turn * (1.0 - done)
    sinc = torch.sinc(half / math.pi)
    moved = heading_vector(heading, distance * done * sinc)
    density = torch.exp(-0.5 * score.square()) / math.sqrt(2 * math.pi) * (since > 0)
    since = since.clamp(min=BEGUN)
    late, by_middle = (since - 1.0) / (since * log_sigma.exp()), -density / (since * log_width.exp())
    by_shape = torch.stack([by_middle, -density * late, density * (late - score)], dim=2)
    onward = heading_vector(direction + turn * (done - 0.5), distance.expand_as(done))
    bend = torch.where(half.abs() < STRAIGHT, -half / 3.0, (half.cos() - sinc) / half)
    along = heading_vector(heading, 0.5 * distance * done.square() * bend)
    by_turn = along + turned(moved) * (0.5 * (done - 1.0))[..., None]
    by_time = by_shape[..., None] * onward[:, :, None]
    parts = [moved, *by_time[:, :, :2].unbind(2), turned(moved), by_time[:, :, 2], by_turn]
    return moved, torch.stack(parts, dim=2)


def _done(
    free: Float[Tensor, "N K 6"], t_s: Float[Tensor, "N T"]
) -> tuple[Float[Tensor, "N K T"], Float[Tensor, "N K T"], Float[Tensor, "N K T"]]:
    """Return the share of each stroke that is done, the standardised logarithm of t - t0, and (t - t0) / e^mu."""
    _, middle, log_width, _, log_sigma, _ = free[:, :, None, :].unbind(-1)
    stretched = (t_s[:, None, :] - middle) * (log_sigma - log_width).exp()
    begun = stretched > -1.0
    score = torch.where(begun, stretched, 0.0).log1p() / log_sigma.exp()
    done = torch.where(begun, torch.special.ndtr(score), 0.0)
    return done, score, torch.where(begun, 1.0 + stretched, 0.0)


def parameters_of(free: Float[Tensor, "*S 6"]) -> Float[Tensor, "*S 6"]:
    """Return D in px, t0 in s, mu, sigma, theta_s and theta_e in radians."""
    log_distance, middle, log_width, direction, log_sigma, turn = free.unbind(-1)
    mu = log_width - log_sigma
    ends = (direction - 0.5 * turn, direction + 0.5 * turn)
    return torch.stack([log_distance.exp(), middle - mu.exp(), mu, log_sigma.exp(), *ends], dim=-1)


def free_of(parameters: Float[Tensor, "*S 6"]) -> Float[Tensor, "*S 6"]:
    """Inverse of `parameters_of`."""
    distance, t0, mu, sigma, start, end = parameters.unbind(-1)
    shared = (distance.log(), t0 + mu.exp(), mu + sigma.log(), 0.5 * (start + end))
    return torch.stack([*shared, sigma.log(), end - start], dim=-1)


def initial(peak: Peak) -> Float[Tensor, "N 6"]:
    """Return the free parameters of the stroke whose maximum and inflections are given.

    With a the value of mu - ln(t - t0) at a point, which is sigma^2 at the maximum and 3/2 sigma^2 +- sigma
    sqrt(sigma^2 / 4 + 1) at the inflections, the ratio r of the speed at an inflection over the maximum gives
    sigma^2 = -2 - 2 ln r - 1 / (2 ln r), and that of the right inflection over the left one, with q its logarithm,
    sigma^2 = 2 sqrt(1 + q^2) - 2. Of the three the one is taken whose stroke is nearest to the profile.
    """
    left, right = ((peak.speed[:, side] / peak.speed[:, 1]).log().clamp(max=-1e-3) for side in (0, 2))
    skew = right - left
    squares = (
        torch.where(left < -0.5, _square_of(left), 0.0),
        torch.where(right > -0.5, _square_of(right), 0.0),
        torch.where(skew > 0, 2.0 * (1.0 + skew.square()).sqrt() - 2.0, 0.0),
    )
    candidates = torch.stack([_stroke(peak, square) for square in squares])
    errors = torch.stack([_error(peak, one) for one in candidates])
    best: Tensor = candidates.gather(0, errors.argmin(dim=0)[None, :, None].expand(1, -1, 6)).squeeze(0)
    return best


def _square_of(log_ratio: Float[Tensor, "N"]) -> Float[Tensor, "N"]:
    return -2.0 - 2.0 * log_ratio - 0.5 / log_ratio


def _stroke(peak: Peak, square: Float[Tensor, "N"]) -> Float[Tensor, "N 6"]:
    """Return the stroke of a given sigma^2: e^mu from the times of two points, t0 and D from the maximum."""
    sigma = square.clamp(min=0.0).sqrt().clamp(*SIGMAS)
    spread = sigma * (sigma.square() / 4 + 1).sqrt()
    a = torch.stack([1.5 * sigma.square() + spread, sigma.square(), 1.5 * sigma.square() - spread], dim=1)
    first, last = torch.where(peak.inside[:, 0], 0, 1), torch.where(peak.inside[:, 1], 2, 1)
    apart = _at(peak.t_s, last) - _at(peak.t_s, first)
    median = apart / (_at((-a).exp(), last) - _at((-a).exp(), first)).clamp(min=1e-3)
    median = median.clamp(min=1e-2)
    t0, mu = peak.t_s[:, 1] - median * (-sigma.square()).exp(), median.log()
    distance = peak.speed[:, 1] * sigma * math.sqrt(2 * math.pi) * (mu - 0.5 * sigma.square()).exp()
    share = torch.special.ndtr(((peak.t_s - t0[:, None]).clamp(min=1e-9).log() - mu[:, None]) / sigma[:, None])
    turn = (peak.heading[:, 2] - peak.heading[:, 0]) / (share[:, 2] - share[:, 0]).clamp(min=0.2)
    turn = turn.clamp(-TURN_RAD, TURN_RAD)
    start = peak.heading[:, 1] - turn * share[:, 1]
    return free_of(torch.stack([distance.clamp(min=1e-3), t0, mu, sigma, start, start + turn], dim=1))


def _error(peak: Peak, free: Float[Tensor, "N 6"]) -> Float[Tensor, "N"]:
    """Return the sum of squared differences of speeds between the inflections."""
    distance, t0, mu, sigma, _, _ = parameters_of(free)[:, :, None].unbind(1)
    since = (peak.at_s - t0).clamp(min=1e-9)
    score = (since.log() - mu) / sigma
    speed = distance / (sigma * math.sqrt(2 * math.pi) * since) * torch.exp(-0.5 * score.square())
    return ((speed - peak.profile).square() * peak.near).sum(dim=1)


def _at(columns: Float[Tensor, "N 3"], index: Tensor) -> Float[Tensor, "N"]:
    return columns.gather(1, index[:, None]).squeeze(1)


SIGMA_LOGNORMAL = StrokeForm(
    free=(*SHARED, "log_sigma", "turn"),
    parameters=("distance_px", "t0_s", "mu", "sigma", "theta_start", "theta_end"),
    displacement=displacement,
    jacobian=jacobian,
    parameters_of=parameters_of,
    initial=initial,
    prior_mean=(4.0, 0.0, math.log(0.05), 0.0, math.log(0.3), 0.0),  # 50 px in strokes of 0.2 s
    prior_std=(3.0, 10.0, 0.7, 10.0, 0.6, 0.7),
)
