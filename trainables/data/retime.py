"""Movements on another clock: the same path in other time, still steps still and the recorder's texture kept.

A clock gives each old tick its new time. Reading the positions at the new whole ticks by linear interpolation averages
neighbouring steps: it smooths jerk and the high bands, and smears the exact zeros of a resting hand (two-sample tests
see both). So the clock is rounded to whole ticks at either side of every still step and at every `WINDOW`th tick: most
windows then keep their number of steps and come back unchanged, a few hold one step more or less, and still steps stay
whole. What is read between two old ticks lies on the straight line between them, within the rounding to pixels.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from trainables.data.canonical import Movements
from trainables.data.representation import interpolate, prefix_mask

WINDOW = 6  # ticks; of 3, 4, 6, 9 and none the hardest to tell from recordings by boosting at +-10 % (0.52 to 0.61)


def retime(movements: Movements, clock: Float[Tensor, "N P"], random: torch.Generator) -> Movements:
    """Read each movement at the whole ticks of `clock` after `snap`; whole-pixel steps, same start and end.

    Args:
        clock: New time of each old tick 0..S in new ticks, not decreasing, from 0 to the new length (a whole number).
        random: Decides where the windows lie.
    """
    length = clock.gather(1, movements.length[:, None]).round().long().squeeze(1)
    snapped = snap(clock, movements, torch.randint(WINDOW, (len(movements),), generator=random))
    path = pad(movements.steps_px.double(), (0, 0, 1, 0)).cumsum(dim=1)
    at = inverse(snapped, int(length.max()) if len(length) else 0)
    steps = interpolate(path, torch.minimum(at, movements.length[:, None])).round().diff(dim=1)
    return replace(movements, steps_px=steps * prefix_mask(length, steps.shape[1])[..., None], length=length)


def change_duration(movements: Movements, factor: float | Float[Tensor, "N"], random: torch.Generator) -> Movements:
    """Return the same paths in `factor` times their duration, to the nearest step, retimed by a uniform clock."""
    length = (movements.length * factor).round()
    tick = torch.arange(movements.steps_px.shape[1] + 1) * (length / movements.length)[:, None]
    return retime(movements, tick, random)


def snap(clock: Float[Tensor, "N P"], movements: Movements, phase: Int[Tensor, "N"]) -> Float[Tensor, "N P"]:
    """The clock rounded to whole ticks at the knots, linear in the old clock between them."""
    bound = knots(movements, phase)
    tick = torch.arange(clock.shape[1]).expand_as(bound)
    low = torch.where(bound, tick, 0).cummax(dim=1).values
    high = torch.where(bound, tick, clock.shape[1] - 1).flip(1).cummin(dim=1).values.flip(1)
    before, after = clock.gather(1, low), clock.gather(1, high)
    share = (clock - before) / (after - before).clamp(min=torch.finfo(clock.dtype).tiny)
    return before.round() + share * (after.round() - before.round())


def knots(movements: Movements, phase: Int[Tensor, "N"]) -> Bool[Tensor, "N P"]:
    """Ticks that stay whole: either side of a still step, every `WINDOW`th, the first, the end and all behind it."""
    still = (movements.steps_px == 0).all(dim=-1)
    tick = torch.arange(still.shape[1] + 1)
    window = (tick - phase[:, None]) % WINDOW == 0
    return pad(still, (1, 0)) | pad(still, (0, 1)) | window | (tick == 0) | (tick >= movements.length[:, None])


def inverse(clock: Float[Tensor, "N P"], length: int) -> Float[Tensor, "N Q"]:
    """Fractional old tick at each new tick 0..length; of several old ticks at one new time the last."""
    tick = torch.arange(length + 1, dtype=clock.dtype).expand(len(clock), -1).contiguous()
    low = (torch.searchsorted(clock.contiguous(), tick, right=True) - 1).clamp(0, clock.shape[1] - 2)
    before, after = clock.gather(1, low), clock.gather(1, low + 1)
    return low + ((tick - before) / (after - before).clamp(min=torch.finfo(clock.dtype).tiny)).clamp(0.0, 1.0)
