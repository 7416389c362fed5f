"""Events of a bot as a page receives them, and the observed movements that they become.

Bots pass through the observation model as recordings do, so that neither the interval of their events nor sub-pixels
identify them.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.data.canonical import Canonical, Movements, pack, rotate
from trainables.data.config import RATE_HZ
from trainables.data.observation import Events, observe


def requested_steps(like: Canonical) -> Int[Tensor, "N"]:
    """Return the requested number of 60 Hz steps of each movement."""
    return (like.duration_s.double() * RATE_HZ).round().long()


def emit(like: Canonical, t_ms: Float[Tensor, "N P"], path: Float[Tensor, "N P 2"]) -> Movements:
    """Return the observed movements of events at `path`, given in units of the distance with the chord along +x.

    Each starts on a pixel and ends at the requested displacement, rounded once; group, source and target are those of
    `like`.

    Args:
        t_ms: Times of the events, not decreasing. A row with fewer events repeats its last one.
    """
    path_px = rotate(path * like.distance_px[:, None, None], like.angle)
    paths = observe(map(Events, t_ms.numpy(), path_px.numpy()))
    movements = pack(paths, like.group, like.target_width_px, like.source)
    assert torch.equal(movements.length, requested_steps(like)), "a bot keeps to the requested duration"
    return movements
