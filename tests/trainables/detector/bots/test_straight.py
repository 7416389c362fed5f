"""Properties of the straight bots: on the chord, and at the pace of their name."""

import torch

from tests.trainables.detector.bots.conditions import conditions, seeded
from trainables.detector.bots import BOTS
from trainables.detector.bots.bot import Following
from trainables.detector.bots.clock import no_rests
from trainables.detector.bots.straight import constant_speed, eased_speed

LIKE = conditions(*[(60, (1500, 700))] * 200)


def test_a_straight_bot_stays_within_a_pixel_of_the_chord() -> None:
    for style, straight in (("straight_constant", True), ("straight_eased", True), ("bezier_quadratic", False)):
        steps = BOTS[style].generate(LIKE, seeded()).steps_px
        x, y = steps.cumsum(dim=1).unbind(-1)
        across = (x * 700 - y * 1500).abs() / (1500**2 + 700**2) ** 0.5
        assert bool(across.max() < 0.75) == straight


def test_without_rests_a_constant_speed_is_kept_to_within_one_event() -> None:
    """An event comes at least every 30 ms or so: no position lags by more than 5 % of the way, which easings do."""
    share = torch.arange(1, 61) / 60
    for path, constant in ((constant_speed, True), (eased_speed, False)):
        x = Following(path, no_rests)(LIKE, seeded()).steps_px.cumsum(dim=1)[..., 0] / 1500
        lag = (x - share).abs().amax(dim=1)
        assert (float(lag.median()) < 0.05) == constant
