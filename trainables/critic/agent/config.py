"""Configuration of an agent that reaches targets; it imports no torch."""

from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import (
    AnyInt,
    Choice,
    Fraction,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Range,
    Share,
    check,
)
from trainables.core.config import require
from trainables.critic.config import BatchSize, CriticLossConfig, CriticModelConfig, Gamma
from trainables.critic.environment.config import ReachingConfig
from trainables.data.config import DataConfig

ALGORITHM_NAMES = ("contrastive", "sac", "cloning")  # the keys of `trainables.critic.agent.learners.LEARNERS`
MODE_NAMES = ("online", "offline", "offline_then_online")  # the keys of `trainables.critic.agent.modes.MODES`
REWARD_NAMES = ("inside", "at_rest")  # the keys of `trainables.critic.agent.sac.REWARDS`
START, SCREEN = COORDINATES = ("start", "screen")


@dataclass(frozen=True)
class CollectionConfig:
    """Episodes that the agent makes itself, and the buffer that holds them."""

    # environments at once, of all workers together; each makes `environment.max_steps` steps in a round
    copies: PositiveInt = 128
    # share of the copies that act without exploration: the noise that the entropy asks for, some 15 px in a step,
    # leaves hardly a state at rest in the buffer
    without_noise: Share = 0.5
    warm_up_rounds: NonNegativeInt = 1  # rounds before the first gradient step, beside one of each epoch
    capacity: Annotated[int, Range(ge=2)] = 400_000  # rows of each worker's buffer, of 36 bytes in every checkpoint too

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class PolicyConfig:
    """The actor's loss."""

    # share of a batch in which the actor's goal is that of another row; the others keep a later position of their own
    other_goals: Share = 0.5
    initial_alpha: PositiveFloat = 0.1  # weight of the entropy in the first step
    # weight of the log-likelihood of the stored steps: a policy of recordings alone stays near what users do
    cloning_weight: NonNegativeFloat = 0.0

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class SacConfig:
    """The baseline of soft actor-critic with hindsight goals."""

    # 1 inside of the target; or only at rest there, as in the environment, which hindsight goals rarely are
    reward: Annotated[str, Choice(REWARD_NAMES)] = "inside"
    target_width_px: PositiveFloat = 20.0  # of a hindsight goal: the smallest target of the environment
    target_decay: Fraction = 0.995  # decay per step of the target networks

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class AgentOptimConfig:
    """Adam at a constant rate, for every network and for the temperature of the entropy."""

    lr: PositiveFloat = 3e-4  # learning rate
    grad_clip: PositiveFloat = 10.0  # largest norm of a gradient; longer ones are scaled down to it
    ema_decay: Fraction = 0.99  # decay per step of the averaged actor, which is the one that is evaluated

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ReachEvaluationConfig:
    """Evaluation after each epoch: the actor without exploration, in fixed episodes."""

    episodes: PositiveInt = 1024  # one for each copy of the environment
    seed: AnyInt = 20240  # seed of tasks and motor noise: common to all trials of a study

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class AgentConfig:
    """One training run."""

    seed: AnyInt = 0  # seed of weights, episodes, transitions, goals and actions
    # contrastive; sac: twin Q networks with hindsight goals; cloning: likelihood of the steps of recordings
    algorithm: Annotated[str, Choice(ALGORITHM_NAMES)] = "contrastive"
    # online: own episodes; offline: recordings; offline_then_online: recordings first, which stay in the buffer
    mode: Annotated[str, Choice(MODE_NAMES)] = "online"
    epochs: PositiveInt = 12  # epochs of the run, each followed by an evaluation
    offline_epochs: PositiveInt = 4  # of `offline_then_online`, those on recordings alone
    steps_per_epoch: PositiveInt = 300  # optimiser steps per epoch
    batch_size: BatchSize = 256  # transitions per optimiser step, of all workers together
    gamma: Gamma = 0.97  # discount of goals and of returns per step of 1/60 s
    tolerance_px: NonNegativeFloat = 1.5  # goals of other episodes that are no further away are no negatives
    # origin of positions: the start of the episode, as in recordings; or the screen, which alone shows obstacles
    coordinates: Annotated[str, Choice(COORDINATES)] = START
    data: DataConfig = field(default_factory=DataConfig)
    environment: ReachingConfig = field(default_factory=ReachingConfig)
    collection: CollectionConfig = field(default_factory=CollectionConfig)
    model: CriticModelConfig = field(default_factory=lambda: CriticModelConfig(depth=4, width=128, frequencies=4))
    loss: CriticLossConfig = field(default_factory=CriticLossConfig)
    policy: PolicyConfig = field(default_factory=PolicyConfig)
    sac: SacConfig = field(default_factory=SacConfig)
    optim: AgentOptimConfig = field(default_factory=AgentOptimConfig)
    evaluation: ReachEvaluationConfig = field(default_factory=ReachEvaluationConfig)

    def __post_init__(self) -> None:
        check(self)
        recorded, free = self.mode != "online", self.environment.layout == "free"
        require(
            self.algorithm != "cloning" or self.mode == "offline",
            "`mode=offline` where `algorithm=cloning`",
            f"mode={self.mode}",
            "recordings alone are cloned",
        )
        require(
            free or self.coordinates == SCREEN,
            "`coordinates=screen` where the layout has obstacles",
            f"coordinates={self.coordinates}, environment.layout={self.environment.layout}",
            "positions from the start do not show where obstacles are",
        )
        require(
            not recorded or self.coordinates == START,
            "`coordinates=start` where recordings are trained on",
            f"coordinates={self.coordinates}, mode={self.mode}",
            "recordings have no place on a screen",
        )
        longest, capacity = self.environment.max_steps + 1, self.collection.capacity
        require(
            self.mode == "offline" or longest <= capacity,
            "`environment.max_steps < collection.capacity`, so that an episode fits into the buffer",
            f"max_steps={longest - 1}, capacity={capacity}",
            "raise collection.capacity",
        )
        require(
            self.mode != "offline_then_online" or self.offline_epochs < self.epochs,
            "`offline_epochs < epochs`",
            f"offline_epochs={self.offline_epochs}, epochs={self.epochs}",
        )

    @property
    def steps_per_round(self) -> int:
        """Steps of the environment in a round of episodes."""
        return self.collection.copies * self.environment.max_steps
