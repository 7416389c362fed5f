"""Fetch movements of the service once, before a training, under the conditions of the training users.

Movements that cannot be brought into canonical form are replaced by others. All are of one champion, whose hash is
stored with them, even if another one is promoted meanwhile; with a hardness, all are scored by one detector. Temporary
failures are retried; if the service stays unavailable, nothing is written.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

from platform.core.negatives_config import NegativesConfig
from serve.client import HardNegatives, SampleOptions, Samples, joined
from serve.patience import ServiceError
from trainables.core.config import require
from trainables.core.derived_seeds import derive
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, Movements, decode, usable, with_deltas
from trainables.data.splits.loading import load_splits
from trainables.detector.dataset.mixture import conditions_for
from trainables.detector.dataset.negatives import make, others
from trainables.detector.dataset.served_negatives import NotServedError, ServedMovements, write_served
from trainables.generation.conditions import Conditions
from trainables.training.checkpoint_record import CheckpointError


def fetch_to_folder(config: NegativesConfig) -> int:
    """Fetch the movements, write them, print their champion; returns the exit code."""
    console, folder = Console(), Path(config.out_dir).expanduser().resolve()
    if folder.exists():
        raise CheckpointError(f"{folder}: exists already; choose another out_dir, since nothing is overwritten")
    client = HardNegatives(config.url, timeout_s=config.timeout_s)
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("fetching", total=config.n)
        try:
            fetched = fetch(client, config, lambda n: progress.advance(bar, n))
        except ServiceError as error:
            raise NotServedError(error.line) from None
    write_served(fetched, folder)
    console.print(
        f"{folder}: {len(fetched.canonical)} movements of {fetched.model} ({fetched.model_sha256[:12]}), "
        f"{fetched.refused} without a canonical form replaced",
        highlight=False,
        soft_wrap=True,
    )
    return 0


def fetch(client: HardNegatives, config: NegativesConfig, advance: Callable[[int], object]) -> ServedMovements:
    """Return `n` movements of one champion; unusable ones are replaced, in `ROUNDS` rounds at most.

    Args:
        advance: Called with the number of movements of each chunk.

    Raises:
        ServiceError: the service refuses, or does not respond.
        ShortageError: too many cannot be used.
    """
    form, rounds, splits = config.data.canonical, list[Samples](), load_splits(config.data)
    like = conditions_for(splits["train"], config.n, generator(config.seed, "served"))
    requested, left = Conditions(like.condition(), like.angle.clone()), torch.arange(len(like))

    def of_champion(like: Canonical, attempt: int) -> Movements:
        nonlocal left
        options = _options(config, like, attempt)
        if rounds:
            options |= {"model": rounds[0].model, "detector": rounds[0].detector}
        rounds.append(joined([*_counted(client.stream(len(like), **options), advance)]))
        placed = _placed(rounds[-1], like, config)
        requested.raw[left], requested.angle[left] = rounds[-1].condition.double(), placed.angle.double()
        movements = decode(placed, form)
        left = left[others(usable(movements, form)[0], len(left))]  # these are requested again
        return movements

    canonical, refused = make("served", of_champion, like, form)
    request = {name: getattr(config, name) for name in ("seed", "steps", "candidates", "source", "hardness")}
    if config.hardness is not None:
        request |= {"detector": rounds[0].detector, "looked_through": sum(int(each.number[-1]) + 1 for each in rounds)}
    return ServedMovements(
        canonical, form, rounds[0].model, rounds[0].weights_sha256, request, refused, requested, splits.sha256
    )


def _counted(chunks: Iterable[Samples], advance: Callable[[int], object]) -> Iterator[Samples]:
    for chunk in chunks:
        advance(len(chunk))
        yield chunk


def _options(config: NegativesConfig, like: Canonical, attempt: int) -> SampleOptions:
    """Return the options of a request; with a hardness the service samples the conditions itself."""
    seed = derive(config.seed, "served", attempt) >> 10  # a whole number that JSON readers keep
    options: SampleOptions = {"seq_len": config.data.canonical.sequence_length, "seed": seed}
    if config.steps is not None:
        options["steps"] = config.steps
    if config.candidates is not None:
        options["candidates"] = config.candidates
    if config.source is not None:
        options["source"] = config.source
    if config.hardness is not None:
        return {**options, "hardness": (config.hardness[0], config.hardness[1])}
    return {**options, "conditions": like.condition().tolist()}


def _placed(samples: Samples, like: Canonical, config: NegativesConfig) -> Canonical:
    """Return the movements under the conditions that they were sampled for.

    Raises:
        ConfigError: their steps are not those of the configured form.
    """
    form, frame = config.data.canonical, like
    if config.hardness is not None:
        frame = Conditions(samples.condition, samples.angle).frame(form, ("served",) * len(samples))
    steps = frame.mask.sum(dim=1)
    same = samples.deltas.shape == frame.deltas.shape and torch.equal(samples.length.long(), steps)
    require(same, "the canonical form of the champion to be that of `data.canonical`", f"{samples.model} and {form}")
    return with_deltas(frame, samples.deltas.double())
