"""Real servers in threads: an application behind uvicorn, and a server with scripted responses."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import uvicorn
from starlette.types import ASGIApp

LOOPBACK = "127.0.0.1"
WITHIN_S = 60.0


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """Serve an application for the duration of the block; yield its URL."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        config = uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until = time.monotonic() + WITHIN_S
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        assert server.started
        try:
            yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(WITHIN_S)


@dataclass(frozen=True)
class ScriptedResponse:
    """One response of a script.

    Attributes:
        length: Content-Length in place of the body's own; a longer one makes the connection end too early.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


@dataclass
class Script:
    """Responses in order, the last one repeated, and the received requests: Authorization header and body."""

    responses: list[ScriptedResponse | Callable[[], ScriptedResponse]]
    requests: list[tuple[str | None, bytes]] = field(default_factory=list)

    def next(self, token: str | None, body: bytes) -> ScriptedResponse:
        """Return the response to one request."""
        response = self.responses[min(len(self.requests), len(self.responses) - 1)]
        self.requests.append((token, body))
        return response if isinstance(response, ScriptedResponse) else response()


@contextmanager
def scripted(script: Script) -> Iterator[str]:
    """Run a server with scripted responses for the duration of the block; yield its URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            response = script.next(self.headers.get("Authorization"), body)
            self.send_response(response.status)
            for name, value in response.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(response.body) if response.length is None else response.length))
            self.end_headers()
            self.wfile.write(response.body)
            self.close_connection = True

        do_GET = do_POST  # noqa: N815  # http.server's names

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(WITHIN_S)
