"""Errors of a reconstruction: zero without loss, large for a bad autoencoder, each by its definition."""

from dataclasses import replace

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical, Movements
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.diffusion.latents.autoencoder import Autoencoder
from trainables.diffusion.latents.config import LatentConfig
from trainables.diffusion.latents.reconstruction import (
    position_rms_px,
    reconstruct,
    reconstruction_report,
    relative_error,
)

NATIVE = CanonicalConfig()
CONFIG = LatentConfig(width=8, groups=4)


def splits(canonical: CanonicalConfig = NATIVE) -> DataSplits:
    return load_splits(DataConfig(canonical=canonical))


def some(canonical: CanonicalConfig = NATIVE) -> Canonical:
    """150 held-out movements; the probe's five folds need as many groups."""
    return splits(canonical)["validation"].take(torch.arange(150))


def untrained(channels: int, sequence_channels: int = 2) -> Autoencoder:
    torch.manual_seed(1)
    return Autoencoder(sequence_channels, replace(CONFIG, channels=channels))


def report(autoencoder: Autoencoder, canonical: CanonicalConfig = NATIVE) -> dict[str, float]:
    return reconstruction_report(autoencoder, some(canonical), splits(canonical).statistics, canonical)


@pytest.mark.parametrize("representation", ["fixed_dt", "events"])
def test_a_lossless_reconstruction_has_zero_error(representation: str) -> None:
    """Equal pairs in one fold are separated by chance only: the accuracy of the pooled pairs is exactly one half."""
    canonical = CanonicalConfig(representation)
    found = report(untrained(4 * canonical.form.channels, canonical.form.channels), canonical)
    assert found["c2st"] == pytest.approx(0.5, abs=1e-12)
    assert found["c2st_auc"] == pytest.approx(0.5, abs=1e-12)
    for name in ("position_rms_px", "path_length_error", "jerk_error", "heading_change_error", "still_share_error"):
        assert found[name] == pytest.approx(0.0, abs=1e-9), name
    assert found["rejected"] == 0.0


def test_a_lossy_reconstruction_is_detected() -> None:
    """Seeded; 150 pairs of one fold each would have to fall by 5 standard deviations (0.029 each) to read under 0.6."""
    found = report(untrained(2))
    assert found["c2st"] > 0.6
    assert found["c2st_auc"] > 0.6
    assert found["position_rms_px"] > 10
    assert min(found[name] for name in ("path_length_error", "jerk_error", "heading_change_error")) > 0.05


def test_a_reconstruction_keeps_the_conditions_and_the_masks() -> None:
    real = some()
    found = reconstruct(untrained(2), real, splits().statistics)
    for name in ("mask", "angle", "distance_px", "duration_s"):
        assert torch.equal(getattr(found, name), getattr(real, name))
    assert found.group == real.group
    assert found.deltas[~real.mask].eq(0).all()


def test_reconstructions_that_are_no_movements_are_counted_and_none_at_all_is_an_error() -> None:
    autoencoder = untrained(8)
    torch.nn.init.zeros_(autoencoder.decoder.unfold.weight)
    still = splits().statistics
    still = replace(still, mean=torch.zeros(2, dtype=torch.float64))
    with pytest.raises(ConfigError, match="none of 150"):
        reconstruction_report(autoencoder, some(), still, NATIVE)


def total(movements: Movements, row: int, step: int, channel: int) -> float:
    """Where the movement is after a step: the sum of its steps up to it."""
    return sum(float(each[channel]) for each in movements.steps_px[row, : step + 1])


def test_position_error_is_the_distance_at_equal_times_even_if_one_ends_earlier() -> None:
    torch.manual_seed(4)
    length = torch.tensor([5, 3])
    valid = (torch.arange(5) < length[:, None])[..., None]
    real = Movements(torch.randint(-9, 9, (2, 5, 2)).double() * valid, length, ("a", "b"))
    fake = Movements(torch.randint(-9, 9, (2, 4, 2)).double(), torch.tensor([4, 4]), ("a", "b"))
    at = [(row, step, c) for row, stop in enumerate(length.tolist()) for step in range(stop) for c in (0, 1)]
    squares = [(total(real, *place) - total(fake, *place)) ** 2 for place in at]
    assert position_rms_px(real, fake) == pytest.approx((sum(squares) / int(length.sum())) ** 0.5)


def test_a_relative_error_survives_a_zero() -> None:
    assert relative_error(torch.tensor([0.0, 2.0, -4.0]), torch.tensor([1.0, 2.0, -2.0])) == pytest.approx(0.5)
