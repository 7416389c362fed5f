"""Plot real against generated movements: gallery, feature distributions, spectra and probe accuracies.

Colours are safe for the colour-blind.
"""

from collections.abc import Mapping
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from scipy.stats import ks_2samp
from torch import Tensor

from trainables.data.canonical import Canonical
from trainables.data.config import RATE_HZ
from trainables.eval.features.kinematic import FEATURES, movement_features
from trainables.eval.features.spectral import BANDS, SPECTRAL_FEATURES
from trainables.eval.plot_style import DPI, FAKE, NULL, REAL

PARTS = (("real", REAL), ("generated", FAKE))
PAIRED = {"real": "", "generated": ", under the same conditions"}
OVERLAID = {  # feature -> title, as the overlays show it large
    "log_jerk_rms": "jerk: log(1 + RMS), dimensionless",
    "path_efficiency": "path efficiency: distance / path",
    "mean_abs_heading_change": "mean |heading change| (rad)",
    "lateral_rms": "lateral RMS (distances)",
}
LARGE, SMALL = 11, 8  # sizes of text in points
GALLERY_ROWS, GALLERY_COLUMNS = 5, 4


def plot_gallery(real: Canonical, fake: Canonical, file: Path, seed: int = 0, *, paired: bool = True) -> None:
    """Plot real beside generated movements, a dot per 60 Hz step, and their speeds below.

    Args:
        paired: Whether row i of `fake` was made under the conditions of row i of `real`; they share a place then.
    """
    rows = _sampled(min(len(real), len(fake)), seed)
    figure = Figure(figsize=(12.5, 9.5), layout="constrained")
    paths, speeds = figure.subfigures(2, 1, squeeze=False, height_ratios=[3.2, 1]).flat
    sides = paths.subfigures(1, 2, squeeze=False, wspace=0.04).flat
    axes = speeds.subplots(1, 2, sharex=True, sharey=True)
    for side, axis, part, (name, colour) in zip(sides, axes, (real, fake), PARTS, strict=True):
        shown = part.take(rows)
        _plot_paths(side, shown, colour)
        side.suptitle(f"{name}: {len(rows)} movements" + (PAIRED[name] if paired else ""))
        _plot_speeds(axis, shown, colour)
    axes[0].set_ylabel("speed /\n(distance / duration)")
    figure.savefig(file, dpi=DPI)


def _sampled(count: int, seed: int) -> Tensor:
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    return order[: GALLERY_ROWS * GALLERY_COLUMNS].sort().values


def _plot_paths(side: SubFigure, part: Canonical, colour: str) -> None:
    """Plot each movement on a small axis in the canonical frame, from the ring to the dot."""
    axes = side.subplots(GALLERY_ROWS, GALLERY_COLUMNS).flatten()
    for axis in axes:
        axis.set_axis_off()
    for axis, deltas, mask, distance, duration in zip(
        axes, part.deltas, part.mask, part.distance_px.tolist(), part.duration_s.tolist(), strict=False
    ):
        path = torch.cat([torch.zeros(1, 2), deltas[mask].cumsum(dim=0)]).numpy()
        axis.plot(path[:, 0], path[:, 1], color=colour, linewidth=0.9, marker=".", markersize=3.0)
        axis.plot(0, 0, color="black", marker="o", markersize=4.5, fillstyle="none")
        axis.plot(1, 0, color="black", marker="o", markersize=4)
        height = max(0.3, 1.1 * float(np.abs(path[:, 1]).max()))  # a straight path looks straight
        axis.set_ylim(height, -height)  # the screen's y points downwards
        axis.set_title(f"{distance:.0f} px, {duration:.2f} s", fontsize=7, color="#555555", pad=1)


def _plot_speeds(axis: Axes, part: Canonical, colour: str) -> None:
    for deltas, mask in zip(part.deltas, part.mask, strict=True):
        speed = deltas[mask].norm(dim=-1) * int(mask.sum())
        axis.plot(np.linspace(0, 1, len(speed)), speed.numpy(), color=colour, alpha=0.45, linewidth=0.8)
    axis.set_xlabel("time (durations)")


def plot_overlays(real: Canonical, fake: Canonical, file: Path | BytesIO) -> None:
    """Plot the distribution of every feature, real against generated, with its KS distance; four of them large."""
    tables = [movement_features(part.deltas, part.mask) for part in (real, fake)]
    figure = Figure(figsize=(13, 9.5), layout="constrained")
    large, small = figure.subfigures(2, 1, squeeze=False, height_ratios=[1.25, 2]).flat
    others = {name: _title(name) for name in FEATURES if name not in OVERLAID}
    for part, titles, across, size in ((large, OVERLAID, 4, LARGE), (small, others, 4, SMALL)):
        rows = -(-len(titles) // across)
        axes = part.subplots(rows, across, squeeze=False).flat
        for axis, (name, title) in zip(axes, titles.items(), strict=False):
            columns = [table[:, FEATURES.index(name)] for table in tables]
            _plot_histogram(axis, title, *columns, size=size)
    figure.legend(*large.axes[0].get_legend_handles_labels(), loc="outside upper center", ncols=2, frameon=False)
    figure.savefig(file, dpi=DPI)


def _title(name: str) -> str:
    """Return a feature as the title of a small plot; of a spectral one the limits of its band."""
    if name in SPECTRAL_FEATURES:
        low, high = (SPECTRAL_FEATURES.index(name) + at for at in (0, 1))
        return "log10 power {:g} to {:g} Hz".format(*(band / BANDS * RATE_HZ / 2 for band in (low, high)))
    return "log(1 + submovements)" if name == "submovements" else name.replace("_", " ")


def _plot_histogram(axis: Axes, title: str, real: Float[Tensor, "N"], fake: Float[Tensor, "M"], *, size: int) -> None:
    """Plot both densities over the range that holds 99 % of the values; others are clipped to it."""
    low, high = np.quantile(torch.cat([real, fake]).numpy(), [0.005, 0.995])
    bins = np.linspace(low, max(high, low + 1e-6), 31).tolist()
    for values, (label, colour) in zip((real, fake), PARTS, strict=True):
        clipped = values.clamp(low, high).numpy()
        axis.hist(clipped, bins, density=True, histtype="stepfilled", alpha=0.3, color=colour, label=label)
        axis.hist(clipped, bins, density=True, histtype="step", linewidth=1.1, color=colour)
    distance = ks_2samp(real.numpy(), fake.numpy(), method="asymp").statistic
    axis.set_title(f"{title}{'   ' if size == SMALL else chr(10)}(KS {distance:.2f})", fontsize=size)
    axis.set_yticks([])
    axis.tick_params(labelsize=size - 1)


def plot_spectra(numbers: Mapping[str, Any], file: Path | BytesIO) -> None:
    """Plot mean velocity spectra with their quartiles, the tail, and the log ratio of each band.

    Args:
        numbers: Result of `report.spectra`.
    """
    figure = Figure(figsize=(12, 4.8), layout="constrained")
    density, ratio = figure.subplots(1, 2, width_ratios=[1.7, 1])
    for (label, colour), part in zip(PARTS, ("real", "fake"), strict=True):
        _plot_density(density, numbers["frequency_hz"], numbers[part], label, colour)
    tail, edges = numbers["tail"], numbers["bands_hz"]
    density.axvspan(tail["from_hz"], edges[-1], color="#999999", alpha=0.15, label=f"tail, over {tail['from_hz']:g} Hz")
    density.set_title(
        f"power in the tail: real {100 * tail['real_share']:.2f} %, generated {100 * tail['fake_share']:.2f} % "
        f"(KS {tail['ks']:.2f})"
    )
    density.set_yscale("log")
    density.set_xlim(0, edges[-1])
    density.set_xlabel("frequency (Hz)")
    density.set_ylabel("share of the velocity's power per Hz")
    density.legend(frameon=False, loc="lower left")
    _plot_ratios(ratio, edges, numbers["band_log10_ratios"])
    figure.savefig(file, dpi=DPI)


def _plot_density(
    axis: Axes, frequency_hz: list[float], part: Mapping[str, list[float]], label: str, colour: str
) -> None:
    low, middle, high = (np.array(part[key]) / frequency_hz[-1] for key in ("q25", "mean", "q75"))
    axis.plot(
        frequency_hz, middle, color=colour, linewidth=1.8, label=f"{label}: mean, and the middle half of the movements"
    )
    axis.fill_between(frequency_hz, low, high, color=colour, alpha=0.2, linewidth=0)


def _plot_ratios(axis: Axes, edges_hz: list[float], log10_ratios: list[float]) -> None:
    names = [f"{low:g} to {high:g}" for low, high in pairwise(edges_hz)]
    bars = axis.bar(names, log10_ratios, color=FAKE, alpha=0.7, width=0.6)
    axis.bar_label(bars, fmt="%+.2f", padding=2)
    axis.axhline(0, color="black", linewidth=0.8)
    limit = max(0.25, 1.15 * float(np.abs(log10_ratios).max()))
    axis.set_ylim(-limit, limit)
    axis.set_xlabel("band (Hz)")
    axis.set_title("log10 of generated over real power")


def plot_probe_accuracy(numbers: Mapping[str, Any], probes: tuple[str, ...], file: Path) -> None:
    """Plot the held-out accuracy of each probe with its s.d. over folds, its AUC, and its null band.

    Args:
        numbers: Result of `report.probe_tests` for `probes`.
    """
    figure = Figure(figsize=(1.8 + 1.5 * len(probes), 4.8), layout="constrained")
    axis = figure.subplots()
    place = np.arange(len(probes))
    tests = [numbers[probe] for probe in probes]
    accuracy = np.array([test["accuracy"] for test in tests])
    axis.bar(place, accuracy, 0.5, yerr=[t["accuracy_std"] for t in tests], color=FAKE, alpha=0.7, capsize=4, zorder=2)
    axis.plot(place, [t["auc"] for t in tests], "D", color="black", markersize=5, label="AUC", zorder=4)
    low, high = (np.array([test["null"][key] for test in tests]) for key in ("low", "high"))
    axis.bar(
        place,
        high - low,
        0.8,
        bottom=low,
        color=NULL,
        alpha=0.35,
        label="real halves against each other, 95 %",
        zorder=3,
    )
    axis.axhline(0.5, color="black", linewidth=0.8, linestyle=":", zorder=1)
    for x, value in zip(place, accuracy, strict=True):
        axis.text(x - 0.23, 0.415, f"{value:.3f}", fontsize=9, zorder=5)
    axis.set_xticks(place, probes)
    axis.set_ylim(0.4, 1.02)
    axis.set_ylabel("held-out accuracy (0.5: indistinguishable)")
    axis.set_title("C2ST by probe: bars with s.d. over folds")
    axis.legend(frameon=False, loc="upper left")
    figure.savefig(file, dpi=DPI)
