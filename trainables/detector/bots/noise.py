"""Noisy bots on the straight line: smooth gradient noise, or Gaussian noise at every event.

Both are added to a straight movement at constant or eased speed and do not move start and target.

References: Improving Noise (Perlin, 2002), for the fade 6 s^5 - 15 s^4 + 10 s^3.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.data.canonical import Canonical
from trainables.detector.bots.bot import Bot, Following, chord
from trainables.detector.bots.easing import EASINGS, eased
from trainables.detector.bots.ranges import chance, log_uniform, uniform
from trainables.physical.minimum_jerk import minimum_jerk

OCTAVES = 3  # each of twice the frequency and half the amplitude
CELLS = (1.5, 6.0)  # of the slowest octave over the way: from one bow to a wave
SWAY = (0.06, 0.3)  # amplitude of the gradients across the chord, over the distance; the noise reaches a fifth of it
LEAST_SWAY_PX = 2.0  # below, the noise of a short way would vanish
ALONG = 0.3  # of the sway across, along the chord
JITTER_PX = (0.5, 30.0)  # standard deviation per axis: libraries shift a point by 1 to 5 px at random, some by more
WHITE = 0.5  # of the bots shift each point on its own, the others by a first-order autoregression
MEMORY = (0.5, 0.95)  # its coefficient per event


def perlin(like: Canonical, progress: Float[Tensor, "N P"], random: torch.Generator) -> Float[Tensor, "N P 2"]:
    """Return gradient noise over the eased time, faded in and out along the way."""
    way = eased(progress, tuple(EASINGS), random)
    sway = torch.maximum(uniform(SWAY, len(like), random), LEAST_SWAY_PX / like.distance_px[:, None])
    at = way * uniform(CELLS, len(like), random)
    shaken = torch.stack([ALONG * _octaves(at, random), _octaves(at, random)], dim=-1)
    fade = (4.0 * way * (1.0 - way)).clamp(min=0.0).sqrt()
    return chord(way) + shaken * (sway * fade)[..., None]


def gradient_noise(at: Float[Tensor, "N P"], gradients: Float[Tensor, "N L"]) -> Float[Tensor, "N P"]:
    """Return one-dimensional Perlin noise: 0 at whole numbers, with the gradient of the cell's corner there.

    Between the corners 0 and 1 at s it is (1 - f) g_0 s + f g_1 (s - 1) with the fade f(s).
    """
    cell = at.floor().long()
    s = at - cell
    fade = minimum_jerk(s)
    return (1.0 - fade) * gradients.gather(1, cell) * s + fade * gradients.gather(1, cell + 1) * (s - 1.0)


def _octaves(at: Float[Tensor, "N P"], random: torch.Generator) -> Float[Tensor, "N P"]:
    total = torch.zeros_like(at)
    for octave in range(OCTAVES):
        corners = int(CELLS[1]) * 2**octave + 2
        gradients = 2.0 * torch.rand(len(at), corners, generator=random, dtype=torch.float64) - 1.0
        total = total + gradient_noise(at * 2**octave, gradients) / 2**octave
    return total


def gaussian(like: Canonical, progress: Float[Tensor, "N P"], random: torch.Generator) -> Float[Tensor, "N P 2"]:
    """Return Gaussian noise at every event on the way, white or autocorrelated; none while the bot rests."""
    way = eased(progress, tuple(EASINGS), random)
    white = chance(WHITE, len(like), random)
    keep = torch.where(white, 0.0, uniform(MEMORY, len(like), random))
    shaken = autoregression(keep, progress.shape[1], random) * log_uniform(JITTER_PX, len(like), random)[..., None]
    shaken = while_moving(shaken, progress.diff(dim=1) > 0)
    under_way = (progress > 0.0) & (progress < 1.0)
    return chord(way) + shaken * (under_way / like.distance_px[:, None])[..., None]


def autoregression(keep: Float[Tensor, "N 1"], events: int, random: torch.Generator) -> Float[Tensor, "N P 2"]:
    """Return Gaussian noise of unit variance on both axes with the correlation `keep` of neighbouring events."""
    white = torch.randn(events, len(keep), 2, generator=random, dtype=torch.float64)
    fresh, noise = (1.0 - keep**2).sqrt(), [white[0]]
    for step in white[1:]:
        noise.append(keep * noise[-1] + fresh * step)
    return torch.stack(noise, dim=1)


def while_moving(noise: Float[Tensor, "N P 2"], moves: Bool[Tensor, "N P1"]) -> Float[Tensor, "N P 2"]:
    """Return the noise, held at events without a move according to `moves`; 0 before the first move."""
    number = torch.arange(1, noise.shape[1])
    last = torch.where(moves, number, 0).cummax(dim=1).values
    first = torch.zeros_like(noise[:, :1])
    kept = torch.cat([first, noise[:, 1:]], dim=1)
    return torch.cat([first, kept.gather(1, last[..., None].expand(-1, -1, 2))], dim=1)


NOISE: dict[str, Bot] = {
    "noise_perlin": Bot("noise", Following(perlin)),
    "noise_gaussian": Bot("noise", Following(gaussian)),
}
