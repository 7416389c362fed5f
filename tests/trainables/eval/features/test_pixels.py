"""Pixel features: the definitions on movements that are written out, the screen's direction, padding, refusals."""

import math

import pytest
import torch

from trainables.data.canonical import Canonical, encode, pack
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.eval.features.pixels import MOMENTS, PIXEL_FEATURES, pixel_features

FORM = CanonicalConfig("fixed_dt", 16)


def of(*steps: tuple[int, int], form: CanonicalConfig = FORM) -> dict[str, float]:
    """Features of one movement of these steps on the screen."""
    path = torch.tensor([(0, 0), *steps], dtype=torch.float64).cumsum(dim=0).numpy()
    [row] = pixel_features(encode(pack([path], ["one"]), form)).tolist()
    return dict(zip(PIXEL_FEATURES, row, strict=True))


STEPS = ((1, 0), (0, 0), (0, 0), (3, 3), (0, 7), (20, 5), (0, 0), (2, 1), (0, -1), (1, 1))


def test_the_grid_is_counted_on_the_screen() -> None:
    found = of(*STEPS)
    assert found["axis_share"] == pytest.approx(3 / 7)
    assert found["diagonal_share"] == pytest.approx(2 / 7)
    assert found["share_up_to_0_px"] == pytest.approx(3 / 10)
    assert found["share_up_to_1_px"] == pytest.approx(2 / 10)
    assert found["share_up_to_2_px"] == pytest.approx(1 / 10)  # (1, 1)
    assert found["share_up_to_4_px"] == pytest.approx(1 / 10)  # (2, 1)
    assert found["share_up_to_8_px"] == pytest.approx(2 / 10)  # (3, 3), (0, 7)
    assert found["share_up_to_16_px"] == 0
    assert found["share_above_16_px"] == pytest.approx(1 / 10)


def test_still_runs_and_ends_are_those_of_the_steps() -> None:
    found = of(*STEPS)
    assert found["longest_still_run"] == pytest.approx(2 / 10)
    assert found["still_runs"] == pytest.approx(2 / 10)
    assert found["log_first_step_1"] == pytest.approx(math.log(2))
    assert found["log_first_step_2"] == 0
    assert found["log_last_step_1"] == pytest.approx(math.log1p(math.sqrt(2)))
    assert found["log_last_step_2"] == pytest.approx(math.log(2))


def test_profiles_of_a_steady_straight_movement_are_lines() -> None:
    found = of(*[(5, 0)] * 10)
    for moment in range(1, MOMENTS + 1):
        assert found[f"along_{moment}"] == pytest.approx(moment / (MOMENTS + 1))
        assert found[f"aside_{moment}"] == pytest.approx(0)
        assert found[f"speed_{moment}"] == pytest.approx(math.log(2))


def test_a_turn_of_the_screen_changes_the_grid_and_not_the_profiles() -> None:
    straight, slanted = of(*[(5, 0)] * 10), of(*[(4, 3)] * 10)
    assert (straight["axis_share"], slanted["axis_share"]) == (1.0, 0.0)
    for name in PIXEL_FEATURES:
        if name.startswith(("along", "aside", "speed")):
            assert slanted[name] == pytest.approx(straight[name])


@pytest.fixture(scope="module")
def humans() -> Canonical:
    return load_splits(DataConfig())["validation"]


def test_recordings_have_finite_features_that_vary(humans: Canonical) -> None:
    table = pixel_features(humans)
    assert table.shape == (len(humans), len(PIXEL_FEATURES))
    assert bool(table.isfinite().all())
    assert bool((table.std(dim=0) > 0).all())


def test_padding_changes_nothing() -> None:
    assert of(*STEPS, form=CanonicalConfig("fixed_dt", 64)) == pytest.approx(of(*STEPS))


def test_too_few_steps_are_refused(humans: Canonical) -> None:
    few = humans.take(torch.tensor([0]))
    few.mask[0, 3:] = False
    with pytest.raises(ValueError, match="valid steps >= 4"):
        pixel_features(few)
