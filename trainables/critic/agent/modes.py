"""Where an agent's episodes come from, epoch by epoch: its own, recordings, or recordings first."""

from collections.abc import Callable
from dataclasses import dataclass

from trainables.critic.agent.config import AgentConfig


@dataclass(frozen=True)
class Mode:
    """One way to train.

    Attributes:
        recordings: Whether the buffer begins with the recordings of the training split.
        first: First epoch that collects episodes; the number of epochs where none does.
    """

    recordings: bool
    first: Callable[[AgentConfig], int]


MODES: dict[str, Mode] = {
    "online": Mode(recordings=False, first=lambda config: 0),
    "offline": Mode(recordings=True, first=lambda config: config.epochs),
    "offline_then_online": Mode(recordings=True, first=lambda config: config.offline_epochs),
}


def rounds_of(config: AgentConfig, epoch: int) -> int:
    """Return the rounds of episodes before the updates of an epoch, counted from 0."""
    first = MODES[config.mode].first(config)
    if epoch < first:
        return 0
    return 1 + (config.collection.warm_up_rounds if epoch == first else 0)


def recordings_alone(config: AgentConfig, epoch: int) -> bool:
    """Return whether the updates of an epoch, counted from 0, see no episode of the agent."""
    return environment_steps(config, epoch + 1) == 0


def environment_steps(config: AgentConfig, epochs: int) -> int:
    """Return the steps of the environment that so many epochs have made."""
    return config.steps_per_round * sum(rounds_of(config, epoch) for epoch in range(epochs))
