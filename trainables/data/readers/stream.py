"""The move events of one session, and the movements that they hold."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt

from trainables.data.readers.cleaning import SAME_TIME, SILENT_START, has_later_of_same_time
from trainables.data.readers.recording_set import FloatArray, Recording, RecordingSet
from trainables.data.readers.segment import DEFAULT_RULE, MovementRule, beginning, cut, is_jump

JUMP = "leap (cut there)"
CLOCK_BACK_BETWEEN = "clock went back between movements"
NOT_A_MOVE = "not a move (press, release, drag, wheel)"
STILL = "still at an end of a movement"


@dataclass(frozen=True, eq=False)
class Stream:
    """The move events of one session in the order of recording, P of them."""

    t_ms: FloatArray  # [P] from any origin
    x: FloatArray  # [P] px
    y: FloatArray  # [P] px
    is_break: npt.NDArray[np.bool_]  # [P] something other than a move came between this event and the one before
    source: str
    user: str
    session: str
    target: FloatArray | None = None  # [P, 3] px: x, y and width, NaN where unknown, constant between breaks
    by_touch: npt.NDArray[np.bool_] | None = None  # [P] of a finger or pen; None where the recorder does not say so
    repaired_events: Mapping[str, int] = field(default_factory=dict)  # what was left out on the way here


def movements_of(stream: Stream, rule: MovementRule = DEFAULT_RULE) -> RecordingSet:
    """Cut a stream into movements, with everything counted that was left out or cut at."""
    earlier = has_later_of_same_time(stream.t_ms, stream.is_break)
    stream = _at(stream, ~earlier)
    movements = cut(stream.t_ms, stream.x, stream.y, stream.is_break, rule, stream.by_touch)
    recordings = tuple(_take(stream, *one) for one in zip(movements.kept, movements.begin_ms, strict=True))
    leaps = is_jump(stream.t_ms, stream.x, stream.y, rule.longest_leap_px)
    starts = zip(movements.kept, movements.begin_ms, strict=True)
    counts = Counter(stream.repaired_events) + Counter(
        {
            SAME_TIME: int(earlier.sum()),
            CLOCK_BACK_BETWEEN: int((np.diff(stream.t_ms) < 0)[stream.is_break[1:]].sum()),
            JUMP: int(leaps[~stream.is_break].sum()),  # a drag moves it too
            STILL: movements.still_events,
            SILENT_START: sum(bool(begin > stream.t_ms[part.start]) for part, begin in starts),
        }
    )
    return RecordingSet(recordings, movements.read, movements.dropped, dict(counts))


def _at(stream: Stream, rows: npt.NDArray[np.bool_]) -> Stream:
    """Return the stream with some of its events; a break before one that is left out is before the next one."""
    if rows.all():
        return stream
    breaks = np.cumsum(stream.is_break)[rows]  # how many came before: a left out one has a successor without a break
    is_break = np.diff(breaks, prepend=0) > 0
    target, touch = stream.target, stream.by_touch
    return replace(
        stream,
        t_ms=stream.t_ms[rows],
        x=stream.x[rows],
        y=stream.y[rows],
        is_break=is_break,
        target=None if target is None else target[rows],
        by_touch=None if touch is None else touch[rows],
    )


def _take(stream: Stream, part: slice, begin_ms: float) -> Recording:
    """Return the movement that `part` holds, with times from its begin."""
    t_ms = beginning(stream.t_ms[part], begin_ms) - begin_ms
    owner, aim = (stream.source, stream.user, stream.session), aim_at(stream.target, part.start)
    return Recording(t_ms, stream.x[part], stream.y[part], *owner, *aim)


def aim_at(target: FloatArray | None, row: int) -> tuple[tuple[float, float] | None, float | None]:
    """Position and width of the target in a row of targets [P, 3]; None is what is not known."""
    if target is None:
        return None, None
    x, y, width_px = target[row].tolist()
    if math.isnan(x):
        return None, None
    return (x, y), None if math.isnan(width_px) else width_px
