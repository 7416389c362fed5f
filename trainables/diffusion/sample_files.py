"""Samples as files, written window by window: memory does not grow with their number, and no half file is left.

Everything is written under a hidden name first and renamed when it is whole; `samples.json` comes last, so that its
presence shows that the others are complete. `trainables.data.samples` describes the files and reads them.
"""

import json
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.data.canonical import Movements
from trainables.data.config import CONDITION_NAMES, RATE_HZ
from trainables.data.evaluation_rows import ROW_ID
from trainables.data.samples import ANGLE, PARTS, part_of, with_record
from trainables.generation.conditions import Conditions

STEM = "samples"
RECORD = f"{STEM}.json"
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
        *((name, pa.float64()) for name in CONDITION_NAMES),
        (ANGLE, pa.float64()),
        (ROW_ID, pa.string()),
    ]
)


@dataclass(frozen=True, eq=False)
class Window:
    """Samples one after another, with the conditions that were requested.

    Attributes:
        z: Standardised canonical deltas.
        mask: Their valid steps.
        row_ids: Row of a file of evaluation conditions that each sample was made for; empty where there is none.
    """

    z: Float[Tensor, "M T C"]
    mask: Bool[Tensor, "M T"]
    conditions: Conditions
    movements: Movements
    row_ids: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.z)


class SampleFile(Protocol):
    """One file in the making."""

    def write(self, first: int, window: Window) -> None:
        """Add the samples numbered from `first` on."""

    def close(self) -> None:
        """Nothing more is to come."""


class ArrayFile:
    """One number or several of each sample as .npy: [n, ...]."""

    def __init__(
        self, path: Path, shape: tuple[int, ...], dtype: npt.DTypeLike, part: Callable[[Window], Tensor]
    ) -> None:
        self._array = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        self._part = part

    def write(self, first: int, window: Window) -> None:
        """Rows `first` onwards."""
        self._array[first : first + len(window)] = self._part(window).numpy()

    def close(self) -> None:
        """Bring every row to the disk."""
        self._array.flush()


class TableFile:
    """Movements in pixels as Parquet, one row each and a row group per window."""

    def __init__(self, path: Path, record: Mapping[str, Any]) -> None:
        self._schema = with_record(SCHEMA, record)
        self._writer = pq.ParquetWriter(path, self._schema)

    def write(self, first: int, window: Window) -> None:
        """One row group."""
        self._writer.write_table(movement_table(window, first).cast(self._schema))

    def close(self) -> None:
        """Write the footer, without which nothing can be read."""
        self._writer.close()


Shape = tuple[int, int, int]
Opener = Callable[[Path], SampleFile]


def array_files(path: Path, shape: Shape, record: Mapping[str, Any]) -> dict[Path, Opener]:
    """Return the deltas, float32 [n, T, C], and the arrays beside them."""
    n, steps, _ = shape
    parts: dict[str, tuple[tuple[int, ...], npt.DTypeLike, Callable[[Window], Tensor]]] = {
        "condition": ((n, len(CONDITION_NAMES)), np.float64, lambda window: window.conditions.raw),
        "angle": ((n,), np.float64, lambda window: window.conditions.angle),
        "mask": ((n, steps), np.bool_, lambda window: window.mask),
    }
    beside = {part_of(path, part): _array_opener(*parts[part]) for part in PARTS}
    return {path: _array_opener(shape, np.float32, lambda window: window.z), **beside}


def table_files(path: Path, shape: Shape, record: Mapping[str, Any]) -> dict[Path, Opener]:
    """Return the one file of movements in pixels."""
    return {path: lambda hidden: TableFile(hidden, record)}


def _array_opener(shape: tuple[int, ...], dtype: npt.DTypeLike, part: Callable[[Window], Tensor]) -> Opener:
    return lambda hidden: ArrayFile(hidden, shape, dtype, part)


FORMATS: dict[str, Callable[[Path, Shape, Mapping[str, Any]], dict[Path, Opener]]] = {
    "npy": array_files,
    "parquet": table_files,
}


class SampleFiles(AbstractContextManager["SampleFiles"]):
    """The files of one run, whole at the end of the `with` block or not there."""

    def __init__(self, folder: Path, formats: tuple[str, ...], shape: Shape, record: Mapping[str, Any]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        openers: dict[Path, Opener] = {}
        for name in formats:
            openers |= FORMATS[name](folder / f"{STEM}.{name}", shape, record)
        self._final = [*openers]
        self._record_path, self._record = folder / RECORD, record
        self._files = [opener(_hidden(path)) for path, opener in openers.items()]
        self._written = 0

    def write(self, window: Window) -> None:
        """The next samples."""
        for file in self._files:
            file.write(self._written, window)
        self._written += len(window)

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


def movement_table(window: Window, first: int = 0) -> pa.Table:
    """One row per movement, as the table reader takes it: 60 Hz times and whole-pixel positions as lists."""
    movements, rows = window.movements, []
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
                **_known(dict(zip(CONDITION_NAMES, window.conditions.raw[index].tolist(), strict=True))),
                ANGLE: window.conditions.angle[index].item(),
                ROW_ID: window.row_ids[index] if window.row_ids else None,
            }
        )
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def _known(values: Mapping[str, float]) -> dict[str, float | None]:
    """Return the values with None, an empty cell, in place of NaN."""
    return {name: None if np.isnan(value) else value for name, value in values.items()}
