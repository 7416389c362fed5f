"""A trained agent as a family of bots: evaluation data of a detector, and negatives of its training if asked for.

The agent moves between the ends of users' movements, `trainables.critic.agent.movements`. Unlike a scripted bot it has
a duration of its own, and may miss: movements that did not reach their target are no movements to it and are left out,
as those are that cannot be tasks or that the canonical form cannot represent, counted by reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from trainables.core.config import require
from trainables.core.derived_seeds import derive
from trainables.core.seeding import generator
from trainables.critic.agent.api import Agent, load_agent
from trainables.critic.agent.movements import reached_movements
from trainables.data.canonical import Canonical, encode, usable
from trainables.data.config import CanonicalConfig
from trainables.detector.dataset.negatives import Negatives, labelled
from trainables.training.checkpoint import load_record

AGENT = "agent"  # style and family


@dataclass(frozen=True, eq=False)
class AgentBots:
    """Movements of an agent, with the hash of its weights.

    Attributes:
        rows: Row of the user's movement under whose conditions each was made, rising.
        dropped: Reason -> number of users' movements without one of the agent.
    """

    bots: Negatives
    rows: Int[Tensor, "M"]
    weights_sha256: str
    dropped: Mapping[str, int]


def read_agent(checkpoint: Path, like: Canonical, form: CanonicalConfig, seed: int) -> AgentBots:
    """Return the movements of a checkpoint's agent under the conditions of users' movements.

    Raises:
        CheckpointError: No complete checkpoint of an agent.
        ConfigError: Its layout has obstacles, or none of its movements can be used.
    """
    agent = load_agent(checkpoint)
    return agent_bots(agent, str(load_record(checkpoint)["weights_sha256"]), like, form, seed)


def agent_bots(agent: Agent, weights_sha256: str, like: Canonical, form: CanonicalConfig, seed: int) -> AgentBots:
    """Return the movements of an agent under the conditions of users' movements; raises ConfigError as `read_agent`."""
    at_target, tasks, left_out = reached_movements(agent, like, seed)
    good, unusable = usable(at_target, form)
    dropped = {**left_out, **unusable}
    got = f"0 of {len(like)}: {', '.join(f'{n} {reason}' for reason, n in dropped.items() if n)}"
    law = "`movements of the agent in canonical form >= 1`"
    require(len(good) > 0, law, got, "take a detector of longer movements")
    bots = labelled(encode(at_target.take(good), form), AGENT, AGENT, weights_sha256)
    return AgentBots(bots, tasks[good], weights_sha256, dropped)


def one_for_each(checkpoint: Path, form: CanonicalConfig, like: Canonical, number: int) -> Negatives:
    """Return a movement of an agent for each user's movement, other ones for another `number`.

    Where the agent made none, that of another user's movement stands in its place, drawn at random and counted as
    refused; raises as `read_agent`.
    """
    made = read_agent(checkpoint, like, form, derive(number, "agent"))
    place = torch.full((len(like),), -1)
    place[made.rows] = torch.arange(len(made.rows))
    without = place < 0
    count = int(without.sum())
    place[without] = torch.randint(len(made.rows), (count,), generator=generator(number, "agent", "replaced"))
    return replace(made.bots.take(place), refused=count)
