"""Plots of a generator in training: kinematic overlays and spectra of the samples of an epoch, as images."""

from collections.abc import Mapping

from trainables.data.canonical import Canonical
from trainables.eval.generation.plots import plot_overlays, plot_spectra
from trainables.eval.generation.report import spectra_of
from trainables.eval.generation.validator import Validator
from trainables.eval.plot_image import Image, image_of


def training_plots(validator: Validator, samples: Canonical) -> Mapping[str, Image]:
    """Return the plots of samples, one per row of `validator.held_out`, by their names in TensorBoard.

    Where more than half of the samples are no movements any more, there is none.
    """
    fake, rows = validator.observe(samples)
    if 2 * len(rows) < len(samples):
        return {}
    real = validator.observed.take(rows)
    return {
        "plots/kinematic_overlays": image_of(lambda file: plot_overlays(real, fake, file)),
        "plots/velocity_spectra": image_of(lambda file: plot_spectra(spectra_of(real, fake), file)),
    }
