"""Who may ask, how much, and a line about each request: around the application, before it sees anything.

In this order, each with its status: an address or host name of this machine alone where there are no tokens (403), a
bearer token (401), JSON where there is a body (415), a body within its limit (413) and in time (408). What is refused
never reaches the application, and a body is read to four times its limit at most, so that its sender hears the answer.
"""

import asyncio
import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serve.jobs import ServeError
from serve.settings import ServeConfig, is_loopback
from serve.tokens import Tokens

AUDIT = logging.getLogger("serve.audit")
OPEN = ("/", "/openapi.json", "/v1/health")  # without a token: the page that asks for it, the contract, the probe
LOCAL = "local"  # whoever asks a service without tokens
NOBODY = ""
LENGTH = re.compile("[0-9]{1,15}")
GONE = 499  # who asked went away before the reply
PATH = 200  # characters of a path in the log


class RefusedError(ServeError):
    """An address that nobody guards, or a name that is not this machine's."""

    status = 403


class UnauthorizedError(ServeError):
    """No token, or one that is not known."""

    status = 401


class BodyTypeError(ServeError):
    """A body that is no JSON."""

    status = 415


class BodySizeError(ServeError):
    """A body over its limit."""

    status = 413


class BodyTimeError(ServeError):
    """A body that did not come to its end in time."""

    status = 408


class BodyEndError(ServeError):
    """A body whose sender went away before its end, or whose end cannot be told."""

    status = 400


@dataclass
class Entry:
    """What is noted of a request.

    Attributes:
        name: Of the token; "": none that is known.
        route: The path as the application knows it; "": none of its paths.
        facts: What the application adds: n, seq_len, batch.
    """

    method: str
    path: str
    name: str = NOBODY
    route: str = ""
    status: int = 500
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """As JSON for the audit log."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        told = {"time": stamp, "token": self.name, "method": self.method, "path": self.path[:PATH]}
        return json.dumps({**told, "status": self.status, **self.facts, "ms": round(self.seconds * 1e3, 1)})


@dataclass(frozen=True)
class Guard:
    """The application behind its guard.

    Attributes:
        watch: Called with the entry of every request after its end.
    """

    app: ASGIApp
    settings: ServeConfig
    tokens: Tokens
    watch: Callable[[Entry], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """An ASGI application; nothing but HTTP is let through."""
        if scope["type"] == "http":
            await self._guarded(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, entry = time.perf_counter(), Entry(scope["method"], scope["path"])
        scope.setdefault("state", {})["entry"] = entry

        async def noted(message: Message) -> None:
            if message["type"] == "http.response.start":
                entry.status = message["status"]
                extra = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        try:
            await self._answered(scope, receive, noted, entry)
        except asyncio.CancelledError:
            entry.status = GONE
            raise
        finally:
            entry.seconds = time.perf_counter() - started
            entry.route = getattr(scope.get("route"), "path", "")
            AUDIT.info(entry.line())
            self.watch(entry)

    async def _answered(self, scope: Scope, receive: Receive, send: Send, entry: Entry) -> None:
        try:
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            entry.name = self._admitted(scope, headers)
            self._require_acceptable(scope["method"], headers)
            body = await self._body(receive)
        except ServeError as error:
            await error_reply(error.status, str(error), error.retry_after_s)(scope, receive, send)
        else:
            await self.app(scope, _replayed(body, receive), send)

    def _admitted(self, scope: Scope, headers: Mapping[bytes, str]) -> str:
        """The name of whoever asks.

        Raises:
            RefusedError, UnauthorizedError: see the file's head.
        """
        if not len(self.tokens):
            _require_local(scope.get("server"), headers.get(b"host", ""))
        name = self._name(headers.get(b"authorization", ""))
        if name == NOBODY and not (scope["path"] in OPEN and scope["method"] == "GET"):
            raise UnauthorizedError("a known token is needed, as `Authorization: Bearer TOKEN`")
        return name

    def _name(self, authorization: str) -> str:
        if not len(self.tokens):
            return LOCAL
        scheme, _, token = authorization.partition(" ")
        known = self.tokens.name_of(token.strip())
        return known if known is not None and scheme.lower() == "bearer" else NOBODY

    def _require_acceptable(self, method: str, headers: Mapping[bytes, str]) -> None:
        """Raise one of the errors of a body where the head says already that it cannot be taken."""
        media_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and media_type != "application/json":
            raise BodyTypeError("a body is JSON: send `Content-Type: application/json`")
        length = headers.get(b"content-length", "0")
        if not length.isascii() or not length.isdecimal():
            raise BodyEndError("`Content-Length` is a number of bytes, in decimal digits")
        if not LENGTH.fullmatch(length) or int(length) > 4 * self.settings.limits.body_bytes:
            raise self._too_large()

    async def _body(self, receive: Receive) -> bytes:
        """The whole body.

        Raises:
            BodySizeError, BodyTimeError, BodyEndError: see there.
        """
        limit, parts, size, more = self.settings.limits.body_bytes, [], 0, True
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                while more and size <= 4 * limit:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise BodyEndError("the body ended before its last byte; send it again")
                    part, more = message.get("body", b""), message.get("more_body", False)
                    size += len(part)
                    if size <= limit:
                        parts.append(part)
        except TimeoutError:
            raise BodyTimeError(f"the body did not end within {self.settings.timeout_s:g} s") from None
        if size > limit:
            raise self._too_large()
        return b"".join(parts)

    def _too_large(self) -> BodySizeError:
        limit = self.settings.limits.body_bytes
        return BodySizeError(f"`body <= {limit} bytes` must hold, but got more; divide the request, by `first`")


def _require_local(server: Iterable[Any] | None, host: str) -> None:
    """Without tokens: a loopback address, asked by a name of this machine, so that no web page can rebind its own."""
    address = str(next(iter(server))) if server else "localhost"
    if not is_loopback(address):
        raise RefusedError("this address is reachable from elsewhere and the service has no token: it answers nothing")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if not is_loopback(name.strip("[]")):
        raise RefusedError("a service without tokens is asked as localhost or 127.0.0.1; `Host` says another name")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives the body at once and then what comes after it."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def error_reply(status: int, message: str, retry_after_s: int = 0) -> Response:
    """The one shape of every error."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if retry_after_s > 0:
        headers["Retry-After"] = str(retry_after_s)
    # ASCII: a message may repeat half a surrogate pair of the request, which UTF-8 has no bytes for.
    content = json.dumps({"error": {"status": status, "message": " ".join(message.split())}})
    return Response(content, status, headers, "application/json")
