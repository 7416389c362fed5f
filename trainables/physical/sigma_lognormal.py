"""A generator from the kinematic theory of rapid movements: a vector sum of lognormal strokes along circular arcs.

The speed of stroke j is D_j L(t; t0_j, mu_j, sigma_j), with L the lognormal density; its heading turns from theta_s to
theta_e in proportion to the share F of it that is done, so that with turn = theta_e - theta_s its displacement is

    D (sin(theta_s + turn F) - sin theta_s, cos theta_s - cos(theta_s + turn F)) / turn
      = D F sinc(turn F / 2) (cos(theta_s + turn F / 2), sin(theta_s + turn F / 2)),   sinc(x) = sin(x) / x.

Time is in units of the requested duration. The lognormal family is closed under that: a movement of c seconds has
mu + ln c and c t0, the same sigma and the same path. A stroke is cut off `CUT` standard deviations of ln(t - t0) on
either side, where 98.8 % of it lie, and scaled by what is left, so that a movement ends in time and on its target.

References: A multi-level representation paradigm for handwriting stroke generation (Plamondon & Djioua, 2006),
doi:10.1016/j.humov.2006.07.004, for the sigma-lognormal model; Recent developments in the study of rapid human
movements with the kinematic theory (Plamondon et al., 2014), doi:10.1016/j.patrec.2012.06.004.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.data.canonical import Canonical, Movements, rotate
from trainables.data.config import RATE_HZ
from trainables.data.representation import prefix_mask

CUT = 2.5  # standard deviations of the logarithm of time
TAIL = float(torch.special.ndtr(torch.tensor(-CUT, dtype=torch.float64)))  # of the lognormal, beyond one cut


@dataclass(frozen=True, eq=False)
class Strokes:
    """K strokes of each of N movements, in units of the distance and of the duration; strokes of distance 0 are none.

    Attributes:
        distance: D, the length of the arc.
        t0: When the command to move was given.
        mu: Mean of ln(t - t0).
        sigma: Standard deviation of ln(t - t0).
        theta_start: First heading, radians.
        theta_end: Last heading.
    """

    distance: Float[Tensor, "N K"]
    t0: Float[Tensor, "N K"]
    mu: Float[Tensor, "N K"]
    sigma: Float[Tensor, "N K"]
    theta_start: Float[Tensor, "N K"]
    theta_end: Float[Tensor, "N K"]

    def position(self, t: Float[Tensor, "N P"]) -> Float[Tensor, "N P 2"]:
        """Return the positions at the times `t`, starting at the origin."""
        path = torch.zeros(*t.shape, 2, dtype=torch.float64)
        for k in range(self.distance.shape[1]):
            done = self._done(t, k)
            half_turn = 0.5 * (self.theta_end - self.theta_start)[:, k, None] * done
            length = self.distance[:, k, None] * done * torch.sinc(half_turn / torch.pi)
            path = path + torch.view_as_real(torch.polar(length, self.theta_start[:, k, None] + half_turn))
        return path

    def _done(self, t: Float[Tensor, "N P"], k: int) -> Float[Tensor, "N P"]:
        """Share of stroke k that is done: its lognormal distribution function between the cuts."""
        since = (t - self.t0[:, k, None]).clamp(min=torch.finfo(torch.float64).tiny)
        score = (since.log() - self.mu[:, k, None]) / self.sigma[:, k, None]
        below: Tensor = torch.special.ndtr(score)
        return ((below - TAIL) / (1.0 - 2.0 * TAIL)).clamp(0.0, 1.0)


@dataclass(frozen=True)
class SigmaLognormal:
    """Parameters of the generator; what varies from movement to movement is drawn within (low, high).

    Attributes:
        most_strokes: Primary stroke and corrections together.
        seconds_per_stroke: A movement has about as many strokes as these go into its duration.
        sigma: Standard deviation of ln(t - t0) of a stroke: small is slow to respond and symmetric, large is skewed.
        undershoot: Share of the remaining distance that a stroke leaves; negative beyond the target.
        endpoint_noise: Standard deviation of a stroke's end over its length, along and across.
        turn_rad: Standard deviation of a stroke's turn from its first to its last heading.
        overlap: Share of a stroke's time in which the one before is still under way.
    """

    most_strokes: int = 4
    seconds_per_stroke: tuple[float, float] = (0.25, 0.7)  # a rapid stroke takes 0.2 s and more
    sigma: tuple[float, float] = (0.1, 0.4)  # the speed peaks at 0.23 to 0.44 of the stroke's time
    undershoot: tuple[float, float] = (-0.04, 0.2)
    endpoint_noise: float = 0.06
    turn_rad: float = 0.5
    overlap: tuple[float, float] = (0.3, 0.8)

    def __post_init__(self) -> None:
        require(self.most_strokes >= 1, "`most_strokes >= 1`", str(self.most_strokes))
        for name, least, most in (
            ("seconds_per_stroke", 0.0, float("inf")),
            ("sigma", 0.0, 2.0),
            ("overlap", 0.0, 1.0),
        ):
            low, high = getattr(self, name)
            require(least < low <= high < most, f"`{least:g} < low <= high < {most:g}` of {name}", f"{low}, {high}")
        require(self.undershoot[0] <= self.undershoot[1] < 1, "`low <= high < 1` of undershoot", str(self.undershoot))
        require(self.endpoint_noise >= 0, "`endpoint_noise >= 0`", str(self.endpoint_noise))
        require(0 <= self.turn_rad <= 1, "`0 <= turn_rad <= 1`", str(self.turn_rad), "an arc is no circle")

    def __call__(self, like: Canonical, random: torch.Generator) -> Movements:
        """Movements with the distances, directions, durations, targets and groups of `like`, whole pixels at 60 Hz."""
        length = (like.duration_s.double() * RATE_HZ).round().long()
        tau = (torch.arange(int(length.max()) + 1, dtype=torch.float64) / length[:, None]).clamp(max=1.0)
        path = self.strokes(like.duration_s.double(), random).position(tau)
        steps = rotate(path * like.distance_px[:, None, None], like.angle).round().diff(dim=1)
        valid = steps * prefix_mask(length, steps.shape[1])[..., None]
        return Movements(valid, length, like.group, like.target_width_px, like.source)

    def strokes(self, duration_s: Float[Tensor, "N"], random: torch.Generator) -> Strokes:
        """Plans of movements that start at (0, 0) at time 0 and come to rest on (1, 0) at time 1."""
        count = self._counts(duration_s, random)
        ends = self._ends(count, random)
        aim = ends.diff(dim=1, prepend=torch.zeros(len(ends), 1, 2, dtype=torch.float64))
        turn = self.turn_rad * torch.randn(aim.shape[:2], generator=random, dtype=torch.float64)
        heading = torch.atan2(aim[..., 1], aim[..., 0])
        arc = aim.norm(dim=-1) / torch.sinc(turn / (2 * torch.pi))
        start, end = self._spans(count, random)
        sigma = _uniform(self.sigma, torch.Size(start.shape), random)
        mu = ((end - start) / (2.0 * torch.sinh(CUT * sigma))).log()
        return Strokes(arc, start - (mu - CUT * sigma).exp(), mu, sigma, heading - turn / 2, heading + turn / 2)

    def _counts(self, duration_s: Float[Tensor, "N"], random: torch.Generator) -> Int[Tensor, "N 1"]:
        """Return the number of strokes of each movement."""
        each_s = _uniform(self.seconds_per_stroke, torch.Size([len(duration_s), 1]), random)
        return (duration_s[:, None] / each_s).round().clamp(1, self.most_strokes).long()

    def _ends(self, count: Int[Tensor, "N 1"], random: torch.Generator) -> Float[Tensor, "N K 2"]:
        """Return the end points of the strokes: each but the last misses the target by a share of its length.

        Strokes that a movement does not have end on the target as well.
        """
        target = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(len(count), 2)
        position, ends = torch.zeros(len(count), 2, dtype=torch.float64), []
        for k in range(self.most_strokes):
            aim = target - position
            miss = self.endpoint_noise * torch.randn(len(count), 2, generator=random, dtype=torch.float64)
            left = _uniform(self.undershoot, torch.Size([len(count), 1]), random)
            missed = position + aim * (1.0 - left) + miss * aim.norm(dim=1, keepdim=True)
            position = torch.where(k < count - 1, missed, target)
            ends.append(position)
        return torch.stack(ends, dim=1)

    def _spans(
        self, count: Int[Tensor, "N 1"], random: torch.Generator
    ) -> tuple[Float[Tensor, "N K"], Float[Tensor, "N K"]]:
        """First and last time of each stroke: one after the other from 0 to 1, each begun while the last one runs."""
        shape = torch.Size([len(count), self.most_strokes])
        present = torch.arange(self.most_strokes) < count
        share = _uniform((0.6, 1.4), shape, random) * present
        end = (share / share.sum(dim=1, keepdim=True)).cumsum(dim=1)
        before = torch.cat([torch.zeros(len(count), 1, dtype=torch.float64), end[:, :-1]], dim=1)
        overlap = _uniform(self.overlap, shape, random) * (before - torch.cat([before[:, :1], before[:, :-1]], dim=1))
        start = torch.where(present, before - overlap, 0.0)
        return start, torch.where(torch.arange(self.most_strokes) < count - 1, end, 1.0)


def _uniform(bounds: tuple[float, float], shape: torch.Size, random: torch.Generator) -> Float[Tensor, "..."]:
    low, high = bounds
    return low + (high - low) * torch.rand(shape, generator=random, dtype=torch.float64)
