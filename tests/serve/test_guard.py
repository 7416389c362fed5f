import asyncio
import json
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from serve.guard import RequestMiddleware, RequestRecord, error_response
from serve.settings import LimitsConfig, ServeConfig
from serve.tokens import Tokens
from tests.serve.fakes import AUTHORISED, tokens

LIMIT = 100
SETTINGS = ServeConfig(limits=LimitsConfig(body_bytes=LIMIT), timeout_s=0.2)
JSON = (b"content-type", b"application/json")
HERE = (b"host", b"127.0.0.1:8000")


class Application:
    """Application that records the bodies it receives."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.append((await receive())["body"])
        await error_response(200, "done")(scope, receive, send)


def post(
    *messages: Message,
    headers: Sequence[tuple[bytes, bytes]] = (JSON, HERE),
    server: tuple[str, int] | None = ("127.0.0.1", 8000),
    known: Tokens | None = None,
    wait: bool = False,
) -> tuple[int, list[bytes], int]:
    """Return the status of a POST of these messages, the bodies that reach the application, and the messages read."""
    app, left = Application(), list(messages)
    records: list[RequestRecord] = []
    sent: list[Message] = []
    middleware = RequestMiddleware(app, SETTINGS, known or Tokens(), records.append)

    async def receive() -> Message:
        if not left:
            await asyncio.sleep(10.0 if wait else 0.0)
            return {"type": "http.disconnect"}
        return left.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/samples", "headers": list(headers), "server": server}
    asyncio.run(middleware(scope, receive, send))
    assert [record.status for record in records] == [sent[0]["status"]]
    return sent[0]["status"], app.bodies, len(messages) - len(left)


def part(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_body_within_its_limit_is_received_completely_in_any_chunks(size: int) -> None:
    body = bytes(range(size))
    assert post(part(body)) == (200, [body], 1)
    split = [part(body[at : at + 1], more=True) for at in range(size)]
    assert post(*split, part(b"")) == (200, [body], size + 1)


def test_a_body_over_its_limit_is_413_and_read_to_its_end() -> None:
    assert post(part(b"x" * (LIMIT + 1))) == (413, [], 1)
    assert post(part(b"x" * LIMIT, more=True), part(b"x")) == (413, [], 2)


def test_an_endless_body_is_read_to_four_times_its_limit() -> None:
    status, bodies, received = post(*[part(b"x" * LIMIT, more=True)] * 50)
    assert (status, bodies, received) == (413, [], 5)


@pytest.mark.parametrize(
    ("length", "status"), [(b"401", 413), (b"9" * 5000, 413), (b"1e9", 400), (b"-1", 400), (b"", 400), (b"\xb2", 400)]
)
def test_a_too_large_content_length_is_413_and_a_malformed_one_400_before_a_byte_is_read(
    length: bytes, status: int
) -> None:
    assert post(part(b"{}"), headers=[JSON, HERE, (b"content-length", length)]) == (status, [], 0)


def test_a_client_that_disconnects_before_the_response_is_499() -> None:
    records: list[RequestRecord] = []

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60.0)

    async def receive() -> Message:
        return part(b"{}")

    async def send(message: Message) -> None:
        pytest.fail(str(message))

    async def disconnect() -> None:
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [JSON, HERE], "server": ("127.0.0.1", 1)}
        with pytest.raises(asyncio.CancelledError):
            await cancelled(RequestMiddleware(endless, SETTINGS, Tokens(), records.append)(scope, receive, send))

    async def cancelled(call: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(call)
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    asyncio.run(disconnect())
    assert [record.status for record in records] == [499]


def test_a_stalled_body_is_408_and_a_truncated_one_400() -> None:
    assert post(part(b"{", more=True), wait=True) == (408, [], 1)
    assert post(part(b"{", more=True)) == (400, [], 1)


@pytest.mark.parametrize("server", [("0.0.0.0", 8000), ("192.168.1.4", 8000), ("example.org", 80), ("", 0)])
def test_without_tokens_a_public_address_is_403(server: tuple[str, int] | None) -> None:
    assert post(part(b"{}"), server=server) == (403, [], 0)


@pytest.mark.parametrize("server", [("0.0.0.0", 8000), ("192.168.1.4", 8000)])
def test_with_tokens_a_public_address_is_served_to_a_known_token(server: tuple[str, int] | None) -> None:
    known = [(name.lower().encode(), value.encode()) for name, value in AUTHORISED.items()]
    assert post(part(b"{}"), headers=[JSON, *known], server=server, known=tokens())[0] == 200
    assert post(part(b"{}"), headers=[JSON], server=server, known=tokens())[0] == 401


@pytest.mark.parametrize("server", [("127.0.0.1", 8000), ("::1", 8000), None])
@pytest.mark.parametrize("host", [b"127.0.0.1", b"127.0.0.1:8000", b"localhost:8000", b"[::1]", b"[::1]:8000"])
def test_loopback_addresses_and_names_are_served(server: tuple[str, int] | None, host: bytes) -> None:
    assert post(part(b"{}"), headers=[JSON, (b"host", host)], server=server)[0] == 200


@pytest.mark.parametrize("host", [b"evil.example", b"evil.example:8000", b"127.0.0.1.evil.example", b"", b"\xff"])
def test_dns_rebinding_is_403(host: bytes) -> None:
    assert post(part(b"{}"), headers=[JSON, (b"host", host)]) == (403, [], 0)


def test_a_websocket_is_closed_and_the_lifespan_passes() -> None:
    app = Application()
    sent: list[str] = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def receive() -> Message:
        return {"type": "lifespan.startup", "body": b"startup"}

    middleware = RequestMiddleware(app, SETTINGS, Tokens(), lambda record: pytest.fail(record.line()))
    asyncio.run(middleware({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert (sent, app.bodies) == (["websocket.close"], [])
    asyncio.run(middleware({"type": "lifespan"}, receive, send))
    assert app.bodies == [b"startup"]


def test_an_audit_record_is_one_line_whatever_the_path() -> None:
    line = RequestRecord("GET", '/a\n{"token": "root"}\x1b[31m' + "x" * 1000).line()
    assert line.isprintable()
    assert len(line) < 500


def test_an_error_message_may_hold_half_a_surrogate_pair() -> None:
    body = bytes(error_response(422, "n: got '\ud800'\nand more").body)
    assert json.loads(body) == {"error": {"status": 422, "message": "n: got '\ud800' and more"}}
