"""Sampling-importance-resampling with a known answer, and its keys: each row's own, whatever else is drawn."""

from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import kstest, norm

from trainables.generation.selection.config import MAX_CANDIDATES
from trainables.generation.selection.resampling import (
    candidate_keys,
    drawn,
    effective_candidates,
    repeated,
    weights_of,
)

Floats = npt.NDArray[np.float64]
ROWS = 2000
KS_1_IN_10_000 = 2.23  # over sqrt(N): exceeded with this chance where the distribution is right
WIDE = 2.0  # standard deviation of the sampler, where real movements have 1


def selected(rows: int, candidates: int) -> tuple[Floats, Floats]:
    """Candidates of N(0, WIDE), of which one is drawn by the ratio of N(0, 1) to it; and those of the largest ratio."""
    sampled = np.random.default_rng(5).normal(scale=WIDE, size=(rows, candidates))
    log_ratio = norm.logpdf(sampled) - norm.logpdf(sampled, scale=WIDE)
    everyone = np.ones(candidates, dtype=np.bool_)
    found = [
        one[drawn(weights_of(ratio, everyone), (7, row))]
        for row, (one, ratio) in enumerate(zip(sampled, log_ratio, strict=True))
    ]
    return np.array(found), sampled[np.arange(rows), log_ratio.argmax(axis=1)]


def test_drawn_candidates_have_the_distribution_of_real_ones_and_the_largest_ratios_have_none() -> None:
    """With 64 candidates the bias is E_p[r] - 1 over 64, a hundredth, so half of the bound remains for chance.

    The largest ratio is that of the candidate nearest to 0: a spread of hundredths in place of 1.
    """
    found, largest = selected(ROWS, MAX_CANDIDATES)
    bound = KS_1_IN_10_000 / ROWS**0.5
    assert kstest(found, "norm").statistic < bound
    assert kstest(largest, "norm").statistic > 0.4
    assert largest.std() < 0.1 < found.std()


@pytest.mark.parametrize("candidates", [1, 2, 8])
def test_more_candidates_are_nearer_to_real_ones(candidates: int) -> None:
    """One candidate leaves the sampler's spread of 2; its standard error over 2000 rows is 0.03."""
    fewer, more = selected(ROWS, candidates)[0].std(), selected(ROWS, 4 * candidates)[0].std()
    assert more < fewer
    if candidates == 1:
        assert fewer == pytest.approx(WIDE, abs=0.13)  # four standard errors


def test_each_candidate_is_drawn_as_often_as_its_weight_says() -> None:
    """Of 4000 draws a share has a standard error below 0.008; the bound is four of them."""
    weights = weights_of(np.log([1.0, 2.0, 5.0]), np.array([True, True, True]))
    counts = Counter(drawn(weights, (3, row)) for row in range(4000))
    assert [counts[candidate] / 4000 for candidate in range(3)] == pytest.approx([0.125, 0.25, 0.625], abs=0.032)


def test_a_candidate_that_is_no_movement_is_never_drawn_and_without_any_all_are_alike() -> None:
    usable = np.array([False, True, False, True])
    weights = weights_of(np.array([99.0, 0.0, 99.0, 0.0]), usable)
    assert weights.tolist() == [0.0, 0.5, 0.0, 0.5]
    assert {drawn(weights, (0, row)) for row in range(100)} == {1, 3}
    assert weights_of(np.zeros(4), np.zeros(4, dtype=np.bool_)).tolist() == [0.25] * 4


def test_the_first_candidate_has_the_key_of_the_row_and_no_two_share_one() -> None:
    keys = repeated([(0, 0), (0, 1), (1, 0)], 8)
    assert keys[::8] == [(0, 0), (0, 1), (1, 0)]
    assert len(set(keys)) == 24
    assert candidate_keys((0, 1), 3) == candidate_keys((0, 1), 8)[:3]  # more candidates leave the others as they are


def test_a_draw_depends_on_seed_and_number_alone() -> None:
    weights = np.full(8, 0.125)
    found = [drawn(weights, (seed, number)) for seed in (0, 1) for number in range(50)]
    assert found == [drawn(weights, (seed, number)) for seed in (0, 1) for number in range(50)]
    assert len({*found[:50]}) > 4
    assert found[:50] != found[50:]


def test_effective_candidates_lie_between_one_and_all() -> None:
    weights = np.array([weights_of(np.log([1.0, 3.0]), np.array([True, True])), [0.5, 0.5], [0.0, 1.0]])
    assert effective_candidates(weights).tolist() == pytest.approx([1.6, 2.0, 1.0])
