"""Run `python -m platform.doctor`: gather the context, run every check, print each finding as it comes."""

import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
from rich.console import Console
from rich.text import Text

from platform.core.ray_instance import ray_instance, unreachable_reason
from platform.preflight.checks import CHECKS
from platform.preflight.config import DoctorConfig
from platform.preflight.context import FAIL, OK, WARNING, Cluster, Finding, PreflightContext, run_check
from trainables.core.cli import FAILED
from trainables.core.config import ConfigError
from trainables.data.config import DataConfig
from trainables.training.node_probe import DRIVERS_FILE, Node, now_s, probe_node
from trainables.training.scaling import ScalingConfig

STYLES = {OK: "green", WARNING: "yellow", FAIL: "red"}
ANSWER_S = 120.0  # a node starts a process for the first task that it runs


def check(config: DoctorConfig, data: DataConfig) -> int:
    """Gather the context, run the checks one after the other, and print each finding as it comes."""
    console = Console()
    context = gather_context(config, data)
    findings = [_shown(console, name, run_check(one, context)) for name, one in CHECKS.items()]
    count = {state: sum(finding.state == state for finding in findings) for state in STYLES}
    console.print(f"{count[OK]} ok, {count[WARNING]} warning(s), {count[FAIL]} failed", highlight=False)
    return FAILED if count[FAIL] else 0


def _shown(console: Console, name: str, finding: Finding) -> Finding:
    """Print a finding, its remedy on a line of its own."""
    width = max(map(len, CHECKS))
    line = Text.assemble((f"{finding.state:<8}", STYLES[finding.state]), f"{name:<{width}}  {finding.text}")
    console.print(line, highlight=False, soft_wrap=True)
    if finding.state != OK and finding.remedy:
        console.print(f"{'':<8}{'':<{width}}  -> {finding.remedy}", highlight=False, soft_wrap=True, markup=False)
    return finding


def gather_context(config: DoctorConfig, data: DataConfig) -> PreflightContext:
    """Return this machine and the nodes of the Ray instance, which is left again (or ended if it is local)."""
    with _shared_folder(Path(config.storage_path).expanduser().resolve()) as (folder, secret, error):
        driver = probe_node(str(folder), secret, "driver-again")
        here = replace(driver, storage=error or driver.storage)
        return PreflightContext(config, data, here, _cluster(config, folder, secret))


@contextmanager
def _shared_folder(storage: Path) -> Iterator[tuple[Path, str, str]]:
    """Yield a temporary folder in the storage with the driver's file, its secret, and the error if there was one."""
    missing = [path for path in (storage, *storage.parents) if not path.exists()]
    folder, secret, error = storage / f".doctor-{secrets.token_hex(4)}", secrets.token_hex(16), ""
    try:
        folder.mkdir(parents=True)
        (folder / DRIVERS_FILE).write_text(secret)
    except OSError as failure:
        error = failure.strerror or str(failure)
    try:
        yield folder, secret, error
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        for path in missing:
            if path.is_dir() and not any(path.iterdir()):
                path.rmdir()


def _cluster(config: DoctorConfig, folder: Path, secret: str) -> Cluster:
    """Return the Ray instance at the address with the answers of its nodes."""
    error = "" if config.address == "local" else unreachable_reason(config.address)
    if error:
        return Cluster(error=error)
    try:
        with ray_instance(config.address, ScalingConfig()):
            return _probe_nodes([node for node in ray.nodes() if node["Alive"]], folder, secret)
    except (ConfigError, RayError, RuntimeError, OSError, ValueError) as error:
        return Cluster(error=" ".join(str(error).split()))


def _probe_nodes(alive: list[Mapping[str, Any]], folder: Path, secret: str) -> Cluster:
    """Probe all nodes at once, for each has to start a process."""
    tasks = {
        node["NodeID"]: _on(node, probe_node).remote(str(folder), secret, f"node-{node['NodeID']}") for node in alive
    }
    nodes, unresponsive, clock_offset_s = [], [], {}
    for node in alive:
        try:
            answer: Node = ray.get(tasks[node["NodeID"]], timeout=ANSWER_S)
            nodes.append(_confirmed(answer, folder / f"node-{node['NodeID']}", secret))
            clock_offset_s[answer.host] = _apart_s(_on(node, now_s))
        except RayError as error:
            unresponsive.append(f"{node['NodeManagerHostname']}: {_cause(error)}")
    return Cluster("", tuple(nodes), tuple(unresponsive), clock_offset_s, tuple(node["Resources"] for node in alive))


def _on(node: Mapping[str, Any], function: Callable[..., Any]) -> Any:
    """Return the function as a task that runs on this node only and reserves no CPU."""
    place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
    task: Any = ray.remote(function)
    return task.options(num_cpus=0, scheduling_strategy=place)


def _confirmed(node: Node, file: Path, secret: str) -> Node:
    """Return the answer of a node, with an error if the driver does not find the file that it wrote."""
    if node.storage or (file.is_file() and file.read_text() == secret):
        return node
    return replace(node, storage=f"{file.parent.parent} is another folder there: its file did not arrive")


def _apart_s(clock: Any) -> float:
    """Return the offset of a node's clock, less what half a round trip explains."""
    before = now_s()
    there: float = ray.get(clock.remote(), timeout=ANSWER_S)
    after = now_s()
    offset = there - (before + after) / 2
    return max(abs(offset) - (after - before) / 2, 0.0) * (1 if offset > 0 else -1)


def _cause(error: RayError) -> str:
    """Return the last line of a task's error."""
    return str(error).strip().splitlines()[-1]
