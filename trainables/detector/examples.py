"""What the detector is trained on: people and bots as inputs with their labels, and the checked account of both.

An item is a pair (inputs, targets). Under the count-based balance there is nothing else in it: a weight beside the
count would scale the generated part twice. Under the weight-based one it is a triple whose last part is the weight.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from trainables.data.balance import generated_count, validate_augmentation_balance, validate_weights
from trainables.data.canonical import MEASURED_CONDITIONS, Canonical, concatenate
from trainables.data.dataset import DataParts, Statistics
from trainables.data.labels import HUMAN, LabelMaps, task_names
from trainables.detector.bots import BOTS
from trainables.detector.config import SOURCES, DetectorConfig
from trainables.detector.negatives import Negatives, mixture
from trainables.eval.features import NEUROMOTOR_FEATURES, neuromotor_features
from trainables.seeding import derive

COLUMNS = (*NEUROMOTOR_FEATURES, *MEASURED_CONDITIONS)


class Inputs(NamedTuple):
    """What the network reads of each movement."""

    z: Float[Tensor, "B T C"]
    mask: Bool[Tensor, "B T"]
    features: Float[Tensor, "B F"]

    def take(self, rows: Int[Tensor, "M"]) -> "Inputs":
        """The movements at `rows` without steps that are padding in all of them; masks are prefixes."""
        mask = self.mask[rows]
        longest = int(mask.sum(dim=1).max())
        return Inputs(self.z[rows, :longest], mask[:, :longest], self.features[rows])


class Targets(NamedTuple):
    """What the network is to say: 1 for a bot, and the labels of the two embeddings in their maps."""

    bot: Float[Tensor, "B"]
    task: Int[Tensor, "B"]
    embodiment: Int[Tensor, "B"]


Item = tuple[Inputs, Targets] | tuple[Inputs, Targets, Float[Tensor, "B"]]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Standardisation of what the network reads, with the statistics of the training people.

    Attributes:
        mean, std: Of the columns `COLUMNS`.
    """

    steps: Statistics
    mean: Float[Tensor, "F"]
    std: Float[Tensor, "F"]

    @classmethod
    def fit(cls, parts: DataParts) -> "Scaling":
        """Of the training part; a column that does not vary there counts as it is."""
        table = columns(parts["train"])
        std = table.std(dim=0)
        return cls(parts.statistics, table.mean(dim=0), torch.where(std > 0, std, 1.0))

    def inputs(self, canonical: Canonical) -> Inputs:
        """Standardised steps, and asinh of the standardised columns: bots may lie hundreds of deviations off."""
        table = torch.asinh((columns(canonical) - self.mean) / self.std)
        return Inputs(self.steps.normalise(canonical), canonical.mask, table.float())


def columns(canonical: Canonical) -> Float[Tensor, "N F"]:
    """Columns `COLUMNS` of movements as they are, float64."""
    measured = canonical.measured_condition()
    return torch.cat([neuromotor_features(canonical.deltas[..., :2], canonical.mask), measured], dim=1)


class DetectorDataset(Dataset[Item]):
    """People and bots in memory.

    Args:
        weight: Of each movement in the loss; None where bots are balanced by their count.
    """

    def __init__(self, inputs: Inputs, targets: Targets, weight: Float[Tensor, "N"] | None = None) -> None:
        self.inputs, self.targets, self.weight = inputs, targets, weight

    def __len__(self) -> int:
        return len(self.targets.bot)

    def __getitem__(self, rows: Int[Tensor, "B"]) -> Item:
        pair = (self.inputs.take(rows), Targets(*(part[rows] for part in self.targets)))
        return pair if self.weight is None else (*pair, self.weight[rows])


def label_maps(parts: DataParts) -> LabelMaps:
    """The maps of a data set, whole: tasks of all its parts, people, and every source of bots."""
    tasks = [name for part in parts.parts.values() for name in task_names(part)]
    return LabelMaps.of(tasks, [HUMAN, *BOTS, *SOURCES[1:]])


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """The people of the training part, beside whom each pass sets other bots.

    Attributes:
        maps: Of the labels of every movement that there can be, made once from all parts and sources.
    """

    real: Canonical
    scaling: Scaling
    maps: LabelMaps
    config: DetectorConfig

    @property
    def count(self) -> int:
        """How many bots stand beside the people."""
        alpha = self.config.negatives.alpha
        return len(self.real) if alpha is None else generated_count(len(self.real), alpha)

    def negatives(self, number: int) -> Negatives:
        """The bots of pass `number`."""
        seed = derive(self.config.seed, "negatives", number)
        return mixture(self.real, self.count, self.config.negatives, self.config.data.canonical, seed)

    def dataset(self, negatives: Negatives) -> tuple[DetectorDataset, str]:
        """People and these bots, and one line on their balance.

        Raises:
            BalanceError: another number of bots, or other weights, than was asked for.
        """
        alpha, weight = self.config.negatives.alpha, self.config.negatives.weight
        movements = concatenate(self.real, negatives.canonical)
        labels = self.maps.label(task_names(movements), (HUMAN,) * len(self.real) + negatives.style)
        targets = Targets(labels.is_bot.float(), labels.task, labels.embodiment)
        weights = None if weight is None else torch.where(labels.is_bot, weight, 1.0)
        dataset = DetectorDataset(self.scaling.inputs(movements), targets, weights)
        if weights is not None and weight is not None:
            return dataset, validate_weights(len(self.real), len(negatives), weight, weights)
        item = dataset[torch.arange(1)]
        return dataset, validate_augmentation_balance(len(self.real), len(negatives), alpha or 0.0, item)
