"""Random convolutions: the definition, independence of padding, a null and an alternative."""

from dataclasses import replace

import pytest
import torch

from trainables.data.canonical import Canonical, with_deltas
from trainables.data.companding import compand
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.eval.features.convolutions import KERNELS, UNIT_PX, RandomConvolutions
from trainables.eval.features.kinematic import movement_features
from trainables.eval.metrics import classifier_two_sample_test


@pytest.fixture(scope="module")
def humans() -> Canonical:
    return load_splits(DataConfig())["train"]


def test_features_are_share_maximum_and_mean_of_each_response(humans: Canonical) -> None:
    few = humans.take(torch.arange(7))
    convolutions = RandomConvolutions.fit(humans)
    found = convolutions(few)
    assert found.shape == (7, 3 * KERNELS)
    for number in (0, 1, 2, 100):
        weights, dilation = convolutions.kernels[number]
        reach = weights.shape[1] // 2
        for row in range(7):
            steps = int(few.mask[row].sum())
            z = compand(few.steps_px()[row : row + 1], UNIT_PX)[0]
            response = []
            for t in range(steps):
                taps = [(k, t + (k - reach) * dilation) for k in range(weights.shape[1])]
                response.append(sum(float(weights[:, k] @ z[i].float()) for k, i in taps if 0 <= i < steps))
            threshold = float(convolutions.thresholds[number])
            share, largest, mean = found[row, 3 * number : 3 * number + 3].tolist()
            assert share == pytest.approx(sum(value > threshold for value in response) / steps, abs=1.1 / steps)
            assert largest == pytest.approx(max(response), abs=1e-4)
            assert mean == pytest.approx(sum(response) / steps, abs=1e-4)


def test_padding_changes_nothing(humans: Canonical) -> None:
    few = humans.take(torch.arange(5))
    wide = replace(
        few,
        deltas=torch.nn.functional.pad(few.deltas, (0, 0, 0, 30)),
        mask=torch.nn.functional.pad(few.mask, (0, 30)),
    )
    convolutions = RandomConvolutions.fit(humans)
    torch.testing.assert_close(convolutions(wide), convolutions(few))


def test_the_same_movements_give_the_same_features(humans: Canonical) -> None:
    one, other = RandomConvolutions.fit(humans), RandomConvolutions.fit(humans)
    assert torch.equal(one(humans.take(torch.arange(9))), other(humans.take(torch.arange(9))))


def auc(humans: Canonical, others: Canonical) -> tuple[float, float]:
    """AUC of the kinematic features' default probe, and of a linear one on convolutions; a pair is in one fold."""
    pairs = [str(row) for row in range(len(humans))]
    convolutions = RandomConvolutions.fit(humans)
    tables = [movement_features(side.deltas, side.mask) for side in (humans, others)]
    raw = [convolutions(side) for side in (humans, others)]
    return tuple(  # type: ignore[return-value]
        classifier_two_sample_test(*table, real_groups=pairs, fake_groups=pairs, probe=probe).auc
        for table, probe in ((tables, "quadratic"), (raw, "wide"))
    )


def test_reversed_movements_are_separated_by_the_order_of_their_steps(humans: Canonical) -> None:
    """Alternative: of 400 movements the steps in reverse order; the band of no difference is 0.5 +- 0.04."""
    some = humans.take(torch.arange(400))
    length = some.mask.sum(dim=1, keepdim=True)
    order = torch.where(some.mask, length - 1 - torch.arange(some.mask.shape[1]), torch.arange(some.mask.shape[1]))
    reversed_steps = some.deltas.gather(1, order[..., None].expand_as(some.deltas))
    _, convolutions = auc(some, with_deltas(some, reversed_steps))
    assert convolutions > 0.9


def test_halves_of_the_same_users_are_not_separated(humans: Canonical) -> None:
    """Null: movements paired at random with others; 0.12 is three standard deviations at 2 x 400 rows."""
    order = torch.randperm(len(humans), generator=torch.Generator().manual_seed(0))[:800]
    _, convolutions = auc(humans.take(order[:400]), humans.take(order[400:]))
    assert abs(convolutions - 0.5) < 0.12
