"""How fast a detector scores, many movements at once and one at a time: PyTorch beside ONNX Runtime, on one core.

What is timed is `score`, from canonical movements to probabilities: features, scaling and network. Methods alternate
within one run, and medians over the repeats are given; processor time beside wall-clock time, because other work on
the machine adds to the latter alone. Speed does not depend on the weights, so that a detector of one short epoch
serves; `--checkpoint` takes another.

`python -m benchmarks.detector_scoring --movements 4096 --output detector_scoring.json`
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from trainables.data.canonical import Canonical
from trainables.data.dataset import load_splits
from trainables.detector.api import Detector, load_trained_detector
from trainables.detector.config import DetectorConfig
from trainables.detector.export import OnnxDetector, export
from trainables.detector.train import epochs

Score = Callable[[Canonical], object]
Seconds = tuple[float, float]  # wall clock, processor


def fresh(folder: Path) -> Path:
    """The checkpoint of a detector of the default shape after one short epoch."""
    *_, last = epochs(replace(DetectorConfig(), epochs=1, steps_per_epoch=5))
    checkpoint = folder / "checkpoint"
    last.save(checkpoint)
    return checkpoint


def seconds(score: Score, movements: Canonical) -> Seconds:
    """Of one call."""
    began, cpu = time.perf_counter(), time.process_time()
    score(movements)
    return time.perf_counter() - began, time.process_time() - cpu


def alternating(methods: Mapping[str, Score], given: Canonical, repeats: int) -> dict[str, list[Seconds]]:
    """Every method once per repeat, after one call that is not counted."""
    for score in methods.values():
        score(given)
    found: dict[str, list[Seconds]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, score in methods.items():
            found[name].append(seconds(score, given))
    return found


def measure(detector: Detector, people: Canonical, movements: int, repeats: int) -> dict[str, dict[str, float]]:
    """Movements per second of a batch and milliseconds of one movement, by method."""
    rows = torch.arange(movements) % len(people)
    with tempfile.TemporaryDirectory(prefix="scoring-") as folder:
        export(detector, people.take(rows[:2]), {}, Path(folder) / "detector.onnx")
        exported = OnnxDetector.load(Path(folder) / "detector.onnx")
    methods: dict[str, Score] = {"PyTorch": detector.score, "ONNX Runtime": exported.score}
    batched = alternating(methods, people.take(rows), repeats)
    single = alternating(methods, people.take(rows[:1]), 50 * repeats)
    return {
        name: {
            "movements_per_second": movements / median(batched[name], 0),
            "movements_per_cpu_second": movements / median(batched[name], 1),
            "single_ms": 1e3 * median(single[name], 0),
            "single_cpu_ms": 1e3 * median(single[name], 1),
        }
        for name in methods
    }


def median(found: list[Seconds], which: int) -> float:
    """Of the wall clock (0) or of the processor (1)."""
    return statistics.median(pair[which] for pair in found)


def main(argv: list[str] | None = None) -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--checkpoint", type=Path, help="of a detector; without it one is trained for a moment")
    parser.add_argument("--movements", type=int, default=4096, help="scored at once, each person's more than once")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=Path, help="also write the measurements as JSON here")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="detector-") as folder:
        detector = load_trained_detector(given.checkpoint or fresh(Path(folder)))
    people = load_splits(replace(DetectorConfig().data, canonical=detector.canonical))["train"]
    found = measure(detector, people, given.movements, given.repeats)
    print(f"{'':<14}{'batched, 1/s':>14}{'per cpu s':>12}{'single, ms':>12}{'cpu ms':>9}")
    for name, row in found.items():
        batched, cpu, single, single_cpu = row.values()
        print(f"{name:<14}{batched:>14,.0f}{cpu:>12,.0f}{single:>12.2f}{single_cpu:>9.2f}")
    if given.output:
        given.output.write_text(json.dumps({"movements": given.movements, "methods": found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
