"""Sampling by a generator as the service does it: CPU time of so many rows, and the share of a matrix product's speed.

An untrained diffusion of the default configuration samples under the conditions of training movements, each row with
its own mask, noise and length, with 20 calls of its sampler. Floating-point operations are counted, filling to whole
blocks included; the reference is a 2048^3 float32 product, measured in turns with the sampling on the same thread. The
clock is the CPU time of the process, so that other work on the machine counts as little as it can.

`python -m benchmarks.generator_sampling --rows 1 8 64 256`
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks.support.flops import counted_flops
from trainables.augmentation.training_set import training_set
from trainables.data.splits.loading import load_splits
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.loop import untrained_state
from trainables.diffusion.objective import Objective
from trainables.diffusion.validation import sampler_of
from trainables.training.worker import ALONE

SIDE = 2048  # of the matrices of the reference
WARM_UP = 1


@dataclass(frozen=True)
class Row:
    """Medians over the repeats of one number of rows."""

    rows: int
    cpu_s: float
    movements_per_s: float
    gflop_per_s: float
    percent_of_sgemm: float


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU time of one call."""
    began = time.process_time()
    work()
    return time.process_time() - began


def measure(rows: Sequence[int], repeats: int) -> list[Row]:
    """Return a row for each number of movements that are sampled together."""
    config = DiffusionConfig()
    splits = load_splits(config.data).with_ends(config.motion_ends)
    dataset = training_set(splits, config.data.canonical, config.augmentation, config.seed)
    sampler = sampler_of(untrained_state(config, dataset, ALONE), config, splits, Objective.of(config.diffusion))
    left, right = torch.randn(2, SIDE, SIDE).unbind(0)
    found = []
    for count in rows:
        like = splits["train"].take(torch.arange(count) % len(splits["train"]))
        work = partial(sampler.sample_matching, like, seed=0)
        operations = counted_flops(work)
        product_of = partial(torch.mm, left, right)
        pairs = [(cpu_seconds(work), cpu_seconds(product_of)) for _ in range(WARM_UP + repeats)][WARM_UP:]
        seconds, product = (statistics.median(each) for each in zip(*pairs, strict=True))
        speed, peak = operations / seconds, 2 * SIDE**3 / product
        found.append(Row(count, seconds, count / seconds, speed / 1e9, 100 * speed / peak))
    return found


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rows", type=int, nargs="+", default=[1, 8, 64, 256], help="movements sampled together")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--output", type=Path, help="also write the rows as JSON here")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    found = measure(given.rows, given.repeats)
    print("| rows | CPU s | movements/s | GFLOP/s | of SGEMM |\n|---|---|---|---|---|")
    for row in found:
        print(
            f"| {row.rows} | {row.cpu_s:.3f} | {row.movements_per_s:.1f} | {row.gflop_per_s:.1f} | "
            f"{row.percent_of_sgemm:.0f} % |"
        )
    if given.output:
        given.output.write_text(json.dumps([asdict(row) for row in found], indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
