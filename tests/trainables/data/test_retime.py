"""Properties of another clock: the path stays, what need not change does not, and still steps are not smeared."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainables.data.takes import assert_same_movements, gap, positions, takes
from trainables.data.canonical import Movements
from trainables.data.retime import WINDOW, change_duration, inverse, knots, retime, snap

PIXEL = math.sqrt(0.5) + 1e-9  # the farthest that rounding both coordinates moves a point
LENGTHS = [8, 13, 21, 34, 55, 64]


@pytest.fixture(scope="module")
def movements() -> Movements:
    return takes(LENGTHS)


def ticks(movements: Movements) -> Tensor:
    return torch.arange(movements.steps_px.shape[1] + 1).double().expand(len(movements), -1)


def scaled(movements: Movements, factor: float) -> Tensor:
    """A clock `factor` times slower that ends on a whole tick."""
    length = movements.length[:, None]
    return ticks(movements) * ((length * factor).round() / length)


def wavy(movements: Movements) -> Tensor:
    """A clock of the same duration, up to 40 % faster and slower."""
    length = movements.length[:, None]
    u = (ticks(movements) / length).clamp(max=1.0)
    return ticks(movements) + 0.4 * length * torch.sin(2 * math.pi * u) / (2 * math.pi)


CLOCKS = {"longer": lambda m: scaled(m, 1.17), "shorter": lambda m: scaled(m, 0.83), "wavy": wavy}
clocks = pytest.mark.parametrize("clock", list(CLOCKS))


def is_knot(steps: list[list[float]], tick: int, phase: int) -> bool:
    beside = steps[max(tick - 1, 0) : tick + 1]
    return tick in (0, len(steps)) or (tick - phase) % WINDOW == 0 or [0.0, 0.0] in beside


def snapped_by_loop(clock: list[float], bounds: list[int]) -> list[float]:
    """Whole ticks at the bounds; between two of them in proportion to the old clock."""
    new = [float(round(value)) for value in clock]
    for a, b in pairwise(bounds):
        for i in range(a + 1, b):
            new[i] = round(clock[a]) + (clock[i] - clock[a]) / (clock[b] - clock[a]) * (
                round(clock[b]) - round(clock[a])
            )
    return new


def read_by_loop(points: list[tuple[float, float]], clock: list[float]) -> list[list[float]]:
    """Position at each whole tick: the last old tick not after it, and the share of the way to the next one."""
    path = []
    for now in range(round(clock[-1]) + 1):
        i = max(k for k in range(len(clock)) if clock[k] <= now + 1e-9)
        j = min(i + 1, len(clock) - 1)
        share = (now - clock[i]) / (clock[j] - clock[i]) if j > i else 0.0
        path.append([round(points[i][c] + share * (points[j][c] - points[i][c]), 9) for c in (0, 1)])
    return path


@clocks
def test_it_is_the_definition(clock: str, movements: Movements) -> None:
    """Bounds, snapping, inversion and reading tick by tick; a point halfway between pixels may go to either."""
    new_time = CLOCKS[clock](movements)
    found = retime(movements, new_time, torch.Generator().manual_seed(5))
    phase = torch.randint(WINDOW, (len(movements),), generator=torch.Generator().manual_seed(5)).tolist()
    for row, length in enumerate(LENGTHS):
        steps = movements.steps_px[row, :length].tolist()
        bounds = [i for i in range(length + 1) if is_knot(steps, i, phase[row])]
        expected = read_by_loop(
            positions(movements, row), snapped_by_loop(new_time[row, : length + 1].tolist(), bounds)
        )
        ours = positions(found, row)
        assert len(ours) == len(expected)
        assert all(
            abs(o - e) <= 0.5 + 1e-6 for a, b in zip(ours, expected, strict=True) for o, e in zip(a, b, strict=True)
        )


@clocks
@pytest.mark.parametrize("seed", range(3))
def test_the_path_stays_within_rounding_and_the_ends_stay(clock: str, seed: int, movements: Movements) -> None:
    found = retime(movements, CLOCKS[clock](movements), torch.Generator().manual_seed(seed))
    assert torch.equal(found.steps_px, found.steps_px.round())
    assert torch.equal(found.steps_px.sum(dim=1), movements.steps_px.sum(dim=1))
    for row in range(len(movements)):
        line = positions(movements, row)
        assert max(gap(point, line) for point in positions(found, row)) <= PIXEL


@clocks
def test_each_point_is_where_the_original_movement_was_at_about_that_time(clock: str, movements: Movements) -> None:
    """Snapping moves the clock by half a tick at most: a new point lies on the old path between the old ticks whose
    new times are half a tick before and after it.
    """
    new_time = CLOCKS[clock](movements)
    found = retime(movements, new_time, torch.Generator().manual_seed(1))
    for row, length in enumerate(LENGTHS):
        line = positions(movements, row)
        for now, point in enumerate(positions(found, row)):
            low = max([i for i in range(length + 1) if float(new_time[row, i]) < now - 0.5], default=0)
            high = min([i for i in range(length + 1) if float(new_time[row, i]) > now + 0.5], default=length)
            assert gap(point, line[low : high + 1]) <= PIXEL


def test_the_same_clock_changes_nothing(movements: Movements) -> None:
    assert_same_movements(retime(movements, ticks(movements), torch.Generator().manual_seed(0)), movements)


def test_the_clock_is_an_integer_at_the_bounds_and_within_half_a_tick_of_the_requested_one(
    movements: Movements,
) -> None:
    phase, clock = torch.tensor([0, 1, 2, 3, 4, 5]), wavy(movements)
    found, bound = snap(clock, movements, phase), knots(movements, phase)
    assert torch.equal(found[bound], found[bound].round())
    assert float((found - clock).abs().max()) <= 0.5
    assert bool((found.diff(dim=1) >= 0).all())
    assert not torch.equal(found, found.round())


def test_most_windows_are_unchanged() -> None:
    """At +10 % a window of 6 steps gains 0.6 steps on average, so 4 of 10 keep all of theirs; reading at equal
    distances changes nearly every step. A slow path of distinct steps distinguishes them.
    """
    steps = torch.zeros(1, 60, 2, dtype=torch.float64)
    steps[0, :, 0] = torch.arange(60) % 7 * 10.0 + 11.0
    movements = Movements(steps, torch.tensor([60]), ("a",))
    clock = scaled(movements, 1.1)
    found = retime(movements, clock, torch.Generator().manual_seed(0))
    read = torch.nn.functional.pad(steps, (0, 0, 1, 0)).cumsum(dim=1)[0, :, 0].numpy()
    plain = torch.from_numpy(np.interp(inverse(clock, 66)[0].numpy(), range(61), read).round()).diff()
    kept = [float(torch.isin(values, steps[0, :, 0]).double().mean()) for values in (found.steps_px[0, :, 0], plain)]
    assert kept[0] > 0.35
    assert kept[1] < 0.25


def test_a_rest_between_two_strokes_is_preserved() -> None:
    """One still step in a fast stroke survives another clock as a whole step in nearly all rows; read at equal
    distances it would survive in those alone where two ticks fall into it.
    """
    steps = torch.full((200, 40, 2), 30.0, dtype=torch.float64)
    at = torch.arange(200) % 30 + 5
    steps[torch.arange(200), at] = 0.0
    movements = Movements(steps, torch.full((200,), 40), ("a",) * 200)
    found = retime(movements, scaled(movements, 1.1), torch.Generator().manual_seed(0))
    still = (found.steps_px == 0).all(dim=-1)[:, :44].sum(dim=1)
    assert float(still.double().mean()) == pytest.approx(1.1, abs=0.1)
    assert int((still == 0).sum()) == 0


@pytest.mark.parametrize("factor", [0.9, 1.0, 1.3])
def test_a_changed_duration_is_a_uniform_clock_for_one_factor_and_for_one_of_each_movement(
    factor: float, movements: Movements
) -> None:
    each = torch.full((len(movements),), factor, dtype=torch.float64)
    one, many = (change_duration(movements, by, torch.Generator().manual_seed(2)) for by in (factor, each))
    for found in (one, many):
        assert found.length.tolist() == [round(length * factor) for length in LENGTHS]
        assert torch.equal(found.steps_px.sum(dim=1), movements.steps_px.sum(dim=1))
    clock = ticks(movements) * ((movements.length * each).round() / movements.length)[:, None]
    assert_same_movements(many, retime(movements, clock, torch.Generator().manual_seed(2)))


def test_an_inverse_clock_leads_back(movements: Movements) -> None:
    clock = wavy(movements)
    at = inverse(clock, 64)
    for row, length in enumerate(LENGTHS):
        for now in range(length + 1):
            i = min(int(at[row, now]), clock.shape[1] - 2)
            share = float(at[row, now]) - i
            there = float(clock[row, i]) * (1 - share) + float(clock[row, i + 1]) * share
            assert there == pytest.approx(now, abs=1e-9)


def test_no_movement_is_no_error() -> None:
    none = takes([10]).take(torch.arange(0))
    assert len(retime(none, ticks(none), torch.Generator())) == 0
