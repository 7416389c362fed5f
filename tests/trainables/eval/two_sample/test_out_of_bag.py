"""The out-of-bag forest: null, alternatives and their false-failure rate, its known weakness, columns, refusals."""

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import roc_auc_score

from trainables.core.config import ConfigError
from trainables.eval.metrics import out_of_bag_test

Array = npt.NDArray[np.float64]


def normal(seed: int, rows: int, columns: int = 4, shift: float = 0.0) -> Array:
    return np.random.default_rng(seed).normal(shift, 1.0, size=(rows, columns))


# The AUC of the null has a mean of 0.494 and a standard deviation of 0.027 at 2 x 300 rows (40 seeds), the accuracy one
# of 0.022: bounds of 0.11 are four of them, one false failure in 15,000 other choices of the seeds.
@pytest.mark.parametrize("seed", range(3))
def test_equal_samples_are_not_separated(seed: int) -> None:
    found = out_of_bag_test(normal(10 + seed, 300), normal(20 + seed, 300), seed=seed)
    assert abs(found.auc - 0.5) < 0.11
    assert abs(found.accuracy - 0.5) < 0.11
    assert found.n == 300


# A shift of 1 in one of four columns: the best classifier has an AUC of Phi(1 / sqrt(2)) = 0.760. The forest reads
# 0.711 (standard deviation 0.022 over 8 seeds), and an accuracy of 0.661 (0.021): the bounds are four of them away.
def test_a_shift_is_found_as_far_as_there_is_one() -> None:
    fake = normal(2, 400)
    fake[:, 1] += 1.0
    found = out_of_bag_test(normal(1, 400), fake)
    assert 0.62 < found.auc < 0.80
    assert 0.58 < found.accuracy < 0.75
    assert out_of_bag_test(normal(1, 400), normal(2, 400, shift=3.0)).auc > 0.99


def test_a_correlation_alone_is_found() -> None:
    """Both columns are standard normal on both sides; the fake ones are one column twice, but for a little noise."""
    base = normal(2, 400, 1)
    fake = np.concatenate([base, 0.95 * base + np.sqrt(1 - 0.95**2) * normal(3, 400, 1)], axis=1)
    assert out_of_bag_test(normal(1, 400, 2), fake).auc > 0.75


def test_the_scores_are_those_of_the_trees_that_have_not_seen_a_row() -> None:
    """Tree by tree: the bootstrap sample of each is sampled again from its seed."""
    real, fake = normal(1, 30), normal(2, 30, shift=0.5)
    x, y = np.concatenate([real, fake]), np.repeat([0, 1], 30)
    forest = RandomForestClassifier(100, random_state=5).fit(x, y)
    votes, trees = np.zeros(60), np.zeros(60)
    for tree in forest.estimators_:
        bag = np.random.RandomState(tree.random_state).randint(0, 60, 60)
        out = np.setdiff1d(np.arange(60), bag)
        votes[out] += tree.predict_proba(x[out])[:, 1]
        trees[out] += 1
    found, scores = out_of_bag_test(real, fake, seed=5), votes / trees
    assert found.auc == pytest.approx(roc_auc_score(y, scores))
    assert found.accuracy == pytest.approx(((scores > 0.5) == y).mean())


def test_users_alone_separate_two_groups_of_them() -> None:
    """Six users a side, each with a habit of its own; no side is shifted as a whole, and more rows make it worse."""
    habits = 3 * normal(1, 12)
    aucs = []
    for rows in (4, 60):
        sides = [habits[part].repeat(rows, axis=0) + normal(7, 6 * rows) for part in (slice(6), slice(6, 12))]
        aucs.append(out_of_bag_test(*sides).auc)
    assert aucs[1] > 0.9
    assert aucs[1] > aucs[0]


def test_a_copy_of_the_real_rows_reads_less_than_one_half() -> None:
    real = normal(1, 200)
    assert out_of_bag_test(real, real.copy()).auc < 0.1


def test_torch_and_numpy_and_the_same_call_give_the_same() -> None:
    real, fake = normal(1, 60), normal(2, 50)
    found = out_of_bag_test(real, fake, seed=3)
    assert found == out_of_bag_test(torch.from_numpy(real), torch.from_numpy(fake), seed=3)
    assert found.n == 50
    assert found != out_of_bag_test(real, fake, seed=4)


def test_no_scale_and_no_other_monotone_function_of_a_column_matters() -> None:
    real, fake = normal(1, 80), normal(2, 80, shift=0.4)
    stretched = [np.stack([side[:, 0] * 1e9, side[:, 1] / 1e3, *side[:, 2:].T], axis=1) for side in (real, fake)]
    assert out_of_bag_test(*stretched, columns="abcd").auc == pytest.approx(out_of_bag_test(real, fake).auc, abs=1e-3)


def test_columns_without_a_difference_are_left_out_and_degenerate_ones_named() -> None:
    real, fake = normal(1, 60, 3), normal(2, 60, 3)
    real[:, 0] = fake[:, 0] = 2.0
    real[:, 1] = 1.0
    found = out_of_bag_test(real, fake, columns=("same", "flag", "free"))
    assert (found.left_out, found.degenerate) == (("same",), ("flag",))
    assert found.auc > 0.95


def with_nan() -> Array:
    table = normal(2, 30)
    table[11, 2] = np.nan
    return table


@pytest.mark.parametrize(
    ("real", "fake", "error", "message"),
    [
        (normal(1, 30), with_nan(), ValueError, "expected finite `fake`, but got nan in row 11, column 2"),
        (normal(1, 30), normal(2, 9), ConfigError, "expected `rows of each sample >= 10`, but got 9; give more"),
        (normal(1, 9), normal(2, 30), ConfigError, "but got 9"),
        (np.ones((30, 2)), np.ones((30, 2)), ValueError, "expected a column of `real` that varies"),
    ],
)
def test_invalid_input_is_refused(real: Array, fake: Array, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        out_of_bag_test(real, fake)


def test_unlike_columns_are_refused() -> None:
    with pytest.raises((ValueError, TypeError), match=r"columns|violates"):  # the tests' shape check comes first
        out_of_bag_test(normal(1, 30), normal(2, 30, 3))
    with pytest.raises(ValueError, match="3 names"):
        out_of_bag_test(normal(1, 30), normal(2, 30), columns=("a", "b", "c"))
