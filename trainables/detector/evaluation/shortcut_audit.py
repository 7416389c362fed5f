"""Shortcut audit: separability of bots and users by nuisance features, before and after canonicalisation.

A detector that reads the recorder's clock instead of the movement fails against a bot with another clock. So a probe is
fitted to nuisance features alone, over folds by user, and its ROC-AUC is expected near one half:

    raw         of recordings: intervals between events, whole milliseconds and pixels, events per second, repeated
                points. They reveal bots before canonicalisation, which is there to remove them.
    canonical   what remains visible of them in the canonical form. Expected near one half.
    condition   duration, distance and direction. Not a nuisance, but not movement either: bots that are to be detected
                by their movement are made under the conditions of users, and then these are near one half as well.

`nuisance_features` defines which features are nuisances and which belong to the movement.
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
from trainables.data.readers.recordings import Recording
from trainables.detector.evaluation.nuisance_features import (
    CANONICAL,
    CONDITIONS,
    RAW,
    canonical_nuisances,
    conditions,
    raw_nuisances,
)
from trainables.detector.evaluation.tables import NONE, Table, interval
from trainables.eval.features.feature_tables import CONSTANT, as_pair
from trainables.eval.intervals.cluster_bootstrap import Estimate, cluster_weights, estimate
from trainables.eval.intervals.config import BootstrapConfig
from trainables.eval.roc_curve import curve, roc_auc
from trainables.eval.two_sample.probes import PROBES

FOLDS = 5  # by user, and by the points of a bot's movement
PROBE = "forest"  # finds thresholds and combinations, and spreads over all informative columns
NEAR = 0.10  # a ROC-AUC up to one half plus this counts as near one half; its s.d. is 0.03 at 300 and 300 rows


@dataclass(frozen=True)
class Exposure:
    """Separability of bots and users by one kind of features.

    Attributes:
        auc: Held-out ROC-AUC of the probe on all features, over pairs within a fold; one half if none varies.
        by_feature: Feature -> ROC-AUC of that feature alone, in the direction that gives more; largest first.
        constant: Names of the features that do not vary.
    """

    auc: Estimate
    by_feature: Mapping[str, float]
    constant: tuple[str, ...]

    @property
    def is_near_half(self) -> bool:
        """Whether the probe does not separate bots from users."""
        return self.auc.value <= 0.5 + NEAR


@dataclass(frozen=True)
class Audit:
    """Separability of bots and users by each kind of features.

    Attributes:
        humans, bots: Number of movements.
        raw: Of the recordings of users and third-party bots; None without enough of them.
    """

    humans: int
    bots: int
    raw: Exposure | None
    canonical: Exposure
    condition: Exposure

    @property
    def passed(self) -> bool:
        """Whether nuisances in the canonical form do not separate bots from users."""
        return self.canonical.is_near_half

    @property
    def finding(self) -> str:
        """A line per kind of features, a failure first."""
        lines = [self._of_canonical()]
        if not self.condition.is_near_half:
            lines.append(
                f"conditions alone separate bots from users ({_summary(self.condition)}): metrics may be due to them"
            )
        if self.raw is not None:
            lines.append(f"raw recordings: {_summary(self.raw)}")
        return "\n".join(lines)

    def to_json(self) -> dict[str, object]:
        """Return a plain mapping, with the finding."""
        return {**plain(self), "passed": self.passed, "finding": self.finding}

    def table(self) -> Table:
        """Return a table with a row per kind of features."""
        kinds = {"raw recordings": self.raw, "canonical form": self.canonical, "conditions": self.condition}
        lines = [(kind, *_cells(exposure)) for kind, exposure in kinds.items() if exposure is not None]
        return Table(f"Shortcut audit ({self.humans} movements of users, {self.bots} of bots)", _COLUMNS, tuple(lines))

    def _of_canonical(self) -> str:
        if self.passed:
            return f"passed: nuisances in the canonical form are near one half ({_summary(self.canonical)})"
        return (
            f"FAILED: nuisances in the canonical form separate bots from users ({_summary(self.canonical)}); a "
            "detector can use these instead of the movement, so its metrics on these bots are no evidence"
        )


def audit(
    humans: Canonical,
    bots: Canonical,
    form: CanonicalConfig,
    config: BootstrapConfig,
    seed: int,
    raw: tuple[Sequence[Recording], Sequence[Recording]] | None = None,
    folds: int = FOLDS,
) -> Audit:
    """Audit bots against users.

    Args:
        form: Canonical form of both.
        raw: Recordings of users and of bots, if there are any; the fields `user` are the groups.

    Raises:
        ConfigError: Fewer groups than folds, or a fold without users or without bots.
    """

    def expose(tables: tuple[Tensor, Tensor], names: Sequence[str], groups: tuple[Sequence[str], ...]) -> Exposure:
        return exposure(*tables, names, *groups, config=config, seed=seed, folds=folds)

    owners = humans.group, bots.group
    recorded = None
    if raw is not None:
        users = tuple([recording.user for recording in part] for part in raw)
        recorded = expose((raw_nuisances(raw[0]), raw_nuisances(raw[1])), tuple(RAW), users)
    return Audit(
        len(humans),
        len(bots),
        recorded,
        expose((canonical_nuisances(humans, form), canonical_nuisances(bots, form)), tuple(CANONICAL), owners),
        expose((conditions(humans), conditions(bots)), CONDITIONS, owners),
    )


def exposure(
    humans: Float[Tensor, "N F"],
    bots: Float[Tensor, "M F"],
    names: Sequence[str],
    human_groups: Sequence[str],
    bot_groups: Sequence[str],
    *,
    config: BootstrapConfig,
    seed: int,
    folds: int = FOLDS,
) -> Exposure:
    """Return the ROC-AUC of a probe over folds by group, with its interval, and that of each column alone.

    Raises ValueError for values that are not finite (naming row and column); ConfigError as `audit` does.
    """
    x = np.concatenate(as_pair(humans, bots, names))
    is_bot = torch.arange(len(x)) >= len(humans)
    groups = [*human_groups, *bot_groups]
    varies = x.std(axis=0) > CONSTANT * (1 + np.abs(x.mean(axis=0)))
    constant = tuple(name for name, does_vary in zip(names, varies.tolist(), strict=True) if not does_vary)
    one = torch.ones(1, len(x), dtype=torch.float64)
    alone = {name: _area(torch.from_numpy(x[:, k]), is_bot, one) for k, name in enumerate(names) if varies[k]}
    by_feature = dict(sorted(alone.items(), key=lambda item: (-item[1], item[0])))
    weights = cluster_weights(groups, is_bot, config.replicates, generator(seed, "audit"))
    if not varies.any():
        return Exposure(Estimate(0.5, 0.5, 0.5, config.replicates), by_feature, constant)
    areas = _areas_over_folds(x[:, varies], is_bot, groups, weights, seed, folds)
    return Exposure(estimate(areas, config.level), by_feature, constant)


def _areas_over_folds(
    x: np.ndarray,
    is_bot: Bool[Tensor, "N"],
    groups: Sequence[str],
    weights: Float[Tensor, "R N"],
    seed: int,
    folds: int,
) -> Float[Tensor, "R"]:
    """Return the ROC-AUC on held-out rows over pairs within a fold: scores of two fits are not comparable."""
    count = len(set(groups))
    if not 2 <= folds <= count:
        raise ConfigError(f"expected `2 <= folds <= groups`, but got folds={folds} and {count} groups")
    y, won, pairs = is_bot.numpy(), torch.zeros(len(weights), dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with threadpool_limits(limits=1):
        for number, (train, test) in enumerate(splitter.split(x, y, groups)):
            if not 0 < y[train].mean() < 1 or not 0 < y[test].mean() < 1:
                law, got = "humans and bots on both sides of each fold", f"one kind (fold {number} of {folds})"
                raise ConfigError(f"expected {law}, but got {got}; use fewer folds or more users")
            scores = PROBES[PROBE](seed).fit(x[train], y[train]).predict_proba(x[test])[:, 1]
            rates = curve(torch.from_numpy(scores), is_bot[test], weights[:, test])
            in_fold = rates.detected[:, -1] * rates.flagged[:, -1]
            won, pairs = won + torch.where(in_fold > 0, in_fold * roc_auc(rates), 0.0), pairs + in_fold
    return won / pairs


def _area(column: Float[Tensor, "N"], is_bot: Bool[Tensor, "N"], one: Float[Tensor, "R N"]) -> float:
    area = roc_auc(curve(column, is_bot, one)).item()
    return max(area, 1 - area)


_COLUMNS = ("", "ROC-AUC of the probe", "best feature", "its ROC-AUC", "constant")


def _cells(exposure: Exposure) -> tuple[str, ...]:
    name, alone = next(iter(exposure.by_feature.items()), (NONE, None))
    return interval(exposure.auc), name, NONE if alone is None else f"{alone:.3f}", str(len(exposure.constant))


def _summary(exposure: Exposure) -> str:
    """Return `ROC-AUC 0.930 [0.901, 0.951], held_share alone 0.81`."""
    first = next((f", {name} alone {value:.2f}" for name, value in exposure.by_feature.items()), "")
    return f"ROC-AUC {interval(exposure.auc)}{first}"
