"""Columns of an Arrow table whose rows are lists of numbers."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ListColumn:
    """A column of lists: N lengths, and the values of all rows one after another."""

    lengths: IntArray
    values: FloatArray

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "ListColumn":
        """Return the lists of a column without nulls; nanoseconds since 1970 are rounded to 256 ns."""
        values = pc.list_flatten(column).cast(pa.float64(), safe=False)
        return cls(pc.list_value_length(column).to_numpy().astype(np.int64), values.to_numpy())

    @property
    def bounds(self) -> IntArray:
        """Where each row begins among the values, and the end of the last one [N + 1]."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    def rows(self) -> list[FloatArray]:
        """Return the values row by row."""
        return np.split(self.values, self.bounds[1:-1]) if len(self.lengths) else []
