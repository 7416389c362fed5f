"""Format seconds, numbers and the interpreter's path for tables and messages."""

import sys
from datetime import UTC, datetime
from pathlib import Path


def clock(seconds: float) -> str:
    """Seconds as 4:05 or 1:04:05."""
    minutes, rest = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def number(value: float | None, digits: int = 3) -> str:
    """A metric for a table; a dash where there is none yet."""
    return "-" if value is None else f"{value:.{digits}f}"


def counted(count: int, noun: str) -> str:
    """Return a number with its noun.

    >>> counted(1, "set"), counted(2000, "set")
    ('1 set', '2,000 sets')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def format_interval(value: float, low: float, high: float, digits: int = 3) -> str:
    """Return a value with the bounds of its interval: `0.580 [0.493, 0.668]`, the one print form of intervals.

    Every table, report and message calls this function.
    """
    return f"{value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def interpreter() -> str:
    """This Python as one would type it here."""
    here, python = Path.cwd(), Path(sys.executable)
    return str(python.relative_to(here)) if python.is_relative_to(here) else str(python)


def now() -> str:
    """Return the present time as it is written down: UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
