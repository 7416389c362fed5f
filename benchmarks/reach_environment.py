"""Speed of the reaching environment, and how often a scripted controller succeeds in it.

A step of a batch is measured under random actions, all copies at once, for each layout and number of threads: the
fastest of several rounds, for whatever else runs on the machine slows every round. The table below holds the share
of first episodes in which the controllers of `trainables.critic.environment.controller` succeed, and how long they
take. `--picture` draws their ways on every layout.

`python -m benchmarks.reach_environment`
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainables.core.seeding import generator
from trainables.core.threads import threads
from trainables.critic.agent.config import SCREEN
from trainables.critic.agent.evaluation.plots import plot_episodes
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.controller import CONTROLLERS
from trainables.critic.environment.reaching import Reaching
from trainables.data.config import RATE_HZ
from trainables.eval.plot_style import DPI, FAKE, NULL
from trainables.model_evaluation.agent_report import scripted

CONFIGS = {
    "free": ReachingConfig(),
    "obstacles": ReachingConfig(layout="obstacles"),
    "u_maze": ReachingConfig(layout="u_maze"),
    "u_maze, detours": ReachingConfig(layout="u_maze", detour=True),
}
THREADS = (1, 2)
WARM_UP = 20  # steps that are not measured
ACTIONS = 16  # different ones of a copy


@dataclass(frozen=True)
class SpeedRow:
    """Speed of one layout."""

    layout: str
    threads: int
    steps_per_s: float  # of copies, in the fastest round
    batch_ms: float  # a step of all copies


@dataclass(frozen=True)
class SuccessRow:
    """Successes of one controller."""

    layout: str
    controller: str
    success: float  # share of first episodes
    seconds: float  # mean of the successful ones


def speed(name: str, count: int, copies: int, steps: int, rounds: int) -> SpeedRow:
    """Return the speed of a layout with a number of threads."""
    random = generator(0, "speed", name)
    environment = Reaching(CONFIGS[name], copies, random)
    actions = 2.0 * torch.rand(ACTIONS, copies, 2, generator=random) - 1.0
    with threads(count):
        times = []
        for at in range(rounds + 1):
            started = time.perf_counter()
            for step in range(steps if at else WARM_UP):
                environment.step(actions[step % ACTIONS])
            times.append((time.perf_counter() - started) / steps)  # that of the warm-up is left out
    fastest = min(times[1:])
    return SpeedRow(name, count, copies / fastest, 1e3 * fastest)


def success(name: str, controller: str, copies: int) -> SuccessRow:
    """Return how often a controller succeeds."""
    config = CONFIGS[name]
    environment = Reaching(config, copies, generator(0, "success", name))
    needed = torch.zeros(copies)
    for step in range(1, config.max_steps + 1):
        result = environment.step(CONTROLLERS[controller](environment.observation, config.motor))
        needed += step * (result.terminated & (result.episode < copies))
    reached = needed > 0
    seconds = float(needed[reached].mean()) / RATE_HZ if reached.any() else float("nan")
    return SuccessRow(name, controller, float(reached.float().mean()), seconds)


def table(speeds: list[SpeedRow], successes: list[SuccessRow]) -> str:
    """Return both tables as text."""
    lines = [f"{'layout':<17}{'threads':>8}{'M steps/s':>11}{'ms/batch':>10}"]
    lines += [f"{row.layout:<17}{row.threads:>8}{row.steps_per_s / 1e6:>11.2f}{row.batch_ms:>10.2f}" for row in speeds]
    lines += ["", f"{'layout':<17}{'controller':>14}{'success':>9}{'seconds':>9}"]
    lines += [f"{row.layout:<17}{row.controller:>14}{row.success:>9.1%}{row.seconds:>9.2f}" for row in successes]
    return "\n".join(lines)


def picture(seed: int) -> Figure:
    """Return the ways of both controllers on every layout, a dot per 60 Hz step."""
    figure = Figure(figsize=(5.0 * len(CONFIGS), 3.2 * len(CONTROLLERS)), dpi=DPI, layout="constrained")
    axes = figure.subplots(len(CONTROLLERS), len(CONFIGS), squeeze=False)
    for row, (controller, colour) in enumerate(zip(CONTROLLERS, (NULL, FAKE), strict=True)):
        for column, name in enumerate(CONFIGS):
            draw_ways(axes[row, column], name, controller, colour, seed)
    return figure


def draw_ways(axis: Axes, name: str, controller: str, colour: str, seed: int) -> None:
    """Draw the first episodes of some copies, from the ring to the disc."""
    config = replace(CONFIGS[name], max_steps=90)
    plot_episodes(axis, scripted(controller, config.motor), config, SCREEN, seed, colour)
    axis.set_title(f"{name}, {controller}")


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--copies", type=int, default=4096, help="environments of a batch")
    parser.add_argument("--steps", type=int, default=300, help="steps of a round")
    parser.add_argument("--rounds", type=int, default=7, help="measured rounds")
    parser.add_argument("--seed", type=int, default=0, help="of the picture")
    parser.add_argument("--picture", type=Path, help="draw the ways of the controllers here")
    parser.add_argument("--output", type=Path, help="also write the rows as JSON here")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its tables; return the exit code."""
    given = arguments(argv)
    speeds = [speed(name, count, given.copies, given.steps, given.rounds) for name in CONFIGS for count in THREADS]
    successes = [success(name, controller, given.copies) for name in CONFIGS for controller in CONTROLLERS]
    print(table(speeds, successes))
    if given.picture:
        picture(given.seed).savefig(given.picture)
    if given.output:
        settings = {name: getattr(given, name) for name in ("copies", "steps", "rounds")}
        rows = {"speed": [asdict(row) for row in speeds], "success": [asdict(row) for row in successes]}
        measured = {"settings": settings, "torch": torch.__version__} | rows
        given.output.write_text(json.dumps(measured, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
