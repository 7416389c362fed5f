"""Cost of the ranking term: training steps with it, under each option that lowers its cost, against plain steps.

A step is the real one (`trainables.diffusion.loop.optimise`, with its random draws) on a random batch of full
sequences. The variants differ by one option at a time; each is measured right after a plain step, alternating, over as
many steps as its `every` spans. Time is the CPU time of the process, which other work on the machine affects less than
wall-clock time. A ratio is the median over rounds of a variant's time over that of the plain step before it. The column
`expected` counts rows alone: 1 + share * K / every, and without gradient through the negatives a third of the addition,
since the forward pass is a third of a step. The optimiser and the self-conditioning pass cost the same in every step,
so ratios may lie below it.

`python -m benchmarks.contrastive --repeats 10`
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch

from trainables.core.seeding import generator
from trainables.data.config import CONDITION_WIDTH
from trainables.data.dataset import Batch, Sequences
from trainables.diffusion.config import DiffusionConfig, ModelConfig
from trainables.diffusion.loop import optimise
from trainables.diffusion.objective import Objective, sample_randomness
from trainables.diffusion.ranking_config import ContrastiveConfig
from trainables.diffusion.ranking_term import condition_queue, draw_negatives
from trainables.diffusion.state import initial_state
from trainables.training.worker import ALONE

PLAIN = ContrastiveConfig()
RANKED = ContrastiveConfig(weight=0.1)
WHOLE = replace(RANKED, share=1.0)
VARIANTS = (
    WHOLE,
    replace(RANKED, share=0.5),
    RANKED,
    replace(WHOLE, every=2),
    replace(WHOLE, every=4),
    replace(WHOLE, detach_negatives=True),
    replace(RANKED, detach_negatives=True),
    replace(RANKED, negatives=2),
    replace(RANKED, negatives=4),
    replace(RANKED, negatives=8),
    replace(RANKED, negatives=4, detach_negatives=True),
    replace(RANKED, source="queue"),
    replace(RANKED, every=4, detach_negatives=True),
)
WARM_UP = 1  # rounds that are not measured


@dataclass(frozen=True)
class Row:
    """Measurements of one variant."""

    share: float
    negatives: int
    every: int
    detached: bool
    source: str
    step_ms: float  # CPU time, median over rounds
    ratio: float  # to the plain step before it, median over rounds
    expected: float


def training_step(config: DiffusionConfig, steps: int) -> Callable[[], object]:
    """Return a function that makes one update of a new network on a fixed random batch; a queue starts full."""
    state, objective, random = initial_state(config, ALONE), Objective.of(config.diffusion), generator(0, "benchmark")
    size, width = config.batch_size, CONDITION_WIDTH
    channels = config.data.canonical.form.channels
    sequences = Sequences(
        torch.randn(size, steps, channels, generator=random), torch.ones(size, steps, dtype=torch.bool)
    )
    batch = Batch(sequences, torch.randn(size, width, generator=random))
    queue = condition_queue(config.contrastive, width).push(
        torch.randn(config.contrastive.queue_size, width, generator=random)
    )

    def step() -> None:
        nonlocal queue
        drawn = sample_randomness(batch, config.diffusion, random, estimates=config.model.self_condition)
        negatives = draw_negatives(batch.condition, config.contrastive, random, queue, drawn.drop_condition, state.step)
        queue = queue.push(batch.condition)
        optimise(state, config, batch, drawn._replace(negatives=negatives), objective)

    return step


def milliseconds(step: Callable[[], object], times: int = 1) -> float:
    """Return the CPU time of one of several calls, over all threads."""
    started = time.process_time()
    for _ in range(times):
        step()
    return 1e3 * (time.process_time() - started) / times


def expected(config: ContrastiveConfig) -> float:
    """Return the ratio to a plain step by the number of rows alone."""
    return 1 + config.share * config.negatives / config.every / (3 if config.detach_negatives else 1)


def measure(base: int, batch: int, steps: int, repeats: int) -> tuple[list[Row], float]:
    """Return a row per variant, and the milliseconds of a plain step."""

    def work(contrastive: ContrastiveConfig) -> Callable[[], object]:
        model = ModelConfig(base_channels=base)
        return training_step(DiffusionConfig(batch_size=batch, model=model, contrastive=contrastive), steps)

    plain, variants = work(PLAIN), [(config, work(config)) for config in VARIANTS]
    rounds = [
        [(milliseconds(plain), milliseconds(step, config.every)) for config, step in variants]
        for _ in range(WARM_UP + repeats)
    ][WARM_UP:]
    rows = [_row(config, list(times)) for config, times in zip(VARIANTS, zip(*rounds, strict=True), strict=True)]
    return rows, statistics.median(before for times in rounds for before, _ in times)


def _row(config: ContrastiveConfig, times: list[tuple[float, float]]) -> Row:
    """Return the row of a variant from the times of the plain step and its own in every round."""
    ratio = statistics.median(own / before for before, own in times)
    options = config.share, config.negatives, config.every, config.detach_negatives, config.source
    return Row(*options, statistics.median(own for _, own in times), ratio, expected(config))


def table(rows: list[Row], plain_ms: float) -> str:
    """Return the rows as text, with the reference below them."""
    lines = [f"{'share':>6}{'K':>4}{'every':>7}{'gradient':>10}{'source':>8}{'ms/step':>9}{'ratio':>8}{'expected':>10}"]
    lines += [
        f"{row.share:>6g}{row.negatives:>4}{row.every:>7}{'own' if row.detached else 'both':>10}{row.source:>8}"
        f"{row.step_ms:>9.1f}{row.ratio:>8.2f}{row.expected:>10.2f}"
        for row in rows
    ]
    return "\n".join([*lines, f"plain step: {plain_ms:.1f} ms"])


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--base", type=int, default=64, help="first width of the network")
    parser.add_argument("--batch", type=int, default=64, help="sequences per step")
    parser.add_argument("--steps", type=int, default=64, help="steps of a sequence")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=10, help="measured rounds")
    parser.add_argument("--output", type=Path, help="also write the rows as JSON here")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    given = arguments(argv)
    torch.set_num_threads(given.threads)
    rows, plain_ms = measure(given.base, given.batch, given.steps, given.repeats)
    print(table(rows, plain_ms))
    if given.output:
        settings = {name: value for name, value in vars(given).items() if name != "output"}
        measured = {"settings": settings, "torch": torch.__version__, "plain_ms": plain_ms}
        given.output.write_text(json.dumps(measured | {"rows": [asdict(row) for row in rows]}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
