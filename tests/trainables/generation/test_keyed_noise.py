"""Keyed noise: a row's noise does not depend on the other rows."""

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor

from trainables.generation.keyed_noise import keyed_noise


def row_noise(rows: Sequence[int], sequence_length: int, channels: int, seed: int, *purpose: str | int) -> Tensor:
    """Noise of the rows of one seed."""
    return keyed_noise([(seed, row) for row in rows], sequence_length, channels, *purpose)


def test_the_noise_of_a_row_depends_on_seed_purpose_and_number_alone() -> None:
    rows = row_noise(range(200), 6, 2, 5, "sample")
    assert torch.equal(row_noise([7, 3, 7], 6, 2, 5, "sample"), rows[[7, 3, 7]])
    assert torch.equal(row_noise(range(128, 200), 6, 2, 5, "sample"), rows[128:])
    assert not torch.equal(row_noise(range(200), 6, 2, 6, "sample"), rows)
    assert not torch.equal(row_noise(range(200), 6, 2, 5, "step", 0), rows)
    mixed = keyed_noise([(5, 7), (6, 3), (5, 190)], 6, 2, "sample")
    assert torch.equal(mixed[::2], rows[[7, 190]])
    assert torch.equal(mixed[1:2], row_noise([3], 6, 2, 6, "sample"))
    assert len({tuple(row.flatten().tolist()) for row in rows}) == 200


@pytest.mark.parametrize("channels", [2, 3, 8])
def test_the_first_steps_have_their_noise_whatever_the_length(channels: int) -> None:
    longest = row_noise(range(3), 90, channels, 5, "sample")
    for length in (1, 8, 41, 64, 65, 89):
        assert torch.equal(row_noise(range(3), length, channels, 5, "sample"), longest[:, :length])


def test_the_noise_is_normal() -> None:
    """24,000 values: mean and variance within 5 s.d. (false failure 6e-7 each), which noise of 1.05 times is not."""
    noise = row_noise(range(200), 60, 2, 5, "sample")
    assert abs(float(noise.mean())) < 5 / 24_000**0.5
    for scale, holds in ((1.0, True), (1.05, False)):
        assert (abs(float((scale * noise).var()) - 1) < 5 * (2 / 24_000) ** 0.5) is holds
