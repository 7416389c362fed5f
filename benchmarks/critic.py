"""Speed of a contrastive critic on one core: sampling of its buffer, and optimisation steps against the depth.

    python -m benchmarks.critic --output critic.json

Sampling is from a buffer of three million rows in episodes of fifty. A step is forward, backward and Adam at the given
batch; its rate counts the multiplications and additions of its matrix products alone (`benchmarks.support.flops`). The
SGEMM rate beside it is that of products of the very shape of a hidden layer, forward and backward, measured in turns
with the steps. CPU time decides, since other work on the machine affects the wall clock. Medians of repeats.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from benchmarks.support.flops import counted_flops
from trainables.core.threads import threads
from trainables.critic.buffer import Buffer, Transitions, filled
from trainables.critic.config import CriticConfig, CriticModelConfig
from trainables.critic.episodes import ACTION, STATE, Episodes
from trainables.critic.networks import Scale
from trainables.critic.state import initial_state
from trainables.critic.train import optimise
from trainables.training.worker import ALONE

ROWS, LENGTH = 3_000_000, 50
SAMPLED = 50  # batches of one timing of the buffer
PLAIN = Scale(torch.zeros(STATE), torch.ones(STATE), torch.zeros(ACTION), torch.ones(ACTION))
SIMILARITIES: dict[str, dict[str, Any]] = {"l2": {}, "mixture": {"similarity": "mixture", "embedding_dim": 16}}
"""Name -> what the shape of a critic has of it: l2 and the default of critics."""


def cpu_seconds(action: Callable[[], object]) -> float:
    """Return the CPU seconds of one call."""
    began = time.process_time()
    action()
    return time.process_time() - began


def large_buffer() -> Buffer:
    """Return a buffer of random episodes."""
    random = torch.Generator().manual_seed(0)
    state, action = (torch.randn(ROWS, columns, generator=random) for columns in (STATE, ACTION))
    return filled(Episodes(state, action, torch.full((ROWS // LENGTH,), LENGTH)))


def sampling_rate(buffer: Buffer, batch: int, repeats: int) -> float:
    """Return the sampled transitions per CPU second."""
    random = torch.Generator().manual_seed(0)

    def sample() -> None:
        for _ in range(SAMPLED):
            buffer.sample(batch, 0.99, random)

    return SAMPLED * batch / statistics.median(cpu_seconds(sample) for _ in range(repeats))


def sgemm(batch: int, width: int, count: int) -> Callable[[], None]:
    """Return an action that makes the three products of a hidden layer, `count` times."""
    x, w, g = torch.randn(batch, width), torch.randn(width, width), torch.randn(batch, width)

    def products() -> None:
        for _ in range(count):
            torch.mm(x, w)
            torch.mm(g, w.T)
            torch.mm(x.T, g)

    return products


def of_depth(drawn: Transitions, model: CriticModelConfig, repeats: int) -> dict[str, float]:
    """Return seconds and rate of a step of one shape, and the SGEMM rate measured in turns with it."""
    batch, depth, width = len(drawn.state), model.depth, model.width
    config = CriticConfig(model=model)
    state, products = initial_state(config, PLAIN, ALONE), sgemm(batch, width, 2 * depth)
    steps, pure = [], []
    for _ in range(repeats + 1):
        steps.append(cpu_seconds(lambda: optimise(state, config, drawn)))
        pure.append(cpu_seconds(products))
    step_s, pure_s = (statistics.median(times[1:]) for times in (steps, pure))
    made = counted_flops(lambda: optimise(state, config, drawn))
    rate, sgemm_rate = made / step_s, 3 * 2 * batch * width * width * 2 * depth / pure_s
    return {
        "depth": depth,
        "step_ms": 1000 * step_s,
        "gflops": rate / 1e9,
        "sgemm_gflops": sgemm_rate / 1e9,
        "share": rate / sgemm_rate,
    }


def main() -> None:
    """Measure, print, and write JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--depths", type=int, nargs="+", default=[4, 8, 16, 32, 64, 128])
    parser.add_argument("--similarities", nargs="+", default=[*SIMILARITIES], choices=SIMILARITIES)
    parser.add_argument("--batch", type=int, default=512)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    with threads(1):
        buffer = large_buffer()
        sampled = sampling_rate(buffer, given.batch, given.repeats)
        print(f"sampled transitions: {sampled / 1e6:.2f} M/s, batches of {given.batch} from {ROWS:,} rows")
        drawn = buffer.sample(given.batch, 0.99, torch.Generator().manual_seed(1))
        rows = {name: by_depth(drawn, name, given) for name in given.similarities}
    if given.output:
        given.output.write_text(json.dumps({"transitions_per_s": sampled, "steps": rows}, indent=1) + "\n")


def by_depth(drawn: Transitions, similarity: str, given: argparse.Namespace) -> list[dict[str, float]]:
    """Measure the steps of one similarity, and print a line per depth."""
    rows = []
    for depth in given.depths:
        model = CriticModelConfig(depth=depth, width=given.width, **SIMILARITIES[similarity])
        rows.append(row := of_depth(drawn, model, given.repeats))
        print(
            f"{similarity:<8} depth {depth:>4}: {row['step_ms']:8.1f} ms, {row['gflops']:5.1f} GFLOP/s, "
            f"{100 * row['share']:3.0f} % of SGEMM's {row['sgemm_gflops']:.1f}",
            flush=True,
        )
    return rows


if __name__ == "__main__":
    main()
