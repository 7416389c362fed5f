"""Mixture of negatives: exact counts by the shares of the sources, under conditions of users' movements."""

from collections.abc import Mapping

import torch
from jaxtyping import Int
from torch import Tensor

from trainables.core.derived_seeds import derive
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.detector.config import NegativesConfig
from trainables.detector.dataset.negative_sources import sources_of
from trainables.detector.dataset.negatives import Negatives, together


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
