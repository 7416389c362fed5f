"""The observation model: events of any recorder -> whole-pixel positions at 60 Hz.

Recorders differ in clock and in what they do while the pointer rests. What a model or a test may see of a movement is
what all of them show:

1. Of events with one time stamp the last holds. In a run of events whose gaps differ by at most `SAME_CLOCK_MS` from
   the recorder's period (the median gap) the clock is taken to be regular, and the stamps, which are rounded to whole
   milliseconds or come late by one, are replaced by the line through them: unless one lies `CLOCK_ERROR_MS` off it.
2. Across a pause the pointer is held. No event comes while it rests, so that a gap of more than `CLOSE` periods is time
   at rest but for the time that its step takes: a period, or more at the faster of the speeds before and after. Where
   that leaves less than half a period, of the recorder's or of 60 Hz, events were lost, and the pointer moved on.
3. A movement has as many steps as its duration has periods of 60 Hz, to the nearest, and its ticks are spread evenly
   from its first event to its last: no step is cut off at the end. A tick is at most half a period of 60 Hz, divided by
   the number of steps, longer or shorter than that period.
4. Between events the position follows the monotone cubic of Fritsch and Butland: it never overshoots, so that a pointer
   at rest stays at rest, and it keeps more of the power over 18 Hz than a line does. Positions are rounded to pixels.

A pointer of constant speed is observed in equal steps by any clock, and what is at 60 Hz already remains as it is.

References: A Method for Constructing Local Monotone Piecewise Cubic Interpolants (Fritsch & Butland, 1984), eq. 5,
doi:10.1137/0905021; the derivatives at both ends as in Numerical Computing with MATLAB (Moler, 2004), section 3.6.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from trainables.data.config import RATE_HZ
from trainables.data.readers.segment import SLOWEST_STEP_MS

PERIOD_MS = 1000.0 / RATE_HZ
SAME_CLOCK_MS = 3.0  # whole milliseconds, each late by up to one: two gaps of one clock differ by no more
CLOCK_ERROR_MS = 2.0  # of a stamp that is rounded and late; a clock that drifts further is no regular one
RUN = 5  # events that make a clock regular
CLOSE = 1.5  # periods of the recorder between two events of which none is missing
REST_MS = PERIOD_MS / 2  # a shorter rest is not seen at 60 Hz
SAME_MS = 1e-6  # times closer than this are the same, whatever rounding made of them

Floats = npt.NDArray[np.float64]
Whole = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]


class Events(NamedTuple):
    """Time stamps and positions of the events of one movement."""

    t_ms: Floats  # [P] not decreasing, from any origin
    xy_px: Floats  # [P, 2]


@dataclass(frozen=True, eq=False)
class _Flat:
    """The events of N movements one after another, of each movement at least one."""

    t_ms: Floats  # [P] increasing within a movement, which begins at 0
    xy_px: Floats  # [P, 2]
    row: Whole  # [P] number of the movement

    @cached_property
    def together(self) -> Booleans:
        """[P - 1] Whether an event and the next one are of one movement."""
        same: Booleans = np.diff(self.row) == 0
        return same

    @cached_property
    def gap_ms(self) -> Floats:
        """[P - 1] Time from each event to the next; infinite from one movement to the next."""
        return np.where(self.together, np.diff(self.t_ms), np.inf)

    @cached_property
    def first(self) -> Whole:
        """[N] Index of the first event of each movement."""
        return np.flatnonzero(np.append(True, ~self.together))

    @cached_property
    def last(self) -> Whole:
        """[N] Index of the last event of each movement."""
        return np.flatnonzero(np.append(~self.together, True))

    @cached_property
    def period_ms(self) -> Floats:
        """[N] Median gap of each movement; infinite where there is none."""
        order = np.lexsort((self.gap_ms, self.row[:-1]))  # by movement; the infinite gap after each comes last
        gaps, count = np.append(self.gap_ms[order], np.inf), self.last - self.first
        low, high = self.first + np.maximum(count - 1, 0) // 2, self.first + count // 2
        return np.where(count > 0, (gaps[low] + gaps[np.where(count > 0, high, low)]) / 2, np.inf)


def observe(movements: Iterable[Events]) -> list[Floats]:
    """Return the whole-pixel positions [S + 1, 2] of each movement at its ticks, S the number of its steps.

    They are not finite where positions are so large that their differences overflow.
    """
    given = list(movements)
    if not given:
        return []
    with np.errstate(over="ignore", invalid="ignore"):
        return _observe(given)


def _observe(given: list[Events]) -> list[Floats]:
    events = _flat(given)
    steps = _steps(events)
    moving = _with_pauses(_with_regular_clocks(events))
    ticks, row = _ticks(moving, steps)
    positions = _positions(moving, ticks, row)
    positions[np.cumsum(steps + 1) - 1] = moving.xy_px[moving.last]
    return np.split(np.floor(positions + 0.5), np.cumsum(steps + 1)[:-1])


def _flat(given: list[Events]) -> _Flat:
    """Return the events of all movements, of equal times the last."""
    row = np.repeat(np.arange(len(given)), [len(one.t_ms) for one in given])
    t_ms = np.concatenate([one.t_ms - one.t_ms[0] for one in given])
    holds = np.append((np.diff(t_ms) > 0) | (np.diff(row) != 0), True)
    return _Flat(t_ms[holds], np.concatenate([one.xy_px for one in given])[holds].astype(np.float64), row[holds])


def _steps(events: _Flat) -> Whole:
    """Return the number of steps of each movement: periods of 60 Hz, to the nearest, and one for anything shorter."""
    periods = events.t_ms[events.last] / PERIOD_MS
    return np.maximum(np.floor(periods + 0.5), periods > 0).astype(np.int64)


def _with_regular_clocks(events: _Flat) -> _Flat:
    """Return the events at the times of the regular clocks that their stamps show.

    A movement whose events would change their order keeps its stamps.
    """
    regular = np.abs(events.gap_ms - events.period_ms[events.row[:-1]]) <= SAME_CLOCK_MS
    edges = np.diff(np.concatenate([[False], regular, [False]]).astype(np.int8))
    first, last = np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
    long = last - first + 1 >= RUN
    if not long.any():
        return events
    t_ms, count = events.t_ms.copy(), (last - first + 1)[long]
    members = _ranges(first[long], count)
    t_ms[members] = _lines(events.t_ms[members], count)
    disordered = events.row[:-1][events.together & (np.diff(t_ms) <= 0)]
    return _Flat(np.where(np.isin(events.row, disordered), events.t_ms, t_ms), events.xy_px, events.row)


def _ranges(first: Whole, count: Whole) -> Whole:
    """Return first, first + 1, ... (count of them) of every range, one after another."""
    return np.arange(count.sum()) + np.repeat(first - np.cumsum(count) + count, count)


def _lines(t_ms: Floats, count: Whole) -> Floats:
    """Return the least-squares line through each run of `count` stamps; the stamps where one lies too far off it."""
    starts = np.cumsum(count) - count
    place = _ranges(np.zeros_like(count), count) - np.repeat((count - 1) / 2, count)
    centre = np.add.reduceat(t_ms, starts) / count
    slope = np.add.reduceat(place * (t_ms - np.repeat(centre, count)), starts) * 12 / (count**3 - count)
    line = np.repeat(centre, count) + np.repeat(slope, count) * place
    off = np.maximum.reduceat(np.abs(line - t_ms), starts) > CLOCK_ERROR_MS
    return np.where(np.repeat(off, count), t_ms, line)


def _with_pauses(events: _Flat) -> _Flat:
    """Return the events with one more at the end of each pause, where the pointer still is where it rested."""
    length = np.where(events.together, np.hypot(*np.diff(events.xy_px, axis=0).T), 0.0)
    period = np.minimum(events.period_ms[events.row[:-1]], SLOWEST_STEP_MS)
    close = events.together & (events.gap_ms <= CLOSE * period)
    speed = _speed_around(length / events.gap_ms, close, events.row[:-1])
    takes = np.maximum(np.divide(length, speed, out=np.zeros_like(length), where=speed > 0), period)
    rests = events.together & ~close & (events.gap_ms - takes > np.maximum(REST_MS, period / 2))
    after = np.flatnonzero(rests) + 1
    return _Flat(
        np.insert(events.t_ms, after, events.t_ms[after] - takes[after - 1]),
        np.insert(events.xy_px, after, events.xy_px[after - 1], axis=0),
        np.insert(events.row, after, events.row[after]),
    )


def _speed_around(speed: Floats, close: Booleans, row: Whole) -> Floats:
    """Return the faster of the speeds in the close gaps next to each gap, before and after; 0 where there are none."""
    index = np.arange(len(speed))
    before = np.maximum.accumulate(np.where(close, index, -1))
    after = np.minimum.accumulate(np.where(close, index, len(speed))[::-1])[::-1]
    known, rows = np.append(speed, 0.0), np.append(row, -1)  # -1 and the length are no gaps
    return np.maximum(*(np.where(rows[near] == row, known[near], 0.0) for near in (before, after)))


def _ticks(events: _Flat, steps: Whole) -> tuple[Floats, Whole]:
    """Return the times of all ticks, from the first event of each movement to its last, and the movement of each."""
    row = np.repeat(np.arange(len(steps)), steps + 1)
    begin, end = events.t_ms[events.first], events.t_ms[events.last]
    share = _ranges(np.zeros_like(steps), steps + 1) / np.maximum(steps, 1)[row]
    return begin[row] + (end - begin)[row] * share, row


def _positions(events: _Flat, ticks: Floats, row: Whole) -> Floats:
    """Return the position of the monotone cubic at each tick."""
    after = _index_after(events, ticks, row)
    left = np.clip(after - 1, events.first[row], np.maximum(events.last[row] - 1, events.first[row]))
    right = np.minimum(left + 1, events.last[row])
    h = np.maximum(events.t_ms[right] - events.t_ms[left], SAME_MS)[:, None]
    u, slope = (ticks - events.t_ms[left])[:, None] / h, _slopes(events)
    step = events.xy_px[right] - events.xy_px[left]
    bend = u * (1 - u) * ((1 - u) * (h * slope[left] - step) - u * (h * slope[right] - step))
    positions: Floats = events.xy_px[left] + u * step + bend
    return positions


def _index_after(events: _Flat, ticks: Floats, row: Whole) -> Whole:
    """Return the index of the first event of the same movement that lies behind each tick."""
    span = float(events.t_ms.max() - events.t_ms.min()) + 1.0
    return np.searchsorted(events.t_ms + span * events.row, ticks + span * row + SAME_MS, side="right")


def _slopes(events: _Flat) -> Floats:
    """Return the derivatives [P, 2] of the monotone cubic at the events, in px per ms."""
    h = events.gap_ms[:, None]
    secant = np.diff(events.xy_px, axis=0) / h  # 0 between movements, whose gap is infinite
    slopes = np.zeros_like(events.xy_px)
    before, after, d0, d1 = h[:-1], h[1:], secant[:-1], secant[1:]
    inner = (events.together[:-1] & events.together[1:])[:, None] & (d0 * d1 > 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = 3 * (before + after) / ((2 * after + before) / d0 + (after + 2 * before) / d1)
    slopes[1:-1] = np.where(inner, mean, 0.0)
    count = events.last - events.first
    one, more = count == 1, count > 1
    for ends, towards in ((events.first, 1), (events.last, -1)):
        near = ends if towards == 1 else ends - 1  # the gap next to the end
        slopes[ends[one]] = secant[near[one]]
        slopes[ends[more]] = _end_slope(h, secant, near[more], near[more] + towards)
    return slopes


def _end_slope(h: Floats, secant: Floats, near: Whole, far: Whole) -> Floats:
    """Return the three-point derivative at an end from the two gaps next to it, limited so that nothing overshoots."""
    h0, h1, d0, d1 = h[near], h[far], secant[near], secant[far]
    slope = ((2 * h0 + h1) * d0 - h0 * d1) / (h0 + h1)
    slope = np.where(slope * d0 <= 0, 0.0, slope)
    limited: Floats = np.where((d0 * d1 < 0) & (np.abs(slope) > 3 * np.abs(d0)), 3 * d0, slope)
    return limited
