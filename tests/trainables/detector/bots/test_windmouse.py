"""Properties of the WindMouse bot: its recursion, its arrival, and the effects of wind and gravity on the path."""

import pytest
import torch

from tests.trainables.detector.bots.conditions import conditions, seeded
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.detector.bots.clock import INTERVAL_MS, SLOW, draw_duration_ms
from trainables.detector.bots.windmouse import Forces, blown, cut_off, draw_forces, windmouse


def forces(rows: int, step: float = 15.0, gravity: float = 9.0, wind: float = 3.0, radius: float = 12.0) -> Forces:
    """The published settings unless stated otherwise."""
    return Forces(*(torch.full((rows, 1), v, dtype=torch.float64) for v in (step, gravity, wind, radius)))


@pytest.mark.parametrize("strength", [3.0, 30.0])  # the second is more than the distance, near the target
def test_positions_follow_the_stated_recursion(strength: float) -> None:
    """In plain loops, from the same draws: two for the wind, one for a new longest step, one for the cut."""
    distance_px = torch.tensor([400.0, 90.0, 9.0], dtype=torch.float64)
    path, count = blown(distance_px, forces(3, wind=strength), seeded(4))
    random = seeded(4)
    at, v, wind = ([[0.0, 0.0] for _ in range(3)] for _ in range(3))
    longest, done = [15.0] * 3, [False] * 3
    for event in range(1, path.shape[1]):
        draw = torch.rand(3, 4, generator=random, dtype=torch.float64).tolist()
        for i, (ax, ay, fresh, share) in enumerate(draw):
            if done[i]:
                continue
            gap = [float(distance_px[i]) - at[i][0], -at[i][1]]
            r = (gap[0] ** 2 + gap[1] ** 2) ** 0.5
            wind[i] = [w / 3**0.5 for w in wind[i]]
            if r >= 12.0:
                wind[i] = [w + min(strength, r) * (2 * a - 1) / 5**0.5 for w, a in zip(wind[i], (ax, ay), strict=True)]
            else:
                longest[i] = 3.0 + 3.0 * fresh if longest[i] < 3.0 else longest[i] / 5**0.5
            v[i] = [s + w + 9.0 * g / r for s, w, g in zip(v[i], wind[i], gap, strict=True)]
            size = (v[i][0] ** 2 + v[i][1] ** 2) ** 0.5
            if size > longest[i]:
                v[i] = [s / size * longest[i] * (0.5 + 0.5 * share) for s in v[i]]
            at[i] = [p + s for p, s in zip(at[i], v[i], strict=True)]
            if ((float(distance_px[i]) - at[i][0]) ** 2 + at[i][1] ** 2) ** 0.5 < 1.0:
                at[i], done[i] = [float(distance_px[i]), 0.0], True
                assert int(count[i]) == event
        torch.testing.assert_close(path[:, event], torch.tensor(at, dtype=torch.float64), rtol=0.0, atol=1e-9)
    assert all(done)


def test_without_wind_the_path_is_straight() -> None:
    for wind, straight in ((0.0, True), (6.0, False)):
        path, _ = blown(torch.full((50,), 500.0, dtype=torch.float64), forces(50, wind=wind), seeded())
        assert (float(path[..., 1].abs().max()) < 1e-9) == straight


def test_velocities_over_the_longest_step_are_reduced_to_a_share_of_it() -> None:
    speed = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]], dtype=torch.float64)
    longest, share = (torch.full((3, 1), v, dtype=torch.float64) for v in (2.0, 0.5))
    expected = torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(cut_off(speed, longest, share), expected)


def test_sampled_forces_arrive_in_about_the_requested_time() -> None:
    """After scaling to the requested duration intervals are near their own, and hardly any bot circles."""
    like = load_splits(DataConfig())["train"]
    duration_ms = draw_duration_ms(like, seeded())
    path, count = blown(like.distance_px, draw_forces(like, duration_ms, seeded(1)), seeded(2))
    interval_ms = duration_ms / count
    assert float(((interval_ms > 0.5 * INTERVAL_MS[0]) & (interval_ms < 1.1 * SLOW[1][1])).double().mean()) > 0.99
    assert float((count == path.shape[1] - 1).double().mean()) < 0.005


def test_short_and_long_distances_take_the_requested_steps() -> None:
    like = conditions((60, (8, 0)), (8, (2000, 0)), (64, (2400, 0)))
    for seed in range(20):
        movements = windmouse(like, seeded(seed))
        assert movements.length.tolist() == [60, 8, 64]
        assert bool(movements.steps_px.isfinite().all())
