"""Run `python -m platform.promote`: decide on a challenger, list champions, restore the previous one."""

import statistics
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console

from platform.core.console import print_line, print_table
from platform.leaderboard.holdout_ledger import LEDGER, HoldoutEvaluation, Ledger
from platform.leaderboard.model_types import MODEL_FUNCTIONS
from platform.promotion.alpha_budget import decisions_against
from platform.promotion.challenger import Challenger, of_checkpoint, of_leaderboard, require_same_form
from platform.promotion.config import CHAMPIONS, ENOUGH_DRAWS, REFUSED, RULES, PromoteConfig
from platform.promotion.decision_record import (
    decision_header,
    decision_record,
    history_table,
    power_lines,
    print_decision,
    refusal_record,
    refusals_table,
)
from platform.promotion.latency import Latency
from platform.promotion.rule import decide
from platform.promotion.timing import measure
from trainables.core.config import build
from trainables.core.derived_seeds import derive
from trainables.core.formatting import clock
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.model_evaluation.reevaluate import evaluate
from trainables.model_evaluation.result import EvaluationResult
from trainables.model_registry.publisher import Publisher, lock_registry
from trainables.model_registry.registry import Published, Registry, RegistryError
from trainables.models import load_generator
from trainables.specs import TRAINABLES
from trainables.training.checkpoint_record import SELECTOR, CheckpointError, load_record


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
            if _selector_sha256(challenger.checkpoint) not in (None, _selector_sha256(champion.checkpoint)):
                return _with_selector(console, publisher, challenger, champion)
            reason = f"these weights are the champion already ({champion.id})"
            return _refused(console, publisher, decision_header(challenger, champion) | refusal_record(reason))
        if champion is not None:
            require_same_form(challenger, champion)
        return _decide(console, config, publisher, challenger, champion)


def _selector_sha256(checkpoint: Path) -> str | None:
    """Return the hash of the selector in a checkpoint; None where it has none."""
    folder = checkpoint / SELECTOR
    return str(load_record(folder)["weights_sha256"]) if folder.exists() else None


def _with_selector(console: Console, publisher: Publisher, challenger: Challenger, champion: Published) -> int:
    """Publish the champion's weights with another selector: what was evaluated, single samples, is the same."""
    load_generator(challenger.checkpoint)  # refuses a selector of other weights
    kept = {key: value for key, value in champion.decision.items() if key != "published"}
    reason = f"the weights of the champion {champion.id} with another selector; its evaluation stands"
    published = publisher.publish(challenger.checkpoint, {**kept, "reason": reason})
    print_line(console, f"promoted: {published.id} is the champion; {reason}")
    print_line(console, f"registry: {published.path}")
    return 0


def _decide(
    console: Console, config: PromoteConfig, publisher: Publisher, challenger: Challenger, champion: Published | None
) -> int:
    earlier = 0 if champion is None else decisions_against(publisher.registry, champion.weights_sha256)
    with console.status("measuring the latency"):
        latency = measure_latency(config, challenger, champion)
    rule = replace(RULES[TRAINABLES[challenger.kind].model_type.name](config), alpha=config.budget.level(earlier + 1))
    seeds = decision_seeds(config, challenger, champion, earlier)
    _print_cost(console, config, challenger, latency)
    with console.status(f"evaluating on {config.split}"):
        of_checkpoint = partial(HoldoutEvaluation.of_checkpoint, seeds=seeds, split=config.split)
        mine = run_evaluation(
            config, of_checkpoint(challenger.checkpoint, study=challenger.study, trial=challenger.trial)
        )
        theirs = None
        if champion is not None:
            theirs = run_evaluation(config, of_checkpoint(champion.checkpoint, study=champion.id))
    decision = decide(mine, theirs, latency, rule)
    print_decision(console, decision, latency, rule)
    for line in (f"{mine.split}: {mine.basis}, {len(seeds)} draws a side", mine.warning):
        if line:
            print_line(console, line)
    written = decision_header(challenger, champion) | decision_record(decision, mine, theirs, latency, rule)
    for line in power_lines(written):
        print_line(console, line)
    if not decision.promoted:
        return _refused(console, publisher, written)
    published = publisher.publish(challenger.checkpoint, written)
    console.print(f"promoted: {published.id} is the champion; {decision.reason}", highlight=False, soft_wrap=True)
    console.print(f"registry: {published.path}", highlight=False, soft_wrap=True)
    return 0


def decision_seeds(
    config: PromoteConfig, challenger: Challenger, champion: Published | None, earlier: int
) -> tuple[int, ...]:
    """Return the seeds of the draws: new for every decision, the same when one that was cut short is repeated."""
    against = "" if champion is None else champion.weights_sha256
    stream = ("noise of a decision", challenger.weights_sha256, against, earlier)
    return tuple(derive(config.seed, *stream, k) % 2**32 for k in range(config.eval_seeds))


def _print_cost(console: Console, config: PromoteConfig, challenger: Challenger, latency: Latency) -> None:
    """Print how many movements are sampled or scored, and the seconds that it takes by the measured latency."""
    movements = len(load_splits(build(DataConfig, challenger.record["config"]["data"]))[config.split])
    times = [latency.challenger, *filter(None, [latency.champion])]
    seconds = config.eval_seeds * movements * sum(map(statistics.median, times)) / 1000
    few = "" if config.eval_seeds >= ENOUGH_DRAWS else f"; fewer than {ENOUGH_DRAWS} draws hardly show their variance"
    line = f"{config.eval_seeds} draws a side over {movements} movements of {config.split}: one pass over all takes"
    print_line(console, f"{line} {clock(seconds)}, the metrics come on top{few}")


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
        law, got = "the data of its training", f"those with sha256 {splits.sha256}"
        raise CheckpointError(f"{challenger.checkpoint}: expected {law}, but got {got}; restore them")
    workload = MODEL_FUNCTIONS[TRAINABLES[challenger.kind].model_type.name].workload
    sides = [workload(side.checkpoint) for side in (challenger, champion) if side is not None]
    return measure(sides, splits["validation"], config.latency)


def run_evaluation(config: PromoteConfig, evaluation: HoldoutEvaluation) -> EvaluationResult:
    """Evaluate a checkpoint on the configured split; on holdout users through their ledger."""
    if config.on_holdout:
        ledger = Ledger(Path(config.storage_path).expanduser() / LEDGER, config.holdout_budget)
        return ledger.evaluate(evaluation, evaluate)
    return evaluate(evaluation.checkpoint, config.split, evaluation.seeds)


def list_registry(console: Console, config: PromoteConfig) -> int:
    """Print the history with the champion marked, and the latest refusals."""
    registry = Registry.below(config.storage_path, config.registry)
    if not registry.history() and not registry.refusals():
        console.print(f"{registry.path}: no model published yet", highlight=False, soft_wrap=True)
        return 0
    print_table(console, history_table(registry, CHAMPIONS[config.registry]))
    _print_budget(console, config, registry)
    if registry.refusals():
        print_table(console, refusals_table(registry))
    console.print(f"registry: {registry.path}", highlight=False, soft_wrap=True)
    return 0


def _print_budget(console: Console, config: PromoteConfig, registry: Registry) -> None:
    """Print the alpha budget against the champion; nothing where there is none, or it is not whole."""
    try:
        champion = registry.champion()
    except RegistryError:
        return
    if champion is not None:
        decisions = decisions_against(registry, champion.weights_sha256)
        print_line(console, config.budget.describe(champion.id, decisions))


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
