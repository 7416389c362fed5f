"""Goals ahead: the truncated geometric distribution; the mask of negatives against a loop over pairs."""

import math

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.critic.goals import negative_mask, steps_ahead

GAMMAS = (0.01, 0.5, 0.9, 0.99, 1 - 1e-9, 1.0)


def probabilities(remaining: int, gamma: float) -> list[float]:
    weights = [gamma**k for k in range(1, remaining + 1)]
    return [weight / math.fsum(weights) for weight in weights]


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("remaining", [1, 2, 7, 60])
def test_each_quantile_is_that_of_the_definition(gamma: float, remaining: int) -> None:
    """u on a grid that no edge of the distribution function meets; 1e-9 away from one either side is right."""
    u = (torch.arange(997, dtype=torch.float64) + 0.313) / 997
    found = steps_ahead(u, torch.full((997,), remaining), gamma)
    total, edges = 0.0, []
    for p in probabilities(remaining, gamma):
        total += p
        edges.append(total)
    for at, k in zip(u.tolist(), found.tolist(), strict=True):
        assert 1 <= k <= remaining
        assert (edges[k - 2] if k > 1 else 0.0) - 1e-6 <= at <= edges[k - 1] + 1e-6


def test_the_ends_of_the_unit_interval_stay_within_the_trajectory() -> None:
    ends = torch.tensor([0.0, 1.0 - 2**-53], dtype=torch.float64)
    for gamma in GAMMAS:
        assert steps_ahead(ends, torch.tensor([5, 5]), gamma).tolist()[0] == 1
        assert 1 <= steps_ahead(ends, torch.tensor([5, 5]), gamma).tolist()[1] <= 5


@pytest.mark.parametrize("gamma", [0.0, -0.1, 1.1, math.nan])
def test_a_discount_out_of_its_range_is_refused(gamma: float) -> None:
    with pytest.raises(ConfigError, match=r"expected `0 < gamma <= 1`, but got gamma="):
        steps_ahead(torch.zeros(1), torch.ones(1, dtype=torch.int64), gamma)


def test_the_mask_is_that_of_a_loop_over_pairs() -> None:
    random = torch.Generator().manual_seed(0)
    trajectory = torch.randint(9, (40,), generator=random)
    goal = torch.randint(-12, 12, (40, 4), generator=random).float()
    goal[:, 2:] *= 60 / 4
    for width, tolerance in ((2, 0.0), (2, 3.0), (4, 3.0)):
        found, masked = negative_mask(trajectory, goal[:, :width], tolerance), 0
        for i in range(40):
            for j in range(40):
                near = math.dist(goal[i, :2].tolist(), goal[j, :2].tolist()) <= tolerance
                step = math.dist((goal[i, 2:4] / 60).tolist(), (goal[j, 2:4] / 60).tolist())
                near = near and (width == 2 or step <= tolerance)
                assert bool(found[i, j]) == (trajectory[i] != trajectory[j] and not near)
                masked += near and bool(trajectory[i] != trajectory[j])
        assert masked > 0 or tolerance == 0


def test_equal_goals_far_from_the_start_are_equal() -> None:
    """The expanded square would find two goals at 3,000 px a pixel apart from themselves."""
    goal = torch.tensor([[3000.0, 2000.0], [3000.0, 2000.0], [3003.0, 2000.0]])
    mask = negative_mask(torch.arange(3), goal, 0.0)
    assert mask.tolist() == [[False, False, True], [False, False, True], [True, True, False]]
