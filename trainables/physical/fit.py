"""Fit strokes to movements: extraction, then steps of the joint optimisation, thousands of movements at a time."""

from dataclasses import replace

import torch

from trainables.core.config import require
from trainables.core.threads import threads
from trainables.data.config import MINIMUM_STEPS
from trainables.physical.extraction import StrokeSets, extract
from trainables.physical.least_squares import DAMPING, Optimised, optimise
from trainables.physical.stroke_form import StrokeForm
from trainables.physical.trajectories import Trajectories

BATCH = 128  # movements of like length that are optimised together: their derivatives stay in a CPU's cache


def extracted(trajectories: Trajectories, form: StrokeForm) -> Optimised:
    """Return the initial values of all movements.

    Raises:
        ConfigError: A movement is too short.
    """
    short = (trajectories.length < MINIMUM_STEPS).nonzero().squeeze(1).tolist()
    law, remedy = f"`steps >= {MINIMUM_STEPS}` of every movement", "leave such movements out"
    require(not short, law, ", ".join(f"{int(trajectories.length[row])} in row {row}" for row in short[:3]), remedy)
    strokes, count = extract(trajectories, form), len(trajectories)
    damping = torch.full((count,), DAMPING, dtype=torch.float64)
    return Optimised(strokes, damping, torch.full((count,), torch.inf, dtype=torch.float64))


def refined(start: Optimised, trajectories: Trajectories, form: StrokeForm, iterations: int) -> Optimised:
    """Return the strokes of all movements after more steps of the joint optimisation, on one thread.

    Matrices of a movement are small: threads that share them wait for each other longer than they compute.
    """
    free, damping, loss = start.strokes.free.clone(), start.damping.clone(), start.loss.clone()
    order = (trajectories.length * (free.shape[1] + 1) + start.strokes.count).argsort(stable=True)
    for rows in order.split(BATCH):
        strokes = start.strokes.take(rows)
        most = int(strokes.present.nonzero()[:, 1].max()) + 1
        own = StrokeSets(strokes.free[:, :most], strokes.present[:, :most])
        part = Optimised(own, damping[rows], loss[rows])
        with threads(1):
            found = optimise(part, trajectories.take(rows), form, iterations)
        free[rows, :most], damping[rows], loss[rows] = found.strokes.free, found.damping, found.loss
    return Optimised(replace(start.strokes, free=free), damping, loss)
