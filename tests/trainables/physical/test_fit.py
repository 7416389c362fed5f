"""Fits of movements whose strokes are known, and of noise; the largest peak in plain loops."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from tests.trainables.physical.drawn_strokes import moved, of_path, two_strokes
from trainables.core.config import ConfigError
from trainables.data.canonical import Movements, encode
from trainables.data.config import CanonicalConfig
from trainables.physical.extraction import StrokeSets, extract
from trainables.physical.fit import extracted, refined
from trainables.physical.forms import FORMS
from trainables.physical.quality import Quality, quality
from trainables.physical.speed_profile import FINENESS, largest_peak, velocities
from trainables.physical.stroke_form import Peak
from trainables.physical.trajectories import Trajectories

NAMES = pytest.mark.parametrize("name", FORMS)


def fitted(trajectories: Trajectories, name: str, iterations: int = 60) -> tuple[StrokeSets, Quality]:
    form = FORMS[name]
    strokes = refined(extracted(trajectories, form), trajectories, form, iterations).strokes
    return strokes, quality(strokes.path(form, trajectories.t_s), trajectories)


@NAMES
def test_exact_samples_of_known_strokes_give_the_strokes_back(name: str) -> None:
    """From initial values a tenth away; what is left is the weak prior's."""
    form, known = two_strokes(name)
    trajectories = moved(form, known)
    shifts = 0.1 * torch.cos(torch.arange(known.free.numel(), dtype=torch.float64)).view_as(known.free)
    start = replace(extracted(trajectories, form), strokes=StrokeSets(known.free + shifts, known.present))
    found = refined(start, trajectories, form, 80).strokes
    distance = form.parameters_of(found.free)[..., 0]
    torch.testing.assert_close(distance, form.parameters_of(known.free)[..., 0], rtol=0.02, atol=0.0)
    torch.testing.assert_close(found.free[..., 1], known.free[..., 1], rtol=0.0, atol=0.005)
    assert float(quality(found.path(form, trajectories.t_s), trajectories).speed.min()) > 45


@NAMES
def test_whole_pixels_of_known_strokes_are_fitted_to_within_what_they_bound(name: str) -> None:
    form, known = two_strokes(name)
    strokes, found = fitted(moved(form, known, whole=True), name)
    assert bool((strokes.count <= 8).all())
    assert bool((found.speed > found.speed_bound - 3).all())
    exact = quality(strokes.path(form, moved(form, known).t_s), moved(form, known))
    assert bool((exact.speed > found.speed_bound - 3).all())  # the strokes behind the pixels, not the pixels


@NAMES
def test_noise_of_a_pixel_is_no_movement_that_strokes_explain(name: str) -> None:
    """The alternative: where there are no strokes, few of them explain little."""
    random = torch.Generator().manual_seed(0)
    path = 6 * torch.randn(20, 61, 2, generator=random, dtype=torch.float64).round()
    _, found = fitted(of_path(path - path[:, :1]), name, iterations=20)
    assert float(found.speed.median()) < 6


def test_no_step_of_the_optimisation_raises_the_loss_and_company_changes_nothing() -> None:
    form, known = two_strokes("sigma_lognormal")
    trajectories = moved(form, known, whole=True)
    losses, state = [], extracted(trajectories, form)
    for _ in range(6):
        state = refined(state, trajectories, form, 3)
        losses.append(state.loss)
    assert all(bool((after <= before).all()) for before, after in pairwise(losses))
    alone = trajectories.take(torch.tensor([1]))
    torch.testing.assert_close(
        refined(extracted(alone, form), alone, form, 18).loss, state.loss[1:2], rtol=0.05, atol=0
    )


@NAMES
def test_a_movement_has_at_most_one_stroke_per_100_ms_and_at_least_one(name: str) -> None:
    form, known = two_strokes(name)
    for steps, most in ((8, 1), (12, 2), (17, 2), (18, 3), (48, 8)):
        trajectories = moved(form, known, steps)
        assert trajectories.most_strokes.tolist() == [most] * 3
        count = extract(trajectories, form).count
        assert bool(((count >= 1) & (count <= most)).all())
    still = of_path(torch.zeros(1, 49, 2))
    assert extract(still, form).count.tolist() == [1]


def test_movements_that_are_too_short_are_refused_in_one_line() -> None:
    form, known = two_strokes("sigma_lognormal")
    short = moved(form, known, 7)
    with pytest.raises(
        ConfigError, match=r"^expected `steps >= 8` of every movement, but got 7 in row 0, .*; leave such"
    ):
        extracted(short, form)


def test_held_out_ticks_do_not_change_a_fit() -> None:
    form, known = two_strokes("sigma_lognormal")
    held = moved(form, known).holding_out(0.2, torch.Generator().manual_seed(1))
    assert not bool(held.held_out[:, [0, -1]].any())
    assert 0.1 < float(held.held_out.double().mean()) < 0.3
    elsewhere = held.position_px + 50.0 * held.held_out[..., None]
    other = Trajectories(elsewhere, held.length, held.observed)
    one, two = (refined(extracted(part, form), part, form, 5).strokes.free for part in (held, other))
    assert torch.equal(one, two)


def test_the_largest_peak_by_plain_loops() -> None:
    form, known = two_strokes("sigma_lognormal")
    trajectories = moved(form, known)
    velocity = velocities(trajectories)
    peak = largest_peak(velocity, trajectories.length)
    for row in range(3):
        speed = velocity[row].norm(dim=-1).tolist()
        top = max(range(len(speed)), key=speed.__getitem__)
        left = next(p for p in range(top - 1, -1, -1) if p and bent(speed, p))
        right = next(p for p in range(top + 1, len(speed)) if bent(speed, p))
        expected = [place / 60 / FINENESS for place in (left, top, right)]
        torch.testing.assert_close(peak.t_s[row], torch.tensor(expected, dtype=torch.float64))


def bent(speed: list[float], place: int) -> bool:
    return speed[place + 1] - 2 * speed[place] + speed[place - 1] >= 0


@NAMES
def test_initial_values_of_one_stroke_are_near_it(name: str) -> None:
    """From its exact speed and headings."""
    form, known = two_strokes(name, count=1)
    one = known.free[:, :1]
    fine = 2000
    t_s = torch.linspace(0.0, 1.0, fine + 1, dtype=torch.float64)
    velocity = torch.gradient(form.displacement(one, t_s[None])[:, 0], spacing=1 / fine, dim=1)[0]
    found = form.initial(at_peak(velocity, t_s))
    torch.testing.assert_close(found[0], one[0, 0], rtol=0.0, atol=0.05)


def at_peak(velocity: Tensor, t_s: Tensor) -> Peak:
    speed = velocity.norm(dim=-1)
    top = int(speed.argmax())
    second = speed[0, 2:] - 2 * speed[0, 1:-1] + speed[0, :-2]
    falls = ((second[1:] < 0) != (second[:-1] < 0)).nonzero().squeeze(1) + 1
    left, right = int(falls[falls < top].max()), int(falls[falls > top].min())
    points = torch.tensor([[left, top, right]])
    heading = torch.atan2(velocity[..., 1], velocity[..., 0]).gather(1, points)
    near = (torch.arange(len(t_s)) >= left) & (torch.arange(len(t_s)) <= right)
    inside = torch.ones(1, 2, dtype=torch.bool)
    return Peak(t_s[points], speed.gather(1, points), heading, inside, t_s, speed, near[None])


def test_quality_by_its_definition_in_plain_loops() -> None:
    form, known = two_strokes("sigma_lognormal")
    held = moved(form, known, whole=True).holding_out(0.2, torch.Generator().manual_seed(1))
    path = moved(form, known).position_px
    for held_out in (False, True):
        found = quality(path, held, held_out=held_out)
        for row in range(3):
            real, fit, out = held.position_px[row], path[row], held.held_out[row].tolist()
            ticks = [t for t in range(49) if out[t] == held_out]
            steps = [t for t in range(48) if (out[t] or out[t + 1]) == held_out]
            signal = sum(float((real[t] - real.mean(dim=0)).square().sum()) for t in ticks)
            error = sum(float((real[t] - fit[t]).square().sum()) for t in ticks)
            moves = sum(float((real[t + 1] - real[t]).square().sum()) for t in steps)
            missed = sum(float((real[t + 1] - real[t] - fit[t + 1] + fit[t]).square().sum()) for t in steps)
            expected = torch.tensor([signal / error, moves / missed, 6 * signal / len(ticks), 3 * moves / len(steps)])
            ratios = torch.stack([found.path[row], found.speed[row], found.path_bound[row], found.speed_bound[row]])
            torch.testing.assert_close(ratios, 10 * expected.double().log10(), rtol=0, atol=1e-4)


@pytest.mark.parametrize(("px", "db"), [(20, 31), (5, 19)])
def test_the_bound_of_steps_of_equal_size(px: int, db: int) -> None:
    path = torch.zeros(1, 31, 2, dtype=torch.float64)
    path[..., 0] = px * torch.arange(31)
    assert round(float(quality(path, of_path(path)).speed_bound)) == db


def test_movements_are_placed_with_their_chord_along_x() -> None:
    steps = torch.tensor([[[0.0, -3.0]] * 10 + [[4.0, -30.0]] * 10]).double()
    canonical = encode(Movements(steps, torch.tensor([20]), ("a",)), CanonicalConfig())
    found = Trajectories.of(canonical, CanonicalConfig())
    torch.testing.assert_close(found.position_px[0, -1], torch.tensor([(40**2 + 330**2) ** 0.5, 0.0]).double())
    assert found.position_px.shape == (1, 21, 2)
