"""Segment a stream of move events into point-to-point movements.

A movement ends where the pointer rests, where something else happens (a press, a drag, a new target), or where the
pointer leaps farther than a hand can move it. What comes out is trimmed to the part that moves, passes the rules for
the defects of recorders (`cleaning`) and is kept when it resembles a deliberate movement; each rejection has a reason
and is counted.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from trainables.core.config import require
from trainables.data.readers.cleaning import (
    CLOCK_BACK,
    EDGE,
    TOUCH,
    Screen,
    extremes_of,
    is_touch,
    pressed_against_edge,
    screens_of,
    start_ms,
)

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

PAUSE_MS = 250.0  # a hand that has sent nothing for this long has stopped; corrective submovements follow sooner
JUMP_PX, JUMP_MS = 300.0, 60.0  # a longer step in less time is a warp (remote desktop, second screen), not a hand
SLOWEST_STEP_MS = 40.0  # 2.4 observations at 60 Hz; a slower recorder does not show the shape of a movement
SLOW_SESSION = f"session sampled too slowly (median step over {SLOWEST_STEP_MS:g} ms)"


@dataclass(frozen=True)
class MovementRule:
    """Criteria of a deliberate movement; the defaults give movements like those of the default data set.

    Raises:
        ConfigError: a limit that no movement, or any accident, would meet.
    """

    minimum_points: int = 8  # fewer hold no shape: eight steps are what spectra and jerk need
    minimum_duration_ms: float = 100.0  # below it no visual feedback is possible: a twitch
    minimum_distance_px: float = 30.0  # net; below it whole pixels dominate the shape
    maximum_duration_ms: float = 6000.0  # longer is browsing, not one movement (the default data end at 5.5 s)
    longest_leap_px: float = JUMP_PX  # within `JUMP_MS`; infinite for trials, which the experiment has separated
    recorded: bool = True  # pass the rules for the defects of recorders; samples of a model are taken as they are

    def __post_init__(self) -> None:
        require(self.minimum_points >= 2, "`minimum_points >= 2`", f"minimum_points={self.minimum_points}")
        require(self.minimum_distance_px > 0, "`minimum_distance_px > 0`", f"{self.minimum_distance_px}")
        require(
            0 < self.minimum_duration_ms < self.maximum_duration_ms < float("inf"),
            "`0 < minimum_duration_ms < maximum_duration_ms < inf`",
            f"minimum_duration_ms={self.minimum_duration_ms}, maximum_duration_ms={self.maximum_duration_ms}",
        )

    def rejects(self, t_ms: FloatArray, x: FloatArray, y: FloatArray) -> str | None:
        """The first law that a movement breaks, in words, or None; distance is the net displacement."""
        if len(t_ms) < self.minimum_points:
            return f"fewer than {self.minimum_points} points"
        duration_ms = t_ms[-1] - t_ms[0]
        if duration_ms < self.minimum_duration_ms:
            return f"shorter than {self.minimum_duration_ms:g} ms"
        if np.hypot(x[-1] - x[0], y[-1] - y[0]) < self.minimum_distance_px:
            return f"shorter than {self.minimum_distance_px:g} px"
        if duration_ms > self.maximum_duration_ms:
            return f"longer than {self.maximum_duration_ms:g} ms"
        return None


DEFAULT_RULE = MovementRule()
SAMPLE_RULE = MovementRule(recorded=False)
TRIAL_RULE = MovementRule(longest_leap_px=math.inf)


@dataclass(frozen=True)
class Cut:
    """The movements of one stream: `read == len(kept) + sum(dropped.values())`."""

    kept: tuple[slice, ...]
    begin_ms: tuple[float, ...]  # of each that is kept; after a silent start later than its first event
    read: int
    dropped: Mapping[str, int]  # reason -> movements
    still_events: int  # rows trimmed from the ends of movements


def is_jump(
    t_ms: FloatArray, x: FloatArray, y: FloatArray, jump_px: float = JUMP_PX, jump_ms: float = JUMP_MS
) -> BoolArray:
    """[P] True where an event lies over `jump_px` from the one before it, at most `jump_ms` later."""
    dt_ms = np.diff(t_ms)
    leap = (np.hypot(np.diff(x), np.diff(y)) > jump_px) & (dt_ms >= 0) & (dt_ms <= jump_ms)
    return _with_first(False, leap, len(t_ms))


def segment(
    t_ms: FloatArray,
    x: FloatArray,
    y: FloatArray,
    is_break: BoolArray,
    pause_ms: float = PAUSE_MS,
    jump_px: float = JUMP_PX,
    jump_ms: float = JUMP_MS,
) -> list[slice]:
    """Cut the move events of a stream into movements; the slices follow one another and cover every event.

    A movement begins at the first event, at an event with `is_break`, after a gap longer than `pause_ms`, and where
    `is_jump` holds.

    Args:
        t_ms, x, y: [P] times in milliseconds and positions in pixels, in the order of recording.
        is_break: [P] True where something other than a move came between this event and the one before.

    Raises:
        ValueError: arrays of unequal length.
        ConfigError: `pause_ms` is not positive.
    """
    require(pause_ms > 0, "`pause_ms > 0`", f"pause_ms={pause_ms}")
    if not len(t_ms) == len(x) == len(y) == len(is_break):
        lengths = f"{len(t_ms)}, {len(x)}, {len(y)}, {len(is_break)}"
        raise ValueError(f"expected `t_ms`, `x`, `y` and `is_break` to have one length, but got {lengths}")
    # After one stamp that lies back, the clock has not jumped ahead: the gap counts from the stamp before that one.
    before_ms = np.maximum(t_ms[:-1], np.concatenate([t_ms[:1], t_ms[:-2]])[: len(t_ms) - 1])
    rests = _with_first(True, t_ms[1:] - before_ms > pause_ms, len(t_ms))
    starts = np.flatnonzero(is_break | rests | is_jump(t_ms, x, y, jump_px, jump_ms)).tolist()
    return [slice(start, stop) for start, stop in pairwise([*starts, len(t_ms)])]


def trim(x: FloatArray, y: FloatArray, part: slice) -> slice:
    """`split` without the still rows at its ends: from the last row at its first place to the first at its last."""
    moves = np.flatnonzero((np.diff(x[part]) != 0) | (np.diff(y[part]) != 0))
    if not len(moves):
        return slice(part.start, part.start + 1)
    return slice(part.start + int(moves[0]), part.start + int(moves[-1]) + 2)


def cut(
    t_ms: FloatArray,
    x: FloatArray,
    y: FloatArray,
    is_break: BoolArray,
    rule: MovementRule = DEFAULT_RULE,
    by_touch: BoolArray | None = None,
) -> Cut:
    """Segment one stream, trim each movement and apply the rules.

    A stream whose median step inside movements exceeds `SLOWEST_STEP_MS` is dropped as a whole: all its movements are
    counted under `SLOW_SESSION`. So is one that is touch input by its jumps.

    Args:
        by_touch: [P] Whether an event is of a finger or a pen; None where the recorder does not say so.
    """
    parts = segment(t_ms, x, y, is_break, jump_px=rule.longest_leap_px)
    if not parts:
        return Cut((), (), 0, {}, 0)
    whole = SLOW_SESSION if median_step_ms(t_ms, parts) > SLOWEST_STEP_MS else None
    if whole is None and rule.recorded and by_touch is None and _jumps_as_touch(t_ms, x, y, is_break, parts):
        whole = TOUCH
    if whole is not None:
        return Cut((), (), len(parts), {whole: len(parts)}, 0)
    bounds = np.array([*(part.start for part in parts), len(t_ms)], dtype=np.int64)
    screen = Screen(*screens_of(extremes_of(x, y, bounds), np.zeros(len(parts), dtype=np.int64))[0].tolist())
    trimmed = [trim(x, y, part) for part in parts]
    begins = [start_ms(t_ms[part], x[part], y[part]) if rule.recorded else float(t_ms[part.start]) for part in trimmed]
    touched = [by_touch is not None and bool(by_touch[part].any()) for part in parts]
    reasons = [
        TOUCH if finger else _rejection(t_ms[part], x[part], y[part], begin, screen, rule)
        for part, begin, finger in zip(trimmed, begins, touched, strict=True)
    ]
    kept = [number for number, reason in enumerate(reasons) if reason is None]
    return Cut(
        tuple(trimmed[number] for number in kept),
        tuple(begins[number] for number in kept),
        len(parts),
        dict(Counter(reason for reason in reasons if reason is not None)),
        len(t_ms) - sum(part.stop - part.start for part in trimmed),
    )


def _jumps_as_touch(t_ms: FloatArray, x: FloatArray, y: FloatArray, is_break: BoolArray, parts: list[slice]) -> bool:
    after_pause = (bool(t_ms[part.start] - t_ms[part.start - 1] > PAUSE_MS) for part in parts)
    return is_touch(
        x, y, parts, [one and not is_break[part.start] for one, part in zip(after_pause, parts, strict=True)]
    )


def _rejection(
    t_ms: FloatArray, x: FloatArray, y: FloatArray, begin_ms: float, screen: Screen, rule: MovementRule
) -> str | None:
    """Return why a trimmed movement is dropped, None where it is kept."""
    if (np.diff(t_ms) < 0).any():
        return CLOCK_BACK
    pressed = rule.recorded and pressed_against_edge(t_ms, x, y, screen)
    return rule.rejects(beginning(t_ms, begin_ms), x, y) or (EDGE if pressed else None)


def beginning(t_ms: FloatArray, begin_ms: float) -> FloatArray:
    """Return the times of a movement whose first event is at `begin_ms`."""
    return np.concatenate([[begin_ms], t_ms[1:]])


def median_step_ms(t_ms: FloatArray, parts: list[slice]) -> float:
    """The median positive time between successive events of one movement; 0 when there is none."""
    inside = np.ones(len(t_ms), dtype=np.bool_)
    inside[[part.start for part in parts]] = False
    steps = np.diff(t_ms, prepend=t_ms[:1])[inside]
    steps = steps[steps > 0]
    return float(np.median(steps)) if len(steps) else 0.0


def _with_first(first: bool, later: BoolArray, points: int) -> BoolArray:
    """[P] flags of a stream, from the first event's and those of the `points - 1` events that have one before them."""
    flags = np.full(points, first)
    flags[1:] = later
    return flags
