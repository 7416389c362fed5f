"""The alpha budget of the promotions against one champion: how sure each further decision has to be.

Every decision about a challenger that is as good as the champion may promote it by luck, and ten of them at 5 % do so
with probability 0.40. The n-th decision against a champion is therefore made at the level

    alpha_n = min(1 - confidence, budget * 6 / (pi^2 n^2))        sum over all n of 6 / (pi^2 n^2) = 1

so that, by Bonferroni's inequality, however many equal challengers come and however much they depend on each other, the
champion is replaced by one of them with probability at most `budget`. A new champion has a budget of its own. What
counts is the test of the headline; margins and limits are at the level of a single decision.

References: Online control of the familywise error rate (Tian & Ramdas, 2021), section 2, "Alpha-Spending",
doi:10.1177/0962280220983381, arXiv:1910.04900. Discrete sequential boundaries for clinical trials (Lan & DeMets, 1983),
doi:10.1093/biomet/70.3.659.
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.model_registry.registry import DECISION, HISTORY, Registry


@dataclass(frozen=True)
class AlphaBudget:
    """Levels of the decisions against one champion.

    Attributes:
        total: Probability that any equal challenger ever replaces the champion.
        most: Level of a decision that would be the only one, 1 - confidence.
    """

    total: float
    most: float

    def level(self, number: int) -> float:
        """Return the level of decision `number`, from 1.

        >>> [round(AlphaBudget(0.1, 0.05).level(number), 4) for number in (1, 2, 3, 10)]
        [0.05, 0.0152, 0.0068, 0.0006]
        """
        return min(self.most, self.total * 6 / (math.pi * number) ** 2)

    def spent(self, decisions: int) -> float:
        """Return the sum of the levels of the first decisions."""
        return sum(map(self.level, range(1, decisions + 1)))

    def describe(self, champion_id: str, decisions: int) -> str:
        """Return what is spent against a champion and what the next decision has, in a line."""
        return (
            f"alpha budget against {champion_id}: {decisions} decision(s), {self.spent(decisions):.4f} of "
            f"{self.total:g} spent; the next is made with {100 * (1 - self.level(decisions + 1)):.2f} % confidence"
        )


def decisions_against(registry: Registry, weights_sha256: str) -> int:
    """Return how many challengers were compared with a champion, promoted or refused.

    One that was refused without a comparison does not count; a record that cannot be read does, for it may be one.
    """
    return sum(_compared(record, weights_sha256) for record in _records(registry))


def _records(registry: Registry) -> Iterator[Mapping[str, Any] | None]:
    """Yield every decision; None for one that cannot be read."""
    published = [registry.path / HISTORY / name / DECISION for name in registry.history()]
    for file in (*published, *registry.refusals()):
        yield _read(file)


def _read(file: Path) -> Mapping[str, Any] | None:
    try:
        found = json.loads(file.read_text())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _compared(record: Mapping[str, Any] | None, weights_sha256: str) -> bool:
    if record is None:
        return True
    champion = record.get("champion")
    return isinstance(champion, dict) and champion.get("weights_sha256") == weights_sha256 and bool(record["checks"])
