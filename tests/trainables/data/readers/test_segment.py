"""Properties of the segmentation of a stream of events into movements."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from trainables.core.config import ConfigError
from trainables.data.readers.cleaning import CLOCK_BACK
from trainables.data.readers.segment import (
    JUMP_MS,
    JUMP_PX,
    PAUSE_MS,
    SLOW_SESSION,
    MovementRule,
    cut,
    is_jump,
    median_step_ms,
    segment,
    trim,
)

Stream = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.bool_]]


def random_stream(seed: int, points: int = 400) -> Stream:
    """Events with pauses, backward clocks, leaps and flags, so that every reason for a cut occurs."""
    rng = np.random.default_rng(seed)
    dt_ms = rng.choice([0.0, 8.0, 16.0, 60.0, 61.0, 250.0, 251.0, -5.0], size=points, p=[0.1, 0.3, 0.3, *[0.06] * 5])
    x, y = rng.choice([0.0, 3.0, 300.0, 301.0], size=(2, points), p=[0.4, 0.4, 0.1, 0.1]).cumsum(axis=1)
    return np.cumsum(dt_ms), x, y, rng.random(points) < 0.05


def slow_segment(
    t_ms: npt.NDArray[np.float64],
    x: npt.NDArray[np.float64],
    y: npt.NDArray[np.float64],
    is_break: npt.NDArray[np.bool_],
) -> list[slice]:
    """The definition, event by event."""
    parts: list[list[int]] = []
    for i in range(len(t_ms)):
        begins = i == 0 or bool(is_break[i])
        if i > 0:
            dt_ms = t_ms[i] - t_ms[i - 1]
            leap_px = ((x[i] - x[i - 1]) ** 2 + (y[i] - y[i - 1]) ** 2) ** 0.5
            gap_ms = t_ms[i] - max(t_ms[i - 1], t_ms[max(i - 2, 0)])
            begins |= bool(gap_ms > PAUSE_MS or (leap_px > JUMP_PX and 0 <= dt_ms <= JUMP_MS))
        if begins:
            parts.append([i, i])
        parts[-1][1] = i + 1
    return [slice(start, stop) for start, stop in parts]


def straight(points: int, step_ms: float = 16.0, step_px: float = 10.0) -> Stream:
    steps = np.arange(points, dtype=np.float64)
    return steps * step_ms, steps * step_px, np.zeros(points), np.zeros(points, dtype=np.bool_)


@pytest.mark.parametrize("seed", range(20))
def test_segments_are_those_of_the_definition(seed: int) -> None:
    stream = random_stream(seed)
    assert segment(*stream) == slow_segment(*stream)


@pytest.mark.parametrize("points", [0, 1, 2])
def test_tiny_streams_are_covered(points: int) -> None:
    parts = segment(*straight(points))
    assert parts == ([slice(0, points)] if points else [])


def test_nothing_pauses_inside_a_movement_and_time_never_decreases_in_one_that_is_kept() -> None:
    t_ms, x, y, is_break = random_stream(3)
    for part in segment(t_ms, x, y, is_break):
        assert (np.diff(np.maximum.accumulate(t_ms[part])) <= PAUSE_MS).all()
        assert not is_break[part][1:].any()
    result = cut(t_ms, x, y, is_break, MovementRule(minimum_points=3, minimum_duration_ms=10.0))
    assert result.dropped[CLOCK_BACK] > 0
    assert all((np.diff(t_ms[part]) >= 0).all() for part in result.kept)


def test_a_pause_of_exactly_the_limit_does_not_end_a_movement() -> None:
    t_ms, x, y, none = straight(4)
    t_ms[2:] += 100.0
    assert segment(t_ms, x, y, none, pause_ms=116.0) == [slice(0, 4)]
    assert segment(t_ms, x, y, none, pause_ms=115.9) == [slice(0, 2), slice(2, 4)]


def test_one_stamp_that_lies_back_makes_no_pause() -> None:
    t_ms, x, y, none = straight(40)
    t_ms[20] -= 3000.0
    assert cut(t_ms, x, y, none).dropped == {CLOCK_BACK: 1}


def test_a_leap_is_far_and_fast() -> None:
    x = np.array([0.0, 301.0, 601.0, 902.0])  # 301, 300 and 301 px
    t_ms = np.array([0.0, 60.0, 120.0, 181.0])  # after 60, 60 and 61 ms
    assert is_jump(t_ms, x, np.zeros(4)).tolist() == [False, True, False, False]


def test_segment_refuses_unequal_lengths_and_a_pause_of_zero() -> None:
    t_ms, x, y, none = straight(4)
    with pytest.raises(ValueError, match="one length, but got 4, 4, 3, 4"):
        segment(t_ms, x, y[:3], none)
    with pytest.raises(ConfigError, match=r"expected `pause_ms > 0`, but got pause_ms=0\.0"):
        segment(t_ms, x, y, none, pause_ms=0.0)


def test_trimming_keeps_the_last_row_of_rest_before_and_the_first_after() -> None:
    x = np.array([5.0, 5.0, 5.0, 6.0, 6.0, 7.0, 7.0, 7.0])
    y = np.zeros(8)
    assert trim(x, y, slice(0, 8)) == slice(2, 6)
    assert trim(x, y, slice(1, 4)) == slice(2, 4)
    assert trim(x, y, slice(5, 8)) == slice(5, 6)  # nothing moves
    assert trim(y, x, slice(0, 8)) == slice(2, 6)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (straight(7, step_ms=20.0), "fewer than 8 points"),
        (straight(8, step_ms=14.0), "shorter than 100 ms"),
        (straight(8, step_px=4.0), "shorter than 30 px"),
        (straight(401), "longer than 6000 ms"),
        (straight(8, step_ms=100 / 7, step_px=30 / 7), None),
        (straight(376), None),  # exactly 6000 ms
    ],
)
def test_the_rule_gives_the_reason_at_its_limits(stream: Stream, reason: str | None) -> None:
    result = cut(*stream)
    assert result.read == 1
    assert result.dropped == ({} if reason is None else {reason: 1})
    assert len(result.kept) == (reason is None)


def test_distance_is_net_and_not_along_the_path() -> None:
    t_ms, x, y, none = straight(21)
    there_and_back = np.concatenate([x[:11], x[9::-1]])
    assert cut(t_ms, there_and_back, y, none).dropped == {"shorter than 30 px": 1}


@pytest.mark.parametrize("seed", range(5))
def test_every_movement_is_kept_or_counted_and_every_event_is_in_a_movement(seed: int) -> None:
    stream = random_stream(seed)
    rule = MovementRule(minimum_points=3, minimum_duration_ms=10.0, recorded=False)
    result = cut(*stream, rule)
    parts = slow_segment(*stream)
    assert result.read == len(parts) == len(result.kept) + sum(result.dropped.values())
    assert 0 < len(result.kept) < result.read
    trimmed = sum(part.stop - part.start for part in (trim(stream[1], stream[2], part) for part in parts))
    assert result.still_events == len(stream[0]) - trimmed > 0


def test_a_slow_session_is_dropped_entirely() -> None:
    t_ms, x, y, none = straight(40, step_ms=41.0)
    none[20] = True
    assert cut(t_ms, x, y, none).dropped == {SLOW_SESSION: 2}
    t_ms, x, y, none = straight(40, step_ms=40.0)
    assert len(cut(t_ms, x, y, none).kept) == 1


def test_the_median_step_counts_neither_pauses_between_movements_nor_equal_times() -> None:
    t_ms = np.array([0.0, 0.0, 10.0, 30.0, 1000.0, 1020.0, 1050.0])
    assert median_step_ms(t_ms, [slice(0, 4), slice(4, 7)]) == 20.0  # of 10, 20, 20, 30
    assert median_step_ms(t_ms[:1], [slice(0, 1)]) == 0.0


@pytest.mark.parametrize(
    ("values", "law"),
    [
        ({"minimum_points": 1}, "expected `minimum_points >= 2`, but got minimum_points=1"),
        ({"minimum_distance_px": 0.0}, "expected `minimum_distance_px > 0`"),
        ({"minimum_duration_ms": 7000.0}, "< inf`, but got minimum_duration_ms=7000.0, maximum_duration_ms=6000.0"),
        ({"minimum_duration_ms": float("nan")}, "minimum_duration_ms=nan"),
        ({"maximum_duration_ms": float("inf")}, "maximum_duration_ms=inf"),
    ],
)
def test_a_rule_checks_itself(values: dict[str, Any], law: str) -> None:
    with pytest.raises(ConfigError, match=law):
        MovementRule(**values)
