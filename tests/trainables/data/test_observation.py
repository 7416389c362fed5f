"""The observation model: steady on every clock, held across pauses, unchanged by a second observation."""

import numpy as np
import numpy.typing as npt
import pytest
from scipy.interpolate import PchipInterpolator

from trainables.data.observation import PERIOD_MS, Events, observe

Floats = npt.NDArray[np.float64]
SPEED = 10 / PERIOD_MS  # px per ms: 10 px per step
CLOCKS_MS = (7.0, 8.0, 10.0, 14.0, 15.0, 15.6, 16.0, 1000 / 60, 17.0)


def along(t_ms: Floats, x: Floats) -> Events:
    return Events(t_ms, np.stack([x, np.zeros(len(x))], axis=1))


def steps(events: Events) -> Floats:
    """Whole-pixel steps [S, 2] of one movement."""
    [path] = observe([events])
    return np.diff(path, axis=0)


def regular(clock_ms: float, count: int) -> Floats:
    """Times of a regular clock."""
    return clock_ms * np.arange(count, dtype=np.float64)


def stamped(time_ms: Floats, stamps: str, rng: np.random.Generator) -> Floats:
    """Time stamps of a recorder: rounded to whole milliseconds, or late and early by up to one, or both."""
    late = rng.uniform(-1.0, 1.0, len(time_ms)) * (stamps != "rounded")
    stamp = time_ms + late if stamps == "jittered" else np.round(time_ms + late)
    return np.maximum.accumulate(stamp - stamp[0])


@pytest.mark.parametrize("stamps", ["rounded", "jittered", "rounded and jittered"])
@pytest.mark.parametrize("clock_ms", CLOCKS_MS)
def test_a_steady_pointer_is_observed_in_equal_steps_by_every_clock(clock_ms: float, stamps: str) -> None:
    """Of 10 px, within one; 40 movements of 0.1 to 1.5 seconds each, the last step included."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        time_ms = regular(clock_ms, int(rng.uniform(140.0, 1500.0) / clock_ms))
        found = steps(along(stamped(time_ms, stamps, rng), np.floor(SPEED * time_ms + 0.5)))
        share = time_ms[-1] / PERIOD_MS / len(found)  # the ticks are spread evenly: by half a period in all
        assert np.abs(found[:, 0] - 10 * share).max() < 2
        assert np.abs(found[1:-1, 0] - 10).max() <= 2


@pytest.mark.parametrize("clock_ms", CLOCKS_MS)
def test_no_tick_is_empty_where_events_were_lost_on_the_way(clock_ms: float) -> None:
    """One event in ten is lost, and three in a row: the pointer moved on."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        time_ms = regular(clock_ms, int(900 / clock_ms))
        kept = rng.random(len(time_ms)) > 0.1
        kept[len(kept) // 2 : len(kept) // 2 + 3] = False
        kept[[0, -1]] = True
        found = steps(along(np.round(time_ms)[kept], np.floor(SPEED * time_ms + 0.5)[kept]))
        assert found[:, 0].min() >= 6


def test_a_pointer_at_rest_is_held_until_it_has_to_leave() -> None:
    """At 60 Hz, ten steps of 6 px, a rest of 20 periods without an event, ten more: the way out takes one step."""
    moves = np.concatenate([np.arange(11), np.arange(30, 40)])
    x = 6.0 * np.concatenate([np.arange(11), np.arange(11, 21)])
    found = steps(along(PERIOD_MS * moves, x))[:, 0]
    assert found.tolist() == [6.0] * 10 + [0.0] * 19 + [6.0] * 10


def test_a_step_after_a_pause_takes_the_time_that_it_needs_at_the_speed_around_it() -> None:
    moves = np.concatenate([np.arange(11), np.arange(30, 40)])
    x = np.concatenate([np.arange(11.0), [50.0], 50.0 + 10 * np.arange(1, 10)])
    found = steps(along(PERIOD_MS * moves, x))[:, 0]
    assert found[10:26].tolist() == [0.0] * 16
    assert found[26:30].sum() == 40
    assert found[26:30].min() >= 4  # the first of the four begins at rest


def test_a_script_that_sets_the_end_after_a_rest_is_seen_to_leap() -> None:
    found = steps(along(np.array([0.0, 30 * PERIOD_MS]), np.array([0.0, 300.0])))[:, 0]
    assert found[:27].tolist() == [0.0] * 27
    assert found.sum() == 300


def test_what_is_at_60_hz_remains_as_it_is() -> None:
    rng = np.random.default_rng(2)
    paths = [np.rint(rng.normal((4.0, -3.0), 4.0, size=(count, 2))).cumsum(axis=0) for count in range(2, 120)]
    times = [3e5 + regular(PERIOD_MS, len(path)) for path in paths]
    for path, found in zip(paths, observe(map(Events, times, paths)), strict=True):
        np.testing.assert_array_equal(found, path)


def test_a_single_event_is_a_movement_without_steps() -> None:
    assert [path.tolist() for path in observe([Events(np.array([5.0]), np.array([[2.4, 3.6]]))])] == [[[2.0, 4.0]]]
    assert observe([]) == []


def test_of_two_events_at_one_time_the_later_one_holds() -> None:
    times = np.array([0.0, 0.0, PERIOD_MS, PERIOD_MS])
    assert steps(along(times, np.array([1.0, 2.0, 3.0, 4.0]))).tolist() == [[2.0, 0.0]]


def uneven(rng: np.random.Generator) -> Events:
    """Uneven times (some equal, some pauses) and positions between the pixels."""
    gaps = rng.choice([0.0, 1.0, 7.5, 8.0, 16.0, 16.7, 40.0, 120.0], size=rng.integers(1, 60))
    moves = rng.normal(3.0, 4.0, size=(len(gaps), 2)) * (gaps > 0)[:, None]
    xy_px = np.concatenate([rng.normal(0.0, 500.0, size=(1, 2)), moves]).cumsum(axis=0)
    return Events(np.append(0.0, gaps.cumsum()), xy_px)


def test_movements_are_observed_as_each_of_them_alone() -> None:
    rng = np.random.default_rng(3)
    movements = [uneven(rng) for _ in range(200)]
    for events, found in zip(movements, observe(movements), strict=True):
        [alone] = observe([events])
        np.testing.assert_array_equal(found, alone)


def test_a_movement_keeps_its_ends_its_duration_and_whole_pixels() -> None:
    rng = np.random.default_rng(4)
    movements = [uneven(rng) for _ in range(200)]
    for events, path in zip(movements, observe(movements), strict=True):
        duration = events.t_ms[-1] / PERIOD_MS
        assert len(path) - 1 == (max(round(duration), 1) if duration else 0)
        assert np.array_equal(path, np.rint(path))
        assert np.array_equal(path[-1], np.floor(events.xy_px[-1] + 0.5))
        if events.t_ms[1:].all():
            assert np.array_equal(path[0], np.floor(events.xy_px[0] + 0.5))


def test_nothing_overshoots() -> None:
    rng = np.random.default_rng(5)
    movements = [uneven(rng) for _ in range(200)]
    for events, path in zip(movements, observe(movements), strict=True):
        assert (path >= np.floor(events.xy_px.min(axis=0) + 0.5)).all()
        assert (path <= np.floor(events.xy_px.max(axis=0) + 0.5)).all()


def test_the_origin_of_time_and_place_is_forgotten() -> None:
    events, elsewhere = uneven(np.random.default_rng(6)), np.array([1024.0, -333.0])
    [here] = observe([events])
    [later] = observe([Events(events.t_ms + 4096.0, events.xy_px)])
    [there] = observe([Events(events.t_ms, events.xy_px + elsewhere)])
    np.testing.assert_array_equal(later, here)
    np.testing.assert_array_equal(there, here + elsewhere)


def test_between_events_the_position_is_the_monotone_cubic_of_a_library() -> None:
    """Events at 25 to 39 ms, so that no clock is regular and none is a pause."""
    rng = np.random.default_rng(7)
    for count in (2, 3, 4, 30):
        t_ms = np.append(0.0, rng.choice([25.0, 32.0, 39.0], size=count - 1).cumsum())
        xy_px = rng.normal(0.0, 300.0, size=(count, 2))
        [path] = observe([Events(t_ms, xy_px)])
        ticks = np.linspace(0.0, t_ms[-1], len(path))
        cubic = (
            PchipInterpolator(t_ms, xy_px)(ticks)
            if count > 2
            else xy_px[0] + ticks[:, None] / t_ms[-1] * (xy_px[1] - xy_px[0])
        )
        np.testing.assert_array_equal(path, np.floor(cubic + 0.5))


def test_events_that_a_regular_clock_would_bring_out_of_order_keep_their_stamps() -> None:
    """A clock of 1 ms whose stamps are off by up to 2."""
    t_ms = np.array([0.0, 3.0, 3.5, 4.0, 4.5, 5.0, 5.2, 9.0, 9.4, 30.0])
    x = np.arange(10.0)
    [path] = observe([along(t_ms, x)])
    assert (np.diff(path[:, 0]) >= 0).all()
    assert path[-1, 0] == 9
