"""Runs of agents in the reaching environment: their configurations, their learning curves, and their compute.

The compute of a run is the floating-point work of the matrix products of its training: of every update, forward and
backward, and of the actor in every step of the environment; evaluations are not part of it. Both are counted on one
update and one step (`benchmarks.support.flops`).
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import torch

from benchmarks.support.flops import counted_flops
from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.critic.agent.collect import exploring
from trainables.critic.agent.config import SCREEN, START, AgentConfig
from trainables.critic.agent.modes import environment_steps
from trainables.critic.agent.state import initial_state
from trainables.critic.agent.train import epochs, update
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.episodes import ACTION, POSITION, STATE, Episodes
from trainables.data.splits.loading import load_splits
from trainables.training.metric_names import TRAIN_ENVIRONMENT_STEPS, VAL_REACH_SECONDS, VAL_REACH_SUCCESS
from trainables.training.worker import ALONE

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
class Run:
    """One training: where, what, and which."""

    layout: str
    name: str
    depth: int
    seed: int


@dataclass(frozen=True)
class Point:
    """One epoch of a run."""

    environment_steps: int
    success: float
    seconds: float  # mean time to the target, of failures that of the whole episode


@dataclass(frozen=True)
class Curve:
    """Learning curve of a run.

    Attributes:
        updates: Optimiser steps of the whole run.
        flops: Compute of the whole run.
        cpu_s: CPU time of the whole run, with its evaluations.
    """

    run: Run
    updates: int
    flops: int
    cpu_s: float
    points: tuple[Point, ...]

    @property
    def steps_needed(self) -> int | None:
        """Steps of the environment after which the wanted success is first measured; None where it never is."""
        return next((point.environment_steps for point in self.points if point.success >= WANTED), None)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Curve":
        """Return the curve of `dataclasses.asdict`."""
        points = tuple(Point(**point) for point in values["points"])
        return cls(**{**values, "run": Run(**values["run"]), "points": points})


@dataclass(frozen=True)
class Work:
    """Floating-point work of one update and of the episodes of one round."""

    update: int
    round: int

    def of_run(self, config: AgentConfig) -> int:
        """Return the work of all updates and rounds of a run."""
        return config.epochs * config.steps_per_epoch * self.update + rounds(config) * self.round

    def steps_within(self, work: int, config: AgentConfig) -> int:
        """Return the most updates of an epoch with which a run makes no more than the given work.

        Raises:
            ConfigError: The rounds of episodes leave no update.
        """
        steps = (work - rounds(config) * self.round) // (config.epochs * self.update)
        require(steps >= 1, "one update or more in each epoch", f"{steps} at depth {config.model.depth}", "raise steps")
        return steps


def rounds(config: AgentConfig) -> int:
    """Return the rounds of episodes of a run."""
    return environment_steps(config, config.epochs) // config.steps_per_round


def work_of(config: AgentConfig) -> Work:
    """Count an update and a round of the configuration's networks."""
    state, random = initial_state(config, load_splits(config.data), ALONE), generator(config.seed, "work")
    act, copies = exploring(state.learner.policy.actor, random), config.collection.copies
    step = counted_flops(lambda: act(torch.zeros(copies, STATE), torch.zeros(copies, POSITION)))
    rows = 2 * config.batch_size
    states, actions = (torch.randn(rows, columns, generator=random) for columns in (STATE, ACTION))
    state.buffer.add(Episodes(states, actions, torch.full((config.batch_size,), 2)))
    return Work(counted_flops(lambda: update(state, config, random)), config.environment.max_steps * step)


def config_of(run: Run, base: AgentConfig) -> AgentConfig:
    """Return the configuration of a run; where there are obstacles, positions are those of the screen."""
    algorithm, mode = RUNS[run.name]
    return replace(
        base,
        algorithm=algorithm,
        mode=mode,
        seed=run.seed,
        coordinates=START if run.layout == "free" else SCREEN,
        environment=LAYOUTS[run.layout],
        model=replace(base.model, depth=run.depth),
    )


def with_equal_compute(config: AgentConfig, depth: int) -> AgentConfig:
    """Return a run with so many updates in an epoch that its compute is that of the same run at another depth.

    Epochs, and so steps of the environment, are the same: a deeper network takes fewer updates on as many episodes.
    """
    reference = replace(config, model=replace(config.model, depth=depth))
    steps = work_of(config).steps_within(work_of(reference).of_run(reference), config)
    return replace(config, steps_per_epoch=steps)


def trained(run: Run, config: AgentConfig) -> Curve:
    """Train a run and return its learning curve."""
    began, points = time.process_time(), []
    for epoch in epochs(config):
        found = epoch.metrics
        steps = int(found[TRAIN_ENVIRONMENT_STEPS])
        points.append(Point(steps, found[VAL_REACH_SUCCESS], found[VAL_REACH_SECONDS]))
    cpu_s, updates = time.process_time() - began, config.epochs * config.steps_per_epoch
    return Curve(run, updates, work_of(config).of_run(config), cpu_s, tuple(points))


def seeds_of(curves: Iterable[Curve], run: Run) -> list[int]:
    """Return the seeds of the runs that differ from one in nothing else."""
    return sorted(one.run.seed for one in curves if replace(one.run, seed=run.seed) == run)
