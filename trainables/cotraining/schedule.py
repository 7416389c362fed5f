"""The order of a co-training: which model an epoch trains, in which cycle.

epoch 0                        both models untrained
1                              the physical model is fitted to real movements
2 ... 1 + warmup_epochs        the diffusion is trained on real movements
epochs_per_cycle epochs        the diffusion on real movements and those of the physical model    } each cycle
1 epoch                        the physical model on real movements and those of the diffusion    }
"""

from typing import NamedTuple

from trainables.cotraining.config import CotrainingConfig


class Place(NamedTuple):
    """Place of an epoch in a run.

    Attributes:
        cycle: Its number, from 1; 0: the warm-up.
        side: The model that is trained, of `SIDES`.
        inside: Number of the epoch among those that train this model in the cycle, from 1.
    """

    cycle: int
    side: str
    inside: int

    @property
    def begins(self) -> bool:
        """Whether a cycle begins with this epoch."""
        return self.cycle > 0 and self.side == "diffusion" and self.inside == 1


def place_of(epoch: int, config: CotrainingConfig) -> Place:
    """Return the place of a trained epoch.

    >>> config = CotrainingConfig(epochs=8, cycles=2, epochs_per_cycle=2)
    >>> [tuple(place_of(epoch, config)) for epoch in (1, 2, 3, 4, 5)]
    [(0, 'physical', 1), (0, 'diffusion', 1), (1, 'diffusion', 1), (1, 'diffusion', 2), (1, 'physical', 1)]
    """
    if epoch == 1:
        return Place(0, "physical", 1)
    beyond = epoch - 2 - config.warmup_epochs
    if beyond < 0:
        return Place(0, "diffusion", epoch - 1)
    cycle, inside = divmod(beyond, config.epochs_in_cycle)
    if inside < config.epochs_per_cycle:
        return Place(cycle + 1, "diffusion", inside + 1)
    return Place(cycle + 1, "physical", 1)
