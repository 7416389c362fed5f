"""Conditions of the movements of a split as a table, so that any generator can be sampled under them, row by row.

    row_id, user, source                  `validation-3f2a91c0-17`: split, data set and row; who made the movement
    duration_s, distance_px, path_ratio   time, net displacement, and length of the path over it
    turning_rad, target_width_px, angle   sum of all changes of direction; empty if unknown; direction on the screen
    start_x, start_y, end_x, end_y        pixels on the screen of the recording, y downwards

The row id holds the first figures of the hash of the data set, so that rows of other data, or of the same data in
another canonical form, are not taken for these. A file of samples names the row that each sample was made for in a
column of the same name, and is then compared pair by pair.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.atomic_files import staged_file
from trainables.core.config import ConfigError
from trainables.data.config import DataConfig
from trainables.data.readers.files import file_of
from trainables.data.readers.recordings import RecordingError
from trainables.data.readers.rows import (
    error_at,
    numbered,
    numbers,
    positive_or_unknown,
    read_csv,
    require_columns,
    texts,
)
from trainables.data.splits.loading import load_splits

ROW_ID = "row_id"
SHOWN = 8  # figures of the hash of the data set in a row id
NUMBERS = ("duration_s", "distance_px", "path_ratio", "turning_rad")
WIDTH, ANGLE = "target_width_px", "angle"
PLACES = ("start_x", "start_y", "end_x", "end_y")
SUFFIXES = (".parquet", ".csv")


def row_ids(split: str, data_sha256: str, count: int) -> list[str]:
    """Return the row ids of a split of `count` movements, in its order.

    >>> row_ids("test", "3f2a91c0" + "0" * 56, 2)
    ['test-3f2a91c0-0', 'test-3f2a91c0-1']
    """
    return [f"{split}-{data_sha256[:SHOWN]}-{row}" for row in range(count)]


def rows_of(ids: Sequence[str], split: str, data_sha256: str, count: int, path: Path) -> Int[Tensor, "N"]:
    """Return the row numbers that the ids of a file name, in the order of the ids.

    Raises:
        ConfigError: An id that is none of this split, or one that is there twice.
    """
    prefix = f"{split}-{data_sha256[:SHOWN]}-"
    for name in ids:
        known = re.fullmatch(re.escape(prefix) + r"(0|[1-9]\d*)", name)
        if known is None or int(known[1]) >= count:
            raise ConfigError(
                f"{path}: expected every `{ROW_ID}` to be one of {prefix}0 to {prefix}{count - 1}, but got {name}; "
                "name the split and the data keys with which the conditions were written"
            )
    require_once(ids, path)
    return torch.tensor([int(name.removeprefix(prefix)) for name in ids], dtype=torch.int64)


def require_once(ids: Sequence[str], path: Path) -> None:
    """Raise ConfigError for a row id that is in a file twice."""
    for name, times in Counter(ids).most_common(1):
        if times > 1:
            raise ConfigError(
                f"{path}: expected each `{ROW_ID}` once, but got {name} {times} times; give one sample per row"
            )


def evaluation_table(config: DataConfig, split: str) -> pd.DataFrame:
    """Return the conditions of the movements of a split, a row each.

    Raises:
        RecordingError: The recordings cannot be read.
        ConfigError: The data make no four splits.
    """
    splits = load_splits(config)
    canonical = splits[split]
    duration, distance, ratio, turned, width = canonical.condition().double().unbind(dim=1)
    columns = dict(zip(NUMBERS, (duration.exp(), distance.exp(), ratio.exp(), turned.expm1()), strict=True))
    places = splits.places[split].numpy()
    return pd.DataFrame(
        {
            ROW_ID: row_ids(split, splits.sha256, len(canonical)),
            "user": canonical.group,
            "source": canonical.source,
            **{name: values.numpy() for name, values in columns.items()},
            WIDTH: width.exp().numpy(),
            ANGLE: canonical.angle.double().numpy(),
            **{name: places[:, column] for column, name in enumerate(PLACES)},
        }
    )


def write_evaluation_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV where the suffix says so, else as Parquet; the file is complete or absent.

    Raises:
        OSError: It cannot be written.
    """
    with staged_file(path) as staged:
        if path.suffix.lower() == ".csv":
            table.to_csv(staged, index=False)
        else:
            pq.write_table(pa.Table.from_pandas(table, preserve_index=False), staged)


@dataclass(frozen=True, eq=False)
class EvaluationRows:
    """Conditions of a table.

    Attributes:
        raw: Raw conditions, columns as in `CONDITION_NAMES`.
        angle: Directions on the screen, radians.
        source: Source of each row's movement.
    """

    row_ids: tuple[str, ...]
    raw: Float[Tensor, "N D"]
    angle: Float[Tensor, "N"]
    source: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.row_ids)


def read_evaluation_table(path: Path) -> EvaluationRows:
    """Return the conditions of a table.

    Raises:
        RecordingError: The file cannot be read, a column is missing, or a value is no number, with its row.
    """
    required = (ROW_ID, "source", *NUMBERS, WIDTH, ANGLE)
    if path.suffix.lower() == ".csv":
        frame = read_csv(file_of(path), required, (ROW_ID, "source"))
    else:
        try:
            require_columns(path, pq.read_schema(path).names, required)
            frame = numbered(path, pq.read_table(path, columns=[*required]).to_pandas(), first_row=1)
        except (OSError, pa.ArrowException) as error:
            raise RecordingError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from None
    duration, distance, ratio = (_positive(path, frame, name) for name in NUMBERS[:3])
    turned, width = numbers(path, frame, NUMBERS[3]), positive_or_unknown(path, frame, WIDTH)
    raw = np.stack([np.log(duration), np.log(distance), np.log(ratio), np.log1p(turned), np.log(width)], axis=1)
    angle = torch.from_numpy(numbers(path, frame, ANGLE).copy())  # pandas hands out arrays that cannot be written
    names, source = (tuple(texts(path, frame, column)) for column in (ROW_ID, "source"))
    return EvaluationRows(names, torch.from_numpy(raw), angle, source)


def _positive(path: Path, frame: pd.DataFrame, column: str) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
    values = numbers(path, frame, column)
    if (values <= 0).any():
        row = int(np.argmax(values <= 0))
        raise error_at(path, int(frame.index[row]), f"expected `{column}` to be above 0, but got {values[row]:g}")
    return values
