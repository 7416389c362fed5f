import hashlib
import io
import json
import math
import subprocess
import sys
from typing import Any, get_args

import numpy as np
import pytest

from serve.formats import (
    DTYPES,
    FORMATS,
    HEADERS,
    FormatError,
    arrays_of,
    canonical_json,
    decode,
    headers_of,
    metadata_of,
    null_for_nan,
)
from serve.jobs import SampleResult
from serve.messages import SampleRequest, SampleResponse

N, T = 3, 4


def result(**changes: Any) -> SampleResult:
    random = np.random.default_rng(0)
    values: dict[str, Any] = {
        "deltas": random.normal(size=(N, T, 2)).astype(np.float32),
        "length": np.array([4, 2, 3], dtype=np.int32),
        "condition": np.array([[0.1, 2.0, 0.0, 0.3, math.nan]] * N),
        "angle": np.array([0.0, -1.5, math.pi]),
        "number": np.array([7, 8, 11]),
        "score": np.array([0.1, 0.5, 1.0]),
        "steps_px": random.integers(-9, 9, (N, T, 2)).astype(np.int32),
    }
    return SampleResult(**{**values, **changes}, model="0001-aaaaaaaaaaaa", weights_sha256="a" * 64, seconds=1.0)


def metadata(sample: SampleResult) -> dict[str, Any]:
    return metadata_of(sample, batch_id="b" * 32, seed=2**53 - 1, first=7, conditions="training")


@pytest.mark.parametrize("name", FORMATS)
def test_decoding_inverts_encoding_to_the_last_bit(name: str) -> None:
    arrays = arrays_of(result())
    body = FORMATS[name].encode(arrays, metadata(result()))
    found, decoded = decode(body, name)
    assert set(found) == (set(DTYPES) if FORMATS[name].whole else {"deltas"})
    assert decoded == (metadata(result()) if FORMATS[name].whole else {})
    for key, array in found.items():
        assert array.dtype == np.dtype(DTYPES[key])
        assert array.shape == arrays[key].shape
        assert array.tobytes() == arrays[key].tobytes()


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].whole])
def test_an_array_that_was_not_requested_is_absent(name: str) -> None:
    plain = result(score=None, steps_px=None)
    found, decoded = decode(FORMATS[name].encode(arrays_of(plain), metadata(plain)), name)
    assert set(found) == set(DTYPES) - {"score", "steps_px"}
    assert decoded["pixels"] == ""


def test_the_metadata_names_the_transform_of_the_pixels() -> None:
    assert "trainables.data.canonical.decode" in metadata(result())["pixels"]


def test_npy_is_read_by_numpy_and_is_little_endian_float32() -> None:
    body = FORMATS["npy"].encode(arrays_of(result()), {})
    array = np.load(io.BytesIO(body), allow_pickle=False)
    assert array.dtype.str == "<f4"
    np.testing.assert_array_equal(array, result().deltas)
    assert body.endswith(result().deltas.astype("<f4").tobytes())


def test_safetensors_carries_the_metadata_under_one_key() -> None:
    body = FORMATS["safetensors"].encode(arrays_of(result()), metadata(result()))
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    assert header["__metadata__"] == {"facts": canonical_json(metadata(result()))}


def test_json_is_the_canonical_text_of_metadata_and_arrays_and_finite() -> None:
    arrays = arrays_of(result())
    lists = {name: null_for_nan(array.tolist()) for name, array in arrays.items()}
    whole = canonical_json({**metadata(result()), "arrays": lists})
    assert FORMATS["json"].encode(arrays, metadata(result())).decode() == whole
    arrays["deltas"][0, 0, 0] = math.nan
    with pytest.raises(ValueError, match="not JSON compliant"):
        FORMATS["json"].encode(arrays, metadata(result()))


def test_json_has_null_for_an_unknown_width_and_is_standard_json() -> None:
    body = FORMATS["json"].encode(arrays_of(result()), metadata(result()))
    assert json.loads(body, parse_constant=pytest.fail)["arrays"]["condition"][0] == [0.1, 2.0, 0.0, 0.3, None]
    SampleResponse.model_validate_json(body, strict=True, extra="forbid")


def test_a_number_that_is_not_finite_elsewhere_is_an_error_rather_than_null() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        FORMATS["json"].encode(arrays_of(result(angle=np.array([math.nan, 0.0, 0.0]))), {})


@pytest.mark.heavy
def test_the_same_response_has_the_same_bytes_in_another_process() -> None:
    code = (
        "import hashlib; from serve.formats import FORMATS, arrays_of; "
        "from tests.serve.test_formats import metadata, result; "
        "print([hashlib.sha256(f.encode(arrays_of(result()), metadata(result()))).hexdigest() "
        "for f in FORMATS.values()])"
    )
    here = [hashlib.sha256(f.encode(arrays_of(result()), metadata(result()))).hexdigest() for f in FORMATS.values()]
    run = [sys.executable, "-c", code]
    there = subprocess.run(run, env={"PYTHONHASHSEED": "1"}, capture_output=True, text=True, check=True).stdout
    assert there.strip() == str(here)


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("part", [slice(0, 0), slice(0, 20), slice(0, -1), slice(9, None)])
def test_malformed_bytes_are_one_error(name: str, part: slice) -> None:
    body = FORMATS[name].encode(arrays_of(result()), metadata(result()))[part]
    with pytest.raises(
        FormatError, match=rf"^{len(body)} bytes are not a valid {name} response \(\w+\); check the URL$"
    ):
        decode(body, name)


def test_headers_hold_the_metadata_and_the_hash_of_the_body() -> None:
    values = metadata(result())
    headers = headers_of(values, b"body")
    assert {header: str(values[key]) for key, header in HEADERS.items()}.items() <= headers.items()
    assert headers["X-Content-Sha256"] == hashlib.sha256(b"body").hexdigest()
    assert headers["X-Provenance"] == "synthetic"
    condition = result().condition.astype("<f8").tobytes()
    assert headers["X-Conditions-Sha256"] == hashlib.sha256(condition).hexdigest()


def test_a_request_may_name_every_format() -> None:
    assert set(get_args(SampleRequest.model_fields["format"].annotation)) == set(FORMATS)


def test_null_replaces_what_is_not_finite_at_any_depth() -> None:
    nested = {"a": (1, math.inf), "b": [{"c": -math.nan}], "d": "NaN"}
    assert null_for_nan(nested) == {"a": [1, None], "b": [{"c": None}], "d": "NaN"}


def test_the_canonical_json_of_a_value() -> None:
    assert canonical_json({"b": [1.0, "é"], "a": {"d": 1, "c": None}}) == '{"a":{"c":null,"d":1},"b":[1.0,"\\u00e9"]}'
