"""Properties of the easing curves: from 0 to 1 without a step back, at the speeds of their names."""

import pytest
import torch

from tests.trainables.detector.bots.conditions import seeded
from trainables.detector.bots.easing import CURVED, EASINGS, eased

U = torch.linspace(0.0, 1.0, 2001, dtype=torch.float64)
easings = pytest.mark.parametrize("name", list(EASINGS))


@easings
def test_an_easing_rises_from_0_to_1_monotonically(name: str) -> None:
    s = EASINGS[name](U)
    assert (float(s[0]), float(s[-1])) == pytest.approx((0.0, 1.0), abs=1e-15)
    assert bool((s.diff() >= 0).all())
    assert float(s.diff().max()) < 0.01  # no jump


@easings
def test_an_easing_is_slow_at_the_end_of_its_name(name: str) -> None:
    start, end = (
        float(part.sum() / U[1]) / 10 for part in (EASINGS[name](U).diff()[:10], EASINGS[name](U).diff()[-10:])
    )
    assert (start < 0.05) == name.endswith(("_in", "_in_out"))
    assert (end < 0.05) == name.endswith("_out")


def test_in_out_easings_are_symmetric() -> None:
    for name in [n for n in EASINGS if n.endswith("in_out")]:
        s = EASINGS[name](U)
        torch.testing.assert_close(s + s.flip(0), torch.ones_like(s), rtol=0.0, atol=1e-14)


def test_each_row_has_one_easing_and_all_are_sampled() -> None:
    """Of 200 rows none of 7 curves is missed (probability 3e-13)."""
    rows = eased(U.expand(200, -1), CURVED, seeded())
    curves = torch.stack([EASINGS[name](U) for name in CURVED])
    match = (rows[:, None] - curves).abs().amax(dim=2) < 1e-12
    assert bool((match.sum(dim=1) == 1).all())
    assert bool(match.any(dim=0).all())
