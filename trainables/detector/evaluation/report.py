"""The judgement of a detector by its scores: every style of bot, worst first, and every source of people.

Two sets of scored movements come in. On the validation people the thresholds are fixed, and on them and as many of the
validation bots the temperature is fitted; nothing else is taken from there. All figures are of the held-out set:

    bots      by style and by family: areas, F1 and equal error rate against the people of the validation's own source,
              and the share caught above each threshold; the style of which fewest are caught comes first
    people    by source and by person: the share accused above the same thresholds, and above one of a source's own
    both      calibration before and after the temperature, of the people and as many bots; sessions

A family is `seen` if the detector was trained on it, `kin` if it was trained on one of the same mechanism (a Bézier
curve of one's own is kin to anybody's), and `new` else: of a detector it is the last that counts.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from trainables.core.config import plain, require
from trainables.core.seeding import generator
from trainables.detector.evaluation.config import FiguresConfig
from trainables.detector.evaluation.per_source_thresholds import OwnThreshold, own_thresholds
from trainables.detector.evaluation.scored_movements import Scored, balanced, joined
from trainables.detector.evaluation.sessions import SessionFigures, SessionJudge, with_sessions
from trainables.detector.records import from_plain
from trainables.eval.detection.calibration import Reliability, Temperature, calibrate, reliability
from trainables.eval.detection.roc import Detection, Threshold, detection, threshold_at_fpr
from trainables.eval.intervals.cluster_bootstrap import Share, share

SEEN, KIN, NEW = "seen", "kin", "new"  # what a family was to the training


@dataclass(frozen=True)
class BotRow:
    """Bots of a style or of a family against people.

    Attributes:
        training: `SEEN`, `KIN` or `NEW`.
        caught: Share above each threshold, in their order.
    """

    name: str
    family: str
    source: str
    training: str
    figures: Detection
    caught: tuple[Share, ...]


@dataclass(frozen=True)
class PeopleRow:
    """People of a source, or one of them: the share accused above each threshold."""

    name: str
    source: str
    accused: tuple[Share, ...]


@dataclass(frozen=True)
class Calibration:
    """The temperature, and how reliable held-out probabilities are without and with it.

    Attributes:
        prior: Share of bots among the held-out movements that both are told of: one half, if there are enough bots.
    """

    temperature: Temperature
    prior: float
    before: Reliability
    after: Reliability


@dataclass(frozen=True)
class DetectorJudgement:
    """All figures of one detector on one held-out set.

    Attributes:
        trained_on: Families of bots that it learned from.
        styles, families: Fewest caught first.
        sources, people: Most accused first.
        own_thresholds: Of the sources that the thresholds are not from.
    """

    trained_on: tuple[str, ...]
    level: float
    thresholds: tuple[Threshold, ...]
    styles: tuple[BotRow, ...]
    families: tuple[BotRow, ...]
    sources: tuple[PeopleRow, ...]
    people: tuple[PeopleRow, ...]
    own_thresholds: tuple[OwnThreshold, ...]
    calibration: Calibration
    sessions: SessionFigures

    def worst(self, training: str = NEW) -> BotRow | None:
        """The family of which fewest are caught among those that were `training` to the detector; None if none was."""
        return next((row for row in self.families if row.training == training), None)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping; `from_json` of it is the same judgement."""
        return plain(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "DetectorJudgement":
        """The judgement of a plain mapping. Raises ConfigError if it is none."""
        return from_plain(cls, content)


def judge_scores(
    validation: Scored,
    held_out: Scored,
    trained_on: Collection[str],
    config: FiguresConfig,
    kin: Mapping[str, Collection[str]] | None = None,
) -> DetectorJudgement:
    """Judge a detector by its scores.

    Args:
        trained_on: Families of bots.
        kin: Family -> families of the same mechanism.

    Raises:
        ConfigError: people or bots are missing, someone stands in both sets, or nobody in the held-out set is of a
            source of the validation people.
    """
    people = _compared(validation, held_out)
    thresholds = tuple(threshold_at_fpr(validation.people().score, fpr) for fpr in config.fprs)
    fitted_on = balanced(validation, generator(config.seed, "balance"))
    temperature = calibrate(fitted_on.score, fitted_on.is_bot)
    judge = _Judge(people, thresholds, tuple(sorted(trained_on)), kin or {}, config)
    styles = judge.bots(held_out.bots(), "style")
    fused = with_sessions((row.name for row in styles), held_out.bots(), config.movements[-1])[:1]
    return DetectorJudgement(
        judge.trained_on,
        config.bootstrap.level,
        thresholds,
        styles=styles,
        families=judge.bots(held_out.bots(), "family"),
        sources=judge.accused(held_out.people(), "source"),
        people=judge.accused(held_out.people(), "group"),
        own_thresholds=own_thresholds(held_out, thresholds[0], set(people.source), config.bootstrap, config.seed),
        calibration=_calibration(temperature, joined(people, held_out.bots()), config),
        sessions=SessionJudge(temperature, config.fprs[0], config.bootstrap, config.seed)(
            validation, joined(people, held_out.bots()), config.movements, fused
        ),
    )


def _compared(validation: Scored, held_out: Scored) -> Scored:
    """The held-out people whom bots are compared with: those of the sources that the thresholds are from."""
    for name, part in (("validation", validation), ("held-out", held_out)):
        for kind, rows in (("people", part.people()), ("bots", part.bots())):
            require(len(rows) > 0, f"`{name} {kind} >= 1`", "0")
    both = set(validation.people().group) & set(held_out.people().group)
    require(not both, "nobody in both the validation and the held-out set", ", ".join(sorted(both)[:3]))
    sources = set(validation.people().source)
    people = held_out.people().where("source", sources)
    got = f"{', '.join(sorted(set(held_out.people().source)))}"
    require(len(people) > 0, f"held-out people of {', '.join(sorted(sources))}", got)
    return people


def _calibration(temperature: Temperature, compared: Scored, config: FiguresConfig) -> Calibration:
    """Reliability of people and as many bots, without and with the temperature."""
    compared = balanced(compared, generator(config.seed, "balance"))
    is_bot = compared.is_bot
    prior, bins = is_bot.double().mean().item(), min(config.bins, len(compared))
    untouched = Temperature(1.0, temperature.prior, temperature.nll_before, temperature.nll_before)
    before, after = (
        reliability(by(compared.score, prior), is_bot, bins, generator(config.seed, "labels"))
        for by in (untouched, temperature)
    )
    return Calibration(temperature, prior, before, after)


@dataclass(frozen=True)
class _Judge:
    """Rows of a judgement, all against the same people and above the same thresholds."""

    against: Scored
    thresholds: tuple[Threshold, ...]
    trained_on: tuple[str, ...]
    kin: Mapping[str, Collection[str]]
    config: FiguresConfig

    def bots(self, bots: Scored, column: str) -> tuple[BotRow, ...]:
        """A row per name in `column`, fewest caught first; then by area, then by name."""
        rows = [self._bots(name, bots.where(column, [name])) for name in sorted(set(getattr(bots, column)))]
        return tuple(sorted(rows, key=lambda row: (row.caught[0].value, row.figures.auc.value, row.name)))

    def accused(self, people: Scored, column: str) -> tuple[PeopleRow, ...]:
        """A row per name in `column`, most accused first; then by name."""
        names = sorted({*zip(getattr(people, column), people.source, strict=True)})
        rows = []
        for name, source in names:
            part = people.where(column, [name]).where("source", [source])
            rows.append(PeopleRow(name, source, self._above(part)))
        return tuple(sorted(rows, key=lambda row: (-row.accused[0].value, row.name)))

    def _bots(self, name: str, bots: Scored) -> BotRow:
        both = joined(self.against, bots)
        figures = detection(
            both.score,
            both.is_bot,
            both.group,
            self.thresholds[0].value,
            self.config.bootstrap,
            generator(self.config.seed, "bots"),  # the same draws of people in every row
        )
        family, source = bots.family[0], ", ".join(sorted(set(bots.source)))
        return BotRow(name, family, source, self._training(family), figures, self._above(bots))

    def _above(self, part: Scored) -> tuple[Share, ...]:
        """The share of these rows above each threshold."""
        settings = self.config.bootstrap
        draws = (generator(self.config.seed, "shares") for _ in self.thresholds)
        return tuple(
            share(part.score > threshold.value, part.group, settings, random)
            for threshold, random in zip(self.thresholds, draws, strict=True)
        )

    def _training(self, family: str) -> str:
        if family in self.trained_on:
            return SEEN
        return KIN if set(self.kin.get(family, ())) & set(self.trained_on) else NEW
