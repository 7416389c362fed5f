"""Error of samplers with few network calls against a converged one, on the same noise and conditions.

Root mean squared error, in standardised units over valid steps, against 250 calls of DPM-Solver++(2M).

`python -m benchmarks.solver_error results/diffusion/cpu/checkpoints/best`
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from trainables.core.config import build
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.diffusion.api import conditions_of, load_generator
from trainables.diffusion.samplers import SAMPLERS, SPACINGS
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.training.checkpoint import load_record

CONVERGED = SamplingConfig("dpmpp_2m", "log_snr", 250)
CALLS = (6, 8, 12, 20)


@dataclass(frozen=True)
class Row:
    """Error of one sampler at one number of network calls."""

    sampler: str
    spacing: str
    calls: int
    rmse: float


def measure(checkpoint: Path, rows: int, seed: int) -> list[Row]:
    """Return the error of every sampler and spacing, under the conditions of validation movements."""
    source = load_generator(checkpoint)
    splits = load_splits(build(DataConfig, load_record(checkpoint)["config"]["data"]))
    recorded = splits["validation"].take(torch.arange(rows))

    def samples(sampling: SamplingConfig) -> Tensor:
        return torch.cat([*source.stream(conditions_of(recorded), recorded, seed=seed, sampling=sampling)])

    converged = samples(CONVERGED)
    found = []
    for sampler in SAMPLERS:
        for spacing in SPACINGS:
            for calls in CALLS:
                error = (samples(SamplingConfig(sampler, spacing, calls)) - converged)[recorded.mask]
                found.append(Row(sampler, spacing, calls, float(error.square().mean().sqrt())))
    return found


def table(rows: list[Row]) -> str:
    """Return a table with one line per sampler and spacing, and one column per number of calls."""
    lines = [f"{'network calls':<24}" + "".join(f"{calls:>8}" for calls in CALLS)]
    for name in dict.fromkeys((row.sampler, row.spacing) for row in rows):
        errors = [row.rmse for row in rows if (row.sampler, row.spacing) == name]
        lines.append(f"{', '.join(name):<24}" + "".join(f"{error:>8.3f}" for error in errors))
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path, help="folder of a diffusion checkpoint")
    parser.add_argument("--rows", type=int, default=128, help="movements")
    parser.add_argument("--seed", type=int, default=3, help="seed of the noise")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="also write the rows as JSON here")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    rows = measure(given.checkpoint, given.rows, given.seed)
    print(table(rows))
    if given.output:
        given.output.write_text(json.dumps({"rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
