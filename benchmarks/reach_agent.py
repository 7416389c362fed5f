"""Success of agents in the reaching environment against its steps: contrastive learning beside SAC and cloning.

Every algorithm, depth and seed is trained by the loop of the trainable `agent` and evaluated after each epoch in the
same episodes, without exploration; online ones make equally many steps of the environment. The table holds the last
epoch, with Wilson's 95 % interval over episodes of each seed, and the first number of steps after which 95 % are
reached. The scripted controllers and a policy of random actions stand below. `--picture` draws the learning curves.

With `--equal-compute` all depths train with the floating-point work of the first one at `--steps` updates per epoch
(`benchmarks.support.agent_runs`). The output is written after each run; `--earlier` adds the runs of other outputs.

`python -m benchmarks.reach_agent --seeds 0 1`
"""

import argparse
import itertools
import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor

from benchmarks.support.agent_curves import Reference, picture, table
from benchmarks.support.agent_runs import LAYOUTS, RUNS, Curve, Run, config_of, trained, with_equal_compute
from trainables.core.config import build, plain, with_values
from trainables.core.seeding import generator
from trainables.core.threads import threads
from trainables.critic.agent.collect import Act
from trainables.critic.agent.config import START, AgentConfig
from trainables.critic.agent.evaluation.reach_evaluation import reach
from trainables.critic.agent.train import VALIDATION
from trainables.critic.environment.controller import CONTROLLERS
from trainables.model_evaluation.agent_report import scripted


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


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--layouts", nargs="+", default=["free"], choices=LAYOUTS, help="screens")
    parser.add_argument("--agents", nargs="*", default=["contrastive", "sac", "cloning"], choices=RUNS, help="agents")
    parser.add_argument("--depths", nargs="+", type=int, default=[AgentConfig().model.depth], help="of each network")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of each agent")
    parser.add_argument("--epochs", type=int, default=AgentConfig().epochs, help="epochs of a run")
    parser.add_argument("--steps", type=int, default=AgentConfig().steps_per_epoch, help="optimiser steps per epoch")
    parser.add_argument("--equal-compute", action="store_true", help="steps are those of the first depth")
    parser.add_argument("--lr", type=float, default=AgentConfig().optim.lr, help="learning rate")
    parser.add_argument("--gamma", type=float, default=AgentConfig().gamma, help="discount of goals")
    parser.add_argument("--frequencies", type=int, default=AgentConfig().model.frequencies, help="of the inputs")
    parser.add_argument("--episodes", type=int, default=AgentConfig().evaluation.episodes, help="of an evaluation")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="other keys of the trainable")
    parser.add_argument("--earlier", nargs="+", type=Path, default=[], help="outputs whose runs are shown as well")
    parser.add_argument("--picture", type=Path, help="draw the learning curves here")
    parser.add_argument("--output", type=Path, help="also write the curves as JSON here")
    return parser.parse_args(argv)


def base_of(given: argparse.Namespace) -> AgentConfig:
    """Return the configuration that all runs share."""
    default = AgentConfig()
    base = replace(
        default,
        epochs=given.epochs,
        offline_epochs=max(1, given.epochs // 3),
        steps_per_epoch=given.steps,
        gamma=given.gamma,
        model=replace(default.model, frequencies=given.frequencies),
        optim=replace(default.optim, lr=given.lr),
        evaluation=replace(default.evaluation, episodes=given.episodes),
    )
    pairs = (pair.partition("=") for pair in given.set)
    return build(AgentConfig, with_values(plain(base), {key: yaml.safe_load(value) for key, _, value in pairs}))


def measured(given: argparse.Namespace, base: AgentConfig) -> list[Curve]:
    """Train all runs, with one line for each, and write those that ended."""
    curves: list[Curve] = []
    for run in itertools.starmap(Run, itertools.product(given.layouts, given.agents, given.depths, given.seeds)):
        config = config_of(run, base)
        curves.append(trained(run, with_equal_compute(config, given.depths[0]) if given.equal_compute else config))
        print(f"{run}: {curves[-1].points[-1]}", file=sys.stderr)
        write(given, curves, [])
    return curves


def write(given: argparse.Namespace, curves: list[Curve], rows: list[Reference]) -> None:
    """Write curves and references as JSON, where an output is wanted."""
    if given.output:
        names = ("epochs", "steps", "equal_compute", "lr", "gamma", "frequencies", "episodes", "set")
        found: dict[str, Any] = {
            "settings": {name: getattr(given, name) for name in names},
            "curves": [asdict(one) for one in curves],
            "references": [asdict(row) for row in rows],
        }
        given.output.write_text(json.dumps(found, indent=2) + "\n")


def earlier(files: list[Path]) -> list[Curve]:
    """Return the curves of other outputs."""
    return [Curve.from_json(one) for file in files for one in json.loads(file.read_text())["curves"]]


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    given = arguments(argv)
    base = base_of(given)
    with threads(1):
        curves = measured(given, base)
        shown = [*earlier(given.earlier), *curves]
        layouts = dict.fromkeys(one.run.layout for one in shown)
        rows = [row for layout in layouts for row in references(layout, base)]
    write(given, curves, rows)
    print(table(shown, rows, given.episodes))
    if given.picture:
        picture(shown, rows).savefig(given.picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
