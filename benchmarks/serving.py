"""What the service costs beside the sampler, and what it stands: `python -m serve` on this machine, over HTTP.

    overhead   n=256 over HTTP against the same movements drawn in this process, in turn
    batching   16 clients that ask for one movement each, from a service that batches and one that does not, in turn
    transfer   2048 movements of 200 steps in binary: the time of a request beyond the sampling that the reply tells
    swap       promotions under load, from the moment the registry's link names the next champion to the last old reply
    kill       a sampler, then the ingress, killed with SIGKILL under load, asked bare and by the project's client
    memory     a mixed load for `--memory-minutes`; see `benchmarks.serving_memory`

Every reply is compared with what the sampler draws in this process, number by number, wherever both are at hand. Client
and service share the machine. A figure is a median between its quartiles, unless its name says otherwise.

`OMP_NUM_THREADS=1 python -m benchmarks.serving --output serving.json`
"""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import fastapi
import ray
import torch

from benchmarks.serving_changes import kill, swap
from benchmarks.serving_memory import memory
from benchmarks.support.clients import Load, Question, bare, patient, require_equal
from benchmarks.support.service import ONE, Figure, Service, Stage, drawn, service, trained
from trainables.models import ServedGenerator, load_generator

WARM_UP = 2  # rounds that are not measured
ROUNDS = 15
CLIENTS = 16
BARE = "over HTTP"
WINDOW_S = 8.0  # of each throughput
WINDOWS = 4


def overhead(stage: Stage) -> list[Figure]:
    """The service beside the sampler at n=256."""
    generator, asked = load_generator(stage.checkpoint), {"n": 256, "steps": 20}
    with service(stage.storage("overhead"), *ONE) as served:
        askers = {BARE: bare(served.url, asked), "by our client": patient(served.url, asked)}
        rounds = [beside(generator, askers, seed) for seed in range(WARM_UP + ROUNDS)][WARM_UP:]
    figures = [Figure.over(f"n=256, {name}", "ms", [1e3 * each[name] for each in rounds]) for name in rounds[0]]
    for name in askers:
        shares = [100 * (each[name] / each["in this process"] - 1) for each in rounds]
        figures.append(Figure.over(f"overhead at n=256, {name}", "%", shares, "<= 15"))
    return figures


def beside(generator: ServedGenerator, askers: Mapping[str, Question], seed: int) -> dict[str, float]:
    """Seconds for the same 256 movements, drawn here and asked for."""
    began = time.time()
    expected = drawn(generator, 256, seed, steps=20)
    seconds = {"in this process": time.time() - began}
    for name, question in askers.items():
        reply = question(seed)
        require_equal(reply, expected)
        seconds[name] = reply.seconds
        if name == BARE:
            seconds[f"{name}, beyond sampling"] = reply.seconds - reply.sampling_s
    return seconds


def batching(stage: Stage) -> list[Figure]:
    """Requests per second of 16 clients, with and without batches."""
    with (
        service(stage.storage("batched"), *ONE) as batched,
        service(stage.storage("unbatched"), *ONE, "batch.rows=1") as single,
    ):
        rounds = [(throughput(batched), throughput(single)) for _ in range(1 + WINDOWS)][1:]
    together, apart = zip(*rounds, strict=True)
    return [
        Figure.over("16 clients, n=1, batched", "requests/s", together),
        Figure.over("16 clients, n=1, unbatched", "requests/s", apart),
        Figure.over("batched over unbatched", "x", [a / b for a, b in rounds], ">= 4"),
    ]


def throughput(served: Service) -> float:
    """Requests per second."""
    with Load(served.url, CLIENTS, {"n": 1, "steps": 20}) as clients:
        clients.answered(CLIENTS)
        began, before = time.monotonic(), len(clients.replies)
        time.sleep(WINDOW_S)
        rate = (len(clients.replies) - before) / (time.monotonic() - began)
    if clients.failed:
        raise RuntimeError(f"{len(clients.failed)} requests failed, the first with {clients.failed[0].status}")
    return rate


def transfer(stage: Stage) -> list[Figure]:
    """Milliseconds of n=2048 at [200, 2] beyond sampling."""
    with service(stage.storage("transfer"), *ONE) as served:
        return [
            Figure.over(f"n=2048 of [200, 2] beyond sampling, {form}", "ms", beyond_ms(served, form), "< 100")
            for form in ("npy", "safetensors")
        ]


def beyond_ms(served: Service, form: str) -> list[float]:
    """Of each request."""
    question = bare(served.url, {"n": 2048, "seq_len": 200, "steps": 1, "format": form})
    replies = [question(seed) for seed in range(WARM_UP + ROUNDS)][WARM_UP:]
    return [1e3 * (reply.seconds - reply.sampling_s) for reply in replies]


MEASUREMENTS: dict[str, Callable[[Stage], list[Figure]]] = {
    "overhead": overhead,
    "batching": batching,
    "transfer": transfer,
    "swap": swap,
    "kill": kill,
    "memory": memory,
}


def measured(stage: Stage, name: str) -> dict[str, Any]:
    """The figures of one measurement, printed too, and how many processes wanted a core before it and after it."""
    before = os.getloadavg()
    figures = MEASUREMENTS[name](stage)
    print("\n".join(map(str, figures)), flush=True)
    return {"figures": [asdict(figure) for figure in figures], "load_1_5_15_min": [before, os.getloadavg()]}


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--checkpoint", type=Path, help="of a diffusion; left out: trained for some seconds")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=[*MEASUREMENTS], help="left out: everything")
    parser.add_argument("--memory-minutes", type=float, default=10.0, help="of the mixed load")
    parser.add_argument("--output", type=Path, help="also write the figures as JSON here")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the service ends with it
    found: dict[str, Any] = {"cores": len(os.sched_getaffinity(0))}
    found["versions"] = {module.__name__: module.__version__ for module in (ray, fastapi, torch)}
    print(f"{'':<58}{'median':>10}{'low':>10}{'high':>10}{'n':>8} {'unit':<10}asked")
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:
        checkpoint = given.checkpoint or trained(Path(folder) / "checkpoint")
        stage = Stage(Path(folder), checkpoint, given.memory_minutes)
        for name in given.only:
            found[name] = measured(stage, name)
            if given.output:
                given.output.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
