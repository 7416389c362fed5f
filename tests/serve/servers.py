"""Real servers in threads: an application behind uvicorn, and one that answers by a script."""

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
PATIENCE_S = 20.0


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The URL of an application, as long as the block lasts."""
    with socket.create_server((LOOPBACK, 0)) as listener:
        config = uvicorn.Config(app, log_level="warning", ws="none", timeout_graceful_shutdown=2)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        until = time.monotonic() + PATIENCE_S
        while not server.started and thread.is_alive() and time.monotonic() < until:
            time.sleep(0.01)
        assert server.started
        try:
            yield f"http://{LOOPBACK}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(PATIENCE_S)


@dataclass(frozen=True)
class Said:
    """One answer of a script.

    Attributes:
        length: Told in place of the body's own; a connection that ends before is cut.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


@dataclass
class Script:
    """Answers in their order, the last one again and again, and what was asked: header of the token, then body."""

    answers: list[Said | Callable[[], Said]]
    asked: list[tuple[str | None, bytes]] = field(default_factory=list)

    def next(self, token: str | None, body: bytes) -> Said:
        """The answer to one request."""
        answer = self.answers[min(len(self.asked), len(self.answers) - 1)]
        self.asked.append((token, body))
        return answer if isinstance(answer, Said) else answer()


@contextmanager
def scripted(script: Script) -> Iterator[str]:
    """The URL of a server that follows a script."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            said = script.next(self.headers.get("Authorization"), body)
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(said.body) if said.length is None else said.length))
            self.end_headers()
            self.wfile.write(said.body)
            self.close_connection = True

        do_GET = do_POST  # noqa: N815  # http.server's names

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: a test says what it has to say itself."""

    with ThreadingHTTPServer((LOOPBACK, 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.server_port}"
        finally:
            server.shutdown()
            thread.join(PATIENCE_S)
