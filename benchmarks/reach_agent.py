"""Success of agents in the reaching environment against its steps: contrastive learning beside SAC and cloning.

Every algorithm and seed is trained by the loop of the trainable `agent` and evaluated after each epoch in the same
episodes, without exploration; online ones make equally many steps of the environment. The table holds the last epoch,
with Wilson's 95 % interval over episodes of each seed, and the first number of steps after which 95 % are reached. The
scripted controllers and a policy of random actions stand below. `--picture` draws the learning curves.

`python -m benchmarks.reach_agent --seeds 0 1`
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from trainables.core.formatting import format_interval
from trainables.core.seeding import generator
from trainables.core.threads import threads
from trainables.critic.agent.collect import Act
from trainables.critic.agent.config import SCREEN, START, AgentConfig
from trainables.critic.agent.evaluation.reach_evaluation import reach
from trainables.critic.agent.train import VALIDATION, epochs
from trainables.critic.environment.config import ReachingConfig
from trainables.eval.detection.calibration import wilson
from trainables.eval.plot_style import DPI
from trainables.model_evaluation.agent_report import CONTROLLERS, scripted
from trainables.training.metric_names import TRAIN_ENVIRONMENT_STEPS, VAL_REACH_SECONDS, VAL_REACH_SUCCESS

LAYOUTS = {
    "free": ReachingConfig(),
    "obstacles": ReachingConfig(layout="obstacles"),
    "u_maze": ReachingConfig(layout="u_maze", detour=True),
}
RUNS = {
    "contrastive": ("contrastive", "online"),
    "sac": ("sac", "online"),
    "cloning": ("cloning", "offline"),
    "contrastive_offline": ("contrastive", "offline"),
    "contrastive_offline_then_online": ("contrastive", "offline_then_online"),
}
"""Name -> algorithm and mode."""
WANTED = 0.95  # success that a learning curve is to reach


@dataclass(frozen=True)
class Point:
    """One epoch of a run."""

    environment_steps: int
    success: float
    seconds: float  # mean time to the target, of failures that of the whole episode


@dataclass(frozen=True)
class Curve:
    """Learning curve of one algorithm, layout and seed."""

    layout: str
    name: str
    seed: int
    points: tuple[Point, ...]

    @property
    def steps_needed(self) -> int | None:
        """Steps of the environment after which the wanted success is first measured; None where it never is."""
        return next((point.environment_steps for point in self.points if point.success >= WANTED), None)


@dataclass(frozen=True)
class Reference:
    """Success of a controller, or of random actions, in the same episodes."""

    layout: str
    name: str
    success: float
    seconds: float


def config_of(layout: str, name: str, seed: int, base: AgentConfig) -> AgentConfig:
    """Return the configuration of a run; where there are obstacles, positions are those of the screen."""
    algorithm, mode = RUNS[name]
    return replace(
        base,
        algorithm=algorithm,
        mode=mode,
        seed=seed,
        coordinates=START if layout == "free" else SCREEN,
        environment=LAYOUTS[layout],
    )


def curve(layout: str, name: str, seed: int, base: AgentConfig) -> Curve:
    """Train a run and return its learning curve."""
    points = []
    for epoch in epochs(config_of(layout, name, seed, base)):
        found = epoch.metrics
        steps = int(found[TRAIN_ENVIRONMENT_STEPS])
        points.append(Point(steps, found[VAL_REACH_SUCCESS], found[VAL_REACH_SECONDS]))
    return Curve(layout, name, seed, tuple(points))


def references(layout: str, base: AgentConfig) -> list[Reference]:
    """Return the successes of the controllers and of random actions."""
    config, fixed = LAYOUTS[layout], base.evaluation
    acts: dict[str, Act] = {name: scripted(name, config.motor) for name in CONTROLLERS}
    acts["random actions"] = at_random(generator(fixed.seed, "random actions"))
    rows = []
    for name, act in acts.items():
        found = reach(act, config, fixed.episodes, fixed.seed, VALIDATION, START)
        rows.append(Reference(layout, name, found.mean("success"), found.mean("seconds")))
    return rows


def at_random(random: torch.Generator) -> Act:
    """Return actions that are uniform in [-1, 1]."""

    def act(state: Tensor, goal: Tensor) -> Tensor:
        return 2.0 * torch.rand(goal.shape, generator=random) - 1.0

    return act


def table(curves: list[Curve], rows: list[Reference], episodes: int) -> str:
    """Return the last epochs and the references as text."""
    head = f"{'layout':<11}{'agent':<33}{'seed':>5}{'steps':>9}"
    lines = [f"{head}{'success [95 %]':>24}{'seconds':>9}{'95 % after':>12}"]
    for one in curves:
        last, needed = one.points[-1], one.steps_needed
        shown = format_interval(last.success, *wilson(last.success, episodes))
        reached = "never" if needed is None else str(needed)
        lines.append(
            f"{one.layout:<11}{one.name:<33}{one.seed:>5}{last.environment_steps:>9}"
            f"{shown:>24}{last.seconds:>9.2f}{reached:>12}"
        )
    for row in rows:
        shown = format_interval(row.success, *wilson(row.success, episodes))
        lines.append(f"{row.layout:<11}{row.name:<33}{'':>5}{'':>9}{shown:>24}{row.seconds:>9.2f}")
    return "\n".join(lines)


def picture(curves: list[Curve], rows: list[Reference]) -> Figure:
    """Return the learning curves, a panel for each layout."""
    layouts = list(dict.fromkeys(one.layout for one in curves))
    figure = Figure(figsize=(6.0 * len(layouts), 4.0), dpi=DPI, layout="constrained")
    for axis, layout in zip(figure.subplots(1, len(layouts), squeeze=False)[0], layouts, strict=True):
        draw_curves(axis, [one for one in curves if one.layout == layout])
        for row in rows:
            if row.layout == layout and row.name in CONTROLLERS:
                axis.axhline(row.success, color="0.6", linestyle=":" if row.name == "proportional" else "--")
        axis.set(title=layout, xlabel="steps of the environment", ylabel="success", ylim=(0.0, 1.02))
        axis.legend(frameon=False, loc="lower right")
    return figure


def draw_curves(axis: Axes, curves: list[Curve]) -> None:
    """Draw each run; those that make no steps of the environment as the level that they end at."""
    colours = {name: f"C{number}" for number, name in enumerate(RUNS)}
    for one in curves:
        first = one.seed == min(other.seed for other in curves if other.name == one.name)
        label = one.name.replace("_", " ") if first else None
        steps = [point.environment_steps for point in one.points]
        if steps[-1] == 0:
            axis.axhline(one.points[-1].success, color=colours[one.name], linewidth=0.8, label=label)
        else:
            axis.plot(steps, [point.success for point in one.points], color=colours[one.name], marker=".", label=label)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--layouts", nargs="+", default=["free"], choices=LAYOUTS, help="screens")
    parser.add_argument("--agents", nargs="+", default=["contrastive", "sac", "cloning"], choices=RUNS, help="agents")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of each agent")
    parser.add_argument("--epochs", type=int, default=AgentConfig().epochs, help="epochs of a run")
    parser.add_argument("--steps", type=int, default=AgentConfig().steps_per_epoch, help="optimiser steps per epoch")
    parser.add_argument("--lr", type=float, default=AgentConfig().optim.lr, help="learning rate")
    parser.add_argument("--gamma", type=float, default=AgentConfig().gamma, help="discount of goals")
    parser.add_argument("--depth", type=int, default=AgentConfig().model.depth, help="hidden layers of each network")
    parser.add_argument("--frequencies", type=int, default=AgentConfig().model.frequencies, help="of the inputs")
    parser.add_argument("--episodes", type=int, default=AgentConfig().evaluation.episodes, help="of an evaluation")
    parser.add_argument("--picture", type=Path, help="draw the learning curves here")
    parser.add_argument("--output", type=Path, help="also write the curves as JSON here")
    return parser.parse_args(argv)


def base_of(given: argparse.Namespace) -> AgentConfig:
    """Return the configuration that all runs share."""
    default = AgentConfig()
    return replace(
        default,
        epochs=given.epochs,
        offline_epochs=max(1, given.epochs // 3),
        steps_per_epoch=given.steps,
        gamma=given.gamma,
        model=replace(default.model, depth=given.depth, frequencies=given.frequencies),
        optim=replace(default.optim, lr=given.lr),
        evaluation=replace(default.evaluation, episodes=given.episodes),
    )


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    given = arguments(argv)
    base = base_of(given)
    with threads(1):
        wanted = [(layout, name, seed) for layout in given.layouts for name in given.agents for seed in given.seeds]
        curves = [curve(*one, base) for one in wanted]
        rows = [row for layout in given.layouts for row in references(layout, base)]
    print(table(curves, rows, given.episodes))
    if given.picture:
        picture(curves, rows).savefig(given.picture)
    if given.output:
        settings = {"epochs": given.epochs, "steps": given.steps, "lr": given.lr, "gamma": given.gamma}
        measured = {
            "settings": settings | {name: getattr(given, name) for name in ("depth", "frequencies", "episodes")},
            "curves": [asdict(one) for one in curves],
            "references": [asdict(row) for row in rows],
        }
        given.output.write_text(json.dumps(measured, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
