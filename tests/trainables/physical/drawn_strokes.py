"""Movements of known strokes."""

import torch
from torch import Tensor

from trainables.data.config import RATE_HZ
from trainables.data.representation import prefix_mask
from trainables.physical.extraction import StrokeSets
from trainables.physical.forms import FORMS
from trainables.physical.lognormal_strokes import free_of as lognormal
from trainables.physical.stroke_form import StrokeForm
from trainables.physical.submovements import free_of as submovement
from trainables.physical.trajectories import Trajectories


def made(name: str, length_px: float, at_s: float, turn: float) -> Tensor:
    """Return the free parameters of one stroke."""
    if name == "sigma_lognormal":
        return lognormal(torch.tensor([length_px, at_s, -1.6, 0.25, -turn, turn], dtype=torch.float64))
    return submovement(torch.tensor([length_px, at_s + 0.05, 0.35, turn], dtype=torch.float64))


def two_strokes(name: str, count: int = 3) -> tuple[StrokeForm, StrokeSets]:
    """Return movements of a long stroke and a short one that begins 0.25 s later."""
    free = torch.stack(
        [
            torch.stack([made(name, 300.0 + 40 * row, 0.02, 0.1 * row), made(name, 90.0, 0.27 + 0.02 * row, -0.5)])
            for row in range(count)
        ]
    )
    return FORMS[name], StrokeSets(free, torch.ones(free.shape[:2], dtype=torch.bool))


def moved(form: StrokeForm, strokes: StrokeSets, steps: int = 48, *, whole: bool = False) -> Trajectories:
    """Return the exact path of strokes at 60 Hz, or in whole pixels."""
    t_s = (torch.arange(steps + 1, dtype=torch.float64) / RATE_HZ).expand(len(strokes), -1)
    return of_path(strokes.path(form, t_s).round() if whole else strokes.path(form, t_s))


def of_path(path: Tensor) -> Trajectories:
    """Return movements of as many steps each."""
    length = torch.full((len(path),), path.shape[1] - 1)
    return Trajectories(path.double(), length, prefix_mask(length + 1, path.shape[1]))
