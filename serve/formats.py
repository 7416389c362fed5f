"""A reply as bytes and back, in three formats: the service encodes, its client decodes.

    npy          the deltas alone, float32, little endian, [n, T, C]; everything else stands in the reply's headers
    safetensors  all arrays; the facts as JSON under the one key `facts` of its metadata
    json         the facts, and all arrays under `arrays`; NaN (an unknown target width) is null

The same arrays and facts give the same bytes, in every process: a reply can be told by its hash.
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

from serve.jobs import Drawn
from trainables.data.canonical import RATE_HZ
from trainables.data.config import CONDITION_NAMES

Arrays = Mapping[str, npt.NDArray[Any]]
Facts = Mapping[str, Any]

DTYPES = {  # little endian, whatever the machine
    "deltas": "<f4",
    "length": "<i4",
    "condition": "<f8",
    "angle": "<f8",
    "number": "<i8",
    "score": "<f8",
    "steps_px": "<i4",
}
FACTS = "facts"
PROVENANCE = "synthetic"
UNIT = "deltas: displacement per step in units of the asked net displacement, which points along +x"
PIXELS = (
    "steps_px: trainables.data.canonical.decode (times exp(log_distance_px), turned by angle, "
    f"in whole pixels per 1/{RATE_HZ:g} s)"
)
HEADERS = {  # facts that every reply carries beside its body
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
    """Bytes that are no reply in the format that they claim."""


@dataclass(frozen=True)
class Format:
    """One way to write a reply.

    Attributes:
        encode: Arrays and facts -> bytes.
        decode: The bytes -> arrays and facts, as far as the format carries them.
        whole: Whether it carries every array and fact.
    """

    media_type: str
    encode: Callable[[Arrays, Facts], bytes]
    decode: Callable[[bytes], tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]]
    whole: bool = True


def arrays_of(drawn: Drawn) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a reply by their names, in the types of the wire."""
    present = {name: getattr(drawn, name) for name in DTYPES if getattr(drawn, name) is not None}
    return {name: np.ascontiguousarray(array, dtype=DTYPES[name]) for name, array in present.items()}


def facts_of(drawn: Drawn, *, batch_id: str, seed: int, first: int, conditions: str) -> dict[str, Any]:
    """What is said of a reply besides its numbers; nothing of it depends on when or where it was computed.

    Args:
        conditions: The distribution from which they were drawn, or "given".
    """
    condition = np.ascontiguousarray(drawn.condition, dtype=DTYPES["condition"])
    n, steps, channels = drawn.deltas.shape
    return {
        "provenance": PROVENANCE,
        "model": drawn.model,
        "weights_sha256": drawn.weights_sha256,
        "detector": drawn.detector,
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
        "pixels": "" if drawn.steps_px is None else PIXELS,
    }


def headers_of(facts: Facts, body: bytes) -> dict[str, str]:
    """The headers of a reply: its facts in short, and the hash of its body."""
    told = {header: str(facts[name]) for name, header in HEADERS.items()}
    return {**told, BODY_HASH: hashlib.sha256(body).hexdigest()}


def canonical_json(value: Any) -> str:
    """The one JSON text of a value: sorted keys, no blanks, ASCII alone.

    Raises:
        ValueError: NaN or infinity, which JSON has no word for.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def null_for_nan(value: Any) -> Any:
    """The same nested value with None for every number that is not finite.

    >>> null_for_nan({"a": [1.0, float("nan")]})
    {'a': [1.0, None]}
    """
    if isinstance(value, Mapping):
        return {key: null_for_nan(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [null_for_nan(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _encode_npy(arrays: Arrays, facts: Facts) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, arrays["deltas"], version=(1, 0), allow_pickle=False)
    return stream.getvalue()


def _decode_npy(body: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    return {"deltas": np.lib.format.read_array(io.BytesIO(body), allow_pickle=False)}, {}


def _encode_safetensors(arrays: Arrays, facts: Facts) -> bytes:
    # One key of metadata: several would be written in an order that changes from process to process.
    return save_safetensors(dict(arrays), {FACTS: canonical_json(facts)})


def _decode_safetensors(body: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    arrays = load_safetensors(body)
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    return arrays, json.loads(header["__metadata__"][FACTS])


def _encode_json(arrays: Arrays, facts: Facts) -> bytes:
    members = {name: canonical_json(value) for name, value in facts.items()}
    members["arrays"] = _object({name: _rows(array, name == "condition") for name, array in arrays.items()})
    return _object(members).encode()


def _object(members: Mapping[str, str]) -> str:
    """The canonical JSON of an object whose values are JSON already."""
    return "{" + ",".join(f"{canonical_json(name)}:{members[name]}" for name in sorted(members)) + "}"


def _rows(array: npt.NDArray[Any], unknown: bool) -> str:
    """An array as JSON, row by row: one call for all of it would hold up every other thread until its end.

    Args:
        unknown: Whether NaN, an unknown value, becomes null.
    """
    rows = (row.tolist() for row in array)
    return "[" + ",".join(canonical_json(null_for_nan(row) if unknown else row) for row in rows) + "]"


def _decode_json(body: bytes) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    facts = json.loads(body)
    arrays = facts.pop("arrays")
    return {name: np.array(values, dtype=DTYPES[name]) for name, values in arrays.items()}, facts


FORMATS = {
    "npy": Format("application/x-npy", _encode_npy, _decode_npy, whole=False),
    "safetensors": Format("application/x-safetensors", _encode_safetensors, _decode_safetensors),
    "json": Format("application/json", _encode_json, _decode_json),
}


def decode(body: bytes, name: str) -> tuple[dict[str, npt.NDArray[Any]], dict[str, Any]]:
    """The arrays and the facts of a reply in the format `name`; of npy the deltas alone.

    Raises:
        FormatError: the bytes are none of that format.
    """
    try:
        return FORMATS[name].decode(body)
    except Exception as error:  # noqa: BLE001  # each library has errors of its own for bytes that it cannot read
        raise FormatError(f"{len(body)} bytes are no {name} reply ({type(error).__name__}); ask again") from None
