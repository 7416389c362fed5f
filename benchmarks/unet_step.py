"""Training step of the denoiser against the one-dimensional UNets of two other libraries.

A step is zero_grad, forward, squared error, backward and AdamW on one batch of full sequences, the same work for every
library; dropout is on where the library has it. Sizes are matched by parameter count. The steps of all libraries
alternate within one run and the medians are compared; the speed of a 2048^3 float32 product in the same run is a
reference, because other work on the machine slows all of them alike.

`python -m benchmarks.unet_step --steps 200 --threads 2 --size large`; needs the extra `bench`.
"""

import argparse
import importlib
import importlib.util
import json
import multiprocessing
import statistics
import sys
import time
import types
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from trainables.diffusion.models.config import UNetConfig
from trainables.diffusion.models.unet1d import UNet1D

Predict = Callable[[Float[Tensor, "B T C"], Int[Tensor, "B"]], Float[Tensor, "B T C"]]
CHANNELS = 2
WARM_UP = 2  # rounds that are not measured
WIDTHS = {  # first width of each library's network at about 1.2M and 2.5M parameters
    "small": {"ours": 64, "denoising-diffusion-pytorch": 24, "diffusers": 48},
    "large": {"ours": 96, "denoising-diffusion-pytorch": 34, "diffusers": 64},
}


@dataclass(frozen=True)
class Row:
    """Measurements of one library, medians over the repeats."""

    library: str
    parameters: int
    step_ms: float
    sequences_per_s: float
    gflop_per_s: float
    percent_of_sgemm: float
    rss_growth_mb: float  # of a fresh process, at the peak of three steps


def ours(width: int, steps: int) -> tuple[nn.Module, Predict]:
    """Return this project's network, with a full mask."""
    unet = UNet1D(UNetConfig(channels=CHANNELS, base_channels=width))
    return unet, lambda x, t: unet(x, t, torch.ones(x.shape[:2], dtype=torch.bool))


def denoising_diffusion_pytorch(width: int, steps: int) -> tuple[nn.Module, Predict]:
    """Return the UNet of denoising-diffusion-pytorch: two residual blocks and linear attention per stage."""
    _skip_package_init("denoising_diffusion_pytorch")
    from denoising_diffusion_pytorch.denoising_diffusion_pytorch_1d import Unet1D

    unet = Unet1D(dim=width, channels=CHANNELS, dim_mults=(1, 2, 4, 4), dropout=0.1)
    return unet, lambda x, t: unet(x.transpose(1, 2), t).transpose(1, 2)


def diffusers(width: int, steps: int) -> tuple[nn.Module, Predict]:
    """Return the UNet of diffusers, as its reinforcement-learning pipeline builds it; it has no dropout."""
    from diffusers import UNet1DModel

    unet = UNet1DModel(
        sample_size=steps,
        in_channels=CHANNELS,
        out_channels=CHANNELS,
        time_embedding_type="positional",
        use_timestep_embedding=True,
        flip_sin_to_cos=False,
        freq_shift=1.0,
        down_block_types=("DownResnetBlock1D",) * 4,
        up_block_types=("UpResnetBlock1D",) * 3,
        mid_block_type="MidResTemporalBlock1D",
        out_block_type="OutConv1DBlock",
        block_out_channels=(width, width * 3 // 2, width * 2, width * 2),
        act_fn="mish",
        layers_per_block=1,
    )
    return unet, lambda x, t: unet(x.transpose(1, 2), t).sample.transpose(1, 2)


def _skip_package_init(package: str) -> None:
    """Make the modules of a package importable without running its `__init__`.

    That of denoising-diffusion-pytorch imports torchvision, which has no build for a CPU build of torch.
    """
    found = importlib.util.find_spec(package)
    if package not in sys.modules and found is not None and found.submodule_search_locations:
        bare = types.ModuleType(package)
        bare.__spec__ = found
        bare.__path__ = list(found.submodule_search_locations)
        sys.modules[package] = bare


LIBRARIES: dict[str, Callable[[int, int], tuple[nn.Module, Predict]]] = {
    "ours": ours,
    "denoising-diffusion-pytorch": denoising_diffusion_pytorch,
    "diffusers": diffusers,
}


def missing() -> str | None:
    """Return why a library cannot be imported, or None; diffusers raises RuntimeError for import errors."""
    _skip_package_init("denoising_diffusion_pytorch")
    networks = (
        ("denoising_diffusion_pytorch.denoising_diffusion_pytorch_1d", "Unet1D"),
        ("diffusers", "UNet1DModel"),
    )
    for module, name in networks:
        try:
            getattr(importlib.import_module(module), name)
        except (ImportError, RuntimeError) as error:
            return f"{module}: {' '.join(str(error).split())}"
    return None


def training_step(module: nn.Module, predict: Predict, batch: int, steps: int) -> Callable[[], object]:
    """Return a function that makes one update on a fixed random batch."""
    optimizer = torch.optim.AdamW(module.train().parameters(), lr=2e-4, fused=True)
    x, target = torch.randn(2, batch, steps, CHANNELS).unbind(0)
    t = torch.randint(0, 1000, (batch,))

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        torch.nn.functional.mse_loss(predict(x, t), target).backward()
        optimizer.step()

    return step


def seconds(work: Callable[[], object]) -> float:
    """Return the wall-clock time of one call."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def flops(work: Callable[[], object]) -> int:
    """Return the floating-point operations of the convolutions and matrix products in `work`."""
    with FlopCounterMode(display=False) as counter:
        work()
    return int(counter.get_total_flops())


def memory_mb(field: str) -> float:
    """Return VmRSS (resident now) or VmHWM (peak since the program started) of this process; Linux only.

    `getrusage` is not suitable: a child starts with its parent's peak.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def rss_growth_mb(library: str, size: str, batch: int, steps: int) -> float:
    """Return the peak memory of three training steps less that of the imports. Call it in a fresh process."""
    LIBRARIES[library](32, steps)  # imports, of which some come late
    before = memory_mb("VmRSS")
    step = training_step(*LIBRARIES[library](WIDTHS[size][library], steps), batch, steps)
    for _ in range(3):
        step()
    return memory_mb("VmHWM") - before


def rss_growths(size: str, batch: int, steps: int) -> dict[str, float]:
    """Return the growth of every library, each in its own process: a peak never falls, so one would hide the next."""
    with multiprocessing.get_context("spawn").Pool(1, torch.set_num_threads, (1,), maxtasksperchild=1) as pool:
        return {name: pool.apply(rss_growth_mb, (name, size, batch, steps)) for name in LIBRARIES}


def measure(size: str, batch: int, steps: int, repeats: int) -> tuple[list[Row], float]:
    """Return the rows of all libraries and the GFLOP/s of the matrix product, everything interleaved."""
    growth = rss_growths(size, batch, steps)
    modules = {name: make(WIDTHS[size][name], steps) for name, make in LIBRARIES.items()}
    work = {name: training_step(*each, batch, steps) for name, each in modules.items()}
    operations = {name: flops(step) for name, step in work.items()}
    left, right = torch.randn(2, 2048, 2048).unbind(0)
    work["sgemm"] = lambda: torch.mm(left, right)
    rounds = [{name: seconds(step) for name, step in work.items()} for _ in range(WARM_UP + repeats)][WARM_UP:]
    median = {name: statistics.median(each[name] for each in rounds) for name in work}
    sgemm = 2 * 2048**3 / median["sgemm"] / 1e9
    return [
        _row(name, modules[name][0], median[name], batch, operations[name], sgemm, growth[name]) for name in LIBRARIES
    ], sgemm


def _row(name: str, module: nn.Module, step_s: float, batch: int, operations: int, sgemm: float, growth: float) -> Row:
    parameters, speed = sum(p.numel() for p in module.parameters()), operations / step_s / 1e9
    return Row(name, parameters, 1e3 * step_s, batch / step_s, speed, 100 * speed / sgemm, growth)


def table(rows: list[Row], sgemm: float) -> str:
    """Return the rows as text, with the reference below them."""
    lines = [f"{'library':<28}{'parameters':>11}{'ms/step':>9}{'seq/s':>8}{'GFLOP/s':>9}{'% SGEMM':>9}{'RSS +MB':>9}"]
    lines += [
        f"{row.library:<28}{row.parameters:>11,}{row.step_ms:>9.1f}{row.sequences_per_s:>8.0f}{row.gflop_per_s:>9.1f}"
        f"{row.percent_of_sgemm:>9.1f}{row.rss_growth_mb:>9.0f}"
        for row in rows
    ]
    return "\n".join([*lines, f"SGEMM 2048^3: {sgemm:.1f} GFLOP/s"])


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--size", choices=sorted(WIDTHS), default="small", help="about 1.2M or 2.5M parameters")
    parser.add_argument("--batch", type=int, default=64, help="sequences per step")
    parser.add_argument("--steps", type=int, default=64, help="steps of a sequence, a multiple of 8")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=15, help="measured steps per library")
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
    rows, sgemm = measure(given.size, given.batch, given.steps, given.repeats)
    print(table(rows, sgemm))
    if given.output:
        settings = {name: value for name, value in vars(given).items() if name != "output"}
        measured = {"settings": settings, "torch": torch.__version__, "sgemm_gflop_per_s": sgemm}
        given.output.write_text(json.dumps(measured | {"rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
