"""Trials of an experiment: separately timed tracks of one session, one after another."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from trainables.data.readers.files import InputFile
from trainables.data.readers.recording_set import FloatArray, RecordingSet, concatenate
from trainables.data.readers.rows import error_at
from trainables.data.readers.segment import PAUSE_MS, TRIAL_RULE, MovementRule
from trainables.data.readers.stream import NOT_A_MOVE, Stream, movements_of

NO_TRACK = "trial without a track"
UNEQUAL = "trial with times and positions of unequal number"
PARTICIPANT_COLUMNS = (
    *("user", "subject_nr", "subject", "subject_id", "subjid", "subjectid", "participant", "participant_id"),
    *("participantid", "prolific_pid", "worker_id", "workerid", "ppt", "ppn", "id"),
)  # names that experiment software and its users give the column of the participant; the first that is there counts
SESSION_COLUMNS = ("session", "session_id", "session_nr", "run_id")


@dataclass(frozen=True, eq=False)
class Trial:
    """The track of one trial, P moves."""

    user: str
    session: str
    t_ms: FloatArray  # [P] from any origin, of the trial's own
    x: FloatArray  # [P] px
    y: FloatArray  # [P] px, downwards
    breaks: tuple[int, ...] = ()  # rows of moves that another event, such as a click, came before
    left_out: int = 0  # events that are no move


class TrialOwners:
    """User and session of each row of an export."""

    def __init__(self, file: InputFile, frame: pd.DataFrame) -> None:
        self._file, self._rows = file, frame.index.to_numpy()
        self._user = _first_column(frame, PARTICIPANT_COLUMNS)
        self._session = _first_column(frame, SESSION_COLUMNS)

    def of(self, at: int) -> tuple[str, str]:
        """Return user and session of the row number `at` from 0, from the file's names where no column names them.

        Raises:
            RecordingError: The row's cell is empty.
        """
        user = self._value(self._user, at, self._file.user)
        return user, self._value(self._session, at, self._file.stem)

    def _value(self, column: pd.Series | None, at: int, stands_for: str) -> str:
        if column is None:
            return stands_for
        if pd.isna(column.iloc[at]):
            law = f"expected a value of `{column.name}`, but got nothing"
            raise error_at(self._file.path, int(self._rows[at]), f"{law}; fill it in or remove the row")
        return str(column.iloc[at])


def _first_column(frame: pd.DataFrame, names: Iterable[str]) -> pd.Series | None:
    """Return the first column that is there and not empty; one value in some rows is that of all."""
    for name in names:
        if name in frame.columns and frame[name].notna().any():
            values = frame[name]
            return values.ffill().bfill() if values.nunique() == 1 else values
    return None


def movements_of_trials(source: str, trials: Iterable[Trial], rule: MovementRule = TRIAL_RULE) -> RecordingSet:
    """Return the movements of trials, in the order of their users and sessions; a trial ends a movement.

    A trial is not cut at a leap: a recorder that asks for the position more often than it changes shows a fast hand so.
    Trials without a track, or of unequal numbers of values, are dropped and counted. All trials of one user's session
    have one screen, whose edges are found from all of them.
    """
    sessions: dict[tuple[str, str], list[Trial]] = {}
    empty = unequal = 0
    for trial in trials:
        lengths = {len(trial.t_ms), len(trial.x), len(trial.y)}
        if lengths == {0}:
            empty += 1
        elif len(lengths) > 1:
            unequal += 1
        else:
            sessions.setdefault((trial.user, trial.session), []).append(trial)
    found = concatenate(movements_of(_stream(source, *name, own), rule) for name, own in sessions.items())
    counts = {reason: count for reason, count in ((NO_TRACK, empty), (UNEQUAL, unequal)) if count}
    return concatenate([found, RecordingSet((), sum(counts.values()), counts)])


def _stream(source: str, user: str, session: str, trials: list[Trial]) -> Stream:
    """Return the trials of a session as one stream, each a while after the one before it."""
    times, breaks, begin_ms = [], [], 0.0
    for trial in trials:
        since_ms = trial.t_ms - trial.t_ms[0]
        times.append(begin_ms + since_ms)
        begin_ms += float(since_ms.max()) + 2 * PAUSE_MS
        is_break = np.zeros(len(since_ms), dtype=np.bool_)
        is_break[[0, *trial.breaks]] = True
        breaks.append(is_break)
    x, y = (np.concatenate([getattr(trial, axis) for trial in trials]) for axis in ("x", "y"))
    counts = {NOT_A_MOVE: sum(trial.left_out for trial in trials)}
    return Stream(*(np.concatenate(times), x, y, np.concatenate(breaks), source, user, session), repaired_events=counts)
