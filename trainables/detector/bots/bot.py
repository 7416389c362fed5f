"""Bot: a family and a function from conditions to movements; `Following` evaluates a path at timed events."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.data.canonical import Canonical, Movements
from trainables.detector.bots.clock import Resting, draw_clock, draw_rests
from trainables.detector.bots.events import emit

Generate = Callable[[Canonical, torch.Generator], Movements]
Path = Callable[[Canonical, Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Bot:
    """Style of bots.

    Attributes:
        family: Family of the style; the styles of a family are held out together.
        generate: Returns one movement per row of `like` (at least one row), with its distance, direction, duration,
            group and target.
    """

    family: str
    generate: Generate


@dataclass(frozen=True)
class Following:
    """Bot whose path is a function of time, evaluated at each of its events.

    Attributes:
        path: (like, progress [N, P], random) -> positions [N, P, 2] in units of the distance, the chord along +x, at
            (0, 0) where the progress is 0 and at (1, 0) where it is 1.
        resting: Draws its rests; the path takes the rest of the requested duration.
    """

    path: Path
    resting: Resting = draw_rests

    def __call__(self, like: Canonical, random: torch.Generator) -> Movements:
        clock = draw_clock(like, random, self.resting)
        return emit(like, clock.t_ms, self.path(like, clock.progress, random))


def chord(along: Float[Tensor, "N P"]) -> Float[Tensor, "N P 2"]:
    """Return positions on the straight line from start to target."""
    return torch.stack([along, torch.zeros_like(along)], dim=-1)
