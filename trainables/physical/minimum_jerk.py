"""A generator from motor control: minimum-jerk sub-movements with signal-dependent noise.

An aimed movement is a primary sub-movement that misses by an error proportional to its length, and corrections of what
is left. Each sub-movement follows the minimum-jerk profile s(tau) = 10 tau^3 - 15 tau^4 + 6 tau^5; motor noise grows
with speed. Output passes the same observation model as a recording.

References: The coordination of arm movements (Flash & Hogan, 1985), eq. 3; Signal-dependent noise determines motor
planning (Harris & Wolpert, 1998); Optimality in human motor performance (Meyer et al., 1988), for the corrections.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.core.config import require
from trainables.data.canonical import Canonical, Movements, rotate
from trainables.data.config import RATE_HZ
from trainables.data.representation import prefix_mask

OVERSAMPLING = 4  # integration steps per observed step


@dataclass(frozen=True)
class MinimumJerk:
    """Parameters of the generator; all shares are of the quantity named.

    Attributes:
        submovements: Primary movement and corrections together.
        undershoot: Mean share of the remaining distance that a sub-movement leaves.
        endpoint_noise: Standard deviation of a sub-movement's end over its length, along and across.
        motor_noise: Standard deviation of the velocity noise over the momentary speed.
        noise_time_s: Correlation time of the motor noise.
        tremor_px_s: Speed-independent velocity noise in pixels per second.
    """

    submovements: int = 3
    undershoot: float = 0.08
    endpoint_noise: float = 0.08
    motor_noise: float = 0.25
    noise_time_s: float = 0.05
    tremor_px_s: float = 12.0

    def __post_init__(self) -> None:
        require(self.submovements >= 1, "`submovements >= 1`", str(self.submovements))
        for name in ("endpoint_noise", "motor_noise", "noise_time_s", "tremor_px_s"):
            require(getattr(self, name) >= 0, f"`{name} >= 0`", str(getattr(self, name)))

    def __call__(self, like: Canonical, random: torch.Generator) -> Movements:
        """Movements with the distances, directions, durations, targets and groups of `like`, whole pixels at 60 Hz."""
        length = (like.duration_s * RATE_HZ).round().long()
        ticks = int(length.max()) * OVERSAMPLING
        tau = (torch.arange(ticks + 1, dtype=torch.float64) / OVERSAMPLING / length[:, None]).clamp(max=1.0)
        path = self._submovement_path(tau, random)
        path = path + self._noise_bridge(path, tau, like, random)
        placed = rotate(path * like.distance_px[:, None, None], like.angle)[:, ::OVERSAMPLING].round()
        steps = placed.diff(dim=1) * prefix_mask(length, ticks // OVERSAMPLING)[..., None]
        return Movements(steps, length, like.group, like.target_width_px, like.source)

    def _submovement_path(self, tau: Float[Tensor, "N P"], random: torch.Generator) -> Float[Tensor, "N P 2"]:
        """Noise-free position in units of the distance: overlapping sub-movements whose last one ends at (1, 0)."""
        ends = self._endpoints(len(tau), random)
        start = torch.zeros(len(tau), dtype=torch.float64)
        previous, path = torch.zeros(len(tau), 2, dtype=torch.float64), torch.zeros(*tau.shape, 2, dtype=torch.float64)
        for k in range(self.submovements):
            last = k == self.submovements - 1
            draw = torch.rand(len(tau), generator=random, dtype=torch.float64)
            width = 1.0 - start if last else (1.0 - start) * (0.3 + 0.4 * draw)
            profile = minimum_jerk(((tau - start[:, None]) / width[:, None]).clamp(0.0, 1.0))
            path = path + profile[..., None] * (ends[:, k] - previous)[:, None]
            previous, start = ends[:, k], start + width * 0.7
        return path

    def _endpoints(self, count: int, random: torch.Generator) -> Float[Tensor, "N K 2"]:
        """Return the end points of the sub-movements: each aims at the target and misses by a share of its length."""
        target = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(count, 2)
        position, ends = torch.zeros(count, 2, dtype=torch.float64), []
        for _ in range(self.submovements - 1):
            aim = target - position
            miss = torch.randn(count, 2, generator=random, dtype=torch.float64) * self.endpoint_noise
            position = position + aim * (1.0 - self.undershoot) + miss * aim.norm(dim=1, keepdim=True)
            ends.append(position)
        return torch.stack([*ends, target], dim=1)

    def _noise_bridge(
        self, path: Float[Tensor, "N P 2"], tau: Float[Tensor, "N P"], like: Canonical, random: torch.Generator
    ) -> Float[Tensor, "N P 2"]:
        """Integrated velocity noise, tied to zero at both ends so that the requested net displacement stays exact."""
        dt_s = 1.0 / (RATE_HZ * OVERSAMPLING)
        moved = path.diff(dim=1).norm(dim=-1, keepdim=True)
        tremor = self.tremor_px_s * dt_s / like.distance_px[:, None, None]
        noise = correlated_noise(path[:, 1:], dt_s / max(self.noise_time_s, dt_s), random)
        running = (tau.diff(dim=1) > 0)[..., None]
        walk = ((self.motor_noise * moved + tremor) * noise * running).cumsum(dim=1)
        walk = torch.cat([torch.zeros_like(walk[:, :1]), walk], dim=1)
        return walk - tau[..., None] * walk[:, -1:]


def minimum_jerk(tau: Float[Tensor, "*S"]) -> Float[Tensor, "*S"]:
    """Position of the smoothest unit movement at relative time 0 <= tau <= 1 (Flash & Hogan, 1985, eq. 3)."""
    return tau**3 * (10.0 + tau * (-15.0 + 6.0 * tau))


def correlated_noise(
    like: Float[Tensor, "N P 2"], relaxation: float, random: torch.Generator
) -> Float[Tensor, "N P 2"]:
    """First-order autoregressive noise of unit variance; `relaxation` = step over correlation time, in (0, 1]."""
    white = torch.randn(like.shape, generator=random, dtype=torch.float64)
    keep = 1.0 - relaxation
    noise = torch.empty_like(white)
    noise[:, 0] = white[:, 0]
    for step in range(1, white.shape[1]):
        noise[:, step] = keep * noise[:, step - 1] + (1.0 - keep**2) ** 0.5 * white[:, step]
    return noise
