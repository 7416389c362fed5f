"""What selection among candidates does to samples: all probes, their floors, effective candidates, and the price.

One sample per validation movement under its conditions for each number of candidates and seed of the noise, the same
for all numbers; figures are means over seeds, differences to the first number are paired over users (delete-one-user
jackknife, 95 %). The checkpoint has a selector (`python -m platform.selector ckpt=CHECKPOINT`); the detector was
trained beforehand, and none of these samples was shown to it.

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

from trainables.core.config import build
from trainables.core.formatting import format_interval
from trainables.data.canonical import Canonical
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.diffusion.api import Generator, load_generator
from trainables.eval.generation.config import HEADLINE_PROBES, EvaluationConfig
from trainables.eval.generation.validator import Validator, metrics_of
from trainables.eval.intervals.jackknife import JackknifeEstimate, difference, interval, jackknife, mean
from trainables.generation.selection.resampling import effective_candidates
from trainables.model_evaluation.detector_probe import paired_detector_scores
from trainables.model_evaluation.generator import metrics_by_user, users_of
from trainables.model_evaluation.selection_account import UNSEEN, seen_by
from trainables.models import MovementDetector, load_detector
from trainables.training import metric_names as names
from trainables.training.checkpoint import load_record

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


def table(rows: Sequence[Row], floors: Mapping[str, float], selector_has: Mapping[str, str]) -> str:
    """Return a Markdown table: a line per metric, a column per number of candidates, and the paired difference."""
    first = rows[0]
    heads = [f"K={row.candidates}" for row in rows] + [
        f"K={row.candidates} less K={first.candidates}" for row in rows[1:]
    ]
    lines = [f"| metric | floor | {' | '.join(heads)} |", "|---" * (len(heads) + 2) + "|"]
    for metric, digits in SHOWN.items():
        if metric not in first.estimates:
            continue
        values = [row.estimates[metric] for row in rows]
        cells = [shown(value, digits) for value in values]
        cells += [shown(difference(value, values[0]), digits) for value in values[1:]]
        probe = metric.rpartition("_")[2] if metric.startswith("val/auc_") else metric
        floor = f"{floors[metric]:.3f}" if metric in floors else ""
        state = f" ({selector_has[probe]})" if probe in selector_has else ""
        lines.append(f"| {metric}{state} | {floor} | {' | '.join(cells)} |")
    plain = {
        "condition error": [f"{row.condition_error:.3f}" for row in rows],
        "effective candidates": [f"{row.effective:.2f}" for row in rows],
        "network calls per movement": [str(row.calls) for row in rows],
    }
    empty = " | " * (len(rows) - 1)
    return "\n".join([*lines, *(f"| {name} | | {' | '.join(cells)} | {empty}|" for name, cells in plain.items())])


def shown(estimate: JackknifeEstimate, digits: int) -> str:
    """Return an estimate with its interval."""
    found = interval(estimate)
    return format_interval(found.value, found.low, found.high, digits)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("checkpoint", type=Path, help="folder of a diffusion checkpoint with a selector")
    parser.add_argument("--candidates", type=int, nargs="+", default=[1, 4, 8], help="numbers of candidates")
    parser.add_argument("--split", default="validation", choices=("validation", "test"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[7], help="seeds of the noise")
    parser.add_argument("--detector", type=Path, help="folder of a detector's checkpoint, one more probe")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, help="also write the rows as JSON here")
    given = parser.parse_args(argv)
    torch.set_num_threads(given.threads)
    generator = load_generator(given.checkpoint)
    if generator.selector is None:
        remedy = f"fit one with `python -m platform.selector ckpt={given.checkpoint}`"
        parser.error(f"{given.checkpoint}: no selector; {remedy}")
    data = build(DataConfig, load_record(given.checkpoint)["config"]["data"])
    splits = load_splits(data)
    validator = Validator.fit(splits[given.split], splits["train"], data.canonical, EvaluationConfig())
    detector = None if given.detector is None else load_detector(given.detector)
    rows = [measure(generator, validator, k, given.seeds, detector) for k in given.candidates]
    floors = {names.probe_auc(probe): floor for probe, floor in validator.floors.items()}
    floors[DETECTOR] = 0.5  # its score is fitted to neither side
    states = {**{probe: seen_by(generator.selector, probe) for probe in HEADLINE_PROBES}, DETECTOR: UNSEEN}
    users = users_of(validator)
    seeds = f"{len(given.seeds)} seed(s) of the noise"
    print(f"{len(validator.held_out)} movements of {len(users)} users, folds by {validator.folds_by}, {seeds}")
    print(table(rows, floors, states))
    if given.output:
        given.output.write_text(json.dumps({"rows": [asdict(row) for row in rows]}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
