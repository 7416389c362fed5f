"""Training throughput of a sweep: steps per second of its trials against bare processes.

As many trials as cores train the same small model concurrently; so do as many bare processes with one thread each that
run only the training loop. Each logs the end of an epoch, its evaluation included; steps per second are counted while
all of them are past their first epoch and none has ended, and summed. Bare runs come before and after each sweep,
because the machine may be shared.

`python -m benchmarks.sweep_throughput --rounds 3 --output throughput.json`
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import torch
from ray import cloudpickle
from rich.console import Console

from platform.core.ray_instance import ray_instance
from platform.study.config import BudgetConfig, SchedulerConfig, TuneConfig
from platform.study.ranking import OBJECTIVES
from platform.study.searcher import OptunaSearcher
from platform.study.study import open_study
from platform.study.sweep import Sweep
from platform.sweep.disk_budget import BudgetStopper
from platform.sweep.progress import Progress
from platform.sweep.runner import make_tuner
from search_spaces import SPACES
from trainables import session
from trainables.core.config import build, plain, with_values
from trainables.diffusion import loop
from trainables.diffusion.config import DiffusionConfig
from trainables.eval.generation.metrics import GENERATION
from trainables.specs import TRAINABLES
from trainables.training.trainable import Epoch
from trainables.training.worker import ALONE, Worker

SPACE = SPACES["diffusion"]
SEARCHED = ("contrastive.temperature",)  # with weight 0 it changes nothing: all trials cost the same
SMALL = {"model.base_channels": 32, "steps_per_epoch": 100, "evaluation.movements": 100, "sampling.steps": 5}
LOG = "BENCH_LOG"  # environment variable with the folder of the logs; workers inherit it


def timed(config: DiffusionConfig, *, resume: Path | None = None, worker: Worker = ALONE) -> Iterator[Epoch]:
    """Run the diffusion trainable; write the end of each epoch to a log of this training."""
    log = Path(os.environ[LOG]) / f"{os.getpid()}-{time.monotonic_ns()}"
    for epoch in loop.epochs(config, resume=resume, worker=worker):
        with log.open("a") as stream:
            stream.write(f"{epoch.number} {time.time()}\n")
        yield epoch


def trial(parameters: Mapping[str, Any], job: session.Job) -> None:
    """Run the session's trial in a worker, with the timed loop registered."""
    TRAINABLES["timed"] = TRAINABLES["diffusion"].with_parts(epochs=timed)
    session.trial(parameters, job)


def rate(log: Path, steps_per_epoch: int) -> float:
    """Return the steps per second of all trainings in a folder together, while all of them were running."""
    ends = [[float(line.split()[1]) for line in file.read_text().splitlines()] for file in sorted(log.iterdir())]
    began, ended = max(times[0] for times in ends), min(times[-1] for times in ends)
    return sum(steps_per_epoch * _epochs_between(times, began, ended) for times in ends) / (ended - began)


def _epochs_between(times: Sequence[float], began: float, ended: float) -> float:
    """Return the epochs between two times, partial ones by their share of the time."""
    return sum(max(min(ended, end) - max(began, start), 0.0) / (end - start) for start, end in pairwise(times))


def bare(config: Mapping[str, Any], count: int, log: Path) -> None:
    """Train in `count` processes, each with one thread and only the training loop."""
    code = (
        "import json, sys, torch; torch.set_num_threads(1)\n"
        "from benchmarks.sweep_throughput import timed\n"
        "from trainables.core.config import build\n"
        "from trainables.diffusion.config import DiffusionConfig\n"
        "for _ in timed(build(DiffusionConfig, json.loads(sys.argv[1]))): pass"
    )
    environment = {**os.environ, LOG: str(log), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", code, json.dumps(config)]
    processes = [subprocess.Popen(command, env=environment) for _ in range(count)]
    if any(process.wait() for process in processes):
        raise RuntimeError("a bare training failed; see above")


def swept(config: Mapping[str, Any], count: int, log: Path) -> None:
    """Run one sweep of `count` concurrent trials, on its own Ray instance."""
    os.environ[LOG] = str(log)
    settings = TuneConfig(
        study_name="throughput",
        storage_path=str(log.parent / f"{log.name}-study"),
        budget=BudgetConfig(count, time_limit="1h"),
        scheduler=SchedulerConfig(grace_epochs=config["epochs"]),
    )
    laws = {key: SPACE.parameters[key] for key in SEARCHED}
    sweep = Sweep(settings, config, replace(SPACE, trainable="timed", parameters=laws, baselines=()), ())
    TRAINABLES["timed"] = TRAINABLES["diffusion"].with_parts(epochs=timed)
    study = open_study(sweep, {OBJECTIVES: [GENERATION.headline], "trainable": SPACE.trainable})
    searcher = OptunaSearcher(study, sweep.space, count, sweep.goal)
    progress = Progress(searcher, sweep.epochs, settings.budget.time_limit_s, Console(file=io.StringIO()))
    with ray_instance("local", settings.scaling):
        stopper = BudgetStopper(settings.budget, settings.folder, searcher, progress.deadline)
        make_tuner(sweep, searcher, progress, stopper, count, trial).fit()


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=3, help="rounds of bare, sweep, bare")
    parser.add_argument("--epochs", type=int, default=6, help="epochs of each training")
    parser.add_argument("--output", type=Path, help="also write the measurements as JSON here")
    given = parser.parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    torch.set_num_threads(1)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a worker has another `platform`
    config = with_values(plain(DiffusionConfig()), {**SMALL, "epochs": given.epochs})
    build(DiffusionConfig, config)
    count = len(os.sched_getaffinity(0))
    rates: dict[str, list[float]] = {"bare": [], "sweep": []}
    with tempfile.TemporaryDirectory(prefix="throughput-") as folder:
        for number, (name, run) in enumerate([("bare", bare), ("sweep", swept), ("bare", bare)] * given.rounds):
            log = Path(folder) / f"{number}"
            log.mkdir()
            run(config, count, log)
            rates[name].append(rate(log, config["steps_per_epoch"]))
            print(f"{name:<8}{rates[name][-1]:>8.2f} steps/s, {count} trainings together", flush=True)
    share = statistics.median(rates["sweep"]) / statistics.median(rates["bare"])
    print(f"sweep over bare, medians: {100 * share:.1f} %")
    if given.output:
        given.output.write_text(json.dumps({"trainings": count, "steps_per_s": rates, "share": share}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
