"""Pictures of movements: what people would rather see than read. Colours are safe for the colour-blind."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from trainables.data.canonical import Canonical
from trainables.eval.features import FEATURES, movement_features

REAL, FAKE = "#0072b2", "#d55e00"
OVERLAID = ("path_efficiency", "mean_abs_heading_change", "lateral_rms", "log_jerk_rms")
SHOWN = 24


def gallery(real: Canonical, fake: Canonical, file: Path, seed: int = 0) -> None:
    """Real movements beside samples of the same conditions: paths in the canonical frame, and their speeds below."""
    count = min(SHOWN, len(real), len(fake))
    rows = torch.randperm(min(len(real), len(fake)), generator=torch.Generator().manual_seed(seed))[:count]
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes = figure.subplots(2, 2, sharex="row", sharey="row")
    for column, (name, part, colour) in enumerate((("real", real, REAL), ("generated", fake, FAKE))):
        _paths(axes[0, column], part.take(rows), colour)
        _speeds(axes[1, column], part.take(rows), colour)
        axes[0, column].set_title(f"{name}: {count} movements under the same conditions")
    axes[0, 0].set_ylabel("across the direction to the target (distances)")
    axes[1, 0].set_ylabel("speed (mean speeds of the straight way)")
    figure.savefig(file, dpi=110)


def _paths(axis: Axes, part: Canonical, colour: str) -> None:
    for deltas, mask in zip(part.deltas, part.mask, strict=True):
        path = torch.cat([torch.zeros(1, 2), deltas[mask].cumsum(dim=0)]).numpy()
        axis.plot(path[:, 0], path[:, 1], color=colour, alpha=0.55, linewidth=1.0)
    axis.scatter([0, 1], [0, 0], color="black", s=16, zorder=3)
    axis.set_xlabel("along the direction to the target (distances)")


def _speeds(axis: Axes, part: Canonical, colour: str) -> None:
    for deltas, mask in zip(part.deltas, part.mask, strict=True):
        speed = deltas[mask].norm(dim=-1) * int(mask.sum())
        axis.plot(np.linspace(0, 1, len(speed)), speed.numpy(), color=colour, alpha=0.4, linewidth=0.8)
    axis.set_xlabel("time (durations)")


def overlays(real: Canonical, fake: Canonical, file: Path) -> None:
    """Distributions of four kinematic features and the five spectral bands, real against generated."""
    tables = [movement_features(part.deltas, part.mask) for part in (real, fake)]
    figure = Figure(figsize=(11, 6.5), layout="constrained")
    axes = figure.subplots(2, 3).flat
    for axis, name in zip(axes, OVERLAID, strict=False):
        _histogram(axis, name, *(table[:, FEATURES.index(name)] for table in tables))
    _bands(axes[4], *tables)
    axes[5].axis("off")
    axes[5].legend(*axes[0].get_legend_handles_labels(), loc="center", frameon=False, fontsize=13)
    figure.savefig(file, dpi=110)


def _histogram(axis: Axes, name: str, real: Float[Tensor, "N"], fake: Float[Tensor, "M"]) -> None:
    low, high = np.quantile(torch.cat([real, fake]).numpy(), [0.005, 0.995])
    bins = np.linspace(low, high, 31).tolist()
    for values, label, colour in ((real, "real", REAL), (fake, "generated", FAKE)):
        clipped = values.clamp(low, high).numpy()
        axis.hist(clipped, bins, density=True, histtype="stepfilled", alpha=0.35, color=colour, label=label)
    axis.set_title(name.replace("_", " "))


def _bands(axis: Axes, real: Float[Tensor, "N F"], fake: Float[Tensor, "M F"]) -> None:
    spectral = [index for index, name in enumerate(FEATURES) if index >= len(FEATURES) - 5]
    for table, label, colour in ((real, "real", REAL), (fake, "generated", FAKE)):
        values = table[:, spectral].numpy()
        low, middle, high = np.quantile(values, [0.25, 0.5, 0.75], axis=0)
        place = np.arange(len(spectral)) + 1
        axis.plot(place, middle, color=colour, label=label, marker="o", markersize=3)
        axis.fill_between(place, low, high, color=colour, alpha=0.2)
    axis.set_title("log10 share of power per fifth of the band")
    axis.set_xlabel("low to high frequency")
