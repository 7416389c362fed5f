"""Users of movements: how many they stand for, and which of a user's movements an evaluated split keeps.

A user with many movements outweighs the others: (sum_u n_u)^2 / sum_u n_u^2 users of equal size would vary as much. A
cap on the movements of a user keeps that number high; which ones are kept is decided by a key of each movement alone,
such as its hash, whatever the order and number of the others.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np


def effective_users(owners: Sequence[str]) -> float:
    """Return (sum_u n_u)^2 / sum_u n_u^2 over the rows of each user.

    >>> effective_users(["a", "a", "b", "b"]), round(effective_users(["a", "a", "a", "b"]), 2)
    (2.0, 1.6)
    """
    return effective_number(list(Counter(owners).values()))


def effective_number(movements: Sequence[int]) -> float:
    """Return (sum n)^2 / sum n^2 over the number of movements of each user."""
    sizes = np.array(movements, dtype=np.float64)
    return float(sizes.sum() ** 2 / np.square(sizes).sum())


def largest_share(owners: Sequence[str]) -> float:
    """Return the share of the rows of the user with most.

    >>> largest_share(["a", "a", "a", "b"])
    0.75
    """
    return max(Counter(owners).values()) / len(owners)


def capped(owners: Sequence[str], keys: Sequence[bytes], most: int) -> list[int]:
    """Return the rows that are kept, in their order: of each user the `most` with the smallest keys.

    >>> capped(["a", "b", "a", "a"], [b"3", b"9", b"1", b"2"], 2)
    [1, 2, 3]
    """
    rows_of: defaultdict[str, list[tuple[bytes, int]]] = defaultdict(list)
    for row, (owner, key) in enumerate(zip(owners, keys, strict=True)):
        rows_of[owner].append((key, row))
    return sorted(row for rows in rows_of.values() for _, row in sorted(rows)[:most])
