import asyncio
import json
from collections.abc import Coroutine, Sequence
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from serve.guard import Entry, Guard, error_reply
from serve.settings import LimitsConfig, ServeConfig
from serve.tokens import Tokens
from tests.serve.fakes import AUTHORISED, tokens

LIMIT = 100
SETTINGS = ServeConfig(limits=LimitsConfig(body_bytes=LIMIT), timeout_s=0.2)
JSON = (b"content-type", b"application/json")
HERE = (b"host", b"127.0.0.1:8000")


class Application:
    """Notes the bodies it is given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.bodies.append((await receive())["body"])
        await error_reply(200, "done")(scope, receive, send)


def asked(
    *messages: Message,
    headers: Sequence[tuple[bytes, bytes]] = (JSON, HERE),
    server: tuple[str, int] | None = ("127.0.0.1", 8000),
    known: Tokens | None = None,
    wait: bool = False,
) -> tuple[int, list[bytes], int]:
    """The statuses that a POST of these messages gets, the bodies that come through, and how many were received."""
    app, left = Application(), list(messages)
    entries: list[Entry] = []
    sent: list[Message] = []
    guard = Guard(app, SETTINGS, known or Tokens(), entries.append)

    async def receive() -> Message:
        if not left:
            await asyncio.sleep(10.0 if wait else 0.0)
            return {"type": "http.disconnect"}
        return left.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/samples", "headers": list(headers), "server": server}
    asyncio.run(guard(scope, receive, send))
    assert [entry.status for entry in entries] == [sent[0]["status"]]
    return sent[0]["status"], app.bodies, len(messages) - len(left)


def part(body: bytes, more: bool = False) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_a_body_within_its_limit_comes_through_whole_however_it_is_cut(size: int) -> None:
    body = bytes(range(size))
    assert asked(part(body)) == (200, [body], 1)
    cut = [part(body[at : at + 1], more=True) for at in range(size)]
    assert asked(*cut, part(b"")) == (200, [body], size + 1)


def test_a_body_over_its_limit_is_413_and_read_to_its_end_so_that_its_sender_listens() -> None:
    assert asked(part(b"x" * (LIMIT + 1))) == (413, [], 1)
    assert asked(part(b"x" * LIMIT, more=True), part(b"x")) == (413, [], 2)


def test_a_body_without_end_is_read_to_four_times_its_limit() -> None:
    status, bodies, received = asked(*[part(b"x" * LIMIT, more=True)] * 50)
    assert (status, bodies, received) == (413, [], 5)


@pytest.mark.parametrize(
    ("length", "status"), [(b"401", 413), (b"9" * 5000, 413), (b"1e9", 400), (b"-1", 400), (b"", 400), (b"\xb2", 400)]
)
def test_a_length_that_says_too_much_is_413_and_one_that_is_none_400_before_a_byte_is_read(
    length: bytes, status: int
) -> None:
    assert asked(part(b"{}"), headers=[JSON, HERE, (b"content-length", length)]) == (status, [], 0)


def test_who_goes_away_before_the_reply_is_499_and_no_fault_of_the_service() -> None:
    entries: list[Entry] = []

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(60.0)

    async def receive() -> Message:
        return part(b"{}")

    async def send(message: Message) -> None:
        pytest.fail(str(message))

    async def leave() -> None:
        scope = {"type": "http", "method": "POST", "path": "/", "headers": [JSON, HERE], "server": ("127.0.0.1", 1)}
        with pytest.raises(asyncio.CancelledError):
            await leaving(Guard(endless, SETTINGS, Tokens(), entries.append)(scope, receive, send))

    async def leaving(asking: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(asking)
        await asyncio.sleep(0.01)
        task.cancel()
        await task

    asyncio.run(leave())
    assert [entry.status for entry in entries] == [499]


def test_a_body_that_stops_is_408_and_one_that_is_cut_off_400() -> None:
    assert asked(part(b"{", more=True), wait=True) == (408, [], 1)
    assert asked(part(b"{", more=True)) == (400, [], 1)


@pytest.mark.parametrize("server", [("0.0.0.0", 8000), ("192.168.1.4", 8000), ("example.org", 80), ("", 0)])
def test_without_tokens_an_address_that_others_reach_is_403(server: tuple[str, int] | None) -> None:
    assert asked(part(b"{}"), server=server) == (403, [], 0)


@pytest.mark.parametrize("server", [("0.0.0.0", 8000), ("192.168.1.4", 8000)])
def test_with_tokens_it_is_served_to_who_has_one(server: tuple[str, int] | None) -> None:
    told = [(name.lower().encode(), value.encode()) for name, value in AUTHORISED.items()]
    assert asked(part(b"{}"), headers=[JSON, *told], server=server, known=tokens())[0] == 200
    assert asked(part(b"{}"), headers=[JSON], server=server, known=tokens())[0] == 401


@pytest.mark.parametrize("server", [("127.0.0.1", 8000), ("::1", 8000), None])
@pytest.mark.parametrize("host", [b"127.0.0.1", b"127.0.0.1:8000", b"localhost:8000", b"[::1]", b"[::1]:8000"])
def test_this_machine_is_served_by_its_own_names(server: tuple[str, int] | None, host: bytes) -> None:
    assert asked(part(b"{}"), headers=[JSON, (b"host", host)], server=server)[0] == 200


@pytest.mark.parametrize("host", [b"evil.example", b"evil.example:8000", b"127.0.0.1.evil.example", b"", b"\xff"])
def test_a_page_that_rebinds_its_name_to_this_machine_is_403(host: bytes) -> None:
    assert asked(part(b"{}"), headers=[JSON, (b"host", host)]) == (403, [], 0)


def test_a_socket_for_messages_is_closed_and_the_lifespan_comes_through() -> None:
    app = Application()
    sent: list[str] = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async def receive() -> Message:
        return {"type": "lifespan.startup", "body": b"startup"}

    guard = Guard(app, SETTINGS, Tokens(), lambda entry: pytest.fail(entry.line()))
    asyncio.run(guard({"type": "websocket", "path": "/", "headers": []}, receive, send))
    assert (sent, app.bodies) == (["websocket.close"], [])
    asyncio.run(guard({"type": "lifespan"}, receive, send))
    assert app.bodies == [b"startup"]


def test_a_line_of_the_log_is_one_line_whatever_the_path() -> None:
    line = Entry("GET", '/a\n{"token": "root"}\x1b[31m' + "x" * 1000).line()
    assert line.isprintable()
    assert len(line) < 500


def test_an_error_can_say_what_no_encoding_can() -> None:
    body = bytes(error_reply(422, "n: got '\ud800'\nand more").body)
    assert json.loads(body) == {"error": {"status": 422, "message": "n: got '\ud800' and more"}}
