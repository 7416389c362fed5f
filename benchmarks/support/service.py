"""A service to be measured: `python -m serve` as a process of its own, with a champion, and figures about it.

The champion is the default network after a few steps: drawing with it costs what it costs with a good one. The service
listens on 127.0.0.1 and ends with the block that started it.
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
from trainables.model_registry.publisher import held
from trainables.model_registry.registry import FOLDER, Registry
from trainables.models import ServedGenerator
from trainables.training.checkpoint import load_checkpoint, load_record, save_checkpoint

TRAINED = DiffusionConfig(epochs=1, steps_per_epoch=20, evaluation=EvaluationConfig(movements=100))
REPLICA = "ray::ServeReplica:default:"  # the title of a replica's process, with the deployment's name after it
ONE = ("replicas.maximum=1",)
TWO = ("replicas.minimum=2", "replicas.maximum=2")


@dataclass(frozen=True)
class Figure:
    """One thing that was measured.

    Attributes:
        value: The median of n values, or their number.
        low, high: Quartiles, or the interval that the name speaks of.
        asked: What the value should be.
    """

    name: str
    unit: str
    value: float
    low: float
    high: float
    n: int
    asked: str = ""

    @classmethod
    def over(cls, name: str, unit: str, values: Sequence[float], asked: str = "") -> "Figure":
        """The median of several values between their quartiles."""
        low, median, high = statistics.quantiles(values, n=4, method="inclusive")
        return cls(name, unit, median, low, high, len(values), asked)

    @classmethod
    def count(cls, name: str, found: int, n: int, asked: str = "") -> "Figure":
        """So many of n."""
        return cls(name, "", found, found, found, n, asked)

    def __str__(self) -> str:
        shown = "".join(f"{value:>10.5g}" for value in (self.value, self.low, self.high))
        return f"{self.name:<58}{shown}{self.n:>8} {self.unit:<10}{self.asked}"


@dataclass(frozen=True)
class Stage:
    """Where services are measured, with which champion, and for how long they are watched."""

    folder: Path
    checkpoint: Path
    minutes: float

    def storage(self, name: str) -> Path:
        """A storage path of its own, where the champion is published."""
        publish(self.folder / name, self.checkpoint)
        return self.folder / name


@dataclass(frozen=True, eq=False)
class Service:
    """A running service."""

    url: str
    process: subprocess.Popen[str]

    def processes(self, title: str) -> list[psutil.Process]:
        """Its processes whose title begins so, the oldest first."""
        below = psutil.Process(self.process.pid).children(recursive=True)
        return sorted((each for each in below if _title(each).startswith(title)), key=psutil.Process.create_time)

    def replicas(self) -> int:
        """How many samplers it says that it has; 0 where it says nothing."""
        try:
            reply = connection().get(f"{self.url}/v1/model", timeout=WITHIN_S)
        except requests.RequestException:
            return 0
        state: dict[str, Any] = reply.json() if reply.status_code == OK else {}
        return int(state.get("replicas", 0))


@contextmanager
def service(storage: Path, *settings: str) -> Iterator[Service]:
    """The service of a storage path on a free port, without a quota, in a process group of its own.

    Whatever ends this block or its process in good order, Ctrl-C and SIGTERM included, ends the service.

    Raises:
        RuntimeError: it did not start, or did not end well.
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
        yield Service(f"http://127.0.0.1:{port}", process)
    finally:
        end(process)
        signal.signal(signal.SIGTERM, before)
    if process.returncode != 0:
        raise RuntimeError(f"the service ended with exit code {process.returncode}")


def end(process: subprocess.Popen[str]) -> None:
    """Tell a service to end; what is left of its group after a while is killed, Ray's own processes included."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(2 * WITHIN_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def trained(folder: Path) -> Path:
    """A checkpoint of the default network after a few steps."""
    *_, last = epochs(TRAINED)
    last.save(folder)
    return folder


def altered(checkpoint: Path, folder: Path) -> Path:
    """A checkpoint of the same network that draws something else."""
    tensors, record = load_checkpoint(checkpoint)
    changed = {name: 0.9 * tensor if name.startswith("ema.") else tensor for name, tensor in tensors.items()}
    save_checkpoint(folder, changed, record)
    return folder


def publish(storage: Path, checkpoint: Path, registry: str = FOLDER) -> None:
    """Make a checkpoint the champion of a storage path, in a registry by its name."""
    with held(Registry.below(storage, registry)) as publisher:
        publisher.publish(checkpoint, {"reason": "a measurement"})


def drawn(generator: ServedGenerator, n: int, seed: int, steps: int) -> Deltas:
    """What the service is to reply, by the sampler in this process: deltas [n, T, C]."""
    conditions = generator.known.draw(n, seed, generator.canonical.sequence_length)
    frame, sampling = conditions.frame(generator.canonical), generator.sampling_with(SamplingChanges(steps=steps))
    z = generator.rows(conditions, frame, [(seed, number) for number in range(n)], sampling)
    deltas: Deltas = with_deltas(frame, generator.statistics.denormalise(z, frame)).deltas.float().numpy()
    return deltas


def weights_of(checkpoint: Path) -> str:
    """The hash by which replies name it."""
    return str(load_record(checkpoint)["weights_sha256"])


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it has ended meanwhile
        return ""
