"""Scored movements: the probability of a bot for each, and all that a judgement has to know of who made it."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.core.config import require
from trainables.data.labels import HUMAN

TOLD = ("group", "session", "style", "family", "source")


@dataclass(frozen=True, eq=False)
class Scored:
    """N movements of people and bots, with the probability of a bot.

    Attributes:
        score: In [0, 1].
        group: Who made it; of a bot, whose conditions it was made under. Rows of one group are drawn together.
        session: What several movements are fused over: of people, usually the group.
        style, family: Of a bot; `HUMAN` for people.
        source: Of people, who recorded them; of bots, where they come from.

    Raises:
        ConfigError: columns of unequal length, or a score that is no probability.
    """

    score: Float[Tensor, "N"]
    group: tuple[str, ...]
    session: tuple[str, ...]
    style: tuple[str, ...]
    family: tuple[str, ...]
    source: tuple[str, ...]

    def __post_init__(self) -> None:
        counts = {len(getattr(self, name)) for name in TOLD} | {len(self.score)}
        require(len(counts) == 1, "columns of scored movements to be of one length", f"{sorted(counts)}")
        bad = (~((self.score >= 0) & (self.score <= 1))).nonzero().squeeze(1).tolist()
        got = f"{self.score[bad[0]].item()} in row {bad[0]} ({self.style[bad[0]]})" if bad else ""
        require(not bad, "`0 <= score <= 1`", got)

    def __len__(self) -> int:
        return len(self.score)

    @classmethod
    def of_people(cls, score: Float[Tensor, "N"], group: Sequence[str], source: str) -> "Scored":
        """Movements of people of one source; a person is a session."""
        n, people = len(score), tuple(group)
        return cls(score.double(), people, people, (HUMAN,) * n, (HUMAN,) * n, (source,) * n)

    @classmethod
    def of_bots(
        cls,
        score: Float[Tensor, "N"],
        group: Sequence[str],
        style: Sequence[str],
        family: Sequence[str],
        source: str,
        session: Sequence[str] | None = None,
    ) -> "Scored":
        """Movements of bots; unless told otherwise, a style under one person's conditions is a session."""
        sessions = session if session is not None else [f"{s}/{g}" for s, g in zip(style, group, strict=True)]
        return cls(score.double(), tuple(group), tuple(sessions), tuple(style), tuple(family), (source,) * len(score))

    @property
    def is_bot(self) -> Bool[Tensor, "N"]:
        """Which rows are bots."""
        return torch.tensor([style != HUMAN for style in self.style], dtype=torch.bool)

    def where(self, column: str, names: Iterable[str]) -> "Scored":
        """The rows whose `column` is one of the names."""
        wanted = set(names)
        return self.take([row for row, name in enumerate(getattr(self, column)) if name in wanted])

    def people(self) -> "Scored":
        """The rows of people."""
        return self.where("style", [HUMAN])

    def bots(self) -> "Scored":
        """The rows of bots."""
        return self.where("style", set(self.style) - {HUMAN})

    def take(self, rows: Sequence[int]) -> "Scored":
        """The movements at `rows`, in that order."""
        told = {name: tuple(getattr(self, name)[row] for row in rows) for name in TOLD}
        return Scored(self.score[torch.tensor(rows, dtype=torch.int64)], **told)


def balanced(part: Scored, random: torch.Generator) -> Scored:
    """All people and as many bots, by chance and evenly over the styles; all bots where there are fewer."""
    people, bots = part.people(), part.bots()
    order = torch.randperm(len(bots), generator=random).tolist()
    turns, seen = {}, Counter[str]()
    for row in order:
        turns[row] = seen[bots.style[row]]
        seen[bots.style[row]] += 1
    return joined(people, bots.take(sorted(order, key=turns.__getitem__)[: len(people)]))


def joined(*parts: Scored) -> Scored:
    """Several sets as one, one after the other."""
    told = {name: tuple(chain.from_iterable(getattr(part, name) for part in parts)) for name in TOLD}
    return Scored(torch.cat([part.score for part in parts]), **told)
