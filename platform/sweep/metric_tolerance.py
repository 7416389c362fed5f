"""The figures of one training beside those of another: equal to the last bit, inside a measured band, or outside of it.

    C2ST and its excess    half the width of the null band: random halves of real people against each other
    other judged metrics   95 % of the differences between two draws of what fresh seeds draw (a generator's noise, a
                           detector's bots), from the judgements of the finalists
    counts, learning rate  none: they do not depend on luck

Any other figure is shown and not judged. Seconds are not compared.
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
EQUAL, WITHIN, OUTSIDE, NO_TOLERANCE = "equal", "inside", "outside", "not judged"
VERDICTS = (EQUAL, WITHIN, OUTSIDE, NO_TOLERANCE)


@dataclass(frozen=True)
class MetricComparison:
    """One figure of then and now; the band is half of its width, None where none was measured."""

    metric: str
    then: float | None
    now: float | None
    band: float | None
    verdict: str


def noise_tolerances(folder: Path, data_sha256: str) -> dict[str, float]:
    """By how much two draws of the noise differ in 95 % of all cases: t_df s sqrt(2), per metric.

    s is the standard deviation over noise seeds, pooled over the validation judgements in `folder`; df counts its
    degrees of freedom. A metric that never varied, or was never drawn twice, has none.
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


def compare(then: Mapping[str, float], now: Mapping[str, float], bands: Mapping[str, float]) -> list[MetricComparison]:
    """Every figure of then or now, in the order of then, with its verdict."""
    metrics = [name for name in {**then, **now} if name.startswith(FAMILIES) and name not in SECONDS]
    rows = [(name, then.get(name), now.get(name), bands.get(name)) for name in metrics]
    return [MetricComparison(*row, verdict_of(*row[1:])) for row in rows]


def verdict_of(then: float | None, now: float | None, band: float | None) -> str:
    """Equal to the last bit, inside or outside of the band, or not judged; a figure that is missing now is outside."""
    if then == now:
        return EQUAL
    if now is None:
        return OUTSIDE
    if then is None or band is None:
        return NO_TOLERANCE
    return WITHIN if abs(now - then) <= band else OUTSIDE


def conclude(compared: Sequence[MetricComparison]) -> tuple[str, int]:
    """The last line and the exit code; what nothing could be judged by is not reproduced."""
    of = {verdict: [row for row in compared if row.verdict == verdict] for verdict in VERDICTS}
    if len(of[EQUAL]) == len(compared):
        return f"reproduced bit for bit: all {len(compared)} figures are equal", 0
    unjudged = f", {len(of[NO_TOLERANCE])} not judged" if of[NO_TOLERANCE] else ""
    if of[OUTSIDE]:
        far = ", ".join(f"{row.metric} ({_apart(row)})" for row in of[OUTSIDE])
        return f"not reproduced: outside of the noise band: {far}", 1
    if not of[WITHIN]:
        return f"not reproduced: {len(of[NO_TOLERANCE])} figures differ and none of them has a measured band", 1
    largest = max(of[WITHIN], key=lambda row: _share(row))
    return (
        f"reproduced inside the noise band: {len(of[EQUAL])} figures equal, {len(of[WITHIN])} inside{unjudged}; "
        f"the farthest is {largest.metric} ({_apart(largest)})"
    ), 0


def _share(row: MetricComparison) -> float:
    """Of its band that a figure has moved."""
    return abs((row.now or 0.0) - (row.then or 0.0)) / row.band if row.band else 0.0


def _apart(row: MetricComparison) -> str:
    if row.now is None or row.then is None:
        return "missing now"
    return f"{row.now - row.then:+.3g}, band ±{row.band:.3g}"


def table(compared: Sequence[MetricComparison]) -> Table:
    """One row per figure; what is outside of its band is red."""
    drawn = columns("metric", ">then", ">now", ">difference", ">band", ">verdict", title="Figures")
    for row in compared:
        both = row.then is not None and row.now is not None
        apart = f"{(row.now or 0.0) - (row.then or 0.0):+.2g}" if both else "-"
        band = "-" if row.band is None else f"±{row.band:.2g}"
        style = "red" if row.verdict == OUTSIDE else None
        drawn.add_row(row.metric, _figure(row.then), _figure(row.now), apart, band, row.verdict, style=style)
    return drawn


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
