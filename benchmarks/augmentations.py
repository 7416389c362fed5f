"""Two-sample test of each augmentation: augmented recordings against the same recordings unchanged.

Each row augments every movement of the default training split at the augmentation's default strength. Two more rows
augment them as a training pass does by default, and stretch them by plain resampling, which ignores the recorder. C2ST
accuracy with folds by user: median [minimum, maximum] over the seeds; 0.5 is no difference.

`OMP_NUM_THREADS=1 python -m benchmarks.augmentations --seeds 5 --output augmentations.json`
"""

import argparse
import json
import statistics
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from trainables.core.formatting import format_interval
from trainables.data.augment import AUGMENTATIONS, augment
from trainables.data.canonical import Canonical, Movements, decode, encode, usable
from trainables.data.config import CanonicalConfig, DataConfig, VariationsConfig
from trainables.data.representation import interpolate, prefix_mask
from trainables.data.splits.loading import load_splits
from trainables.eval.features.kinematic import movement_features
from trainables.eval.metrics import PROBES, classifier_two_sample_test

FORM = CanonicalConfig()
Variation = Callable[[Movements, torch.Generator], Movements]


def plain_stretch(movements: Movements, random: torch.Generator) -> Movements:
    """Stretch durations by up to 10 %, with positions interpolated linearly and rounded."""
    factor = 0.9 + 0.2 * torch.rand(len(movements), generator=random, dtype=torch.float64)
    length = (movements.length * factor).round().long()
    path = torch.nn.functional.pad(movements.steps_px, (0, 0, 1, 0)).cumsum(dim=1)
    at = torch.arange(int(length.max()) + 1) * (movements.length / length).double()[:, None]
    steps = interpolate(path, torch.minimum(at, movements.length[:, None])).round().diff(dim=1)
    return replace(movements, steps_px=steps * prefix_mask(length, steps.shape[1])[..., None], length=length)


def in_a_pass(movements: Movements, random: torch.Generator) -> Movements:
    """Augment as a training pass does by default."""
    return augment(movements, VariationsConfig(), FORM, random).movements


def variations() -> dict[str, Variation]:
    """Return the augmentation of each row of the table by name."""
    each = {name: partial(_varied, name) for name in AUGMENTATIONS}
    return {**each, "a default pass": in_a_pass, "plain stretch": plain_stretch}


def _varied(name: str, movements: Movements, random: torch.Generator) -> Movements:
    return AUGMENTATIONS[name](movements, getattr(VariationsConfig(), name), random)


def accuracy(real: Canonical, varied: Movements, probe: str) -> float:
    """Return the C2ST accuracy of the augmented movements that are still usable against the same ones as recorded."""
    rows, _ = usable(varied, FORM)
    found = encode(varied.take(rows), FORM)
    features = [movement_features(part.deltas, part.mask) for part in (real.take(rows), found)]
    return classifier_two_sample_test(*features, real_groups=found.group, fake_groups=found.group, probe=probe).accuracy


def measure(variation: Variation, seeds: int, probes: list[str]) -> dict[str, list[float]]:
    """Return the accuracy of each probe for each seed."""
    real = load_splits(DataConfig())["train"]
    movements = decode(real, FORM)
    varied = [variation(movements, torch.Generator().manual_seed(seed)) for seed in range(seeds)]
    return {probe: [accuracy(real, one, probe) for one in varied] for probe in probes}


def main() -> None:
    """Run the benchmark: print a table and write the accuracies."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--probes", nargs="+", choices=list(PROBES), default=["quadratic", "boosting"])
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for name, variation in variations().items():
        results[name] = measure(variation, arguments.seeds, arguments.probes)
        cells = [f"{p} {format_interval(statistics.median(v), min(v), max(v))}" for p, v in results[name].items()]
        print(f"{name:<16}", *cells, sep="  ", flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
