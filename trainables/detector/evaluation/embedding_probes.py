"""Probe the two embeddings of a detector for task and embodiment: four new linear probes on held-out users.

    task        <- task embedding         expected: encoded
    embodiment  <- embodiment embedding   expected: encoded
    task        <- embodiment embedding   expected: not encoded
    embodiment  <- task embedding         expected: not encoded

A label counts as encoded if its probe reaches at least half of the way from chance to certainty, and as not encoded if
the interval of the probe's balanced accuracy contains the chance level (see `eval.detection.linear_probe`). Anything in
between is neither. The probes read the directions of the embeddings, which are what the losses compare, of movements of
users and as many bots of all styles under the same conditions, over folds by user.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from trainables.core.config import plain
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, concatenate
from trainables.data.config import CanonicalConfig
from trainables.data.labels import HUMAN, embodiment_names, task_names
from trainables.detector.api import Detector
from trainables.detector.bots import FAMILIES
from trainables.detector.dataset.negative_sources import ScriptedBots
from trainables.detector.evaluation.tables import Table, interval
from trainables.eval.detection.linear_probe import ProbeResult, linear_probe
from trainables.eval.intervals.config import BootstrapConfig

TASK, EMBODIMENT = "task", "embodiment"
PAIRS = ((TASK, TASK), (EMBODIMENT, EMBODIMENT), (TASK, EMBODIMENT), (EMBODIMENT, TASK))  # label <- embedding
ENCODED = 0.5  # of the way from chance to certainty

Embeddings = dict[str, Float[Tensor, "N E"]]
"""`TASK` and `EMBODIMENT` -> the embedding of each movement."""


@dataclass(frozen=True)
class EmbeddingProbe:
    """Result of a linear probe of a label from an embedding.

    Attributes:
        label, embedding: `TASK` or `EMBODIMENT`.
    """

    label: str
    embedding: str
    result: ProbeResult

    @property
    def is_own(self) -> bool:
        """Whether the embedding is that of the label."""
        return self.label == self.embedding

    @property
    def is_as_expected(self) -> bool:
        """Whether an own label is encoded, or another label not encoded."""
        return self._share >= ENCODED if self.is_own else self.result.is_near_chance

    @property
    def finding(self) -> str:
        """One sentence."""
        accuracy = f"balanced accuracy {interval(self.result.accuracy)}, chance {self.result.chance:.3f}"
        how = "as expected" if self.is_as_expected else "NOT as expected"
        return f"{how}: the {self.embedding} embedding {self._verb} the {self.label} ({accuracy})"

    @property
    def _share(self) -> float:
        """Accuracy above chance: 0 at chance, 1 if the probe is always right."""
        return (self.result.accuracy.value - self.result.chance) / (1 - self.result.chance)

    @property
    def _verb(self) -> str:
        if self.result.is_near_chance:
            return "does not encode"
        return "encodes" if self._share >= ENCODED else f"partly ({100 * self._share:.0f} %) encodes"


@dataclass(frozen=True)
class EmbeddingProbes:
    """Results of the four probes, on as many movements of humans and bots.

    Attributes:
        humans, bots: Number of movements.
        users: Number of users who made the human movements.
    """

    humans: int
    bots: int
    users: int
    probes: tuple[EmbeddingProbe, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """A sentence per probe."""
        return tuple(probe.finding for probe in self.probes)

    def to_json(self) -> dict[str, Any]:
        """Return a plain mapping, with the finding of each probe."""
        probes = [
            {**plain(p), "chance": p.result.chance, "is_as_expected": p.is_as_expected, "finding": p.finding}
            for p in self.probes
        ]
        return {**plain(self), "probes": probes}

    def table(self) -> Table:
        """Return a table with a row per probe."""
        lines = [
            (
                *(f"{p.label} from {p.embedding} embedding", interval(p.result.accuracy), f"{p.result.chance:.3f}"),
                *("high" if p.is_own else "chance", "yes" if p.is_as_expected else "NO"),
                *(str(len(p.result.recall)), str(p.result.n), str(sum(p.result.left_out.values()))),
            )
            for p in self.probes
        ]
        title = f"Embedding probes ({self.humans} movements of {self.users} users, {self.bots} movements of bots)"
        columns = ("probe", "balanced accuracy", "chance", "expected", "as expected", "classes", "n", "rare, left out")
        return Table(title, columns, tuple(lines))


def probe_embeddings(
    embed: Callable[[Canonical], Embeddings],
    humans: Canonical,
    form: CanonicalConfig,
    config: BootstrapConfig,
    seed: int,
    folds: int = 5,
) -> EmbeddingProbes:
    """Probe the embeddings of these users' movements and of as many bots of all styles under their conditions.

    Raises:
        ConfigError: Fewer users than folds, or fewer than two tasks that enough of them did.
    """
    bots = ScriptedBots(tuple(FAMILIES), form)(humans, seed)
    movements = concatenate(humans, bots.canonical)
    styles = (HUMAN,) * len(humans) + bots.style
    labels = {TASK: task_names(movements), EMBODIMENT: embodiment_names(styles)}
    embeddings = {name: F.normalize(values.double(), dim=1) for name, values in embed(movements).items()}

    def probe(label: str, embedding: str) -> EmbeddingProbe:
        random, inputs = generator(seed, "probes", label, embedding), (embeddings[embedding], labels[label])
        result = linear_probe(*inputs, movements.group, random, folds=folds, seed=seed, config=config)
        return EmbeddingProbe(label, embedding, result)

    probes = tuple(probe(label, embedding) for label, embedding in PAIRS)
    return EmbeddingProbes(len(humans), len(bots), len(set(humans.group)), probes)


def embeddings_of(detector: Detector) -> Callable[[Canonical], Embeddings]:
    """Return the function that computes a detector's embeddings of movements."""

    def embed(movements: Canonical) -> Embeddings:
        outputs = detector.outputs(detector.scaling.inputs(movements))
        return {TASK: outputs.task, EMBODIMENT: outputs.embodiment}

    return embed
