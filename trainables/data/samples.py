"""Files of samples: what they carry beside the movements, so that others can go back to pixels and measure.

    samples.parquet          one row per movement in pixels, with the requested conditions and the direction
    samples.npy              standardised canonical deltas [n, T, C] in the frame of the model; beside it, row by row,
    samples.condition.npy    requested conditions [n, D], columns as in `CONDITION_NAMES`
    samples.angle.npy        requested directions [n], radians
    samples.mask.npy         valid steps [n, T]
    samples.json             the record: statistics, frame, form, hashes of model and data, sampler, seed, version

The Parquet file holds the record as well, in the metadata of its schema.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from jaxtyping import Float
from torch import Tensor

from trainables.core.config import ConfigError, build
from trainables.data.canonical import Canonical, Movements, decode, with_deltas
from trainables.data.config import CONDITION_NAMES, FRAME_NAMES, CanonicalConfig
from trainables.data.readers.recording_set import RecordingError
from trainables.data.splits.statistics import Statistics

METADATA = b"humouse"  # key of the record in the schema of a Parquet file
ANGLE = "angle"  # column of the requested direction, radians
PARTS = ("condition", "angle", "mask")  # of what stands beside an array of deltas, `samples.PART.npy`


def record_of(path: Path) -> dict[str, Any]:
    """Return the record that a file of samples carries, empty for a file that was made elsewhere."""
    try:
        if path.suffix.lower() == ".parquet":
            text = (pq.read_schema(path).metadata or {}).get(METADATA, b"{}").decode()
        else:
            text = path.with_suffix(".json").read_text() if path.suffix.lower() == ".npy" else "{}"
        found = json.loads(text)
    except (OSError, ValueError, pa.ArrowException):
        return {}
    return found if isinstance(found, dict) else {}


def is_standardised(path: Path) -> bool:
    """Whether a file is an array of deltas with the statistics that standardised them."""
    return path.suffix.lower() == ".npy" and "statistics" in record_of(path)


def part_of(path: Path, part: str) -> Path:
    """Return the file of a part beside an array of deltas.

    >>> part_of(Path("samples.npy"), "mask").name
    'samples.mask.npy'
    """
    return path.with_name(f"{path.stem}.{part}.npy")


def statistics_record(statistics: Statistics) -> dict[str, Any]:
    """Return statistics as plain numbers; `read_standardised` reads them."""
    return {name: tensor.tolist() for name, tensor in statistics.tensors().items()}


def read_standardised(path: Path) -> tuple[Movements, Float[Tensor, "N D"]]:
    """Return the movements in pixels of an array of deltas, and the conditions that were requested.

    Raises:
        RecordingError: A part is missing or of another size, a value is not finite, or the record is incomplete.
    """
    z, (condition, angle, mask) = _array(path), (_array(part_of(path, part)) for part in PARTS)
    n, steps = z.shape[0], z.shape[1] if z.ndim == 3 else 0
    shapes = {"condition": (n, len(CONDITION_NAMES)), "angle": (n,), "mask": (n, steps)}
    for (part, shape), array in zip(shapes.items(), (condition, angle, mask), strict=True):
        _require(array.shape == shape, part_of(path, part), f"an array {list(shape)}", str(list(array.shape)))
    finite = bool(np.isfinite(z).all() and np.isfinite(condition[:, :-1]).all() and np.isfinite(angle).all())
    _require(finite, path, "finite deltas, conditions and directions", "NaN or infinity")
    try:
        record = record_of(path)
        form = build(CanonicalConfig, record["canonical"])
        tensors = {k: torch.tensor(v, dtype=torch.float64) for k, v in record["statistics"].items()}
        statistics = Statistics.of_tensors(tensors, (), record.get("frame", FRAME_NAMES[0]))
        raw, valid = torch.from_numpy(condition.astype(np.float64)), torch.from_numpy(mask.astype(np.bool_))
        frame = _frame(raw, torch.from_numpy(angle.astype(np.float64)), valid, z.shape[2])
        return decode(with_deltas(frame, statistics.denormalise(torch.from_numpy(z), frame)), form), raw
    except (ConfigError, KeyError, RuntimeError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise RecordingError(f"{path.with_suffix('.json')}: not the record of {path.name} ({reason})") from None


def _frame(raw: Float[Tensor, "N D"], angle: Float[Tensor, "N"], mask: Tensor, channels: int) -> Canonical:
    """Return empty canonical movements of the requested duration, distance, direction and target width."""
    duration_s, distance_px, _, _, width_px = raw.exp().unbind(dim=1)
    deltas = torch.zeros(*mask.shape, channels, dtype=torch.float64)
    return Canonical(deltas, mask, angle, distance_px, duration_s, ("sample",) * len(raw), width_px)


def _array(path: Path) -> npt.NDArray[Any]:
    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file or folder; it stands beside the deltas of the samples") from None
    except (OSError, ValueError, EOFError) as error:
        raise RecordingError(f"{path}: cannot be read as .npy: {str(error).splitlines()[0]}") from None
    if not isinstance(found, np.ndarray) or found.dtype.kind not in "fiub":
        raise RecordingError(f"{path}: expected an array of numbers, but got another kind of file")
    return found


def _require(holds: bool, path: Path, law: str, got: str) -> None:
    if not holds:
        raise RecordingError(f"{path}: expected {law}, but got {got}; sample again")


def with_record(schema: pa.Schema, record: Mapping[str, Any]) -> pa.Schema:
    """Return a schema that holds a record in its metadata."""
    return schema.with_metadata({METADATA: json.dumps(dict(record), sort_keys=True)})
