"""Covariances of strokes about those of a movement: large where the movement would hardly change, see `population`."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.data.config import RATE_HZ
from trainables.data.representation import prefix_mask
from trainables.physical.extraction import StrokeSets, since_first
from trainables.physical.fit import BATCH
from trainables.physical.stroke_form import LOG_DISTANCE, LOG_WIDTH, MIDDLE, StrokeForm

WEIGHTS = (0.001, 0.1, 16.0)  # of path, step and change of step: movements differ in slow components most


def factors(
    strokes: StrokeSets,
    form: StrokeForm,
    duration_s: Float[Tensor, "N"],
    distance_px: Float[Tensor, "N"],
    spread: float,
) -> Float[Tensor, "N M M"]:
    """Return a root of the covariance of each movement's free parameters; zeros without a spread."""
    count, most, width = strokes.free.shape
    found = torch.zeros(count, most * width, most * width, dtype=torch.float64)
    if spread == 0.0:
        return found
    among = among_strokes(strokes, duration_s, distance_px).square().reciprocal()
    length = (duration_s * RATE_HZ).round().long()
    for rows in torch.arange(count).split(BATCH):
        matrix, size = _sensitivity(strokes.take(rows), form, length[rows])
        scaled = matrix / (spread * size).square()[:, None, None]
        root = torch.linalg.cholesky(scaled + torch.diag(among.repeat(most)))
        found[rows] = torch.linalg.solve_triangular(
            root.transpose(1, 2), torch.eye(most * width, dtype=torch.float64).expand_as(root), upper=True
        )
    return found


def among_strokes(
    strokes: StrokeSets, duration_s: Float[Tensor, "N"], distance_px: Float[Tensor, "N"]
) -> Float[Tensor, "J"]:
    """Return the spread of each parameter among all strokes, relative to duration and distance of their movements.

    Half of the range of the middle 68 %: of heavy tails the standard deviation says little.
    """
    relative = strokes.free.clone()
    relative[..., LOG_DISTANCE] -= distance_px.log()[:, None]
    relative[..., MIDDLE] /= duration_s[:, None]
    relative[..., LOG_WIDTH] -= duration_s.log()[:, None]
    low, high = relative[strokes.present].quantile(torch.tensor([0.16, 0.84], dtype=torch.float64), dim=0)
    spread: Tensor = ((high - low) / 2).clamp(min=1e-3)
    return spread


def _sensitivity(
    strokes: StrokeSets, form: StrokeForm, length: Tensor
) -> tuple[Float[Tensor, "B M M"], Float[Tensor, "B"]]:
    """Return H of each movement, and the root mean square of its steps."""
    ticks = torch.arange(int(length.max()) + 1, dtype=torch.float64)
    moved, derivatives = form.jacobian(strokes.free, (ticks / RATE_HZ).expand(len(strokes), -1))
    present: Bool[Tensor, "B K"] = strokes.present
    path = since_first((moved * present[..., None, None]).sum(dim=1))
    change = since_first(derivatives * present[..., None, None, None]).flatten(1, 2)
    rows = []
    for order, weight in enumerate(WEIGHTS):
        valid = prefix_mask(length + 1 - order, len(ticks) - order)
        rows.append((change.diff(n=order, dim=2) * weight**0.5 * valid[:, None, :, None]).flatten(2))
    stacked = torch.cat(rows, dim=-1)
    steps = path.diff(dim=1).square().sum(dim=-1) * prefix_mask(length, len(ticks) - 1)
    return stacked @ stacked.transpose(1, 2), (steps.sum(dim=1) / length).sqrt().clamp(min=1e-3)
