"""Evaluate a detector by its scores: every style of bot, the worst first, and every source of users.

There are two sets of scored movements. The thresholds are fitted on the validation users, the temperature on them and
as many of the validation bots; nothing else is taken from that set. All metrics are of the held-out set:

    bots      by style and by family: ROC-AUC, PR-AUC, F1 and equal error rate against the users of the validation
              source, and the TPR at each threshold; the style with the lowest TPR comes first
    users     by source and by user: the FPR at the same thresholds, and at one fitted on the source itself
    both      calibration before and after the temperature, on the users and as many bots; sessions

A family is `seen` if the detector was trained on it, `related` if it was trained on one of the same mechanism (someone
else's Bézier curve and our own), and `unseen` otherwise: the last ones show how a detector generalises.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from trainables.core.config import ConfigError, plain, require
from trainables.core.seeding import generator
from trainables.detector.evaluation.config import DetectorReportConfig
from trainables.detector.evaluation.per_source_thresholds import SourceThreshold, source_thresholds
from trainables.detector.evaluation.scored_movements import ScoredMovements, balanced, joined
from trainables.detector.evaluation.sessions import SessionEvaluator, SessionMetrics, with_sessions
from trainables.eval.detection.calibration import Reliability, Temperature, calibrate, reliability
from trainables.eval.detection.roc import DetectionMetrics, Threshold, detection_metrics, threshold_at_fpr
from trainables.eval.intervals.cluster_bootstrap import Proportion, proportion

SEEN, RELATED, UNSEEN = "seen", "related", "unseen"  # relation of a family to the training

R = TypeVar("R")


@dataclass(frozen=True)
class BotRow:
    """Metrics of the bots of a style or of a family.

    Attributes:
        training: Relation of the family to the training: `SEEN`, `RELATED` or `UNSEEN`.
        detected: TPR at each threshold, in their order.
    """

    name: str
    family: str
    source: str
    training: str
    metrics: DetectionMetrics
    detected: tuple[Proportion, ...]


@dataclass(frozen=True)
class UserRow:
    """FPR at each threshold, of the users of a source or of one user."""

    name: str
    source: str
    flagged: tuple[Proportion, ...]


@dataclass(frozen=True)
class Calibration:
    """Temperature, and reliability of held-out probabilities before and after it.

    Attributes:
        prior: Share of bots among the held-out movements of both tables: one half, if there are enough bots.
    """

    temperature: Temperature
    prior: float
    before: Reliability
    after: Reliability


@dataclass(frozen=True)
class DetectorEvaluation:
    """Metrics of one detector on one held-out set.

    Attributes:
        trained_on: Families of bots in the training.
        styles, families: Lowest TPR first.
        sources, users: Highest FPR first.
        source_thresholds: One per source of users other than that of the thresholds.
    """

    trained_on: tuple[str, ...]
    level: float
    thresholds: tuple[Threshold, ...]
    styles: tuple[BotRow, ...]
    families: tuple[BotRow, ...]
    sources: tuple[UserRow, ...]
    users: tuple[UserRow, ...]
    source_thresholds: tuple[SourceThreshold, ...]
    calibration: Calibration
    sessions: SessionMetrics

    def worst(self, training: str = UNSEEN) -> BotRow | None:
        """Return the family with the lowest TPR among those of a relation to the training; None if there is none."""
        return next((row for row in self.families if row.training == training), None)

    def to_json(self) -> dict[str, Any]:
        """Return a plain mapping; `from_json` inverts it."""
        return plain(self)

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> "DetectorEvaluation":
        """Return the evaluation of a plain mapping. Raises ConfigError for any other mapping."""
        return from_plain(cls, content)


def from_plain(cls: type[R], content: Mapping[str, Any]) -> R:
    """Return the record of a plain mapping; the inverse of `trainables.core.config.plain`.

    Raises:
        ConfigError: A key is missing or unknown, or a value is of another type, as in a file of another version.
    """
    try:
        record = TypeAdapter(cls).validate_python(content)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise ConfigError(f"not a {cls.__name__} of this version: {place}: {first['msg']}") from None
    if plain(record) != content:
        raise ConfigError(f"not a {cls.__name__} of this version: it has unknown keys or values of another type")
    return record


def evaluate_scores(
    validation: ScoredMovements,
    held_out: ScoredMovements,
    trained_on: Collection[str],
    config: DetectorReportConfig,
    related: Mapping[str, Collection[str]] | None = None,
) -> DetectorEvaluation:
    """Evaluate a detector by its scores.

    Args:
        trained_on: Families of bots in the training.
        related: Family -> families of the same mechanism.

    Raises:
        ConfigError: A set without users or bots, a user in both sets, or no held-out user of a source of the
            validation users.
    """
    humans = _compared(validation, held_out)
    thresholds = tuple(threshold_at_fpr(validation.humans().score, fpr) for fpr in config.fprs)
    fitted_on = balanced(validation, generator(config.seed, "balance"))
    temperature = calibrate(fitted_on.score, fitted_on.is_bot)
    rows = _Rows(humans, thresholds, tuple(sorted(trained_on)), related or {}, config)
    styles = rows.of_bots(held_out.bots(), "style")
    fused = with_sessions((row.name for row in styles), held_out.bots(), config.movements[-1])[:1]
    return DetectorEvaluation(
        rows.trained_on,
        config.bootstrap.level,
        thresholds,
        styles=styles,
        families=rows.of_bots(held_out.bots(), "family"),
        sources=rows.of_users(held_out.humans(), "source"),
        users=rows.of_users(held_out.humans(), "group"),
        source_thresholds=source_thresholds(held_out, thresholds[0], set(humans.source), config.bootstrap, config.seed),
        calibration=_calibration(temperature, joined(humans, held_out.bots()), config),
        sessions=SessionEvaluator(temperature, config.fprs[0], config.bootstrap, config.seed)(
            validation, joined(humans, held_out.bots()), config.movements, fused
        ),
    )


def _compared(validation: ScoredMovements, held_out: ScoredMovements) -> ScoredMovements:
    """Return the held-out users with whom bots are compared: those of the sources of the validation users."""
    for name, movements in (("validation", validation), ("held-out", held_out)):
        for kind, rows in (("users", movements.humans()), ("bots", movements.bots())):
            require(len(rows) > 0, f"`{name} {kind} >= 1`", "0")
    both = set(validation.humans().group) & set(held_out.humans().group)
    require(not both, "no user in both the validation and the held-out set", ", ".join(sorted(both)[:3]))
    sources = set(validation.humans().source)
    humans = held_out.humans().where("source", sources)
    got = f"{', '.join(sorted(set(held_out.humans().source)))}"
    require(len(humans) > 0, f"held-out users of {', '.join(sorted(sources))}", got)
    return humans


def _calibration(temperature: Temperature, compared: ScoredMovements, config: DetectorReportConfig) -> Calibration:
    """Return the reliability of users and as many bots, before and after the temperature."""
    compared = balanced(compared, generator(config.seed, "balance"))
    is_bot = compared.is_bot
    prior, bins = is_bot.double().mean().item(), min(config.bins, len(compared))
    identity = Temperature(1.0, temperature.prior, temperature.nll_before, temperature.nll_before)
    before, after = (
        reliability(by(compared.score, prior), is_bot, bins, generator(config.seed, "labels"))
        for by in (identity, temperature)
    )
    return Calibration(temperature, prior, before, after)


@dataclass(frozen=True)
class _Rows:
    """Builds the rows of an evaluation, all against the same users and at the same thresholds."""

    against: ScoredMovements
    thresholds: tuple[Threshold, ...]
    trained_on: tuple[str, ...]
    related: Mapping[str, Collection[str]]
    config: DetectorReportConfig

    def of_bots(self, bots: ScoredMovements, column: str) -> tuple[BotRow, ...]:
        """Return a row per name in `column`, lowest TPR first; then by area, then by name."""
        rows = [self._row(name, bots.where(column, [name])) for name in sorted(set(getattr(bots, column)))]
        return tuple(sorted(rows, key=lambda row: (row.detected[0].value, row.metrics.auc.value, row.name)))

    def of_users(self, humans: ScoredMovements, column: str) -> tuple[UserRow, ...]:
        """Return a row per name in `column`, highest FPR first; then by name."""
        names = sorted({*zip(getattr(humans, column), humans.source, strict=True)})
        rows = []
        for name, source in names:
            chosen = humans.where(column, [name]).where("source", [source])
            rows.append(UserRow(name, source, self._above(chosen)))
        return tuple(sorted(rows, key=lambda row: (-row.flagged[0].value, row.name)))

    def _row(self, name: str, bots: ScoredMovements) -> BotRow:
        both = joined(self.against, bots)
        metrics = detection_metrics(
            both.score,
            both.is_bot,
            both.group,
            self.thresholds[0].value,
            self.config.bootstrap,
            generator(self.config.seed, "bots"),  # the same resampled users in every row
        )
        family, source = bots.family[0], ", ".join(sorted(set(bots.source)))
        return BotRow(name, family, source, self._training(family), metrics, self._above(bots))

    def _above(self, movements: ScoredMovements) -> tuple[Proportion, ...]:
        """Return the proportion of these rows above each threshold."""
        settings = self.config.bootstrap
        streams = (generator(self.config.seed, "shares") for _ in self.thresholds)
        return tuple(
            proportion(movements.score > threshold.value, movements.group, settings, random)
            for threshold, random in zip(self.thresholds, streams, strict=True)
        )

    def _training(self, family: str) -> str:
        if family in self.trained_on:
            return SEEN
        return RELATED if set(self.related.get(family, ())) & set(self.trained_on) else UNSEEN
