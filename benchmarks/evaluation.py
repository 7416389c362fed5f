"""Cost of an evaluation: seconds and memory of the two-sample metrics at the sizes where they are used.

Every metric runs on one thread, on standardised columns of equal distributions, as with a good generator (a probe that
separates easily converges sooner). The metrics alternate within one run and medians over the repeats are reported; CPU
time as well as wall-clock time, because other work on the machine affects only the latter. Extra memory is the peak of
a fresh process less the memory of the imports and the tables.

`python -m benchmarks.evaluation --repeats 5`
"""

import argparse
import json
import multiprocessing
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.unet_step import memory_mb, seconds
from trainables.eval.generation.probes import CLASSIFIERS
from trainables.eval.metrics import (
    PROBES,
    classifier_two_sample_test,
    density_coverage,
    mmd_rbf,
    mmd_test,
    prd,
    precision_recall,
)
from trainables.eval.two_sample.paired import paired_scores

Metric = Callable[[Float[Tensor, "N F"], Float[Tensor, "M F"]], object]
COLUMNS = {"features": 20, "pixels": 42, "convolutions": 720}  # of the probes of the headline
USERS = 10  # of the pairs, each with as many
SIGMA = 5.0  # fixed, as in a sweep, which takes the median distance of the real movements once


@dataclass(frozen=True)
class Work:
    """One metric at one size."""

    name: str
    rows: int  # of either sample
    columns: int
    metric: Metric


@dataclass(frozen=True)
class Row:
    """Measurements of one metric at one size."""

    name: str
    rows: int
    columns: int
    seconds: float  # wall clock, median over the repeats
    cpu_seconds: float  # CPU time, median over the repeats
    extra_mb: float


def probe(name: str) -> Metric:
    """Return the classifier two-sample test with a probe."""
    return lambda real, fake: classifier_two_sample_test(real, fake, probe=name)


def paired(name: str) -> Metric:
    """Return the paired two-sample test with a probe of the headline, in folds of whole users."""
    return lambda real, fake: paired_scores(
        real, fake, [str(row % USERS) for row in range(len(real))], probe=CLASSIFIERS[name]
    )


def works() -> dict[str, Work]:
    """Return everything that is measured, by name."""
    listed = [Work(f"C2ST {name}", rows, 20, probe(name)) for name in PROBES for rows in (334, 2000)]
    listed += [Work(f"probe {name}", rows, COLUMNS[name], paired(name)) for name in CLASSIFIERS for rows in (334, 2000)]
    listed += [
        Work("MMD", 10_000, 16, lambda real, fake: mmd_rbf(real, fake, SIGMA)),
        Work("MMD, 999 permutations", 2000, 20, lambda real, fake: mmd_test(real, fake, SIGMA)),
        Work("PRD", 2000, 20, prd),
        Work("PRD", 10_000, 20, prd),
        Work("precision, recall", 2000, 20, precision_recall),
        Work("precision, recall", 10_000, 20, precision_recall),
        Work("density, coverage", 2000, 20, density_coverage),
        Work("density, coverage", 10_000, 20, density_coverage),
    ]
    return {f"{work.name} {work.rows}": work for work in listed}


def tables(work: Work) -> tuple[Tensor, Tensor]:
    """Return a real and a fake table of the same normal distribution."""
    random = torch.Generator().manual_seed(0)
    real, fake = torch.randn(2, work.rows, work.columns, generator=random, dtype=torch.float64).unbind(0)
    return real, fake


def extra_mb(name: str) -> float:
    """Return the peak memory of one call less the memory before it. Call it in a fresh process."""
    work = works()[name]
    small = Work(work.name, 60, work.columns, work.metric)
    small.metric(*tables(small))  # imports, of which some come late
    real, fake = tables(work)
    before = memory_mb("VmRSS")
    work.metric(real, fake)
    return max(memory_mb("VmHWM") - before, 0.0)


def measure(chosen: dict[str, Work], repeats: int) -> list[Row]:
    """Measure the memory of each in a process of its own, then the times of all, alternating."""
    with multiprocessing.get_context("spawn").Pool(1, torch.set_num_threads, (1,), maxtasksperchild=1) as pool:
        extra = {name: pool.apply(extra_mb, (name,)) for name in chosen}
    pairs = {name: tables(work) for name, work in chosen.items()}
    rounds = [{name: timed(work, pairs[name]) for name, work in chosen.items()} for _ in range(repeats)]
    return [_row(work, [each[name] for each in rounds], extra[name]) for name, work in chosen.items()]


def _row(work: Work, times: list[tuple[float, float]], extra: float) -> Row:
    wall, cpu = (statistics.median(column) for column in zip(*times, strict=True))
    return Row(work.name, work.rows, work.columns, wall, cpu, extra)


def timed(work: Work, pair: tuple[Tensor, Tensor]) -> tuple[float, float]:
    """Return wall-clock and CPU seconds of one call."""
    cpu = time.process_time()
    wall = seconds(lambda: work.metric(*pair))
    return wall, time.process_time() - cpu


def table(rows: list[Row]) -> str:
    """Return the rows as text."""
    lines = [f"{'metric':<24}{'rows':>8}{'columns':>9}{'seconds':>10}{'CPU s':>8}{'extra MB':>10}"]
    lines += [
        f"{row.name:<24}{row.rows:>8,}{row.columns:>9}{row.seconds:>10.3f}{row.cpu_seconds:>8.3f}{row.extra_mb:>10.0f}"
        for row in rows
    ]
    return "\n".join(lines)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--repeats", type=int, default=5, help="measured calls of each metric")
    parser.add_argument("--only", default="", help="metrics whose name begins with this")
    parser.add_argument("--output", type=Path, help="also write the rows as JSON here")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return 2 for wrong input, else 0."""
    given = arguments(argv)
    torch.set_num_threads(1)
    chosen = {name: work for name, work in works().items() if name.startswith(given.only)}
    if not chosen or given.repeats < 1:
        print(
            f"expected `--only` to begin one of {', '.join(works())}, and `--repeats >= 1`",
            file=sys.stderr,
        )
        return 2
    rows = measure(chosen, given.repeats)
    print(table(rows))
    if given.output:
        measured = {"repeats": given.repeats, "torch": torch.__version__, "rows": [asdict(row) for row in rows]}
        given.output.write_text(json.dumps(measured, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
