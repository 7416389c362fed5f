"""Sampling with the denoiser, eager and compiled, against the one-dimensional UNets of two other libraries.

A sample takes 20 DDIM steps of the same sampler with each library's network, on one batch of full sequences. Sizes and
method are those of `benchmarks.unet_step`: all alternate within one run, medians are compared, and the speed of a
2048^3 float32 product is reported as a reference. The time of compilation is reported separately.

`python -m benchmarks.unet_sampling --threads 2`; needs the extra `bench`, and a C++ compiler for `--compiled`.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.unet_step import CHANNELS, LIBRARIES, WARM_UP, WIDTHS, Predict, flops, missing, seconds
from trainables.diffusion.noise.schedule import cosine_schedule
from trainables.diffusion.samplers import SPACINGS, ddim


@dataclass(frozen=True)
class Row:
    """Measurements of one library, medians over the repeats."""

    library: str
    parameters: int
    sample_s: float
    sequences_per_s: float
    gflop_per_s: float
    percent_of_sgemm: float
    compile_s: float


def sampling(predict: Predict, noise: Tensor, calls: int) -> Callable[[], object]:
    """Return a function that samples one batch from fixed noise."""
    schedule = cosine_schedule()
    times = SPACINGS["trailing"](schedule, calls, len(schedule) - 1)
    return lambda: ddim(lambda x, t, estimate: predict(x, t), schedule, noise, times)


def measure(size: str, batch: int, steps: int, calls: int, repeats: int, compiled: bool) -> tuple[list[Row], float]:
    """Return the rows of all libraries and the GFLOP/s of the matrix product, everything interleaved."""
    noise = torch.randn(batch, steps, CHANNELS)
    made = {name: make(WIDTHS[size][name], steps) for name, make in LIBRARIES.items()}
    modules: dict[str, tuple[nn.Module, Predict]] = {name: (each[0].eval(), each[1]) for name, each in made.items()}
    operations = {name: calls * flops(_call(predict, noise)) for name, (_, predict) in modules.items()}
    compile_s = dict.fromkeys(modules, 0.0)
    if compiled:
        module, predict = modules["ours"]
        fast: Predict = torch.compile(predict)
        modules["ours, compiled"] = (module, fast)
        operations["ours, compiled"] = operations["ours"]
        compile_s["ours, compiled"] = seconds(_call(fast, noise))
    work = {name: sampling(predict, noise, calls) for name, (_, predict) in modules.items()}
    left, right = torch.randn(2, 2048, 2048).unbind(0)
    work["sgemm"] = lambda: torch.mm(left, right)
    rounds = [{name: seconds(each) for name, each in work.items()} for _ in range(WARM_UP + repeats)][WARM_UP:]
    median = {name: statistics.median(each[name] for each in rounds) for name in work}
    sgemm = 2 * 2048**3 / median["sgemm"] / 1e9
    rows = []
    for name, (module, _) in modules.items():
        speed = operations[name] / median[name] / 1e9
        parameters = sum(p.numel() for p in module.parameters())
        rows.append(
            Row(name, parameters, median[name], batch / median[name], speed, 100 * speed / sgemm, compile_s[name])
        )
    return rows, sgemm


def _call(predict: Predict, noise: Tensor) -> Callable[[], object]:
    """Return a function that calls the network once, without gradient."""

    def call() -> Tensor:
        with torch.no_grad():
            return predict(noise, torch.full((len(noise),), 500))

    return call


def table(rows: list[Row], sgemm: float) -> str:
    """Return the rows as text, with the reference below them."""
    lines = [
        f"{'library':<28}{'parameters':>11}{'s/sample':>10}{'seq/s':>8}{'GFLOP/s':>9}{'% SGEMM':>9}{'compile s':>11}"
    ]
    lines += [
        f"{row.library:<28}{row.parameters:>11,}{row.sample_s:>10.2f}{row.sequences_per_s:>8.1f}{row.gflop_per_s:>9.1f}"
        f"{row.percent_of_sgemm:>9.1f}{row.compile_s:>11.1f}"
        for row in rows
    ]
    return "\n".join([*lines, f"SGEMM 2048^3: {sgemm:.1f} GFLOP/s"])


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", choices=sorted(WIDTHS), default="large", help="about 1.2M or 2.5M parameters")
    parser.add_argument("--batch", type=int, default=64, help="sequences per sample")
    parser.add_argument("--steps", type=int, default=200, help="steps of a sequence, a multiple of 8")
    parser.add_argument("--calls", type=int, default=20, help="network calls per sample")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5, help="measured samples per library")
    parser.add_argument("--compiled", action="store_true", help="also our network through torch.compile")
    parser.add_argument("--output", type=Path, help="also write the rows as JSON here")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return 2 if a library is missing, else 0."""
    given = arguments(argv)
    torch.set_num_threads(given.threads)
    torch.manual_seed(0)
    if problem := missing():
        print(f'{problem}; the comparison needs the extra `bench`: pip install ".[bench]"', file=sys.stderr)
        return 2
    rows, sgemm = measure(given.size, given.batch, given.steps, given.calls, given.repeats, given.compiled)
    print(table(rows, sgemm))
    if given.output:
        settings = {name: value for name, value in vars(given).items() if name != "output"}
        measured = {"settings": settings, "torch": torch.__version__, "sgemm_gflop_per_s": sgemm}
        given.output.write_text(json.dumps(measured | {"rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
