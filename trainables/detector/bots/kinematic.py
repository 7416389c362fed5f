"""Bots that imitate a motor control model: minimum jerk with and without noise, and lognormal strokes."""

from dataclasses import replace
from itertools import product

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from trainables.data.canonical import Canonical
from trainables.data.representation import interpolate
from trainables.detector.bots.bot import Bot, Following, chord
from trainables.detector.bots.events import requested_steps
from trainables.physical.minimum_jerk import MinimumJerk, minimum_jerk
from trainables.physical.sigma_lognormal import SigmaLognormal

FINENESS = 16  # parts of a pixel to which the noisy model rounds, before a bot's events are read off
SUBMOVEMENTS = (1, 2, 3, 4)  # an aimed movement is one, and up to three corrections
UNDERSHOOT = (0.02, 0.12)  # primary movements end some per cent short (Meyer et al., 1988)
ENDPOINT_NOISE = (0.04, 0.10)  # of the length
MOTOR_NOISE_AND_TREMOR = ((0.1, 4.0), (0.3, 16.0))  # a calm hand and a restless one; px/s

OPERATORS = tuple(
    MinimumJerk(submovements, undershoot, endpoint, motor, tremor_px_s=tremor * FINENESS)
    for submovements, undershoot, endpoint, (motor, tremor) in product(
        SUBMOVEMENTS, UNDERSHOOT, ENDPOINT_NOISE, MOTOR_NOISE_AND_TREMOR
    )
)


def noisy(like: Canonical, progress: Float[Tensor, "N P"], random: torch.Generator) -> Float[Tensor, "N P 2"]:
    """Return sub-movements with motor noise, each row by one of the `OPERATORS`, planned for the whole duration."""
    length = requested_steps(like)
    fine = replace(like, distance_px=like.distance_px * FINENESS, angle=torch.zeros_like(like.angle))
    chosen = torch.randint(len(OPERATORS), (len(like),), generator=random)
    steps = torch.zeros(len(like), int(length.max()), 2, dtype=torch.float64)
    for number in chosen.unique().tolist():
        rows = (chosen == number).nonzero().squeeze(1)
        made = OPERATORS[number](fine.take(rows), random).steps_px
        steps[rows, : made.shape[1]] = made
    path = pad(steps, (0, 0, 1, 0)).cumsum(dim=1)
    return interpolate(path / path[:, -1:, :1], progress * length[:, None])


def smoothest(like: Canonical, progress: Float[Tensor, "N P"], random: torch.Generator) -> Float[Tensor, "N P 2"]:
    """Return one minimum-jerk movement on the chord, without noise."""
    return chord(minimum_jerk(progress))


def lognormal(like: Canonical, progress: Float[Tensor, "N P"], random: torch.Generator) -> Float[Tensor, "N P 2"]:
    """Return overlapping lognormal strokes along arcs, the last of which ends on the target."""
    return SigmaLognormal().strokes(like.duration_s.double(), random).position(progress)


KINEMATIC: dict[str, Bot] = {
    "minimum_jerk": Bot("minimum_jerk", Following(noisy)),
    "minimum_jerk_pure": Bot("minimum_jerk", Following(smoothest)),
    "lognormal": Bot("lognormal", Following(lognormal)),
}
