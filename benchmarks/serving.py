"""Overhead, throughput and robustness of the service: `python -m serve` on this machine, measured over HTTP.

    overhead   n=256 over HTTP against the same movements sampled in this process, alternating
    batching   16 clients with n=1 each, against a service with batching and one without, alternating
    transfer   2048 movements of 200 steps in binary: the time of a request beyond its sampling time
    swap       promotions under load: time from the change of the registry's link to the last response of the old model
    kill       SIGKILL to a sampler, then to the ingress, under load, with plain HTTP and with the project's client
    memory     a mixed load for `--memory-minutes`; see `benchmarks.serving_memory`

Responses are compared with the output of the sampler in this process, number by number, wherever both are available.
Client and service share the machine. Values are medians with quartiles, unless the name differs.

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
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import fastapi
import ray
import torch

from benchmarks.serving_changes import kill, swap
from benchmarks.serving_memory import memory
from benchmarks.support.clients import Load, SendRequest, plain_http, require_equal, with_retries
from benchmarks.support.service import ONE, Measurement, RunningService, Setup, lengthened, sampled, service, trained
from trainables.models import ServedGenerator, load_generator

WARM_UP = 2  # rounds that are not measured
ROUNDS = 15
CLIENTS = 16
HTTP = "over HTTP"
LOCAL = "in this process"
WINDOW_S = 8.0  # of each throughput
WINDOWS = 4


def overhead(setup: Setup) -> list[Measurement]:
    """Measure the overhead of the service over the sampler at n=256."""
    generator, options = load_generator(setup.checkpoint), {"n": 256, "steps": 20}
    with service(setup.storage("overhead"), *ONE) as served:
        clients = {HTTP: plain_http(served.url, options), "by our client": with_retries(served.url, options)}
        rounds = [timed(generator, clients, seed) for seed in range(WARM_UP + ROUNDS)][WARM_UP:]
    found = [Measurement.over(f"n=256, {name}", "ms", [1e3 * each[name] for each in rounds]) for name in rounds[0]]
    for name in clients:
        shares = [100 * (each[name] / each[LOCAL] - 1) for each in rounds]
        found.append(Measurement.over(f"overhead at n=256, {name}", "%", shares, "<= 15"))
    return found


def timed(generator: ServedGenerator, clients: Mapping[str, SendRequest], seed: int) -> dict[str, float]:
    """Return the seconds for the same 256 movements, sampled here and requested."""
    began = time.time()
    expected = sampled(generator, 256, seed, steps=20)
    seconds = {LOCAL: time.time() - began}
    for name, send in clients.items():
        response = send(seed)
        require_equal(response, expected)
        seconds[name] = response.seconds
        if name == HTTP:
            seconds[f"{name}, beyond sampling"] = response.seconds - response.sampling_s
    return seconds


def batching(setup: Setup) -> list[Measurement]:
    """Measure requests per second of 16 clients, with and without batching."""
    with (
        service(setup.storage("batched"), *ONE) as batched,
        service(setup.storage("unbatched"), *ONE, "batch.rows=1") as single,
    ):
        rounds = [(throughput(batched), throughput(single)) for _ in range(1 + WINDOWS)][1:]
    together, apart = zip(*rounds, strict=True)
    return [
        Measurement.over("16 clients, n=1, batched", "requests/s", together),
        Measurement.over("16 clients, n=1, unbatched", "requests/s", apart),
        Measurement.over("batched over unbatched", "x", [a / b for a, b in rounds], ">= 4"),
    ]


def throughput(served: RunningService) -> float:
    """Return requests per second."""
    with Load(served.url, CLIENTS, {"n": 1, "steps": 20}) as clients:
        clients.await_responses(CLIENTS)
        began, before = time.monotonic(), len(clients.responses)
        time.sleep(WINDOW_S)
        rate = (len(clients.responses) - before) / (time.monotonic() - began)
    if clients.failed:
        raise RuntimeError(f"{len(clients.failed)} requests failed, the first with {clients.failed[0].status}")
    return rate


def transfer(setup: Setup) -> list[Measurement]:
    """Measure the milliseconds of n=2048 at [200, 2] beyond sampling."""
    longer = lengthened(setup.checkpoint, setup.folder / "longer", 200)
    with service(replace(setup, checkpoint=longer).storage("transfer"), *ONE) as served:
        return [
            Measurement.over(f"n=2048 of [200, 2] beyond sampling, {form}", "ms", beyond_ms(served, form), "< 100")
            for form in ("npy", "safetensors")
        ]


def beyond_ms(served: RunningService, form: str) -> list[float]:
    """Return the milliseconds of each request beyond its sampling time."""
    send = plain_http(served.url, {"n": 2048, "steps": 1, "format": form})
    responses = [send(seed) for seed in range(WARM_UP + ROUNDS)][WARM_UP:]
    return [1e3 * (response.seconds - response.sampling_s) for response in responses]


MEASUREMENTS: dict[str, Callable[[Setup], list[Measurement]]] = {
    "overhead": overhead,
    "batching": batching,
    "transfer": transfer,
    "swap": swap,
    "kill": kill,
    "memory": memory,
}


def measured(setup: Setup, name: str) -> dict[str, Any]:
    """Run and print one group of measurements; return them with the load average before and after."""
    before = os.getloadavg()
    found = MEASUREMENTS[name](setup)
    print("\n".join(map(str, found)), flush=True)
    return {"measurements": [asdict(each) for each in found], "load_1_5_15_min": [before, os.getloadavg()]}


def main(argv: list[str] | None = None) -> int:
    """Run the measurements and print the table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--checkpoint", type=Path, help="checkpoint of a diffusion; default: one trained for some seconds"
    )
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, default=[*MEASUREMENTS], help="default: all")
    parser.add_argument("--memory-minutes", type=float, default=10.0, help="minutes of the mixed load")
    parser.add_argument("--output", type=Path, help="also write the measurements to this JSON file")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that the service stops with it
    found: dict[str, Any] = {"cores": len(os.sched_getaffinity(0))}
    found["versions"] = {module.__name__: module.__version__ for module in (ray, fastapi, torch)}
    print(f"{'':<58}{'median':>10}{'low':>10}{'high':>10}{'n':>8} {'unit':<10}target")
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:
        checkpoint = given.checkpoint or trained(Path(folder) / "checkpoint")
        setup = Setup(Path(folder), checkpoint, given.memory_minutes)
        for name in given.only:
            found[name] = measured(setup, name)
            if given.output:
                given.output.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
