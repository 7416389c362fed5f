"""What stands beside the people: simple bots, fakes of generators, and movements drawn from the service.

A source makes one movement per row, under that row's conditions, and brings it through the observation model into
canonical form. What cannot be brought there is asked for again and counted; a source that stays short is an error. Each
row says what made it: its style and family, the kind of its source, and the model's weights.

Simple bots move anew in every pass. Generators do not: a pass of the default training takes 3 s, and drawing its 583
samples from a diffusion 9 s on the same core. Their samples are drawn once, one per movement of the training people and
the same for all seeds, and each pass takes those of other people. Served movements are a folder, of which each pass
takes others by chance.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Int
from torch import Tensor

from trainables.core.config import ConfigError, require
from trainables.core.derived_seeds import derive
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, Movements, concatenate, decode, encode, usable
from trainables.data.config import CanonicalConfig
from trainables.detector.bots import BOTS, FAMILIES
from trainables.detector.config import NegativesConfig
from trainables.detector.dataset.served_negatives import read_served
from trainables.diffusion.api import Generator, load_generator
from trainables.gan.api import GanGenerator, load_gan
from trainables.training.checkpoint import CheckpointError, load_record

ROUNDS = 8  # in which a source may make good what could not be used
POOLS = (
    32  # in memory: of two generators, each movement of a person being asked for at most `alpha` times and once more
)
LOADERS: dict[str, Callable[..., Generator | GanGenerator]] = {
    "gan": load_gan,
    "diffusion": load_generator,
}  # of the generators that a detector learns from, by kind


class ShortageError(ConfigError):
    """A source gave fewer movements than were asked for."""


@dataclass(frozen=True, eq=False)
class Negatives:
    """N movements of bots in canonical form, and what made each of them.

    Attributes:
        style, family: Of a simple bot by `BOTS`; else both are the kind of the source.
        model: Hash of the weights; "" for simple bots.
        refused: Movements that could not be brought into canonical form and were made again.
    """

    canonical: Canonical
    style: tuple[str, ...]
    family: tuple[str, ...]
    model: tuple[str, ...]
    refused: int = 0

    def __len__(self) -> int:
        return len(self.canonical)

    def take(self, rows: Int[Tensor, "M"]) -> "Negatives":
        """The movements at `rows`, in that order; the refused are told of all."""
        style, family, model = (
            tuple(told[row] for row in rows.tolist()) for told in (self.style, self.family, self.model)
        )
        return Negatives(self.canonical.take(rows), style, family, model, self.refused)

    def account(self) -> dict[str, Any]:
        """What a record holds of them, as plain values: how many of each style, by which weights, and the refused."""
        models = {style: model for style, model in zip(self.style, self.model, strict=True) if model}
        return {"styles": dict(sorted(Counter(self.style).items())), "models": models, "refused": self.refused}


Source = Callable[[Canonical, Int[Tensor, "M"], int], Negatives]
"""The people, rows of them that are the conditions, and a seed -> a movement per row, in their order."""


@dataclass(frozen=True)
class ScriptedBots:
    """Bots of some families; the rows are shared evenly over their styles, by chance."""

    families: tuple[str, ...]
    canonical: CanonicalConfig

    def __call__(self, like: Canonical, seed: int) -> Negatives:
        styles = [*chain.from_iterable(FAMILIES[family] for family in self.families)]
        turn = torch.randperm(len(like), generator=generator(seed, "styles")) % len(styles)
        parts = [(turn == k).nonzero().squeeze(1) for k in range(len(styles))]
        made = [
            of_style(style, like.take(rows), self.canonical, seed) for style, rows in zip(styles, parts, strict=True)
        ]
        return in_order(made, parts)


def anew(draw: Callable[[Canonical, int], Negatives]) -> Source:
    """A source that is told the conditions of its rows, and draws in every pass."""
    return lambda people, rows, seed: draw(people.take(rows), seed)


def fakes(
    kind: str, checkpoint: Path, canonical: CanonicalConfig, people: Canonical, rows: Int[Tensor, "M"], seed: int
) -> Negatives:
    """Samples of a generator's checkpoint; a row that is asked for k times is taken from k pools, whatever the seed.

    Raises:
        CheckpointError: it cannot be read, or is of another kind.
        ConfigError: its movements are of another canonical form.
    """
    weights, times = weights_of(kind, checkpoint), occurrences(rows)
    places = [(times == k).nonzero().squeeze(1) for k in range(int(times.max()) + 1 if len(rows) else 1)]
    pools = (pool(kind, checkpoint, weights, canonical, people, number) for number in range(len(places)))
    return in_order([drawn.take(rows[mine]) for drawn, mine in zip(pools, places, strict=True)], places)


@lru_cache(maxsize=POOLS)
def pool(
    kind: str, checkpoint: Path, weights: str, canonical: CanonicalConfig, people: Canonical, number: int
) -> Negatives:
    """A sample per movement of these people, the same in every process; drawn once in this one."""
    source = LOADERS[kind](checkpoint)
    require(
        source.canonical == canonical,
        "the canonical form of the generator to be the detector's",
        f"{source.canonical} and {canonical}",
    )

    def draw(rows: Canonical, attempt: int) -> Movements:
        return decode(source.like(rows, seed=derive(number, "fakes", attempt) >> 10), canonical)

    found, refused = made(kind, draw, people, canonical)
    return _labelled(found, kind, kind, weights, refused)


def weights_of(kind: str, checkpoint: Path) -> str:
    """Hash of a generator's weights. Raises CheckpointError if there are none, or of another kind."""
    record = load_record(checkpoint)
    if record.get("kind") != kind:
        raise CheckpointError(f"{checkpoint}: expected a checkpoint of kind `{kind}`, but got {record.get('kind')}")
    return str(record["weights_sha256"])


def occurrences(rows: Int[Tensor, "M"]) -> Int[Tensor, "M"]:
    """How often each entry stood there before.

    >>> occurrences(torch.tensor([4, 2, 4, 4])).tolist()
    [0, 0, 1, 2]
    """
    order = rows.argsort(stable=True)
    ordered, before = rows[order], torch.empty_like(rows)
    before[order] = torch.arange(len(rows)) - torch.searchsorted(ordered, ordered)
    return before


def served(folder: Path, canonical: CanonicalConfig, like: Canonical, seed: int) -> Negatives:
    """Movements that were drawn from the service before the training began, by chance; no other source is as given.

    Raises:
        ShortageError: the folder holds fewer than there are rows in `like`.
        ConfigError: they are of another canonical form.
    """
    kept = read_served(folder)
    require(
        kept.form == canonical, f"the canonical form of {folder} to be the detector's", f"{kept.form} and {canonical}"
    )
    if len(kept.canonical) < len(like):
        raise ShortageError(
            f"expected `served movements >= {len(like)}`, but {folder} has {len(kept.canonical)}; draw more of them"
        )
    rows = torch.randperm(len(kept.canonical), generator=generator(seed, "served"))[: len(like)]
    return _labelled(kept.canonical.take(rows), "served", "served", kept.model_sha256)


def of_style(style: str, like: Canonical, canonical: CanonicalConfig, seed: int) -> Negatives:
    """A simple bot's movements, one per row of `like`."""
    bot = BOTS[style]

    def draw(rows: Canonical, attempt: int) -> Movements:
        return bot.generate(rows, generator(seed, "bots", style, attempt))

    bots, refused = made(style, draw, like, canonical)
    return _labelled(bots, style, bot.family, "", refused)


def made(
    what: str, draw: Callable[[Canonical, int], Movements], like: Canonical, canonical: CanonicalConfig
) -> tuple[Canonical, int]:
    """Movements under all rows of `like`, in their order, and how many could not be used and were drawn again.

    Args:
        draw: (rows of `like`, number of the attempt) -> their movements.

    Raises:
        ShortageError: some cannot be used in any of `ROUNDS` rounds.
    """
    if not len(like):
        return like, 0
    left, parts, places, refused = torch.arange(len(like)), list[Canonical](), list[Tensor](), 0
    for attempt in range(ROUNDS):
        movements = draw(like.take(left), attempt)
        good, _ = usable(movements, canonical)
        parts.append(encode(movements.take(good), canonical))
        places.append(left[good])
        left = left[others(good, len(left))]
        refused += len(left)
        if not len(left):
            return concatenate(*parts).take(torch.cat(places).argsort()), refused
    raise ShortageError(
        f"`{what}` must make {len(like)} movements, but {len(left)} of them could not be brought into canonical form "
        f"in {ROUNDS} rounds; take another source, or shorter conditions"
    )


def _labelled(canonical: Canonical, style: str, family: str, model: str, refused: int = 0) -> Negatives:
    n = len(canonical)
    return Negatives(canonical, (style,) * n, (family,) * n, (model,) * n, refused)


def others(rows: Int[Tensor, "M"], count: int) -> Int[Tensor, "K"]:
    """All of `count` rows but these."""
    kept = torch.ones(count, dtype=torch.bool)
    kept[rows] = False
    return kept.nonzero().squeeze(1)


def in_order(parts: Sequence[Negatives], places: Sequence[Tensor]) -> Negatives:
    """Several sets as one, each row at its place."""
    return together(parts).take(torch.cat([*places]).argsort())


def together(parts: Sequence[Negatives]) -> Negatives:
    """Several sets as one, one after the other."""
    style, family, model = (
        tuple(chain.from_iterable(getattr(part, name) for part in parts)) for name in ("style", "family", "model")
    )
    whole = concatenate(*(part.canonical for part in parts))
    return Negatives(whole, style, family, model, sum(part.refused for part in parts))


def apportion(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """`count` by shares, exactly: largest remainders, ties in the order of `shares`.

    >>> apportion(10, {"a": 1.0, "b": 1.0, "c": 1.0})
    {'a': 4, 'b': 3, 'c': 3}
    """
    total = sum(shares.values())
    exact = {name: count * share / total for name, share in shares.items()}
    counts = {name: int(value) for name, value in exact.items()}
    by_rest = sorted(shares, key=lambda name: counts[name] - exact[name])
    for name in by_rest[: count - sum(counts.values())]:
        counts[name] += 1
    return counts


def sources_of(config: NegativesConfig, canonical: CanonicalConfig) -> dict[str, Source]:
    """The sources that have a share."""
    known: dict[str, Source] = {
        "bots": anew(ScriptedBots(config.families, canonical)),
        "gan": partial(fakes, "gan", Path(config.gan_checkpoint), canonical),
        "diffusion": partial(fakes, "diffusion", Path(config.diffusion_checkpoint), canonical),
        "served": anew(partial(served, Path(config.served_folder), canonical)),
    }
    return {name: source for name, source in known.items() if config.shares[name] > 0}


def conditions_for(real: Canonical, count: int, random: torch.Generator) -> Canonical:
    """`count` of the real movements as conditions: each as often as any other, or once more."""
    return real.take(evenly(len(real), count, random))


def evenly(rows: int, count: int, random: torch.Generator) -> Int[Tensor, "N"]:
    """`count` of `rows` numbers by chance, each as often as any other, or once more."""
    passes = [torch.randperm(rows, generator=random) for _ in range(-(-count // rows))]
    return torch.cat(passes)[:count] if passes else torch.arange(0)


def mixture(real: Canonical, count: int, config: NegativesConfig, canonical: CanonicalConfig, seed: int) -> Negatives:
    """Exactly `count` negatives under conditions of the real part, over the sources by their shares.

    Raises:
        ShortageError: a source gives fewer than its share.
        CheckpointError, ConfigError: a source cannot be read, or is of another canonical form.
    """
    sources = sources_of(config, canonical)
    counts = apportion(count, {name: config.shares[name] for name in sources})
    rows = evenly(len(real), count, generator(seed, "conditions")).split([*counts.values()])
    return together([sources[name](real, mine, derive(seed, name)) for name, mine in zip(counts, rows, strict=True)])
