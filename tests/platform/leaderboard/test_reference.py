"""The reference of a leaderboard is a plain mapping in its files, and is read back from them."""

import json

from platform.leaderboard.reference import Reference
from trainables.eval.two_sample.null_band import NullBand


def test_a_reference_is_read_back_from_json() -> None:
    floors = {"features": 0.61, "pixels": 0.632, "convolutions": 0.7}
    reference = Reference(NullBand(mean=0.01, std=0.02, low=-0.03, high=0.05), floors, 5.24, "users")
    text = json.dumps(reference.to_json(), allow_nan=False)
    assert json.loads(text) == {
        "no_difference": {"mean": 0.01, "std": 0.02, "low": -0.03, "high": 0.05},
        "floors": floors,
        "effective_users": 5.24,
        "folds_by": "users",
    }
    assert Reference.from_json(json.loads(text)) == reference
