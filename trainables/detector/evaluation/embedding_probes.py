"""What the two embeddings of a detector tell of task and embodiment: four fresh linear probes on people it never met.

    task        <- task embedding         wanted: told
    embodiment  <- embodiment embedding   wanted: told
    task        <- embodiment embedding   wanted: not told
    embodiment  <- task embedding         wanted: not told

A label counts as told if its probe knows, beyond what guessing would, at least half of what there is to know, and as
not told if the interval of the probe's balanced accuracy holds the chance level (see `eval.linear_probe`). What lies
between is neither. The probes read the directions of the embeddings, which are what the losses compare, of movements
of people and as many bots of all styles under the same conditions, over folds by person.
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
from trainables.detector.dataset.negatives import SimpleBots
from trainables.detector.evaluation.tables import Sheet, interval
from trainables.eval.detection.linear_probe import ProbeResult, linear_probe
from trainables.eval.intervals.config import BootstrapConfig

TASK, EMBODIMENT = "task", "embodiment"
PAIRS = ((TASK, TASK), (EMBODIMENT, EMBODIMENT), (TASK, EMBODIMENT), (EMBODIMENT, TASK))  # label <- embedding
TOLD = 0.5  # of the way from chance to certainty

Embeddings = dict[str, Float[Tensor, "N E"]]
"""`TASK` and `EMBODIMENT` -> the embedding of each movement."""


@dataclass(frozen=True)
class EmbeddingProbe:
    """How well a label can be read from an embedding.

    Attributes:
        label, embedding: `TASK` or `EMBODIMENT`.
    """

    label: str
    embedding: str
    found: ProbeResult

    @property
    def is_own(self) -> bool:
        """Whether it is the embedding of this very label."""
        return self.label == self.embedding

    @property
    def is_as_wanted(self) -> bool:
        """Told, of an embedding's own label; not told, of the other one."""
        return self._share >= TOLD if self.is_own else self.found.is_near_chance

    @property
    def finding(self) -> str:
        """One sentence."""
        accuracy = f"balanced accuracy {interval(self.found.accuracy)}, chance {self.found.chance:.3f}"
        how = "as wanted" if self.is_as_wanted else "NOT as wanted"
        return f"{how}: the {self.embedding} embedding {self._tells} the {self.label} ({accuracy})"

    @property
    def _share(self) -> float:
        """How much the probe knows of what guessing does not: 0 at chance, 1 if it is always right."""
        return (self.found.accuracy.value - self.found.chance) / (1 - self.found.chance)

    @property
    def _tells(self) -> str:
        if self.found.is_near_chance:
            return "does not tell"
        return "tells" if self._share >= TOLD else f"tells a part ({100 * self._share:.0f} %) of"


@dataclass(frozen=True)
class EmbeddingProbes:
    """The four probes, of as many people's movements and bots' ones."""

    people: int
    bots: int
    groups: int
    probes: tuple[EmbeddingProbe, ...]

    @property
    def findings(self) -> tuple[str, ...]:
        """A sentence on each probe."""
        return tuple(probe.finding for probe in self.probes)

    def to_json(self) -> dict[str, Any]:
        """A plain mapping, with what each probe means."""
        told = [
            {**plain(p), "chance": p.found.chance, "is_as_wanted": p.is_as_wanted, "finding": p.finding}
            for p in self.probes
        ]
        return {**plain(self), "probes": told}

    def sheet(self) -> Sheet:
        """A row per probe."""
        lines = [
            (
                *(f"{p.label} from {p.embedding} embedding", interval(p.found.accuracy), f"{p.found.chance:.3f}"),
                *("high" if p.is_own else "chance", "yes" if p.is_as_wanted else "NO"),
                *(str(len(p.found.recall)), str(p.found.n), str(sum(p.found.left_out.values()))),
            )
            for p in self.probes
        ]
        title = (
            f"Probes of the embeddings ({self.people} people's movements, {self.bots} of bots, {self.groups} people)"
        )
        columns = ("probe", "balanced accuracy", "chance", "wanted", "so", "classes", "n", "left out as rare")
        return Sheet(title, columns, tuple(lines))


def probe_embeddings(
    embed: Callable[[Canonical], Embeddings],
    people: Canonical,
    form: CanonicalConfig,
    config: BootstrapConfig,
    seed: int,
    folds: int = 5,
) -> EmbeddingProbes:
    """Probe embeddings of these people and of as many bots, evenly over all styles, under their conditions.

    Raises:
        ConfigError: fewer people than folds, or fewer than two tasks that enough of them did.
    """
    bots = SimpleBots(tuple(FAMILIES), form)(people, seed)
    movements = concatenate(people, bots.canonical)
    styles = (HUMAN,) * len(people) + bots.style
    labels = {TASK: task_names(movements), EMBODIMENT: embodiment_names(styles)}
    embeddings = {name: F.normalize(values.double(), dim=1) for name, values in embed(movements).items()}

    def probe(label: str, embedding: str) -> EmbeddingProbe:
        random, asked = generator(seed, "probes", label, embedding), (embeddings[embedding], labels[label])
        found = linear_probe(*asked, movements.group, random, folds=folds, seed=seed, config=config)
        return EmbeddingProbe(label, embedding, found)

    probes = tuple(probe(label, embedding) for label, embedding in PAIRS)
    return EmbeddingProbes(len(people), len(bots), len(set(people.group)), probes)


def embeddings_of(detector: Detector) -> Callable[[Canonical], Embeddings]:
    """A detector's embeddings of movements."""

    def embed(movements: Canonical) -> Embeddings:
        outputs = detector.outputs(detector.scaling.inputs(movements))
        return {TASK: outputs.task, EMBODIMENT: outputs.embodiment}

    return embed
