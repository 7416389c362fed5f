"""Choice of the movements of a data set that are shown: a few of as many users as possible.

Users, and the movements of each, are ranked by a hash of a seed, their names and numbers. So the choice depends neither
on the order of the users nor on how many recordings come at a time, and at most `SHOWN` users' movements are in memory:
they are copied, since the arrays of a recording are often parts of those of all recordings that were read with it.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from itertools import zip_longest

from trainables.data.readers.recording_set import Recording

SHOWN = 20

Rank = bytes


class MovementChoice:
    """Chooses up to `SHOWN` movements from recordings that come in parts.

    Args:
        seed: Of the choice.
    """

    def __init__(self, seed: int = 0) -> None:
        self._seed = seed
        self._seen = Counter[str]()  # movements of each user
        self._of: dict[tuple[Rank, str], list[tuple[Rank, int, Recording]]] = {}

    def add(self, recordings: Iterable[Recording]) -> None:
        """Take some more recordings into account."""
        for one in recordings:
            number = self._seen[one.user]
            self._seen[one.user] += 1
            user = (self._rank(one.user), one.user)
            if user not in self._of and len(self._of) == SHOWN:
                if user > max(self._of):
                    continue
                del self._of[max(self._of)]
            its, place = self._of.setdefault(user, []), (self._rank(one.user, number), number)
            if len(its) < SHOWN or place < its[-1][:2]:
                self._of[user] = sorted([*its, (*place, _copied(one))], key=lambda entry: entry[:2])[:SHOWN]

    def chosen(self) -> tuple[Recording, ...]:
        """Return the movements, one of each user, then a second one of each, and so on."""
        ranked = [[entry[2] for entry in self._of[user]] for user in sorted(self._of)]
        rounds = (one for turn in zip_longest(*ranked) for one in turn if one is not None)
        return tuple(one for one, _ in zip(rounds, range(SHOWN), strict=False))

    def _rank(self, *of: object) -> Rank:
        return hashlib.blake2b(repr((self._seed, *of)).encode(), digest_size=8).digest()


def _copied(one: Recording) -> Recording:
    """Return a recording whose arrays are its own."""
    return replace(one, t_ms=one.t_ms.copy(), x=one.x.copy(), y=one.y.copy())
