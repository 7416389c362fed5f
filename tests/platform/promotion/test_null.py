"""The null of the promotion: the same weights under other noise are rarely found to be better than themselves.

Two sources of draws. `draws_of_one_model.json` holds 16 or more draws of one small diffusion (200 steps, 16 channels,
4 network calls) on the 20 users of test and holdout, each with and without every user, as
`trainables.model_evaluation.generator.metrics_by_seed` gives them; decisions are resampled from these, so that they are
not independent of each other. `fitted` simulates draws of a metric whose larger part of variance, as that of a
classifier that is fitted to each draw, is no user's: there the truth is known, and every decision has draws of its own.
"""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from platform.promotion.config import ENOUGH_DRAWS
from trainables.eval.intervals.jackknife import JackknifeEstimate, difference, interval, mean

STORED = json.loads((Path(__file__).parent / "draws_of_one_model.json").read_text())
SIZES = np.array([1, 1, 3, 3, 3, 4, 5, 6, 6, 9, 9, 11, *[12] * 8])  # rows of the users of test and holdout
DECISIONS = 1000
C2ST = "val/accuracy_features"
AT_MOST = 0.07


def lower(a: JackknifeEstimate, b: JackknifeEstimate) -> bool:
    """Whether a is found to be lower with 95 % confidence."""
    return interval(difference(a, b), 0.9).high < 0


def drawn(metric: str, shift: float = 0.0) -> list[JackknifeEstimate]:
    return [
        JackknifeEstimate(one["value"] + shift, tuple(value + shift for value in one["without"]))
        for one in STORED[metric]
    ]


@pytest.mark.parametrize("metric", STORED)
def test_the_same_weights_under_other_noise_are_found_lower_in_at_most_7_percent(metric: str) -> None:
    """Resampled from stored draws, without a repeat within a decision; nothing random is left but the fixed seed."""
    draws, rng, found = drawn(metric), np.random.default_rng(0), 0
    assert len(draws) >= 2 * ENOUGH_DRAWS
    for _ in range(DECISIONS):
        order = rng.permutation(len(draws))[: 2 * ENOUGH_DRAWS]
        sides = [mean([draws[row] for row in half]) for half in np.split(order, 2)]
        found += lower(sides[0], sides[1])
    assert found / DECISIONS <= AT_MOST


def test_the_jackknife_over_users_alone_finds_the_same_weights_lower_in_more() -> None:
    """Accuracy of the feature probe, a C2ST: 0.11 of the resampled decisions, and 0.02 with the draws."""
    draws, rng, found = drawn(C2ST), np.random.default_rng(0), 0
    for _ in range(DECISIONS):
        order = rng.permutation(len(draws))[: 2 * ENOUGH_DRAWS]
        sides = [replace(mean([draws[row] for row in half]), draws=()) for half in np.split(order, 2)]
        found += lower(sides[0], sides[1])
    assert found / DECISIONS > AT_MOST


@pytest.mark.parametrize("metric", STORED)
def test_a_gain_of_all_users_is_found_in_the_stored_draws(metric: str) -> None:
    """The alternative: lower by 0.2, more than five standard errors of any of these metrics."""
    draws, better = drawn(metric), drawn(metric, -0.2)
    assert lower(mean(better[:ENOUGH_DRAWS]), mean(draws[ENOUGH_DRAWS : 2 * ENOUGH_DRAWS]))


def fitted(rng: np.random.Generator, draws: int, gain: float = 0.0) -> JackknifeEstimate:
    """Return a metric over draws: a mean over rows of s.d. 0.2, and noise of s.d. 0.024 that is no user's."""
    weights = SIZES / SIZES.sum()
    users = rng.normal(size=(draws, len(SIZES))) * 0.2 / np.sqrt(SIZES)
    values = (users * weights).sum(axis=1, keepdims=True)
    fits = rng.normal(-gain, 0.024, size=(draws, 1))
    without = (values - weights * users) / (1 - weights) + fits
    totals = (values + fits)[:, 0].tolist()
    return mean([JackknifeEstimate(value, tuple(row)) for value, row in zip(totals, without.tolist(), strict=True)])


@pytest.mark.parametrize("draws", [3, ENOUGH_DRAWS])
def test_equals_are_found_lower_at_most_as_often_where_each_draw_is_fitted_anew(draws: int) -> None:
    """Rates measured over 2,000 decisions: 0.048 with 3 draws, 0.034 with 8.

    A rate of 0.048 exceeds 0.07 + 0.01 in 1,000 decisions with probability 1e-5 (binomial), 0.034 exceeds 0.07 with
    less than 1e-7. The jackknife over users alone says "lower" in 0.17 and 0.18; below 0.1 is 1e-8 of these.
    """
    rng, found, of_users_alone = np.random.default_rng(1), 0, 0
    for _ in range(DECISIONS):
        a, b = fitted(rng, draws), fitted(rng, draws)
        found += lower(a, b)
        of_users_alone += lower(replace(a, draws=()), replace(b, draws=()))
    assert found / DECISIONS <= AT_MOST + 0.01 * (draws < ENOUGH_DRAWS)
    assert of_users_alone / DECISIONS > 0.1


def test_a_gain_is_found_where_each_draw_is_fitted_anew() -> None:
    """The alternative: 0.08 is more than three standard errors with 8 draws; 200 decisions, fixed seed."""
    rng = np.random.default_rng(2)
    found = [lower(fitted(rng, ENOUGH_DRAWS, gain=0.08), fitted(rng, ENOUGH_DRAWS)) for _ in range(200)]
    assert np.mean(found) > 0.6
