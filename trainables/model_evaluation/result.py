"""Frozen record of an evaluation: each metric under new seeds, with and without each user, as plain JSON.

`trainables.eval.intervals.jackknife` turns these into intervals.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from trainables.core.config import ConfigError
from trainables.eval.generation.config import ONE_USER
from trainables.eval.intervals.jackknife import JackknifeEstimate
from trainables.training.manifest import CODE, code_sha256

RENAMED = {"part": "split", "figures": "metrics", "groups": "users"}  # keys of results written by older versions


@dataclass(frozen=True)
class SourceResult:
    """Two-sample tests of one of several sources.

    Attributes:
        users: Its users; a metric's `without` is in this order.
        movements: Number of its evaluated movements.
        kept: Share of its recorded movements that are usable.
        metrics: By the names of `trainables.training.metric_names`, means over seeds.
    """

    users: tuple[str, ...]
    movements: int
    effective_users: float
    kept: float
    metrics: Mapping[str, JackknifeEstimate]

    def to_json(self) -> dict[str, Any]:
        """Return a plain mapping; `from_json` inverts it."""
        return {**vars(self), "users": list(self.users), "metrics": _plain(self.metrics)}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "SourceResult":
        """Return the result of a plain mapping."""
        return cls(**{**plain, "users": tuple(plain["users"]), "metrics": _estimates(plain["metrics"])})


class MetricsBySeed(NamedTuple):
    """Metrics of one checkpoint on one split, seed by seed.

    Attributes:
        owners: User of each movement; for each seed, samples or bots are made under their conditions.
        seeds: The metrics under each seed.
        sources: Of several sources of a generator's split the tests of each.
    """

    owners: tuple[str, ...]
    seeds: tuple[Mapping[str, JackknifeEstimate], ...]
    sources: Mapping[str, SourceResult] = {}


@dataclass(frozen=True)
class EvaluationResult:
    """Metrics of one checkpoint on one split of the data, under new seeds.

    Attributes:
        checkpoint_sha256: Hash of its weights.
        kind: Name of its trainable.
        split: Split of the data whose hash is `data_sha256`.
        seeds: Seeds of what is sampled again (`trainables.metric_registry`): a generator's noise, a
            detector's bots; metrics are means over them.
        users: Users who made the movements; a metric's `without` is in this order.
        movements: Number of the users' movements; for each seed, samples or bots are made under their conditions.
        metrics: By the names of `trainables.training.metric_names`; only those computed under every seed.
        by_seed: The same metrics, one value per seed.
        effective_users: Number of users of equal size that the movements stand for; None in results of older versions.
        largest_share: Share of the movements of the user with most; None in results of older versions.
        sources: Of several sources of a generator's split the tests of each; `metrics` are means over them.
        code_sha256: Hash of the code that sampled the movements and computed the metrics: all of `trainables`.
    """

    checkpoint_sha256: str
    kind: str
    split: str
    data_sha256: str
    seeds: tuple[int, ...]
    users: tuple[str, ...]
    movements: int
    metrics: Mapping[str, JackknifeEstimate]
    by_seed: Mapping[str, tuple[float, ...]]
    effective_users: float | None = None
    largest_share: float | None = None
    sources: Mapping[str, SourceResult] = field(default_factory=dict)
    code_sha256: str = field(default_factory=lambda: code_sha256(CODE))

    @property
    def basis(self) -> str:
        """What the metrics rest on, in words: movements, users, and how many of equal size these stand for."""
        effective = "" if self.effective_users is None else f" ({self.effective_users:.1f} effective)"
        return f"{self.movements} movements of {len(self.users)} users{effective}"

    @property
    def warning(self) -> str:
        """Why the metrics rest on one user; empty where none has more than a third of the movements."""
        if self.largest_share is None or self.largest_share <= ONE_USER:
            return ""
        share = f"{100 * self.largest_share:.0f} % of the movements of the {self.split} split are of one user"
        return f"{share}; give recordings of more users, or fewer of that one"

    @property
    def is_of_today(self) -> bool:
        """Whether the running code is the code that computed the metrics."""
        return self.code_sha256 == code_sha256(CODE)

    def to_json(self) -> dict[str, Any]:
        """Return a plain mapping; `from_json` inverts it."""
        lists = {"seeds": list(self.seeds), "users": list(self.users)}
        by_seed = {name: list(values) for name, values in self.by_seed.items()}
        sources = {source: result.to_json() for source, result in self.sources.items()}
        return {**vars(self), **lists, "metrics": _plain(self.metrics), "by_seed": by_seed, "sources": sources}

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "EvaluationResult":
        """Return the result of a plain mapping, also of one with the keys of older versions.

        A mapping without `code_sha256` was computed by unknown code.

        Raises:
            ConfigError: The mapping is no evaluation result.
        """
        try:
            content = {RENAMED.get(key, key): value for key, value in plain.items()}
            found = {
                "metrics": _estimates(content["metrics"]),
                "sources": {name: SourceResult.from_json(one) for name, one in content.get("sources", {}).items()},
            }
            tuples = {"seeds": tuple(content["seeds"]), "users": tuple(content["users"])}
            by_seed = {name: tuple(values) for name, values in content["by_seed"].items()}
            return cls(**{"code_sha256": "", **content, **tuples, **found, "by_seed": by_seed})
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not an evaluation result ({type(error).__name__}: {error})") from None


def _plain(metrics: Mapping[str, JackknifeEstimate]) -> dict[str, Any]:
    return {
        name: {"value": metric.value, "without": list(metric.without), "draws": list(metric.draws)}
        for name, metric in metrics.items()
    }


def _estimates(plain: Mapping[str, Any]) -> dict[str, JackknifeEstimate]:
    """Return the metrics of a plain mapping; those of older versions are without the values of the draws."""
    return {
        name: JackknifeEstimate(float(one["value"]), tuple(one["without"]), tuple(one.get("draws", ())))
        for name, one in plain.items()
    }
