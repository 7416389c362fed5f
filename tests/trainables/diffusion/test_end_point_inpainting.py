"""End-point inpainting: the steps add up to the requested end, still steps stay still, the rest is unchanged."""

import pytest
import torch
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.data.splits.statistics import Statistics
from trainables.diffusion.end_point_inpainting import end_point_correction, hold_end_point

MASK = torch.arange(10) < torch.tensor([[10], [6], [1]])
SCALE_PX = 0.25
END = torch.tensor([[120.0, 0.0], [8.0, 0.0], [30.0, 0.0]]).double()


def steps() -> Tensor:
    """Random steps of some pixels, the third of every row still, zero under the mask."""
    drawn = 9.0 * torch.randn(3, 10, 2, generator=torch.Generator().manual_seed(0)).double() * MASK[..., None]
    drawn[:, 3] = 0.0
    return drawn


def statistics(channels: int = 2) -> Statistics:
    mean, std = torch.linspace(0.1, 0.5, channels).double(), torch.linspace(0.8, 1.5, channels).double()
    return Statistics(mean, std, torch.zeros(4).double(), torch.ones(4).double(), torch.tensor(SCALE_PX).double())


def test_each_step_takes_its_share() -> None:
    """The definition in loops: d_i + w_i (end - sum d), w_i = (scale^2 + |d_i|^2) / sum."""
    found = hold_end_point(steps(), MASK, END, SCALE_PX)
    for row, length in enumerate((10, 6, 1)):
        d = [tuple(each) for each in steps()[row, :length].tolist()]
        total = sum(SCALE_PX**2 + x * x + y * y for x, y in d)
        missing = [float(END[row, axis]) - sum(each[axis] for each in d) for axis in (0, 1)]
        for step, (x, y) in enumerate(d):
            share = (SCALE_PX**2 + x * x + y * y) / total
            expected = torch.tensor([x + share * missing[0], y + share * missing[1]], dtype=torch.float64)
            torch.testing.assert_close(found[row, step], expected, rtol=1e-9, atol=1e-9)
    assert not bool(found[~MASK].any())


def test_the_change_is_the_least_one_of_the_companded_lengths() -> None:
    """Along one axis, for a small correction: no other way to spread it changes z less, this is a minimum."""
    d = torch.tensor([[0.0, 0.3, 2.0, 7.0, 40.0, 25.0, 1.0, 0.0]]).double()
    path = torch.stack([d, torch.zeros_like(d)], dim=2)
    end, mask = path.sum(dim=1) + torch.tensor([1e-3, 0.0]), torch.ones(1, 8, dtype=torch.bool)
    shift = (hold_end_point(path, mask, end, SCALE_PX) - path)[0, :, 0]

    def change(moved: Tensor) -> float:
        return float(((d[0] + moved) / SCALE_PX).asinh().sub((d[0] / SCALE_PX).asinh()).square().sum())

    for other in torch.randn(50, 8, generator=torch.Generator().manual_seed(0)).double():
        turned = 1e-4 * (other - other.mean())  # keeps the sum
        assert change(shift + turned) > change(shift)


def test_a_still_step_hardly_moves() -> None:
    moved = (hold_end_point(steps(), MASK, END, SCALE_PX) - steps())[:2].norm(dim=-1)
    assert bool((moved[:, 3] < 0.01 * moved.amax(dim=1)).all())


def test_a_movement_without_motion_gets_equal_steps() -> None:
    found = hold_end_point(torch.zeros(3, 10, 2).double(), MASK, END, SCALE_PX)
    torch.testing.assert_close(found.sum(dim=1), END)
    torch.testing.assert_close(found[1, :6], (END[1] / 6).expand(6, 2))


def test_a_prediction_that_ends_there_already_is_unchanged() -> None:
    held = hold_end_point(steps(), MASK, END, SCALE_PX)
    torch.testing.assert_close(hold_end_point(held, MASK, END, SCALE_PX), held)


def test_a_corrected_prediction_ends_at_the_requested_point() -> None:
    scale = statistics()
    z = scale.compress(steps()).float() * MASK[..., None]
    corrected = end_point_correction(scale, MASK, END)(z)
    expected = scale.compress(hold_end_point(steps(), MASK, END, SCALE_PX)).float() * MASK[..., None]
    torch.testing.assert_close(scale.expand(corrected)[0].sum(dim=0), END[0], rtol=1e-4, atol=1e-2)
    assert corrected.dtype == torch.float32
    torch.testing.assert_close(corrected, expected, rtol=1e-4, atol=1e-4)


def test_steps_with_a_channel_of_time_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"^expected `inpaint` only with steps \(dx, dy\), but got 3 channels;"):
        end_point_correction(statistics(3), MASK, END)
