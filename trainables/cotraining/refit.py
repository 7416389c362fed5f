"""The physical model in a cycle: the fit of the real movements continues, that of the generated ones is made anew.

Strokes are fitted movement by movement, so that generated movements change no stroke of a real one. What they change is
the population, in which each is a component beside the real ones.
"""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.cotraining.config import CotrainingConfig
from trainables.cotraining.exchange import Exchange
from trainables.data.canonical import concatenate
from trainables.physical.extraction import StrokeSets
from trainables.physical.least_squares import Optimised
from trainables.physical.population import Components
from trainables.physical.state import FittedMovements, State, population_components
from trainables.physical.stroke_form import StrokeForm
from trainables.physical.train import next_state


def refit(
    state: State,
    fitted: FittedMovements,
    exchange: Exchange,
    weights: Float[Tensor, "N"] | None,
    config: CotrainingConfig,
    cycle: int,
) -> tuple[State, Components]:
    """Return the fit of the real movements after one more epoch, and the population of real and generated ones.

    Args:
        weights: Of all movements in the population, the real ones first; None: they count alike.

    Raises:
        TrainingDivergedError: the loss of a movement is NaN or infinite.
    """
    state = next_state(state, fitted, config.fit.iterations)
    count = len(exchange.movements)
    if not count:
        return state, population_components(state, fitted)
    physical, rows = config.of_physical(), torch.arange(count)
    own = replace(
        FittedMovements.at(rows, exchange.movements, physical), origin=f"the generated movements of cycle {cycle}"
    )
    made = State.initial(own)
    for _ in range(config.fit_epochs + 1):
        made = next_state(made, own, config.fit.iterations)
    together = concatenate(fitted.movements, exchange.movements)
    joint = FittedMovements.at(torch.arange(len(together)), together, physical)
    return state, population_components(joined(state, made, fitted.form), joint, weights)


def joined(real: State, generated: State, form: StrokeForm) -> State:
    """Return two fits as one, the real movements first."""
    parts = (real.optimised, generated.optimised)
    most = max(part.strokes.free.shape[1] for part in parts)
    strokes = [padded(part.strokes, most, form) for part in parts]
    free, present = (torch.cat([getattr(part, name) for part in strokes]) for name in ("free", "present"))
    damping, loss = (torch.cat([getattr(part, name) for part in parts]) for name in ("damping", "loss"))
    return State(Optimised(StrokeSets(free, present), damping, loss), real.epoch)


def padded(strokes: StrokeSets, most: int, form: StrokeForm) -> StrokeSets:
    """Return the same strokes in sets of `most`."""
    mean, _ = form.prior
    count, own, width = strokes.free.shape
    free = torch.cat([strokes.free, mean.expand(count, most - own, width)], dim=1)
    return StrokeSets(free, torch.cat([strokes.present, strokes.present.new_zeros(count, most - own)], dim=1))
