"""Rules for the defects of recorders, over drawn movements and at their limits."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trainables.data.readers.examples import clock, path
from trainables.data.readers.cleaning import (
    EDGE_EVENTS,
    EDGE_MOVEMENTS,
    EDGE_MS,
    EDGE_SPEED,
    HOME_PX,
    SILENT_STEPS,
    TOUCH_PX,
    Screen,
    extremes_of,
    has_later_of_same_time,
    is_touch,
    pressed_against_edge,
    screens_of,
    start_ms,
)

Floats = npt.NDArray[np.float64]
NARROW = st.lists(st.integers(0, 6), min_size=1, max_size=24)


def held(speed: float, events: int, step_ms: float = 16.0, along: float = 3.0) -> tuple[Floats, Floats, Floats]:
    """A movement to x = 500 at a speed in px per ms that stops dead there for some events while y moves on."""
    before = np.arange(500.0 - 10 * speed * step_ms, 500.0 - 1e-9, speed * step_ms)
    x = np.concatenate([before, np.full(events, 500.0), [499.0, 496.0]])
    return clock(len(x), step_ms), x, clock(len(x), along)


def pressed(track: tuple[Floats, Floats, Floats]) -> bool:
    """Whether it is where another movement of its session reaches the same extremes."""
    _, x, y = track
    return pressed_against_edge(*track, Screen(x.min(), x.max(), y.min(), y.max()))


@given(times=NARROW, breaks=st.lists(st.booleans(), min_size=24, max_size=24))
def test_of_a_run_of_equal_times_without_a_break_the_last_holds(times: list[int], breaks: list[bool]) -> None:
    t_ms, is_break = np.sort(np.array(times, dtype=np.float64)), np.array(breaks[: len(times)])
    left_out = has_later_of_same_time(t_ms, is_break)
    expected = [i + 1 < len(t_ms) and t_ms[i + 1] == t_ms[i] and not is_break[i + 1] for i in range(len(t_ms))]
    assert left_out.tolist() == expected


@pytest.mark.parametrize("side", ["right", "left", "bottom", "top"])
def test_a_pointer_that_runs_into_an_edge_is_pressed_against_it(side: str) -> None:
    t_ms, x, y = held(speed=1.0, events=4)
    track = {"right": (x, y), "left": (-x, y), "bottom": (y, x), "top": (y, -x)}[side]
    assert pressed((t_ms, *track))


def test_the_limits_of_the_edge() -> None:
    assert not pressed(held(speed=1.0, events=EDGE_EVENTS - 1))
    assert pressed(held(speed=1.0, events=EDGE_EVENTS))
    assert not pressed(held(speed=1.0, events=EDGE_EVENTS, step_ms=EDGE_MS / 2 - 1))  # for too short a time
    assert not pressed(held(speed=0.9 * EDGE_SPEED, events=8))
    assert pressed(held(speed=1.1 * EDGE_SPEED, events=8))
    assert not pressed(held(speed=1.0, events=8, along=0.0))  # a pointer at rest is held by the hand


def test_an_extreme_of_a_movement_that_is_none_of_the_session_is_no_edge() -> None:
    t_ms, x, y = held(speed=1.0, events=8)
    assert not pressed_against_edge(t_ms, x, y, Screen(0.0, 501.0, -1000.0, 1000.0))


@given(
    x=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    y=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    movement=st.lists(st.integers(0, 4), min_size=12, max_size=12).map(sorted),
    session=st.lists(st.integers(0, 2), min_size=5, max_size=5),
)
def test_an_edge_is_an_extreme_of_a_session_that_two_of_its_movements_reach(
    x: list[int], y: list[int], movement: list[int], session: list[int]
) -> None:
    """The definition, movement by movement; some movements have no events."""
    across, down = (np.array(axis, dtype=np.float64) for axis in (x, y))
    bounds = np.searchsorted(movement, np.arange(6))
    found = screens_of(extremes_of(across, down, bounds), np.array(session))
    for own, screen in zip(session, found, strict=True):
        for axis, (low, high) in zip((x, y), (screen[:2], screen[2:]), strict=True):
            values = [value for value, number in zip(axis, movement, strict=True) if session[number] == own]
            for extreme, edge in ((min, low), (max, high)):
                end = extreme(values, default=None)
                reach = {n for value, n in zip(axis, movement, strict=True) if session[n] == own and value == end}
                assert edge == end if len(reach) >= EDGE_MOVEMENTS else np.isnan(edge)


@given(
    points=st.integers(12, 60),
    step_ms=st.sampled_from([1.0, 7.0, 10.0, 16.0, 16.7]),
    turn=st.floats(0.0, 6.283),
    bend_px=st.floats(0.0, 150.0),
)
def test_a_movement_that_slows_down_before_it_turns_is_not_pressed(
    points: int, step_ms: float, turn: float, bend_px: float
) -> None:
    """A minimum-jerk reach of 200 px in any direction with any bend, the only one of its session, in whole pixels."""
    share = np.linspace(0.0, 1.0, points)
    along = 200 * share**3 * (10 - 15 * share + 6 * share**2)
    across = bend_px * np.sin(np.pi * share) ** 2
    x = np.rint(np.cos(turn) * along - np.sin(turn) * across)
    y = np.rint(np.sin(turn) * along + np.cos(turn) * across)
    assert not pressed((clock(points, step_ms), x, y))


@given(
    gap_ms=st.integers(1, 250),
    step_ms=st.sampled_from([7.0, 10.0, 16.0]),
    points=st.integers(3, 40),
)
def test_a_silent_start_is_cut_to_one_median_step_and_no_other(gap_ms: int, step_ms: float, points: int) -> None:
    t_ms = np.concatenate([[0.0], gap_ms + step_ms * np.arange(points - 1)])
    x = np.arange(float(points)) ** 2
    begin = start_ms(t_ms, x, np.zeros(points))
    assert begin == (t_ms[1] - step_ms if gap_ms > SILENT_STEPS * step_ms else 0.0)
    assert 0.0 <= begin <= t_ms[1]
    assert start_ms(t_ms - begin * (t_ms > 0), x, np.zeros(points)) == 0.0  # again: nothing to cut


def test_lost_events_are_no_silent_start() -> None:
    t_ms = np.array([0.0, 150.0, 166.0, 182.0, 198.0])
    assert start_ms(t_ms, np.array([0.0, 90.0, 99.0, 108.0, 117.0]), np.zeros(5)) == 0.0
    assert start_ms(t_ms, np.array([0.0, 9.0, 18.0, 27.0, 36.0]), np.zeros(5)) == 134.0


def test_two_events_show_no_step() -> None:
    assert start_ms(np.array([0.0, 200.0]), np.array([0.0, 5.0]), np.zeros(2)) == 0.0


def sessions(starts: list[float], pauses: list[bool] | None = None) -> bool:
    """Whether movements of 50 px from these places, in this order, are of a finger."""
    x = np.concatenate([start + np.linspace(0.0, 50.0, 10) for start in starts])
    parts = [slice(10 * i, 10 * i + 10) for i in range(len(starts))]
    return is_touch(x, np.zeros(len(x)), parts, pauses or [True] * len(starts))


def test_a_finger_appears_elsewhere_after_a_pause_and_a_mouse_stays() -> None:
    assert sessions([0.0, 400.0, 900.0, 200.0])
    assert not sessions([0.0, 50.0, 100.0, 150.0, 200.0])  # a mouse
    assert not sessions([0.0, 400.0, 0.0, 400.0, 0.0, 400.0])  # trials from two places: one jump to a new one
    assert not sessions([0.0] * 8)  # trials from one place
    assert not sessions([0.0, 400.0, 900.0])  # two jumps may be a pointer that left the window
    assert not sessions([0.0, 400.0, 900.0, 200.0], [True, False, False, False])  # something else happened between


def test_the_limits_of_a_jump() -> None:
    far = [0.0]
    for _ in range(4):
        far.append(far[-1] + 50.0 + TOUCH_PX + 1)
    assert sessions(far)
    near = [0.0]
    for _ in range(4):
        near.append(near[-1] + 50.0 + TOUCH_PX)
    assert not sessions(near)
    assert sessions([0.0, 400.0, HOME_PX + 1, 800.0])
    assert not sessions([0.0, 400.0, HOME_PX, 800.0])


def test_the_example_keeps_all_rules() -> None:
    x, y = path()
    t_ms = clock(len(x))
    assert not pressed((t_ms, x, y))
    assert start_ms(t_ms, x, y) == 0.0
