"""Start a local Ray instance or connect to a cluster, with all options explicit."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib  # type: ignore[import-untyped]
import ray

from trainables.core.config import ConfigError, require
from trainables.training.scaling import TRIAL_DRIVER, ScalingConfig

CONNECT_S = 45.0
PROBE = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False)"
TOKEN = Path(".ray/auth_token")  # in the home folder
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AIR_NEW_OUTPUT": "0",  # our progress instead of Tune's
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # our TensorBoard tags instead of Tune's
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # the searcher decides about an epoch without the metric
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",  # our one line per event instead of a traceback
    "TUNE_WARN_EXCESSIVE_EXPERIMENT_CHECKPOINT_SYNC_THRESHOLD_S": "0",
}


def unreachable_reason(address: str, within_s: float = CONNECT_S) -> str:
    """Return why no Ray instance is reachable at an address; empty if one is.

    Another process tries it: `ray.init` waits for more than ten minutes where the token is wrong or the head is gone.
    """
    environment = os.environ | {"RAY_USAGE_STATS_ENABLED": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", PROBE, address],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            stderr = process.communicate(timeout=within_s)[1]
        except subprocess.TimeoutExpired:
            process.kill()
            stderr = f"{process.communicate()[1]}\nno response within {within_s:g} s"
    if process.returncode == 0:
        return ""
    lines = stderr.strip().splitlines() or [f"the process that tried it exited with code {process.returncode}"]
    reason = "the token was refused" if "InvalidAuthToken" in stderr else lines[-1]
    return f"address={address}: {reason}"


@contextmanager
def ray_instance(address: str, scaling: ScalingConfig) -> Iterator[int]:
    """Connect, yield the number of CPUs, and disconnect (a local instance ends with it).

    Token authentication is on: `ray.init` switches it on for a local instance and writes the token where it is missing.
    (Setting RAY_AUTH_MODE here would come too late: Ray reads it when it is imported.)
    A worker group needs the dashboard: through it the placement group of a stopped trial is removed.

    Raises:
        ConfigError: no Ray at `address`, or fewer CPUs or GPUs than one trial needs.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    if address == "local":
        cpus = joblib.cpu_count()
        options |= {"num_cpus": cpus, "resources": {TRIAL_DRIVER: cpus}, "include_dashboard": scaling.num_workers > 0}
    elif reason := unreachable_reason(address):
        raise ConfigError(f"{reason}; start Ray there, or set address=local")
    with environment(own_address() if address == "local" else {}):
        ray.init(**options)
    try:
        _close(Path.home() / TOKEN)
        resources = ray.cluster_resources()
        available = int(resources.get("CPU", 0))
        _require_fitting("CPUs", scaling.cpus_per_trial(), available)
        _require_fitting("GPUs", scaling.gpus_per_trial(), resources.get("GPU", 0))
        yield available
    finally:
        ray.shutdown()


def _require_fitting(what: str, needed: float, available: float) -> None:
    require(
        needed <= available,
        f"`{what} of a trial <= {what} of Ray`",
        f"{needed:g} > {available:g}",
        f"lower scaling.{what.lower()}_per_worker or scaling.num_workers",
    )


def _close(token: Path) -> None:
    """Leave the token to its owner: Ray writes it for everybody to read."""
    if token.is_file() and token.stat().st_uid == os.getuid():
        token.chmod(0o600)


def available_cpus(address: str, scaling: ScalingConfig) -> int:
    """CPUs that a sweep will have; a local instance is not started for the answer.

    Those of this process: affinity, and the quota of a container as a whole number, at least 1.
    """
    if address == "local":
        return int(joblib.cpu_count())
    with ray_instance(address, scaling) as cpus:
        return cpus


def own_address() -> dict[str, str]:
    """Name the port of a local instance beforehand, and its address to every process that it starts.

    Ray Train's cleaner of placement groups queries "the latest instance on this machine" otherwise: with two of them
    it would query the wrong one, and take the worker group of a live trial for an orphan.
    """
    with socket.socket() as probe:
        probe.bind(("", 0))
        port = probe.getsockname()[1]
    return {"RAY_GCS_SERVER_PORT": str(port), "RAY_ADDRESS": f"{ray.util.get_node_ip_address()}:{port}"}


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Variables for the processes started inside, as they were again afterwards."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
