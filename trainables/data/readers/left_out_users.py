"""Leave the recordings of single users out, as where a user withdraws consent; counted under a reason of their own."""

import difflib
from collections import Counter
from collections.abc import Collection
from dataclasses import replace

from trainables.core.config import require
from trainables.data.readers.recording_set import RecordingSet

LEFT_OUT_USER = "of a user who is left out"  # reason of a dropped movement
CLOSE = 3  # names that a message suggests


def require_left_out_users(users: Collection[str], leave_out: Collection[str]) -> None:
    """Require each user who is left out to have recordings, and another user to remain.

    Args:
        users: Of all recordings.

    Raises:
        ConfigError: otherwise.
    """
    for name in leave_out:
        law = f"each of `leave_out_users` to be one of the {len(users)} users with recordings"
        require(name in users, law, name, suggestion(name, users))
    remains = not leave_out or bool(set(users) - set(leave_out))
    require(remains, "a user who is not left out", f"leave_out_users={', '.join(leave_out)}", "keep one of them")


def without_users(found: RecordingSet, leave_out: Collection[str]) -> RecordingSet:
    """Return the recordings without those of some users, which are counted as dropped."""
    if not leave_out:
        return found
    kept = tuple(recording for recording in found.recordings if recording.user not in set(leave_out))
    dropped = Counter(found.dropped) + Counter({LEFT_OUT_USER: len(found.recordings) - len(kept)})
    return replace(found, recordings=kept, dropped=dict(dropped))


def suggestion(name: str, known: Collection[str]) -> str:
    """Return a remedy with the names that are most like an unknown one, those of its source's form first.

    >>> suggestion("user64", ["sapimouse/user64", "user65", "lab/one"])
    'did you mean sapimouse/user64, user65?'
    """
    same = [one for one in sorted(known) if one.rpartition("/")[2] == name]
    alike = difflib.get_close_matches(name, sorted(known), n=CLOSE)
    close = list(dict.fromkeys([*same, *alike]))[:CLOSE]
    return f"did you mean {', '.join(close)}?" if close else "name users as the splits do"
