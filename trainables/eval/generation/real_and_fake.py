"""Real and generated movements of an evaluation: held-out users, and samples of a generator or of a file.

A generator makes a movement under the conditions of each held-out movement; a file has movements made elsewhere, which
may name the held-out movement that each was made for. Both sides pass `canonicalise`, and movements that are left out
are counted by reason.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

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
    """Real, generated and training movements in one form.

    Attributes:
        requested: Raw conditions of each fake movement, if known.
        read: Number of movements of each side before any is left out.
        in_pairs: Whether row i of both sides is a pair.
        dropped: Side -> reason -> number of movements left out.
    """

    real: Canonical
    fake: Canonical
    training: Canonical
    requested: Float[Tensor, "M D"] | None
    read: Mapping[str, int]
    dropped: Mapping[str, Mapping[str, int]]
    in_pairs: bool = False


def generated(
    like: Callable[[Canonical], Canonical],
    form: CanonicalConfig,
    real: Observed,
    training: Movements,
    n: int,
    seed: int,
) -> RealAndFake:
    """Return one sample per real movement (of n of them), row by row under its conditions.

    A sample that is no movement after re-observation is left out together with the real movement that it matches.

    Args:
        like: Makes one movement under the conditions of each given one, in the canonical form `form`.

    Raises:
        ConfigError: More samples than usable real movements.
    """
    fitting, dropped = usable(real.movements, form)
    matched = real.movements.take(fitting[_chosen(len(fitting), n, seed)])
    samples = decode(like(encode(matched, form)), form)
    shared = common_form(form, matched, samples, training)
    fake = canonicalise(samples, shared)
    partners = encode(matched.take(fake.rows), shared)
    return RealAndFake(
        partners,
        fake.canonical,
        canonicalise(training, shared).canonical,
        partners.condition(),
        {"real": real.read, "fake": len(samples)},
        {"real": _counted(real.dropped, dropped), "fake": fake.dropped},
        in_pairs=True,
    )


def from_file(
    file: Observed, real: Observed, training: Movements, form: CanonicalConfig, n: int, seed: int
) -> RealAndFake:
    """Return (n of) the movements of a file beside all real ones, without pairing.

    Raises:
        ConfigError: More samples than the file holds in this form.
    """
    form = common_form(form, real.movements, file.movements, training)
    fake, reference = canonicalise(file.movements, form), canonicalise(real.movements, form)
    rows = _chosen(len(fake), n, seed)
    return RealAndFake(
        reference.canonical,
        fake.canonical.take(rows),
        canonicalise(training, form).canonical,
        None if file.requested is None else file.requested[fake.rows[rows]],
        {"real": real.read, "fake": file.read},
        {"real": _counted(real.dropped, reference.dropped), "fake": _counted(file.dropped, fake.dropped)},
    )


def matched(
    file: Observed,
    rows: Int[Tensor, "N"],
    real: Observed,
    training: Movements,
    form: CanonicalConfig,
    n: int,
    seed: int,
) -> RealAndFake:
    """Return (n of) the movements of a file, each beside the real movement that it was made for, in the order of these.

    A sample that is no movement is left out together with its real movement; so are real movements without a sample.

    Args:
        rows: Row number of the real movement of each movement of the file.

    Raises:
        ConfigError: More samples than the file holds.
    """
    form = common_form(form, real.movements, file.movements, training)
    in_order = rows.argsort()
    chosen = in_order[_chosen(len(rows), n, seed)]
    fake = canonicalise(file.movements.take(chosen), form)
    partners = encode(real.movements.take(rows[chosen][fake.rows]), form)
    without = {"without a usable sample": real.read - len(partners)}
    return RealAndFake(
        partners,
        replace(fake.canonical, group=partners.group, source=partners.source),
        canonicalise(training, form).canonical,
        partners.condition(),
        {"real": real.read, "fake": file.read},
        {"real": _counted(real.dropped, without), "fake": _counted(file.dropped, fake.dropped)},
        in_pairs=True,
    )


def common_form(config: CanonicalConfig, *sides: Movements) -> CanonicalConfig:
    """Return the form of 60 Hz steps: that of the configuration, or one as long as the longest movement."""
    if config.representation == "fixed_dt":
        return config
    return CanonicalConfig("fixed_dt", max(MINIMUM_STEPS, *(int(side.length.max()) for side in sides if len(side))))


def _chosen(count: int, n: int, seed: int) -> Int[Tensor, "M"]:
    """Return all rows for n=0, else n of them by the seed, chosen as a training run chooses its validation rows."""
    require(n <= count, "`n <= usable movements`", f"n={n} and {count} movements", "ask for fewer, or n=0 for all")
    order = torch.randperm(count, generator=generator(seed, "validation rows"))
    return order[: n or count].sort().values


def _counted(*dropped: Mapping[str, int]) -> dict[str, int]:
    total = sum((Counter(part) for part in dropped), Counter[str]())
    return {reason: count for reason, count in total.items() if count}
