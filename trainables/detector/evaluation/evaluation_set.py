"""Whom detectors are judged on: people of two splits, bots of every style under their conditions, and those of others.

Thresholds and temperature are fixed on the validation people and the bots under their conditions; all figures are of
the people of another split and the bots under theirs, of bots of others' making and of people of other sources. A set
is made once, and every detector that is judged on it meets the same movements.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from trainables.core.config import require
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.data.dataset import DataSplits
from trainables.detector.api import Detector
from trainables.detector.bots import BOTS
from trainables.detector.config import NegativesConfig
from trainables.detector.dataset.external_bots import (
    KIN_FAMILIES,
    OthersBots,
    OthersPeople,
    canonical_bots,
    read_bots,
    read_people,
)
from trainables.detector.dataset.negatives import Negatives, of_style, together
from trainables.detector.evaluation.config import FiguresConfig
from trainables.detector.evaluation.report import DetectorJudgement, judge_scores
from trainables.detector.evaluation.scored_movements import Scored, joined

SIMPLE, OTHERS = "simple bots", "others' bots"
DETECTOR_SPLITS = ("test",)
REFUSED_SPLITS = {
    "validation": "the thresholds are fixed on the validation split",
    "holdout": "the holdout split is kept for the promotion",
}


class Sides(NamedTuple):
    """People of the detectors' own source, and bots of every style under the conditions of all of them."""

    people: Canonical
    bots: Negatives

    @classmethod
    def of(cls, people: Canonical, form: CanonicalConfig, seed: int) -> "Sides":
        """These people, and bots made for them."""
        return cls(people, together([of_style(style, people, form, seed) for style in BOTS]))

    def scored(self, detector: Detector) -> Scored:
        """Both, scored."""
        bots = self.bots.canonical
        return joined(
            Scored.of_people(detector.score(self.people), self.people.group, "recordings"),
            Scored.of_bots(detector.score(bots), bots.group, self.bots.style, self.bots.family, SIMPLE),
        )


@dataclass(frozen=True, eq=False)
class EvaluationSet:
    """Movements that detectors are judged on.

    Attributes:
        validation: What thresholds and temperature are fixed on.
        held_out: What the figures are of, and beside it:
        bots: Of others' making, where there are any.
        people: Source -> people of it, whom no detector knows.
    """

    validation: Sides
    held_out: Sides
    bots: OthersBots | None
    people: Mapping[str, OthersPeople]

    @classmethod
    def of(
        cls, splits: DataSplits, split: str, form: CanonicalConfig, seed: int, bots: str = "", people: str = ""
    ) -> "EvaluationSet":
        """The people of `split`, and those of the files that are named.

        Raises:
            ConfigError, RecordingError: what is wrong with the files, in one line.
        """
        known = {group for name in ("train", "validation") for group in splits[name].group}
        return cls(
            Sides.of(splits["validation"], form, seed),
            Sides.of(splits[split], form, seed),
            canonical_bots(read_bots(Path(bots)), form) if bots else None,
            read_people(Path(people), form, known) if people else {},
        )

    def judgement(self, detector: Detector, negatives: NegativesConfig, config: FiguresConfig) -> DetectorJudgement:
        """The judgement of a detector that was trained on these negatives."""
        held_out = joined(self.held_out.scored(detector), *self._others(detector))
        return judge_scores(self.validation.scored(detector), held_out, trained_on(negatives), config, KIN_FAMILIES)

    @property
    def left_out(self) -> tuple[str, ...]:
        """What of others' bots and people cannot be judged: how many, of whom, and why."""
        bots = self.bots.dropped if self.bots is not None else {}
        people = {f"people of {source}": part.dropped for source, part in self.people.items()}
        counted = {
            who: [f"{n} {reason}" for reason, n in dropped.items() if n] for who, dropped in {**bots, **people}.items()
        }
        return tuple(f"{who}, left out: {', '.join(reasons)}" for who, reasons in counted.items() if reasons)

    def _others(self, detector: Detector) -> Iterator[Scored]:
        """Bots and people of other sources, scored."""
        if self.bots is not None:
            movements = self.bots.canonical
            yield Scored.of_bots(detector.score(movements), movements.group, self.bots.style, self.bots.family, OTHERS)
        for source, people in self.people.items():
            yield Scored.of_people(detector.score(people.canonical), people.canonical.group, source)


def require_detector_split(split: str) -> None:
    """Raise ConfigError unless detectors are judged on `split`."""
    law = f"`split` in {{{', '.join(DETECTOR_SPLITS)}}}"
    require(split in DETECTOR_SPLITS, law, f"split={split}", REFUSED_SPLITS.get(split, ""))


def trained_on(negatives: NegativesConfig) -> tuple[str, ...]:
    """Families that a detector learned from."""
    kinds = [kind for kind, share in negatives.shares.items() if share > 0 and kind != "bots"]
    return (*(negatives.families if negatives.bots > 0 else ()), *kinds)
