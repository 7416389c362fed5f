"""Report of a fit: how near strokes come to movements, and to what pixels allow, on fitted and held-out ticks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.seeding import generator
from trainables.physical.extraction import StrokeSets
from trainables.physical.fit import extracted, refined
from trainables.physical.quality import Quality, quality
from trainables.physical.stroke_form import LOG_DISTANCE, LOG_WIDTH, MIDDLE, StrokeForm
from trainables.physical.trajectories import Trajectories
from trainables.training import metric_names as names

GOOD_DB, EXCELLENT_DB = 15.0, 25.0  # of speed: from which on a fit is taken for one, and for a faithful one
HELD_OUT = 0.2  # share of the ticks
QUANTILES = (0.1, 0.5, 0.9)
CONDITION, USER = "condition", "user"  # what explains the variance of a parameter


@dataclass(frozen=True, eq=False)
class FitReport:
    """Two fits of the same movements: of all their ticks, and of four fifths of them.

    Attributes:
        whole: Quality of the first.
        fitted, held_out: Quality of the second, on the ticks that it was fitted to and on the others.
    """

    strokes: StrokeSets
    whole: Quality
    fitted: Quality
    held_out: Quality

    def to_json(self) -> dict[str, Any]:
        """Return the figures: quantiles over movements in dB, shares above 15 and 25 dB, strokes, and how many fail."""
        count = self.strokes.count
        return {
            "movements": len(count),
            "not_fitted": int((~self.whole.fitted).sum()),
            "strokes": _quantiles(count.double()),
            "all_ticks": quality_figures(self.whole),
            "fitted_ticks": quality_figures(self.fitted),
            "held_out_ticks": quality_figures(self.held_out),
        }


def fit_report(trajectories: Trajectories, form: StrokeForm, iterations: int, seed: int = 0) -> FitReport:
    """Fit movements twice, the second time without a fifth of their ticks, chosen by chance."""
    held = trajectories.holding_out(HELD_OUT, generator(seed, "held out ticks"))
    whole, part = (refined(extracted(one, form), one, form, iterations).strokes for one in (trajectories, held))
    path = part.path(form, held.t_s)
    return FitReport(
        whole,
        quality(whole.path(form, trajectories.t_s), trajectories),
        quality(path, held),
        quality(path, held, held_out=True),
    )


def fit_metrics(found: Quality, strokes: Int[Tensor, "N"]) -> dict[str, float]:
    """Return the metrics of a fit that a training run logs."""
    return {
        names.TRAIN_PATH_SNR: float(found.path.nanmedian()),
        names.TRAIN_SPEED_SNR: float(found.speed.nanmedian()),
        names.TRAIN_SPEED_ABOVE_15_DB: float((found.speed >= GOOD_DB).double().mean()),
        names.TRAIN_SPEED_ABOVE_25_DB: float((found.speed >= EXCELLENT_DB).double().mean()),
        names.TRAIN_STROKES: float(strokes.double().median()),
        names.TRAIN_NOT_FITTED: float((~found.fitted).sum()),
    }


def quality_figures(found: Quality) -> dict[str, Any]:
    """Return quantiles of the ratios and their bounds, and the shares of movements above 15 and 25 dB of speed."""
    known = ~found.speed.isnan()
    return {
        **{name: _quantiles(values) for name, values in vars(found).items()},
        "speed_below_bound": _quantiles(found.speed_bound - found.speed),
        "speed_above_15_db": float((found.speed[known] >= GOOD_DB).double().mean()),
        "speed_above_25_db": float((found.speed[known] >= EXCELLENT_DB).double().mean()),
    }


def _quantiles(values: Float[Tensor, "N"]) -> dict[str, float]:
    return {f"q{share:g}": float(values.nanquantile(share)) for share in QUANTILES}


def relative_parameters(
    strokes: StrokeSets, duration_s: Float[Tensor, "N"], distance_px: Float[Tensor, "N"]
) -> Float[Tensor, "N J"]:
    """Return the mean of each free parameter over the strokes of a movement, relative to its duration and distance."""
    free = strokes.free.clone()
    free[..., LOG_DISTANCE] -= distance_px.log()[:, None]
    free[..., MIDDLE] /= duration_s[:, None]
    free[..., LOG_WIDTH] -= duration_s.log()[:, None]
    present = strokes.present[..., None]
    return (free * present).sum(dim=1) / present.sum(dim=1)


def variance_shares(
    values: Float[Tensor, "N J"], condition: Float[Tensor, "N D"], users: Sequence[str], names_of: Sequence[str]
) -> Mapping[str, Mapping[str, float]]:
    """Return by parameter the share of its variance that the condition explains, and that the user explains beyond it.

    The first is R^2 of a linear regression; the second the variance among the users' means of its residuals, without
    what means of as many movements vary by themselves, in a one-way analysis of variance; 0 where that is negative.

    References: Statistical power analysis (Hays, 1963), omega squared.
    """
    design = torch.cat([torch.ones(len(values), 1, dtype=torch.float64), condition], dim=1)
    residual = values - design @ torch.linalg.lstsq(design, values).solution
    total = (values - values.mean(dim=0)).square().sum(dim=0)
    place = {user: number for number, user in enumerate(dict.fromkeys(users))}
    of_user = torch.nn.functional.one_hot(torch.tensor([place[user] for user in users]), len(place)).double()
    means = (of_user.T @ residual) / of_user.sum(dim=0)[:, None]
    within = (residual - of_user @ means).square().sum(dim=0)
    between = residual.square().sum(dim=0) - within
    chance = (len(place) - 1) * within / max(len(values) - len(place), 1)
    explained = 1.0 - residual.square().sum(dim=0) / total
    shares = {CONDITION: explained, USER: (between - chance).clamp(min=0.0) / total}
    return {name: {of: float(share[number]) for of, share in shares.items()} for number, name in enumerate(names_of)}
