"""Properties of the PID bot: its loop is the stated equation, it settles, it overshoots if it is hardly damped."""

import torch

from tests.trainables.detector.bots.conditions import conditions, seeded
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.detector.bots.pid import CONTROL_STEPS, TIME, Gains, controlled, draw_gains, pid, settled

ALONG = torch.tensor([[1.0, 0.0]], dtype=torch.float64)


def gains(damping: float, integral: float = 0.0, limit: float = 10.0, noise: float = 0.0) -> Gains:
    pair = torch.ones(1, 2, dtype=torch.float64)
    one = torch.ones(1, 1, dtype=torch.float64)
    return Gains(pair, damping * pair, integral * pair, limit * one, noise * one)


def test_the_loop_is_the_stated_equation_in_plain_loops() -> None:
    """Force from error, integral and speed; then the limit; the integral rests while the speed is limited."""
    target = torch.tensor([[0.6, -0.8], [0.0, 1.0]], dtype=torch.float64)
    drawn = draw_gains(2, seeded(1))
    drawn = drawn._replace(limit=torch.tensor([[0.2], [0.5]], dtype=torch.float64))
    states = controlled(target, drawn, seeded(2))
    dt = TIME / CONTROL_STEPS
    white = torch.randn(CONTROL_STEPS, 2, 2, generator=seeded(2), dtype=torch.float64)
    for row in range(2):
        position, speed, total = [0.0, 0.0], [0.0, 0.0], [0.0, 0.0]
        for step in range(CONTROL_STEPS):
            error = [float(target[row, a]) - position[a] for a in (0, 1)]
            share = min((error[0] ** 2 + error[1] ** 2) ** 0.5, 1.0)
            for a in (0, 1):
                q, damping = float(drawn.frequency[row, a]), float(drawn.damping[row, a])
                pull = q**2 * error[a] + float(drawn.integral[row, a]) * total[a] - 2 * damping * q * speed[a]
                kick = float(white[step, row, a]) * float(drawn.noise[row]) * dt**0.5
                speed[a] += pull * dt + kick * share
            size, limit = (speed[0] ** 2 + speed[1] ** 2) ** 0.5, float(drawn.limit[row])
            if size >= limit:
                speed = [s * limit / size for s in speed]
            else:
                total = [total[a] + error[a] * dt for a in (0, 1)]
            position = [position[a] + speed[a] * dt for a in (0, 1)]
            torch.testing.assert_close(states[row, step + 1].tolist(), [*position, *speed], rtol=0.0, atol=1e-9)


def test_only_an_underdamped_loop_overshoots() -> None:
    """Of a second-order system the overshoot is exp(-pi d / sqrt(1 - d^2)): 0.163 at 0.5, none from 1 on."""
    for damping, expected in ((0.5, 0.163), (1.1, 0.0)):
        farthest = float(controlled(ALONG, gains(damping), seeded())[0, :, 0].max()) - 1.0
        assert abs(max(farthest, 0.0) - expected) < 0.02


def test_the_speed_stays_below_its_limit() -> None:
    for limit, kept in ((0.1, True), (10.0, False)):
        fastest = float(controlled(ALONG, gains(0.8, limit=limit), seeded())[..., 2:].norm(dim=-1).max())
        assert (fastest <= 0.1 + 1e-12) == kept


def test_the_end_is_the_first_step_that_is_near_and_slow() -> None:
    states = torch.zeros(2, 6, 4, dtype=torch.float64)
    states[0, :, 0] = torch.tensor([0.0, 0.5, 1.0, 1.05, 1.01, 1.0])
    states[0, :, 2] = torch.tensor([0.0, 0.5, 0.5, 0.05, 0.01, 0.0])
    tolerance = torch.tensor([[0.02], [0.02]], dtype=torch.float64)
    assert settled(states, ALONG.expand(2, -1), tolerance).tolist() == [[4], [5]]


def test_nearly_all_loops_settle_before_the_simulation_ends() -> None:
    """Under 1 % of the drawn ones do not: they are put on the target from a few pixels away, as a click would."""
    like = load_splits(DataConfig())["train"]
    target = torch.stack([like.angle.cos(), like.angle.sin()], dim=1)
    states = controlled(target, draw_gains(len(like), seeded()), seeded(1))
    left_px = (states[:, -1, :2] - target).norm(dim=1) * like.distance_px
    assert float((left_px > 4.0).double().mean()) < 0.01
    assert float(left_px.max()) < 30.0


def test_a_path_starts_at_rest_and_ends_on_the_target() -> None:
    like = conditions((8, (8, 0)), (60, (-900, 1200)), (30, (0, -50)))
    path = pid(like, torch.linspace(0.0, 1.0, 50, dtype=torch.float64).expand(3, -1), seeded())
    ends = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64).expand(3, -1, -1)
    torch.testing.assert_close(path[:, [0, -1]], ends, rtol=0.0, atol=1e-12)
