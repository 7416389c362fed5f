"""Units of time stamps: a unit is set by the configuration and checked against the stamps, never guessed.

The median step between the events of a session is between `SHORTEST_STEP_MS` and `LONGEST_STEP_MS` for every recorder,
from a mouse of 8 kHz to a slow log. Outside of it the stamps are of another unit.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from trainables.data.readers.recording_set import FloatArray, RecordingError

MS_PER_UNIT: Mapping[str, float] = {"ms": 1.0, "s": 1e3, "us": 1e-3, "ns": 1e-6}  # the keys of `TIME_UNIT_NAMES`
NAMES = {"ms": "milliseconds", "s": "seconds", "us": "microseconds", "ns": "nanoseconds"}
SHORTEST_STEP_MS, LONGEST_STEP_MS = 0.1, 900.0
DISORDER = 0.05  # share of steps back from which on the rows are in no order, and steps show no unit
ENOUGH_STEPS = 7  # of a movement of the fewest points; fewer show no unit


def to_ms(path: Path, stamps: FloatArray, together: npt.NDArray[np.bool_], unit: str) -> FloatArray:
    """Return time stamps [P] in milliseconds; arguments and errors as of `require_unit`."""
    require_unit(path, stamps, together, unit)
    return in_ms(stamps, unit)


def in_ms(stamps: FloatArray, unit: str) -> FloatArray:
    """Return time stamps of a unit in milliseconds."""
    factor = MS_PER_UNIT[unit]
    return stamps if factor == 1.0 else stamps * factor


def require_unit(path: Path, stamps: FloatArray, together: npt.NDArray[np.bool_], unit: str) -> None:
    """Require that the median step between time stamps is one of a recorder in that unit.

    Args:
        together: [P - 1] Whether an event and the next one are of one session.

    Raises:
        RecordingError: The steps look like another unit, which is named.
    """
    steps = np.diff(stamps)[together]
    forwards = steps[steps > 0]
    if len(forwards) >= ENOUGH_STEPS and np.count_nonzero(steps < 0) <= DISORDER * len(steps):
        _require_step(path, float(np.median(forwards)), unit)


def _require_step(path: Path, step: float, unit: str) -> None:
    if SHORTEST_STEP_MS <= step * MS_PER_UNIT[unit] < LONGEST_STEP_MS:
        return
    fitting = [name for name, ms in MS_PER_UNIT.items() if SHORTEST_STEP_MS <= step * ms < LONGEST_STEP_MS]
    looks = f", which looks like {NAMES[fitting[0]]}" if fitting else ""
    remedy = f"set data.time_unit={fitting[0]}" if fitting else f"set data.time_unit, one of {', '.join(MS_PER_UNIT)}"
    raise RecordingError(
        f"{path}: expected times in {NAMES[unit]}, but got a median step of {step:.3g}{looks}; {remedy}"
    )
