"""Movements of an agent as a file of samples, which `platform.evaluate samples=FILE` compares with users'.

Parquet, one row per movement: 60 Hz times and whole-pixel positions from the start, the user whose movement gave the
task, and in the metadata the hash of the agent's weights.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from trainables.core.atomic_files import staged_file
from trainables.critic.episodes import POSITION
from trainables.data.canonical import Movements
from trainables.data.config import RATE_HZ
from trainables.data.samples import with_record

SOURCE = "agent"
COORDINATES = pa.list_(pa.float64())
SCHEMA = pa.schema(
    [
        ("source", pa.string()),
        ("user", pa.string()),
        ("session", pa.string()),
        ("t_ms", COORDINATES),
        ("x", COORDINATES),
        ("y", COORDINATES),
    ]
)


def write_movements(movements: Movements, weights_sha256: str, file: Path) -> None:
    """Write movements, with the hash of the agent that made them; the file is complete or absent."""
    rows = [
        _row(user, steps[:length])
        for user, steps, length in zip(movements.group, movements.steps_px, movements.length.tolist(), strict=True)
    ]
    schema = with_record(SCHEMA, {"kind": SOURCE, "weights_sha256": weights_sha256})
    with staged_file(file) as staged:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), staged)


def _row(user: str, steps: Tensor) -> dict[str, object]:
    x, y = torch.cat([torch.zeros(1, POSITION), steps.cumsum(dim=0)]).T.tolist()
    t_ms = [tick * 1000.0 / RATE_HZ for tick in range(len(steps) + 1)]
    return {"source": SOURCE, "user": user, "session": "made", "t_ms": t_ms, "x": x, "y": y}
