"""Ray Serve deployments: an ingress that validates requests and encodes responses, and samplers that compute.

    serve run serve.app:app                                   with the defaults of `serve.settings`
    serve run serve.app:with_settings storage_path=FOLDER     with other settings: key=value, dotted for nested keys
    serve deploy serve/deploy.yaml                            on a running cluster, from a file
    serve build serve.app:app -o FILE                         writes such a file with every option of the deployments

These commands take the address to listen on from Ray's `http_options`; `python -m serve` sets it from our settings.
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
from serve.replicas import ReplicaBackend
from serve.sampler import MAX_ONGOING, Sampler
from serve.settings import ServeConfig
from trainables.core.config import build, require, with_values

TARGET_ONGOING = 16  # requests per replica above which another one is started
UPSCALE_S, DOWNSCALE_S = 5.0, 300.0
INGRESS_MARGIN = 256  # requests in the ingress beyond those of the samplers: they get our JSON error of a full queue
AUDIT_FILE = "serve/audit.jsonl"  # below the storage path
AUDIT_BYTES, AUDIT_FILES = 50_000_000, 5
QUIET = {"log_level": "WARNING", "enable_access_log": False}  # the audit log has it


@serve.ingress()
class Ingress:
    """Deployment of the HTTP application; it computes nothing itself."""

    def __init__(self, sampler: DeploymentHandle[Any], settings: ServeConfig) -> None:
        self._sampler, self._settings = sampler, settings
        configure_audit_log(Path(settings.storage_path) / AUDIT_FILE)

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Return the ASGI application; Ray Serve calls this hook."""
        return create_app(ReplicaBackend(self._sampler), self._settings)


def application(settings: ServeConfig, max_ongoing: int = MAX_ONGOING) -> Application:
    """Return the Ray Serve application; at most `max_ongoing` requests are inside one replica."""
    settings = with_absolute_paths(settings)
    inside = settings.queue + settings.replicas.maximum * max_ongoing
    sampler = serve.deployment(
        name=Sampler.__name__,
        autoscaling_config={
            "min_replicas": settings.replicas.minimum,
            "max_replicas": settings.replicas.maximum,
            "target_ongoing_requests": TARGET_ONGOING,
            "upscale_delay_s": UPSCALE_S,
            "downscale_delay_s": DOWNSCALE_S,
        },
        user_config={"champion": settings.champion},
        ray_actor_options={"num_cpus": settings.replicas.threads},
        max_ongoing_requests=max_ongoing,
        max_queued_requests=settings.queue,
        **_shared_options(settings),
    )(Sampler)
    ingress = serve.deployment(
        name=Ingress.__name__,
        num_replicas=1,  # quotas and metrics are counted in one process
        ray_actor_options={"num_cpus": 0},
        max_ongoing_requests=inside + INGRESS_MARGIN,
        max_queued_requests=INGRESS_MARGIN,
        backpressure_config={"retry_after_s": 1},
        **_shared_options(settings),
    )(Ingress)
    return ingress.bind(sampler.bind(settings), settings)


def with_absolute_paths(settings: ServeConfig) -> ServeConfig:
    """Return the settings with absolute paths, resolved in the caller's folder: replicas run in other folders."""
    token_file = str(Path(settings.token_file).expanduser().resolve()) if settings.token_file else ""
    return replace(
        settings, storage_path=str(Path(settings.storage_path).expanduser().resolve()), token_file=token_file
    )


def with_settings(args: Mapping[str, Any]) -> Application:
    """Return the application for `serve run` and `serve deploy`, from `key=value` or from the `args` of a file.

    Raises:
        ConfigError: a key is unknown, a value is wrong, or `host` or `port` is given, which Ray sets there.
    """
    ours = sorted({"host", "port"} & set(args))
    require(not ours, "neither `host` nor `port`", " and ".join(ours), "set them in Ray's `http_options`")
    return application(build(ServeConfig, with_values({}, args)))


def configure_audit_log(file: Path) -> None:
    """Write the audit log of this process to a rotating file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = RotatingFileHandler(file, maxBytes=AUDIT_BYTES, backupCount=AUDIT_FILES)
    AUDIT.handlers, AUDIT.propagate = [handler], False
    AUDIT.setLevel(logging.INFO)


def _shared_options(settings: ServeConfig) -> dict[str, Any]:
    """Return the options of both deployments: graceful shutdown, health checks, and a quiet log."""
    return {
        "graceful_shutdown_wait_loop_s": 0.5,
        "graceful_shutdown_timeout_s": settings.timeout_s,
        "health_check_period_s": 5.0,
        "max_constructor_retry_count": 3,
        "logging_config": QUIET,
    }


app = application(ServeConfig())
