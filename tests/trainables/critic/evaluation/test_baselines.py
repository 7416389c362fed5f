"""Baselines by distance and by extrapolation, against loops; the extrapolation is the best of its choices."""

import math

import pytest
import torch

from trainables.critic.buffer import Transitions, filled
from trainables.critic.episodes import Episodes
from trainables.critic.evaluation.baselines import (
    DIRECTIONS,
    HORIZONS,
    Extrapolation,
    best_extrapolation,
    distance,
    extrapolated,
)
from trainables.critic.goals import negative_mask
from trainables.critic.losses import credit


def drawn(seed: int = 0, *, straight: bool = False) -> Transitions:
    """Goals of movements of 20 rows that turn at every step, or of straight ones, from anywhere on a screen."""
    random = torch.Generator().manual_seed(seed)
    step = torch.randn(50, 1 if straight else 20, 2, generator=random).expand(-1, 20, -1) * 20
    start = torch.rand(50, 1, 2, generator=random) * 1000
    position = start + step.cumsum(dim=1) - step
    before = torch.cat([torch.zeros(50, 1, 2), step[:, :-1]], dim=1) * 60
    rows = torch.cat([position, before], dim=2).flatten(0, 1)
    return filled(Episodes(rows, step.flatten(0, 1).contiguous(), torch.full((50,), 20))).sample(40, 0.95, random)


@pytest.mark.parametrize("along", DIRECTIONS)
def test_each_baseline_is_that_of_a_loop_over_pairs(along: str) -> None:
    one = drawn()
    found, near = extrapolated(one, Extrapolation(3.0, along)), distance(one)
    for i in range(40):
        x = one.state[i, :2].tolist()
        step = (one.action[i] if along == "action" else one.state[i, 2:] / 60).tolist()
        ahead = [at + 3.0 * by for at, by in zip(x, step, strict=True)]
        for j in range(40):
            goal = one.goal[j].tolist()
            assert float(found[i, j]) == pytest.approx(-math.dist(ahead, goal), rel=1e-4)
            assert float(near[i, j]) == pytest.approx(-math.dist(x, goal), rel=1e-4)


@pytest.mark.parametrize("straight", [False, True])
def test_the_best_extrapolation_has_the_highest_accuracy_and_is_short_where_movements_turn(straight: bool) -> None:
    batches = [drawn(seed, straight=straight) for seed in range(3)]
    negatives = [negative_mask(one.trajectory, one.goal, 0.0) for one in batches]
    accuracies = {
        (steps, along): sum(
            float(credit(extrapolated(one, Extrapolation(steps, along)), negative).mean())
            for one, negative in zip(batches, negatives, strict=True)
        )
        for steps in HORIZONS
        for along in DIRECTIONS
    }
    best = best_extrapolation(batches, negatives)
    assert accuracies[best.steps, best.along] == pytest.approx(max(accuracies.values()))
    assert (best.steps >= 3) == straight
    if straight:
        assert max(accuracies.values()) > 1.2 * accuracies[0.0, "action"]
