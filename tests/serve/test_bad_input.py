"""Tests of the status and the message of every kind of bad request."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from httpx2 import Response
from starlette.testclient import TestClient

from tests.serve.fakes import AUTHORISED, FakeBackend, client_of, tokens

JSON = {"Content-Type": "application/json"}
ROW = [-1.0, 5.0, 0.1, 0.5, None]
NAMES = "log_duration_s, log_distance_px, log_path_ratio, log1p_turning_rad, log_target_width_px"
REMEDY = "an unknown target width is NaN"
NO_ID = "model: string should match pattern '^([0-9]{4,12}-[0-9a-f]{12})?$'"
UNREADABLE = "unreadable JSON body: nested too deeply, a number with too many digits, or not UTF-8"

CASES = [
    # values
    ({"n": 0}, "expected `n >= 1`, but got n=0"),
    ({"n": -3}, "expected `n >= 1`, but got n=-3"),
    ({"n": 4097}, "expected `n <= 4096`, but got n=4097; request the rest with `first`"),
    ({"n": 10**30}, "expected `n <= 4096`, but got n=1000000000000000000000000000000; request the rest with `first`"),
    (
        {"n": 1025, "candidates": 4},
        "expected `n x candidates <= 4096`, but got n=1025, candidates=4; request the rest with `first`",
    ),
    ({"n": 1, "candidates": 0}, "expected `candidates >= 1`, but got candidates=0"),
    ({"n": 1, "candidates": 65}, "expected `candidates <= 64`, but got candidates=65"),
    ({"n": 257, "format": "json"}, "expected `n <= 256` with format=json, but got n=257; use format=safetensors"),
    ({"seq_len": 513}, "expected `seq_len <= 512`, but got seq_len=513"),
    ({"steps": 101}, "expected `steps <= 100`, but got steps=101"),
    ({"steps": 0}, "expected `steps >= 1`, but got steps=0"),
    ({"seed": -1}, "expected `seed >= 0`, but got seed=-1"),
    ({"seed": 2**53}, "expected `seed < 9007199254740992`, but got seed=9007199254740992"),
    ({"first": -1}, "expected `first >= 0`, but got first=-1"),
    ({"eta": 1.5}, "expected `eta <= 1.0`, but got eta=1.5"),
    ({"sampler": "euler"}, "expected `sampler` in {ddim, dpmpp_2m}, but got sampler=euler"),
    ({"format": "pickle"}, "format: input should be 'npy', 'safetensors' or 'json', but got 'pickle'"),
    ({"format": "npy", "pixels": True}, "expected format=safetensors or json with `pixels`, but got format=npy"),
    ({"hardness": [0.9, 0.1]}, "expected `0 <= low <= high <= 1` for `hardness`, but got low=0.9, high=0.1"),
    # conditions
    ({"conditions": [ROW[1:]]}, f"expected `columns == 5` ({NAMES}), but got 4 in row 0; {REMEDY}"),
    ({"conditions": [[*ROW, 1.0]]}, f"expected `columns == 5` ({NAMES}), but got 6 in row 0; {REMEDY}"),
    ({"conditions": [ROW] * 3}, "expected `conditions` to have 1 row or n=2 rows, but got 3 rows"),
    (
        {"conditions": [ROW], "distribution": "even_distance"},
        "expected no `distribution` together with `conditions`, but got distribution=even_distance",
    ),
    # types
    ({"n": "2"}, "n: input should be a valid integer, but got '2'"),
    ({"n": True}, "n: input should be a valid integer, but got True"),
    ({"n": 2.5}, "n: input should be a valid integer, but got 2.5"),
    ({"n": None}, "n: input should be a valid integer, but got None"),
    ({"conditions": [[1, 2, 3, 4, "wide"]]}, "conditions.0.4: input should be a valid number, but got 'wide'"),
    # names
    ({"stepz": 3}, "stepz: unknown field; did you mean `steps`?"),
    ({"path": "/etc/passwd"}, "path: unknown field"),
    ({"model": "../../etc/passwd"}, f"{NO_ID}, but got '../../etc/passwd'"),
    ({"model": "0001-aaaaaaaaaaaa\n"}, f"{NO_ID}, but got '0001-aaaaaaaaaaaa\\n'"),
]  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(FakeBackend(), tmp_path_factory.mktemp("serve")) as client:
        yield client


def refusal(response: Response) -> tuple[int, str]:
    """Return status and message of an error, and check its form."""
    assert response.headers["content-type"] == "application/json"
    (error,) = response.json().values()
    assert error["status"] == response.status_code
    assert "\n" not in error["message"]
    return response.status_code, error["message"]


@pytest.mark.parametrize(("payload", "message"), CASES, ids=[json.dumps(payload)[:40] for payload, _ in CASES])
def test_a_value_out_of_bounds_is_422_and_names_the_bound(
    client: TestClient, payload: dict[str, Any], message: str
) -> None:
    assert refusal(client.post("/v1/samples", json={"n": 2, **payload})) == (422, message)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"n": 1, "guidance": NaN}', "guidance: input should be a finite number, but got nan"),
        ('{"n": NaN}', "n: input should be a valid integer, but got nan"),
        ('{"n": 1, "guidance": 1e999}', "guidance: input should be a finite number, but got inf"),
        (
            '{"n": 1, "conditions": [[NaN, 1, 1, 1, 1]]}',
            "conditions.0.0: input should be a finite number, but got nan",
        ),
        ("{}", "n: required field is missing"),
        ("", "body: required field is missing"),
        ("[1]", "body: input should be a valid dictionary or object to extract fields from"),
    ],
)
def test_numbers_that_are_not_finite_and_bodies_without_fields_are_422(
    client: TestClient, text: str, message: str
) -> None:
    assert refusal(client.post("/v1/samples", content=text, headers=JSON)) == (422, message)


def test_a_condition_that_is_null_where_a_value_is_needed_is_422(client: TestClient) -> None:
    status, message = refusal(client.post("/v1/samples", json={"n": 1, "conditions": [[None, 5.0, 0.1, 0.5, None]]}))
    assert status == 422
    assert message.startswith("expected finite `conditions` (only an unknown target width is NaN), but got row 0")


def test_several_errors_are_one_line_and_the_rest_is_counted(client: TestClient) -> None:
    payload = {"n": 0, "a1": 1, "a2": 1, "a3": 1}
    message = "expected `n >= 1`, but got n=0; a1: unknown field; a2: unknown field; and 1 more"
    assert refusal(client.post("/v1/samples", json=payload)) == (422, message)


WRONG = ["a"] * 200_000
MANY = {f"k{number}": 1 for number in range(80_000)}


@pytest.mark.parametrize(
    ("path", "payload", "message"),
    [
        ("samples", {"conditions": [WRONG]}, "conditions.0.0: input should be a valid number, but got 'a'"),
        ("samples", {"conditions": [["a"]] * 120_000}, "conditions.0.0: input should be a valid number, but got 'a'"),
        ("samples", {"hardness": WRONG}, "hardness.0: input should be a valid number, but got 'a'"),
        ("samples", MANY, "body: expected `fields <= 64`, but got 80001"),
        ("score", {"movements": [{"points": [WRONG]}]}, "movements.0.points.0.0: input should be a valid number"),
        ("score", {"movements": [{"points": [["a"]] * 120_000}]}, "movements.0.points.0.0: input should be a valid"),
        ("score", {"movements": [{}] * 200_000}, "movements.0.points: required field is missing"),
        ("score", {"movements": [MANY]}, "movements.0: expected `fields <= 64`, but got 80000"),
    ],
    ids=["row", "rows", "hardness", "fields", "point", "points", "movements", "fields of a movement"],
)
def test_validation_of_a_megabyte_of_errors_stops_at_the_first(
    client: TestClient, path: str, payload: dict[str, Any], message: str
) -> None:
    body = json.dumps({"n": 1, **payload} if path == "samples" else payload, separators=(",", ":")).encode()
    assert 500_000 < len(body) <= 1_000_000
    status, line = refusal(client.post(f"/v1/{path}", content=body, headers=JSON))
    assert (status, line[: len(message)]) == (422, message)
    assert "more" not in line


def test_a_long_wrong_value_is_truncated_in_the_message(client: TestClient) -> None:
    _, message = refusal(client.post("/v1/samples", json={"n": "x" * 10_000}))
    assert len(message) < 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"n": 1', "invalid JSON body: Expecting ',' delimiter (character 7)"),
        (b'{"n": 1, "format": "np', "invalid JSON body: Unterminated string starting at (character 19)"),
        (b"n=1", "invalid JSON body: Expecting value (character 0)"),
        (b"[" * 100_000, UNREADABLE),
        (b'{"n": ' + b"9" * 5000 + b"}", UNREADABLE),
        (b'{"n": "\xff"}', UNREADABLE),
    ],
    ids=["cut", "cut in a text", "a form", "deep", "digits", "not UTF-8"],
)
def test_a_body_that_is_not_json_is_400(client: TestClient, body: bytes, message: str) -> None:
    assert refusal(client.post("/v1/samples", content=body, headers=JSON)) == (400, message)


def test_half_a_surrogate_pair_is_refused_and_survives_the_reply(client: TestClient) -> None:
    for text in ('{"n": 1, "\\ud800": 1}', '{"n": "\\ud800"}', '{"n": 1, "model": "\\ud800"}'):
        assert refusal(client.post("/v1/samples", content=text, headers=JSON))[0] == 422


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
@pytest.mark.parametrize("path", ["/v1/samples", "/v1/score"])
def test_another_content_type_is_415(client: TestClient, path: str, media_type: str) -> None:
    message = "unsupported content type; send JSON with `Content-Type: application/json`"
    assert refusal(client.post(path, content=b'{"n": 1}', headers={"Content-Type": media_type})) == (415, message)


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_the_content_type_may_have_parameters_and_any_case(client: TestClient, media_type: str) -> None:
    response = client.post("/v1/samples", content=b'{"n": 1}', headers={"Content-Type": media_type})
    assert response.status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_two_megabytes_of_json_are_413(client: TestClient, chunked: bool) -> None:
    body = json.dumps({"n": 1, "conditions": [ROW] * 75_000}).encode()
    assert len(body) > 2_000_000
    parts = (body[start : start + 65536] for start in range(0, len(body), 65536))
    response = client.post("/v1/samples", content=parts if chunked else body, headers=JSON)
    message = "expected `body <= 1000000 bytes`, but got more; split the request with `first`"
    assert refusal(response) == (413, message)
    assert ("content-length" in response.request.headers) is not chunked


@pytest.mark.parametrize("batch", ["0" * 31, "g" * 32, "A" * 32, "..", "%2e%2e%2fregistry"])
def test_a_malformed_batch_id_is_refused(client: TestClient, batch: str) -> None:
    assert refusal(client.get(f"/v1/samples/{batch}"))[0] in (404, 422)


def test_an_unknown_batch_id_is_404(client: TestClient) -> None:
    message = "unknown or expired batch id; send the request again"
    assert refusal(client.get(f"/v1/samples/{'0' * 32}")) == (404, message)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        ({"movements": []}, "movements: list should have at least 1 item after validation, not 0"),
        ({"movements": [{"points": [[0, 1, 2]]}]}, "movements.0.points: list should have at least 2 items"),
        ({"movements": [{"points": [[0, 1], [1, 2]]}]}, "movements.0.points.0: list should have at least 3 items"),
        (
            {"movements": [{"points": [[-1.7e308, 1, 2], [1.7e308, 1, 2]]}]},
            "expected `movements.0.points.0.0 >= -1000000000000000.0`",
        ),
        (
            {"movements": [{"points": [[5, 1, 2], [4, 1, 2]]}]},
            "a movement of client, session 0: expected `t_ms` not",
        ),
        ({"movements": [{"points": [[0, 1, 2]] * 4097}]}, "expected `points <= 4096` per movement, but got 4097"),
        ({"movements": [{"points": [[0, 1, 2]] * 2}] * 257}, "expected `movements <= 256`, but got 257"),
        ({"movements": [{"points": [[0, 1, 2]] * 2, "user": "x"}]}, "movements.0.user: unknown field"),
    ],
)
def test_movements_that_cannot_be_scored_are_422(client: TestClient, payload: dict[str, Any], message: str) -> None:
    status, line = refusal(client.post("/v1/score", json=payload))
    assert status == 422
    assert line.startswith(message)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v2/samples", 404), ("GET", "/v1/samples", 405), ("DELETE", "/v1/model", 405), ("GET", "/docs", 404)],
)
def test_an_unknown_route_has_the_same_form_of_error(client: TestClient, method: str, path: str, status: int) -> None:
    found, message = refusal(client.request(method, path))
    assert found == status
    assert message.endswith("see /openapi.json")


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        "Bearer 0123456789abcdef",
        "Bearer " + AUTHORISED["Authorization"].removeprefix("Bearer ")[:-1],
        AUTHORISED["Authorization"].replace("Bearer", "Basic"),
        AUTHORISED["Authorization"].removeprefix("Bearer "),
        "Bearer \xff\xfe",
    ],
)
def test_a_missing_or_wrong_token_is_401_before_any_other_error(tmp_path: Path, header: str | None) -> None:
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    message = "missing or unknown token; send `Authorization: Bearer TOKEN`"
    with client_of(FakeBackend(), tmp_path, tokens()) as client:
        for method, path in (("POST", "/v1/samples"), ("GET", "/v1/model"), ("GET", "/nope"), ("POST", "/v1/health")):
            response = client.request(method, path, headers=headers, content=b"x" if method == "POST" else None)
            assert refusal(response) == (401, message)
            assert response.headers["www-authenticate"] == "Bearer"


def test_a_known_token_is_accepted(tmp_path: Path) -> None:
    with client_of(FakeBackend(), tmp_path, tokens()) as client:
        assert client.get("/v1/model", headers=AUTHORISED).status_code == 200
        assert client.get(
            "/v1/model", headers={"authorization": AUTHORISED["Authorization"].replace("B", "b")}
        ).is_success
