"""A bot: a family and a function from conditions to movements; and one that follows a path by the clock."""

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
    """One style of bots.

    Attributes:
        family: Styles of one family are held out together.
        generate: Movements with the distances, directions, durations, groups and targets of `like`, which has a row at
            least; one per row.
    """

    family: str
    generate: Generate


@dataclass(frozen=True)
class Following:
    """A bot whose path is a function of time: it reads the position off at each of its events.

    Attributes:
        path: (like, progress [N, P], random) -> positions [N, P, 2] in units of the distance, the chord along +x, at
            (0, 0) where the progress is 0 and at (1, 0) where it is 1.
        resting: What rests it takes from the asked duration; the path is made in what is left.
    """

    path: Path
    resting: Resting = draw_rests

    def __call__(self, like: Canonical, random: torch.Generator) -> Movements:
        clock = draw_clock(like, random, self.resting)
        return emit(like, clock.t_ms, self.path(like, clock.progress, random))


def chord(along: Float[Tensor, "N P"]) -> Float[Tensor, "N P 2"]:
    """Positions on the straight line from start to target."""
    return torch.stack([along, torch.zeros_like(along)], dim=-1)
