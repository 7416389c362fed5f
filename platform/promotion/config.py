"""The configuration of a promotion, and its rule by type of model; imports no torch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from platform.leaderboard.holdout_ledger import HOLDOUT
from platform.promotion.agent_rule import AgentRuleConfig
from platform.promotion.alpha_budget import AlphaBudget
from platform.promotion.critic_rule import CriticRuleConfig
from platform.promotion.detector_rule import DetectorRuleConfig
from platform.promotion.latency import LatencyConfig
from platform.promotion.rule import Confidence, Level, LimitsConfig, MarginsConfig, Rule
from trainables.core.bounds import AnyInt, Choice, Folder, PositiveInt, Range, check
from trainables.core.config import require
from trainables.critic.agent.spec import AGENT_TYPE
from trainables.critic.spec import CRITIC_TYPE
from trainables.data.config import EVALUATION_SPLITS, UNSEEN_USERS
from trainables.detector.spec import DETECTOR
from trainables.generation.model_type import GENERATOR
from trainables.specs import TRAINABLES

REFUSED = 3
ENOUGH_DRAWS = 8  # on either side, for the variance over draws
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
    # split that both are evaluated on; test and holdout together have twice the users of either
    split: Annotated[str, Choice((*EVALUATION_SPLITS, UNSEEN_USERS))] = UNSEEN_USERS
    # draws on either side, each from other noise: samples per movement; of a detector: sets of bots; of a critic: sets
    # of goals; of an agent: sets of tasks. With fewer than 8 their variance is hardly known
    eval_seeds: Annotated[int, Range(ge=2)] = ENOUGH_DRAWS
    seed: AnyInt = 0  # seed of the noise, which is new in every decision all the same
    confidence: Confidence = 0.95  # confidence of the one-sided bounds
    # probability that any of all challengers that are only as good as a champion ever replaces it
    alpha_budget: Level = 0.1
    # models evaluated on the holdout users of the same recordings, by all studies and promotions
    holdout_budget: PositiveInt = 32
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
    def budget(self) -> AlphaBudget:
        """The levels of the decisions against one champion."""
        return AlphaBudget(self.alpha_budget, 1 - self.confidence)

    @property
    def on_holdout(self) -> bool:
        """Whether the evaluation is one of the holdout users, which the ledger counts."""
        return HOLDOUT in self.split.split("+")

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
