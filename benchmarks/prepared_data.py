"""Cost of data of any size: preparing them once, starting a trial from what was prepared, and a step of training.

The movements are distinct: each is one of the default recordings, stretched, warped, with its goal shifted, mirrored
and jittered by chance, and written at the times of a recorder of 125 Hz with jittered stamps, into one Parquet file of
a row per movement, of N / 100 users. Measured in processes of their own, one after another:

    prepare     `load_splits` with an empty store, and the largest resident memory of all its processes together
    start       `load_splits` and the training set of a diffusion from the store, as in a trial
    references  the validator of a trial, of at most 512 evaluated movements
    own         anonymous memory of the process of such a trial after an epoch; what is mapped all trials share
    step        mean optimisation step of the smallest network of the search space
    validation  share of an epoch of the default number of steps that its validation takes

`python -m benchmarks.prepared_data --sizes 1000 10000 100000 1000000 --output prepared_data.json`
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from trainables.augmentation.training_set import training_set
from trainables.core.seeding import generator
from trainables.data.augment import augment
from trainables.data.canonical import decode
from trainables.data.config import CanonicalConfig, DataConfig, VariationsConfig
from trainables.data.splits.loading import load_splits
from trainables.data.splits.store import ENVIRONMENT
from trainables.diffusion.config import DiffusionConfig, ModelConfig
from trainables.diffusion.loop import epochs
from trainables.eval.generation.validator import Validator
from trainables.training import metric_names as names

ROWS = 10_000  # of a row group of the file
RECORDER_MS = 8.0
MOVEMENTS_OF_USER = 100
STEPS = 64  # of the batches of two parts
POLL_S = 0.05
MIB = 2**20


@dataclass(frozen=True)
class Line:
    """Costs of a data set of `movements`; seconds and MiB."""

    movements: int
    file_mib: float
    prepare_s: float
    prepare_mib: float
    start_s: float
    references_s: float
    own_mib: float
    step_s: float
    validation_share: float


def write_movements(path: Path, count: int) -> None:
    """Write a table of `count` distinct movements."""
    real = load_splits(DataConfig())["train"]
    screen, form = decode(real, CanonicalConfig()), CanonicalConfig()
    random, rng, writer = generator(0, "benchmark"), np.random.default_rng(0), None
    for first in range(0, count, ROWS):
        rows = torch.randint(len(real), (min(ROWS, count - first),), generator=random)
        movements = augment(screen.take(rows), VariationsConfig(), form, random).movements
        columns: dict[str, list[object]] = {name: [] for name in ("t_ms", "x", "y", "user", "session")}
        for row, (steps, length) in enumerate(zip(movements.steps_px.numpy(), movements.length.tolist(), strict=True)):
            path_px = np.concatenate([np.zeros((1, 2)), steps[:length].cumsum(axis=0)])
            ticks = np.arange(length + 1) * 1000 / 60
            t_ms = np.arange(0.0, ticks[-1] + RECORDER_MS, RECORDER_MS)
            columns["x"].append(np.interp(t_ms, ticks, path_px[:, 0]).round())
            columns["y"].append(np.interp(t_ms, ticks, path_px[:, 1]).round())
            columns["t_ms"].append((t_ms + rng.uniform(0, 1, len(t_ms))).round())
            columns["user"].append(f"user{(first + row) % max(count // MOVEMENTS_OF_USER, 40)}")
            columns["session"].append("s")
        table = pa.table(columns)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None, "there is a movement"
    writer.close()


def config_of(path: Path) -> DiffusionConfig:
    """Return the configuration of a small trial on a table."""
    data = DataConfig(source="table", path=str(path))
    return DiffusionConfig(data=data, model=ModelConfig(base_channels=32), epochs=1, steps_per_epoch=STEPS)


def prepare(path: Path) -> dict[str, float]:
    """Prepare a table and return the seconds."""
    began = time.perf_counter()
    load_splits(config_of(path).data)
    return {"prepare_s": time.perf_counter() - began}


def trial(path: Path) -> dict[str, float]:
    """Start as a trial does, train, and return the costs."""
    torch.set_num_threads(1)
    config, began = config_of(path), time.perf_counter()
    splits = load_splits(config.data)
    training_set(splits, config.data.canonical, config.augmentation, config.seed)
    started = time.perf_counter()
    Validator.fit(splits["validation"], splits["train"], config.data.canonical, config.evaluation)
    ready = time.perf_counter()
    *_, last = epochs(config)
    step_s, validation_s = last.metrics[names.TRAIN_SECONDS] / STEPS, last.metrics[names.VAL_SECONDS]
    training_s = step_s * DiffusionConfig.steps_per_epoch
    return {
        "start_s": started - began,
        "references_s": ready - started,
        "own_mib": _anonymous_mib(),
        "step_s": step_s,
        "validation_share": validation_s / (validation_s + training_s),
    }


def _anonymous_mib() -> float:
    """Return the memory of this process that no file holds."""
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024


PARTS = {"prepare": prepare, "trial": trial}


def in_a_process(part: str, path: Path, store: Path) -> tuple[dict[str, float], float]:
    """Return the result of a part in a process of its own, and the largest memory of it and its children in MiB."""
    command = [sys.executable, "-m", "benchmarks.prepared_data", "--part", part, "--table", str(path)]
    environment = {**os.environ, ENVIRONMENT: str(store)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    peak = [0.0]
    watcher = threading.Thread(target=_watch, args=(psutil.Process(process.pid), peak), daemon=True)
    watcher.start()
    printed = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(f"{part} of {path} ended with exit code {process.returncode}")
    watcher.join()
    found: dict[str, float] = json.loads(printed)
    return found, peak[0]


def _watch(process: psutil.Process, peak: list[float]) -> None:
    while True:
        try:
            family = [process, *process.children(recursive=True)]
            peak[0] = max(peak[0], sum(one.memory_full_info().pss for one in family) / MIB)
        except psutil.Error:
            if not process.is_running() or process.status() == psutil.STATUS_ZOMBIE:
                return
        time.sleep(POLL_S)


def measured(sizes: list[int], folder: Path) -> Iterator[Line]:
    """Yield the costs of each size."""
    for size in sizes:
        path, store = folder / f"{size}.parquet", folder / f"store-{size}"
        write_movements(path, size)
        prepared, peak = in_a_process("prepare", path, store)
        in_a_process("trial", path, store)  # the first trial derives what the others map
        began, _ = in_a_process("trial", path, store)
        yield Line(
            size,
            path.stat().st_size / MIB,
            prepared["prepare_s"],
            peak,
            **began,
        )


def main(argv: list[str] | None = None) -> int:
    """Print the costs of each size; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--output", type=Path, help="also write the measurements as JSON here")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    parser.add_argument("--table", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(argv)
    if given.part:
        print(json.dumps(PARTS[given.part](given.table)))
        return 0
    heads = (
        "movements",
        "file MiB",
        "prepare s",
        "peak MiB",
        "start s",
        "references s",
        "own MiB",
        "step ms",
        "validation",
    )
    print("".join(f"{head:>13}" for head in heads))
    lines = []
    with tempfile.TemporaryDirectory() as folder:
        for line in measured(given.sizes, Path(folder)):
            print(
                f"{line.movements:>13}{line.file_mib:>13.1f}{line.prepare_s:>13.1f}{line.prepare_mib:>13.0f}"
                f"{line.start_s:>13.2f}{line.references_s:>13.2f}{line.own_mib:>13.0f}{1000 * line.step_s:>13.1f}"
                f"{line.validation_share:>13.0%}",
                flush=True,
            )
            lines.append(line)
    if given.output:
        given.output.write_text(json.dumps([*map(asdict, lines)], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
