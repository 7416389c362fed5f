"""Command `python -m serve`: run the service on this machine, on its own Ray instance, until Ctrl-C.

A port in use and a public address without tokens are refused before anything starts. Ray and torch are imported when
the service starts, so that `--help` starts without them.
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

from serve.settings import ServeConfig
from serve.tokens import read_tokens, require_token_unless_loopback
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import ConfigError, build
from trainables.model_registry.registry import Registry

ABOUT = """
Serve the registry's champion: hard negatives over HTTP, and a page. A promoted model is loaded within a second.

The service listens on 127.0.0.1; any other host needs a token. Tokens are read from token_file, one per line, and from
the variable HUMOUSE_TOKENS. On a running cluster use `serve deploy serve/deploy.yaml` instead.
"""
COMMAND = Command(
    module="serve",
    config_name="serve",
    about=ABOUT,
    schemas={"serve_schema": ServeConfig},
    common=("storage_path", "host", "port", "token_file", "replicas.maximum"),
    exit_codes={0: "stopped by Ctrl-C or SIGTERM", 1: "failed to start"},
)
NAME = "default"  # of the application
SIGNALS = (signal.SIGINT, signal.SIGTERM)


class LaunchError(RuntimeError):
    """The service did not start."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    return run(COMMAND, serve_until_signal, arguments)


def serve_until_signal(request: Request) -> int:
    """Start the service, print its URL, wait for a signal, and shut down gracefully."""
    settings = build(ServeConfig, request.config)
    require_token_unless_loopback(settings.host, read_tokens(settings.token_file, os.environ))
    require_free_port(settings.host, settings.port)
    model = settings.champion or Registry.below(settings.storage_path).champion_id()
    with running(settings), stop_signal() as stopped:  # in this order: Ray has its own handler for SIGTERM
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        none = "is up: no model published yet; the first promoted model will be loaded automatically"
        print(f"http://{host}:{settings.port} {f'serves {model}' if model else none}", flush=True)
        stopped.wait()
        print("shutting down, finishing open requests", file=sys.stderr)
    return 0


@contextmanager
def running(settings: ServeConfig) -> Iterator[None]:
    """Run the service on its own Ray instance for the duration of the block.

    Ray's token authentication is on: `ray.init` enables it for an instance that it starts.

    Raises:
        LaunchError: the replicas did not start.
    """
    import ray
    from ray import serve
    from ray.serve.config import ProxyLocation

    from serve.app import application

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
        drain(settings.timeout_s)
    finally:
        ray.shutdown()


def drain(within_s: float) -> None:
    """Let the replicas finish their open requests, and stop them."""
    from ray import serve

    serve.delete(NAME, _blocking=False)  # `serve.shutdown` logs an error of the controller; blocking, Ray waits 60 s
    ends = time.monotonic() + within_s
    while NAME in serve.status().applications and time.monotonic() < ends:
        time.sleep(0.2)


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set; restore their handlers afterwards."""
    stopped = threading.Event()
    before = {number: signal.signal(number, lambda *_: stopped.set()) for number in SIGNALS}
    try:
        yield stopped
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def require_free_port(host: str, port: int) -> None:
    """Raise `ConfigError` where the port cannot be bound: Ray would report it only after a minute."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        raise ConfigError(f"host={host}, port={port}: {error.strerror}; choose another with port=NUMBER") from None
