"""Folds of users: each user of an evaluated source in exactly one, in place of the evaluated splits.

A model per fold, trained on the users of the others, evaluates every user once, so that an interval rests on all of
them and not on those of one split. Folds are balanced by the movements that an evaluation would take, of each source
first: users are handed out in the order of their number of movements, the largest first, to the fold that has the
fewest (longest processing time first). Of equal ones a hash of the name decides, so that the folds depend neither on
the order of the recordings nor on chance.

References: Bounds on Multiprocessing Timing Anomalies (Graham, 1969), doi:10.1137/0117039.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

from trainables.core.config import require

SALT = "folds of users"


def folds_of_users(owners: Sequence[str], sources: Sequence[str], most: int, count: int) -> Mapping[str, int]:
    """Return the fold of each user, 1 to `count`; one with movements of several sources is of that with most.

    Args:
        owners, sources: User and source of each movement.
        most: Movements of a user that are evaluated at most.

    Raises:
        ConfigError: A source with fewer users than folds.

    >>> folds_of_users(["a", "a", "a", "b", "b", "c"], ["s"] * 6, 3, 2)
    {'a': 1, 'b': 2, 'c': 2}
    """
    size = {user: min(rows, most) for user, rows in Counter(owners).items()}
    by_source = Counter(zip(owners, sources, strict=True))
    source_of = {user: source for (user, source), _ in sorted(by_source.items(), key=lambda item: (item[1], item[0]))}
    found: dict[str, int] = {}
    total = [0] * count
    for source in sorted(set(source_of.values())):
        users = [user for user, its in source_of.items() if its == source]
        law = f"users of {source} outside of the holdout split >= {count}, one per fold"
        require(len(users) >= count, law, str(len(users)), "use fewer folds")
        own = [0] * count
        for user in sorted(users, key=lambda user: (-size[user], _hash(user))):
            fold = min(range(count), key=lambda fold: (own[fold], total[fold], fold))
            found[user] = fold + 1
            own[fold] += size[user]
            total[fold] += size[user]
    return found


def _hash(user: str) -> bytes:
    return hashlib.blake2b(f"{SALT}/{user}".encode(), digest_size=8).digest()
