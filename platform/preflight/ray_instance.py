"""Checks of the Ray instance: reachable, authenticated, large enough, and with synchronised clocks."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from platform.core.ray_instance import TOKEN
from platform.preflight.context import FAIL, OK, WARNING, Finding, PreflightContext, mib, needs_ray
from trainables.training.scaling import TRIAL_DRIVER

PROCESS_BYTES = 800 * 2**20  # of a process that trains; measured about 740 MB
APART_S = 2.0  # clocks; the order of events in logs becomes wrong


def check_ray(context: PreflightContext) -> Finding:
    """Check that an instance is reachable and that all of its nodes can run this code."""
    cluster = context.cluster
    if cluster.error:
        here = "free memory and disk; the logs are in /tmp/ray/session_latest/logs"
        return Finding(FAIL, cluster.error, here if context.local else "ray up cluster.yaml, or address=local")
    text = f"{len(cluster.capacity)} node(s), {cluster.total('CPU'):.0f} CPUs, {cluster.total('GPU'):.0f} GPUs"
    if cluster.unresponsive:
        return Finding(
            FAIL, f"{text}; {'; '.join(cluster.unresponsive)}", "start Ray inside the checkout on every node"
        )
    return Finding(OK, f"{text}{', started for this check' if context.local else ''}")


def check_token(context: PreflightContext) -> Finding:
    """Check that Ray requires a token, without which its ports run any code, and that only the owner can read it."""
    mode, file = os.environ.get("RAY_AUTH_MODE"), Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / TOKEN))
    serious = WARNING if context.local else FAIL
    if mode not in (None, "token") or (mode is None and not context.local):
        text = f"RAY_AUTH_MODE={mode}" if mode else "RAY_AUTH_MODE is not set"
        return Finding(serious, f"{text}: Ray requires no token", "export RAY_AUTH_MODE=token")
    if "RAY_AUTH_TOKEN" in os.environ:
        return Finding(OK, "in RAY_AUTH_TOKEN")
    if not file.is_file():
        remedy = "RAY_AUTH_MODE=token ray get-auth-token --generate"
        missing = Finding(FAIL, f"{file}: no such file", remedy)
        return Finding(OK, f"none yet: a local instance creates {file}") if context.local else missing
    if _exposed(file):
        return Finding(serious, f"{file} can be read by others", f"chmod 600 {file}")
    return Finding(OK, f"{file}, readable by its owner alone")


def _exposed(file: Path) -> bool:
    """Whether others than its owner can read a file: its bits let them, and no folder above keeps them out."""
    enter = stat.S_IXGRP | stat.S_IXOTH
    open_path = all(folder.stat().st_mode & enter for folder in file.resolve().parents)
    return open_path and bool(file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


@needs_ray
def check_resources(context: PreflightContext) -> Finding:
    """Check that a trial and its workers fit, and that the memory suffices for the concurrent trials."""
    cluster, scaling = context.cluster, context.config.scaling
    cpus, gpus = scaling.cpus_per_worker, scaling.gpus_per_worker
    workers = max(scaling.num_workers, 1)
    fitting = sum(_fits(node, cpus, gpus) for node in cluster.capacity)
    if fitting < workers:
        text = f"{workers} process(es) of {cpus} CPUs and {gpus:g} GPUs per trial, but {fitting} fit"
        return Finding(FAIL, text, "lower scaling.*, or add nodes")
    if scaling.num_workers and cluster.total(TRIAL_DRIVER) < 1:
        remedy = f"ray start ... --resources='{{\"{TRIAL_DRIVER}\": 1000}}', as in cluster.yaml"
        return Finding(FAIL, f"no node has the resource {TRIAL_DRIVER}", remedy)
    return _memory(context, fitting // workers)


def _fits(node: Mapping[str, float], cpus: int, gpus: float) -> int:
    """Return how many processes a node can run."""
    by_gpu = [int(node.get("GPU", 0.0) / gpus)] if gpus else []
    return min([int(node.get("CPU", 0.0)) // cpus, *by_gpu])


def _memory(context: PreflightContext, trials: int) -> Finding:
    """Check the memory of the concurrent trials; the driver of a worker group is a process as well."""
    scaling = context.config.scaling
    needed = trials * (scaling.num_workers + 1) * PROCESS_BYTES
    known = [node.memory_bytes for node in (context.cluster.nodes or context.machines) if node.memory_bytes is not None]
    text = f"{trials} concurrent trial(s), about {mib(needed)} of memory"
    if known and sum(known) < needed:
        return Finding(WARNING, f"{text}, but {mib(sum(known))} are free", "lower budget.concurrent")
    return Finding(OK, f"{text}{f' of {mib(sum(known))}' if known else ''}")


@needs_ray
def check_clocks(context: PreflightContext) -> Finding:
    """Check the offsets of the clocks."""
    apart = {host: seconds for host, seconds in context.cluster.clock_offset_s.items() if abs(seconds) > APART_S}
    if apart:
        text = ", ".join(f"{host} {seconds:+.1f} s" for host, seconds in apart.items())
        return Finding(WARNING, text, "synchronise all clocks (chrony, ntp)")
    return Finding(OK, f"within {APART_S:g} s on {len(context.cluster.clock_offset_s)} node(s)")
