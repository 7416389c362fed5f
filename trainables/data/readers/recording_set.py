"""Result of every reader: point-to-point movements of users, and counts of what was dropped and why.

The account is exact: each movement that was seen is either kept or counted under one reason, and each raw event that
was left out, or at which a stream had to be cut, is counted too. Nothing disappears without a number.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


class RecordingError(ValueError):
    """Recordings that cannot be read; the message is one line with the file, the row and the law that is broken."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One point-to-point movement as it was recorded.

    Raises:
        RecordingError: arrays of unequal length, fewer than 2 points, a value that is not finite, a first time other
            than 0, a time that decreases, or a target width that is not above 0 or has no target.
    """

    t_ms: FloatArray  # [P] non-decreasing, the first is 0; of equal times the last point holds
    x: FloatArray  # [P] px
    y: FloatArray  # [P] px, downwards
    source: str  # who recorded: a reader's name, a file's stem or its `source` column
    user: str  # the unit that a split may never cut
    session: str
    target: tuple[float, float] | None = None  # px, where the movement was meant to end, when the recorder knew it
    target_width_px: float | None = None  # of that target, when the recorder knew it too

    def __post_init__(self) -> None:
        points = len(self.t_ms)
        if points < 2 or not points == len(self.x) == len(self.y):
            raise RecordingError(
                f"{self._name}: expected `2 <= len(t_ms) == len(x) == len(y)`, "
                f"but got {points}, {len(self.x)} and {len(self.y)}"
            )
        for name, values in (("t_ms", self.t_ms), ("x", self.x), ("y", self.y)):
            if not np.isfinite(values).all():
                got = values[~np.isfinite(values)][0]
                raise RecordingError(f"{self._name}: expected finite `{name}`, but got {got}; leave out such points")
        if self.t_ms[0] != 0:
            got = self.t_ms[0]
            raise RecordingError(f"{self._name}: expected `t_ms[0] == 0`, but got {got}; subtract the first time")
        back = self.t_ms[1:] < self.t_ms[:-1]
        if back.any():
            at = int(np.argmax(back))
            got = f"{self.t_ms[at + 1]} after {self.t_ms[at]}"
            raise RecordingError(f"{self._name}: expected `t_ms` not to decrease, but got {got}; sort the points")
        width_px = self.target_width_px
        if width_px is not None and (self.target is None or not 0 < width_px < math.inf):
            raise RecordingError(
                f"{self._name}: expected `0 < target_width_px < inf` of a `target`, "
                f"but got {width_px} and target {self.target}"
            )

    @property
    def _name(self) -> str:
        return f"a movement of {self.user}, session {self.session}"


@dataclass(frozen=True)
class RecordingSet:
    """Movements and the account of what was left out: `read == len(recordings) + sum(dropped.values())`."""

    recordings: tuple[Recording, ...]
    read: int  # movements seen before anything was dropped
    dropped: Mapping[str, int] = field(default_factory=dict)  # reason -> movements
    repaired_events: Mapping[str, int] = field(default_factory=dict)  # reason -> raw events left out or cut at

    def __post_init__(self) -> None:
        kept, dropped = len(self.recordings), sum(self.dropped.values())
        if self.read != kept + dropped:
            raise RecordingError(
                f"expected `read == kept + dropped`, but got read={self.read}, kept={kept}, dropped={dropped}"
            )


def concatenate(sets: Iterable[RecordingSet]) -> RecordingSet:
    """All movements in order, with the counts added up."""
    recordings: list[Recording] = []
    read = 0
    dropped: Counter[str] = Counter()
    repaired: Counter[str] = Counter()
    for part in sets:
        recordings.extend(part.recordings)
        read += part.read
        dropped.update(part.dropped)
        repaired.update(part.repaired_events)
    return RecordingSet(tuple(recordings), read, dict(dropped), dict(repaired))


def drop_table(recordings: RecordingSet) -> str:
    """The account as text: movements read, dropped by reason and kept with their share, then the raw events.

    >>> dropped = {"fewer than 8 points": 3, "shorter than 30 px": 1}
    >>> print(drop_table(RecordingSet((), 4, dropped, {"duplicate row": 9})))
    movements            count    share
    read                     4  100.0 %
    fewer than 8 points      3   75.0 %
    shorter than 30 px       1   25.0 %
    kept                     0    0.0 %
    raw events           count
    duplicate row            9
    """
    return account_table(recordings.read, len(recordings.recordings), recordings.dropped, recordings.repaired_events)


def account_table(read: int, kept: int, dropped: Mapping[str, int], repaired_events: Mapping[str, int]) -> str:
    """Return `drop_table` of an account alone."""
    movements = {"read": read, **_by_count(dropped), "kept": kept}
    events = _by_count(repaired_events)
    width = max(len(name) for name in ("raw events", *movements, *events))
    digits = max(len("count"), *(len(f"{count:,}") for count in (*movements.values(), *events.values())))
    lines = [f"{'movements':<{width}}  {'count':>{digits}}    share"]
    for name, count in movements.items():
        lines.append(f"{name:<{width}}  {count:>{digits},}  {_share(count, read):>7}")
    if events:
        lines.append(f"{'raw events':<{width}}  {'count':>{digits}}")
        lines.extend(f"{name:<{width}}  {count:>{digits},}" for name, count in events.items())
    return "\n".join(lines)


def _by_count(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f} %" if total else "-"
