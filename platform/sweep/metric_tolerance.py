"""Compare the metrics of a reproduced training with the recorded ones: equal, within a tolerance, or outside of it.

    excess of the AUC      half the width of the band of no difference (`platform.leaderboard.reference`)
    other metrics          95 % of the differences between two evaluations with new seeds (a generator's noise, a
                           detector's bots), from the re-evaluations of the finalists
    counts, learning rate  0: they do not depend on seeds

Any other metric is shown without a verdict. Seconds are not compared.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table
from scipy import stats

from platform.core.console import columns
from platform.leaderboard.archive import VALIDATION
from trainables.model_evaluation.result import EvaluationResult
from trainables.training import metric_names as names

CONFIDENCE = 0.95
FAMILIES = ("train/", "val/", "model/")  # Tune's results hold the searched values besides
SECONDS = (names.TRAIN_SECONDS, names.VAL_SECONDS)
EXACT = (names.PARAMETERS, names.TRAIN_STEPS, names.TRAIN_LEARNING_RATE)
EQUAL, WITHIN, OUTSIDE, NO_TOLERANCE = "equal", "within", "outside", "no tolerance"
VERDICTS = (EQUAL, WITHIN, OUTSIDE, NO_TOLERANCE)


@dataclass(frozen=True)
class MetricComparison:
    """A recorded and a reproduced metric with the tolerance of their difference; None where none was measured."""

    metric: str
    recorded: float | None
    reproduced: float | None
    tolerance: float | None
    verdict: str


def noise_tolerances(folder: Path, data_sha256: str) -> dict[str, float]:
    """Return by how much two evaluations with new seeds differ in 95 % of all cases: t_df s sqrt(2), per metric.

    s is the standard deviation over noise seeds, pooled over the validation results in `folder`; df counts its
    degrees of freedom. A metric that never varied, or was evaluated with one seed only, has none.
    """
    squares, freedom = dict[str, float](), dict[str, int]()
    for file in sorted(folder.glob("*.json")):
        evaluation = EvaluationResult.from_json(json.loads(file.read_text()))
        if evaluation.split != VALIDATION or evaluation.data_sha256 != data_sha256:
            continue
        for metric, values in evaluation.by_seed.items():
            mean = sum(values) / len(values)
            squares[metric] = squares.get(metric, 0.0) + sum((value - mean) ** 2 for value in values)
            freedom[metric] = freedom.get(metric, 0) + len(values) - 1
    return {
        metric: float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom[metric])) * (2 * total / freedom[metric]) ** 0.5
        for metric, total in squares.items()
        if total > 0
    }


def compare(
    recorded: Mapping[str, float], reproduced: Mapping[str, float], tolerances: Mapping[str, float]
) -> list[MetricComparison]:
    """Return every recorded or reproduced metric with its verdict, in recorded order."""
    metrics = [name for name in {**recorded, **reproduced} if name.startswith(FAMILIES) and name not in SECONDS]
    rows = [(name, recorded.get(name), reproduced.get(name), tolerances.get(name)) for name in metrics]
    return [MetricComparison(*row, verdict_of(*row[1:])) for row in rows]


def verdict_of(recorded: float | None, reproduced: float | None, tolerance: float | None) -> str:
    """Return the verdict: bitwise equal, within or outside of the tolerance, or none; a missing metric is outside."""
    if recorded == reproduced:
        return EQUAL
    if reproduced is None:
        return OUTSIDE
    if recorded is None or tolerance is None:
        return NO_TOLERANCE
    return WITHIN if abs(reproduced - recorded) <= tolerance else OUTSIDE


def conclude(compared: Sequence[MetricComparison]) -> tuple[str, int]:
    """Return the conclusion and the exit code; without any tolerance a difference counts as not reproduced."""
    of = {verdict: [row for row in compared if row.verdict == verdict] for verdict in VERDICTS}
    if len(of[EQUAL]) == len(compared):
        return f"reproduced bit for bit: all {len(compared)} metrics are equal", 0
    unknown = f", {len(of[NO_TOLERANCE])} without tolerance" if of[NO_TOLERANCE] else ""
    if of[OUTSIDE]:
        far = ", ".join(f"{row.metric} ({_difference(row)})" for row in of[OUTSIDE])
        return f"not reproduced: outside of the tolerance: {far}", 1
    if not of[WITHIN]:
        return f"not reproduced: {len(of[NO_TOLERANCE])} metrics differ and none of them has a measured tolerance", 1
    largest = max(of[WITHIN], key=lambda row: _share(row))
    return (
        f"reproduced within the tolerance: {len(of[EQUAL])} metrics equal, {len(of[WITHIN])} within{unknown}; "
        f"the farthest is {largest.metric} ({_difference(largest)})"
    ), 0


def _share(row: MetricComparison) -> float:
    """Return the difference as a share of the tolerance."""
    return abs((row.reproduced or 0.0) - (row.recorded or 0.0)) / row.tolerance if row.tolerance else 0.0


def _difference(row: MetricComparison) -> str:
    if row.reproduced is None or row.recorded is None:
        return "missing"
    return f"{row.reproduced - row.recorded:+.3g}, tolerance ±{row.tolerance:.3g}"


def table(compared: Sequence[MetricComparison]) -> Table:
    """Return a table with one row per metric; those outside of their tolerance are red."""
    drawn = columns("metric", ">recorded", ">reproduced", ">difference", ">tolerance", ">verdict", title="Metrics")
    for row in compared:
        both = row.recorded is not None and row.reproduced is not None
        difference = f"{(row.reproduced or 0.0) - (row.recorded or 0.0):+.2g}" if both else "-"
        tolerance = "-" if row.tolerance is None else f"±{row.tolerance:.2g}"
        style = "red" if row.verdict == OUTSIDE else None
        drawn.add_row(
            row.metric, _figure(row.recorded), _figure(row.reproduced), difference, tolerance, row.verdict, style=style
        )
    return drawn


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
