"""The paired two-sample test: null and alternatives, folds, weights of users, thresholds, the band, refusals."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from trainables.core.config import ConfigError
from trainables.eval.two_sample.paired import PairedScores, no_difference, paired_scores

Array = npt.NDArray[np.float64]


def normal(seed: int, rows: int, columns: int, shift: float = 0.0) -> Array:
    return np.random.default_rng(seed).normal(shift, 1.0, size=(rows, columns))


def users(count: int, rows: int) -> list[str]:
    return [f"user{row % count}" for row in range(rows)]


def scored(real: list[float], fake: list[float], owners: list[str], fold: list[int], threshold: float) -> PairedScores:
    folds = np.array(fold)
    thresholds = np.full(int(folds.max()) + 1, threshold)
    return PairedScores(np.array(real), np.array(fake), folds, thresholds, tuple(owners), "pairs", (), ())


# Null: 0.03 is one standard deviation of the AUC at 2 x 300 rows of 4 columns; the bounds are four of them.
@pytest.mark.parametrize("probe", ["wide", "quadratic", "forest"])
@pytest.mark.parametrize("count", [9, 30])
def test_equal_samples_are_not_separated_and_shifted_ones_are(probe: str, count: int) -> None:
    owners = users(count, 300)
    null = paired_scores(normal(1, 300, 4), normal(2, 300, 4), owners, probe=probe)
    assert abs(null.auc() - 0.5) < 0.12
    assert abs(null.accuracy() - 0.5) < 0.12
    shifted = paired_scores(normal(1, 300, 4), normal(2, 300, 4, shift=0.7), owners, probe=probe)
    assert shifted.auc() > 0.75
    assert shifted.accuracy() > 0.65


def test_a_copy_reads_exactly_one_half() -> None:
    real = normal(1, 200, 5)
    found = paired_scores(real, real.copy(), users(25, 200))
    assert found.auc() == pytest.approx(0.5)
    assert found.accuracy() == 0.5


def test_what_both_of_a_pair_share_does_not_separate_them() -> None:
    """A wide spread of conditions, common to both of each pair, and no other difference."""
    condition = normal(3, 300, 4) * 20
    found = paired_scores(condition + normal(1, 300, 4), condition + normal(2, 300, 4), users(9, 300), probe="forest")
    assert abs(found.auc() - 0.5) < 0.12


def test_whole_users_are_in_one_fold_where_there_are_enough() -> None:
    for count, by in ((19, "pairs"), (20, "users")):
        owners = users(count, 200)
        found = paired_scores(normal(1, 200, 2), normal(2, 200, 2), owners)
        assert found.folds_by == by
        assert sorted(set(found.fold.tolist())) == [0, 1, 2, 3, 4]
        folds_of = {user: set(found.fold[np.array(owners) == user].tolist()) for user in set(owners)}
        assert all(len(folds) == 1 for folds in folds_of.values()) == (by == "users")


def test_the_same_call_gives_the_same_scores_and_another_seed_other_folds() -> None:
    real, fake, owners = normal(1, 100, 3), normal(2, 100, 3), users(10, 100)
    one, again, other = (paired_scores(real, fake, owners, seed=seed) for seed in (0, 0, 1))
    assert np.array_equal(one.real, again.real)
    assert np.array_equal(one.fake, again.fake)
    assert not np.array_equal(one.fold, other.fold)


def test_torch_and_numpy_give_the_same() -> None:
    real, fake, owners = normal(1, 60, 3), normal(2, 60, 3), users(6, 60)
    by_torch = paired_scores(torch.from_numpy(real), torch.from_numpy(fake), owners)
    assert by_torch.auc() == paired_scores(real, fake, owners).auc()


def test_auc_is_the_mean_over_folds_of_the_share_of_ordered_rows() -> None:
    """Scores of the second fold lie above those of the first, and no figure compares them."""
    found = scored([0.1, 0.4, 10.1, 10.2], [0.3, 0.5, 10.3, 10.0], ["a", "b", "c", "d"], [0, 0, 1, 1], 0.45)
    assert found.auc() == pytest.approx((3 / 4 + 2 / 4) / 2)
    assert found.auc(np.array([0, 1])) == pytest.approx(3 / 4)


def test_each_user_counts_alike() -> None:
    """One user has 8 of 10 pairs, all separated; the two others have one pair each, in the wrong order."""
    real, fake = [0.2] * 8 + [0.6, 0.6], [0.8] * 8 + [0.4, 0.4]
    owners = ["many"] * 8 + ["one", "two"]
    found = scored(real, fake, owners, [0] * 10, 0.5)
    assert found.accuracy() == pytest.approx(1 / 3)
    ordered = sum(
        wi * wj * (f > r)
        for wi, f in zip(found.weights, fake, strict=True)
        for wj, r in zip(found.weights, real, strict=True)
    )
    assert found.auc() == pytest.approx(ordered / 9)
    assert (found.users, found.largest_share) == (3, 0.8)
    assert found.effective_users == pytest.approx(100 / 66)


def test_the_threshold_is_the_best_of_the_training_rows() -> None:
    """One column that separates at 3: a threshold between the training rows has the test rows right as well."""
    real, fake = np.linspace(0.0, 2.0, 50)[:, None], np.linspace(4.0, 6.0, 50)[:, None]
    found = paired_scores(real, fake, users(5, 50), probe="logistic")
    assert found.accuracy() == 1.0
    assert ((found.thresholds > 0) & (found.thresholds < 1)).all()


def test_the_band_of_no_difference_holds_equal_samples_and_not_shifted_ones() -> None:
    owners, real = users(25, 250), normal(1, 250, 4)
    band = no_difference(real, normal(2, 250, 4), owners, repeats=12)
    assert band.low < paired_scores(real, normal(2, 250, 4), owners).auc() < band.high
    shifted = normal(2, 250, 4, shift=0.5)
    wide = no_difference(real, shifted, owners, repeats=12)
    assert wide.high < paired_scores(real, shifted, owners).auc()
    assert wide == no_difference(real, shifted, owners, repeats=12)


def test_columns_without_a_difference_are_left_out_and_degenerate_ones_named() -> None:
    real, fake = normal(1, 60, 3), normal(2, 60, 3)
    real[:, 0] = fake[:, 0] = 2.0
    real[:, 1] = 1.0
    found = paired_scores(real, fake, users(6, 60), columns=("same", "flag", "free"), probe="forest")
    assert (found.left_out, found.degenerate) == (("same",), ("flag",))
    assert found.auc() > 0.9


@pytest.mark.parametrize(
    ("owners", "options", "error", "message"),
    [
        (users(5, 30), {"probe": "oracle"}, ValueError, "one of logistic"),
        (users(5, 29), {}, ValueError, "an owner per pair"),
        (users(5, 30), {"folds": 31}, ConfigError, "folds=31 and 30 pairs"),
        (users(5, 30), {"folds": 1}, ConfigError, "folds=1"),
    ],
)
def test_invalid_input_is_refused(
    owners: list[str], options: dict[str, object], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        paired_scores(normal(1, 30, 2), normal(2, 30, 2), owners, **options)  # type: ignore[arg-type]


def test_tables_of_different_length_and_a_band_of_one_repeat_are_refused() -> None:
    with pytest.raises((ValueError, TypeError)):  # the shape check of the tests comes before our own
        paired_scores(normal(1, 30, 2), normal(2, 29, 2), users(5, 30))
    with pytest.raises(ValueError, match="repeats"):
        no_difference(normal(1, 30, 2), normal(2, 30, 2), users(5, 30), repeats=1)
