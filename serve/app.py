"""The deployments on Ray Serve: an ingress that checks and writes replies, and samplers that compute.

    serve run serve.app:app                                   with the defaults of `serve.settings`
    serve run serve.app:with_settings storage_path=FOLDER     with others: key=value, dotted where they are nested
    serve deploy serve/deploy.yaml                            on a running cluster, from a file
    serve build serve.app:app -o FILE                         such a file with every option of the deployments

Where Ray listens is a matter of its own `http_options` there; `python -m serve` sets them from our settings.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from ray import serve
from ray.serve import Application
from ray.serve.handle import DeploymentHandle

from serve.api import create_app
from serve.guard import AUDIT
from serve.replicas import Replicas
from serve.sampler import ONGOING, Sampler
from serve.settings import ServeConfig
from trainables.core.config import build, require, with_values

BUSY = 16  # requests per replica at which another one is started
UPSCALE_S, DOWNSCALE_S = 5.0, 300.0
ROOM = 256  # requests inside the ingress beyond those that samplers take: they are told that the queue is full, in JSON
AUDIT_FILE = "serve/audit.jsonl"  # below the storage path
AUDIT_BYTES, AUDIT_FILES = 50_000_000, 5
QUIET = {"log_level": "WARNING", "enable_access_log": False}  # the audit log says it


@serve.ingress()
class Ingress:
    """The HTTP application before the samplers; it computes nothing itself."""

    def __init__(self, sampler: DeploymentHandle[Any], settings: ServeConfig) -> None:
        self._sampler, self._settings = sampler, settings
        keep_audit(Path(settings.storage_path) / AUDIT_FILE)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """What Ray Serve asks for."""
        return create_app(Replicas(self._sampler), self._settings)


def application(settings: ServeConfig, ongoing: int = ONGOING) -> Application:
    """The service; `ongoing` requests may be inside one replica."""
    settings = anchored(settings)
    inside = settings.queue + settings.replicas.maximum * ongoing
    sampler = serve.deployment(
        name=Sampler.__name__,
        autoscaling_config={
            "min_replicas": settings.replicas.minimum,
            "max_replicas": settings.replicas.maximum,
            "target_ongoing_requests": BUSY,
            "upscale_delay_s": UPSCALE_S,
            "downscale_delay_s": DOWNSCALE_S,
        },
        user_config={"champion": settings.champion},
        ray_actor_options={"num_cpus": settings.replicas.threads},
        max_ongoing_requests=ongoing,
        max_queued_requests=settings.queue,
        **_common(settings),
    )(Sampler)
    ingress = serve.deployment(
        name=Ingress.__name__,
        num_replicas=1,  # quotas and metrics are counted in one process
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=inside + ROOM,
        max_queued_requests=ROOM,
        backpressure_config={"retry_after_s": 1},
        **_common(settings),
    )(Ingress)
    return ingress.bind(sampler.bind(settings), settings)


def anchored(settings: ServeConfig) -> ServeConfig:
    """The same settings with the paths made absolute: those of whoever calls, for replicas run elsewhere."""
    token_file = str(Path(settings.token_file).expanduser().resolve()) if settings.token_file else ""
    return replace(
        settings, storage_path=str(Path(settings.storage_path).expanduser().resolve()), token_file=token_file
    )


def with_settings(args: Mapping[str, Any]) -> Application:
    """The service for `serve run` and `serve deploy`, from `key=value` or from the `args` of a file.

    Raises:
        ConfigError: an unknown key or a wrong value, or the address to listen on, which is Ray's there.
    """
    ours = sorted({"host", "port"} & set(args))
    require(not ours, "`host` and `port` are left out (Ray's `http_options` say them)", " and ".join(ours))
    return application(build(ServeConfig, with_values({}, args)))


def keep_audit(file: Path) -> None:
    """Write the audit log of this process to a file, which is divided where it grows large."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(file, maxBytes=AUDIT_BYTES, backupCount=AUDIT_FILES)
    AUDIT.handlers, AUDIT.propagate = [handler], False
    AUDIT.setLevel(logging.INFO)


def _common(settings: ServeConfig) -> dict[str, Any]:
    """What both deployments have: a shutdown that waits for the requests inside, and a quiet log."""
    return {
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": settings.timeout_s,
        "health_check_period_s": 5.0,
        "max_constructor_retry_count": 3,
        "logging_config": QUIET,
    }


app = application(ServeConfig())
