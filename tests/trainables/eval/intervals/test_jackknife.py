"""The jackknife over groups: exact where theory is, correct coverage, and paired where rows are shared."""

import math
from dataclasses import replace
from statistics import median

import numpy as np
import pytest
from scipy import stats

from trainables.eval.indices import Indices
from trainables.eval.intervals.jackknife import (
    JackknifeEstimate,
    difference,
    interval,
    jackknife,
    mean,
    over_strata,
    probability_best,
)

SIZES = (10, 20, 30, 40, 50, 60, 70, 80)
GROUPS = tuple("abcdefgh")


def mean_of_groups(means: np.ndarray, sizes: tuple[int, ...] = SIZES) -> JackknifeEstimate:
    """The mean over all rows of groups with these means, by the definition."""
    rows = [(group, float(value), size) for group, (value, size) in enumerate(zip(means, sizes, strict=True))]

    def over(kept: list[tuple[int, float, int]]) -> float:
        return sum(value * size for _, value, size in kept) / sum(size for *_, size in kept)

    return JackknifeEstimate(
        over(rows), tuple(over([row for row in rows if row[0] != group]) for group in range(len(sizes)))
    )


def test_each_group_is_left_out_in_turn() -> None:
    values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0]
    owners = ["b", "a", "b", "c", "a", "c", "b"]

    def statistic(rows: Indices) -> float:
        return float(median(values[i] for i in rows))

    found = jackknife(statistic, owners, ["a", "b", "c", "z"])
    for group, without in zip(["a", "b", "c", "z"], found.without, strict=True):
        assert without == median(v for v, owner in zip(values, owners, strict=True) if owner != group)
    assert found.value == found.without[-1] == 3.0


def test_the_standard_error_is_the_definition() -> None:
    figure = JackknifeEstimate(0.6, (0.55, 0.62, 0.61, 0.7))
    centre, total = sum(figure.without) / 4, 0.0
    for value in figure.without:
        total += (value - centre) ** 2
    found = interval(figure, confidence=0.9)
    assert found.se == pytest.approx(math.sqrt(3 / 4 * total), rel=1e-12)
    assert (found.value, found.df) == (0.6, 3)
    reach = 2.353363434801823 * found.se  # Student's t, 3 degrees of freedom, 95 % quantile
    assert [found.low, found.high] == pytest.approx([0.6 - reach, 0.6 + reach])


def test_for_a_mean_over_equal_groups_it_is_the_textbook_formula() -> None:
    means = np.random.default_rng(0).normal(size=6)
    found = interval(mean_of_groups(means, (7,) * 6))
    assert found.se == pytest.approx(means.std(ddof=1) / math.sqrt(6), rel=1e-12)
    assert found.df == 5


def draws(count: int, correlation: float, seed: int) -> np.ndarray:
    """Means of the groups in repeated samples [count, G]: rows of variance 1, `correlation` of it the group's."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, len(SIZES))) * np.sqrt((1 - correlation) / np.array(SIZES))
    return rows + math.sqrt(correlation) * rng.normal(size=(count, len(SIZES)))


def test_intervals_have_their_nominal_coverage() -> None:
    """Null: the truth is 0, eight groups of 10 to 80 rows, a tenth of the variance theirs.

    Over 20,000 samples the coverage is 0.936. The bounds are 4 s.d. of 2,000 samples (false failure 6e-5).
    """
    found = [interval(mean_of_groups(means)) for means in draws(2000, 0.1, seed=1)]
    assert 0.914 < np.mean([each.low <= 0.0 <= each.high for each in found]) < 0.958


def test_an_interval_stays_inside_the_range_of_the_metric() -> None:
    """Values of a share near 1: Student's t reaches beyond it, the interval on the logit scale does not."""
    estimate = JackknifeEstimate(0.9, (0.4, 0.95, 0.97))
    whole, inside = interval(estimate), interval(estimate, within=(0.0, 1.0))
    assert whole.low < 0.0
    assert whole.high > 1.0
    assert 0.0 <= inside.low < 0.9 < inside.high <= 1.0
    assert (inside.value, inside.se, inside.df) == (whole.value, whole.se, whole.df)


def test_the_logit_interval_is_the_delta_method() -> None:
    found = interval(JackknifeEstimate(0.8, (0.7, 0.82, 0.83, 0.85)), within=(-1.0, 1.0))
    share, t = 0.9, 3.182446305284263  # Student's t, 3 degrees of freedom, 97.5 % quantile
    reach = t * found.se / 2 / (share * (1 - share))
    ends = [2 / (1 + math.exp(-(math.log(share / (1 - share)) + sign * reach))) - 1 for sign in (-1, 1)]
    assert [found.low, found.high] == pytest.approx(ends)


def test_a_rare_share_that_few_groups_have_is_cut_and_not_nearly_all_of_the_range() -> None:
    """Two of 20 users have it: a standard error of 0.7 on the logit scale; one of them: 1.0 and more."""
    for having, on_logits in ((2, True), (1, False)):
        shares = [0.01] * having + [0.0] * (20 - having)
        total = sum(shares)
        estimate = JackknifeEstimate(total / 20, tuple((total - share) / 19 for share in shares))
        found = interval(estimate, within=(0.0, 1.0))
        assert (found.low > 0.0) is on_logits
        assert found.high < 0.01


@pytest.mark.parametrize("within", [(0.0, math.inf), (0.0, 0.1), (0.1, 1.0)])
def test_a_metric_with_one_end_or_at_an_end_is_cut(within: tuple[float, float]) -> None:
    estimate = JackknifeEstimate(0.1, (0.0, 0.1, 0.3))
    whole, cut = interval(estimate), interval(estimate, within=within)
    assert (cut.low, cut.high) == (max(whole.low, within[0]), min(whole.high, within[1]))


@pytest.mark.parametrize("truth", [0.5, 0.85, 0.95])
def test_intervals_of_a_share_cover_it_and_those_of_students_t_leave_the_range(truth: float) -> None:
    """20 users of 12 rows whose own shares are beta distributed, intra-user correlation 0.05.

    Over 3,000 samples the coverage was 0.950 to 0.961; 0.95 less 4 s.d. of 1,000 samples is 0.922 (false failure 3e-5).
    """
    rng, found = np.random.default_rng(8), []
    for _ in range(1000):
        hits = rng.binomial(12, rng.beta(19 * truth, 19 * (1 - truth), 20))
        found.append(JackknifeEstimate(hits.sum() / 240, tuple(((hits.sum() - hits) / 228).tolist())))
    inside = [interval(each, within=(0.0, 1.0)) for each in found]
    assert np.mean([each.low <= truth <= each.high for each in inside]) > 0.922
    assert all(0.0 <= each.low <= each.high <= 1.0 for each in inside)
    assert any(interval(each).high > 1.0 for each in found) == (truth == 0.95)


# draws


def test_the_variance_over_draws_is_added_with_satterthwaites_degrees_of_freedom() -> None:
    figure = JackknifeEstimate(0.6, (0.55, 0.62, 0.61, 0.7), draws=(0.5, 0.6, 0.65, 0.65, 0.6))
    groups = interval(replace(figure, draws=())).se ** 2
    centre = sum(figure.draws) / 5
    draws = sum((value - centre) ** 2 for value in figure.draws) / 4 / 5
    found = interval(figure)
    assert found.se**2 == pytest.approx(groups + draws)
    assert found.df == pytest.approx((groups + draws) ** 2 / (groups**2 / 3 + draws**2 / 4))


def test_one_draw_and_equal_draws_have_no_variance() -> None:
    figure = JackknifeEstimate(0.6, (0.55, 0.62, 0.61, 0.7))
    for draws in ((0.6,), (0.6, 0.6, 0.6)):
        assert interval(replace(figure, draws=draws)) == interval(figure)


def test_a_difference_is_paired_by_draw_and_keeps_none_of_unequal_numbers() -> None:
    a, b = (JackknifeEstimate(value, (value, value), (value, value + 1, value - 1)) for value in (2.0, 1.0))
    assert difference(a, b) == JackknifeEstimate(1.0, (1.0, 1.0), (1.0, 1.0, 1.0))
    assert difference(a, replace(b, draws=(1.0,))).draws == ()


def test_the_probability_to_be_the_best_rests_on_the_draws_too() -> None:
    """Without users' differences only the draws leave a doubt; 20,000 samples, 4 s.d. = 0.014."""
    a = JackknifeEstimate(0.0, (0.0,) * 8, (-1.0, 1.0, -1.0, 1.0))
    b = JackknifeEstimate(0.2, (0.2,) * 8, (1.2, -0.8, 1.2, -0.8))
    assert probability_best([replace(a, draws=()), replace(b, draws=())], seed=0) == (1.0, 0.0)
    se = math.sqrt(np.var([-2.2, 1.8, -2.2, 1.8], ddof=1) / 4)
    assert probability_best([a, b], seed=0)[0] == pytest.approx(stats.t.cdf(0.2 / se, 7), abs=0.015)


def test_intervals_that_assume_independent_rows_do_not() -> None:
    """Why groups are needed: the s.e. of 360 independent rows covers 0.56 (4 s.d. of 2,000 samples: 0.045)."""
    reach = 1.96 / math.sqrt(sum(SIZES))
    centres = [mean_of_groups(means).value for means in draws(2000, 0.1, seed=1)]
    assert np.mean([abs(centre) <= reach for centre in centres]) < 0.61


def test_another_value_is_not_covered() -> None:
    """Alternative: 0.8 off, more than five standard errors, is covered in fewer than 5 % of samples."""
    found = [interval(mean_of_groups(means)) for means in draws(500, 0.1, seed=2)]
    assert np.mean([each.low <= 0.8 <= each.high for each in found]) < 0.05


def test_group_effects_of_both_cancel_in_their_difference() -> None:
    hard = draws(1, 0.5, seed=3)[0]
    a, b = mean_of_groups(hard), mean_of_groups(hard + 0.1)
    apart = interval(difference(b, a))
    assert apart.value == pytest.approx(0.1)
    assert apart.se == pytest.approx(0.0, abs=1e-12)
    assert interval(a).low < b.value < interval(a).high


def test_the_mean_over_seeds_is_taken_group_by_group() -> None:
    assert mean([JackknifeEstimate(1.0, (2.0, 4.0)), JackknifeEstimate(3.0, (4.0, 8.0))]) == JackknifeEstimate(
        2.0, (3.0, 6.0), draws=(1.0, 3.0)
    )


def test_for_two_metrics_the_probability_is_that_of_their_paired_difference() -> None:
    """The difference of a multivariate t is a t; 20,000 samples estimate a probability to 4 s.d. = 0.014."""
    for seed in range(5):
        one, other = (mean_of_groups(means) for means in draws(2, 0.1, seed=10 + seed))
        apart = interval(difference(other, one))
        expected = stats.t.cdf(apart.value / apart.se, apart.df)
        found = probability_best([one, other], seed=seed)
        assert found[0] == pytest.approx(expected, abs=0.015)
        assert sum(found) == pytest.approx(1.0)


def test_equal_candidates_share() -> None:
    same = mean_of_groups(draws(1, 0.1, seed=4)[0])
    assert probability_best([same] * 4, seed=0) == pytest.approx((0.25,) * 4)
    assert probability_best([JackknifeEstimate(1.0, (1.0, 1.0))] * 2, seed=0) == (0.5, 0.5)
    assert probability_best([same], seed=0) == (1.0,)


def test_candidates_of_one_distribution_are_best_equally_often() -> None:
    """Null: the mean over 200 sets of three. Its s.d. is below 0.36 / sqrt(200) = 0.025; 4 s.d. (6e-5 each)."""
    rng = np.random.default_rng(5)
    sets = rng.normal(size=(200, 3, len(SIZES)))
    found = [probability_best([mean_of_groups(means) for means in three], seed=0) for three in sets]
    assert np.mean(found, axis=0) == pytest.approx((1 / 3,) * 3, abs=0.1)


def test_a_clearly_better_candidate_is_detected_although_intervals_overlap() -> None:
    """Alternative: the users differ more than the candidates do, but by the same for all of them."""
    rng = np.random.default_rng(6)
    hard = draws(1, 0.5, seed=6)[0]
    figures = [mean_of_groups(hard + shift + 0.01 * rng.normal(size=8)) for shift in (0.1, 0.0, 0.2)]
    assert interval(figures[0]).low < interval(figures[1]).high
    assert probability_best(figures, seed=0)[1] > 0.99


def test_the_same_seed_gives_the_same_probabilities() -> None:
    figures = [mean_of_groups(means) for means in draws(3, 0.1, seed=7)]
    assert probability_best(figures, seed=1) == probability_best(figures, seed=1) != probability_best(figures, seed=2)


def test_invalid_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"groups >= 2.*got 1"):
        interval(JackknifeEstimate(0.5, (0.5,)))
    with pytest.raises(ValueError, match=r"confidence=1\.0"):
        interval(JackknifeEstimate(0.5, (0.5, 0.6)), confidence=1.0)
    with pytest.raises(ValueError, match=r"same groups, but got \[2, 3\]"):
        difference(JackknifeEstimate(0.5, (0.5, 0.6)), JackknifeEstimate(0.5, (0.5, 0.6, 0.7)))


# strata


def test_the_mean_over_strata_adds_the_variances_of_its_parts() -> None:
    parts = [JackknifeEstimate(0.2, (0.1, 0.25, 0.3)), JackknifeEstimate(0.6, (0.5, 0.7, 0.65, 0.6))]
    first, second = (interval(part) for part in parts)
    found = over_strata(parts, confidence=0.9)
    assert found.value == pytest.approx(0.4)
    assert found.se == pytest.approx(math.sqrt(first.se**2 + second.se**2) / 2, rel=1e-12)
    assert found.df == 3 + 4 - 2
    assert found.high - found.value == pytest.approx(2.015048373333024 * found.se)  # Student's t, 5 df, 95 % quantile
    assert over_strata(parts, within=(0.2, 0.6)).low > 0.2


def test_one_stratum_is_the_jackknife() -> None:
    figure = JackknifeEstimate(0.6, (0.55, 0.62, 0.61, 0.7))
    assert over_strata([figure]) == interval(figure)


def test_what_the_strata_differ_in_is_not_part_of_the_error() -> None:
    figure = JackknifeEstimate(0.6, (0.55, 0.62, 0.61, 0.7))
    shifted = JackknifeEstimate(0.1, tuple(value - 0.5 for value in figure.without))
    assert over_strata([figure, shifted]).se == pytest.approx(over_strata([figure, figure]).se)


def test_the_interval_over_strata_covers_as_often_as_it_says() -> None:
    """5 strata of 10 groups whose levels differ; 2,000 draws, so that 0.95 has a standard error of 0.005."""
    rng, hits = np.random.default_rng(0), 0
    levels = np.array([0.0, 1.0, -1.0, 3.0, 0.5])
    for _ in range(2000):
        values = levels[:, None] + rng.normal(size=(5, 10))
        parts = [
            JackknifeEstimate(float(row.mean()), tuple(float(np.delete(row, g).mean()) for g in range(10)))
            for row in values
        ]
        found = over_strata(parts)
        hits += found.low <= levels.mean() <= found.high
    assert 0.935 <= hits / 2000 <= 0.965


@pytest.mark.parametrize("parts", [[], [JackknifeEstimate(0.5, (0.5,)), JackknifeEstimate(0.5, (0.4, 0.6))]])
def test_strata_without_groups_have_no_interval(parts: list[JackknifeEstimate]) -> None:
    with pytest.raises(ValueError, match=r"expected `(strata >= 1|groups >= 2)`"):
        over_strata(parts)
