"""Negative examples of a detector: scripted bots, samples of generators, and samples of the service.

A source makes one movement per row, under that row's conditions, and passes it through the observation model into
canonical form. Movements that cannot be represented are made again and counted; a source with too few is an error. Each
row records its style and family, the kind of its source, and the hash of the model's weights.

Scripted bots move differently in every pass. Generators do not: a pass of the default training takes 3 s, and sampling
its 583 movements from a diffusion 9 s on the same core. They are sampled once, one movement per movement of the
training users and the same for all seeds, and each pass takes those of other movements. Served movements are a folder,
from which each pass samples.
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
from trainables.physical.api import PhysicalGenerator, load_physical
from trainables.training.checkpoint import CheckpointError, load_record

ROUNDS = 8  # attempts of a source to replace unusable movements
POOLS = 32  # in memory: of two generators, each human movement being a condition at most `alpha` + 1 times
LOADERS: dict[str, Callable[..., Generator | GanGenerator | PhysicalGenerator]] = {
    "gan": load_gan,
    "diffusion": load_generator,
    "physical": load_physical,
}
"""Kind of a generator -> loader of its checkpoints."""


class ShortageError(ConfigError):
    """A source made fewer movements than requested."""


@dataclass(frozen=True, eq=False)
class Negatives:
    """N movements of bots in canonical form, with the origin of each.

    Attributes:
        style, family: Of a scripted bot by `BOTS`; else both are the kind of the source.
        model: Hash of the weights; "" for scripted bots.
        refused: Number of movements that could not be represented in canonical form and were made again.
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


Source = Callable[[Canonical, Int[Tensor, "M"], int], Negatives]
"""(humans, rows of them as conditions, seed) -> one movement per row, in their order."""


@dataclass(frozen=True)
class ScriptedBots:
    """Scripted bots of some families; the rows are assigned evenly to their styles at random."""

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


def every_pass(sample: Callable[[Canonical, int], Negatives]) -> Source:
    """Return a source that samples under the conditions of its rows in every pass."""
    return lambda humans, rows, seed: sample(humans.take(rows), seed)


def generated(
    kind: str, checkpoint: Path, canonical: CanonicalConfig, humans: Canonical, rows: Int[Tensor, "M"], seed: int
) -> Negatives:
    """Return samples of a generator's checkpoint; k equal rows are taken from k pools, whatever the seed.

    Raises:
        CheckpointError: The checkpoint cannot be read, or is of another kind.
        ConfigError: Its movements are of another canonical form.
    """
    weights, times = weights_of(kind, checkpoint), occurrences(rows)
    places = [(times == k).nonzero().squeeze(1) for k in range(int(times.max()) + 1 if len(rows) else 1)]
    pools = (pool(kind, checkpoint, weights, canonical, humans, number) for number in range(len(places)))
    return in_order([samples.take(rows[at]) for samples, at in zip(pools, places, strict=True)], places)


@lru_cache(maxsize=POOLS)
def pool(
    kind: str, checkpoint: Path, weights: str, canonical: CanonicalConfig, humans: Canonical, number: int
) -> Negatives:
    """Return a sample per human movement, the same in every process; sampled once per process."""
    source = LOADERS[kind](checkpoint)
    require(
        source.canonical == canonical,
        "the canonical form of the generator to be the detector's",
        f"{source.canonical} and {canonical}",
    )

    def sample(rows: Canonical, attempt: int) -> Movements:
        return decode(source.sample_matching(rows, seed=derive(number, "fakes", attempt) >> 10), canonical)

    samples, refused = make(kind, sample, humans, canonical)
    return _labelled(samples, kind, kind, weights, refused)


def weights_of(kind: str, checkpoint: Path) -> str:
    """Return the hash of a generator's weights. Raises CheckpointError for no checkpoint, or one of another kind."""
    record = load_record(checkpoint)
    if record.get("kind") != kind:
        raise CheckpointError(f"{checkpoint}: expected a checkpoint of kind `{kind}`, but got {record.get('kind')}")
    return str(record["weights_sha256"])


def occurrences(rows: Int[Tensor, "M"]) -> Int[Tensor, "M"]:
    """Return how often each entry occurred before.

    >>> occurrences(torch.tensor([4, 2, 4, 4])).tolist()
    [0, 0, 1, 2]
    """
    order = rows.argsort(stable=True)
    ordered, before = rows[order], torch.empty_like(rows)
    before[order] = torch.arange(len(rows)) - torch.searchsorted(ordered, ordered)
    return before


def served(folder: Path, canonical: CanonicalConfig, like: Canonical, seed: int) -> Negatives:
    """Sample from movements that the service made before the training; they do not follow the conditions of `like`.

    Raises:
        ShortageError: The folder holds fewer movements than `like` has rows.
        ConfigError: They are of another canonical form.
    """
    stored = read_served(folder)
    law = f"the canonical form of {folder} to be the detector's"
    require(stored.form == canonical, law, f"{stored.form} and {canonical}")
    if len(stored.canonical) < len(like):
        raise ShortageError(
            f"expected `served movements >= {len(like)}`, but {folder} has {len(stored.canonical)}; fetch more of them"
        )
    rows = torch.randperm(len(stored.canonical), generator=generator(seed, "served"))[: len(like)]
    return _labelled(stored.canonical.take(rows), "served", "served", stored.model_sha256)


def of_style(style: str, like: Canonical, canonical: CanonicalConfig, seed: int) -> Negatives:
    """Return a scripted bot's movements, one per row of `like`."""
    bot = BOTS[style]

    def sample(rows: Canonical, attempt: int) -> Movements:
        return bot.generate(rows, generator(seed, "bots", style, attempt))

    bots, refused = make(style, sample, like, canonical)
    return _labelled(bots, style, bot.family, "", refused)


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


def _labelled(canonical: Canonical, style: str, family: str, model: str, refused: int = 0) -> Negatives:
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


def apportion(count: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Apportion `count` by shares, exactly: largest remainders, ties in the order of `shares`.

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
    """Return the sources with a positive share."""
    sources: dict[str, Source] = {
        "bots": every_pass(ScriptedBots(config.families, canonical)),
        "gan": partial(generated, "gan", Path(config.gan_checkpoint), canonical),
        "diffusion": partial(generated, "diffusion", Path(config.diffusion_checkpoint), canonical),
        "physical": partial(generated, "physical", Path(config.physical_checkpoint), canonical),
        "served": every_pass(partial(served, Path(config.served_folder), canonical)),
    }
    return {name: source for name, source in sources.items() if config.shares[name] > 0}


def conditions_for(real: Canonical, count: int, random: torch.Generator) -> Canonical:
    """Return `count` of the real movements as conditions: each as often as any other, or once more."""
    return real.take(evenly(len(real), count, random))


def evenly(rows: int, count: int, random: torch.Generator) -> Int[Tensor, "N"]:
    """Sample `count` of `rows` numbers, each as often as any other, or once more."""
    passes = [torch.randperm(rows, generator=random) for _ in range(-(-count // rows))]
    return torch.cat(passes)[:count] if passes else torch.arange(0)


def mixture(real: Canonical, count: int, config: NegativesConfig, canonical: CanonicalConfig, seed: int) -> Negatives:
    """Return exactly `count` negatives under conditions of the real movements, from the sources by their shares.

    Raises:
        ShortageError: A source makes fewer than its share.
        CheckpointError, ConfigError: A source cannot be read, or is of another canonical form.
    """
    sources = sources_of(config, canonical)
    counts = apportion(count, {name: config.shares[name] for name in sources})
    rows = evenly(len(real), count, generator(seed, "conditions")).split([*counts.values()])
    return together([sources[name](real, own, derive(seed, name)) for name, own in zip(counts, rows, strict=True)])
