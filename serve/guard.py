"""ASGI middleware: authentication, limits on the request body, and an audit log with one line per request.

Checks, in this order, each with its status: without tokens, a loopback address and host name (403); a bearer token
(401); JSON where there is a body (415); a body within its size limit (413) and received in time (408). A refused
request never reaches the application. A body is read up to four times its limit, so that its sender gets the response.
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
PUBLIC_PATHS = ("/", "/openapi.json", "/v1/health")  # no token: the page, which has a field for one; schema; probe
LOCAL = "local"  # name of every client of a service without tokens
ANONYMOUS = ""  # name of a client without a known token
CONTENT_LENGTH = re.compile("[0-9]{1,15}")
CLIENT_CLOSED_REQUEST = 499  # as nginx logs it: the client disconnected before the response
MAX_PATH = 200  # characters of a path in the log


class ForbiddenError(ServeError):
    """No tokens are configured, and the request came by a non-loopback address or host name."""

    status = 403


class UnauthorizedError(ServeError):
    """The token is missing or unknown."""

    status = 401


class MediaTypeError(ServeError):
    """The body is not JSON by its content type."""

    status = 415


class BodyTooLargeError(ServeError):
    """The body exceeds its size limit."""

    status = 413


class BodyTimeoutError(ServeError):
    """The body was not received in time."""

    status = 408


class MalformedBodyError(ServeError):
    """The client disconnected before the end of the body, or its `Content-Length` is not a number."""

    status = 400


@dataclass
class RequestRecord:
    """Facts about one request, for the audit log and the metrics.

    Attributes:
        name: Name of the token; "": no known token.
        route: Path template of the matched route; "": no route matched.
        facts: Fields that the application adds: n, seq_len, batch, model.
    """

    method: str
    path: str
    name: str = ANONYMOUS
    route: str = ""
    status: int = 500
    seconds: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """Return the record as one line of JSON for the audit log."""
        stamp = datetime.now(UTC).isoformat(timespec="milliseconds")
        head = {"time": stamp, "token": self.name, "method": self.method, "path": self.path[:MAX_PATH]}
        return json.dumps({**head, "status": self.status, **self.facts, "ms": round(self.seconds * 1e3, 1)})


@dataclass(frozen=True)
class RequestMiddleware:
    """ASGI middleware around the application.

    Attributes:
        on_end: Called with the record of every request after its end.
    """

    app: ASGIApp
    settings: ServeConfig
    tokens: Tokens
    on_end: Callable[[RequestRecord], None]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle HTTP and the lifespan; close websockets."""
        if scope["type"] == "http":
            await self._recorded(scope, receive, send)
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _recorded(self, scope: Scope, receive: Receive, send: Send) -> None:
        started, record = time.perf_counter(), RequestRecord(scope["method"], scope["path"])
        scope.setdefault("state", {})["record"] = record

        async def recording_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                record.status = message["status"]
                extra = [(b"x-content-type-options", b"nosniff"), (b"cache-control", b"no-store")]
                message = {**message, "headers": [*message["headers"], *extra]}
            await send(message)

        try:
            await self._checked(scope, receive, recording_send, record)
        except asyncio.CancelledError:
            record.status = CLIENT_CLOSED_REQUEST
            raise
        finally:
            record.seconds = time.perf_counter() - started
            record.route = getattr(scope.get("route"), "path", "")
            AUDIT.info(record.line())
            self.on_end(record)

    async def _checked(self, scope: Scope, receive: Receive, send: Send, record: RequestRecord) -> None:
        try:
            headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
            record.name = self._authenticate(scope, headers)
            self._check_headers(scope["method"], headers)
            body = await self._read_body(receive)
        except ServeError as error:
            await error_response(error.status, str(error), error.retry_after_s)(scope, receive, send)
        else:
            await self.app(scope, _replayed(body, receive), send)

    def _authenticate(self, scope: Scope, headers: Mapping[bytes, str]) -> str:
        """Return the name of the client.

        Raises:
            ForbiddenError: no tokens are configured, and the address or host name is not a loopback one.
            UnauthorizedError: the token is missing or unknown, and the path is not public.
        """
        if not len(self.tokens):
            _require_loopback(scope.get("server"), headers.get(b"host", ""))
        name = self._name(headers.get(b"authorization", ""))
        if name == ANONYMOUS and not (scope["path"] in PUBLIC_PATHS and scope["method"] == "GET"):
            raise UnauthorizedError("missing or unknown token; send `Authorization: Bearer TOKEN`")
        return name

    def _name(self, authorization: str) -> str:
        if not len(self.tokens):
            return LOCAL
        scheme, _, token = authorization.partition(" ")
        known = self.tokens.name_of(token.strip())
        return known if known is not None and scheme.lower() == "bearer" else ANONYMOUS

    def _check_headers(self, method: str, headers: Mapping[bytes, str]) -> None:
        """Raise `MediaTypeError`, `MalformedBodyError` or `BodyTooLargeError` where the headers rule the body out."""
        media_type = headers.get(b"content-type", "").partition(";")[0].strip().lower()
        if method == "POST" and media_type != "application/json":
            raise MediaTypeError("unsupported content type; send JSON with `Content-Type: application/json`")
        length = headers.get(b"content-length", "0")
        if not length.isascii() or not length.isdecimal():
            raise MalformedBodyError("expected `Content-Length` to be a number of bytes in decimal digits")
        if not CONTENT_LENGTH.fullmatch(length) or int(length) > 4 * self.settings.limits.body_bytes:
            raise self._too_large()

    async def _read_body(self, receive: Receive) -> bytes:
        """Return the whole body.

        Raises:
            BodyTooLargeError, BodyTimeoutError, MalformedBodyError: see there.
        """
        limit, parts, size, more = self.settings.limits.body_bytes, [], 0, True
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                while more and size <= 4 * limit:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise MalformedBodyError("the request body is incomplete; send it again")
                    part, more = message.get("body", b""), message.get("more_body", False)
                    size += len(part)
                    if size <= limit:
                        parts.append(part)
        except TimeoutError:
            raise BodyTimeoutError(f"request body not received within {self.settings.timeout_s:g} s") from None
        if size > limit:
            raise self._too_large()
        return b"".join(parts)

    def _too_large(self) -> BodyTooLargeError:
        limit = self.settings.limits.body_bytes
        return BodyTooLargeError(f"expected `body <= {limit} bytes`, but got more; split the request with `first`")


def _require_loopback(server: Iterable[Any] | None, host: str) -> None:
    """Raise `ForbiddenError` unless both address and `Host` are loopback: no web page can rebind its own name to us."""
    address = str(next(iter(server))) if server else "localhost"
    if not is_loopback(address):
        raise ForbiddenError("no token is configured: requests by a non-loopback address are refused")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
    if not is_loopback(name.strip("[]")):
        raise ForbiddenError("no token is configured: expected the header `Host` to be localhost or 127.0.0.1")


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Return a `receive` that yields the whole body at once, then passes on what follows."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def error_response(status: int, message: str, retry_after_s: int = 0) -> Response:
    """Return the JSON response that every error has: `{"error": {"status", "message"}}`."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else {}
    if retry_after_s > 0:
        headers["Retry-After"] = str(retry_after_s)
    # ASCII: a message may repeat half a surrogate pair of the request, which UTF-8 cannot encode.
    content = json.dumps({"error": {"status": status, "message": " ".join(message.split())}})
    return Response(content, status, headers, "application/json")
