"""Differences of two configurations by key, where a recorded one may be older than some of its keys."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from trainables.core.config import build, plain
from trainables.core.renamed import config_today

MOST_SHOWN = 4  # differing keys in a message


class Difference(NamedTuple):
    """A key of two configurations with both values; None where a side has no such key."""

    key: str
    there: Any
    here: Any

    def __str__(self) -> str:
        return f"{self.key}={self.here} (there: {self.there})"


def differences(cls: type[Any], there: Mapping[str, Any], here: Mapping[str, Any]) -> Iterator[Difference]:
    """Yield what differs between the recorded configuration `there` and `here`, in the order of the fields.

    A key that one of them lacks, because it is newer, has its default there.

    Args:
        cls: The dataclass of both.
    """
    default = dict(leaves(plain(build(cls, {}))))
    then, now = ({**default, **dict(leaves(config_today(config)))} for config in (there, here))
    for key in [*now, *(key for key in then if key not in now)]:
        if then.get(key) != now.get(key):
            yield Difference(key, then.get(key), now.get(key))


def leaves(config: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of a nested configuration with their values.

    >>> dict(leaves({"seed": 0, "optim": {"lr": 0.1, "betas": [0.9]}}))
    {'seed': 0, 'optim.lr': 0.1, 'optim.betas': [0.9]}
    """
    for key, value in config.items():
        if isinstance(value, Mapping) and value:
            yield from leaves(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value


def listed(found: Sequence[object]) -> str:
    """Return the first few of what differs as one text, and how many more there are.

    >>> listed(["a", "b"]), listed("abcdef")
    ('a, b', 'a, b, c, d and 2 more')
    """
    more = f" and {len(found) - MOST_SHOWN} more" if len(found) > MOST_SHOWN else ""
    return ", ".join(map(str, found[:MOST_SHOWN])) + more
