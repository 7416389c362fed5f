"""The command `python -m serve`: the service on this machine, on a Ray of its own, until Ctrl-C.

What would end in a service that nobody can use, or that everybody can, is refused before anything starts.
"""

import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import ray
from ray import serve
from ray.serve.config import ProxyLocation

from serve.app import application
from serve.settings import ServeConfig
from serve.tokens import read_tokens, require_guarded
from trainables.core.cli import Command, Request, run
from trainables.core.config import ConfigError, build, plain
from trainables.model_registry.registry import Registry

ABOUT = """
Serves the registry's champion: hard negatives over HTTP, and a page. A promotion is followed within a second.

It listens on this machine alone; another host is refused without a token. Tokens stand in token_file, one a line, or
in the variable HUMOUSE_TOKENS. On a running cluster take `serve deploy serve/deploy.yaml` instead.
Exit codes: 0 it was ended (Ctrl-C, SIGTERM), 1 it did not start, 2 wrong input.
"""
COMMAND = Command(module="serve", config_name="serve", about=ABOUT, schemas={"serve_schema": plain(ServeConfig())})
NAME = "default"  # of the application
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class LaunchError(RuntimeError):
    """The service did not start."""


def main(arguments: list[str] | None = None) -> int:
    """The command."""
    return run(COMMAND, serve_until_told, arguments)


def serve_until_told(request: Request) -> int:
    """Start, say where it listens, wait for a signal, end in good order."""
    settings = build(ServeConfig, request.config)
    require_guarded(settings.host, read_tokens(settings.token_file, os.environ))
    require_free(settings.host, settings.port)
    champion = Registry.below(settings.storage_path).champion_id()
    with running(settings), ended() as told:  # in this order: Ray has a handler of its own for SIGTERM
        shown = f"[{settings.host}]" if ":" in settings.host else settings.host
        whom = settings.champion or champion or "nobody yet: nothing was published, the first promotion is followed"
        print(f"http://{shown}:{settings.port} serves {whom}", flush=True)
        told.wait()
        print("ending: requests inside are finished", file=sys.stderr)
    return 0


@contextmanager
def running(settings: ServeConfig) -> Iterator[None]:
    """The service on a Ray of its own, which ends with it.

    Ray's token authentication is on: `ray.init` switches it on for an instance that it starts.

    Raises:
        LaunchError: the replicas did not come up.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    ray.init(address="local", include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        serve.start(ProxyLocation.HeadOnly, {"host": settings.host, "port": settings.port})
        try:
            serve.run(application(settings), name=NAME)
        except RuntimeError as error:
            raise LaunchError(f"the replicas did not start: {error}") from None
        yield
        finish(settings.timeout_s)
    finally:
        ray.shutdown()


def finish(within_s: float) -> None:
    """Let the replicas answer what is inside them, and end them."""
    serve.delete(NAME, _blocking=False)  # `serve.shutdown` ends the controller with an alarm; waiting, Ray gives 60 s
    ends = time.monotonic() + within_s
    while NAME in serve.status().applications and time.monotonic() < ends:
        time.sleep(0.2)


@contextmanager
def ended() -> Iterator[threading.Event]:
    """Set when the process is told to end; the signals are as before afterwards."""
    told = threading.Event()
    before = {number: signal.signal(number, lambda *_: told.set()) for number in SIGNALS}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def require_free(host: str, port: int) -> None:
    """Raise `ConfigError` where nothing can listen: Ray would wait a minute before it says so."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigError(f"host={host}, port={port}: {error.strerror}; take another with port=NUMBER") from None
