"""Samples as files, written window by window: memory does not grow with their number, and no half file is left.

Everything is written under a hidden name first and renamed when it is whole; `samples.json` comes last, so that its
presence shows that the others are complete.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from torch import Tensor

from trainables.data.canonical import Movements
from trainables.data.config import RATE_HZ

RECORD = "samples.json"
COORDINATES = pa.list_(pa.float64())
SCHEMA = pa.schema(
    [
        ("trajectory_id", pa.int64()),
        ("source", pa.string()),
        ("user", pa.string()),
        ("session", pa.string()),
        ("t_ms", COORDINATES),
        ("x", COORDINATES),
        ("y", COORDINATES),
    ]
)


class SampleFile(Protocol):
    """One file in the making."""

    def write(self, first: int, z: Float[Tensor, "M T C"], movements: Movements) -> None:
        """Add the samples numbered from `first` on."""

    def close(self) -> None:
        """Nothing more is to come."""


class ArrayFile:
    """Standardised canonical deltas, float32 [n, T, C], as .npy."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self._array = np.lib.format.open_memmap(path, mode="w+", dtype=np.float32, shape=shape)

    def write(self, first: int, z: Float[Tensor, "M T C"], movements: Movements) -> None:
        """Rows `first` onwards."""
        self._array[first : first + len(z)] = z.numpy()

    def close(self) -> None:
        """Bring every row to the disk."""
        self._array.flush()


class TableFile:
    """Movements in pixels as Parquet, one row each and a row group per window."""

    def __init__(self, path: Path, shape: tuple[int, int, int]) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA)

    def write(self, first: int, z: Float[Tensor, "M T C"], movements: Movements) -> None:
        """One row group."""
        self._writer.write_table(movement_table(movements, first))

    def close(self) -> None:
        """Write the footer, without which nothing can be read."""
        self._writer.close()


FORMATS: dict[str, Callable[[Path, tuple[int, int, int]], SampleFile]] = {"npy": ArrayFile, "parquet": TableFile}


class SampleFiles(AbstractContextManager["SampleFiles"]):
    """The files of one run, whole at the end of the `with` block or not there."""

    def __init__(
        self, folder: Path, formats: tuple[str, ...], shape: tuple[int, int, int], record: Mapping[str, Any]
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._final = [folder / f"samples.{name}" for name in formats]
        self._record_path, self._record = folder / RECORD, record
        self._files: list[SampleFile] = [
            FORMATS[name](_hidden(path), shape) for name, path in zip(formats, self._final, strict=True)
        ]
        self._written = 0

    def write(self, z: Float[Tensor, "M T C"], movements: Movements) -> None:
        """The next samples."""
        for file in self._files:
            file.write(self._written, z, movements)
        self._written += len(z)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files:
            file.close()
        if kind is None:
            self._publish()
        for path in self._final:
            _hidden(path).unlink(missing_ok=True)

    def _publish(self) -> None:
        self._record_path.unlink(missing_ok=True)
        for path in self._final:
            _hidden(path).replace(path)
        staged = _hidden(self._record_path)
        staged.write_text(json.dumps(self._record, indent=1, sort_keys=True) + "\n")
        staged.replace(self._record_path)


def _hidden(path: Path) -> Path:
    return path.with_name(f".{path.name}.partial")


def movement_table(movements: Movements, first: int = 0) -> pa.Table:
    """One row per movement, as the table reader takes it: 60 Hz times and whole-pixel positions as lists."""
    rows = []
    for index, (steps, length) in enumerate(zip(movements.steps_px, movements.length.tolist(), strict=True)):
        path = torch.cat([torch.zeros(1, 2), steps[:length].cumsum(dim=0)]).tolist()
        rows.append(
            {
                "trajectory_id": first + index,
                "source": "synthetic",
                "user": movements.group[index],
                "session": "sampled",
                "t_ms": [step * 1000.0 / RATE_HZ for step in range(length + 1)],
                "x": [point[0] for point in path],
                "y": [point[1] for point in path],
            }
        )
    return pa.Table.from_pylist(rows, schema=SCHEMA)
