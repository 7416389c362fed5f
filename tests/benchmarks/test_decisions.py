"""The spreads that the simulated decisions rest on, measured where they are known."""

from pathlib import Path

import numpy as np
import pytest

from benchmarks.decisions import COMMON_USER, SIZES, Rows, Spread, both_sides, clustered, main, measured

KNOWN = Spread(0.1, 0.235, user=0.035, common=0.44)
MODELS = 24


def estimates(rng: np.random.Generator, spread: Spread, sizes: tuple[int, ...]) -> list[Rows]:
    """Return rows of as many models, each pair of which has the correlations of the two sides of a decision."""
    users, own = (
        np.sqrt(common) * rng.standard_normal(count) + np.sqrt(1 - common) * rng.standard_normal((MODELS, count))
        for count, common in ((len(sizes), COMMON_USER), (sum(sizes), spread.common))
    )
    rows = np.sqrt(spread.user) * np.repeat(users, sizes, axis=1) + np.sqrt(1 - spread.user) * own
    return list(spread.truth + spread.sd * rows)


def test_a_known_spread_is_measured() -> None:
    """Over 60 choices of users the medians are within a tenth; a choice alone scatters by a fifth (fixed seed)."""
    rng, sizes = np.random.default_rng(0), SIZES["validation"]
    found = [
        measured([clustered(rows, sizes) for rows in estimates(rng, KNOWN, sizes)], sizes, KNOWN.user)
        for _ in range(60)
    ]
    assert np.median([each.truth for each in found]) == pytest.approx(KNOWN.truth, abs=0.01)
    assert np.median([each.sd for each in found]) == pytest.approx(KNOWN.sd, rel=0.1)
    assert np.median([each.common for each in found]) == pytest.approx(KNOWN.common, abs=0.1)


def test_the_sides_of_a_decision_correlate_as_the_spread_says() -> None:
    a, b = both_sides(np.random.default_rng(0), 20_000, KNOWN.common)
    assert np.corrcoef(a, b)[0, 1] == pytest.approx(KNOWN.common, abs=0.03)


def test_one_checkpoint_has_no_difference(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--measure", str(tmp_path)]) == 2
    assert capsys.readouterr().err == "error: expected --measure with 2 checkpoints or more, but got 1; name another\n"
