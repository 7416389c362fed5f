"""What real movements read in the place of a model's, beside which a leaderboard stands; without torch."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from trainables.eval.two_sample.null_band import NullBand


@dataclass(frozen=True)
class Reference:
    """Scores of real movements under the same probes, folds, users and rows.

    Attributes:
        no_difference: Band of the headline where nothing but chance tells both sides apart.
        floors: Probe -> its AUC between the evaluated users and others of their source, the mean over sources.
        effective_users: Number of users of equal size that the evaluated movements stand for.
        folds_by: What is never split over folds: "users", "pairs", or "pairs or users" where sources differ in it.
    """

    no_difference: NullBand
    floors: Mapping[str, float]
    effective_users: float
    folds_by: str

    def to_json(self) -> dict[str, Any]:
        """Return a plain mapping; `from_json` inverts it."""
        return asdict(self)

    @classmethod
    def from_json(cls, plain: Mapping[str, Any]) -> "Reference":
        """Return the reference of a plain mapping."""
        return cls(**{**plain, "no_difference": NullBand(**plain["no_difference"])})
