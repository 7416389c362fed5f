"""The pinned numbers; the tolerances leave room for another processor's rounding, not for another formula."""

import json

import pytest

from tests.golden.compute import FILE, STEPS, goldens

TOLERANCE = {"loss": 1e-3, "sample": 1e-2, "metrics": 2e-2}


def test_nothing_pinned_has_moved() -> None:
    pinned, found = json.loads(FILE.read_text()), goldens()
    assert set(pinned) == set(found) == set(TOLERANCE)
    for name, tolerance in TOLERANCE.items():
        assert found[name] == pytest.approx(pinned[name], rel=tolerance, abs=tolerance), name


def test_the_pinned_curve_falls() -> None:
    loss = json.loads(FILE.read_text())["loss"]
    assert len(loss) == STEPS
    assert sum(loss[-5:]) < sum(loss[:5])
