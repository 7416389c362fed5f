"""Both sides of an evaluation: people who were held out, and a candidate that would be taken for them.

A candidate is a generator, which is asked for a movement like each of those people's, or a file of movements made
elsewhere. People and candidate pass `judged`, the one chain, and whatever falls out of it is counted by reason.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, Movements, decode, encode, usable
from trainables.data.config import MINIMUM_STEPS, CanonicalConfig
from trainables.eval.generation.movement_reader import Observed, canonicalise


@dataclass(frozen=True, eq=False)
class RealAndFake:
    """Real, candidate and training movements in one form.

    Attributes:
        asked: Raw conditions of each fake, where they are known.
        read: Movements that each side began with.
        dropped: Of each side, reason -> movements that are not judged.
    """

    real: Canonical
    fake: Canonical
    training: Canonical
    asked: Float[Tensor, "M D"] | None
    read: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]


def generated(
    like: Callable[[Canonical], Canonical],
    form: CanonicalConfig,
    people: Observed,
    training: Movements,
    n: int,
    seed: int,
) -> RealAndFake:
    """One sample per movement of (n of) the people; row i of `fake` was asked to be like row i of `real`.

    A sample that is no movement any more is left out together with the one it was asked to match.

    Args:
        like: Makes one movement per given one, under its conditions, in the canonical form `form`.

    Raises:
        ConfigError: more samples than movements that can be asked for.
    """
    fitting, dropped = usable(people.movements, form)
    real = people.movements.take(fitting[_chosen(len(fitting), n, seed)])
    made = decode(like(encode(real, form)), form)
    shared = common_form(form, real, made, training)
    fake = canonicalise(made, shared)
    partners = encode(real.take(fake.rows), shared)
    return RealAndFake(
        partners,
        fake.canonical,
        canonicalise(training, shared).canonical,
        partners.condition(),
        {"real": people.read, "fake": len(made)},
        {"real": _counted(people.dropped, dropped), "fake": fake.dropped},
    )


def from_file(
    file: Observed, people: Observed, training: Movements, form: CanonicalConfig, n: int, seed: int
) -> RealAndFake:
    """The movements (n of them) of a file beside all people, whatever they were made after.

    Raises:
        ConfigError: more samples than the file holds in this form.
    """
    form = common_form(form, people.movements, file.movements, training)
    fake, real = canonicalise(file.movements, form), canonicalise(people.movements, form)
    rows = _chosen(len(fake), n, seed)
    return RealAndFake(
        real.canonical,
        fake.canonical.take(rows),
        canonicalise(training, form).canonical,
        None if file.asked is None else file.asked[fake.rows[rows]],
        {"real": people.read, "fake": file.read},
        {"real": _counted(people.dropped, real.dropped), "fake": _counted(file.dropped, fake.dropped)},
    )


def common_form(config: CanonicalConfig, *sides: Movements) -> CanonicalConfig:
    """60 Hz steps, as many as the configuration holds, or as the longest movement has where its form bounds none."""
    if config.representation == "fixed_dt":
        return config
    return CanonicalConfig("fixed_dt", max(MINIMUM_STEPS, *(int(side.length.max()) for side in sides if len(side))))


def _chosen(count: int, n: int, seed: int) -> Int[Tensor, "M"]:
    """All rows for n=0, else n of them by the seed, as a training run chooses those it is judged on."""
    require(n <= count, "`n <= usable movements`", f"n={n} and {count} movements", "ask for fewer, or n=0 for all")
    order = torch.randperm(count, generator=generator(seed, "validation rows"))
    return order[: n or count].sort().values


def _counted(*dropped: Mapping[str, int]) -> dict[str, int]:
    total = sum((Counter(part) for part in dropped), Counter[str]())
    return {reason: count for reason, count in total.items() if count}
