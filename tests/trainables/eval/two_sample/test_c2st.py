"""The classifier two-sample test: null and alternatives for every probe, folds, groups, refusals."""

from collections.abc import MutableMapping
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from trainables.eval.metrics import PROBES, c2st, classifier_two_sample_test, null_band
from trainables.eval.two_sample.probes import TAIL, Winsoriser

Array = npt.NDArray[np.float64]


def normal(seed: int, n: int, f: int, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    return shift + scale * torch.randn(n, f, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Spy:
    """A probe that calls a row fake by its first column and keeps what it was shown."""

    def __init__(self, shown: list[tuple[Array, Array]]) -> None:
        self.shown = shown

    def fit(self, x: Array, y: npt.NDArray[np.int64]) -> "Spy":
        self.train = x
        return self

    def predict_proba(self, x: Array) -> Array:
        self.shown.append((self.train, x))
        p = 1 / (1 + np.exp(-x[:, 0]))
        return np.stack([1 - p, p], axis=1)


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Array, Array]]:
    """Training and test rows of each fold that the probe "spy" has seen."""
    folds: list[tuple[Array, Array]] = []
    monkeypatch.setitem(cast(MutableMapping[str, Any], PROBES), "spy", lambda seed: Spy(folds))
    return folds


# Null: held-out accuracy on 2 x 150 rows has a standard deviation of at most 0.04 (dependence between folds included);
# 0.12 is three of them, so a probe fails falsely for 0.3 % of the seeds. The seed is fixed.
@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_finds_no_difference_where_there_is_none(probe: str) -> None:
    result = classifier_two_sample_test(normal(1, 150, 4), normal(2, 150, 4), probe=probe)
    assert abs(result.accuracy - 0.5) < 0.12
    assert abs(result.auc - 0.5) < 0.15
    assert (result.probe, result.n, result.left_out) == (probe, 150, ())


# Alternative: the best possible accuracy for means 1.5 apart is 0.77; a probe that learns exceeds 0.65 (over 3 s.d.).
@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_finds_a_shifted_mean(probe: str) -> None:
    shifted = normal(2, 150, 4)
    shifted[:, 0] += 1.5
    result = classifier_two_sample_test(normal(1, 150, 4), shifted, probe=probe)
    assert result.accuracy > 0.65
    assert result.auc > result.accuracy


# Alternative: all standard deviations are 0.4 of the real ones, the means agree. False-failure rates as above.
@pytest.mark.parametrize("probe", PROBES)
def test_only_the_linear_probes_miss_a_collapsed_variance(probe: str) -> None:
    accuracy = classifier_two_sample_test(normal(1, 200, 4), normal(2, 200, 4, scale=0.4), probe=probe).accuracy
    if probe in ("logistic", "wide"):
        assert abs(accuracy - 0.5) < 0.12
    else:
        assert accuracy > 0.72


# 20 null tests at the size of a validation split: the mean accuracy has a standard error of about 0.006.
def test_the_default_probe_is_unbiased_at_250_rows_and_20_columns() -> None:
    accuracies = [c2st(normal(2 * k, 250, 20), normal(2 * k + 1, 250, 20)) for k in range(20)]
    assert abs(np.mean(accuracies) - 0.5) < 0.02
    assert np.std(accuracies) < 0.05
    assert c2st(normal(1, 250, 20), normal(2, 250, 20, scale=0.7)) > 0.65


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_of_few_rows_warns_of_nothing(probe: str) -> None:
    """Forty rows are less than a batch of the perceptron; a warning is an error here."""
    assert 0.0 <= classifier_two_sample_test(normal(1, 20, 4), normal(2, 20, 4), probe=probe).accuracy <= 1.0


@pytest.mark.parametrize("probe", PROBES)
def test_the_same_call_gives_the_same_result_and_uses_no_global_generator(probe: str) -> None:
    real, fake = normal(1, 90, 3), normal(2, 60, 3, shift=0.3)
    state = np.random.get_state()[1].copy()  # type: ignore[index]  # noqa: NPY002
    first = classifier_two_sample_test(real, fake, probe=probe, seed=3)
    assert classifier_two_sample_test(real, fake, probe=probe, seed=3) == first
    assert (np.random.get_state()[1] == state).all()  # type: ignore[index]  # noqa: NPY002


@pytest.mark.parametrize("probe", PROBES)
def test_an_outlier_does_not_prevent_detection(probe: str) -> None:
    real, fake = normal(1, 150, 3), normal(2, 150, 3, shift=1.0)
    calm = classifier_two_sample_test(real, fake, probe=probe).accuracy
    real[7, 1] = 1e12
    assert abs(classifier_two_sample_test(real, fake, probe=probe).accuracy - calm) < 0.06


def test_the_winsoriser_uses_the_quantiles_of_the_training_fold_only() -> None:
    train = np.arange(1001.0)[:, None]
    clipped = Winsoriser().fit(train).transform(np.array([[-1e9], [500.0], [1e9]]))
    assert clipped.ravel().tolist() == pytest.approx([1000 * TAIL, 500.0, 1000 * (1 - TAIL)])


def test_accuracy_and_auc_are_those_of_the_held_out_rows_counted_by_hand(shown: list[tuple[Array, Array]]) -> None:
    real, fake = normal(1, 53, 2), normal(2, 53, 2, shift=0.8)
    real[:, 1], fake[:, 1] = torch.linspace(-2, -1, 53), torch.linspace(1, 2, 53)  # the sign is the class
    result = classifier_two_sample_test(real, fake, probe="spy")
    accuracies, areas, hits = [], [], {False: 0, True: 0}
    for _, test in shown:
        right = [(x > 0) == (label > 0) for x, label in test]
        share = {c: np.mean([ok for ok, row in zip(right, test, strict=True) if (row[1] > 0) == c]) for c in hits}
        accuracies.append((share[False] + share[True]) / 2)
        wins = [float(f[0] > r[0]) for f in test if f[1] > 0 for r in test if r[1] < 0]
        areas.append(np.mean(wins))
        for ok, row in zip(right, test, strict=True):
            hits[bool(row[1] > 0)] += ok
    assert result.accuracy == pytest.approx((hits[False] + hits[True]) / 106)
    assert result.auc == pytest.approx(np.mean(areas))
    assert result.accuracy_std == pytest.approx(np.std(accuracies))


def test_the_folds_cover_each_row_once_and_never_train_on_it(shown: list[tuple[Array, Array]]) -> None:
    real, fake = normal(1, 41, 2), normal(2, 41, 2)
    classifier_two_sample_test(real, fake, probe="spy", folds=4)
    tested = np.concatenate([test for _, test in shown])
    everything = torch.cat([real, fake]).numpy()
    assert sorted(map(tuple, tested)) == sorted(map(tuple, everything))
    for train, test in shown:
        assert not set(map(tuple, train)) & set(map(tuple, test))
        assert len(train) + len(test) == len(everything)


def test_no_group_is_trained_and_tested_on_in_one_fold(shown: list[tuple[Array, Array]]) -> None:
    owner = torch.randint(0, 12, (150,), generator=torch.Generator().manual_seed(0))
    real, fake = normal(1, 150, 2), normal(2, 150, 2)
    real[:, 1] = fake[:, 1] = owner.double()
    names = [f"user{k}" for k in owner.tolist()]
    classifier_two_sample_test(real, fake, real_groups=names, fake_groups=names, probe="spy")
    assert len(shown) == 5
    for train, test in shown:
        assert not set(train[:, 1]) & set(test[:, 1])


# Each group has its own mean and is mostly real or mostly fake: a probe trained on the group predicts the class, and
# one that was not is at chance. Over 40 groups the grouped accuracy has a standard deviation of about 0.06.
def test_group_folds_remove_information_on_the_group() -> None:
    generator = torch.Generator().manual_seed(4)
    means = 8 * torch.randn(40, 3, generator=generator, dtype=torch.float64)
    real_owner = [k for k in range(40) for _ in range(9 if k % 2 else 1)]
    fake_owner = [k for k in range(40) for _ in range(1 if k % 2 else 9)]
    real, fake = (means[o] + 0.1 * normal(s, 200, 3) for s, o in ((1, real_owner), (2, fake_owner)))
    loose = classifier_two_sample_test(real, fake, probe="forest")
    held = classifier_two_sample_test(real, fake, real_groups=real_owner, fake_groups=fake_owner, probe="forest")
    assert loose.accuracy > 0.8
    assert held.accuracy < 0.7


def test_classes_are_equalised() -> None:
    result = classifier_two_sample_test(normal(1, 400, 3), normal(2, 80, 3))
    assert result.n == 80
    assert abs(result.accuracy - 0.5) < 0.16  # 0.04 per s.d. at 2 x 80 rows


def test_a_column_of_one_value_is_left_out_by_name() -> None:
    real, fake = normal(1, 100, 3), normal(2, 100, 3)
    real[:, 1] = 1.0 + 1e-9 * normal(3, 100, 1)[:, 0]
    fake[:, 1] = 1.0 + 1e-9 * normal(4, 100, 1)[:, 0]
    result = classifier_two_sample_test(real, fake, probe="forest", columns=("a", "net_length", "c"))
    assert result.left_out == ("net_length",)
    without = classifier_two_sample_test(real[:, [0, 2]], fake[:, [0, 2]], probe="forest")
    assert result.accuracy == without.accuracy
    assert classifier_two_sample_test(real, fake).left_out == (1,)


@pytest.mark.parametrize("probe", PROBES)
def test_a_column_that_is_constant_in_the_real_rows_alone_separates_and_is_named(probe: str) -> None:
    """Of a fake side that is constant at another value, or varies."""
    real, fake = normal(1, 100, 3), normal(2, 100, 3)
    real[:, 1], fake[:, 1] = 1.0, 0.0
    result = classifier_two_sample_test(real, fake, probe=probe, columns=("a", "flag", "c"))
    assert (result.left_out, result.degenerate) == ((), ("flag",))
    assert result.accuracy > 0.98
    fake[:, 1] = normal(4, 100, 1)[:, 0]
    assert classifier_two_sample_test(real, fake, probe="forest").degenerate == (1,)
    assert classifier_two_sample_test(real, fake, probe="forest").accuracy > 0.9


@pytest.mark.parametrize("probe", PROBES)
def test_a_copy_is_not_separated_from_the_real_rows(probe: str) -> None:
    real = normal(1, 200, 5)
    result = classifier_two_sample_test(real, real.clone().flip(0), probe=probe)
    assert result.accuracy == 0.5
    assert result.auc == pytest.approx(0.5)
    half = torch.cat([real[:100], normal(2, 100, 5)])  # 0.05 per standard deviation at 2 x 200 rows, and half are ties
    assert abs(classifier_two_sample_test(real, half, probe=probe).accuracy - 0.5) < 0.12


# Three standard deviations on either side; with ten repeats the band itself is uncertain by a quarter.
def test_the_null_band_contains_equal_samples_and_not_different_ones() -> None:
    human = normal(1, 400, 5)
    band = null_band(human, repeats=10, seed=2)
    assert band.low < band.mean < band.high
    assert abs(band.mean - 0.5) < 0.04
    assert 0.005 < band.std < 0.08
    assert band.mean - 3 * band.std < c2st(normal(2, 200, 5), normal(3, 200, 5)) < band.mean + 3 * band.std
    assert c2st(human, normal(2, 400, 5, scale=0.6)) > band.high
    assert null_band(human, repeats=10, seed=2) == band


# The halves share their users, so that differences between users do not raise the floor.
def test_the_null_band_is_no_higher_where_groups_differ() -> None:
    owner = [k % 20 for k in range(300)]
    means = 3 * normal(5, 20, 4)
    band = null_band(means[owner] + normal(6, 300, 4), groups=owner, repeats=5)
    assert abs(band.mean - 0.5) < 0.06


def spoiled(row: int, column: int, value: float) -> Tensor:
    table = normal(1, 30, 3)
    table[row, column] = value
    return table


@pytest.mark.parametrize(
    ("real", "fake", "options", "message"),
    [
        (
            spoiled(4, 2, np.nan),
            normal(2, 30, 3),
            {"columns": ("a", "b", "jerk")},
            "finite `real`, but got nan in row 4, column jerk",
        ),
        (normal(1, 30, 3), spoiled(5, 1, np.inf), {}, "finite `fake`, but got inf in row 5, column 1"),
        (normal(1, 30, 3), normal(2, 30, 3), {"columns": ("a",)}, "3 columns"),
        (torch.ones(30, 3), torch.ones(30, 3), {}, "expected a column of `real` that varies, but got 3 constant"),
        (normal(1, 30, 3), normal(2, 30, 3), {"probe": "oracle"}, "quadratic"),
        (normal(1, 30, 3), normal(2, 30, 3), {"folds": 1}, "folds=1"),
        (normal(1, 4, 3), normal(2, 30, 3), {}, "4 rows per class"),
        (normal(1, 30, 3), normal(2, 30, 3), {"real_groups": [0] * 30}, "but got `real_groups` alone"),
        (normal(1, 30, 3), normal(2, 30, 3), {"real_groups": [0] * 30, "fake_groups": [0] * 9}, r"\(30, 9\)"),
        (normal(1, 30, 3), normal(2, 30, 3), {"real_groups": [0] * 30, "fake_groups": [1] * 30}, "2 groups"),
        (
            normal(1, 30, 3),
            normal(2, 30, 3),
            {"real_groups": [0] * 30, "fake_groups": [1] * 30, "folds": 2},
            "real and fake rows",
        ),
    ],
)
def test_invalid_input_is_refused_with_its_position(
    real: Tensor, fake: Tensor, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        classifier_two_sample_test(real, fake, **options)


def test_tables_of_different_width_are_refused() -> None:
    with pytest.raises((ValueError, TypeError)):  # the shape check of the tests comes before our own
        c2st(normal(1, 30, 3), normal(2, 30, 4))


def test_a_null_band_of_one_repeat_is_refused() -> None:
    with pytest.raises(ValueError, match="repeats"):
        null_band(normal(1, 40, 2), repeats=1)
