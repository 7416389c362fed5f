"""Balance of real and generated training data: one scaling point, a count or, in its place, a weight.

`alpha` is how many generated movements join the real ones, as a share of the real count. That count is the only
place where alpha acts. A per-sample weight beside it would scale the generated part twice (alpha squared), so a data
set that carries a weight is refused. The other way, equal counts and a weight, excludes the first.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from trainables.core.config import ConfigError, require


class BalanceError(ConfigError):
    """Training data whose generated share is not the configured one."""


def generated_count(num_real: int, alpha: float) -> int:
    """round(alpha * num_real), halves to the even neighbour: the one place where alpha becomes a count.

    >>> generated_count(100, 0.29), int(100 * 0.29)
    (29, 28)
    """
    require(num_real >= 0, "`num_real >= 0`", str(num_real))
    require(0.0 <= alpha < float("inf"), "`0 <= alpha < inf`", f"alpha={alpha}")
    return round(alpha * num_real)


def validate_augmentation_balance(num_real: int, num_generated: int, alpha: float, sample: Sequence[object]) -> str:
    """Check the exact count and the absence of weights before training starts.

    Args:
        num_real: Real movements in the training set.
        num_generated: Generated movements in it.
        alpha: The configured share.
        sample: Any item of the data set; (input, target) and nothing else.

    Returns:
        One line for the log: real, generated, actual and expected ratio.

    Raises:
        BalanceError: a count other than `generated_count(num_real, alpha)`, or an item that is not a pair.
    """
    expected = generated_count(num_real, alpha)
    if num_generated != expected:
        raise BalanceError(
            f"expected `generated == round(alpha * real)`, but got generated={num_generated}, alpha={alpha}, "
            f"real={num_real} (expected {expected}); generate as many as expected"
        )
    if len(sample) != 2:
        raise BalanceError(
            f"expected an item of the data set to be a pair (sequence, condition), but got {len(sample)} fields; "
            "leave out weights, which would scale the generated part a second time"
        )
    actual = num_generated / num_real if num_real else 0.0
    return f"balance: {num_real} real + {num_generated} generated, ratio {actual:.4f} (target {alpha:.4f})"


def sample_weights(num_real: int, num_generated: int, weight: float, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return the weight of every movement in the loss, the real ones first: 1, and `weight` of a generated one."""
    return torch.tensor([1.0] * num_real + [weight] * num_generated, dtype=dtype)


def validate_weights(num_real: int, num_generated: int, weight: float, weights: Tensor) -> str:
    """Check the weight-based balance, which takes the place of the count-based one: equal counts, one scaling point.

    Args:
        weights: Of every item in the loss, the real ones first.

    Returns:
        One line for the log: real, generated, actual and expected ratio of what they contribute.

    Raises:
        BalanceError: unequal counts, or weights other than 1 for real and `weight` for generated movements.
    """
    if num_generated != num_real:
        raise BalanceError(
            f"expected `generated == real` where the generated part is weighted, but got generated={num_generated}, "
            f"real={num_real}; a count beside the weight would scale it twice"
        )
    if not torch.equal(weights, sample_weights(num_real, num_generated, weight, weights.dtype)):
        law = f"weights of 1 for real and {weight:g} for generated movements"
        raise BalanceError(f"expected {law}, but got others; apply the weight in one place only")
    ratio = float(weights[num_real:].sum() / weights[:num_real].sum()) if num_real else 0.0
    return f"balance: {num_real} real + {num_generated} generated, weighted ratio {ratio:.4f} (target {weight:.4f})"
