"""Default generator per source of recordings, and how many users a model, a decision and a threshold need.

    models      one model per source, and one of all sources with the source as condition, against the same users
    training    models of one source that were trained on fewer of its users
    evaluated   headline and interval of one model over fewer evaluated users
    threshold   false-positive rate of a detector on users of a source, by the users that its threshold was fixed on
    estimate    the models of `models`, sampled with and without the previous estimate as an input of the network

Every model has the same number of optimisation steps but the one of all sources, which has twice as many. The
headline is the excess of the AUC over that of other users of the same source, with an interval over users. Sequences
have 128 steps in every source. Models that are complete are used as they are; an interrupted one resumes after its last
epoch. Each part prints a Markdown table and writes PART.json beside the models.

`python -m benchmarks.model_per_source models --recordings TABLE.parquet --out results/model_per_source`
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

from benchmarks.support.source_tables import Keep, table_of
from benchmarks.support.sources import trained_with_progress
from trainables.core.config import require
from trainables.core.formatting import format_interval
from trainables.data.canonical import Canonical, concatenate
from trainables.data.config import EVALUATION_SPLITS, CanonicalConfig, DataConfig, SourceConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.users import effective_users
from trainables.detector.api import load_trained_detector
from trainables.detector.config import DetectorConfig
from trainables.diffusion.api import Generator, load_generator
from trainables.diffusion.config import DiffusionConfig
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.eval.generation.config import HEADLINE_PROBES, MINIMUM_MOVEMENTS, EvaluationConfig
from trainables.eval.generation.validator import Validator
from trainables.eval.intervals.jackknife import JackknifeEstimate, difference, interval
from trainables.model_evaluation.generator import metrics_by_user
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_MMD, probe_auc, probe_floor
from trainables.training.run_folder import RunFolder

DEFAULT = "default"  # the recordings of the installation
SOURCES = ("freihaut_click", "kh2017", "acta2015_exp1", "flanker_exp1", "numberline")
POOLED = "all sources"
STEPS, EPOCHS, LONGEST = 1_350, 3, 128
SEED = 7  # of the evaluation: noise that no training was evaluated with
FPRS = (0.01, 0.05)
EVALUATION = EvaluationConfig()

Estimates = Mapping[str, JackknifeEstimate]


@dataclass(frozen=True)
class Bench:
    """Where the recordings are, and where models, tables and results are written."""

    recordings: Path
    out: Path
    steps: int
    console: Console

    def table(self, name: str, keep: Keep) -> Path:
        """Write some of the recordings as a table of its own, once; returns its path.

        Raises:
            ConfigError: There are none.
        """
        return table_of(self.recordings, name, keep, self.out / "tables")

    def data(self, source: str) -> DataConfig:
        """Return the configuration of the data of one source."""
        if source == DEFAULT:
            return DataConfig(canonical=CanonicalConfig(sequence_length=LONGEST))
        return of_table(self.table(source, lambda table: table["source"] == source))

    def pooled_data(self, sources: Sequence[str]) -> DataConfig:
        """Return the configuration of the data of all sources together."""
        table = self.table("+".join(sources), lambda table: table["source"].isin(sources))
        parts = (SourceConfig(reader="cursory"), SourceConfig(path=str(table)))
        return DataConfig(sources=parts, canonical=CanonicalConfig(sequence_length=LONGEST))

    def model(self, name: str, data: DataConfig, steps: int) -> Path:
        """Train the default generator on some data, or use the one that is there; returns its last checkpoint."""
        config = replace(DiffusionConfig(), epochs=EPOCHS, steps_per_epoch=steps // EPOCHS, data=data)
        run: RunFolder = trained_with_progress("diffusion", config, self.out / name, self.console)
        assert run.last is not None
        return run.last

    def write(self, part: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the results of a part."""
        content = {"settings": {"steps": self.steps, "sequence_length": LONGEST, "seed": SEED}, "rows": [*rows]}
        (self.out / f"{part}.json").write_text(json.dumps(content, indent=1) + "\n")


def of_table(path: Path) -> DataConfig:
    """Return the configuration of the data of a table."""
    return DataConfig(source="table", path=str(path), canonical=CanonicalConfig(sequence_length=LONGEST))


def validator_of(splits: DataSplits, evaluated: Canonical) -> Validator:
    """Return the validator of all these movements, with floors from the training split."""
    evaluation = replace(EVALUATION, movements=max(len(evaluated), MINIMUM_MOVEMENTS))
    return Validator.fit(evaluated, splits["train"], CanonicalConfig(sequence_length=LONGEST), evaluation)


def evaluate(generator: Generator, validator: Validator) -> Estimates:
    """Return the metrics of samples under the conditions of the validator's movements."""
    samples = generator.sample_matching(validator.held_out, seed=SEED)
    return metrics_by_user(validator, validator.evaluations(samples))


def shown(estimate: JackknifeEstimate) -> str:
    """Return an estimate with its 95 % interval over users."""
    found = interval(estimate)
    return format_interval(found.value, found.low, found.high)


def account(movements: Canonical) -> dict[str, Any]:
    """Return what figures of these movements rest on."""
    users = {"users": len(set(movements.group)), "effective_users": effective_users(movements.group)}
    return {"movements": len(movements), **users}


def of_users(movements: dict[str, Any]) -> str:
    """Return an account in words."""
    return f"{movements['movements']} of {movements['users']} ({movements['effective_users']:.1f})"


def models(bench: Bench, sources: Sequence[str]) -> list[str]:
    """Compare a model per source with one of all, on the validation users of each source."""
    names = (DEFAULT, *sources)
    own = {name: bench.model(name, bench.data(name), bench.steps) for name in names}
    pooled = bench.model("pooled", bench.pooled_data(sources), 2 * bench.steps)
    columns = " | ".join(f"{probe}, floor" for probe in HEADLINE_PROBES)
    lines = [f"| source | kept | validation users | AUC excess | {columns} | {POOLED} | difference |", rule(8)]
    rows = []
    for name in names:
        splits = load_splits(bench.data(name))
        validator = validator_of(splits, splits["validation"])
        alone, together = (evaluate(load_generator(model), validator) for model in (own[name], pooled))
        paired = difference(together[VAL_AUC_EXCESS], alone[VAL_AUC_EXCESS])
        kept = sum(one.usable for one in splits.kept.values()) / sum(one.read for one in splits.kept.values())
        on = account(validator.held_out)
        rows += [{"source": name, "kept": kept, "training": account(splits["train"]), "validation": on}]
        rows[-1] |= {"own": plain(alone), "pooled": plain(together), "difference": asdict(interval(paired))}
        probes = [f"{alone[probe_auc(p)].value:.3f}, {alone[probe_floor(p)].value:.3f}" for p in HEADLINE_PROBES]
        cells = [shown(alone[VAL_AUC_EXCESS]), *probes, shown(together[VAL_AUC_EXCESS]), shown(paired)]
        lines.append(" | ".join([f"| {name}", f"{kept:.0%}", of_users(on), *cells]) + " |")
        bench.write("models", rows)
    return lines


def plain(estimates: Estimates) -> dict[str, Any]:
    """Return metrics with their intervals as plain values."""
    return {name: asdict(interval(estimate)) for name, estimate in estimates.items()}


def training(bench: Bench, source: str, counts: Sequence[int]) -> list[str]:
    """Compare models of one source that were trained on fewer users, on the same validation users and floor."""
    splits = load_splits(bench.data(source))
    users = np.random.default_rng(SEED).permutation(sorted(set(splits["train"].group))).tolist()
    validator = validator_of(splits, splits["validation"])
    fewer_users = {count: fewer(bench, source, users[count:]) for count in counts if count < len(users)}
    data_of = {**fewer_users, len(users): bench.data(source)}
    models_of = {
        count: bench.model(f"{source}-{count}" if count in fewer_users else source, data, bench.steps)
        for count, data in data_of.items()
    }
    found_by = {count: evaluate(load_generator(model), validator) for count, model in models_of.items()}
    every = found_by[len(users)][VAL_AUC_EXCESS]
    lines, rows = ["| training users | movements | AUC excess | difference to all |", rule(4)], []
    for count, found in found_by.items():
        paired, movements = difference(found[VAL_AUC_EXCESS], every), len(load_splits(data_of[count])["train"])
        rows += [{"source": source, "users": count, "movements": movements, **plain(found)}]
        lines.append(f"| {count} | {movements} | {shown(found[VAL_AUC_EXCESS])} | {shown(paired)} |")
    bench.write("training", rows)
    return lines


def fewer(bench: Bench, source: str, without: Sequence[str]) -> DataConfig:
    """Return the configuration of the data of a source without the recordings of some training users."""
    name = f"{source}-without-{len(without)}"
    path = bench.table(name, lambda table: (table["source"] == source) & ~table["user"].isin(without))
    return of_table(path)


def evaluated(bench: Bench, source: str, counts: Sequence[int], draws: int) -> list[str]:
    """Measure headline and interval of one model over random choices of fewer users of the evaluated splits."""
    splits, random = load_splits(bench.data(source)), np.random.default_rng(SEED)
    everyone = concatenate(*(splits[split] for split in EVALUATION_SPLITS))
    checkpoint = bench.model(source, bench.data(source), bench.steps)
    samples = load_generator(checkpoint).sample_matching(everyone, seed=SEED)
    users, owner = sorted(set(everyone.group)), np.array(everyone.group)
    head = "| users | folds by | AUC excess, mean | s.d. over choices | half width of the interval |"
    lines, rows = [head, rule(5)], []
    for count in (*(count for count in counts if count < len(users)), len(users)):
        found = []
        for _ in range(draws if count < len(users) else 1):
            chosen = np.isin(owner, random.choice(users, count, replace=False))
            at = torch.from_numpy(np.flatnonzero(chosen))
            validator = validator_of(splits, everyone.take(at))
            require(len(validator.held_out) == len(at), "`evaluated movements` to be all of the users", str(len(at)))
            estimate = metrics_by_user(validator, validator.evaluations(samples.take(at)))[VAL_AUC_EXCESS]
            found.append({**asdict(interval(estimate)), "movements": len(at), "folds_by": validator.folds_by})
        values, half = [one["value"] for one in found], [(one["high"] - one["low"]) / 2 for one in found]
        rows += [{"source": source, "users": count, "choices": found}]
        spread = f"{np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
        cells = [str(count), found[0]["folds_by"], f"{np.mean(values):.3f}", spread, f"{np.mean(half):.3f}"]
        lines.append("| " + " | ".join(cells) + " |")
        bench.write("evaluated", rows)
    return lines


def threshold(bench: Bench, sources: Sequence[str], counts: Sequence[int], draws: int) -> list[str]:
    """Measure the false-positive rate on other users, by the number of users that the threshold was fixed on.

    The detector is trained on the recordings of the installation. Of a user as many movements are taken at most as in
    an evaluated split.
    """
    config = replace(DetectorConfig(), data=bench.data(DEFAULT))
    run = trained_with_progress("detector", config, bench.out / "detector", bench.console)
    assert run.last is not None
    detector, random = load_trained_detector(run.last), np.random.default_rng(SEED)
    lines = ["| source | users of the threshold | target | FPR, median | 90 % of choices |", rule(5)]
    rows = []
    for source in sources:
        splits = load_splits(bench.data(source))
        movements = concatenate(*splits.splits.values())
        logits, owner = detector.logit(movements), np.array(movements.group)
        users, most = sorted(set(owner)), config.data.rows_per_user
        kept = np.concatenate([np.flatnonzero(owner == user)[:most] for user in users])
        logits, owner = logits[torch.from_numpy(kept)], owner[kept]
        for count in (count for count in counts if count <= len(users) - 10):
            chosen = [np.isin(owner, random.choice(users, count, replace=False)) for _ in range(draws)]
            for fpr in FPRS:
                rates = [rate_on_others(logits, torch.from_numpy(of), fpr) for of in chosen]
                low, middle, high = np.quantile(rates, [0.05, 0.5, 0.95])
                row = {"source": source, "users": count, "target": fpr, "low": low, "median": middle, "high": high}
                rows += [row]
                lines.append(f"| {source} | {count} | {fpr:.0%} | {middle:.1%} | {low:.1%} to {high:.1%} |")
        bench.write("threshold", rows)
    return lines


def rate_on_others(logits: torch.Tensor, chosen: torch.Tensor, fpr: float) -> float:
    """Return the FPR of the rows that were not chosen at the threshold of those that were."""
    return float((logits[~chosen] > threshold_at_fpr(logits[chosen], fpr).value).double().mean())


class WithoutEstimate(torch.nn.Module):
    """A network that never sees its previous estimate, as in its first call."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, *inputs: Any) -> torch.Tensor:
        """Call the network with all inputs but the last, the estimate."""
        *others, _ = inputs
        found: torch.Tensor = self.network(*others, None)
        return found


def estimate(bench: Bench, sources: Sequence[str]) -> list[str]:
    """Compare samples of each source's model with and without the previous estimate as an input."""
    shown_names = (VAL_AUC_EXCESS, VAL_MMD)
    titles = ("AUC excess with", "without", "difference", "MMD with", "without", "difference")
    lines, rows = [f"| source | {' | '.join(titles)} |", rule(7)], []
    for name in (DEFAULT, *sources):
        splits, checkpoint = load_splits(bench.data(name)), bench.model(name, bench.data(name), bench.steps)
        validator, generator = validator_of(splits, splits["validation"]), load_generator(checkpoint)
        blind = replace(generator, model=WithoutEstimate(generator.model))
        found = [evaluate(one, validator) for one in (generator, blind)]
        cells = []
        for metric in shown_names:
            fed, left = (of[metric] for of in found)
            paired = difference(left, fed)
            cells += [f"{fed.value:.4f}", f"{left.value:.4f}", shown(paired)]
        rows += [{"source": name, "with": plain(found[0]), "without": plain(found[1])}]
        lines.append(f"| {name} | {' | '.join(cells)} |")
        bench.write("estimate", rows)
    return lines


def rule(columns: int) -> str:
    """Return the line below the head of a Markdown table."""
    return "|---" * columns + "|"


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("part", choices=("models", "training", "evaluated", "threshold", "estimate"))
    parser.add_argument("--recordings", type=Path, required=True, help="Parquet table of movements of several sources")
    parser.add_argument("--out", type=Path, required=True, help="folder of models, tables and results")
    parser.add_argument("--sources", nargs="+", default=SOURCES, help="of the table; training and evaluated: the first")
    parser.add_argument("--counts", type=int, nargs="+", default=(5, 10, 20, 40), help="numbers of users")
    parser.add_argument("--draws", type=int, default=10, help="random choices of as many users")
    parser.add_argument("--steps", type=int, default=STEPS, help="optimisation steps of a model")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one part and print its table."""
    given = arguments(argv)
    torch.set_num_threads(1)
    bench = Bench(given.recordings, given.out, given.steps, Console(stderr=True))
    parts = {
        "models": partial(models, sources=given.sources),
        "training": partial(training, source=given.sources[0], counts=given.counts),
        "evaluated": partial(evaluated, source=given.sources[0], counts=given.counts, draws=given.draws),
        "threshold": partial(threshold, sources=given.sources, counts=given.counts, draws=given.draws),
        "estimate": partial(estimate, sources=given.sources),
    }
    print("\n".join(parts[given.part](bench)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
