"""Leave the recordings of single users out, as where a user withdraws consent; counted under a reason of their own."""

import difflib
from collections.abc import Collection, Sequence
from dataclasses import replace

from trainables.core.config import require
from trainables.data.readers.recording_set import RecordingSet

LEFT_OUT_USER = "of a user who is left out"  # reason of a dropped movement
CLOSE = 3  # names that a message suggests


def without_users(found: RecordingSet, names: Sequence[str]) -> RecordingSet:
    """Return the recordings without those of some users, which are counted as dropped.

    Raises:
        ConfigError: one of the names is of no recording, or no other user has one.
    """
    known = {recording.user for recording in found.recordings}
    for name in names:
        law = f"each of `leave_out_users` to be one of the {len(known)} users with recordings"
        require(name in known, law, name, suggestion(name, known))
    kept = tuple(recording for recording in found.recordings if recording.user not in set(names))
    require(bool(kept), "a user who is not left out", f"leave_out_users={', '.join(names)}", "keep one of them")
    dropped = {**found.dropped, LEFT_OUT_USER: len(found.recordings) - len(kept)}
    return replace(found, recordings=kept, dropped=dropped)


def suggestion(name: str, known: Collection[str]) -> str:
    """Return a remedy with the names that are most like an unknown one, those of its source's form first.

    >>> suggestion("user64", ["sapimouse/user64", "user65", "lab/one"])
    'did you mean sapimouse/user64, user65?'
    """
    same = [one for one in sorted(known) if one.rpartition("/")[2] == name]
    alike = difflib.get_close_matches(name, sorted(known), n=CLOSE)
    close = list(dict.fromkeys([*same, *alike]))[:CLOSE]
    return f"did you mean {', '.join(close)}?" if close else "name users as the splits do"
