"""Rules for the defects of recorders, one function each; every reader of events or movements counts what they find.

- Equal time stamps: of the moves of one time stamp the last holds, the earlier ones are left out.
- A clock that runs back inside a movement: the movement is dropped, since none of its times can be trusted.
- The edge of the screen: a pointer that runs into the edge and is held there while the hand moves on is dropped. The
  edge is an extreme coordinate that two movements of the session reach. The pointer arrived with `EDGE_SPEED` and
  stayed for `EDGE_MS`: a hand that turns slows down first.
- A silent start: many recorders send nothing while the pointer rests, so that the first event of a movement lies up to
  a pause before the first move. The movement begins one median step before its first move.
- Touch: a finger appears at another place without a move between. A session is touch input where the pointer jumps over
  at least half of its pauses, and not back to where an earlier movement began, as it does at the start of a trial.

The embedded recordings (`cursory`) pass none of them. They were segmented by their authors and have no sessions of raw
events: neither an edge nor a pause can be seen in them, their clocks never run back, equal time stamps are resolved by
the observation model, and a silent start would change movements that results and checkpoints refer to.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]
IntArray = npt.NDArray[np.int64]

SAME_TIME = "earlier move with the same time stamp"
CLOCK_BACK = "clock runs back"
EDGE = "pressed against the edge of the screen"
TOUCH = "touch input"
SILENT_START = "silent start (cut to one step)"

EDGE_EVENTS = 3  # at one extreme coordinate in succession
EDGE_MOVEMENTS = 2  # of one session that reach an extreme coordinate, so that it is an edge
EDGE_MS = 25.0  # at the edge, and before it for the speed: two steps of any recorder from 60 Hz on
EDGE_SPEED = 0.3  # px per ms towards the edge; a natural turn is slower for `EDGE_MS` before it stands still
SILENT_STEPS = 2.0  # median steps; a longer first step holds a rest
TOUCH_PX = 100.0  # a mouse at rest does not move so far in its first step
TOUCH_JUMPS = 3  # fewer may be a pointer that left the window
HOME_PX = 30.0  # from where an earlier movement began: the start of a trial


class Screen(NamedTuple):
    """Edges of the screen of one session, in pixels; NaN where none is known."""

    low_x: float
    high_x: float
    low_y: float
    high_y: float


def extremes_of(x: FloatArray, y: FloatArray, bounds: IntArray) -> FloatArray:
    """Return the lowest and highest x and y of each movement [N, 4]; infinite, low above high, where it has no event.

    Args:
        x, y: [P] Events of the movements, one movement after another.
        bounds: [N + 1] Where each movement begins, and P.
    """
    filled = np.diff(bounds) > 0
    found = np.tile([np.inf, -np.inf, np.inf, -np.inf], (len(bounds) - 1, 1))
    if filled.any():
        sides = ((x, np.minimum), (x, np.maximum), (y, np.minimum), (y, np.maximum))
        found[filled] = np.stack([extreme.reduceat(axis, bounds[:-1][filled]) for axis, extreme in sides], axis=1)
    return found


def screens_of(extremes: FloatArray, session: IntArray) -> FloatArray:
    """Return the screen of each movement [N, 4]: the extremes of its session that two of its movements reach, else NaN.

    A hand alone does not turn at the same pixel twice; a session of one movement shows no edge.

    Args:
        extremes: [N, 4] Of each movement.
        session: [N] Number of the session that a movement is of.
    """
    count = int(session.max(initial=-1)) + 1
    edges = np.full(extremes.shape, np.nan)
    for column, (extreme, beyond) in enumerate(2 * ((np.minimum, np.inf), (np.maximum, -np.inf))):
        own, ends = extremes[:, column], np.full(count, beyond)
        extreme.at(ends, session, own)
        reached = np.bincount(session, weights=own == ends[session], minlength=count)
        known = (reached >= EDGE_MOVEMENTS) & np.isfinite(ends)
        edges[:, column] = np.where(known, ends, np.nan)[session]
    return edges


def has_later_of_same_time(t_ms: FloatArray, is_break: BoolArray) -> BoolArray:
    """[P] True where the next event has the same time and follows without a break: the next one holds."""
    later = np.zeros(len(t_ms), dtype=np.bool_)
    later[:-1] = (np.diff(t_ms) == 0) & ~is_break[1:]
    return later


def pressed_against_edge(t_ms: FloatArray, x: FloatArray, y: FloatArray, screen: Screen) -> bool:
    """Return whether a movement ran into an edge of its session's screen and was held there while it moved on."""
    sides = ((x, y, screen.low_x), (x, y, screen.high_x), (y, x, screen.low_y), (y, x, screen.high_y))
    return any(_held(t_ms, across, along, edge) for across, along, edge in sides)


def _held(t_ms: FloatArray, across: FloatArray, along: FloatArray, edge: float) -> bool:
    at_edge = across == edge
    if np.count_nonzero(at_edge) < EDGE_EVENTS:
        return False
    borders = np.flatnonzero(np.diff(np.concatenate([[False], at_edge, [False]]).astype(np.int8)))
    for first, stop in borders.reshape(-1, 2).tolist():
        last = stop - 1
        long = stop - first >= EDGE_EVENTS and t_ms[last] - t_ms[first] >= EDGE_MS
        before = int(np.searchsorted(t_ms, t_ms[first] - EDGE_MS, side="right")) - 1
        if not long or before < 0 or np.ptp(along[first:stop]) == 0:
            continue
        if abs(edge - across[before]) >= EDGE_SPEED * (t_ms[first] - t_ms[before]):
            return True
    return False


def start_ms(t_ms: FloatArray, x: FloatArray, y: FloatArray) -> float:
    """Return when a movement begins: at its first event, or one median step before its first move after a silent start.

    A first step that is longer than all others has not been made within one step of time: there, events were lost.

    Args:
        t_ms: [P] Increasing times of the part that moves: the second event is the first move.
    """
    if len(t_ms) < 3:
        return float(t_ms[0])
    step_ms = np.diff(t_ms)
    if step_ms[0] <= SILENT_STEPS * step_ms[1:].min():  # saves the median of most movements
        return float(t_ms[0])
    length_px = np.hypot(np.diff(x), np.diff(y))
    median_ms = float(np.median(step_ms[1:]))
    silent = step_ms[0] > SILENT_STEPS * median_ms and length_px[0] <= length_px[1:].max()
    return float(t_ms[1] - median_ms) if silent else float(t_ms[0])


def is_touch(x: FloatArray, y: FloatArray, parts: Sequence[slice], after_pause: Iterable[bool]) -> bool:
    """Return whether a session is touch input, by the jumps of the pointer over its pauses.

    Args:
        parts: The movements of the session, which cover its events.
        after_pause: Of each movement, whether a pause without another event lies before it.
    """
    homes: list[tuple[float, float]] = []
    pauses = jumps = 0
    for part, pause in zip(parts, after_pause, strict=True):
        here = (float(x[part.start]), float(y[part.start]))
        if pause and part.start > 0:
            pauses += 1
            far = _distance((float(x[part.start - 1]), float(y[part.start - 1])), here) > TOUCH_PX
            jumps += far and all(_distance(home, here) > HOME_PX for home in homes)
        homes.append(here)
    return jumps >= TOUCH_JUMPS and 2 * jumps >= pauses


def _distance(one: tuple[float, float], other: tuple[float, float]) -> float:
    return float(np.hypot(one[0] - other[0], one[1] - other[1]))
