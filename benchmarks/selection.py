"""What selection among candidates does to samples: all probes, their floors, effective candidates, and the price.

One sample per validation movement under its conditions for each number of candidates and seed of the noise, the same
for all numbers; figures are means over seeds, differences to the first number are paired over users (delete-one-user
jackknife, 95 %). Several checkpoints are trainings of one configuration with different seeds: figures are then means
over trainings, differences are paired within each, and intervals are over users and trainings. Each checkpoint has a
selector (`python -m platform.selector ckpt=CHECKPOINT`); the detector was trained beforehand, and none of these samples
was shown to it.

`python -m benchmarks.selection CHECKPOINT --candidates 1 4 8 --detector DETECTOR`
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from benchmarks.support.intervals import over_users_and_seeds
from trainables.core.config import ConfigError, build, require
from trainables.core.formatting import format_interval
from trainables.data.canonical import Canonical
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.diffusion.api import Generator, load_generator
from trainables.eval.generation.config import HEADLINE_PROBES, EvaluationConfig
from trainables.eval.generation.validator import Validator, metrics_of
from trainables.eval.intervals.jackknife import JackknifeEstimate, difference, interval, jackknife, mean
from trainables.generation.selection.resampling import effective_candidates
from trainables.generation.selection.selector import Selector
from trainables.model_evaluation.detector_probe import paired_detector_scores
from trainables.model_evaluation.generator import metrics_by_user, users_of
from trainables.model_evaluation.selection_account import UNSEEN, seen_by
from trainables.models import MovementDetector, load_detector
from trainables.training import metric_names as names
from trainables.training.checkpoint_record import CheckpointError, load_record, require_same_data

DETECTOR = "detector"
SHOWN: Mapping[str, int] = {  # metric -> decimal places
    **{names.probe_auc(probe): 3 for probe in HEADLINE_PROBES},
    DETECTOR: 3,
    names.VAL_AUC_EXCESS: 3,
    names.VAL_MMD: 4,
    names.VAL_PRECISION: 3,
    names.VAL_RECALL: 3,
    names.VAL_MEMORISED_SHARE: 3,
}


@dataclass(frozen=True)
class Row:
    """Metrics of samples with one number of candidates.

    Attributes:
        effective: Mean effective candidates.
        calls: Network calls per movement.
        condition_error: Mean over the measured conditions, in standard deviations of the training split.
        estimates: Metric -> value with and without each user.
    """

    candidates: int
    effective: float
    calls: int
    condition_error: float
    estimates: Mapping[str, JackknifeEstimate]


def measure(
    generator: Generator, validator: Validator, candidates: int, seeds: Sequence[int], detector: MovementDetector | None
) -> Row:
    """Return the metrics of one sample per held-out movement and seed, means over seeds."""
    weights, errors, by_seed = list[Tensor](), list[float](), list[dict[str, JackknifeEstimate]]()
    sampling = replace(generator.sampling, candidates=candidates)
    selecting = replace(generator, sampling=sampling, on_weights=weights.append)
    for seed in seeds:
        samples = selecting.sample_matching(validator.held_out, seed=seed)
        found = validator.evaluations(samples)
        by_seed.append(metrics_by_user(validator, found))
        if detector is not None:
            by_seed[-1][DETECTOR] = of_detector(detector, validator, samples)
        errors.append(metrics_of(found)[names.VAL_CONDITION_ERROR])
    effective = effective_candidates(torch.cat(weights).numpy()) if weights else np.ones(1)
    estimates = {name: mean([one[name] for one in by_seed]) for name in by_seed[0]}
    return Row(candidates, float(effective.mean()), sampling.steps * candidates, float(np.mean(errors)), estimates)


def of_detector(detector: MovementDetector, validator: Validator, samples: Canonical) -> JackknifeEstimate:
    """Return the AUC of a detector's scores between held-out movements and samples, with and without each user."""
    produced, rows = validator.observe(samples)
    scores = paired_detector_scores(detector, validator.observed.take(rows), produced)
    return jackknife(scores.auc, scores.owners, users_of(validator))


def measure_all(
    trained: Sequence[Generator],
    validator: Validator,
    candidates: Sequence[int],
    seeds: Sequence[int],
    detector: MovementDetector | None,
) -> list[list[Row]]:
    """Return the rows of each number of candidates, one per training."""
    return [[measure(generator, validator, each, seeds, detector) for generator in trained] for each in candidates]


def table(rows: Sequence[Sequence[Row]], floors: Mapping[str, float], selector_has: Mapping[str, str]) -> str:
    """Return a Markdown table: a line per metric, a column per number of candidates, and the paired difference.

    Args:
        rows: Of each number of candidates, one row per training.
    """
    first, numbers = rows[0], [of_number[0].candidates for of_number in rows]
    heads = [f"K={number}" for number in numbers] + [f"K={number} less K={numbers[0]}" for number in numbers[1:]]
    lines = [f"| metric | floor | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for metric, digits in SHOWN.items():
        if metric not in first[0].estimates:
            continue
        values = [[row.estimates[metric] for row in of_number] for of_number in rows]
        cells = [shown(value, digits) for value in values]
        cells += [shown([*map(difference, value, values[0])], digits) for value in values[1:]]
        probe = metric.rpartition("_")[2] if metric.startswith("val/auc_") else metric
        floor = f"{floors[metric]:.3f}" if metric in floors else ""
        state = f" ({selector_has[probe]})" if probe in selector_has else ""
        lines.append(f"| {metric}{state} | {floor} | {' | '.join(cells)} |")
    plain = {
        "condition error": [f"{np.mean([row.condition_error for row in each]):.3f}" for each in rows],
        "effective candidates": [f"{np.mean([row.effective for row in each]):.2f}" for each in rows],
        "network calls per movement": [f"{np.mean([row.calls for row in each]):g}" for each in rows],
    }
    empty = [""] * (len(rows) - 1)  # they have no difference
    lines += [f"| {' | '.join([name, '', *cells, *empty])} |" for name, cells in plain.items()]
    return "\n".join(lines)


def shown(estimates: Sequence[JackknifeEstimate], digits: int) -> str:
    """Return the mean over trainings with its interval over users and trainings; of one training over users."""
    found = interval(estimates[0]) if len(estimates) == 1 else over_users_and_seeds(estimates)
    return format_interval(found.value, found.low, found.high, digits)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    about = "folder of a diffusion checkpoint with a selector; several: trainings with different seeds"
    parser.add_argument("checkpoints", type=Path, nargs="+", metavar="CHECKPOINT", help=about)
    parser.add_argument("--candidates", type=int, nargs="+", default=[1, 4, 8], help="numbers of candidates")
    parser.add_argument("--split", default="validation", choices=("validation", "test"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[7], help="seeds of the noise")
    parser.add_argument("--detector", type=Path, help="folder of a detector's checkpoint, one more probe")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="also write the rows as JSON here")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    trained, selectors = [load_generator(checkpoint) for checkpoint in given.checkpoints], list[Selector]()
    for checkpoint, generator in zip(given.checkpoints, trained, strict=True):
        if generator.selector is None:
            parser.error(f"{checkpoint}: no selector; fit one with `python -m platform.selector ckpt={checkpoint}`")
        selectors.append(generator.selector)
    try:
        require_comparable(given.checkpoints, selectors)
    except (ConfigError, CheckpointError) as error:
        parser.error(str(error))
    data = build(DataConfig, load_record(given.checkpoints[0])["config"]["data"])
    splits = load_splits(data)
    validator = Validator.fit(splits[given.split], splits["train"], data.canonical, EvaluationConfig())
    detector = None if given.detector is None else load_detector(given.detector)
    rows = measure_all(trained, validator, given.candidates, given.seeds, detector)
    floors = {names.probe_auc(probe): floor for probe, floor in validator.floors.items()}
    floors[DETECTOR] = 0.5  # its score is fitted to neither side
    states = {**{probe: seen_by(selectors[0], probe) for probe in HEADLINE_PROBES}, DETECTOR: UNSEEN}
    users = users_of(validator)
    seeds = f"{len(given.seeds)} seed(s) of the noise, {len(trained)} training(s)"
    ratio = f"{selectors[0].rounds} round(s) of the ratio on {', '.join(selectors[0].groups)}"
    print(f"{len(validator.held_out)} movements of {len(users)} users, folds by {validator.folds_by}, {seeds}, {ratio}")
    print(table(rows, floors, states))
    if given.output:
        plain_rows = [
            {"checkpoint": str(checkpoint), **asdict(row)}
            for of_number in rows
            for checkpoint, row in zip(given.checkpoints, of_number, strict=True)
        ]
        given.output.write_text(json.dumps({"rows": plain_rows}, indent=1) + "\n")
    return 0


def require_comparable(checkpoints: Sequence[Path], selectors: Sequence[Selector]) -> None:
    """Raise an error unless all trainings are of the same data, with ratios of the same columns and rounds.

    Raises:
        CheckpointError: Another data set than that of the first.
        ConfigError: Other columns or another number of rounds than those of the first.
    """
    first = selectors[0]
    for checkpoint, one in zip(checkpoints, selectors, strict=True):
        require_same_data(checkpoint, one.record, str(first.record["data_sha256"]))
        mine, theirs = (f"{selector.rounds} round(s) on {', '.join(selector.groups)}" for selector in (one, first))
        require(mine == theirs, f"a selector of {theirs}, as the first", f"{checkpoint}: {mine}", "fit it again")


if __name__ == "__main__":
    sys.exit(main())
