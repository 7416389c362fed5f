"""The splits of a data set with their statistics, and the account of what was left out and why."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from jaxtyping import Float
from torch import Tensor

from trainables.core.config import require
from trainables.core.formatting import counted
from trainables.data.canonical import Canonical, concatenate
from trainables.data.splits.parts import Kept
from trainables.data.splits.statistics import Statistics
from trainables.data.users import effective_users

ENOUGH, LONGER = 0.7, 128  # share of a source that T is to keep, and the T that keeps it of nearly every source
LONGER_REMEDY = f"set data.canonical.sequence_length={LONGER}"


@dataclass(frozen=True, eq=False)
class DataSplits:
    """The four splits of a data set, or the two of a fold, their statistics, and the account of what was left out.

    Attributes:
        dropped: Reason -> movements left out, over reading and canonicalisation.
        repaired: Reason -> raw events left out by the reader.
        capped: Evaluated split -> usable movements left out of it since their user has more than `rows_per_user`.
        kept: Source -> how many of its movements are usable.
        places: Split -> where each of its movements begins and ends on the screen, in whole pixels: x, y, x, y.
        sha256: Over configuration, values, groups and, where there are several, sources: equal if and only if the
            training data are.
    """

    splits: Mapping[str, Canonical]
    statistics: Statistics
    read: int
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]
    capped: Mapping[str, int]
    kept: Mapping[str, Kept]
    places: Mapping[str, Float[Tensor, "N 4"]]
    sha256: str

    def __getitem__(self, split: str) -> Canonical:
        """Return the movements of a split, or of several whose names are joined by `+`, one after the other."""
        known, parts = ", ".join(self.splits), split.split("+")
        law, remedy = f"`split` in {{{known}}}", "a fold of users has no other"
        require(all(part in self.splits for part in parts), law, f"split={split}", remedy)
        found = [self.splits[part] for part in parts]
        return found[0] if len(found) == 1 else concatenate(*found)

    def with_ends(self, ends: bool) -> "DataSplits":
        """Return the same for networks whose condition includes whether the first and the last step move, or not."""
        return replace(self, statistics=replace(self.statistics, ends=ends)) if ends else self

    def table(self) -> str:
        """Movements and users of the splits, by source where there are several, and what was left out and why.

        Aligned for a terminal.
        """
        rows = [("movements read", self.read)]
        rows += [(f"  dropped: {reason}", n) for reason, n in self.dropped.items() if n]
        for name, split in self.splits.items():
            rows += [(f"  {name} ({_users(split.group)})", len(split))]
            rows += [(f"    {source} ({_users(owners)})", len(owners)) for source, owners in self._by_source(split)]
            rows += [("    not of them: over the most of a user", n) for n in [self.capped.get(name, 0)] if n]
        for source, kept in self.kept.items():
            rows += [(f"  usable of the {kept.read:,} of {source} ({kept.share:.0%})", kept.usable)]
        rows += [(f"  raw events left out: {reason}", n) for reason, n in self.repaired.items() if n]
        width = max(len(label) for label, _ in rows)
        lines = [f"{label:<{width}}  {count:>7,}" for label, count in rows]
        return "\n".join([*lines, *([f"{self.too_short}; {LONGER_REMEDY}"] if self.too_short else [])])

    @property
    def too_short(self) -> str:
        """What T keeps of the sources that a longer one would keep more of; empty where there is none."""
        return too_short(self.kept, self.splits["train"].mask.shape[1])

    def _by_source(self, split: Canonical) -> Iterator[tuple[str, list[str]]]:
        """Yield each source with the users of its rows in a split, where the data have several sources."""
        for source in sorted(set(split.source)) if len(self.kept) > 1 else ():
            yield source, [user for user, its in zip(split.group, split.source, strict=True) if its == source]


def too_short(kept: Mapping[str, Kept], steps: int) -> str:
    """Return what T steps keep of the sources that `LONGER` would keep more of; empty where there is none."""
    little = [source for source, its in kept.items() if its.share < ENOUGH and its.too_long]
    if not little or steps >= LONGER:
        return ""
    shares = ", ".join(f"{kept[source].share:.0%} of {source}" for source in little)
    return f"T={steps} steps keep {shares}"


def _users(owners: Sequence[str]) -> str:
    return f"{counted(len(set(owners)), 'user')}, {effective_users(owners):.1f} effective"
