"""Inspection of recordings: what became of them, whose they are, and what their recorder is like.

Sets of recordings are taken one after another. What is kept of a movement are some twenty numbers, whatever its length,
and of all movements the few that are shown (`choice`): a data set of any size is inspected.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from trainables.data.config import PART
from trainables.data.inspection.choice import MovementChoice
from trainables.data.inspection.figures import MovementFigures
from trainables.data.inspection.measurement import Measurement
from trainables.data.readers.recording_set import Recording, RecordingSet


@dataclass(frozen=True)
class Inspection:
    """Account of recordings, the figures of those that are kept, and the movements to show.

    Attributes:
        figures: None where no movement is kept.
    """

    read: int
    kept: int
    dropped: Mapping[str, int]
    repaired_events: Mapping[str, int]
    figures: MovementFigures | None
    shown: tuple[Recording, ...]

    @classmethod
    def of(cls, sets: Iterable[RecordingSet], seed: int = 0) -> "Inspection":
        """Return the inspection of recordings that come one set after another.

        Args:
            seed: Of the choice of movements to show.
        """
        read, choice = 0, MovementChoice(seed)
        dropped, repaired, measured = Counter[str](), Counter[str](), Measurement()
        for part in sets:
            read += part.read
            dropped.update(part.dropped)
            repaired.update(part.repaired_events)
            for first in range(0, len(part.recordings), PART):
                measured.add(part.recordings[first : first + PART])
            choice.add(part.recordings)
        figures = measured.figures() if measured.owners else None
        return cls(read, len(measured.owners), dict(dropped), dict(repaired), figures, choice.chosen())
