"""The configuration of a promotion, and its rule by type of model; imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from platform.leaderboard.holdout_ledger import HOLDOUT
from platform.promotion.agent_rule import AgentRuleConfig
from platform.promotion.critic_rule import CriticRuleConfig
from platform.promotion.detector_rule import DetectorRuleConfig
from platform.promotion.latency import LatencyConfig
from platform.promotion.rule import Confidence, LimitsConfig, MarginsConfig, Rule
from trainables.core.bounds import AnyInt, Choice, Folder, PositiveInt, Range, check
from trainables.core.config import require
from trainables.critic.agent.spec import AGENT_TYPE
from trainables.critic.spec import CRITIC_TYPE
from trainables.data.config import EVALUATION_SPLITS
from trainables.detector.spec import DETECTOR
from trainables.generation.model_type import GENERATOR
from trainables.specs import TRAINABLES

REFUSED = 3
FIRST = -1  # in place of a trial's number: the leaderboard's first
REGISTRIES = tuple(dict.fromkeys(spec.model_type.registry for spec in TRAINABLES.values()))
CHAMPIONS = {spec.model_type.registry: spec.metrics for spec in TRAINABLES.values()}
"""Folder of a registry -> headline metric and display names of its champions."""


@dataclass(frozen=True)
class PromoteConfig:
    """Settings of a promotion: challenger, split and rule."""

    storage_path: Folder = "results"  # folder of the studies, the holdout ledger and the registry
    study_name: str = "diffusion"  # study whose leaderboard the challenger is from
    trial: Annotated[int, Range(ge=FIRST)] = FIRST  # number of the challenger's trial; -1: the leaderboard's first
    ckpt: str = ""  # checkpoint folder of the challenger, in place of a trial
    split: Annotated[str, Choice(EVALUATION_SPLITS)] = HOLDOUT  # split that both are evaluated on
    # samples per movement, each from other noise; of a detector: sets of bots; of a critic: sets of goals; of an agent:
    # sets of tasks
    eval_seeds: PositiveInt = 3
    seed: AnyInt = 0  # seed of both evaluations; that of a study reuses the holdout evaluation of its leaderboard
    confidence: Confidence = 0.95  # confidence of the one-sided bounds
    holdout_budget: PositiveInt = 32  # holdout evaluations of the same data, of all studies and promotions
    # registry of `list` and `rollback`; a promotion uses that of the model type
    registry: Annotated[str, Choice(REGISTRIES)] = GENERATOR.registry
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    margins: MarginsConfig = field(default_factory=MarginsConfig)
    detector: DetectorRuleConfig = field(default_factory=DetectorRuleConfig)
    critic: CriticRuleConfig = field(default_factory=CriticRuleConfig)
    agent: AgentRuleConfig = field(default_factory=AgentRuleConfig)
    latency: LatencyConfig = field(default_factory=LatencyConfig)

    def __post_init__(self) -> None:
        check(self)
        require(not (self.ckpt and self.trial >= 0), "at most one of `ckpt` and `trial`", "both")
        self.latency.require_enough(self.rule.confidence)

    @property
    def rule(self) -> Rule:
        """The rule by which a generator is promoted."""
        return Rule(self.confidence, self.limits, self.margins)


RULES: dict[str, Callable[[PromoteConfig], Rule]] = {
    GENERATOR.name: lambda config: config.rule,
    DETECTOR.name: lambda config: config.detector.rule(config.confidence),
    CRITIC_TYPE.name: lambda config: config.critic.rule(config.confidence),
    AGENT_TYPE.name: lambda config: config.agent.rule(config.confidence),
}
"""Type of a model -> the rule by which a challenger becomes champion."""
