"""The type of row numbers, without torch."""

import numpy as np
import numpy.typing as npt

Indices = npt.NDArray[np.int64]
