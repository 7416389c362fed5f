"""Service to be measured: `python -m serve` in a process of its own, with a champion, and the measurements of it.

The champion is the default network after a few training steps: sampling with it costs as much as with a good one. The
service listens on 127.0.0.1 and ends with the block that started it.
"""

import os
import signal
import socket
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import requests

from benchmarks.support.clients import OK, WITHIN_S, Deltas, connection
from serve.tokens import TOKENS_VARIABLE
from trainables.data.canonical import with_deltas
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.loop import epochs
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.eval.generation.config import EvaluationConfig
from trainables.model_registry.publisher import lock_registry
from trainables.model_registry.registry import FOLDER, Registry
from trainables.models import ServedGenerator
from trainables.training.checkpoint import load_checkpoint, load_record, save_checkpoint

TRAINED = DiffusionConfig(epochs=1, steps_per_epoch=20, evaluation=EvaluationConfig(movements=100))
REPLICA = "ray::ServeReplica:default:"  # prefix of the title of a replica's process, before the name of the deployment
ONE = ("replicas.maximum=1",)
TWO = ("replicas.minimum=2", "replicas.maximum=2")


@dataclass(frozen=True)
class Measurement:
    """One measured quantity.

    Attributes:
        value: Median of n values, or a count out of n.
        low, high: Quartiles, or the interval that the name states.
        target: Required value.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    n: int
    target: str = ""

    @classmethod
    def over(cls, name: str, unit: str, values: Sequence[float], target: str = "") -> "Measurement":
        """Return the median of several values with their quartiles."""
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(name, unit, median, low, high, len(values), target)

    @classmethod
    def count(cls, name: str, found: int, n: int, target: str = "") -> "Measurement":
        """Return a count out of n."""
        return cls(name, "", found, found, found, n, target)

    def __str__(self) -> str:
        shown = "".join(f"{value:>10.5g}" for value in (self.value, self.low, self.high))
        return f"{self.name:<58}{shown}{self.n:>8} {self.unit:<10}{self.target}"


@dataclass(frozen=True)
class Setup:
    """Folder and champion of the measured services, and the duration of the memory measurement."""

    folder: Path
    checkpoint: Path
    minutes: float

    def storage(self, name: str) -> Path:
        """Create a storage path with the champion published; return it."""
        publish(self.folder / name, self.checkpoint)
        return self.folder / name


@dataclass(frozen=True, eq=False)
class RunningService:
    """Process of a running service, and its URL."""

    url: str
    process: subprocess.Popen[str]

    def processes(self, title: str) -> list[psutil.Process]:
        """Return its processes whose title begins with `title`, the oldest first."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return sorted((each for each in below if _title(each).startswith(title)), key=psutil.Process.create_time)

    def replicas(self) -> int:
        """Return the number of sampler replicas that it reports; 0 without a response."""
        try:
            response = connection().get(f"{self.url}/v1/model", timeout=WITHIN_S)
        except requests.RequestException:
            return 0
        state: dict[str, Any] = response.json() if response.status_code == OK else {}
        return int(state.get("replicas", 0))


@contextmanager
def service(storage: Path, *settings: str) -> Iterator[RunningService]:
    """Run the service of a storage path on a free port, without a quota, in a process group of its own.

    The service is stopped at the end of the block, also after Ctrl-C or SIGTERM.

    Raises:
        RuntimeError: it did not start, or stopped with an error.
    """
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "serve", f"storage_path={storage}", f"port={port}", "quota=0", *settings]
    environment = {name: value for name, value in os.environ.items() if name != TOKENS_VARIABLE}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    before = signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        if not process.stdout.readline().startswith("http"):
            raise RuntimeError(f"the service did not start: {' '.join(command)}")
        yield RunningService(f"http://127.0.0.1:{port}", process)
    finally:
        stop(process)
        signal.signal(signal.SIGTERM, before)
    if process.returncode != 0:
        raise RuntimeError(f"the service exited with code {process.returncode}")


def stop(process: subprocess.Popen[str]) -> None:
    """Stop a service; after a timeout its whole process group is killed, Ray's processes included."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(2 * WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def trained(folder: Path) -> Path:
    """Train the default network for a few steps; return its checkpoint."""
    *_, last = epochs(TRAINED)
    last.save(folder)
    return folder


def altered(checkpoint: Path, folder: Path) -> Path:
    """Write a checkpoint of the same network with other weights; return it."""
    tensors, record = load_checkpoint(checkpoint)
    changed = {name: 0.9 * tensor if name.startswith("ema.") else tensor for name, tensor in tensors.items()}
    save_checkpoint(folder, changed, record)
    return folder


def lengthened(checkpoint: Path, folder: Path, sequence_length: int) -> Path:
    """Write a checkpoint of the same network for movements of up to `sequence_length` steps; return it."""
    tensors, record = load_checkpoint(checkpoint)
    config = record["config"]
    canonical = {**config["data"]["canonical"], "sequence_length": sequence_length}
    data = {**config["data"], "canonical": canonical}
    save_checkpoint(folder, tensors, {**record, "config": {**config, "data": data}})
    return folder


def publish(storage: Path, checkpoint: Path, registry: str = FOLDER) -> None:
    """Publish a checkpoint as the champion of a registry below a storage path."""
    with lock_registry(Registry.below(storage, registry)) as publisher:
        publisher.publish(checkpoint, {"reason": "benchmark"})


def sampled(generator: ServedGenerator, n: int, seed: int, steps: int) -> Deltas:
    """Sample the movements that the service is to return in this process: deltas [n, T, C]."""
    conditions = generator.training_conditions.draw(n, seed, generator.canonical.sequence_length)
    frame, sampling = conditions.frame(generator.canonical), generator.sampling_with(SamplingChanges(steps=steps))
    z = generator.rows(conditions, frame, [(seed, number) for number in range(n)], sampling)
    deltas: Deltas = with_deltas(frame, generator.statistics.denormalise(z, frame)).deltas.float().numpy()
    return deltas


def weights_of(checkpoint: Path) -> str:
    """Return the hash of a checkpoint's weights, as responses name it."""
    return str(load_record(checkpoint)["weights_sha256"])


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended meanwhile
        return ""
