"""What several movements of a session tell together: figures over n movements, and what independence would promise."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.core.seeding import generator
from trainables.detector.evaluation.scored_movements import Scored, joined
from trainables.eval.detection.calibration import Temperature, log_odds
from trainables.eval.detection.roc import CHUNK, curve, roc_auc, threshold_at_fpr
from trainables.eval.detection.session_fusion import Fused, dealt_anew, fused, intraclass_correlation
from trainables.eval.intervals.cluster_bootstrap import Estimate, Share, cluster_weights, estimate, share
from trainables.eval.intervals.config import BootstrapConfig

ALL = "all bots"
DEALS = 20  # of movements over sessions: the mean of their areas stands for independence


@dataclass(frozen=True)
class SessionRow:
    """Verdicts on n movements each, by the sum of their log odds.

    Attributes:
        bots: Which of them: a style, or all of them together.
        people_unused, bots_unused: Movements in no verdict.
        auc_if_independent: With the movements of people, and those of bots, dealt anew over their sessions.
        accused, caught: Above the threshold that was fixed on verdicts on validation people; None if there are none.
    """

    bots: str
    n: int
    people_unused: int
    bots_unused: int
    auc: Estimate
    auc_if_independent: float
    accused: Share | None
    caught: Share | None


@dataclass(frozen=True)
class SessionFigures:
    """Fusion, and how far the movements of a session are from independent.

    Attributes:
        prior: Share of bots that the probabilities are calibrated at.
        fpr: Target of the thresholds.
        people_correlation, bots_correlation: Share of the variance of the log odds that is the session's own; None
            where no session has two movements.
    """

    prior: float
    fpr: float
    rows: tuple[SessionRow, ...]
    people_correlation: float | None
    bots_correlation: float | None


@dataclass(frozen=True)
class SessionJudge:
    """Fuses movements with the temperature that calibrates them."""

    temperature: Temperature
    fpr: float
    bootstrap: BootstrapConfig
    seed: int

    def __call__(
        self, validation: Scored, held_out: Scored, movements: Sequence[int], styles: Iterable[str] = ()
    ) -> SessionFigures:
        """Figures of all bots, and of these styles, at each number of movements that both kinds have sessions of."""
        people, bots = held_out.people(), held_out.bots()
        named = {ALL: bots, **{style: bots.where("style", [style]) for style in styles}}
        found = [
            self._row(name, n, validation.people(), people, part) for name, part in named.items() for n in movements
        ]
        rows = tuple(row for row in found if row is not None)
        return SessionFigures(self.temperature.prior, self.fpr, rows, *map(self._correlation, (people, bots)))

    def _row(self, name: str, n: int, validation: Scored, people: Scored, bots: Scored) -> SessionRow | None:
        """Verdicts on `n` movements; None where people or bots have no session of as many."""
        of_people, of_bots = self._verdicts(people, n), self._verdicts(bots, n)
        if not len(of_people.log_odds) or not len(of_bots.log_odds):
            return None
        scores, is_bot = _together(of_people, of_bots)
        groups = [*_groups(people, of_people), *_groups(bots, of_bots)]
        return SessionRow(
            bots=name,
            n=n,
            people_unused=of_people.unused,
            bots_unused=of_bots.unused,
            auc=self._area(scores, is_bot, groups, n),
            auc_if_independent=self._area_if_independent(people, bots, n),
            **self._shares(self._verdicts(validation, n), scores, is_bot, groups, n),
        )

    def _verdicts(self, part: Scored, n: int) -> Fused:
        return fused(self.temperature(part.score), part.session, n, self.temperature.prior)

    def _area(self, scores: Float[Tensor, "M"], is_bot: Bool[Tensor, "M"], groups: Sequence[str], n: int) -> Estimate:
        weights = cluster_weights(groups, is_bot, self.bootstrap.replicates, generator(self.seed, "sessions", n))
        areas = [roc_auc(curve(scores, is_bot, part)) for part in weights.split(CHUNK)]
        return estimate(torch.cat(areas), self.bootstrap.level)

    def _shares(
        self, fixed_on: Fused, scores: Float[Tensor, "M"], is_bot: Bool[Tensor, "M"], groups: Sequence[str], n: int
    ) -> dict[str, Share | None]:
        """People accused and bots caught above the threshold of validation people's verdicts."""
        if not len(fixed_on.log_odds):
            return {"accused": None, "caught": None}
        above = scores > threshold_at_fpr(fixed_on.log_odds, self.fpr).value
        shares: dict[str, Share | None] = {}
        for name, kind in (("accused", ~is_bot), ("caught", is_bot)):
            owners = [group for group, one in zip(groups, kind.tolist(), strict=True) if one]
            shares[name] = share(above[kind], owners, self.bootstrap, generator(self.seed, name, n))
        return shares

    def _area_if_independent(self, people: Scored, bots: Scored, n: int) -> float:
        """Mean area with the movements of people, and those of bots, dealt anew over their sessions."""
        both, random, areas = joined(people, bots), generator(self.seed, "deals", n), []
        kinds = ["bot" if bot else "person" for bot in both.is_bot.tolist()]
        for _ in range(DEALS):
            dealt = replace(both, score=dealt_anew(both.score, kinds, random))
            scores, is_bot = _together(*(self._verdicts(part, n) for part in (dealt.people(), dealt.bots())))
            areas.append(roc_auc(curve(scores, is_bot, torch.ones(1, len(scores), dtype=torch.float64))).item())
        return sum(areas) / DEALS

    def _correlation(self, part: Scored) -> float | None:
        if not 1 < len(set(part.session)) < len(part):
            return None
        return intraclass_correlation(log_odds(self.temperature(part.score)), part.session)


def with_sessions(styles: Iterable[str], bots: Scored, n: int) -> list[str]:
    """Those of the styles that have a session of at least `n` movements."""
    sizes = Counter(zip(bots.style, bots.session, strict=True))
    long = {style for (style, _), size in sizes.items() if size >= n}
    return [style for style in styles if style in long]


def _groups(part: Scored, found: Fused) -> list[str]:
    """The group of each verdict: that of its first movement, since a session is of one group where groups matter."""
    return [part.group[row] for row in found.rows[:, 0].tolist()]


def _together(people: Fused, bots: Fused) -> tuple[Float[Tensor, "M"], Bool[Tensor, "M"]]:
    """Verdicts on people, then on bots, and which are which."""
    scores = torch.cat([people.log_odds, bots.log_odds])
    return scores, torch.arange(len(scores)) >= len(people.log_odds)
