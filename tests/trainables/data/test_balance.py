"""Properties of the balance: one count, exact, and no weight beside it."""

from fractions import Fraction

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.data.balance import BalanceError, generated_count, validate_augmentation_balance, validate_weights

PAIR = ("sequence", "condition")


def test_the_count_is_rounded_and_never_truncated() -> None:
    assert int(100 * 0.29) == 28
    assert generated_count(100, 0.29) == 29


@pytest.mark.parametrize("num_real", [0, 1, 7, 100, 1166, 10_001])
def test_the_count_is_the_integer_nearest_to_alpha_times_real(num_real: int) -> None:
    for hundredths in range(1001):
        exact = Fraction(hundredths, 100) * num_real
        assert abs(generated_count(num_real, hundredths / 100) - exact) <= Fraction(1, 2)


def test_halves_are_rounded_to_even() -> None:
    assert [generated_count(n, 0.5) for n in (1, 3, 5, 7)] == [0, 2, 2, 4]


def test_alpha_zero_is_nothing_and_alpha_one_as_many() -> None:
    assert [generated_count(n, 0.0) for n in (0, 1, 1166)] == [0, 0, 0]
    assert [generated_count(n, 1.0) for n in (0, 1, 1166)] == [0, 1, 1166]


@pytest.mark.parametrize(
    ("num_real", "alpha", "named"),
    [(-1, 0.5, "-1"), (10, -0.1, "alpha=-0.1"), (10, float("nan"), "alpha=nan"), (10, float("inf"), "alpha=inf")],
)
def test_an_impossible_share_is_refused(num_real: int, alpha: float, named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        generated_count(num_real, alpha)


@pytest.mark.parametrize(("num_real", "alpha"), [(100, 0.29), (100, 0.0), (3, 0.5), (1166, 1.0)])
def test_the_exact_count_passes_and_is_logged(num_real: int, alpha: float) -> None:
    count = generated_count(num_real, alpha)
    line = validate_augmentation_balance(num_real, count, alpha, PAIR)
    assert line == (f"balance: {num_real} real + {count} generated, ratio {count / num_real:.4f} (target {alpha:.4f})")


@pytest.mark.parametrize("off", [-1, 1])
@pytest.mark.parametrize(("num_real", "alpha"), [(100, 0.29), (100, 0.0), (3, 0.5), (1166, 1.0)])
def test_one_too_many_or_too_few_is_refused(num_real: int, alpha: float, off: int) -> None:
    count = generated_count(num_real, alpha)
    with pytest.raises(BalanceError) as exc_info:
        validate_augmentation_balance(num_real, count + off, alpha, PAIR)
    for part in (f"generated={count + off}", f"alpha={alpha}", f"real={num_real}", f"expected {count}"):
        assert part in str(exc_info.value)


@pytest.mark.parametrize("sample", [(*PAIR, 1.0), PAIR[:1], ()], ids=len)
def test_an_item_with_a_weight_is_refused(sample: tuple[object, ...]) -> None:
    with pytest.raises(BalanceError, match=f"got {len(sample)} fields"):
        validate_augmentation_balance(100, 29, 0.29, sample)


# the other way: equal counts and a weight


@pytest.mark.parametrize(("num_real", "weight"), [(100, 0.29), (3, 1.0), (1166, 0.1), (0, 0.5)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equal_counts_with_the_configured_weight_pass_and_are_logged(
    num_real: int, weight: float, dtype: torch.dtype
) -> None:
    weights = torch.tensor([1.0] * num_real + [weight] * num_real, dtype=dtype)
    line = validate_weights(num_real, num_real, weight, weights)
    ratio = weight if num_real else 0.0
    assert line == (
        f"balance: {num_real} real + {num_real} generated, weighted ratio {ratio:.4f} (target {weight:.4f})"
    )


@pytest.mark.parametrize("off", [-1, 1, -90])
def test_a_count_beside_the_weight_is_refused(off: int) -> None:
    """Ten generated movements that weigh a tenth would be a hundredth of a hundred."""
    weights = torch.tensor([1.0] * 100 + [0.1] * (100 + off))
    with pytest.raises(BalanceError) as exc_info:
        validate_weights(100, 100 + off, 0.1, weights)
    for part in (f"generated={100 + off}", "real=100", "a count beside the weight would scale it twice"):
        assert part in str(exc_info.value)


def other_weights() -> dict[str, list[float]]:
    """Return weights of two real and two generated movements, where 0.5 is configured."""
    return {
        "a real one": [1.0, 0.5, 0.5, 0.5],
        "a generated one": [1.0, 1.0, 0.5, 0.51],
        "twice": [1.0, 1.0, 0.25, 0.25],
        "the wrong way round": [0.5, 0.5, 1.0, 1.0],
        "scaled": [2.0, 2.0, 1.0, 1.0],
        "one too few": [1.0, 1.0, 0.5],
        "none": [1.0, 1.0, float("nan"), 0.5],
    }


@pytest.mark.parametrize("case", other_weights())
def test_weights_other_than_the_configured_ones_are_refused(case: str) -> None:
    with pytest.raises(BalanceError, match=r"^expected weights of 1 for real and 0.5 for generated .*, but got others"):
        validate_weights(2, 2, 0.5, torch.tensor(other_weights()[case]))
