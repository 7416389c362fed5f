"""Calibration of the paired two-sample test: what each probe reads for generators whose answer is known.

    python -m benchmarks.probes --recordings movements.parquet --sources freihaut_click numberline

The users of a source are split into those who are evaluated, others, and a third group. Against the evaluated users are
tested, movement by movement of like duration and distance:

- floor: the movements of the others. A perfect generator reads no more.
- replay: the movements of the third group, as a generator has them that replays unknown users. Inside the band.
- noise: the same with normal noise of a share of the standard deviation of their steps, before rounding to pixels.
- stretch: the same in a duration that is longer by a share. Both must read above the band, and how often is the power.

Every figure is a mean over random splits of the users, with its standard deviation over them.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trainables.data.canonical import Canonical, Movements, encode, usable
from trainables.data.config import CanonicalConfig
from trainables.data.readers.recordings import Recording, read_recordings
from trainables.data.retime import change_duration
from trainables.data.splits.parts import observe_recordings
from trainables.data.users import effective_users
from trainables.eval.generation.config import HEADLINE_PROBES
from trainables.eval.generation.matching import matched_rows
from trainables.eval.generation.probes import CLASSIFIERS, Probes

FORM = CanonicalConfig("fixed_dt", 128)
NOISE, STRETCH = 0.1, 0.05  # known defects: of the standard deviation of the steps, of the duration


def aucs(real: Canonical, fake: Canonical, seed: int) -> dict[str, float]:
    """Return the AUC of each probe."""
    scores = Probes.fit(real, HEADLINE_PROBES, folds=5, seed=seed)(fake, real.group)
    return {name: of_probe.auc() for name, of_probe in scores.items()}


def noisy(movements: Movements, share: float, random: torch.Generator) -> Movements:
    """Return the movements with noise of a share of the standard deviation of all their steps."""
    mask = torch.arange(movements.steps_px.shape[1]) < movements.length[:, None]
    noise = share * movements.steps_px[mask].std() * torch.randn(movements.steps_px.shape, generator=random)
    return replace(movements, steps_px=(movements.steps_px + noise * mask[..., None]).round())


def split(owners: Sequence[str], random: np.random.Generator) -> list[list[int]]:
    """Return the rows of three random parts of the users: a quarter, three eighths and three eighths of them."""
    users = random.permutation(sorted(set(owners))).tolist()
    first, second = len(users) // 4, len(users) * 5 // 8
    parts = [set(users[:first]), set(users[first:second]), set(users[second:])]
    return [[row for row, owner in enumerate(owners) if owner in part] for part in parts]


def of_one_split(movements: Movements, seed: int, most: int) -> dict[str, dict[str, float]]:
    """Return the AUC of each probe for every known answer, under one split of the users."""
    numpy_random, random = np.random.default_rng(seed), torch.Generator().manual_seed(seed)
    evaluated, others, third = (torch.tensor(rows) for rows in split(movements.group, numpy_random))
    evaluated = evaluated[torch.randperm(len(evaluated), generator=random)[:most]]
    real = encode(movements.take(evaluated), FORM)
    replayed = movements.take(third)
    replayed = replayed.take((replayed.length * (1 + STRETCH) < FORM.sequence_length).nonzero().squeeze(1))
    sides = {
        "floor": movements.take(others),
        "replay": replayed,
        f"noise {NOISE:g} s.d.": noisy(replayed, NOISE, random),
        f"stretch {100 * STRETCH:g} %": change_duration(replayed, 1 + STRETCH, random),
    }
    found: dict[str, dict[str, float]] = {}
    rows = matched_rows(real, encode(_fitting(replayed), FORM))
    for name, side in sides.items():
        shown = encode(_fitting(side), FORM)
        chosen = matched_rows(real, shown) if name == "floor" else rows
        found[name] = aucs(real, shown.take(chosen), seed)
    return found


def _fitting(movements: Movements) -> Movements:
    return movements.take(usable(movements, FORM)[0])


def measure(recordings: Sequence[Recording], splits: int, most: int) -> dict[str, Any]:
    """Return the figures of one source over random splits of its users."""
    movements = _fitting(observe_recordings(recordings))
    by_split = [of_one_split(movements, seed, most) for seed in range(splits)]
    figures = {
        answer: {
            probe: {
                "auc": [float(one[answer][probe]) for one in by_split],
                "excess": [float(one[answer][probe] - one["floor"][probe]) for one in by_split],
            }
            for probe in CLASSIFIERS
        }
        for answer in by_split[0]
    }
    return {
        "movements": len(movements),
        "users": len(set(movements.group)),
        "effective_users": effective_users(movements.group),
        "figures": figures,
    }


def main() -> None:
    """Run the benchmark: print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=Path, help="Parquet table of movements; without it the default data")
    parser.add_argument("--sources", nargs="*", help="of the table; all without it")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--movements", type=int, default=300, help="evaluated movements, at most")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    read = read_recordings("table" if arguments.recordings else "cursory", arguments.recordings).recordings
    results = {}
    for source in arguments.sources or sorted({recording.source for recording in read}):
        own = [recording for recording in read if recording.source == source]
        results[source] = found = measure(own, arguments.splits, arguments.movements)
        print(f"{source}: {found['movements']} movements of {found['users']} users", flush=True)
        for answer, probes in found["figures"].items():
            cells = [f"{probe} {np.mean(v['auc']):.3f} (s.d. {np.std(v['auc']):.3f})" for probe, v in probes.items()]
            print(f"  {answer:<16}", *cells, sep="  ", flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
