"""Negative examples of a detector: movements of bots in canonical form, each with its origin.

A source makes one movement per row, under that row's conditions, and passes it through the observation model into
canonical form. Movements that cannot be represented are made again and counted; a source with too few is an error. Each
row records its style and family, the kind of its source, and the hash of the model's weights.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, Movements, concatenate, encode, usable
from trainables.data.config import CanonicalConfig
from trainables.detector.bots import BOTS

ROUNDS = 8  # attempts of a source to replace unusable movements


class ShortageError(ConfigError):
    """A source made fewer movements than requested."""


@dataclass(frozen=True, eq=False)
class Negatives:
    """N movements of bots in canonical form, with the origin of each.

    Attributes:
        style, family: Of a scripted bot by `BOTS`; else both are the kind of the source.
        model: Hash of the weights; "" for scripted bots.
        refused: Number of movements that could not be represented in canonical form and were made again, or, of an
            agent, were replaced by those of other conditions.
    """

    canonical: Canonical
    style: tuple[str, ...]
    family: tuple[str, ...]
    model: tuple[str, ...]
    refused: int = 0

    def __len__(self) -> int:
        return len(self.canonical)

    def take(self, rows: Int[Tensor, "M"]) -> "Negatives":
        """Return the movements at `rows`, in that order; `refused` stays that of all."""
        style, family, model = (
            tuple(column[row] for row in rows.tolist()) for column in (self.style, self.family, self.model)
        )
        return Negatives(self.canonical.take(rows), style, family, model, self.refused)

    def account(self) -> dict[str, Any]:
        """Return their summary for a record, as plain values: counts by style, weights by style, and `refused`."""
        models = {style: model for style, model in zip(self.style, self.model, strict=True) if model}
        return {"styles": dict(sorted(Counter(self.style).items())), "models": models, "refused": self.refused}


def of_style(style: str, like: Canonical, canonical: CanonicalConfig, seed: int) -> Negatives:
    """Return a scripted bot's movements, one per row of `like`."""
    bot = BOTS[style]

    def sample(rows: Canonical, attempt: int) -> Movements:
        return bot.generate(rows, generator(seed, "bots", style, attempt))

    bots, refused = make(style, sample, like, canonical)
    return labelled(bots, style, bot.family, "", refused)


def make(
    source: str, sample: Callable[[Canonical, int], Movements], like: Canonical, canonical: CanonicalConfig
) -> tuple[Canonical, int]:
    """Return movements under all rows of `like`, in their order, and the number that had to be made again.

    Args:
        sample: (rows of `like`, number of the attempt) -> their movements.

    Raises:
        ShortageError: Some are unusable in each of `ROUNDS` rounds.
    """
    if not len(like):
        return like, 0
    left, parts, places, refused = torch.arange(len(like)), list[Canonical](), list[Tensor](), 0
    for attempt in range(ROUNDS):
        movements = sample(like.take(left), attempt)
        good, _ = usable(movements, canonical)
        parts.append(encode(movements.take(good), canonical))
        places.append(left[good])
        left = left[others(good, len(left))]
        refused += len(left)
        if not len(left):
            return concatenate(*parts).take(torch.cat(places).argsort()), refused
    raise ShortageError(
        f"expected {len(like)} movements of `{source}`, but {len(left)} of them could not be represented in canonical "
        f"form in {ROUNDS} rounds; use another source, or shorter conditions"
    )


def labelled(canonical: Canonical, style: str, family: str, model: str, refused: int = 0) -> Negatives:
    """Return movements of one style, family and model."""
    n = len(canonical)
    return Negatives(canonical, (style,) * n, (family,) * n, (model,) * n, refused)


def others(rows: Int[Tensor, "M"], count: int) -> Int[Tensor, "K"]:
    """Return all of `count` rows except these."""
    kept = torch.ones(count, dtype=torch.bool)
    kept[rows] = False
    return kept.nonzero().squeeze(1)


def in_order(parts: Sequence[Negatives], places: Sequence[Tensor]) -> Negatives:
    """Concatenate several sets, each row at its place."""
    return together(parts).take(torch.cat([*places]).argsort())


def together(parts: Sequence[Negatives]) -> Negatives:
    """Concatenate several sets."""
    style, family, model = (
        tuple(chain.from_iterable(getattr(part, name) for part in parts)) for name in ("style", "family", "model")
    )
    whole = concatenate(*(part.canonical for part in parts))
    return Negatives(whole, style, family, model, sum(part.refused for part in parts))
