"""Every bad input with its status and its message, as a user reads it."""

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
UNREADABLE = (
    "the body is JSON that cannot be read: nested too deep, a number of too many digits, or text that is no UTF-8"
)

LAWS = [
    # values
    ({"n": 0}, "`n >= 1` must hold, but got n=0"),
    ({"n": -3}, "`n >= 1` must hold, but got n=-3"),
    ({"n": 4097}, "`n <= 4096` must hold, but got n=4097; ask for the rest by `first`"),
    ({"n": 10**30}, "`n <= 4096` must hold, but got n=1000000000000000000000000000000; ask for the rest by `first`"),
    ({"n": 257, "format": "json"}, "`n <= 256` with format=json must hold, but got n=257; take format=safetensors"),
    ({"seq_len": 513}, "`seq_len <= 512` must hold, but got seq_len=513"),
    ({"steps": 101}, "`steps <= 100` must hold, but got steps=101"),
    ({"steps": 0}, "`steps >= 1` must hold, but got steps=0"),
    ({"seed": -1}, "`seed >= 0` must hold, but got seed=-1"),
    ({"seed": 2**53}, "`seed < 9007199254740992` must hold, but got seed=9007199254740992"),
    ({"first": -1}, "`first >= 0` must hold, but got first=-1"),
    ({"eta": 1.5}, "`eta <= 1.0` must hold, but got eta=1.5"),
    ({"sampler": "euler"}, "`sampler` in {ddim, dpmpp_2m} must hold, but got sampler=euler"),
    ({"format": "pickle"}, "format: input should be 'npy', 'safetensors' or 'json', but got 'pickle'"),
    ({"format": "npy", "pixels": True}, "`pixels` with format=safetensors or json must hold, but got format=npy"),
    ({"hardness": [0.9, 0.1]}, "`0 <= low <= high <= 1` of `hardness` must hold, but got low=0.9, high=0.1"),
    # conditions
    ({"conditions": [ROW[1:]]}, f"`columns == 5` ({NAMES}) must hold, but got 4 in row 0; {REMEDY}"),
    ({"conditions": [[*ROW, 1.0]]}, f"`columns == 5` ({NAMES}) must hold, but got 6 in row 0; {REMEDY}"),
    ({"conditions": [ROW] * 3}, "`rows of conditions` is 1 or n=2 must hold, but got 3"),
    (
        {"conditions": [ROW], "distribution": "even_distance"},
        "`distribution` is left out where `conditions` are given must hold, but got distribution=even_distance",
    ),
    # types
    ({"n": "2"}, "n: input should be a valid integer, but got '2'"),
    ({"n": True}, "n: input should be a valid integer, but got True"),
    ({"n": 2.5}, "n: input should be a valid integer, but got 2.5"),
    ({"n": None}, "n: input should be a valid integer, but got None"),
    ({"conditions": [[1, 2, 3, 4, "wide"]]}, "conditions.0.4: input should be a valid number, but got 'wide'"),
    # names
    ({"stepz": 3}, "stepz: there is no such field; did you mean `steps`?"),
    ({"path": "/etc/passwd"}, "path: there is no such field"),
    ({"model": "../../etc/passwd"}, f"{NO_ID}, but got '../../etc/passwd'"),
    ({"model": "0001-aaaaaaaaaaaa\n"}, f"{NO_ID}, but got '0001-aaaaaaaaaaaa\\n'"),
]  # fmt: skip


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    with client_of(FakeBackend(), tmp_path_factory.mktemp("serve")) as client:
        yield client


def refusal(reply: Response) -> tuple[int, str]:
    """Status and message, of the one shape that errors have."""
    assert reply.headers["content-type"] == "application/json"
    (error,) = reply.json().values()
    assert error["status"] == reply.status_code
    assert "\n" not in error["message"]
    return reply.status_code, error["message"]


@pytest.mark.parametrize(("asked", "message"), LAWS, ids=[json.dumps(asked)[:40] for asked, _ in LAWS])
def test_a_value_that_breaks_a_law_is_422_with_the_law(client: TestClient, asked: dict[str, Any], message: str) -> None:
    assert refusal(client.post("/v1/samples", json={"n": 2, **asked})) == (422, message)


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
        ("{}", "n: it is needed and was left out"),
        ("", "body: it is needed and was left out"),
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
    assert message.startswith("`conditions are finite` (an unknown target width alone is NaN) must hold, but got row 0")


def test_several_mistakes_are_told_in_one_line_and_the_rest_is_counted(client: TestClient) -> None:
    asked = {"n": 0, "a1": 1, "a2": 1, "a3": 1}
    message = "`n >= 1` must hold, but got n=0; a1: there is no such field; a2: there is no such field; and 1 more"
    assert refusal(client.post("/v1/samples", json=asked)) == (422, message)


WRONG = ["a"] * 200_000
MANY = {f"k{number}": 1 for number in range(80_000)}


@pytest.mark.parametrize(
    ("path", "asked", "message"),
    [
        ("samples", {"conditions": [WRONG]}, "conditions.0.0: input should be a valid number, but got 'a'"),
        ("samples", {"conditions": [["a"]] * 120_000}, "conditions.0.0: input should be a valid number, but got 'a'"),
        ("samples", {"hardness": WRONG}, "hardness.0: input should be a valid number, but got 'a'"),
        ("samples", MANY, "body: `fields <= 64` must hold, but got 80001"),
        ("score", {"movements": [{"points": [WRONG]}]}, "movements.0.points.0.0: input should be a valid number"),
        ("score", {"movements": [{"points": [["a"]] * 120_000}]}, "movements.0.points.0.0: input should be a valid"),
        ("score", {"movements": [{}] * 200_000}, "movements.0.points: it is needed and was left out"),
        ("score", {"movements": [MANY]}, "movements.0: `fields <= 64` must hold, but got 80000"),
    ],
    ids=["row", "rows", "hardness", "fields", "point", "points", "movements", "fields of a movement"],
)
def test_of_a_megabyte_of_mistakes_the_first_alone_is_looked_for(
    client: TestClient, path: str, asked: dict[str, Any], message: str
) -> None:
    body = json.dumps({"n": 1, **asked} if path == "samples" else asked, separators=(",", ":")).encode()
    assert 500_000 < len(body) <= 1_000_000
    status, told = refusal(client.post(f"/v1/{path}", content=body, headers=JSON))
    assert (status, told[: len(message)]) == (422, message)
    assert "more" not in told


def test_a_wrong_value_is_repeated_in_part_only(client: TestClient) -> None:
    _, message = refusal(client.post("/v1/samples", json={"n": "x" * 10_000}))
    assert len(message) < 200


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"n": 1', "the body is not JSON: Expecting ',' delimiter (character 7)"),
        (b'{"n": 1, "format": "np', "the body is not JSON: Unterminated string starting at (character 19)"),
        (b"n=1", "the body is not JSON: Expecting value (character 0)"),
        (b"[" * 100_000, UNREADABLE),
        (b'{"n": ' + b"9" * 5000 + b"}", UNREADABLE),
        (b'{"n": "\xff"}', UNREADABLE),
    ],
    ids=["cut", "cut in a text", "a form", "deep", "digits", "no UTF-8"],
)
def test_a_body_that_is_no_json_is_400(client: TestClient, body: bytes, message: str) -> None:
    assert refusal(client.post("/v1/samples", content=body, headers=JSON)) == (400, message)


def test_half_a_surrogate_pair_is_refused_and_survives_the_reply(client: TestClient) -> None:
    for text in ('{"n": 1, "\\ud800": 1}', '{"n": "\\ud800"}', '{"n": 1, "model": "\\ud800"}'):
        assert refusal(client.post("/v1/samples", content=text, headers=JSON))[0] == 422


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", ""])
@pytest.mark.parametrize("path", ["/v1/samples", "/v1/score"])
def test_another_content_type_is_415(client: TestClient, path: str, media_type: str) -> None:
    message = "a body is JSON: send `Content-Type: application/json`"
    assert refusal(client.post(path, content=b'{"n": 1}', headers={"Content-Type": media_type})) == (415, message)


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
def test_the_content_type_is_read_as_http_writes_it(client: TestClient, media_type: str) -> None:
    reply = client.post("/v1/samples", content=b'{"n": 1}', headers={"Content-Type": media_type})
    assert reply.status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_two_megabytes_of_json_are_413(client: TestClient, chunked: bool) -> None:
    body = json.dumps({"n": 1, "conditions": [ROW] * 75_000}).encode()
    assert len(body) > 2_000_000
    parts = (body[start : start + 65536] for start in range(0, len(body), 65536))
    reply = client.post("/v1/samples", content=parts if chunked else body, headers=JSON)
    message = "`body <= 1000000 bytes` must hold, but got more; divide the request, by `first`"
    assert refusal(reply) == (413, message)
    assert ("content-length" in reply.request.headers) is not chunked


@pytest.mark.parametrize("batch", ["0" * 31, "g" * 32, "A" * 32, "..", "%2e%2e%2fregistry"])
def test_a_batch_id_that_is_none_is_refused_before_anything_is_looked_up(client: TestClient, batch: str) -> None:
    assert refusal(client.get(f"/v1/samples/{batch}"))[0] in (404, 422)


def test_a_batch_that_was_never_made_is_404(client: TestClient) -> None:
    message = "no batch of this id was made here, or too long ago; post its request again"
    assert refusal(client.get(f"/v1/samples/{'0' * 32}")) == (404, message)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"movements": []}, "movements: list should have at least 1 item after validation, not 0"),
        ({"movements": [{"points": [[0, 1, 2]]}]}, "movements.0.points: list should have at least 2 items"),
        ({"movements": [{"points": [[0, 1], [1, 2]]}]}, "movements.0.points.0: list should have at least 3 items"),
        (
            {"movements": [{"points": [[-1.7e308, 1, 2], [1.7e308, 1, 2]]}]},
            "`movements.0.points.0.0 >= -1000000000000000.0` must hold",
        ),
        ({"movements": [{"points": [[5, 1, 2], [4, 1, 2]]}]}, "a movement of client, session 0: `t_ms` must start at"),
        ({"movements": [{"points": [[0, 1, 2]] * 4097}]}, "`points <= 4096` of a movement must hold, but got 4097"),
        ({"movements": [{"points": [[0, 1, 2]] * 2}] * 257}, "`movements <= 256` must hold, but got 257"),
        ({"movements": [{"points": [[0, 1, 2]] * 2, "user": "x"}]}, "movements.0.user: there is no such field"),
    ],
)
def test_movements_that_cannot_be_scored_are_422(client: TestClient, asked: dict[str, Any], message: str) -> None:
    status, told = refusal(client.post("/v1/score", json=asked))
    assert status == 422
    assert told.startswith(message)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v2/samples", 404), ("GET", "/v1/samples", 405), ("DELETE", "/v1/model", 405), ("GET", "/docs", 404)],
)
def test_a_route_that_is_not_there_has_the_same_shape_of_error(
    client: TestClient, method: str, path: str, status: int
) -> None:
    found, message = refusal(client.request(method, path))
    assert found == status
    assert message.endswith("/openapi.json has them all")


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
def test_a_missing_or_wrong_token_is_401_whatever_else_is_wrong(tmp_path: Path, header: str | None) -> None:
    headers = [] if header is None else [(b"authorization", header.encode("latin-1"))]
    message = "a known token is needed, as `Authorization: Bearer TOKEN`"
    with client_of(FakeBackend(), tmp_path, tokens()) as client:
        for method, path in (("POST", "/v1/samples"), ("GET", "/v1/model"), ("GET", "/nope"), ("POST", "/v1/health")):
            reply = client.request(method, path, headers=headers, content=b"x" if method == "POST" else None)
            assert refusal(reply) == (401, message)
            assert reply.headers["www-authenticate"] == "Bearer"


def test_a_known_token_is_let_in(tmp_path: Path) -> None:
    with client_of(FakeBackend(), tmp_path, tokens()) as client:
        assert client.get("/v1/model", headers=AUTHORISED).status_code == 200
        assert client.get(
            "/v1/model", headers={"authorization": AUTHORISED["Authorization"].replace("B", "b")}
        ).is_success
