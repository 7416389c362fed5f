"""Joint optimisation of all strokes of a movement, path and speed together: Levenberg and Marquardt, in batches.

A movement's loss is the sum over its ticks of a |position error|^2 + |error of the step|^2, in pixels, plus the prior,

    sum ((free - mean) / std)^2,   a = `PATH_WEIGHT`,

and each movement has a damping of its own. A step that lowers the loss is taken, any other raises the damping alone, so
that no movement ever gets worse, whatever the others do.

References: An algorithm for least-squares estimation of nonlinear parameters (Marquardt, 1963), doi:10.1137/0111030.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.physical.extraction import StrokeSets, since_first
from trainables.physical.stroke_form import StrokeForm
from trainables.physical.trajectories import Trajectories

PATH_WEIGHT = 0.1  # an error of the path lasts for many ticks; one of a step, which is its difference, does not
DAMPING = 1e-2  # at the start
EASIER, HARDER = 1 / 5, 4.0  # factors of the damping after a step that was taken, and that was not
DAMPINGS = (1e-8, 1e8)


@dataclass(frozen=True, eq=False)
class Optimised:
    """StrokeSets on their way to a minimum of the loss.

    Attributes:
        loss: Of each movement; infinite where it has not been computed.
    """

    strokes: StrokeSets
    damping: Float[Tensor, "N"]
    loss: Float[Tensor, "N"]


def optimise(start: Optimised, trajectories: Trajectories, form: StrokeForm, iterations: int) -> Optimised:
    """Return the strokes after a number of steps."""
    problem = _Problem.of(trajectories, start.strokes, form)
    free, damping, loss = start.strokes.free, start.damping, problem.loss(start.strokes.free)
    for _ in range(iterations):
        matrix, gradient = problem.normal_equations(free)
        step, solved = _solved(matrix, gradient, damping)
        proposed = free + step.view_as(free) * problem.present[..., None]
        lower = problem.loss(proposed)
        better = solved & (lower < loss)
        free = torch.where(better[:, None, None], proposed, free)
        loss = torch.where(better, lower, loss)
        damping = (damping * torch.where(better, EASIER, HARDER)).clamp(*DAMPINGS)
    return Optimised(replace(start.strokes, free=free), damping, loss)


@dataclass(frozen=True, eq=False)
class _Problem:
    """The loss of a batch of movements.

    Attributes:
        path_weight, step_weight: Roots of the weights of each tick and each step; 0 where it is not fitted.
    """

    form: StrokeForm
    t_s: Float[Tensor, "N T"]
    position_px: Float[Tensor, "N T 2"]
    path_weight: Float[Tensor, "N T"]
    step_weight: Float[Tensor, "N S"]
    present: Float[Tensor, "N K"]
    mean: Float[Tensor, "J"]
    std: Float[Tensor, "J"]

    @classmethod
    def of(cls, trajectories: Trajectories, strokes: StrokeSets, form: StrokeForm) -> "_Problem":
        ticks = trajectories.observed.double()
        return cls(
            form,
            trajectories.t_s,
            trajectories.position_px,
            ticks * PATH_WEIGHT**0.5,
            ticks[:, 1:] * ticks[:, :-1],
            strokes.present.double(),
            *form.prior,
        )

    def loss(self, free: Float[Tensor, "N K J"]) -> Float[Tensor, "N"]:
        moved = (self.form.displacement(free, self.t_s) * self.present[..., None, None]).sum(dim=1)
        prior = (((free - self.mean) / self.std).square() * self.present[..., None]).sum(dim=(1, 2))
        return self._weighted(since_first(moved) - self.position_px).square().sum(dim=1) + prior

    def normal_equations(self, free: Float[Tensor, "N K J"]) -> tuple[Float[Tensor, "N M M"], Float[Tensor, "N M"]]:
        """Return half of the Gauss-Newton approximation of the second derivatives, and half of the gradient."""
        moved, derivatives = self.form.jacobian(free, self.t_s)
        error = since_first((moved * self.present[..., None, None]).sum(dim=1)) - self.position_px
        derivatives = since_first(derivatives * self.present[..., None, None, None]).flatten(1, 2)
        rows = self._weighted(derivatives)
        precision = self.std.square().reciprocal().expand_as(free)
        gradient = (rows @ self._weighted(error)[..., None]).squeeze(-1)
        prior = (precision * (free - self.mean) * self.present[..., None]).flatten(1)
        return rows @ rows.transpose(1, 2) + torch.diag_embed(precision.flatten(1)), gradient + prior

    def _weighted(self, path: Float[Tensor, "N *M T 2"]) -> Float[Tensor, "N *M R"]:
        """Return weighted errors of positions and of steps one after another; of derivatives alike."""
        extra = (None,) * (path.dim() - 3)
        positions = path * self.path_weight[(slice(None), *extra, ..., None)]
        steps = path.diff(dim=-2) * self.step_weight[(slice(None), *extra, ..., None)]
        return torch.cat([positions.flatten(-2), steps.flatten(-2)], dim=-1)


def _solved(
    matrix: Float[Tensor, "N M M"], gradient: Float[Tensor, "N M"], damping: Float[Tensor, "N"]
) -> tuple[Float[Tensor, "N M"], Tensor]:
    """Return the damped steps, and whether each system could be solved."""
    diagonal = matrix.diagonal(dim1=1, dim2=2)
    factor, failed = torch.linalg.cholesky_ex(matrix + torch.diag_embed(damping[:, None] * diagonal))
    step = -torch.cholesky_solve(gradient[..., None], factor).squeeze(-1)
    solved = (failed == 0) & step.isfinite().all(dim=1)
    return torch.where(solved[:, None], step, 0.0), solved
