"""Speed of a detector, for many movements at once and one at a time: PyTorch and ONNX Runtime on one core.

The timed call is `score`, from canonical movements to probabilities: features, scaling and network. Methods alternate
within one run, and medians over the repeats are reported; CPU time as well as wall-clock time, because other work on
the machine affects only the latter. Speed does not depend on the weights, so the default is a detector of one short
epoch; `--checkpoint` uses another.

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
from trainables.data.splits.loading import load_splits
from trainables.detector.api import Detector, load_trained_detector
from trainables.detector.config import DetectorConfig
from trainables.detector.onnx_export import OnnxDetector, export
from trainables.detector.train import epochs

Score = Callable[[Canonical], object]
Seconds = tuple[float, float]  # wall clock, CPU


def trained(folder: Path) -> Path:
    """Train a detector of the default size for one short epoch; return its checkpoint."""
    *_, last = epochs(replace(DetectorConfig(), epochs=1, steps_per_epoch=5))
    checkpoint = folder / "checkpoint"
    last.save(checkpoint)
    return checkpoint


def seconds(score: Score, movements: Canonical) -> Seconds:
    """Return the seconds of one call."""
    began, cpu = time.perf_counter(), time.process_time()
    score(movements)
    return time.perf_counter() - began, time.process_time() - cpu


def alternating(methods: Mapping[str, Score], given: Canonical, repeats: int) -> dict[str, list[Seconds]]:
    """Time every method once per repeat, after one call that is not counted."""
    for score in methods.values():
        score(given)
    found: dict[str, list[Seconds]] = {name: [] for name in methods}
    for _ in range(repeats):
        for name, score in methods.items():
            found[name].append(seconds(score, given))
    return found


def measure(detector: Detector, recorded: Canonical, movements: int, repeats: int) -> dict[str, dict[str, float]]:
    """Return movements per second of a batch and milliseconds of one movement, by method."""
    rows = torch.arange(movements) % len(recorded)
    with tempfile.TemporaryDirectory(prefix="scoring-") as folder:
        export(detector, recorded.take(rows[:2]), {}, Path(folder) / "detector.onnx")
        exported = OnnxDetector.load(Path(folder) / "detector.onnx")
    methods: dict[str, Score] = {"PyTorch": detector.score, "ONNX Runtime": exported.score}
    batched = alternating(methods, recorded.take(rows), repeats)
    single = alternating(methods, recorded.take(rows[:1]), 50 * repeats)
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
    """Return the median of the wall-clock (0) or the CPU (1) seconds."""
    return statistics.median(pair[which] for pair in found)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--checkpoint", type=Path, help="checkpoint of a detector; default: one trained for a moment")
    parser.add_argument("--movements", type=int, default=4096, help="movements scored at once, with repetitions")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--output", type=Path, help="also write the measurements as JSON here")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="detector-") as folder:
        detector = load_trained_detector(given.checkpoint or trained(Path(folder)))
    recorded = load_splits(replace(DetectorConfig().data, canonical=detector.canonical))["train"]
    found = measure(detector, recorded, given.movements, given.repeats)
    print(f"{'':<14}{'batched, 1/s':>14}{'per cpu s':>12}{'single, ms':>12}{'cpu ms':>9}")
    for name, row in found.items():
        batched, cpu, single, single_cpu = row.values()
        print(f"{name:<14}{batched:>14,.0f}{cpu:>12,.0f}{single:>12.2f}{single_cpu:>9.2f}")
    if given.output:
        given.output.write_text(json.dumps({"movements": given.movements, "methods": found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
