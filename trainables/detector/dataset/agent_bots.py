"""A trained agent as a family of bots: evaluation data of a detector that are never trained on.

The agent moves between the ends of users' movements, `trainables.critic.agent.movements`. Unlike a scripted bot it has
a duration of its own, and may miss: movements that did not reach their target are no movements to it and are left out,
as those are that cannot be tasks or that the canonical form cannot represent, counted by reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from trainables.core.config import require
from trainables.critic.agent.api import Agent, load_agent
from trainables.critic.agent.movements import agent_movements, has_place
from trainables.data.canonical import Canonical, encode, usable
from trainables.data.config import CanonicalConfig
from trainables.detector.dataset.negatives import Negatives
from trainables.training.checkpoint import load_record

AGENT = "agent"  # style and family
NO_PLACE, MISSED = "without a place on its screen", "that did not reach the target"


@dataclass(frozen=True, eq=False)
class AgentBots:
    """Movements of an agent, with the hash of its weights.

    Attributes:
        dropped: Reason -> number of users' movements without one of the agent.
    """

    bots: Negatives
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
    fits = has_place(like, agent.config.environment)
    law = "`users' movements with a place on the agent's screen >= 1`"
    require(bool(fits.any()), law, f"0 of {len(like)}", "take an agent of a larger screen")
    made, reached = agent_movements(agent, like.take(fits.nonzero().squeeze(1)), seed)
    at_target = made.take(reached.nonzero().squeeze(1))
    rows, unusable = usable(at_target, form)
    dropped = {NO_PLACE: int((~fits).sum()), MISSED: int((~reached).sum()), **unusable}
    got = f"0 of {len(like)}: { ({reason: n for reason, n in dropped.items() if n}) }"
    require(len(rows) > 0, "`movements of the agent in canonical form >= 1`", got, "train it for longer")
    count, canonical = len(rows), encode(at_target.take(rows), form)
    bots = Negatives(canonical, (AGENT,) * count, (AGENT,) * count, (weights_sha256,) * count)
    return AgentBots(bots, weights_sha256, dropped)
