"""Threshold per source of users: fitted on one half of its users, tested on the other half, with its cost in TPR.

On another device, with another recorder or in another task users move differently, and a threshold of 1 % FPR on some
users may flag 27 % of the movements of others. The threshold of 1 % FPR there can only be fitted on users of that
source, and only be tested on users on whom it was not fitted: so there must be two of them. A stricter threshold
detects fewer bots: its TPR stands beside that of the default threshold.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from trainables.core.seeding import generator
from trainables.detector.evaluation.scored_movements import ScoredMovements
from trainables.eval.detection.roc import Threshold, threshold_at_fpr
from trainables.eval.intervals.cluster_bootstrap import Proportion, proportion
from trainables.eval.intervals.config import BootstrapConfig


@dataclass(frozen=True)
class SourceThreshold:
    """Threshold fitted on half of a source's users, and its rates.

    Attributes:
        users: Number of users of the source.
        threshold: Fitted on the movements of one half of them; None for fewer than two users, as are all that follow.
        flagged: FPR on the other half.
        detected, detected_at_default: TPR on all bots, at this threshold and at that of the validation users.
    """

    source: str
    users: int
    threshold: Threshold | None = None
    flagged: Proportion | None = None
    detected: Proportion | None = None
    detected_at_default: Proportion | None = None


def source_thresholds(
    held_out: ScoredMovements, default: Threshold, known: Collection[str], config: BootstrapConfig, seed: int
) -> tuple[SourceThreshold, ...]:
    """Return a row per source of users that is not in `known`, each at the target FPR of the `default` threshold."""
    humans = held_out.humans()
    sources = sorted(set(humans.source) - set(known))
    return tuple(
        _of_source(humans.where("source", [source]), held_out.bots(), default, config, seed) for source in sources
    )


def _of_source(
    humans: ScoredMovements, bots: ScoredMovements, default: Threshold, config: BootstrapConfig, seed: int
) -> SourceThreshold:
    def above(movements: ScoredMovements, value: float) -> Proportion:
        return proportion(movements.score > value, movements.group, config, generator(seed, "own thresholds"))

    fitted, tested = (humans.where("group", half) for half in halves(humans.group))
    source, count = humans.source[0], len(set(humans.group))
    if not len(tested):
        return SourceThreshold(source, count)
    threshold = threshold_at_fpr(fitted.score, default.target_fpr)
    return SourceThreshold(
        source,
        count,
        threshold,
        above(tested, threshold.value),
        above(bots, threshold.value),
        above(bots, default.value),
    )


def halves(groups: Sequence[str]) -> tuple[set[str], set[str]]:
    """Split groups into two halves of similar row counts: the largest first, each to the half with fewer rows so far.

    >>> one, other = halves(["a", "b", "b", "b", "c", "c"])
    >>> sorted(one), sorted(other)
    (['b'], ['a', 'c'])
    """
    parts: tuple[set[str], set[str]] = set(), set()
    rows = [0, 0]
    for group, count in sorted(Counter(groups).items(), key=lambda item: (-item[1], item[0])):
        fewer = int(rows[1] < rows[0])
        parts[fewer].add(group)
        rows[fewer] += count
    return parts
