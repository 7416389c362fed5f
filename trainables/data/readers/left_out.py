"""Leave recordings out, counted as dropped: of some sources, or of users, as where one withdraws consent."""

import difflib
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, replace

from trainables.core.config import require
from trainables.data.config import DataConfig
from trainables.data.readers.recording_set import RecordingSet
from trainables.data.sources import laboratory_of

LEFT_OUT = "of a source that is left out"  # reason of a dropped movement
LEFT_OUT_USER = "of a user who is left out"  # the same
CLOSE = 3  # names that a message suggests


@dataclass(frozen=True)
class LeftOut:
    """Names of the sources or laboratories, and of the users, whose recordings are left out."""

    sources: tuple[str, ...] = ()
    users: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: DataConfig) -> "LeftOut":
        """Return those of a configuration."""
        return cls(config.leave_out, config.leave_out_users)

    def require_known(self, sources: Collection[str], users: Collection[str]) -> None:
        """Require each name to have recordings, and another source and another user to remain.

        Args:
            sources, users: Of all recordings.

        Raises:
            ConfigError: otherwise.
        """
        self._require_users(users)
        names = {source: {source, laboratory_of(source)} for source in sources}
        known = sorted(set().union(*names.values()))
        for name in self.sources:
            require(name in known, f"`leave_out` in {{{', '.join(known)}}}", name, "name a source that is read")
        remains = not self.sources or any(not those & set(self.sources) for those in names.values())
        require(remains, "a source that is not left out", f"leave_out={', '.join(self.sources)}", "keep one of them")

    def _require_users(self, users: Collection[str]) -> None:
        for name in self.users:
            law = f"each of `leave_out_users` to be one of the {len(users)} users with recordings"
            require(name in users, law, name, suggestion(name, users))
        remains = not self.users or bool(set(users) - set(self.users))
        require(remains, "a user who is not left out", f"leave_out_users={', '.join(self.users)}", "keep one of them")

    def without(self, found: RecordingSet) -> RecordingSet:
        """Return the other recordings, with those that are left out counted; the user counts first."""
        kept, counts = [], Counter[str]()
        sources, users = frozenset(self.sources), frozenset(self.users)
        for recording in found.recordings:
            if recording.user in users:
                counts[LEFT_OUT_USER] += 1
            elif {recording.source, laboratory_of(recording.source)} & sources:
                counts[LEFT_OUT] += 1
            else:
                kept.append(recording)
        return replace(found, recordings=tuple(kept), dropped=dict(Counter(found.dropped) + counts))


def suggestion(name: str, known: Collection[str]) -> str:
    """Return a remedy with the names that are most like an unknown one, those of its source's form first.

    >>> suggestion("user64", ["sapimouse/user64", "user65", "lab/one"])
    'did you mean sapimouse/user64, user65?'
    """
    same = [one for one in sorted(known) if one.rpartition("/")[2] == name]
    alike = difflib.get_close_matches(name, sorted(known), n=CLOSE)
    close = list(dict.fromkeys([*same, *alike]))[:CLOSE]
    return f"did you mean {', '.join(close)}?" if close else "name users as the splits do"
