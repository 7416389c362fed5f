"""Evaluate sessions: metrics of n fused movements, and of n independent ones for comparison."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.core.seeding import generator
from trainables.detector.evaluation.scored_movements import ScoredMovements, joined
from trainables.eval.detection.calibration import Temperature, log_odds
from trainables.eval.detection.roc import CHUNK, threshold_at_fpr
from trainables.eval.detection.session_fusion import FusedScores, fuse, intraclass_correlation, shuffle_within
from trainables.eval.intervals.cluster_bootstrap import (
    Estimate,
    Proportion,
    cluster_weights,
    estimate,
    proportion,
)
from trainables.eval.intervals.config import BootstrapConfig
from trainables.eval.roc_curve import curve, roc_auc

ALL = "all bots"
SHUFFLES = 20  # of movements over sessions: the mean of their areas is that of independent movements


@dataclass(frozen=True)
class SessionRow:
    """Metrics of sessions of n movements, scored by the sum of their log odds.

    Attributes:
        bots: A style of bots, or `ALL`.
        humans_unused, bots_unused: Number of movements without a session score.
        auc_if_independent: ROC-AUC with the movements of users, and those of bots, shuffled over their sessions.
        flagged, detected: FPR and TPR at the threshold that is fitted on sessions of validation users; None if there
            are no such sessions.
    """

    bots: str
    n: int
    humans_unused: int
    bots_unused: int
    auc: Estimate
    auc_if_independent: float
    flagged: Proportion | None
    detected: Proportion | None


@dataclass(frozen=True)
class SessionMetrics:
    """Metrics of fused sessions, and the dependence of their movements.

    Attributes:
        prior: Share of bots at which the probabilities are calibrated.
        fpr: Target FPR of the thresholds.
        human_correlation, bots_correlation: Share of the variance of the log odds that lies between sessions; None
            if no session has two movements.
    """

    prior: float
    fpr: float
    rows: tuple[SessionRow, ...]
    human_correlation: float | None
    bots_correlation: float | None


@dataclass(frozen=True)
class SessionEvaluator:
    """Evaluates fused movements, calibrated by a temperature."""

    temperature: Temperature
    fpr: float
    bootstrap: BootstrapConfig
    seed: int

    def __call__(
        self,
        validation: ScoredMovements,
        held_out: ScoredMovements,
        movements: Sequence[int],
        styles: Iterable[str] = (),
    ) -> SessionMetrics:
        """Return the metrics of all bots, and of these styles, at each number of movements that has sessions."""
        humans, bots = held_out.humans(), held_out.bots()
        by_name = {ALL: bots, **{style: bots.where("style", [style]) for style in styles}}
        rows = [
            self._row(name, n, validation.humans(), humans, some) for name, some in by_name.items() for n in movements
        ]
        return SessionMetrics(
            self.temperature.prior,
            self.fpr,
            tuple(row for row in rows if row is not None),
            *map(self._correlation, (humans, bots)),
        )

    def _row(
        self, name: str, n: int, validation: ScoredMovements, humans: ScoredMovements, bots: ScoredMovements
    ) -> SessionRow | None:
        """Return the metrics of sessions of `n` movements; None if users or bots have no session as long."""
        of_humans, of_bots = self._fuse(humans, n), self._fuse(bots, n)
        if not len(of_humans.log_odds) or not len(of_bots.log_odds):
            return None
        scores, is_bot = _together(of_humans, of_bots)
        groups = [*_groups(humans, of_humans), *_groups(bots, of_bots)]
        return SessionRow(
            bots=name,
            n=n,
            humans_unused=of_humans.unused,
            bots_unused=of_bots.unused,
            auc=self._area(scores, is_bot, groups, n),
            auc_if_independent=self._area_if_independent(humans, bots, n),
            **self._rates(self._fuse(validation, n), scores, is_bot, groups, n),
        )

    def _fuse(self, movements: ScoredMovements, n: int) -> FusedScores:
        return fuse(self.temperature(movements.score), movements.session, n, self.temperature.prior)

    def _area(self, scores: Float[Tensor, "M"], is_bot: Bool[Tensor, "M"], groups: Sequence[str], n: int) -> Estimate:
        weights = cluster_weights(groups, is_bot, self.bootstrap.replicates, generator(self.seed, "sessions", n))
        areas = [roc_auc(curve(scores, is_bot, some)) for some in weights.split(CHUNK)]
        return estimate(torch.cat(areas), self.bootstrap.level)

    def _rates(
        self,
        validation: FusedScores,
        scores: Float[Tensor, "M"],
        is_bot: Bool[Tensor, "M"],
        groups: Sequence[str],
        n: int,
    ) -> dict[str, Proportion | None]:
        """Return FPR and TPR at the threshold of the validation users' sessions."""
        if not len(validation.log_odds):
            return {"flagged": None, "detected": None}
        above = scores > threshold_at_fpr(validation.log_odds, self.fpr).value
        rates: dict[str, Proportion | None] = {}
        for name, stream, rows in (("flagged", "accused", ~is_bot), ("detected", "caught", is_bot)):
            owners = [group for group, chosen in zip(groups, rows.tolist(), strict=True) if chosen]
            rates[name] = proportion(above[rows], owners, self.bootstrap, generator(self.seed, stream, n))
        return rates

    def _area_if_independent(self, humans: ScoredMovements, bots: ScoredMovements, n: int) -> float:
        """Return the mean ROC-AUC with the movements of users, and those of bots, shuffled over their sessions."""
        both, random, areas = joined(humans, bots), generator(self.seed, "deals", n), []
        kinds = ["bot" if bot else "human" for bot in both.is_bot.tolist()]
        for _ in range(SHUFFLES):
            shuffled = replace(both, score=shuffle_within(both.score, kinds, random))
            scores, is_bot = _together(*(self._fuse(some, n) for some in (shuffled.humans(), shuffled.bots())))
            areas.append(roc_auc(curve(scores, is_bot, torch.ones(1, len(scores), dtype=torch.float64))).item())
        return sum(areas) / SHUFFLES

    def _correlation(self, movements: ScoredMovements) -> float | None:
        if not 1 < len(set(movements.session)) < len(movements):
            return None
        return intraclass_correlation(log_odds(self.temperature(movements.score)), movements.session)


def with_sessions(styles: Iterable[str], bots: ScoredMovements, n: int) -> list[str]:
    """Return the styles that have a session of at least `n` movements."""
    sizes = Counter(zip(bots.style, bots.session, strict=True))
    long = {style for (style, _), size in sizes.items() if size >= n}
    return [style for style in styles if style in long]


def _groups(movements: ScoredMovements, fused: FusedScores) -> list[str]:
    """Return the group of each session: that of its first movement, since a session has one user."""
    return [movements.group[row] for row in fused.rows[:, 0].tolist()]


def _together(humans: FusedScores, bots: FusedScores) -> tuple[Float[Tensor, "M"], Bool[Tensor, "M"]]:
    """Return the session scores of users, then of bots, and the mask of bots."""
    scores = torch.cat([humans.log_odds, bots.log_odds])
    return scores, torch.arange(len(scores)) >= len(humans.log_odds)
