"""Effect of goal consistency as an input of the detector: unseen bot families and FPR, with and without its columns.

    python -m benchmarks.goal_consistency --out results/goal_consistency
    python -m benchmarks.goal_consistency --out FOLDER --recordings TABLE.parquet --sources freihaut_click kh2017

For each source a critic is trained on its training users, then for each seed two detectors on the same users and bots:
without the critic, and with it. Their last epochs are evaluated on the users of the validation and test splits, whom
neither met, and on bots of the families held out of the training, under the conditions of these users' movements.

The users are divided into two halves. A threshold is fixed on the movements of one half, and read on the users of the
other half and on the bots under their conditions; then the halves change places. Intervals are over users, by the
delete-one-user jackknife of the mean over seeds: without a user the threshold is fixed again. The difference is paired,
user by user. A second table says what the columns tell alone: the AUC of each against unseen users, of the bots of
every family and of the training users.

Trainings that are complete are used as they are; an interrupted one resumes after its last epoch.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from benchmarks.support.sources import trained_with_progress
from trainables.core.config import build, plain, require, with_values
from trainables.core.formatting import format_interval
from trainables.core.threads import threads
from trainables.critic.api import Critic, load_critic
from trainables.critic.config import CriticConfig
from trainables.critic.consistency import COLUMNS, consistency
from trainables.data.canonical import Canonical, concatenate
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.detector.api import Detector, load_trained_detector
from trainables.detector.bots import FAMILIES
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.negatives import of_style, together
from trainables.detector.evaluation.per_source_thresholds import halves
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.intervals.jackknife import Interval, JackknifeEstimate, difference, interval, mean
from trainables.eval.roc_curve import curve, roc_auc

DEFAULT = "default"  # the recordings of the installation
UNSEEN_SPLITS = ("validation", "test")
WITHOUT, WITH, DIFFERENCE = "without", "with", "difference"
BOUNDS = {WITHOUT: (0.0, 1.0), WITH: (0.0, 1.0), DIFFERENCE: (-1.0, 1.0)}
LONGEST = 128  # steps of a movement of a table
SEED = 7  # of the evaluated bots
FPRS = (0.01, 0.05)
FPR = "FPR"
TRAINING = "training users"
HEAD = "| source | threshold | metric | without | with | difference |"
ALONE = f"| source | AUC against unseen users | {' | '.join(COLUMNS)} |"
Rates = dict[str, JackknifeEstimate]


@dataclass(frozen=True, eq=False)
class Scored:
    """Log odds of a bot of one detector.

    Attributes:
        bots: Family -> its movements.
        owner: User of each human movement.
        conditions: Family -> user under whose conditions each of its movements was made.
    """

    human: Float[Tensor, "N"]
    bots: Mapping[str, Float[Tensor, "_"]]
    owner: tuple[str, ...]
    conditions: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, eq=False)
class Unseen:
    """Users of a source whom no training met, and bots under the conditions of their movements.

    Attributes:
        bots: Family -> its movements; of every family.
        held_out: Families that no training met.
    """

    users: Canonical
    bots: Mapping[str, Canonical]
    held_out: tuple[str, ...]

    @classmethod
    def of(cls, config: DetectorConfig) -> "Unseen":
        """Return the movements of validation and test users, and those of all families."""
        splits, form = load_splits(config.data), config.data.canonical
        users = concatenate(*(splits[name] for name in UNSEEN_SPLITS))
        bots = {
            family: together([of_style(style, users, form, SEED) for style in styles]).canonical
            for family, styles in FAMILIES.items()
        }
        return cls(users, bots, config.negatives.held_out)

    def scored(self, detector: Detector) -> Scored:
        """Return the scores of a detector."""
        bots = {family: detector.logit(self.bots[family]) for family in self.held_out}
        conditions = {family: self.bots[family].group for family in self.held_out}
        return Scored(detector.logit(self.users), bots, self.users.group, conditions)


def rates(scored: Scored, fpr: float) -> Rates:
    """Return the FPR and each family's TPR at thresholds of the other half, with and without each user in turn."""
    users = sorted(set(scored.owner))
    parts = halves(scored.owner)
    owner = np.array(scored.owner)
    of_family = {family: np.array(owners) for family, owners in scored.conditions.items()}

    def measured(left_out: str) -> dict[str, float]:
        hits: dict[str, list[Tensor]] = {name: [] for name in (FPR, *scored.bots)}
        for fixed, read in (parts, parts[::-1]):
            threshold = threshold_at_fpr(scored.human[rows(owner, fixed, left_out)], fpr).value
            hits[FPR].append(scored.human[rows(owner, read, left_out)] > threshold)
            for family, logits in scored.bots.items():
                hits[family].append(logits[rows(of_family[family], read, left_out)] > threshold)
        return {name: torch.cat(found).double().mean().item() for name, found in hits.items()}

    everyone, without = measured(""), [measured(user) for user in users]
    return {name: JackknifeEstimate(value, tuple(one[name] for one in without)) for name, value in everyone.items()}


def separations(critic: Critic, unseen: Unseen, training: Canonical) -> dict[str, list[float]]:
    """Return the AUC of each column of movements against those of unseen users, by who made them."""
    users = consistency(critic, unseen.users)
    others = {TRAINING: training, **unseen.bots}
    return {name: column_aucs(consistency(critic, movements), users) for name, movements in others.items()}


def column_aucs(table: Float[Tensor, "N F"], users: Float[Tensor, "M F"]) -> list[float]:
    """Return the AUC of each column: the share of pairs in which it is larger in `table`, ties counting half."""
    is_other = torch.arange(len(table) + len(users)) < len(table)
    weights = torch.ones(1, len(is_other), dtype=torch.float64)
    both = torch.cat([table, users])
    return [float(roc_auc(curve(column, is_other, weights))) for column in both.T]


def rows(owner: "np.ndarray[Any, Any]", users: set[str], left_out: str) -> Tensor:
    """Return the numbers of the rows of some users, without one of them."""
    return torch.from_numpy(np.flatnonzero(np.isin(owner, sorted(users - {left_out}))))


def compared(found: Mapping[str, Sequence[Scored]], fpr: float) -> dict[str, dict[str, JackknifeEstimate]]:
    """Return metric -> its mean over seeds without and with the columns, and the difference."""
    by_arm = {arm: [rates(scored, fpr) for scored in of_seeds] for arm, of_seeds in found.items()}
    table = {}
    for name in by_arm[WITHOUT][0]:
        means = {arm: mean([of_seed[name] for of_seed in of_seeds]) for arm, of_seeds in by_arm.items()}
        table[name] = {**means, DIFFERENCE: difference(means[WITH], means[WITHOUT])}
    return table


def lines_of(source: str, fpr: float, table: Mapping[str, Mapping[str, JackknifeEstimate]]) -> list[str]:
    """Return a row of Markdown for each metric."""
    return [
        f"| {source} | {fpr:.0%} | {name if name == FPR else f'TPR, {name}'} | "
        + " | ".join(shown(cut(table[name][arm], arm)) for arm in BOUNDS)
        + " |"
        for name in table
    ]


def cut(estimate: JackknifeEstimate, arm: str) -> Interval:
    """Return the 95 % interval over users, cut at the values that a rate, or a difference of rates, can take."""
    return interval(estimate, within=BOUNDS[arm])


def shown(found: Interval) -> str:
    """Return a rate with its interval."""
    return format_interval(found.value, found.low, found.high)


def data_of(source: str, recordings: Path | None, out: Path) -> DataConfig:
    """Return the configuration of the data of one source, writing its recordings as a table of their own.

    Raises:
        ConfigError: the table has none of that source.
    """
    if source == DEFAULT:
        return DataConfig()
    require(recordings is not None, f"`--recordings` for the source {source}", "none", "name the table that has it")
    assert recordings is not None
    path = out / "tables" / f"{source}.parquet"
    if not path.exists():
        table = pd.read_parquet(recordings)
        chosen = table[table["source"] == source]
        require(len(chosen) > 0, f"movements of {source} in {recordings}", "none", "name sources that it has")
        path.parent.mkdir(parents=True, exist_ok=True)
        chosen.to_parquet(path)
    return DataConfig("table", str(path), canonical=CanonicalConfig(sequence_length=LONGEST))


def of_source(source: str, given: argparse.Namespace, console: Console) -> tuple[list[str], dict[str, Any]]:
    """Train and compare on one source; returns the lines of its tables, and plain values."""
    out, data = given.out / source, data_of(source, given.recordings, given.out)
    detector = replace(DetectorConfig(), data=data, epochs=given.epochs)
    unseen = Unseen.of(detector)
    critic = trained_with_progress("critic", critic_config_of(given, data), out / "critic", console).last
    assert critic is not None
    alone = separations(load_critic(critic), unseen, load_splits(data)["train"])
    arms, found = {WITHOUT: "", WITH: str(critic)}, {WITHOUT: list[Scored](), WITH: list[Scored]()}
    for seed in range(given.seeds):
        for arm, checkpoint in arms.items():
            config = replace(detector, seed=seed, critic_checkpoint=checkpoint)
            last = trained_with_progress("detector", config, out / arm / f"seed-{seed}", console).last
            assert last is not None
            found[arm].append(unseen.scored(load_trained_detector(last)))
    lines, values = [HEAD, rule(HEAD)], {}
    for fpr in FPRS:
        table = compared(found, fpr)
        lines += lines_of(source, fpr, table)
        values[f"{fpr:g}"] = {name: {arm: asdict(cut(e, arm)) for arm, e in row.items()} for name, row in table.items()}
    lines += ["", ALONE, rule(ALONE)]
    lines += [" | ".join([f"| {source}", name, *(f"{auc:.3f}" for auc in row)]) + " |" for name, row in alone.items()]
    users = {"users": len(set(unseen.users.group)), "movements": len(unseen.users)}
    return lines, {"source": source, **users, "at_fpr": values, "auc": alone}


def critic_config_of(given: argparse.Namespace, data: DataConfig) -> CriticConfig:
    """Return the configuration of the critic of a source.

    Raises:
        ConfigError: a key that it does not have, or a value that is none.
    """
    base = replace(CriticConfig(), data=data, epochs=given.critic_epochs, batch_size=given.critic_batch)
    pairs = (pair.partition("=") for pair in given.critic_set)
    return build(type(base), with_values(plain(base), {key: yaml.safe_load(value) for key, _, value in pairs}))


def rule(head: str) -> str:
    """Return the line below the head of a Markdown table."""
    return "|---" * (head.count("|") - 1) + "|"


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of models and results")
    parser.add_argument("--recordings", type=Path, help="Parquet table of movements of several sources")
    parser.add_argument("--sources", nargs="+", default=[DEFAULT], help=f"of the table, or {DEFAULT}")
    parser.add_argument("--seeds", type=int, default=3, help="trainings of each detector")
    parser.add_argument("--epochs", type=int, default=DetectorConfig().epochs, help="of a detector")
    parser.add_argument("--critic-epochs", type=int, default=CriticConfig().epochs, help="of a critic")
    parser.add_argument("--critic-batch", type=int, default=CriticConfig().batch_size, help="of a critic's step")
    parser.add_argument("--critic-set", nargs="+", default=[], metavar="KEY=VALUE", help="other keys of a critic")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Compare on every source; after each, print its tables and write results.json."""
    given, console, results = arguments(argv), Console(stderr=True), list[dict[str, Any]]()
    with threads(1):
        for source in given.sources:
            lines, values = of_source(source, given, console)
            print("\n".join([*lines, ""]), flush=True)
            results.append(values)
            (given.out / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
