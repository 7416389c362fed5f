"""Laws of end-point inpainting: the sum is what was asked for, stillness stays, and nothing else is touched."""

import pytest
import torch
from torch import Tensor

from trainables.config import ConfigError
from trainables.data.dataset import Statistics
from trainables.diffusion.end_point import end_point_correction, hold_end_point

MASK = torch.arange(10) < torch.tensor([[10], [6], [1]])
END = torch.tensor([[120.0, 0.0], [8.0, 0.0], [30.0, 0.0]]).double()


def steps() -> Tensor:
    """Random steps of some pixels, the third of every row still, zero under the mask."""
    drawn = 9.0 * torch.randn(3, 10, 2, generator=torch.Generator().manual_seed(0)).double() * MASK[..., None]
    drawn[:, 3] = 0.0
    return drawn


def statistics(channels: int = 2) -> Statistics:
    mean, std = torch.linspace(0.1, 0.5, channels).double(), torch.linspace(0.8, 1.5, channels).double()
    return Statistics(mean, std, torch.zeros(4).double(), torch.ones(4).double(), torch.tensor(0.5).double())


def test_each_step_takes_its_share_of_the_path() -> None:
    """The definition in loops: d_i + |d_i| / sum |d| (end - sum d)."""
    found = hold_end_point(steps(), MASK, END)
    for row, length in enumerate((10, 6, 1)):
        d = [tuple(each) for each in steps()[row, :length].tolist()]
        path = sum((x * x + y * y) ** 0.5 for x, y in d)
        missing = [float(END[row, axis]) - sum(each[axis] for each in d) for axis in (0, 1)]
        for step, (x, y) in enumerate(d):
            share = (x * x + y * y) ** 0.5 / path
            expected = torch.tensor([x + share * missing[0], y + share * missing[1]], dtype=torch.float64)
            torch.testing.assert_close(found[row, step], expected, rtol=1e-9, atol=1e-9)
    assert not bool(found[~MASK].any())
    assert not bool(found[:2, 3].any())


def test_a_movement_without_motion_gets_equal_steps() -> None:
    found = hold_end_point(torch.zeros(3, 10, 2).double(), MASK, END)
    torch.testing.assert_close(found.sum(dim=1), END)
    torch.testing.assert_close(found[1, :6], (END[1] / 6).expand(6, 2))


def test_what_ends_there_already_is_left_alone() -> None:
    held = hold_end_point(steps(), MASK, END)
    torch.testing.assert_close(hold_end_point(held, MASK, END), held)


def test_a_corrected_prediction_ends_where_it_was_asked_to() -> None:
    scale = statistics()
    z = scale.compress(steps()).float() * MASK[..., None]
    corrected = end_point_correction(scale, MASK, END[:, 0])(z)
    expected = scale.compress(hold_end_point(steps(), MASK, END)).float() * MASK[..., None]
    assert corrected.dtype == torch.float32
    torch.testing.assert_close(corrected, expected, rtol=1e-4, atol=1e-4)


def test_steps_with_a_channel_of_time_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^`inpaint` needs steps \(dx, dy\) must hold, but got 3 channels;"):
        end_point_correction(statistics(3), MASK, END[:, 0])
