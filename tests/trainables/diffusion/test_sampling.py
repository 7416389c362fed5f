"""The blocks that share a network call: every row once, and no dependence on the other rows of a block."""

import pytest
import torch
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.diffusion.sampling_config import SamplingChanges, SamplingConfig
from trainables.generation.blocks import CHUNK, ROWS, WIDTH, blocks


def masks(lengths: list[int], steps: int) -> Tensor:
    return torch.arange(steps) < torch.tensor(lengths)[:, None]


LENGTHS = [1 + 37 * k % 200 for k in range(500)]


@pytest.mark.parametrize("count", [1, 7, 8, 127, 128, 129, 500])
@pytest.mark.parametrize("padded", [True, False])
def test_every_row_is_in_one_block_of_a_full_number_of_rows(count: int, padded: bool) -> None:
    mask = masks(LENGTHS[:count], 200) if padded else torch.ones(count, 200, dtype=torch.bool)
    found = list(blocks(mask, padded))
    rows = [row for block in found for row in block.rows[: block.real].tolist()]
    assert sorted(rows) == list(range(count))
    for block in found:
        assert len(block.rows) % ROWS == 0
        assert len(block.rows) <= CHUNK
        assert len(block.rows) - block.real <= ROWS


@pytest.mark.parametrize("steps", [8, 41, 64, 65, 200])
def test_the_width_of_a_row_is_decided_by_its_own_length_only(steps: int) -> None:
    """The first multiple of `WIDTH` that holds it, also where T is less."""
    mask = masks([1 + each % steps for each in LENGTHS], steps)
    for block in blocks(mask, padded=True):
        for row in block.rows.tolist():
            length = int(mask[row].sum())
            assert block.width == -(-length // WIDTH) * WIDTH


def test_a_block_with_padding_has_a_padded_step_and_one_without_has_none() -> None:
    whole = torch.ones(16, 64, dtype=torch.bool)
    (padded,), (full,) = list(blocks(whole, True)), list(blocks(whole, False))
    assert not bool(padded.mask_of(whole, True).all())
    assert bool(padded.mask_of(whole, True)[:16].all())
    assert bool(full.mask_of(whole, False).all())
    assert len(full.rows) == 16


def test_masks_are_those_of_the_rows() -> None:
    mask = masks([3, 64, 70, 65, 1], 70)
    for block in blocks(mask, True):
        cut = block.mask_of(mask, True)
        for row, found in zip(block.rows[: block.real], cut, strict=False):
            assert int(found.sum()) == int(mask[row].sum())
        assert bool((cut[block.real :].sum(dim=1) == 1).all())


def test_settings_that_are_not_given_keep_their_values() -> None:
    own = SamplingConfig("ddim", "trailing", 7, 1.5, 0.5)
    assert SamplingChanges().over(own) == own
    assert SamplingChanges(steps=20, guidance=1.0).over(own) == SamplingConfig("ddim", "trailing", 20, 1.0, 0.5)
    with pytest.raises(ConfigError, match="`eta = 0` unless"):
        SamplingChanges(sampler="dpmpp_2m").over(own)
    with pytest.raises(ConfigError, match="sampler=euler"):
        SamplingChanges(sampler="euler")
