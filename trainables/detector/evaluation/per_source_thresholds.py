"""A threshold of a source's own: fixed on one half of its people, measured on the other half, and what it costs.

On another device, with another recorder or at another task people move otherwise, and a threshold that accuses 1 % of
some accuses 27 % of others. Which one would accuse 1 % there can be told of the source's own people alone, and whether
it does only of people on whom it was not fixed: so there must be two of them. A stricter threshold lets bots through:
the share of all bots that it catches stands beside that of the usual one.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from trainables.core.seeding import generator
from trainables.detector.evaluation.scored_movements import Scored
from trainables.eval.detection.roc import Threshold, threshold_at_fpr
from trainables.eval.intervals.cluster_bootstrap import Share, share
from trainables.eval.intervals.config import BootstrapConfig


@dataclass(frozen=True)
class OwnThreshold:
    """What fixing a threshold on half of a source's people came to.

    Attributes:
        people: Of the source.
        fixed: On the movements of one half of them; None with fewer than two people, as all that follows.
        accused: Of the other half.
        caught, caught_usually: Of all bots: above this threshold, and above the one of the validation people.
    """

    source: str
    people: int
    fixed: Threshold | None = None
    accused: Share | None = None
    caught: Share | None = None
    caught_usually: Share | None = None


def own_thresholds(
    held_out: Scored, usual: Threshold, known: Collection[str], config: BootstrapConfig, seed: int
) -> tuple[OwnThreshold, ...]:
    """A row per source of people that is not `known`, each at the target rate of the `usual` threshold."""
    people = held_out.people()
    sources = sorted(set(people.source) - set(known))
    return tuple(
        _of_source(people.where("source", [source]), held_out.bots(), usual, config, seed) for source in sources
    )


def _of_source(people: Scored, bots: Scored, usual: Threshold, config: BootstrapConfig, seed: int) -> OwnThreshold:
    def above(part: Scored, value: float) -> Share:
        return share(part.score > value, part.group, config, generator(seed, "own thresholds"))

    one, other = (people.where("group", half) for half in halves(people.group))
    source, count = people.source[0], len(set(people.group))
    if not len(other):
        return OwnThreshold(source, count)
    fixed = threshold_at_fpr(one.score, usual.target_fpr)
    return OwnThreshold(
        source, count, fixed, above(other, fixed.value), above(bots, fixed.value), above(bots, usual.value)
    )


def halves(groups: Sequence[str]) -> tuple[set[str], set[str]]:
    """Groups in two parts of about as many rows: the largest first, each to the part that has fewer so far.

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
