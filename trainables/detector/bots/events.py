"""Events of a bot as a page receives them, and the observation model that converts them to 60 Hz steps.

`observe_events` is `trainables.data.canonical.observe` for many movements at once: sample-and-hold in whole pixels.
Bots pass through it as recordings do, so that neither the interval of their events nor sub-pixels identify them.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.data.canonical import RATE_HZ, Canonical, Movements, rotate

PERIOD_MS = 1000.0 / RATE_HZ
SAME_MS = 1e-9  # an event this close behind a tick counts as on it; as in `observe`


def requested_steps(like: Canonical) -> Int[Tensor, "N"]:
    """Return the requested number of 60 Hz steps of each movement."""
    return (like.duration_s.double() * RATE_HZ).round().long()


def observe_events(
    t_ms: Float[Tensor, "N P"], path_px: Float[Tensor, "N P 2"]
) -> tuple[Float[Tensor, "N S 2"], Int[Tensor, "N"]]:
    """Return whole-pixel steps and their number: the last event at or before each tick; the final tick holds the end.

    Args:
        t_ms: Times of the events, not decreasing. A row with fewer events repeats its last one.
        path_px: Position of each.
    """
    lasted = t_ms[:, -1] - t_ms[:, 0]
    length = (lasted / PERIOD_MS - SAME_MS).ceil().clamp(min=0).long()
    ticks = t_ms[:, :1] + PERIOD_MS * torch.arange(int(length.max()) + 1, dtype=torch.float64)
    held = torch.searchsorted(t_ms.contiguous(), ticks + SAME_MS, right=True) - 1
    positions = (path_px.gather(1, held[..., None].expand(-1, -1, 2)) + 0.5).floor()
    return positions.diff(dim=1), length


def emit(like: Canonical, t_ms: Float[Tensor, "N P"], path: Float[Tensor, "N P 2"]) -> Movements:
    """Return the observed movements of events at `path`, given in units of the distance with the chord along +x.

    Each starts on a pixel and ends at the requested displacement, rounded once; group and target are those of `like`.
    """
    steps, length = observe_events(t_ms, rotate(path * like.distance_px[:, None, None], like.angle))
    assert torch.equal(length, requested_steps(like)), "a bot keeps to the requested duration"
    return Movements(steps, length, like.group, like.target_width_px)
