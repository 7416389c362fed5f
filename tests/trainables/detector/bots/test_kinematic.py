"""Properties of the bots that imitate motor control: the pure profile, the settings of the noisy one, the strokes."""

import torch

from tests.trainables.detector.bots.conditions import conditions, seeded
from trainables.data.canonical import Canonical
from trainables.detector.bots.kinematic import FINENESS, OPERATORS, lognormal, noisy, smoothest
from trainables.physical.minimum_jerk import MinimumJerk

U = torch.linspace(0.0, 1.0, 81, dtype=torch.float64)
ENDS = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)


def condition(rows: int) -> Canonical:
    return conditions(*[(40, (500, -200))] * rows)


def test_paths_start_and_end_on_the_chord() -> None:
    for path in (noisy, smoothest, lognormal):
        made = path(condition(64), U.expand(64, -1), seeded())
        torch.testing.assert_close(made[:, [0, -1]], ENDS.expand(64, -1, -1), rtol=0.0, atol=1e-9)


def test_the_pure_movement_is_the_minimum_jerk_polynomial() -> None:
    made = smoothest(condition(1), U[None], seeded())[0]
    for u, (x, y) in zip(U.tolist(), made.tolist(), strict=True):
        assert abs(x - (10 * u**3 - 15 * u**4 + 6 * u**5)) < 1e-12
        assert y == 0.0


def test_at_full_steps_the_noisy_path_is_that_of_its_operator() -> None:
    """One operator with the same generator gives the same positions up to a `FINENESS` of a pixel."""
    like = condition(1)
    random = seeded(8)
    number = int(torch.randint(len(OPERATORS), (1,), generator=random))
    fine = Canonical(
        like.deltas,
        like.mask,
        0 * like.angle,
        FINENESS * like.distance_px,
        like.duration_s,
        like.group,
        like.target_width_px,
    )
    expected = OPERATORS[number](fine, random).steps_px.cumsum(dim=1) / FINENESS
    share = (torch.arange(41, dtype=torch.float64) / 40)[None]
    made = noisy(like, share, seeded(8)) * like.distance_px
    torch.testing.assert_close(made[:, 1:], expected, rtol=0.0, atol=1.0 / FINENESS)


def test_the_noisy_bots_differ_in_every_setting() -> None:
    assert len(set(OPERATORS)) == len(OPERATORS) == 32
    for name in ("submovements", "undershoot", "endpoint_noise", "motor_noise", "tremor_px_s"):
        assert len({getattr(operator, name) for operator in OPERATORS}) > 1
    assert all(isinstance(operator, MinimumJerk) for operator in OPERATORS)
