"""What the observation model makes of recordings: its price in power over 18 Hz, and what still tells recorders apart.

    python -m benchmarks.observation --recordings movements.parquet --output results/bench/observation.json

For each source of the tables of movements that are given (and the default data):

- power: share of the power of the velocity over 18 Hz, of the events as they came (one per step, whatever their times;
  of recorders near 60 Hz alone) and as observed; what is missing is the price of interpolation between events.
- polled: recorders of 10 ms and faster are polled again at 60 Hz, their movements at another part of a period each; the
  ROC-AUC of both observations, in pairs of the same movement, says whether a probe tells such recorders apart.
- thinned: the same recorders with every event of 17 to 20 ms kept and the others lost, against themselves.

A pair is never split over folds. The 95 % band of no difference is that of labels which are swapped within pairs.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from trainables.data.canonical import Canonical, concatenate, encode, pack, usable
from trainables.data.config import CanonicalConfig
from trainables.data.observation import PERIOD_MS, Events, Floats, observe
from trainables.data.readers.recordings import Recording, read_recordings
from trainables.eval.features.convolutions import RandomConvolutions
from trainables.eval.features.kinematic import movement_features
from trainables.eval.features.spectral import TAIL_BANDS, band_shares
from trainables.eval.metrics import NullBand, classifier_two_sample_test

FORM = CanonicalConfig("fixed_dt", 256)
FAST_MS = 10.5  # recorders of at most this median gap are polled and thinned
NEAR_MS = (13.0, 18.0)  # median gaps of recorders near 60 Hz
Recorder = Callable[[Events, np.random.Generator], Events]
Pair = tuple[Canonical, Canonical]


def polled(events: Events, random: np.random.Generator) -> Events:
    """The movement as a recorder of 60 Hz has it, which polls at some part of a period after its start."""
    begin, end = events.t_ms[0], events.t_ms[-1]
    inner = np.arange(begin + random.uniform(0.0, PERIOD_MS), end, PERIOD_MS)
    t_ms = np.unique(np.concatenate([[begin], inner, [end]]))
    xy_px = [np.interp(t_ms, events.t_ms, channel) for channel in events.xy_px.T]
    return Events(np.round(t_ms), np.floor(np.stack(xy_px, axis=1) + 0.5))


def thinned(events: Events, random: np.random.Generator) -> Events:
    """The movement with one event every 17 to 20 ms left, the first and the last among them."""
    wanted = np.arange(events.t_ms[0], events.t_ms[-1], random.choice([17.0, 18.0, 20.0]))
    rows = np.unique(np.append(np.searchsorted(events.t_ms, wanted, side="right") - 1, len(events.t_ms) - 1))
    return Events(events.t_ms[rows], events.xy_px[rows])


def tail(paths: Sequence[Floats]) -> float:
    """Return the mean share of the power over 18 Hz, of positions one step apart."""
    movements = pack(paths, ["anyone"] * len(paths))
    rows, _ = usable(movements, FORM)
    shown = encode(movements.take(rows), FORM)
    return float(band_shares(shown.deltas, shown.mask)[:, -TAIL_BANDS:].sum(dim=1).mean())


def pair_of(first: Sequence[Events], second: Sequence[Events]) -> Pair:
    """Return both observations of each movement that is usable in both."""
    sides = [pack(observe(side), [str(row) for row in range(len(first))]) for side in (first, second)]
    first_kept, second_kept = (usable(side, FORM)[0].numpy() for side in sides)
    kept = np.intersect1d(first_kept, second_kept)
    one, other = (encode(side.take(torch.from_numpy(kept)), FORM) for side in sides)
    return one, other


def auc(pair: Pair, seed: int) -> dict[str, float]:
    """Return the AUC of each probe, a pair in one fold."""
    convolutions = RandomConvolutions.fit(pair[0])
    tables = {
        "quadratic": [movement_features(side.deltas, side.mask) for side in pair],
        "wide": [convolutions(side) for side in pair],
    }
    owners = [side.group for side in pair]

    def one(probe: str, real: Tensor, fake: Tensor) -> float:
        return classifier_two_sample_test(
            real, fake, real_groups=owners[0], fake_groups=owners[1], probe=probe, seed=seed
        ).auc

    return {probe: one(probe, *table) for probe, table in tables.items()}


def band(pair: Pair, repeats: int) -> dict[str, list[float]]:
    """Return mean -+ 1.96 standard deviations of each probe's AUC where the sides of pairs are swapped at random."""
    found: dict[str, list[float]] = {}
    for seed in range(repeats):
        swap = torch.from_numpy(np.random.default_rng(seed).random(len(pair[0])) < 0.5)
        for probe, value in auc(_swapped(pair, swap), seed).items():
            found.setdefault(probe, []).append(value)
    bands = {probe: NullBand.of(values) for probe, values in found.items()}
    return {probe: [one.low, one.high] for probe, one in bands.items()}


def _swapped(pair: Pair, swap: torch.Tensor) -> Pair:
    rows = torch.arange(len(swap))
    both = concatenate(*pair)
    first = torch.where(swap, rows + len(swap), rows)
    return both.take(first), both.take(torch.where(swap, rows, rows + len(swap)))


def measure(recordings: Sequence[Recording], movements: int, repeats: int) -> dict[str, Any]:
    """Return the figures of one source."""
    random = np.random.default_rng(0)
    rows = np.sort(random.permutation(len(recordings))[:movements])
    events = [_events(recordings[row]) for row in rows.tolist()]
    gaps = [float(np.median(gap[gap > 0])) for one in events if (gap := np.diff(one.t_ms)).any()]
    found: dict[str, Any] = {
        "movements": len(events),
        "median_gap_ms": float(np.median(gaps)),
        "tail_recorded": tail([one.xy_px for one in events]) if NEAR_MS[0] <= np.median(gaps) <= NEAR_MS[1] else None,
        "tail_observed": tail(observe(events)),
    }
    if found["median_gap_ms"] <= FAST_MS:
        for recorder in (polled, thinned):
            first = [polled(one, random) for one in events] if recorder is polled else events
            pair = pair_of(first, [recorder(one, random) for one in events])
            found[recorder.__name__] = {"auc": auc(pair, 0), "band": band(pair, repeats)}
    return found


def _events(recording: Recording) -> Events:
    return Events(recording.t_ms, np.stack([recording.x, recording.y], axis=1))


def sources(tables: Sequence[Path]) -> dict[str, list[Recording]]:
    """Return the movements of each source: the named users and the blocks of the default data, and those of tables."""
    found: dict[str, list[Recording]] = {}
    for recording in read_recordings("cursory").recordings:
        name = "session blocks" if recording.user.startswith("cursory/") else "named users"
        found.setdefault(f"default data, {name}", []).append(recording)
    for table in tables:
        for recording in read_recordings("table", table).recordings:
            found.setdefault(recording.source, []).append(recording)
    return found


def _percent(share: float | None) -> str:
    return "      -" if share is None else f"{100 * share:5.2f} %"


def main() -> None:
    """Run the benchmark: print a table and write the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recordings", type=Path, nargs="*", default=[], help="Parquet tables of movements")
    parser.add_argument("--movements", type=int, default=600, help="of a source, at most")
    parser.add_argument("--repeats", type=int, default=10, help="swaps of the band of no difference")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    results = {}
    for name, recordings in sources(arguments.recordings).items():
        results[name] = found = measure(recordings, arguments.movements, arguments.repeats)
        price = " -> ".join(_percent(found[side]) for side in ("tail_recorded", "tail_observed"))
        print(f"{name:<30} {found['median_gap_ms']:4.0f} ms  over 18 Hz {price}", flush=True)
        for recorder in (polled.__name__, thinned.__name__):
            for probe, value in found.get(recorder, {"auc": {}})["auc"].items():
                low, high = found[recorder]["band"][probe]
                print(f"  {recorder:<8} {probe:<10} AUC {value:.3f}, band [{low:.3f}, {high:.3f}]", flush=True)
    if arguments.output:
        arguments.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
