"""Overhead of a trial beyond its training: a no-op trial of a sweep against a bare Optuna loop.

    bare loop    study.ask, study.tell
    sweep        ask -> Tune -> reused actor -> TorchTrainer in local mode -> one report -> callbacks -> tell

Both search the same parameters with the same sampler and a journal file each, one trial at a time, in one process; half
of the bare loops run before the sweep and half after it. The seconds of a trial run from the previous tell to its own;
those of the first one from the start of the loop, which includes the start of the actor. A sweep with no-op trials in a
Ray Train worker group of one measures the cost of a group. Another sweep trains one small epoch per trial and reads the
memory of its process: PSS counts a page that n processes share as 1/n, `private` only unshared pages. Linux only.

`OMP_NUM_THREADS=1 python -m benchmarks.trial_overhead --trials 20 --output overhead.json`
"""

import argparse
import io
import json
import re
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import optuna
import ray
import torch
from optuna.trial import TrialState
from ray import cloudpickle
from rich.console import Console

from platform.core.ray_instance import ray_instance
from platform.study.config import BudgetConfig, TuneConfig
from platform.study.ranking import OBJECTIVES
from platform.study.resume import METRICS, REASON
from platform.study.searcher import OptunaSearcher
from platform.study.study import open_study
from platform.study.sweep import Sweep
from platform.sweep.disk_budget import BudgetStopper
from platform.sweep.progress import Progress
from platform.sweep.runner import make_tuner
from search_spaces import SPACES
from trainables import session
from trainables.core.config import build, plain, with_values
from trainables.diffusion import loop as train
from trainables.diffusion.config import DiffusionConfig
from trainables.eval.generation.metrics import GENERATION
from trainables.specs import TRAINABLES
from trainables.training import metric_names as names
from trainables.training.scaling import ScalingConfig
from trainables.training.trainable import Epoch, Epochs
from trainables.training.worker import Worker

SPACE = SPACES["diffusion"]
RECORD = {OBJECTIVES: [GENERATION.headline], "trainable": SPACE.trainable}
MEMORY_TRIALS = 4
GROUP_TRIALS = 5
SMALL = {"model.base_channels": 32, "steps_per_epoch": 20, "evaluation.movements": 100, "sampling.steps": 5}
SEARCHED = ("contrastive.weight", "contrastive.temperature")  # where memory is measured: they change no size


def memory_mb() -> dict[str, float]:
    """Return the memory of this process as the kernel accounts for it, in MiB."""
    text = Path("/proc/self/smaps_rollup").read_text() + Path("/proc/self/status").read_text()
    mb = {name: int(kib) / 1024 for name, kib in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    private = mb["Private_Clean"] + mb["Private_Dirty"]
    return {"RSS": mb["Rss"], "PSS": mb["Pss"], "private": private, "peak RSS": mb["VmHWM"]}


def nothing(config: DiffusionConfig, *, resume: Path | None, worker: Worker) -> Iterator[Epoch]:
    """Yield one report without any work; epoch 0 has no checkpoint."""
    yield Epoch(0, {names.EPOCH: 0, GENERATION.headline: 0.5}, lambda folder: None)


def remembering(config: DiffusionConfig, *, resume: Path | None, worker: Worker) -> Iterator[Epoch]:
    """Run the diffusion trainable; add the memory before the trial and after each epoch to its metrics."""
    before = {f"before/{name}": value for name, value in memory_mb().items()}
    for epoch in train.epochs(config, resume=resume, worker=worker):
        after = {f"after/{name}": value for name, value in memory_mb().items()}
        yield replace(epoch, metrics={**epoch.metrics, **before, **after})


LOOPS: dict[str, Epochs] = {"no-op": nothing, "small epoch": remembering}
WORKLOADS = {name: TRAINABLES["diffusion"].with_parts(epochs=loop) for name, loop in LOOPS.items()}


WORKER_LOOP = session._worker_loop


def worker_loop(settings: dict[str, Any]) -> None:
    """Run the session's loop in a worker of a group, with the workloads of this file registered."""
    TRAINABLES.update(WORKLOADS)
    WORKER_LOOP(settings)


def trial(parameters: Mapping[str, Any], job: session.Job) -> None:
    """Run the session's trial in a worker, with the workloads of this file registered."""
    TRAINABLES.update(WORKLOADS)
    session._worker_loop = worker_loop
    session.trial(parameters, job)


@dataclass(frozen=True)
class Timing:
    """Seconds of the first trial from the start of its loop, and of the following ones."""

    first_s: float
    following_s: tuple[float, ...]


def timing(study: optuna.Study, began: float) -> Timing:
    """Return the timing of a study by the completion times of its trials.

    Raises:
        RuntimeError: a trial did not complete: its time means nothing.
    """
    trials = study.get_trials(deepcopy=False)
    for each in trials:
        if each.state != TrialState.COMPLETE:
            raise RuntimeError(f"trial {each.number} ended as {each.state.name}: {each.user_attrs.get(REASON)}")
    ends = sorted(each.datetime_complete.timestamp() for each in trials if each.datetime_complete)
    return Timing(ends[0] - began, tuple(end - start for start, end in pairwise(ends)))


def sweep_of(name: str, workload: str, trials: int, folder: Path, epochs: int = 0) -> Sweep:
    """Return a sweep with its own study: over the whole space, or over small models for some epochs."""
    settings = TuneConfig(study_name=name, storage_path=str(folder), budget=BudgetConfig(trials, time_limit="1h"))
    laws = {key: SPACE.parameters[key] for key in SEARCHED} if epochs else SPACE.parameters
    config = with_values(plain(DiffusionConfig()), {**SMALL, "epochs": epochs} if epochs else {})
    build(DiffusionConfig, config, at="trainable")
    return Sweep(settings, config, replace(SPACE, trainable=workload, parameters=laws, baselines=()), ())


GROUP = ScalingConfig(num_workers=1)


def in_worker_group(sweep: Sweep) -> Sweep:
    """Return the same sweep with each trial in a worker group."""
    return replace(sweep, settings=replace(sweep.settings, scaling=GROUP))


def bare_loop(sweep: Sweep) -> Timing:
    """Ask and tell trials without Ray."""
    study = open_study(sweep, RECORD)
    began = time.time()
    for _ in range(sweep.settings.budget.trials):
        study.tell(study.ask(dict(sweep.space.parameters)), 0.5)
    return timing(study, began)


def run_sweep(sweep: Sweep, epochs: int = 0) -> tuple[Timing, optuna.Study]:
    """Run a sweep as `platform.tune` does, one trial at a time and without output."""
    settings, study = sweep.settings, open_study(sweep, RECORD)
    searcher = OptunaSearcher(study, sweep.space, settings.budget.trials, replace(sweep.goal, last_epoch=epochs))
    progress = Progress(searcher, epochs, settings.budget.time_limit_s, Console(file=io.StringIO()))
    stopper = BudgetStopper(settings.budget, settings.folder, searcher, progress.deadline)
    began = time.time()
    make_tuner(sweep, searcher, progress, stopper, 1, trial).fit()
    return timing(study, began), study


def measure(trials: int, folder: Path) -> tuple[dict[str, Timing], dict[str, dict[str, float]]]:
    """Return the timings of each loop, and the memory of the driver and of the training process."""
    TRAINABLES.update(WORKLOADS)
    before, idle, after = (sweep_of(at, "no-op", trials, folder) for at in ("bare-before", "no-op", "bare-after"))
    small = sweep_of("epoch", "small epoch", MEMORY_TRIALS, folder, epochs=1)
    with ray_instance("local", ScalingConfig()):
        bare, (no_op, _), again = bare_loop(before), run_sweep(idle), bare_loop(after)
        epoch, study = run_sweep(small, epochs=1)
        driver = memory_mb()
    with ray_instance("local", GROUP):
        group, _ = run_sweep(in_worker_group(sweep_of("group", "no-op", GROUP_TRIALS, folder)))
    bare = Timing(bare.first_s, bare.following_s + again.following_s)
    first, *_, last = (each.user_attrs[METRICS] for each in study.get_trials(deepcopy=False))
    memory = {
        "driver": driver,
        "trial, before its work": {name: first[f"before/{name}"] for name in driver},
        "trial, after an epoch": {name: last[f"after/{name}"] for name in driver},
    }
    timings = {"bare loop": bare, "sweep, no-op": no_op, "worker groups, no-op": group, "sweep, small epoch": epoch}
    return timings, memory


def table(timings: Mapping[str, Timing], memory: Mapping[str, Mapping[str, float]]) -> str:
    """Seconds per trial, also as a multiple of the bare loop's median, and MiB per process."""
    bare = statistics.median(timings["bare loop"].following_s)
    lines = [f"{'seconds per trial':<24}{'first':>10}{'median':>10}{'min':>10}{'max':>10}{'x bare':>10}"]
    for name, row in timings.items():
        median = statistics.median(row.following_s)
        shown = (row.first_s, median, min(row.following_s), max(row.following_s))
        lines.append(f"{name:<24}" + "".join(f"{value:>10.4f}" for value in shown) + f"{median / bare:>10.1f}")
    lines.append(f"\n{'MiB per process':<24}" + "".join(f"{name:>10}" for name in memory["driver"]))
    lines += [f"{name:<24}" + "".join(f"{mb:>10.0f}" for mb in row.values()) for name, row in memory.items()]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its tables; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=20, help="trials of each bare loop and of the no-op sweep")
    parser.add_argument("--output", type=Path, help="also write the measurements as JSON here")
    given = parser.parse_args(argv)
    if given.trials < 2:
        parser.error(f"expected `trials >= 2`, but got {given.trials}; the first one is reported apart")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # a worker has another `platform`
    with tempfile.TemporaryDirectory(prefix="overhead-") as folder:
        timings, memory = measure(given.trials, Path(folder))
    print(table(timings, memory))
    if given.output:
        versions = {module.__name__: module.__version__ for module in (ray, optuna, torch)}
        measured = {"trials": given.trials, "versions": versions, "seconds": timings, "memory_mb": memory}
        given.output.write_text(json.dumps(measured, indent=2, default=asdict) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
