"""Response bodies in three formats: the service encodes, its client decodes.

    npy          the deltas alone, float32, little endian, [n, T, C]; the metadata is in the response headers
    safetensors  all arrays; the metadata as JSON under the key `facts` of its own metadata
    json         the metadata, and all arrays under `arrays`; NaN (an unknown target width) is null

The same arrays and metadata give the same bytes in every process, so a response is identified by its hash.
"""

import hashlib
import io
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from serve.jobs import SampleResult
from trainables.data.config import CONDITION_NAMES, RATE_HZ

Arrays = Mapping[str, npt.NDArray[Any]]
Metadata = Mapping[str, Any]

DTYPES = {  # little endian on every machine
    "deltas": "<f4",
    "length": "<i4",
    "condition": "<f8",
    "angle": "<f8",
    "number": "<i8",
    "score": "<f8",
    "steps_px": "<i4",
}
METADATA_KEY = "facts"
PROVENANCE = "synthetic"
# Texts of the metadata: part of the bytes that a batch id stands for.
UNIT = "deltas: displacement per step in units of the requested net displacement, which points along +x"
PIXELS = (
    "steps_px: trainables.data.canonical.decode (times exp(log_distance_px), turned by angle, "
    f"in whole pixels per 1/{RATE_HZ:g} s)"
)
HEADERS = {  # metadata -> header that repeats it on every response
    "model": "X-Model-Id",
    "weights_sha256": "X-Model-Sha256",
    "batch_id": "X-Batch-Id",
    "seed": "X-Seed",
    "provenance": "X-Provenance",
    "conditions": "X-Conditions",
    "conditions_sha256": "X-Conditions-Sha256",
}
BODY_HASH = "X-Content-Sha256"


class FormatError(ValueError):
    """The bytes are not a valid response in the declared format."""


@dataclass(frozen=True)
class Format:
    """Encoder and decoder of one format.

    Attributes:
        encode: Arrays and metadata -> bytes.
        decode: Bytes -> arrays and metadata, as far as the format carries them.
        whole: Whether the format carries all arrays and metadata.
    """

    media_type: str
    encode: Callable[[Arrays, Metadata], bytes]
    decode: Callable[[bytes], tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]]
    whole: bool = True


def arrays_of(result: SampleResult) -> dict[str, npt.NDArray[Any]]:
    """Return the arrays of a response by name, in the types of the wire."""
    present = {name: getattr(result, name) for name in DTYPES if getattr(result, name) is not None}
    return {name: np.ascontiguousarray(array, dtype=DTYPES[name]) for name, array in present.items()}


def metadata_of(result: SampleResult, *, batch_id: str, seed: int, first: int, conditions: str) -> dict[str, Any]:
    """Return the metadata of a response; none of it depends on when or where the response was computed.

    Args:
        conditions: The distribution that conditions were sampled from, or "given".
    """
    condition = np.ascontiguousarray(result.condition, dtype=DTYPES["condition"])
    n, steps, channels = result.deltas.shape
    return {
        "provenance": PROVENANCE,
        "model": result.model,
        "weights_sha256": result.weights_sha256,
        "detector": result.detector,
        "batch_id": batch_id,
        "seed": seed,
        "first": first,
        "n": n,
        "seq_len": steps,
        "channels": channels,
        "rate_hz": RATE_HZ,
        "conditions": conditions,
        "conditions_sha256": hashlib.sha256(condition.tobytes()).hexdigest(),
        "condition_names": list(CONDITION_NAMES),
        "unit": UNIT,
        "pixels": "" if result.steps_px is None else PIXELS,
    }


def headers_of(metadata: Metadata, body: bytes) -> dict[str, str]:
    """Return the headers of a response: the main metadata, and the hash of its body."""
    headers = {header: str(metadata[name]) for name, header in HEADERS.items()}
    return {**headers, BODY_HASH: hashlib.sha256(body).hexdigest()}


def canonical_json(value: Any) -> str:
    """Return the canonical JSON text of a value: sorted keys, no whitespace, ASCII only.

    Raises:
        ValueError: NaN or infinity, which JSON cannot express.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def null_for_nan(value: Any) -> Any:
    """Return the same nested value with None in place of every number that is not finite.

    >>> null_for_nan({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {key: null_for_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [null_for_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _encode_npy(arrays: Arrays, metadata: Metadata) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, arrays["deltas"], version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _decode_npy(body: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    return {"deltas": np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)}, {}


def _encode_safetensors(arrays: Arrays, metadata: Metadata) -> bytes:
    # One key only: safetensors would write several in an order that changes from process to process.
    return save_safetensors(dict(arrays), {METADATA_KEY: canonical_json(metadata)})


def _decode_safetensors(body: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    arrays = load_safetensors(body)
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    return arrays, json.loads(header["__metadata__"][METADATA_KEY])


def _encode_json(arrays: Arrays, metadata: Metadata) -> bytes:
    members = {name: canonical_json(value) for name, value in metadata.items()}
    members["arrays"] = _object({name: _rows(array, name == "condition") for name, array in arrays.items()})
    return _object(members).encode()


def _object(members: Mapping[str, str]) -> str:
    """Return the canonical JSON of an object whose values are JSON already."""
    return "{" + ",".join(f"{canonical_json(name)}:{members[name]}" for name in sorted(members)) + "}"


def _rows(array: npt.NDArray[Any], unknown: bool) -> str:
    """Return an array as JSON, encoded row by row: one call for all of it would hold the GIL until its end.

    Args:
        unknown: Whether NaN, an unknown value, becomes null.
    """
    rows = (row.tolist() for row in array)
    return "[" + ",".join(canonical_json(null_for_nan(row) if unknown else row) for row in rows) + "]"


def _decode_json(body: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    metadata = json.loads(body)
    arrays = metadata.pop("arrays")
    return {name: np.array(values, dtype=DTYPES[name]) for name, values in arrays.items()}, metadata


FORMATS = {
    "npy": Format("application/x-npy", _encode_npy, _decode_npy, whole=False),
    "safetensors": Format("application/x-safetensors", _encode_safetensors, _decode_safetensors),
    "json": Format("application/json", _encode_json, _decode_json),
}


def decode(body: bytes, name: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """Return the arrays and the metadata of a body in the format `name`; of npy the deltas alone.

    Raises:
        FormatError: the bytes are not valid in that format.
    """
    try:
        return FORMATS[name].decode(body)
    except Exception as error:  # noqa: BLE001  # each library has its own errors for bytes that it cannot read
        reason = f"{len(body)} bytes are not a valid {name} response ({type(error).__name__})"
        raise FormatError(f"{reason}; check the URL") from None
