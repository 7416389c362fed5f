"""A plot as pixels, for TensorBoard."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.image import imread

Image = npt.NDArray[np.uint8]
PlotTarget = Path | io.BytesIO
"""Where a plot writes its PNG."""


def image_of(plot: Callable[[PlotTarget], None]) -> Image:
    """Return what `plot` writes, as pixels [height, width, RGBA]."""
    buffer = io.BytesIO()
    plot(buffer)
    buffer.seek(0)
    pixels: Image = np.rint(imread(buffer) * 255).astype(np.uint8)
    return pixels
