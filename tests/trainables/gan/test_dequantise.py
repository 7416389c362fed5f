"""Properties of dequantisation: rounding takes it back in every direction, and the shift is uniform."""

import math

import torch

from trainables.data.canonical import decode, with_deltas
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.dataset import SequenceDataset, Sequences
from trainables.data.splits.loading import load_splits
from trainables.gan.dequantise import RADIUS_PX, dequantised, disc


def test_rounding_takes_dequantised_recordings_back_to_what_they_were() -> None:
    """Through the full chain of a sample, in every direction on the screen."""
    splits = load_splits(DataConfig())
    real = splits["train"].take(torch.arange(200))
    sequences = SequenceDataset(real, splits.statistics).sequences
    shifted = dequantised(sequences, splits.statistics, torch.Generator().manual_seed(0))
    assert float((shifted.z - sequences.z)[real.mask].abs().amax(dim=1).min()) > 0
    assert not shifted.z[~real.mask].any()
    found = decode(with_deltas(real, splits.statistics.denormalise(shifted.z, real)), CanonicalConfig())
    assert torch.equal(found.steps_px, decode(real, CanonicalConfig()).steps_px)


def test_a_channel_of_time_is_left_as_it_is() -> None:
    splits = load_splits(DataConfig(canonical=CanonicalConfig("events")))
    z, mask = SequenceDataset(splits["train"].take(torch.arange(20)), splits.statistics).sequences
    shifted = dequantised(Sequences(z, mask), splits.statistics, torch.Generator().manual_seed(0))
    torch.testing.assert_close(shifted.z[..., 2], z[..., 2])
    assert bool((shifted.z[..., :2] != z[..., :2]).any(dim=2)[mask].all())


def test_shifts_are_uniform_within_the_disc() -> None:
    """(r / R)^2 and the angle are uniform: z tests of their means over 40,000 points at 4 sigma, false failures 2e-4.

    Points uniform in r instead, or in a square, fail the first.
    """
    points = disc(400, 100, torch.Generator().manual_seed(0)).flatten(0, 1) / RADIUS_PX
    share, angle = points.square().sum(dim=1), torch.atan2(points[:, 1], points[:, 0]) / math.pi
    sigma = (1 / 12 / len(points)) ** 0.5
    assert float(share.max()) <= 1.0
    assert abs(float(share.mean()) - 0.5) < 4 * sigma
    assert abs(float(angle.mean())) < 4 * 2 * sigma
    assert abs(float(share.sqrt().square().square().mean()) - 1 / 3) < 0.01
    uniform_radius = torch.rand(len(points), generator=torch.Generator().manual_seed(1)).square()
    assert abs(float(uniform_radius.mean()) - 0.5) > 4 * sigma
