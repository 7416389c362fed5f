"""Three ways to write a movement as a sequence of fixed width, each with its way back to whole pixels at 60 Hz.

    fixed_dt         the native 60 Hz steps (dx, dy), padded; the length is the duration
    normalised_time  T steps (dx, dy) over the whole duration, positions interpolated linearly
    events           the moves alone, (dx, dy, ticks): ticks of 1 / RATE_HZ since the move before; then rest

All work in pixels. `fixed_dt` and `events` give recordings back exactly.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.core.config import require


@dataclass(frozen=True)
class Representation:
    """Conversion of 60 Hz pixel steps to a sequence of T steps and back.

    Attributes:
        encode: (steps [N, S, 2], length [N], T) -> sequence [N, T, C] and mask [N, T].
        decode: (sequence [N, T, C], mask, length [N]) -> whole-pixel steps [N, S, 2], zero beyond the length.
    """

    encode: Callable[[Tensor, Tensor, int], tuple[Tensor, Tensor]]
    decode: Callable[[Tensor, Tensor, Tensor], Tensor]


def prefix_mask(length: Int[Tensor, "N"], steps: int) -> Bool[Tensor, "N T"]:
    """True at the first `length` of `steps` positions."""
    return torch.arange(steps, device=length.device) < length[:, None]


def _fixed_dt_encode(steps_px: Tensor, length: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    fits = bool((length <= steps).all())
    require(fits, "`length <= sequence_length`", f"a movement longer than T={steps}")
    padded = torch.zeros(len(length), steps, 2, dtype=torch.float64)
    width = min(steps, steps_px.shape[1])
    padded[:, :width] = steps_px[:, :width]
    return padded, prefix_mask(length, steps)


def _fixed_dt_decode(sequence: Tensor, mask: Tensor, length: Tensor) -> Tensor:
    """Steps are rounded, not positions: recorded steps are whole numbers, so the nearest whole step is what was meant,
    while rounding positions would let one error under half a pixel move two steps. It is exact for recordings.
    """
    return (sequence * mask[..., None]).round()


def _normalised_time_encode(steps_px: Tensor, length: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    path = torch.cat([torch.zeros(len(length), 1, 2), steps_px.cumsum(dim=1)], dim=1).double()
    at = length[:, None] * torch.linspace(0.0, 1.0, steps + 1, dtype=torch.float64)
    return interpolate(path, at).diff(dim=1), torch.ones(len(length), steps, dtype=torch.bool)


def _normalised_time_decode(sequence: Tensor, mask: Tensor, length: Tensor) -> Tensor:
    """Positions between the T steps are no recorded ones, so it is the positions that meet the pixel grid."""
    path = torch.cat([torch.zeros_like(sequence[:, :1]), sequence.cumsum(dim=1)], dim=1)
    tick = torch.arange(1, int(length.max()) + 1 if len(length) else 1, dtype=torch.float64)
    at = (tick / length[:, None]).clamp(max=1.0) * mask.shape[1]
    positions = interpolate(path, at).round()
    steps = positions.diff(dim=1, prepend=torch.zeros_like(positions[:, :1]))
    return steps * prefix_mask(length, steps.shape[1])[..., None]


def _events_encode(steps_px: Tensor, length: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Moves first, in order, each with the ticks since the one before; behind them rest, (0, 0, 1) tick by tick."""
    moves = (steps_px != 0).any(dim=-1)
    most = int(moves.sum(dim=1).max()) if len(length) else 0
    require(most <= steps, "`moves <= sequence_length`", f"a movement of {most} moves, T={steps}")
    tick = torch.arange(1, steps_px.shape[1] + 1).expand(len(length), -1)
    order = torch.where(moves, tick, steps_px.shape[1] + 1).argsort(dim=1, stable=True)[:, :steps]
    at = torch.where(moves, tick, 0).gather(1, order)
    present = at > 0
    ticks = torch.where(present, at.diff(dim=1, prepend=torch.zeros_like(at[:, :1])), 1)
    shift = steps_px.gather(1, order[..., None].expand(-1, -1, 2)) * present[..., None]
    sequence = torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64).repeat(len(length), steps, 1)
    sequence[:, : order.shape[1]] = torch.cat([shift, ticks[..., None]], dim=-1)
    return sequence, torch.ones(len(length), steps, dtype=torch.bool)


def _events_decode(sequence: Tensor, mask: Tensor, length: Tensor) -> Tensor:
    """Displacements and ticks are rounded, a tick at least; events after the requested end are dropped."""
    at = sequence[..., 2].round().clamp(min=1).cumsum(dim=1)
    present = at <= length[:, None]
    steps = torch.zeros(len(length), int(length.max()) + 1 if len(length) else 1, 2, dtype=torch.float64)
    moved = (sequence[..., :2] * present[..., None]).round()
    steps.scatter_add_(1, (at * present).long()[..., None].expand(-1, -1, 2), moved)
    return steps[:, 1:]


def interpolate(path: Float[Tensor, "N P 2"], at: Float[Tensor, "N Q"]) -> Float[Tensor, "N Q 2"]:
    """Linear interpolation of each path at fractional indices 0 <= `at` <= P - 1."""
    low = at.floor().long().clamp(0, path.shape[1] - 2)
    share = (at - low)[..., None]
    ends = [path.gather(1, (low + k)[..., None].expand(-1, -1, 2)) for k in (0, 1)]
    return ends[0] + share * (ends[1] - ends[0])


REPRESENTATIONS: dict[str, Representation] = {
    "fixed_dt": Representation(_fixed_dt_encode, _fixed_dt_decode),
    "normalised_time": Representation(_normalised_time_encode, _normalised_time_decode),
    "events": Representation(_events_encode, _events_decode),
}
