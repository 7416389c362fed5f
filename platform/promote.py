"""`python -m platform.promote`: a challenger becomes champion if a paired test and all limits say so.

Both are evaluated on users that neither has seen (the holdout split, whose evaluations are counted), on the same
movements, conditions and noise, or against the same bots; the rule is `platform.promotion.rule`. Generators and
detectors have champions of their own. The decision is recorded with its data and metrics in either case: in the
registry's history where the challenger is promoted, else among its refusals.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from rich.console import Console

from platform.leaderboard.finalists import noise_seeds
from platform.leaderboard.holdout_ledger import HOLDOUT, LEDGER, HoldoutEvaluation, Ledger
from platform.leaderboard.model_types import MODEL_FUNCTIONS
from platform.promotion.challenger import FIRST, Challenger, of_checkpoint, of_leaderboard, require_same_form
from platform.promotion.decision_record import (
    decision_header,
    decision_record,
    history_table,
    print_decision,
    refusal_record,
    refusals_table,
)
from platform.promotion.detector_rule import DetectorRuleConfig
from platform.promotion.latency import Latency, LatencyConfig
from platform.promotion.rule import Confidence, LimitsConfig, MarginsConfig, Rule, decide
from platform.promotion.timing import measure
from trainables.core.bounds import AnyInt, Choice, Folder, PositiveInt, Range, check
from trainables.core.cli import Command, Request, run
from trainables.core.config import build, require
from trainables.data.config import DataConfig
from trainables.data.dataset import load_splits
from trainables.detector.spec import DETECTOR
from trainables.generation.model_type import GENERATOR
from trainables.model_evaluation.reevaluate import evaluate
from trainables.model_evaluation.result import EVALUATION_SPLITS, EvaluationResult
from trainables.model_registry.publisher import Publisher, lock_registry
from trainables.model_registry.registry import Published, Registry
from trainables.specs import TRAINABLES
from trainables.training.checkpoint_record import CheckpointError

REFUSED = 3
REGISTRIES = tuple(dict.fromkeys(spec.model_type.registry for spec in TRAINABLES.values()))
ABOUT = """
Let a test decide whether a challenger becomes champion, and publish it if it does.

  python -m platform.promote                              the first of the study's leaderboard
  python -m platform.promote study_name=wide trial=12     another trial of a leaderboard
  python -m platform.promote study_name=detector          a detector, among the detectors
  python -m platform.promote ckpt=FOLDER split=validation  any checkpoint, without a holdout evaluation
  python -m platform.promote list registry=registry-detector   all champions among the detectors
"""


@dataclass(frozen=True)
class PromoteConfig:
    """Settings of a promotion: challenger, split and rule."""

    storage_path: Folder = "results"  # folder of the studies, the holdout ledger and the registry
    study_name: str = "diffusion"  # study whose leaderboard the challenger is from
    trial: Annotated[int, Range(ge=FIRST)] = FIRST  # number of the challenger's trial; -1: the leaderboard's first
    ckpt: str = ""  # checkpoint folder of the challenger, in place of a trial
    split: Annotated[str, Choice(EVALUATION_SPLITS)] = HOLDOUT  # split that both are evaluated on
    eval_seeds: PositiveInt = 3  # samples per movement, each from other noise; of a detector: sets of bots
    seed: AnyInt = 0  # seed of both evaluations; that of a study reuses the holdout evaluation of its leaderboard
    confidence: Confidence = 0.95  # confidence of the one-sided bounds
    holdout_budget: PositiveInt = 32  # holdout evaluations of the same data, of all studies and promotions
    # registry that list and rollback are about; a promotion knows its own
    registry: Annotated[str, Choice(REGISTRIES)] = GENERATOR.registry
    limits: LimitsConfig = field(default_factory=LimitsConfig)
    margins: MarginsConfig = field(default_factory=MarginsConfig)
    detector: DetectorRuleConfig = field(default_factory=DetectorRuleConfig)
    latency: LatencyConfig = field(default_factory=LatencyConfig)

    def __post_init__(self) -> None:
        check(self)
        require(not (self.ckpt and self.trial >= 0), "at most one of `ckpt` and `trial`", "both")
        self.latency.require_enough(self.rule.confidence)

    @property
    def rule(self) -> Rule:
        """The rule by which a generator is promoted."""
        return Rule(self.confidence, self.limits, self.margins)


CHAMPIONS = {spec.model_type.registry: spec.metrics for spec in TRAINABLES.values()}
"""Folder of a registry -> headline metric and display names of its champions."""
RULES: dict[str, Callable[[PromoteConfig], Rule]] = {
    GENERATOR.name: lambda config: config.rule,
    DETECTOR.name: lambda config: config.detector.rule(config.confidence),
}
"""Type of a model -> the rule by which a challenger becomes champion."""


COMMAND = Command(
    module="platform.promote",
    config_name="promote",
    about=ABOUT,
    common=("study_name", "trial", "ckpt", "storage_path", "registry"),
    schemas={"promote_schema": PromoteConfig},
    exit_codes={0: "promoted, rolled back or listed", REFUSED: "refused, which is no error"},
    verbs={
        "list": "all champions in order with their metrics, and the latest refusals",
        "rollback": "restore the previous champion",
    },
)


def main(request: Request) -> int:
    """Decide, list or roll back."""
    return VERBS[request.verb](Console(), build(PromoteConfig, request.config))


def promote(console: Console, config: PromoteConfig) -> int:
    """Evaluate challenger and champion, record the decision, and publish the challenger if it is promoted.

    Raises:
        ConfigError, CheckpointError: no such challenger, or one that cannot be compared with the champion.
        RegistryError, HoldoutSpentError, LedgerError: the registry or the ledger refuses.
    """
    challenger = challenger_of(config)
    registry = Registry.below(config.storage_path, TRAINABLES[challenger.kind].model_type.registry)
    with lock_registry(registry) as publisher:
        champion = registry.champion()
        if champion is not None and champion.weights_sha256 == challenger.weights_sha256:
            reason = f"these weights are the champion already ({champion.id})"
            return _refused(console, publisher, decision_header(challenger, champion) | refusal_record(reason))
        if champion is not None:
            require_same_form(challenger, champion)
        return _decide(console, config, publisher, challenger, champion)


def _decide(
    console: Console, config: PromoteConfig, publisher: Publisher, challenger: Challenger, champion: Published | None
) -> int:
    with console.status("measuring the latency"):
        latency = measure_latency(config, challenger, champion)
    rule, seeds = (
        RULES[TRAINABLES[challenger.kind].model_type.name](config),
        noise_seeds(config.seed, config.eval_seeds),
    )
    with console.status(f"evaluating on the {config.split} split"):
        of_checkpoint = partial(HoldoutEvaluation.of_checkpoint, seeds=seeds)
        mine = run_evaluation(
            config, of_checkpoint(challenger.checkpoint, study=challenger.study, trial=challenger.trial)
        )
        theirs = None
        if champion is not None:
            theirs = run_evaluation(config, of_checkpoint(champion.checkpoint, study=champion.id))
    decision = decide(mine, theirs, latency, rule)
    print_decision(console, decision, latency, rule)
    written = decision_header(challenger, champion) | decision_record(decision, mine, theirs, latency, rule)
    if not decision.promoted:
        return _refused(console, publisher, written)
    published = publisher.publish(challenger.checkpoint, written)
    console.print(f"promoted: {published.id} is the champion; {decision.reason}", highlight=False, soft_wrap=True)
    console.print(f"registry: {published.path}", highlight=False, soft_wrap=True)
    return 0


def _refused(console: Console, publisher: Publisher, written: Mapping[str, Any]) -> int:
    file = publisher.refuse(written["challenger"]["weights_sha256"], written)
    console.print(f"refused: {written['reason']}", highlight=False, soft_wrap=True)
    console.print(f"decision: {file}", highlight=False, soft_wrap=True)
    return REFUSED


def challenger_of(config: PromoteConfig) -> Challenger:
    """Return the checkpoint that the configuration names, verified."""
    if config.ckpt:
        return of_checkpoint(Path(config.ckpt))
    return of_leaderboard(Path(config.storage_path).expanduser() / config.study_name, config.trial)


def measure_latency(config: PromoteConfig, challenger: Challenger, champion: Published | None) -> Latency:
    """Measure the latency of both on movements of the validation split.

    Raises:
        CheckpointError: a checkpoint cannot be used, or the data are not those that they were trained on.
    """
    splits = load_splits(build(DataConfig, challenger.record["config"]["data"]))
    if splits.sha256 != challenger.record["data_sha256"]:
        raise CheckpointError(f"{challenger.checkpoint}: trained on other data than today's ({splits.sha256})")
    workload = MODEL_FUNCTIONS[TRAINABLES[challenger.kind].model_type.name].workload
    sides = [workload(side.checkpoint) for side in (challenger, champion) if side is not None]
    return measure(sides, splits["validation"], config.latency)


def run_evaluation(config: PromoteConfig, evaluation: HoldoutEvaluation) -> EvaluationResult:
    """Evaluate a checkpoint on the configured split; on the holdout split through its ledger."""
    if config.split == HOLDOUT:
        ledger = Ledger(Path(config.storage_path).expanduser() / LEDGER, config.holdout_budget)
        return ledger.evaluate(evaluation, evaluate)
    return evaluate(evaluation.checkpoint, config.split, evaluation.seeds)


def list_registry(console: Console, config: PromoteConfig) -> int:
    """Print the history with the champion marked, and the latest refusals."""
    registry = Registry.below(config.storage_path, config.registry)
    if not registry.history() and not registry.refusals():
        console.print(f"{registry.path}: no model published yet", highlight=False, soft_wrap=True)
        return 0
    console.print(history_table(registry, CHAMPIONS[config.registry]))
    if registry.refusals():
        console.print(refusals_table(registry))
    console.print(f"registry: {registry.path}", highlight=False, soft_wrap=True)
    return 0


def roll_back(console: Console, config: PromoteConfig) -> int:
    """Restore the previous champion.

    Raises:
        RegistryError: there is no previous champion.
    """
    with lock_registry(Registry.below(config.storage_path, config.registry)) as publisher:
        published, skipped = publisher.rollback()
    for name in skipped:
        console.print(f"skipped {name}: incomplete entry", style="red", highlight=False)
    console.print(f"rolled back: {published.id} is the champion", highlight=False, soft_wrap=True)
    return 0


VERBS: dict[str, Callable[[Console, PromoteConfig], int]] = {
    "": promote,
    "list": list_registry,
    "rollback": roll_back,
}

if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
