"""The shortcut audit: how well bots are told from people by what is no movement, before and after canonicalisation.

A detector that reads the recorder's clock instead of the hand is worth nothing against a bot that keeps another clock.
So a probe is given nuisances alone, over folds by person, and its area is to be near one half:

    raw         of recordings: intervals between events, whole milliseconds and pixels, events per second, repeated
                points. They give bots away before canonicalisation; that is what it is for.
    canonical   what of these can still be seen in the canonical form. To be near one half.
    condition   duration, distance and direction. No nuisance, but no movement either: bots that are to be told by how
                they move are made under the conditions of people, and these are then near one half too.

Which quantities are nuisances, and which belong to the movement, is told in `nuisances`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits
from torch import Tensor

from trainables.core.config import ConfigError, plain
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.data.recordings import Recording
from trainables.detector.evaluation.nuisance_features import (
    CANONICAL,
    CONDITIONS,
    RAW,
    canonical_nuisances,
    conditions,
    raw_nuisances,
)
from trainables.detector.evaluation.tables import NONE, Sheet, interval
from trainables.eval.detection.roc import curve, roc_auc
from trainables.eval.features.feature_tables import CONSTANT, as_pair
from trainables.eval.intervals.cluster_bootstrap import Estimate, cluster_weights, estimate
from trainables.eval.intervals.config import BootstrapConfig
from trainables.eval.two_sample.probes import PROBES

PROBE = "forest"  # finds thresholds and combinations; where many columns tell, it does not stake all on one of them
NEAR = 0.10  # an area up to one half and this much counts as near one half; its s.d. is 0.03 at 300 and 300 rows


@dataclass(frozen=True)
class Exposure:
    """How much one kind of nuisance gives away.

    Attributes:
        auc: Held-out area of the probe on all of them, over pairs within a fold; one half if none varies.
        by_feature: Name -> area of that one alone, in the direction in which it tells more; most telling first.
        constant: Names of those that are the same in all people and bots.
    """

    auc: Estimate
    by_feature: Mapping[str, float]
    constant: tuple[str, ...]

    @property
    def is_near_half(self) -> bool:
        """Whether the probe is as good as blind."""
        return self.auc.value <= 0.5 + NEAR


@dataclass(frozen=True)
class Audit:
    """What nuisances tell, of as many people's movements and bots' ones.

    Attributes:
        raw: Of the recordings; None where bots were never recorded.
    """

    people: int
    bots: int
    raw: Exposure | None
    canonical: Exposure
    condition: Exposure

    @property
    def passed(self) -> bool:
        """Whether nuisances in the canonical form tell nothing."""
        return self.canonical.is_near_half

    @property
    def finding(self) -> str:
        """One line on each kind, a failure first."""
        lines = [self._of_canonical()]
        if not self.condition.is_near_half:
            lines.append(
                f"conditions alone tell bots from people ({_told(self.condition)}): part of a high figure may be that"
            )
        if self.raw is not None:
            lines.append(f"raw recordings: {_told(self.raw)}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """A plain mapping, with the finding."""
        return {**plain(self), "passed": self.passed, "finding": self.finding}

    def sheet(self) -> Sheet:
        """A row per kind of nuisance."""
        kinds = {"raw recordings": self.raw, "canonical form": self.canonical, "conditions": self.condition}
        lines = [(kind, *_cells(found)) for kind, found in kinds.items() if found is not None]
        return Sheet(f"Shortcut audit ({self.people} people's movements, {self.bots} of bots)", _COLUMNS, tuple(lines))

    def _of_canonical(self) -> str:
        if self.passed:
            return f"passed: nuisances in the canonical form are near one half ({_told(self.canonical)})"
        return (
            f"FAILED: nuisances in the canonical form tell bots from people ({_told(self.canonical)}); a detector can "
            "read these instead of the movement, so its figures on these bots are no evidence"
        )


def audit(
    people: Canonical,
    bots: Canonical,
    form: CanonicalConfig,
    config: BootstrapConfig,
    seed: int,
    raw: tuple[Sequence[Recording], Sequence[Recording]] | None = None,
    folds: int = 5,
) -> Audit:
    """Audit bots against people.

    Args:
        form: That both are in.
        raw: Recordings of people and of bots, where there are any; their users are the groups.

    Raises:
        ConfigError: fewer groups than folds, or a fold that holds people or bots alone.
    """

    def expose(tables: tuple[Tensor, Tensor], names: Sequence[str], groups: tuple[Sequence[str], ...]) -> Exposure:
        return exposure(*tables, names, *groups, config=config, seed=seed, folds=folds)

    owners = people.group, bots.group
    recorded = None
    if raw is not None:
        users = tuple([recording.user for recording in part] for part in raw)
        recorded = expose((raw_nuisances(raw[0]), raw_nuisances(raw[1])), tuple(RAW), users)
    return Audit(
        len(people),
        len(bots),
        recorded,
        expose((canonical_nuisances(people, form), canonical_nuisances(bots, form)), tuple(CANONICAL), owners),
        expose((conditions(people), conditions(bots)), CONDITIONS, owners),
    )


def exposure(
    people: Float[Tensor, "N F"],
    bots: Float[Tensor, "M F"],
    names: Sequence[str],
    people_groups: Sequence[str],
    bot_groups: Sequence[str],
    *,
    config: BootstrapConfig,
    seed: int,
    folds: int = 5,
) -> Exposure:
    """The area of a probe over folds by group, with its interval, and that of each column alone.

    Raises ValueError for values that are not finite (naming row and column); ConfigError as `audit` does.
    """
    x = np.concatenate(as_pair(people, bots, names))
    is_bot = torch.arange(len(x)) >= len(people)
    groups = [*people_groups, *bot_groups]
    varies = x.std(axis=0) > CONSTANT * (1 + np.abs(x.mean(axis=0)))
    constant = tuple(name for name, told in zip(names, varies.tolist(), strict=True) if not told)
    one = torch.ones(1, len(x), dtype=torch.float64)
    alone = {name: _direct(torch.from_numpy(x[:, k]), is_bot, one) for k, name in enumerate(names) if varies[k]}
    telling = dict(sorted(alone.items(), key=lambda item: (-item[1], item[0])))
    weights = cluster_weights(groups, is_bot, config.replicates, generator(seed, "audit"))
    if not varies.any():
        return Exposure(Estimate(0.5, 0.5, 0.5, config.replicates), telling, constant)
    areas = _areas_over_folds(x[:, varies], is_bot, groups, weights, seed, folds)
    return Exposure(estimate(areas, config.level), telling, constant)


def _areas_over_folds(
    x: np.ndarray,
    is_bot: Bool[Tensor, "N"],
    groups: Sequence[str],
    weights: Float[Tensor, "R N"],
    seed: int,
    folds: int,
) -> Float[Tensor, "R"]:
    """Area of probes on rows they were not fitted to, over pairs within a fold: scores of two fits are not compared."""
    people = len(set(groups))
    if not 2 <= folds <= people:
        raise ConfigError(f"expected `2 <= folds <= groups`, but got folds={folds} and {people} groups")
    y, won, pairs = is_bot.numpy(), torch.zeros(len(weights), dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with threadpool_limits(limits=1):
        for number, (train, test) in enumerate(splitter.split(x, y, groups)):
            if not 0 < y[train].mean() < 1 or not 0 < y[test].mean() < 1:
                raise ConfigError(f"fold {number} of {folds} must hold people and bots; use fewer folds or more people")
            scores = PROBES[PROBE](seed).fit(x[train], y[train]).predict_proba(x[test])[:, 1]
            rates = curve(torch.from_numpy(scores), is_bot[test], weights[:, test])
            met = rates.caught[:, -1] * rates.accused[:, -1]
            won, pairs = won + torch.where(met > 0, met * roc_auc(rates), 0.0), pairs + met
    return won / pairs


def _direct(column: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"], one: Float[Tensor, "R N"]) -> float:
    area = roc_auc(curve(column, is_bot, one)).item()
    return max(area, 1 - area)


_COLUMNS = ("", "AUC of the probe", "most telling", "alone", "constant")


def _cells(found: Exposure) -> tuple[str, ...]:
    name, alone = next(iter(found.by_feature.items()), (NONE, None))
    return interval(found.auc), name, NONE if alone is None else f"{alone:.3f}", str(len(found.constant))


def _told(found: Exposure) -> str:
    """`AUC 0.930 (0.901-0.951), held_share alone 0.81`."""
    first = next((f", {name} alone {value:.2f}" for name, value in found.by_feature.items()), "")
    return f"AUC {interval(found.auc)}{first}"
