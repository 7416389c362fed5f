"""Chord alignment: the requested net displacement, the same shape, and samples that are left alone."""

import math
from dataclasses import replace

import pytest
import torch

from trainables.data.canonical import Canonical, turning, with_deltas
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.representation import REPRESENTATIONS
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.generation.alignment import REACH, aligned


def loaded(representation: str = "fixed_dt") -> tuple[DataSplits, Canonical]:
    splits = load_splits(DataConfig(canonical=CanonicalConfig(representation)))
    return splits, splits["validation"].take(torch.arange(40))


def moved(splits: DataSplits, real: Canonical, angle: float, scale: float) -> torch.Tensor:
    """Standardised steps of movements that miss their requested displacement by a turn and a factor."""
    turn = scale * torch.tensor([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]]).double()
    deltas = torch.cat([real.deltas[..., :2] @ turn.T, real.deltas[..., 2:]], dim=-1)
    return splits.statistics.normalise(with_deltas(real, deltas))


@pytest.mark.parametrize("representation", REPRESENTATIONS)
def test_a_turned_and_scaled_movement_comes_back(representation: str) -> None:
    splits, real = loaded(representation)
    found = aligned(moved(splits, real, 0.4, 1.3), real, splits.statistics)
    torch.testing.assert_close(found, splits.statistics.normalise(real), rtol=0, atol=2e-4)


def test_the_net_displacement_is_the_requested_one_and_headings_and_rests_stay() -> None:
    splits, real = loaded()
    random = torch.Generator().manual_seed(0)
    noise = 0.01 * torch.randn(real.deltas.shape, generator=random).double() * (real.deltas != 0)
    sample = with_deltas(real, real.deltas + noise)
    found = splits.statistics.denormalise(aligned(splits.statistics.normalise(sample), real, splits.statistics), real)
    net = found.sum(dim=1)
    torch.testing.assert_close(net, torch.tensor([1.0, 0.0]).double().expand_as(net), rtol=0, atol=1e-5)
    moves = found.norm(dim=2, keepdim=True) > 1e-9  # a rest in standardised float32
    assert torch.equal(moves[..., 0], (sample.deltas != 0).any(dim=2))
    torch.testing.assert_close(turning(found * moves), turning(sample.deltas), rtol=0, atol=1e-3)


def test_a_movement_that_is_far_from_the_requested_one_is_left_alone() -> None:
    splits, real = loaded()
    for scale in (0.9 / REACH, 1.1 * REACH, 0.0):
        z = moved(splits, real, 0.0, scale)
        torch.testing.assert_close(aligned(z, real, splits.statistics), z, rtol=0, atol=1e-5)


def test_a_row_does_not_depend_on_the_others() -> None:
    splits, real = loaded()
    z = moved(splits, real, 0.3, 0.8)
    together = aligned(z, real, splits.statistics)
    for row in (0, 7, 39):
        assert torch.equal(
            aligned(z[row : row + 1], real.take(torch.tensor([row])), splits.statistics)[0], together[row]
        )
    wide = replace(
        real,
        deltas=torch.nn.functional.pad(real.deltas, (0, 0, 0, 30)),
        mask=torch.nn.functional.pad(real.mask, (0, 30)),
    )
    padded = aligned(torch.nn.functional.pad(z, (0, 0, 0, 30)), wide, splits.statistics)
    assert torch.equal(padded[:, : z.shape[1]], together)
