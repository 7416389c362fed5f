"""Plots of a generator in training: kinematic overlays and spectra of the samples of an epoch, as images."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.image import imread

from trainables.data.canonical import Canonical
from trainables.eval.generation.plots import plot_overlays, plot_spectra
from trainables.eval.generation.report import spectra_of
from trainables.eval.generation.validator import Validator

Image = npt.NDArray[np.uint8]


def training_plots(validator: Validator, samples: Canonical) -> Mapping[str, Image]:
    """Return the plots of samples, one per row of `validator.held_out`, by their names in TensorBoard.

    Where more than half of the samples are no movements any more, there is none.
    """
    fake, rows = validator.observe(samples)
    if 2 * len(rows) < len(samples):
        return {}
    real = validator.observed.take(rows)
    return {
        "plots/kinematic_overlays": _image(lambda file: plot_overlays(real, fake, file)),
        "plots/velocity_spectra": _image(lambda file: plot_spectra(spectra_of(real, fake), file)),
    }


def _image(plot: Callable[[Path | io.BytesIO], None]) -> Image:
    """Return what `plot` writes, as pixels [height, width, RGBA]."""
    buffer = io.BytesIO()
    plot(buffer)
    buffer.seek(0)
    pixels: Image = np.rint(imread(buffer) * 255).astype(np.uint8)
    return pixels
