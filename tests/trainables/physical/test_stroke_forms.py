"""Strokes in closed form against numerical integration of their velocity, and their derivatives against autograd."""

import math

import numpy as np
import pytest
import torch
from scipy.stats import lognorm
from torch import Tensor

from tests.trainables.physical.drawn_strokes import two_strokes
from trainables.physical.forms import FORMS
from trainables.physical.lognormal_strokes import free_of, parameters_of
from trainables.physical.stroke_form import SHARED, StrokeForm
from trainables.physical.submovements import free_of as submovement_of

FORM = pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)


def drawn(form: StrokeForm, rows: int = 4, strokes: int = 3) -> Tensor:
    """Free parameters about the mean of the prior."""
    mean, std = form.prior
    noise = torch.randn(rows, strokes, len(mean), generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return mean + noise * std.clamp(max=0.4)


def test_a_lognormal_stroke_is_the_integral_of_its_velocity() -> None:
    """Speed and heading by their definitions from SciPy's lognormal, summed over 100,000 midpoints."""
    parameters = torch.tensor([[250.0, -0.05, -1.5, 0.3, -0.4, 0.9], [80.0, 0.1, -1.9, 0.15, 2.0, 2.0]]).double()
    n, end_s = 100_000, 0.8
    t = (np.arange(n) + 0.5) / n * end_s
    checked = torch.linspace(0.0, end_s, 9, dtype=torch.float64)
    closed = FORMS["sigma_lognormal"].displacement(free_of(parameters)[:, None], checked.expand(2, -1)).squeeze(1)
    for row, (distance, t0, mu, sigma, start, end) in enumerate(parameters.tolist()):
        law = lognorm(s=sigma, scale=math.exp(mu))
        heading = start + (end - start) * law.cdf(t - t0)
        velocity = distance * law.pdf(t - t0)[:, None] * np.stack([np.cos(heading), np.sin(heading)], axis=1)
        path = np.concatenate([np.zeros((1, 2)), velocity.cumsum(axis=0) * end_s / n])[:: n // 8]
        np.testing.assert_allclose((closed[row] - closed[row, 0]).numpy(), path, atol=2e-2)


def test_a_sub_movement_is_the_integral_of_its_velocity() -> None:
    distance, onset, duration, direction = 200.0, 0.1, 0.4, 0.7
    n = 100_000
    tau = np.clip(((np.arange(n) + 0.5) / n * 0.6 - onset) / duration, 0.0, 1.0)
    done = (30 * distance / duration * tau**2 * (1 - tau) ** 2).cumsum() * 0.6 / n
    free = submovement_of(torch.tensor([[[distance, onset, duration, direction]]]).double())
    at_s = torch.linspace(0.0, 0.6, 7, dtype=torch.float64)[None]
    closed = FORMS["minimum_jerk"].displacement(free, at_s)[0, 0]
    expected = np.append(0.0, done)[:: n // 6][:, None] * [math.cos(direction), math.sin(direction)]
    np.testing.assert_allclose(closed.numpy(), expected, atol=1e-2)


@FORM
def test_derivatives_are_those_of_the_displacement(form: StrokeForm) -> None:
    free, t_s = drawn(form), torch.linspace(-0.3, 1.0, 12, dtype=torch.float64).expand(4, -1)
    displacement, derivatives = form.jacobian(free, t_s)
    torch.testing.assert_close(displacement, form.displacement(free, t_s))
    expected = torch.autograd.functional.jacobian(lambda x: form.displacement(x, t_s), free)
    torch.testing.assert_close(derivatives, torch.einsum("nktcnkj->nkjtc", expected))


@pytest.mark.parametrize("turn", [0.0, 1e-9, 1e-4, 2e-3])
def test_a_straight_stroke_is_the_limit_of_an_arc_without_nan(turn: float) -> None:
    parameters = torch.tensor([[[100.0, 0.0, -1.6, 0.3, 0.5 - turn / 2, 0.5 + turn / 2]]]).double()
    t_s = torch.linspace(-0.1, 1.0, 30, dtype=torch.float64)[None]
    displacement, derivatives = FORMS["sigma_lognormal"].jacobian(free_of(parameters), t_s)
    assert bool(derivatives.isfinite().all())
    length, heading = displacement.norm(dim=-1), torch.atan2(displacement[..., 1], displacement[..., 0])
    law = lognorm(s=0.3, scale=math.exp(-1.6))
    np.testing.assert_allclose(length[0, 0].numpy(), 100 * law.cdf(t_s[0].numpy()), atol=1e-4)
    torch.testing.assert_close(
        heading[length > 1e-6], torch.full_like(heading, 0.5)[length > 1e-6], atol=turn + 1e-12, rtol=0
    )


def test_lognormal_parameters_are_inverted() -> None:
    free = drawn(FORMS["sigma_lognormal"])
    torch.testing.assert_close(free_of(parameters_of(free)), free)


@FORM
def test_the_first_free_parameters_scale_shift_and_turn_a_stroke_whatever_its_form(form: StrokeForm) -> None:
    """Twice as long, 2.5 times as slow and turned, by the four that all forms share."""
    _, strokes = two_strokes(next(name for name, one in FORMS.items() if one is form))
    assert form.free[: len(SHARED)] == SHARED
    t_s = torch.linspace(0.0, 0.8, 20, dtype=torch.float64).expand(len(strokes), -1)
    other = strokes.free.clone()
    other[..., 0] += math.log(2.0)
    other[..., 1] *= 2.5
    other[..., 2] += math.log(2.5)
    other[..., 3] += math.pi / 2
    x, y = (2 * form.displacement(strokes.free, t_s)).unbind(-1)
    torch.testing.assert_close(form.displacement(other, 2.5 * t_s), torch.stack([-y, x], dim=-1))
