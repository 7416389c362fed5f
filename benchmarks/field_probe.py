"""Readings of the public random-forest test of mouse movements where the answer is known, and for third-party bots.

    python -m benchmarks.field_probe --recordings movements.parquet --bots bots.parquet

The test (`trainables.eval.two_sample.out_of_bag`) on its 18 features (`trainables.eval.features.mime`) knows no users.
Every source, the default data first, is read at the rate of its recorder and as observed at 60 Hz; a quarter of its
users is evaluated against

- halves: nothing but themselves, a random half of their movements against the other. A sound test reads 0.5.
- same users: other movements of the same users, matched by duration and distance. The price of matching alone.
- other users: movements of users who are not evaluated, matched: the floor, which a perfect generator reads.
- noise, stretch: the same movements of the other users with known defects, those of `benchmarks.probes`. At the rate of
  the recorder noise is added to the steps between events, and all times are longer by the share, to the millisecond.

Every figure is a mean over random splits of the users, with its standard deviation over them. Bots are read against the
default data: against random movements, as the test is used elsewhere, and against matched ones. There the standard
deviation is over forests and random movements alone.
"""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.probes import FORM, NOISE, STRETCH, noisy, split
from trainables.data.canonical import Movements, encode, usable
from trainables.data.observation import Events
from trainables.data.readers.recordings import Recording, read_recordings
from trainables.data.retime import change_duration
from trainables.data.splits.parts import observe_recordings
from trainables.detector.dataset.external_bots import read_bots
from trainables.eval.features.mime import MIME_FEATURES, mime_features, observed_mime_features
from trainables.eval.generation.matching import matched_rows
from trainables.eval.metrics import OutOfBagResult, out_of_bag_test
from trainables.eval.two_sample.paired import effective_users

RATES = ("recorder", "60 Hz")
Tables = dict[str, Float[Tensor, "N F"]]
"""Rate -> features of the same movements."""
Results = dict[str, dict[str, OutOfBagResult]]
"""What is tested -> rate -> result."""


@dataclass(frozen=True, eq=False)
class Recorded:
    """The same movements at the rate of their recorder and as observed at 60 Hz."""

    events: tuple[Events, ...]
    movements: Movements

    def take(self, rows: Tensor) -> "Recorded":
        """Return the movements at `rows`, in that order."""
        return Recorded(tuple(self.events[row] for row in rows.tolist()), self.movements.take(rows))

    def features(self) -> Tables:
        """Return the features at both rates."""
        return dict(zip(RATES, (mime_features(self.events), observed_mime_features(self.movements)), strict=True))


def recorded(recordings: Sequence[Recording]) -> Recorded:
    """Return the movements that `FORM` can hold."""
    events = tuple(Events(one.t_ms, np.stack([one.x, one.y], axis=1)) for one in recordings)
    everything = Recorded(events, observe_recordings(recordings))
    return everything.take(usable(everything.movements, FORM)[0])


def matching(evaluated: Recorded, others: Recorded) -> Tensor:
    """Return the row of the others that is matched with each evaluated movement."""
    return matched_rows(encode(evaluated.movements, FORM), encode(others.movements, FORM))


def tested(real: Tables, fake: Tables, seed: int) -> dict[str, OutOfBagResult]:
    """Return the result at each rate."""
    return {rate: out_of_bag_test(real[rate], fake[rate], seed=seed, columns=MIME_FEATURES) for rate in RATES}


def noisy_events(movements: Iterable[Events], share: float, random: np.random.Generator) -> list[Events]:
    """Return the movements with noise of a share of the standard deviation of all steps, before rounding to pixels."""
    steps = [np.diff(one.xy_px, axis=0) for one in movements]
    scale = share * np.concatenate(steps).std()
    moved = [(step + random.normal(0.0, scale, step.shape)).round() for step in steps]
    return [
        Events(one.t_ms, one.xy_px[0] + np.pad(step, ((1, 0), (0, 0))).cumsum(axis=0))
        for one, step in zip(movements, moved, strict=True)
    ]


def longer_events(movements: Iterable[Events], share: float) -> list[Events]:
    """Return the movements in a time that is longer by a share, in whole milliseconds."""
    return [Events((one.t_ms * (1 + share)).round(), one.xy_px) for one in movements]


def with_defects(others: Recorded, seed: int) -> dict[str, Tables]:
    """Return the features of the movements with each known defect."""
    random, numpy_random = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    noise = Recorded(tuple(noisy_events(others.events, NOISE, numpy_random)), noisy(others.movements, NOISE, random))
    stretch = Recorded(
        tuple(longer_events(others.events, STRETCH)), change_duration(others.movements, 1 + STRETCH, random)
    )
    return {f"noise {NOISE:g} s.d.": noise.features(), f"stretch {100 * STRETCH:g} %": stretch.features()}


def of_one_split(source: Recorded, seed: int, most: int) -> tuple[Results, float]:
    """Return the results under one split of the users, and the number of evaluated users of equal size."""
    random = np.random.default_rng(seed)
    users, others = evaluated_and_others(source, source.movements.group, random)
    first, second = (users.take(torch.arange(start, len(users.movements), 2)[:most]) for start in (0, 1))
    every_movement = [str(row) for row in range(len(source.movements))]
    one, alike = matched(*evaluated_and_others(source, every_movement, random), most)
    evaluated, floor = matched(users, others, most)
    found = {
        "halves": tested(first.features(), second.features(), seed),
        "same users": tested(one.features(), alike.features(), seed),
    }
    real = evaluated.features()
    for name, fake in {"other users": floor.features(), **with_defects(floor, seed)}.items():
        found[name] = tested(real, fake, seed)
    return found, effective_users(evaluated.movements.group)


def evaluated_and_others(
    source: Recorded, owners: Sequence[str], random: np.random.Generator
) -> tuple[Recorded, Recorded]:
    """Return the movements of a random quarter of the owners, in random order, and those of all others."""
    first, *rest = split(owners, random)
    others = torch.tensor([row for part in rest for row in part])
    return source.take(torch.from_numpy(random.permutation(first))), source.take(others)


def matched(evaluated: Recorded, others: Recorded, most: int) -> tuple[Recorded, Recorded]:
    """Return the first `most` evaluated movements, and the others' that are matched with them."""
    evaluated = evaluated.take(torch.arange(min(most, len(evaluated.movements))))
    return evaluated, others.take(matching(evaluated, others))


def measure(recordings: Sequence[Recording], splits: int, most: int) -> dict[str, Any]:
    """Return the figures of one source over random splits of its users."""
    source = recorded(recordings)
    by_split = [of_one_split(source, seed, most) for seed in range(splits)]
    return {
        "movements": len(source.movements),
        "users": len(set(source.movements.group)),
        "evaluated_effective_users": float(np.mean([users for _, users in by_split])),
        "figures": gathered([results for results, _ in by_split]),
    }


def measure_bots(humans: Recorded, features: Tables, bots: Recorded, repeats: int) -> dict[str, Any]:
    """Return the figures of one style against random and against matched movements of the humans."""
    fake, found = bots.features(), []
    alike = matching(bots, humans)
    for seed in range(repeats):
        order = torch.from_numpy(np.random.default_rng(seed).permutation(len(humans.movements)))
        against = {"random humans": order[: len(bots.movements)], "matched humans": alike}
        found.append(
            {name: tested({rate: features[rate][rows] for rate in RATES}, fake, seed) for name, rows in against.items()}
        )
    return {"movements": len(bots.movements), "figures": gathered(found)}


def gathered(results: Sequence[Results]) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return what is tested -> rate -> the results of all splits."""
    return {name: {rate: [asdict(one[name][rate]) for one in results] for rate in RATES} for name in results[0]}


def line(name: str, rates: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return the mean AUC and accuracy at each rate, with the standard deviation of the AUC."""
    cells = []
    for rate, results in rates.items():
        aucs, accuracies = ([one[figure] for one in results] for figure in ("auc", "accuracy"))
        figures = f"AUC {np.mean(aucs):.3f} (s.d. {np.std(aucs):.3f}), accuracy {np.mean(accuracies):.3f}"
        cells.append(f"{rate}: {figures}, n {min(one['n'] for one in results)}")
    return "  ".join([f"  {name:<16}", *cells])


def report(title: str, found: Mapping[str, Any]) -> None:
    """Print the figures of one source or style."""
    print(title, flush=True)
    for name, rates in found["figures"].items():
        print(line(name, rates), flush=True)


def main() -> None:
    """Run the benchmark: print tables and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=Path, help="Parquet table of movements, beside the default data")
    parser.add_argument("--sources", nargs="*", help='of all that are read, "default data" among them; all without it')
    parser.add_argument("--bots", type=Path, help="Parquet table of third-party bots")
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--movements", type=int, default=400, help="evaluated movements, at most")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    default = read_recordings("cursory").recordings
    by_source = {"default data": list(default)}
    for one in read_recordings("table", arguments.recordings).recordings if arguments.recordings else ():
        by_source.setdefault(one.source, []).append(one)
    results: dict[str, Any] = {"sources": {}, "bots": {}}
    for source in arguments.sources or by_source:
        found = results["sources"][source] = measure(by_source[source], arguments.splits, arguments.movements)
        effective = f"{found['evaluated_effective_users']:.1f} effective users are evaluated"
        report(f"{source}: {found['movements']} movements of {found['users']} users, {effective}", found)
    if arguments.bots:
        humans, bots = recorded(default), read_bots(arguments.bots)
        features = humans.features()
        for style in sorted(set(bots.style)):
            own = [each for each, name in zip(bots.recordings, bots.style, strict=True) if name == style]
            found = results["bots"][style] = measure_bots(humans, features, recorded(own), arguments.splits)
            report(f"{style}: {found['movements']} movements", found)
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
