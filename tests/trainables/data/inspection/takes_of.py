"""Recordings for inspections: movements of many users, made at random."""

import numpy as np

from trainables.data.readers.recording_set import Recording, RecordingSet


def recordings(users: int = 4, movements: int = 5, source: str = "lab", seed: int = 0) -> list[Recording]:
    """Return movements of different lengths and clocks; every third has a target, every sixth its width."""
    rng, made = np.random.default_rng(seed), []
    for number in range(users * movements):
        points = int(rng.integers(9, 90))
        t_ms = np.append(0.0, np.cumsum(rng.choice([15.0, 16.0, 17.0, 16.5, 130.0], points - 1)))
        x, y = (np.rint(2 * np.cumsum(rng.normal(5, 4, points))) / 2 for _ in range(2))
        target = (float(x[-1]), float(y[-1])) if number % 3 == 0 else None
        owner = (source, f"{source}/{number % users}", f"s{number % 2}")
        made.append(Recording(t_ms, x, y, *owner, target, float(number + 1) if number % 6 == 0 else None))
    return made


def in_parts(rows: list[Recording], size: int) -> list[RecordingSet]:
    """Return sets of some recordings each, each with one movement that was dropped and an event left out."""
    parts = [tuple(rows[first : first + size]) for first in range(0, len(rows), size)]
    return [RecordingSet(part, len(part) + 1, {"why": 1}, {"event": 2}) for part in parts]
