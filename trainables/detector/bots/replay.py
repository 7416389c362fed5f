"""Bots that replay recordings of users: the movement itself with jitter, or another one moved to its place.

Both take the recording from `like` itself, and both stay with the user of the row, so that a split by user keeps
recordings and their replays in one split.
"""

import math
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.data.canonical import Canonical, Movements
from trainables.detector.bots.bot import Bot, Following
from trainables.detector.bots.clock import draw_duration_ms, no_rests
from trainables.detector.bots.events import emit, requested_steps
from trainables.detector.bots.noise import while_moving
from trainables.detector.bots.ranges import either_sign, log_uniform, uniform, whole

JITTER_PX = (0.3, 2.0)  # standard deviation per axis and event: no exact copy, but not visible
WARP = (0.0, 0.25)  # largest local change of the pace; TimeWarp at 0.1 is nearly indistinguishable from recordings
WAVES = (1, 3)  # half waves of the warp over the movement
TURN_AND_SCALE = 0.06  # radius of z in (1 + z): up to 6 % longer or shorter, or 3.4 degrees off
BOW = (0.8, 1.25)  # factor of the distance from the chord
LATENESS = (0.0, 0.1)  # mean delay of an event over its interval: 0 to 2 ms at 60 Hz
REACH = 10  # ranks of distance on either side, among which another movement of the same user is chosen


class Recorded(NamedTuple):
    """Recorded movements: relative time 0..1 and position in the chord's frame, before and after each step."""

    elapsed: Float[Tensor, "N Q"]
    path: Float[Tensor, "N Q 2"]


def recorded(like: Canonical) -> Recorded:
    """Return the movements of any canonical form, step by step; beyond the last step at rest on the target."""
    ticks = like.deltas[..., 2] if like.deltas.shape[2] == 3 else like.mask.double()
    total = requested_steps(like)[:, None] if like.deltas.shape[2] == 3 else like.mask.sum(dim=1, keepdim=True)
    elapsed = (ticks.double().cumsum(dim=1) / total).clamp(max=1.0)
    path = (like.deltas[..., :2].double() * like.mask[..., None]).cumsum(dim=1)
    path = torch.where(elapsed[..., None] < 1.0, path, torch.tensor([1.0, 0.0], dtype=torch.float64))
    start = torch.zeros(len(like), 1, dtype=torch.float64)
    return Recorded(torch.cat([start, elapsed], dim=1), torch.cat([torch.zeros_like(path[:, :1]), path], dim=1))


def jittered(like: Canonical, random: torch.Generator) -> Movements:
    """Replay the own recording: slightly bent, turned, scaled, jittered and warped in time, half of them mirrored."""
    elapsed, path = recorded(like)
    moves = (path.diff(dim=1) != 0).any(dim=-1)
    noise = torch.randn(path.shape, generator=random, dtype=torch.float64)
    noise = while_moving(noise * log_uniform(JITTER_PX, len(like), random)[..., None], moves)
    inside = (elapsed > 0.0) & (elapsed < 1.0)
    path = turned(bent(path, random), random) + noise * (inside / like.distance_px[:, None])[..., None]
    return emit(like, late(warped(elapsed, random), random) * draw_duration_ms(like, random), path)


def bent(path: Float[Tensor, "N Q 2"], random: torch.Generator) -> Float[Tensor, "N Q 2"]:
    """Scale the distances from the chord, and mirror half of the rows at it."""
    count = len(path)
    factor = log_uniform(BOW, count, random) * either_sign(count, random)
    return path * torch.stack([torch.ones_like(factor), factor], dim=-1)


def turned(path: Float[Tensor, "N Q 2"], random: torch.Generator) -> Float[Tensor, "N Q 2"]:
    """Multiply the path, as a complex number, by (1 + z), and distribute the end error z evenly along the path."""
    radius = TURN_AND_SCALE * uniform((0.0, 1.0), len(path), random).sqrt()
    z = torch.polar(radius, uniform((-math.pi, math.pi), len(path), random))
    steps = path.diff(dim=1).norm(dim=-1)
    gone = torch.cat(
        [torch.zeros(len(path), 1, dtype=torch.float64), steps.cumsum(dim=1) / steps.sum(1, keepdim=True)], 1
    )
    position = torch.view_as_complex(path.contiguous())
    return torch.view_as_real(position + z * (position - gone))


def warped(elapsed: Float[Tensor, "N Q"], random: torch.Generator) -> Float[Tensor, "N Q"]:
    """Return the relative time u + a sin(k pi u) / (k pi): the same ends, the pace changed by up to |a| < 1."""
    a = either_sign(len(elapsed), random) * uniform(WARP, len(elapsed), random)
    k_pi = math.pi * whole(*WAVES, len(elapsed), random)
    return elapsed + a * torch.sin(k_pi * elapsed) / k_pi * (elapsed < 1.0)


def late(elapsed: Float[Tensor, "N Q"], random: torch.Generator) -> Float[Tensor, "N Q"]:
    """Lengthen every interval by an exponential share, then rescale to the old duration."""
    gaps = elapsed.diff(dim=1)
    share = torch.empty_like(gaps).exponential_(generator=random)
    time = (gaps * (1.0 + uniform(LATENESS, len(gaps), random) * share)).cumsum(dim=1)
    return torch.cat([torch.zeros_like(time[:, :1]), time / time[:, -1:]], dim=1)


def transferred(like: Canonical, progress: Float[Tensor, "N P"], random: torch.Generator) -> Float[Tensor, "N P 2"]:
    """Return another movement of the same user at the bot's own events, half of the rows mirrored."""
    elapsed, path = recorded(like.take(others(like, random)))
    path = path * torch.stack([torch.ones(len(like), 1, dtype=torch.float64), either_sign(len(like), random)], dim=-1)
    return read(elapsed, path, progress)


def others(like: Canonical, random: torch.Generator) -> Int[Tensor, "N"]:
    """Return for each row another row of its user, `REACH` ranks of distance away at most; itself if there is none."""
    group = torch.from_numpy(np.unique(np.array(like.group), return_inverse=True)[1]).long()
    order = torch.from_numpy(np.lexsort((like.distance_px.numpy(), group.numpy()))).long()
    size = torch.bincount(group)
    first, rank = (size.cumsum(0) - size)[group[order]], torch.arange(len(like))
    low = torch.maximum(rank - REACH, first)
    high = torch.minimum(rank + REACH, first + size[group[order]] - 1)
    drawn = low + (torch.rand(len(like), generator=random, dtype=torch.float64) * (high - low)).long()
    other = torch.where(high > low, drawn + (drawn >= rank), rank)
    return torch.empty_like(order).scatter(0, order, order[other])


def read(
    elapsed: Float[Tensor, "N Q"], path: Float[Tensor, "N Q 2"], at: Float[Tensor, "N P"]
) -> Float[Tensor, "N P 2"]:
    """Interpolate positions linearly at the relative times `at`."""
    low = (torch.searchsorted(elapsed.contiguous(), at.contiguous(), right=True) - 1).clamp(0, elapsed.shape[1] - 2)
    before, after = elapsed.gather(1, low), elapsed.gather(1, low + 1)
    share = ((at - before) / (after - before).clamp(min=torch.finfo(torch.float64).tiny)).clamp(0.0, 1.0)
    start, end = (path.gather(1, (low + k)[..., None].expand(-1, -1, 2)) for k in (0, 1))
    return start + share[..., None] * (end - start)


REPLAY: dict[str, Bot] = {
    "replay_jitter": Bot("replay", jittered),
    "replay_transfer": Bot("replay", Following(transferred, no_rests)),
}
