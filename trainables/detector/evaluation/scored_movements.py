"""Scored movements: the bot probability of each, with the user, session, style, family and source that made it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.core.config import require
from trainables.data.labels import HUMAN

COLUMNS = ("group", "session", "style", "family", "source")


@dataclass(frozen=True, eq=False)
class ScoredMovements:
    """N movements of users and bots, with the probability of a bot.

    Attributes:
        score: Probability of a bot, in [0, 1].
        group: User who made the movement, or under whose conditions a bot made it: the unit of the bootstrap.
        session: Unit over which several movements are fused: for users, the user.
        style, family: Style and family of a bot; `HUMAN` for users.
        source: Recorder of a user's movement, or origin of a bot.

    Raises:
        ConfigError: Columns of unequal length, or a score that is no probability.
    """

    score: Float[Tensor, "N"]
    group: tuple[str, ...]
    session: tuple[str, ...]
    style: tuple[str, ...]
    family: tuple[str, ...]
    source: tuple[str, ...]

    def __post_init__(self) -> None:
        counts = {len(getattr(self, name)) for name in COLUMNS} | {len(self.score)}
        require(len(counts) == 1, "columns of scored movements to be of one length", f"{sorted(counts)}")
        bad = (~((self.score >= 0) & (self.score <= 1))).nonzero().squeeze(1).tolist()
        got = f"{self.score[bad[0]].item()} in row {bad[0]} ({self.style[bad[0]]})" if bad else ""
        require(not bad, "`0 <= score <= 1`", got)

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def of_users(cls, score: Float[Tensor, "N"], group: Sequence[str], source: str) -> "ScoredMovements":
        """Return the movements of users of one source; each user is a session."""
        n, users = len(score), tuple(group)
        return cls(score.double(), users, users, (HUMAN,) * n, (HUMAN,) * n, (source,) * n)

    @classmethod
    def of_bots(
        cls,
        score: Float[Tensor, "N"],
        group: Sequence[str],
        style: Sequence[str],
        family: Sequence[str],
        source: str,
        session: Sequence[str] | None = None,
    ) -> "ScoredMovements":
        """Return the movements of bots; by default each style under the conditions of one user is a session."""
        sessions = session if session is not None else [f"{s}/{g}" for s, g in zip(style, group, strict=True)]
        return cls(score.double(), tuple(group), tuple(sessions), tuple(style), tuple(family), (source,) * len(score))

    @property
    def is_bot(self) -> Bool[Tensor, "N"]:
        """Mask of the rows of bots."""
        return torch.tensor([style != HUMAN for style in self.style], dtype=torch.bool)

    def where(self, column: str, names: Iterable[str]) -> "ScoredMovements":
        """Return the rows whose `column` is one of the names."""
        wanted = set(names)
        return self.take([row for row, name in enumerate(getattr(self, column)) if name in wanted])

    def humans(self) -> "ScoredMovements":
        """Return the rows of users."""
        return self.where("style", [HUMAN])

    def bots(self) -> "ScoredMovements":
        """Return the rows of bots."""
        return self.where("style", set(self.style) - {HUMAN})

    def take(self, rows: Sequence[int]) -> "ScoredMovements":
        """Return the movements at `rows`, in that order."""
        columns = {name: tuple(getattr(self, name)[row] for row in rows) for name in COLUMNS}
        return ScoredMovements(self.score[torch.tensor(rows, dtype=torch.int64)], **columns)


def balanced(part: ScoredMovements, random: torch.Generator) -> ScoredMovements:
    """Return all human rows and as many bots, sampled evenly over the styles; all bots if there are fewer."""
    humans, bots = part.humans(), part.bots()
    order = torch.randperm(len(bots), generator=random).tolist()
    turns, seen = {}, Counter[str]()
    for row in order:
        turns[row] = seen[bots.style[row]]
        seen[bots.style[row]] += 1
    return joined(humans, bots.take(sorted(order, key=turns.__getitem__)[: len(humans)]))


def joined(*parts: ScoredMovements) -> ScoredMovements:
    """Concatenate several sets."""
    columns = {name: tuple(chain.from_iterable(getattr(part, name) for part in parts)) for name in COLUMNS}
    return ScoredMovements(torch.cat([part.score for part in parts]), **columns)
