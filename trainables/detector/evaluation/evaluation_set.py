"""Movements on which detectors are evaluated: users of two splits, bots under their conditions, and external files.

Thresholds and temperature are fitted on the validation users and the bots under their conditions; all metrics are of
the users of another split and the bots under theirs, of third-party bots, of an agent between the ends of their
movements, and of users of other sources. A set is made once, and every detector is evaluated on the same movements.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.detector.api import Detector
from trainables.detector.bots import BOTS
from trainables.detector.config import NegativesConfig
from trainables.detector.dataset.agent_bots import AgentBots, read_agent
from trainables.detector.dataset.external_bots import (
    RELATED_FAMILIES,
    ExternalUsers,
    ThirdPartyBots,
    canonical_bots,
    read_bots,
    read_users,
)
from trainables.detector.dataset.negatives import Negatives, of_style, together
from trainables.detector.evaluation.config import DetectorReportConfig
from trainables.detector.evaluation.report import (
    DetectorEvaluation,
    evaluate_scores,
)
from trainables.detector.evaluation.scored_movements import ScoredMovements, joined

SCRIPTED, THIRD_PARTY, TRAINED = "scripted bots", "third-party bots", "trained agent"


class HumansAndBots(NamedTuple):
    """Users of the detectors' own source, and bots of every style under the conditions of all their movements."""

    humans: Canonical
    bots: Negatives

    @classmethod
    def of(cls, humans: Canonical, form: CanonicalConfig, seed: int) -> "HumansAndBots":
        """Return these users with bots made under their conditions."""
        return cls(humans, together([of_style(style, humans, form, seed) for style in BOTS]))

    def scored(self, detector: Detector) -> ScoredMovements:
        """Return both with the scores of a detector."""
        bots = self.bots.canonical
        return joined(
            ScoredMovements.of_users(detector.score(self.humans), self.humans.group, "recordings"),
            ScoredMovements.of_bots(detector.score(bots), bots.group, self.bots.style, self.bots.family, SCRIPTED),
        )


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Movements on which detectors are evaluated.

    Attributes:
        validation: For thresholds and temperature.
        held_out: For the metrics, together with:
        bots: Third-party bots, if there are any.
        users: Source -> users of it who are in no training or validation split.
        agent: Movements of an agent under the conditions of the held-out users, if there is one.
    """

    validation: HumansAndBots
    held_out: HumansAndBots
    bots: ThirdPartyBots | None
    users: Mapping[str, ExternalUsers]
    agent: AgentBots | None = None

    @classmethod
    def of(
        cls,
        splits: DataSplits,
        split: str,
        form: CanonicalConfig,
        seed: int,
        bots: str = "",
        users: str = "",
        agent: str = "",
    ) -> "EvaluationSet":
        """Return the users of `split`, those of the files `bots` and `users`, and the agent of a checkpoint.

        Raises:
            CheckpointError, ConfigError, RecordingError: A checkpoint or a file cannot be used.
        """
        known = {group for name in ("train", "validation") for group in splits[name].group}
        return cls(
            HumansAndBots.of(splits["validation"], form, seed),
            HumansAndBots.of(splits[split], form, seed),
            canonical_bots(read_bots(Path(bots)), form) if bots else None,
            read_users(Path(users), form, known) if users else {},
            read_agent(Path(agent).expanduser(), splits[split], form, seed) if agent else None,
        )

    def evaluate(
        self, detector: Detector, negatives: NegativesConfig, config: DetectorReportConfig
    ) -> DetectorEvaluation:
        """Evaluate a detector that was trained on these negatives."""
        held_out = joined(self.held_out.scored(detector), *self._external(detector))
        return evaluate_scores(
            self.validation.scored(detector), held_out, trained_on(negatives), config, RELATED_FAMILIES
        )

    @property
    def excluded(self) -> tuple[str, ...]:
        """A line per third-party style, agent and source of users with unusable movements, and the reasons."""
        bots = self.bots.dropped if self.bots is not None else {}
        agent = {TRAINED: self.agent.dropped} if self.agent is not None else {}
        users = {f"users of {source}": external.dropped for source, external in self.users.items()}
        counts = {
            name: [f"{n} {reason}" for reason, n in dropped.items() if n]
            for name, dropped in {**bots, **agent, **users}.items()
        }
        return tuple(f"{name}, excluded: {', '.join(reasons)}" for name, reasons in counts.items() if reasons)

    def _external(self, detector: Detector) -> Iterator[ScoredMovements]:
        """Yield third-party bots, an agent and users of other sources with their scores."""
        if self.bots is not None:
            movements = self.bots.canonical
            yield ScoredMovements.of_bots(
                detector.score(movements), movements.group, self.bots.style, self.bots.family, THIRD_PARTY
            )
        if self.agent is not None:
            made = self.agent.bots
            score = detector.score(made.canonical)
            yield ScoredMovements.of_bots(score, made.canonical.group, made.style, made.family, TRAINED)
        for source, external in self.users.items():
            yield ScoredMovements.of_users(detector.score(external.canonical), external.canonical.group, source)


def trained_on(negatives: NegativesConfig) -> tuple[str, ...]:
    """Return the families and kinds of negatives that a detector was trained on."""
    kinds = [kind for kind, share in negatives.shares.items() if share > 0 and kind != "bots"]
    return (*(negatives.families if negatives.bots > 0 else ()), *kinds)
