"""Sources of negatives: scripted bots, samples of generators, movements of an agent, and samples of the service.

Scripted bots move differently in every pass. Generators do not: a pass of the default training takes 3 s, and sampling
its 583 movements from a diffusion 9 s on the same core. They are sampled once, one movement per movement of the
training users and the same for all seeds, and each pass takes those of other movements. So are the movements of an
agent. Served movements are a folder, from which each pass samples.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import chain
from pathlib import Path

import torch
from jaxtyping import Int
from torch import Tensor

from trainables.core.config import require
from trainables.core.derived_seeds import derive
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, Movements, decode
from trainables.data.config import CanonicalConfig
from trainables.detector.bots import FAMILIES
from trainables.detector.config import NegativesConfig
from trainables.detector.dataset.agent_bots import AGENT, one_for_each
from trainables.detector.dataset.negatives import Negatives, ShortageError, in_order, labelled, make, of_style
from trainables.detector.dataset.served_negatives import read_served
from trainables.diffusion.api import Generator, load_generator
from trainables.gan.api import GanGenerator, load_gan
from trainables.physical.api import PhysicalGenerator, load_physical
from trainables.training.checkpoint import CheckpointError, load_record

POOLS = 32  # in memory: of four models, each human movement being a condition at most `alpha` + 1 times
LOADERS: dict[str, Callable[..., Generator | GanGenerator | PhysicalGenerator]] = {
    "gan": load_gan,
    "diffusion": load_generator,
    "physical": load_physical,
}
"""Kind of a generator -> loader of its checkpoints."""
Sampler = Callable[[Path, CanonicalConfig, Canonical, int], Negatives]
"""(checkpoint, form, humans, number of the pool) -> one movement per human movement, the same in every process."""
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
    """Return movements of a model's checkpoint; k equal rows are taken from k pools, whatever the seed.

    Raises:
        CheckpointError: The checkpoint cannot be read, or is of another kind.
        ConfigError: Its movements are of another canonical form, or an agent's cannot be used.
    """
    weights, times = weights_of(kind, checkpoint), occurrences(rows)
    places = [(times == k).nonzero().squeeze(1) for k in range(int(times.max()) + 1 if len(rows) else 1)]
    pools = (pool(kind, checkpoint, weights, canonical, humans, number) for number in range(len(places)))
    return in_order([samples.take(rows[at]) for samples, at in zip(pools, places, strict=True)], places)


@lru_cache(maxsize=POOLS)
def pool(
    kind: str, checkpoint: Path, weights: str, canonical: CanonicalConfig, humans: Canonical, number: int
) -> Negatives:
    """Return a movement of a model per human movement, made once per process for the same `weights`."""
    return SAMPLERS[kind](checkpoint, canonical, humans, number)


def sampled(kind: str, checkpoint: Path, canonical: CanonicalConfig, humans: Canonical, number: int) -> Negatives:
    """Return a sample of a generator per human movement."""
    source = LOADERS[kind](checkpoint)
    require(
        source.canonical == canonical,
        "the canonical form of the generator to be the detector's",
        f"{source.canonical} and {canonical}",
    )

    def sample(rows: Canonical, attempt: int) -> Movements:
        return decode(source.sample_matching(rows, seed=derive(number, "fakes", attempt) >> 10), canonical)

    samples, refused = make(kind, sample, humans, canonical)
    return labelled(samples, kind, kind, weights_of(kind, checkpoint), refused)


SAMPLERS: dict[str, Sampler] = {**{kind: partial(sampled, kind) for kind in LOADERS}, AGENT: one_for_each}
"""Kind of a model -> what makes its movements."""


def weights_of(kind: str, checkpoint: Path) -> str:
    """Return the hash of a model's weights. Raises CheckpointError for no checkpoint, or one of another kind."""
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
    return labelled(stored.canonical.take(rows), "served", "served", stored.model_sha256)


def sources_of(config: NegativesConfig, canonical: CanonicalConfig) -> dict[str, Source]:
    """Return the sources with a positive share."""
    sources: dict[str, Source] = {
        "bots": every_pass(ScriptedBots(config.families, canonical)),
        "gan": partial(generated, "gan", Path(config.gan_checkpoint), canonical),
        "diffusion": partial(generated, "diffusion", Path(config.diffusion_checkpoint), canonical),
        "physical": partial(generated, "physical", Path(config.physical_checkpoint), canonical),
        "served": every_pass(partial(served, Path(config.served_folder), canonical)),
        AGENT: partial(generated, AGENT, Path(config.agent_checkpoint), canonical),
    }
    return {name: source for name, source in sources.items() if config.shares[name] > 0}
