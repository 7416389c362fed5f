"""Ablations of the diffusion trainable: variants on the same data, with the same number of steps and several seeds.

Each training takes `--steps` steps and is kept as a checkpoint. It then generates one sample per validation movement
under that movement's condition, with each of two noises, and is evaluated as a trial of a sweep is. The tables give, by
source, the mean over seeds of every metric and its difference to the first variant, paired by user and seed, with 95 %
intervals over users and seeds (`benchmarks.support.intervals.over_users_and_seeds`).

The command runs the trainings in two processes of one thread each and writes each finished one, so that the same
command continues what was interrupted, and another suite in the same folder takes what both have in common from there.
The folder holds `cells/`, `checkpoints/`, and for every suite `SUITE.json` and `SUITE.md`.

`python -m benchmarks.ablations contrastive --seeds 3 --steps 600`
`python -m benchmarks.ablations pixel-grid --recordings TABLE.parquet --sources cursory freihaut_click`
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
import yaml

from benchmarks.support.cells import Result, exit_code, finished, open_folder, run, seconds_left
from benchmarks.support.evaluated import estimates, plain_means, read_estimate, validator_of
from benchmarks.support.intervals import over_users_and_seeds
from benchmarks.support.source_tables import tables_of_sources
from trainables.core.atomic_files import write_atomically
from trainables.core.config import ConfigError, build, digest, plain, require, with_values
from trainables.core.formatting import clock, format_interval
from trainables.data.canonical import Canonical
from trainables.data.config import DEFAULT_SOURCE
from trainables.data.splits.loading import load_splits
from trainables.diffusion.api import load_generator
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.loop import trained
from trainables.diffusion.samplers import SamplingDivergedError
from trainables.diffusion.state import save_state
from trainables.eval.features.pixels import PIXEL_FEATURES, pixel_features
from trainables.eval.generation.config import HEADLINE_PROBES
from trainables.eval.generation.metrics import GENERATION
from trainables.eval.intervals.jackknife import JackknifeEstimate, difference, interval
from trainables.training import metric_names as names
from trainables.training.checkpoint import file_sha256
from trainables.training.metric import UNBOUNDED
from trainables.training.trainable import TrainingDivergedError

Overrides = Mapping[str, Any]
METRICS = {
    "AUC excess": names.VAL_AUC_EXCESS,
    **{f"AUC, {probe}": names.probe_auc(probe) for probe in HEADLINE_PROBES},
    "MMD": names.VAL_MMD,
    "precision": names.VAL_PRECISION,
    "recall": names.VAL_RECALL,
    "memorised": names.VAL_MEMORISED_SHARE,
    "condition error": names.VAL_CONDITION_ERROR,
}
NO_VARIATIONS = {
    f"augmentation.variations.{name}.probability": 0.0
    for name in ("crop", "stretch", "warp", "goal", "mirror", "jitter")
}
STEPS_ALONE: Overrides = {"motion.channel": False, "motion.ends": False}
QUARTER_TURNS: Overrides = {"data.frame": "quarter_turn"}
KEPT_ON_THE_GRID = {
    f"augmentation.variations.{name}.probability": 0.0 for name in ("stretch", "warp", "goal", "jitter")
}
SUITES: dict[str, dict[str, Overrides]] = {
    "contrastive": {
        "weight 0": {},
        **{
            f"weight {weight}, temperature {temperature}": {
                "contrastive.weight": weight,
                "contrastive.temperature": temperature,
            }
            for weight in (0.05,)
            for temperature in (0.2, 1.0, 5.0)
        },
    },
    "contrastive-cost": {
        "weight 0": {},
        "share 1": {"contrastive.weight": 0.05, "contrastive.share": 1.0},
        "share 0.25": {"contrastive.weight": 0.05},
        "share 1, every 4": {"contrastive.weight": 0.05, "contrastive.share": 1.0, "contrastive.every": 4},
        "share 0.25, detached": {"contrastive.weight": 0.05, "contrastive.detach_negatives": True},
    },
    "representation": {
        "fixed dt, 60 Hz": STEPS_ALONE,
        "fixed dt, companded at 1 px": {**STEPS_ALONE, "data.companding_px": 1.0},
        "normalised time": {"data.canonical.representation": "normalised_time"},
        "events (dx, dy, ticks)": {"data.canonical.representation": "events"},
    },
    "training": {
        "default": {},
        "self-conditioning": {"model.self_condition": True},
        "no min-SNR weights": {"diffusion.min_snr_gamma": 0.0},
        "no augmentation": NO_VARIATIONS,
        "no dropout": {"model.dropout": 0.0},
        "eps": {"diffusion.objective": "eps"},
        "log-SNR schedule": {"diffusion.schedule": "log_snr"},
    },
    "pixel-grid": {
        "steps alone": STEPS_ALONE,
        "self-conditioning": {**STEPS_ALONE, "model.self_condition": True},
        "quarter turns": {**STEPS_ALONE, **QUARTER_TURNS},
        "still and ends": {},
        "quarter turns, still and ends": QUARTER_TURNS,
        "average of width 0.10": {**STEPS_ALONE, "optim.ema_width": 0.10},
        "channel": {"motion.ends": False},
        "ends": {"motion.channel": False},
    },
    "levers": {
        "default": {},
        "log-normal times": {"diffusion.times": "lognormal"},
        "EDM training": {"diffusion.times": "lognormal", "diffusion.min_snr_gamma": 0.0},
        "flow": {"diffusion.objective": "flow", "diffusion.schedule": "linear", "diffusion.min_snr_gamma": 0.0},
        "linear schedule": {"diffusion.schedule": "linear"},
        "variations on the grid alone": {**QUARTER_TURNS, **KEPT_ON_THE_GRID},
        "learning rate 4e-3": {"optim.lr": 4e-3},
        "learning rate 1e-3": {"optim.lr": 1e-3},
        "batches of 128": {"batch_size": 128},
    },
    "averaging": {
        "decay 0.999": {},
        "width 0.05": {"optim.ema_width": 0.05},
        "width 0.10": {"optim.ema_width": 0.10},
        "width 0.15": {"optim.ema_width": 0.15},
    },
    "latent": {"steps": STEPS_ALONE, "latents, 8 channels": {"latent.enabled": True}},
    "conditioning": {"conditioned": {}, "end point inpainted": {"sampling.inpaint": True}},
}


NOISES = (7, 8)  # of the samples that are evaluated; no decision of a training is made with them
TRAINING = {"ranking accuracy": names.TRAIN_RANKING_ACCURACY, "training s": names.TRAIN_SECONDS}
TEXTURE = {"steps along an axis": "axis_share", "still steps": "share_up_to_0_px"}
FAILURES = (ConfigError, SamplingDivergedError, TrainingDivergedError)


@dataclass(frozen=True)
class Cell:
    """One training of one variant on one source.

    Attributes:
        config: Of the training, as plain values.
        data_sha256: Of the recordings; the embedded ones have none.
    """

    source: str
    variant: str
    seed: int
    config: Mapping[str, Any] = field(repr=False)
    data_sha256: str = ""

    @property
    def name(self) -> str:
        """Its name, which is the same for the same training, whatever its suite calls it."""
        data = {**self.config["data"], "path": self.data_sha256}
        return f"{self.source}-{self.seed}-{digest([{**self.config, 'data': data}, NOISES])[:16]}"


def cells_of(
    variants: Mapping[str, Overrides], sources: Mapping[str, Path | None], seeds: int, shared: Overrides
) -> Iterator[Cell]:
    """Yield the cells, seed by seed, so that an interrupted suite has whole comparisons.

    Args:
        sources: Tables of recordings by the names of their sources; None: the embedded recordings.
    """
    hashes = {source: "" if path is None else file_sha256(path) for source, path in sources.items()}
    for seed in range(seeds):
        for variant, overrides in variants.items():
            for source, path in sources.items():
                data = {} if path is None else {"data.source": "table", "data.path": str(path)}
                settings = {"seed": seed, "epochs": 1, **data, **shared, **overrides}
                config = build(DiffusionConfig, with_values(plain(DiffusionConfig()), settings))
                yield Cell(source, variant, seed, plain(config), hashes[source])


def run_cell(cell: Cell, checkpoint: Path) -> Result:
    """Train a variant, keep its checkpoint, and evaluate it; return plain values, or the reason why there are none."""
    torch.set_num_threads(1)
    began = time.perf_counter()
    found: Result = {}
    try:
        config = build(DiffusionConfig, dict(cell.config))
        training = train(config, checkpoint)
        found = {"training": training, **evaluate(config, checkpoint)}
    except FAILURES as error:
        found = {"failure": " ".join(str(error).split())}
    about = {"variant": cell.variant, "source": cell.source, "seed": cell.seed}
    return {**about, **found, "seconds": round(time.perf_counter() - began, 1)}


def train(config: DiffusionConfig, checkpoint: Path) -> dict[str, float]:
    """Train, write the checkpoint, and return the means of the training, by their titles.

    Raises:
        TrainingDivergedError: A loss that is not finite.
    """
    splits = load_splits(config.data).with_ends(config.motion_ends)
    state, _, measured = trained(config, splits)
    save_state(state, config, splits, checkpoint)
    return {title: measured[name] for title, name in TRAINING.items() if name in measured}


def evaluate(config: DiffusionConfig, checkpoint: Path) -> Result:
    """Evaluate samples of a checkpoint under the conditions of the validation movements, with and without each user.

    Raises:
        TrainingDivergedError: More than half of the samples are no movements.
    """
    generator = load_generator(checkpoint)
    validator = validator_of(config.data, "validation", config.evaluation)
    samples = [generator.sample_matching(validator.held_out, seed=seed) for seed in NOISES]
    found = plain_means(validator, [estimates(validator, one) for one in samples])
    floors = {names.probe_auc(probe): floor for probe, floor in validator.floors.items()}
    observed = [validator.observe(one)[0] for one in samples]
    made = {title: fmean(texture(one)[title] for one in observed) for title in TEXTURE}
    return {**found, "floors": floors, "texture": made, "recorded": texture(validator.observed)}


def texture(movements: Canonical) -> dict[str, float]:
    """Return mean shares of steps that lie on the pixel grid in some way, by their titles."""
    means = pixel_features(movements).mean(dim=0)
    return {title: float(means[PIXEL_FEATURES.index(column)]) for title, column in TEXTURE.items()}


def tables(variants: Sequence[str], cells: Sequence[Cell], results: Mapping[str, Result]) -> str:
    """Return a Markdown table of each source: a line per variant, its level and its difference to the first one."""
    parts = []
    for source in dict.fromkeys(cell.source for cell in cells):
        mine = [cell for cell in cells if cell.source == source]
        found = [results[cell.name] for cell in mine]
        evaluated = next((each for each in found if "metrics" in each), None)
        if evaluated is None:
            parts.append(f"**{source}**: every training failed: {found[0]['failure']}")
            continue
        floors = ", ".join(f"{name.rpartition('_')[2]} {floor:.3f}" for name, floor in evaluated["floors"].items())
        recorded = ", ".join(f"{title} {value:.3f}" for title, value in evaluated["recorded"].items())
        counts = f"{evaluated['movements']} movements of {len(evaluated['users'])} users"
        titles = [*METRICS, *TEXTURE, *TRAINING]
        lines = [
            f"**{source}**: {counts}; floors: {floors}; recorded: {recorded}",
            "",
            f"| variant | {' | '.join(titles)} |",
            "|---" * (len(titles) + 1) + "|",
        ]
        first = by_seed(mine, results, variants[0])
        for variant in variants:
            own = by_seed(mine, results, variant)
            lines.append(f"| {variant} | {' | '.join(cells_of_level(own))} |")
            if variant != variants[0]:
                change = cells_of_change(own, first)
                lines.append(f"| {variant} less {variants[0]} | {' | '.join(change)} |{' |' * len(TEXTURE | TRAINING)}")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def by_seed(cells: Sequence[Cell], results: Mapping[str, Result], variant: str) -> list[Result]:
    """Return the results of a variant in the order of its seeds."""
    return [results[cell.name] for cell in cells if cell.variant == variant]


def cells_of_level(found: Sequence[Result]) -> list[str]:
    """Return the levels of a variant: with intervals where users and several seeds give one."""
    levels = [
        shown([read_estimate(each, metric) for each in found], GENERATION[metric].range) for metric in METRICS.values()
    ]
    plain_values = [
        mean_of([each.get(part, {}).get(title) for each in found])
        for part, titles in (("texture", TEXTURE), ("training", TRAINING))
        for title in titles
    ]
    return [*levels, *plain_values]


def cells_of_change(found: Sequence[Result], first: Sequence[Result]) -> list[str]:
    """Return the differences of a variant to the first one, paired by user and seed."""
    changes = []
    for metric in METRICS.values():
        pairs = [(read_estimate(a, metric), read_estimate(b, metric)) for a, b in zip(found, first, strict=True)]
        changes.append(shown([difference(a, b) if a and b else None for a, b in pairs], UNBOUNDED))
    return changes


def shown(estimates_by_seed: Sequence[JackknifeEstimate | None], within: tuple[float, float]) -> str:
    """Return a mean over seeds with its interval, of one seed that over users; empty where a training failed."""
    given = [one for one in estimates_by_seed if one is not None]
    if len(given) < len(estimates_by_seed):
        return ""
    found = over_users_and_seeds(given, within) if len(given) > 1 else interval(given[0])
    return format_interval(found.value, found.low, found.high, 3)


def mean_of(values: Sequence[float | None]) -> str:
    """Return the mean of values that a training reports; empty where it reports none."""
    given = [value for value in values if value is not None]
    return f"{fmean(given):.3f}" if given else ""


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("suite", choices=sorted(SUITES))
    parser.add_argument("--variants", nargs="+", help="some of the suite, the first one the reference; default: all")
    parser.add_argument("--recordings", type=Path, nargs="+", default=[], help="Parquet tables of movements")
    parser.add_argument(
        "--sources",
        nargs="+",
        default=[DEFAULT_SOURCE],
        help=f"of the tables; {DEFAULT_SOURCE}: the embedded ones",
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=1350, help="optimisation steps of each training")
    parser.add_argument("--processes", type=int, default=2, help="trainings at a time, each on one thread")
    parser.add_argument("--set", nargs="+", default=[], metavar="KEY=VALUE", help="keys that all variants share")
    parser.add_argument("--out", type=Path, default=Path("results/ablations"), help="folder of cells and checkpoints")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing of a suite and print its tables; return 2 for wrong input, 130 after Ctrl-C, else 0."""
    return exit_code(partial(measure, arguments(argv)))


def measure(given: argparse.Namespace) -> int:
    """Run what is missing of a suite, write its results, and print its tables; return the exit code.

    Raises:
        ConfigError: Wrong recordings, variants or keys.
    """
    require(given.processes >= 1, "`--processes >= 1`", str(given.processes))
    require(given.seeds >= 1, "`--seeds >= 1`", str(given.seeds))
    variants = chosen_variants(given.suite, given.variants)
    sources = sources_of(given.sources, given.recordings, given.out / "tables")
    pairs = (pair.partition("=") for pair in given.set)
    shared = {"steps_per_epoch": given.steps} | {key: yaml.safe_load(value) for key, _, value in pairs}
    cells = list(cells_of(variants, sources, given.seeds, shared))
    folder = open_folder(given.out, {"noises": list(NOISES)})
    work = {cell.name: partial(run_cell, cell, given.out / "checkpoints" / cell.name) for cell in cells}
    kinds = {cell.name: f"{cell.source} {cell.variant}" for cell in cells}
    results, began = finished(work, folder), time.monotonic()
    for name, found in run(work, folder, given.processes):
        results[name] = found
        what = found["failure"] if "failure" in found else f"AUC excess {excess_of(found):.3f}"
        left = f"~{clock(seconds_left(kinds, results, given.processes))} left"
        label = f"{len(results)}/{len(work)}  {kinds[name]}, seed {found['seed']}"
        spent = clock(time.monotonic() - began)
        print(f"{spent:>8}  {label}: {what}, {found['seconds']:.0f} s  {left}", file=sys.stderr, flush=True)
    text = tables(list(variants), cells, results)
    content = {"variants": dict(variants), "cells": [results[cell.name] for cell in cells]}
    write_atomically(given.out / f"{given.suite}.json", json.dumps(content, indent=1) + "\n")
    write_atomically(given.out / f"{given.suite}.md", text + "\n")
    print(text)
    return 0


def excess_of(found: Result) -> float:
    """Return the headline of a finished training."""
    value: float = found["metrics"][names.VAL_AUC_EXCESS]["value"]
    return value


def chosen_variants(suite: str, chosen: Sequence[str] | None) -> Mapping[str, Overrides]:
    """Return variants of a suite by name, in the order in which they are named; all if none is.

    Raises:
        ConfigError: A name that the suite does not have.
    """
    known = SUITES[suite]
    unknown = [name for name in chosen or () if name not in known]
    require(not unknown, f"variants of {suite}: {', '.join(known)}", ", ".join(unknown))
    return {name: known[name] for name in chosen or known}


def sources_of(chosen: Sequence[str], recordings: Sequence[Path], folder: Path) -> dict[str, Path | None]:
    """Return the table of each source; None for the embedded recordings.

    Raises:
        ConfigError: A file cannot be read, or none has recordings of a source.
    """
    named = [source for source in chosen if source != DEFAULT_SOURCE]
    found = tables_of_sources(recordings, named, folder)
    return {source: found.get(source) for source in chosen}


if __name__ == "__main__":
    sys.exit(main())
