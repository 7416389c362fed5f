"""Cost of a cycle of a co-training: training, sampling and evaluation, and what the exchange costs beyond them.

A run with one epoch of warm-up. In the epochs of its cycles the CPU time of this process is divided among the parts
below, each without the parts that it calls; a checkpoint is written after every epoch, as in a run. What no part has
is the overhead: copies of the accepted versions, reading of samples as movements, training sets, balance, decision,
record and checkpoint.

    training      steps of the diffusion; fit of strokes and of the population
    sampling      movements for the other model, and those that are evaluated
    evaluation    metrics and the headline without each user

`OMP_NUM_THREADS=1 python -m benchmarks.cotraining`
"""

import argparse
import json
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ParamSpec, TypeVar
from unittest.mock import patch

import torch

from trainables.cotraining import refit, train
from trainables.cotraining.config import CotrainingConfig
from trainables.cotraining.models import Models
from trainables.diffusion import loop
from trainables.diffusion.api import Generator
from trainables.physical.api import PhysicalGenerator
from trainables.physical.state import State as PhysicalState
from trainables.training import metric_names as names

P = ParamSpec("P")
R = TypeVar("R")

TRAINING, SAMPLING, EVALUATION = "training", "sampling", "evaluation"
CHECKPOINT, REST = "checkpoint", "rest"
OVERHEAD = (CHECKPOINT, REST)
PARTS: tuple[tuple[str, Any, str], ...] = (
    (TRAINING, loop, "train_epoch"),
    (TRAINING, train, "next_state"),
    (TRAINING, train, "population_components"),
    (TRAINING, refit, "next_state"),
    (TRAINING, refit, "population_components"),
    (TRAINING, PhysicalState, "initial"),
    (SAMPLING, Models, "diffusion"),
    (SAMPLING, Models, "physical"),
    (SAMPLING, Generator, "sample_matching"),
    (SAMPLING, PhysicalGenerator, "sample_matching"),
    (EVALUATION, Models, "evaluate"),
)


@dataclass
class Clock:
    """Divides seconds among parts; those of a part that another one calls are its own alone.

    Attributes:
        now: The clock.
        spent_s: Part -> seconds.
    """

    now: Callable[[], float] = time.process_time
    spent_s: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    _parts: list[str] = field(default_factory=lambda: [REST])
    _since: float = 0.0

    def start(self) -> None:
        """Begin anew, outside of all parts."""
        self.spent_s.clear()
        self._since = self.now()

    @contextmanager
    def of(self, part: str) -> Iterator[None]:
        """Count what runs inside as a part."""
        self.credit()
        self._parts.append(part)
        try:
            yield
        finally:
            self.credit()
            self._parts.pop()

    def credit(self) -> None:
        """Give the seconds since the last change to the part that runs."""
        now = self.now()
        self.spent_s[self._parts[-1]] += now - self._since
        self._since = now

    def timed(self, part: str, function: Callable[P, R]) -> Callable[P, R]:
        """Return a function that counts as a part."""

        def counted(*args: P.args, **kwargs: P.kwargs) -> R:
            with self.of(part):
                return function(*args, **kwargs)

        return counted


@contextmanager
def parts_timed(clock: Clock) -> Iterator[None]:
    """Count every function of `PARTS` while open."""
    with ExitStack() as stack:
        for part, owner, name in PARTS:
            stack.enter_context(patch.object(owner, name, clock.timed(part, getattr(owner, name))))
        yield


def spent_in_cycles(config: CotrainingConfig) -> tuple[dict[str, float], int]:
    """Return the CPU seconds of each part in all cycles of a run, and the number of cycles."""
    clock, cycles, total = Clock(), 0, defaultdict[str, float](float)
    with tempfile.TemporaryDirectory() as folder, parts_timed(clock):
        clock.start()
        for epoch in train.epochs(config):
            with clock.of(CHECKPOINT):
                epoch.save(Path(folder) / str(epoch.number))
            clock.credit()
            if epoch.metrics.get(names.COTRAINING_CYCLE, 0):
                for part, found in clock.spent_s.items():
                    total[part] += found
                cycles = int(epoch.metrics[names.COTRAINING_CYCLE])
            clock.start()
    return {part: total[part] for part in (TRAINING, SAMPLING, EVALUATION, *OVERHEAD)}, cycles


def overhead_share(spent_s: dict[str, float]) -> float:
    """Return the share of a cycle beyond training, sampling and evaluation."""
    return sum(spent_s[part] for part in OVERHEAD) / sum(spent_s.values())


def table(spent_s: dict[str, float], cycles: int) -> str:
    """Return the seconds of a cycle by part, with their share."""
    total = sum(spent_s.values())
    lines = [f"{'part':<12}{'CPU s per cycle':>16}{'share':>9}"]
    lines += [f"{part:<12}{found / cycles:>16.2f}{found / total:>9.2%}" for part, found in spent_s.items()]
    return "\n".join([*lines, f"overhead: {overhead_share(spent_s):.2%}"])


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--steps", type=int, default=CotrainingConfig.steps_per_epoch, help="of an epoch")
    parser.add_argument("--alpha", type=float, default=CotrainingConfig.alpha, help="generated over real movements")
    parser.add_argument("--cycles", type=int, default=1)
    parser.add_argument("--output", type=Path, help="also write the seconds as JSON here")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    given = arguments(argv)
    config = CotrainingConfig(
        alpha=given.alpha, cycles=given.cycles, epochs=2 + 2 * given.cycles, steps_per_epoch=given.steps, patience=0
    )
    spent_s, cycles = spent_in_cycles(config)
    print(table(spent_s, cycles))
    if given.output:
        settings = {"steps": given.steps, "alpha": given.alpha, "cycles": given.cycles}
        parts = {"cpu_s": spent_s, "overhead_share": overhead_share(spent_s)}
        given.output.write_text(json.dumps({"settings": settings, "torch": torch.__version__} | parts, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
