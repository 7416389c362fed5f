"""Augmentations of recorded movements: variations that another take of the same recording could have been.

Each takes whole-pixel 60 Hz movements to whole-pixel 60 Hz movements and keeps what identifies recordings: exactly
still steps, single pixels, the changes of heading of slow steps. None draws if its probability is 0, and each draws
from a stream of its own, so that switching one off leaves the draws of the others as they were.

What a two-sample test sees of each stands beside its default in `trainables.data.config`
(`python -m benchmarks.augmentations`).
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from trainables.core.seeding import generator
from trainables.data.canonical import Movements, usable
from trainables.data.config import (
    CanonicalConfig,
    Crop,
    GoalShift,
    Jitter,
    Mirror,
    QuarterTurn,
    TimeStretch,
    TimeWarp,
    VariationsConfig,
)
from trainables.data.representation import prefix_mask
from trainables.data.retime import change_duration, retime

SLOW = 0.05  # of the peak step: where a recording may be cut without leaving a hand that stops in full motion
JITTERED_PX = 6.0  # steps from this length on are jittered: one end moved by a pixel turns them by less than 10 degrees
NEIGHBOURS = ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))


def crop(movements: Movements, config: Crop, random: torch.Generator) -> Movements:
    """A contiguous part of the movement; the canonical form rescales it to unit net displacement.

    Up to `strength` of the steps are cut off at each end, at a tick drawn from those with a step slower than `SLOW` of
    the peak on either side; a movement without such a tick is left whole.
    """
    tick, end = torch.arange(movements.steps_px.shape[1] + 1), movements.length[:, None]
    quiet, margin = _quiet_ticks(movements), config.strength * end
    first = _one_of((tick == 0) | (quiet & (tick <= margin)), random)
    last = _one_of((tick == end) | (quiet & (tick >= end - margin) & (tick < end)), random)
    return cut(movements, first, last - first)


def stretch(movements: Movements, config: TimeStretch, random: torch.Generator) -> Movements:
    """The same path in a duration that is longer or shorter by up to `strength` of it."""
    return change_duration(movements, 1 + config.strength * _symmetric(len(movements), random), random)


def warp(movements: Movements, config: TimeWarp, random: torch.Generator) -> Movements:
    """The same path in the same duration, locally faster or slower by up to `strength`.

    New time u + a sin(k pi u) / (k pi) at the relative time u, with |a| <= strength and k = 1, 2 or 3 waves.
    """
    length, tick = movements.length[:, None], torch.arange(movements.steps_px.shape[1] + 1, dtype=torch.float64)
    a = config.strength * _symmetric(len(movements), random)[:, None]
    k_pi = math.pi * torch.randint(1, 4, (len(movements), 1), generator=random)
    clock = tick + length * a * torch.sin(k_pi * tick / length) / k_pi
    clock = torch.where(tick < length, clock, tick)
    return retime(movements, clock, random)


def shift_goal(movements: Movements, config: GoalShift, random: torch.Generator) -> Movements:
    """The whole movement turned and scaled, so that its end moves by up to `strength` of the distance, any direction.

    With d as a complex number each step becomes (1 + strength z) d, z uniform in the unit disc. Steps are rounded and
    not positions, so that still steps stay still and no other step becomes so.
    """
    radius = config.strength * torch.rand(len(movements), 1, generator=random, dtype=torch.float64).sqrt()
    z = torch.polar(radius, math.pi * _symmetric(len(movements), random)[:, None])
    moved = (1 + z) * torch.view_as_complex(movements.steps_px.double().contiguous())
    return replace(movements, steps_px=torch.view_as_real(moved).round())


def mirror(movements: Movements, config: Mirror, random: torch.Generator) -> Movements:
    """The movement in a mirror: (dx, -dy) on the screen, in canonical form the lateral sign alone."""
    return replace(movements, steps_px=movements.steps_px * torch.tensor([1.0, -1.0]))


def quarter_turn(movements: Movements, config: QuarterTurn, random: torch.Generator) -> Movements:
    """The movement turned by 90 degrees: (-dy, dx) on the screen.

    A turn by 180 degrees is no variation: no frame of a network (`trainables.data.frames`) tells it.
    """
    return replace(movements, steps_px=movements.steps_px.flip(-1) * torch.tensor([-1.0, 1.0]))


def jitter(movements: Movements, config: Jitter, random: torch.Generator) -> Movements:
    """A share of `strength` of the points moved by one pixel, one point's noise leaving all others where they were.

    Only points between two steps of at least `JITTERED_PX`: slow and still steps, and both ends, stay exact.
    """
    fast = movements.steps_px.norm(dim=-1) >= JITTERED_PX
    free = fast[:, 1:] & fast[:, :-1]
    chosen = free & (torch.rand(free.shape, generator=random) < config.strength)
    neighbour = torch.tensor(NEIGHBOURS, dtype=torch.float64)[torch.randint(4, free.shape, generator=random)]
    moved = pad(neighbour * chosen[..., None], (0, 0, 1, 1)).diff(dim=1)
    return replace(movements, steps_px=movements.steps_px + moved)


Augmentation = Callable[[Movements, Any, torch.Generator], Movements]
"""(movements, how strongly, randomness) -> as many movements."""

AUGMENTATIONS: dict[
    str, Augmentation
] = {  # by their field of `VariationsConfig`, in the order in which they are applied
    "crop": crop,
    "stretch": stretch,
    "warp": warp,
    "goal": shift_goal,
    "mirror": mirror,
    "quarter_turn": quarter_turn,
    "jitter": jitter,
}


@dataclass(frozen=True, eq=False)
class Varied:
    """Movements after augmentation.

    Attributes:
        changed: Rows that at least one augmentation was applied to.
        refused: Augmentation -> rows whose result was not `usable`; it left them as they were.
    """

    movements: Movements
    changed: Bool[Tensor, "N"]
    refused: Mapping[str, int]


def augment(
    movements: Movements, config: VariationsConfig, canonical: CanonicalConfig, random: torch.Generator
) -> Varied:
    """Each active augmentation in turn, on rows drawn with its probability; every row stays, in order and `usable`."""
    seed = int(torch.randint(2**62, (), generator=random)) if config.active() else 0
    changed, refused = torch.zeros(len(movements), dtype=torch.bool), {}
    for name, variation in config.active().items():
        stream = generator(seed, name)
        rows = (torch.rand(len(movements), generator=stream) < variation.probability).nonzero().squeeze(1)
        result = AUGMENTATIONS[name](movements.take(rows), variation, stream)
        kept, _ = usable(result, canonical)
        movements = replace_rows(movements, rows[kept], result.take(kept))
        changed[rows[kept]] = True
        refused[name] = len(rows) - len(kept)
    return Varied(movements, changed, refused)


def replace_rows(movements: Movements, rows: Int[Tensor, "M"], others: Movements) -> Movements:
    """The movements with `others` at `rows`, as wide as the longest of both needs."""
    width = max([0, *movements.length.tolist(), *others.length.tolist()])
    ours, theirs = (
        pad(part.steps_px.double(), (0, 0, 0, width - part.steps_px.shape[1])) for part in (movements, others)
    )
    length = movements.length.index_copy(0, rows, others.length)
    width_px = movements.target_width_px.index_copy(0, rows, others.target_width_px)
    return Movements(ours.index_copy(0, rows, theirs), length, movements.group, width_px, movements.source)


def cut(movements: Movements, first: Int[Tensor, "N"], length: Int[Tensor, "N"]) -> Movements:
    """`length` steps of each movement from step `first` on."""
    width = movements.steps_px.shape[1]
    step = (first[:, None] + torch.arange(width)).clamp(max=max(width - 1, 0))
    steps = movements.steps_px.gather(1, step[..., None].expand(-1, -1, 2))
    return replace(movements, steps_px=steps * prefix_mask(length, width)[..., None], length=length)


def _quiet_ticks(movements: Movements) -> Bool[Tensor, "N P"]:
    """Ticks between two steps slower than `SLOW` of the movement's peak; the ends have a step on one side alone."""
    length = movements.steps_px.norm(dim=-1)
    slow = length <= SLOW * length.amax(dim=1, keepdim=True)
    return pad(slow, (1, 0), value=True) & pad(slow, (0, 1), value=True)


def _one_of(chosen: Bool[Tensor, "N P"], random: torch.Generator) -> Int[Tensor, "N"]:
    """A chosen index of each row, all equally likely."""
    return (torch.rand(chosen.shape, generator=random) * chosen + chosen).argmax(dim=1)


def _symmetric(count: int, random: torch.Generator) -> Float[Tensor, "N"]:
    """Uniform in [-1, 1)."""
    return 2 * torch.rand(count, generator=random, dtype=torch.float64) - 1
