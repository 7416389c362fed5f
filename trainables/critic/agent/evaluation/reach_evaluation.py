"""Episodes of fixed tasks: which of them reached the target, after how many steps, and how far off the others ended.

The tasks depend on the seed and the split alone, so that agents of a study, and controllers, are evaluated in the same
ones. The motor noise is of the same stream: it is the same for all of them until the copies whose episode ended have
used up the tasks that were drawn at first (`trainables.critic.environment.tasks`), and differs from then on between
agents that end many episodes and others. An evaluation has one episode of each task, in blocks that the jackknife
leaves out in turn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from trainables.core.seeding import generator
from trainables.critic.agent.collect import Act, origin_of, seen_from
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.reaching import Reaching
from trainables.critic.episodes import POSITION
from trainables.data.config import RATE_HZ
from trainables.eval.indices import Indices

BLOCKS = 32  # of tasks


@dataclass(frozen=True, eq=False)
class ReachEvaluation:
    """Results of E episodes.

    Attributes:
        reached: Whether the target was reached.
        steps: Steps until then; those of the whole episode where it was not.
        error_px: Distance of the last position from the centre of the target.
    """

    reached: Bool[Tensor, "E"]
    steps: Int[Tensor, "E"]
    error_px: Float[Tensor, "E"]

    @property
    def owners(self) -> tuple[str, ...]:
        """Block of each episode."""
        count = len(self.reached)
        blocks = min(BLOCKS, count)
        return tuple(f"tasks {row * blocks // count + 1}" for row in range(count))

    def statistic(self, name: str) -> Callable[[Indices], float]:
        """Return a mean as a function of row numbers, by the names of `STATISTICS`."""
        values = STATISTICS[name](self).double().numpy()
        return lambda rows: float(np.mean(values[rows]))

    def mean(self, name: str) -> float:
        """Return the mean over all episodes."""
        return self.statistic(name)(np.arange(len(self.reached)))


STATISTICS: dict[str, Callable[[ReachEvaluation], Tensor]] = {
    "failure": lambda found: ~found.reached,
    "success": lambda found: found.reached,
    "seconds": lambda found: found.steps / RATE_HZ,
    "error_px": lambda found: found.error_px,
}


def reach(act: Act, config: ReachingConfig, episodes: int, seed: int, split: str, coordinates: str) -> ReachEvaluation:
    """Return the results of an agent in the tasks of a seed and a split."""
    environment = Reaching(config, episodes, generator(seed, "tasks", split))
    origin, goal = origin_of(environment.observation, coordinates), environment.observation.goal
    running = torch.ones(episodes, dtype=torch.bool)
    reached, steps, last = torch.zeros_like(running), torch.full((episodes,), config.max_steps), goal
    for step in range(1, config.max_steps + 1):
        observation = environment.observation
        result = environment.step(act(*seen_from(origin, observation.state, goal)))
        ended = running & (result.terminated | result.truncated)
        reached = reached | (ended & result.terminated)
        steps = torch.where(ended & result.terminated, step, steps)
        last = torch.where(running[:, None], result.final_state[:, :POSITION], last)
        running &= ~ended
        if not bool(running.any()):
            break
    return ReachEvaluation(reached, steps, torch.linalg.vector_norm(last - goal, dim=1))
