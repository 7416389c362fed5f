"""The move events of one session, and the movements that they hold."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from trainables.data.readers.recording_set import FloatArray, Recording, RecordingSet
from trainables.data.readers.segment import DEFAULT_RULE, MovementRule, cut, is_jump

JUMP = "leap (cut there)"
CLOCK_BACK = "clock went back (cut there)"
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
    target: FloatArray | None = None  # [P, 3] px: x, y and width (NaN where unknown), constant between breaks
    repaired_events: Mapping[str, int] = field(default_factory=dict)  # what was left out on the way here


def movements_of(stream: Stream, rule: MovementRule = DEFAULT_RULE) -> RecordingSet:
    """Cut a stream into movements, with everything counted that was left out or cut at."""
    movements = cut(stream.t_ms, stream.x, stream.y, stream.is_break, rule)
    counts = {
        **stream.repaired_events,
        CLOCK_BACK: int((np.diff(stream.t_ms) < 0).sum()),
        JUMP: int(is_jump(stream.t_ms, stream.x, stream.y)[~stream.is_break].sum()),  # a drag moves it too
        STILL: movements.still_events,
    }
    recordings = tuple(_take(stream, part) for part in movements.kept)
    return RecordingSet(recordings, movements.read, movements.dropped, {k: n for k, n in counts.items() if n})


def _take(stream: Stream, part: slice) -> Recording:
    """The movement that `split` holds, with times from its first event."""
    t_ms = stream.t_ms[part] - stream.t_ms[part.start]
    owner, aim = (stream.source, stream.user, stream.session), aim_at(stream.target, part.start)
    return Recording(t_ms, stream.x[part], stream.y[part], *owner, *aim)


def aim_at(target: FloatArray | None, row: int) -> tuple[tuple[float, float] | None, float | None]:
    """Position and width of the target in a row of targets [P, 3]; None is what is not known."""
    if target is None:
        return None, None
    x, y, width_px = target[row].tolist()
    return (x, y), None if math.isnan(width_px) else width_px
