"""Training set of a detector: inputs and labels of users and bots, and the check of their balance.

An item is a pair (inputs, targets). With the balance by count it has no weight: a weight beside the count would scale
the generated part twice. With the balance by weight it is a triple whose last part is the weight.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.utils.data import Dataset

from trainables.core.derived_seeds import derive
from trainables.data.balance import generated_count, validate_augmentation_balance, validate_weights
from trainables.data.canonical import Canonical, concatenate
from trainables.data.config import FRAME_NAMES, MEASURED_CONDITIONS
from trainables.data.labels import HUMAN, LabelMaps, every_task, task_names
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.statistics import Statistics, fit_statistics
from trainables.detector.bots import BOTS
from trainables.detector.config import SOURCES, DetectorConfig
from trainables.detector.dataset.goal_consistency import GoalConsistency
from trainables.detector.dataset.mixture import mixture
from trainables.detector.dataset.negatives import Negatives
from trainables.eval.features.kinematic import FEATURES, movement_features

COLUMNS = (*FEATURES, *MEASURED_CONDITIONS)
WIDTH = len(COLUMNS) + 1  # number of features without goal consistency: the last one is the distance from users
RIDGE = 1e-2  # added to the covariance of standardised columns, some of which are nearly collinear


class Inputs(NamedTuple):
    """Inputs of the network for each movement; `direction` is that of the target, cosine and sine."""

    z: Float[Tensor, "B T C"]
    mask: Bool[Tensor, "B T"]
    features: Float[Tensor, "B F"]
    direction: Float[Tensor, "B 2"]

    def take(self, rows: Int[Tensor, "M"]) -> "Inputs":
        """Return the movements at `rows` without steps that are padding in all of them; masks are prefixes."""
        mask = self.mask[rows]
        longest = int(mask.sum(dim=1).max())
        return Inputs(self.z[rows, :longest], mask[:, :longest], self.features[rows], self.direction[rows])


class Targets(NamedTuple):
    """Targets of the network: 1 for a bot, and the labels of the two embeddings in their maps."""

    bot: Float[Tensor, "B"]
    task: Int[Tensor, "B"]
    embodiment: Int[Tensor, "B"]


Item = tuple[Inputs, Targets] | tuple[Inputs, Targets, Float[Tensor, "_"]]


@dataclass(frozen=True, eq=False)
class Scaling:
    """Standardisation of the inputs, with the statistics of the training users.

    Attributes:
        mean, std: Statistics of the columns `COLUMNS`, and of those of goal consistency.
        whitening: W with W W^T the inverse of their covariance, so that (x - mean) W is white.
        goals: What measures goal consistency; None: it is no input.
    """

    steps: Statistics
    mean: Float[Tensor, "F"]
    std: Float[Tensor, "F"]
    whitening: Float[Tensor, "F F"]
    goals: GoalConsistency | None = None

    @classmethod
    def fit(cls, splits: DataSplits, goals: GoalConsistency | None = None) -> "Scaling":
        """Fit on the training split; a column that does not vary there is not scaled."""
        table = columns(splits["train"], goals)
        std = table.std(dim=0)
        std = torch.where(std > 0, std, 1.0)
        covariance = (table / std).T.cov() + RIDGE * torch.eye(table.shape[1], dtype=table.dtype)
        steps = splits.statistics
        if steps.frame != FRAME_NAMES[0]:  # bots and users are compared along their chords, whatever a generator sees
            steps = fit_statistics(splits["train"], float(steps.scale_px))
        return cls(steps, table.mean(dim=0), std, torch.linalg.cholesky(covariance.inverse()), goals)

    @property
    def width(self) -> int:
        """Number of features that the network reads: `WIDTH`, and more with goal consistency."""
        return len(self.mean) + 1

    def inputs(self, canonical: Canonical) -> Inputs:
        """Return standardised steps and features, and the direction on the screen, which the canonical form removes."""
        features = self.features(columns(canonical, self.goals))
        return Inputs(self.steps.normalise(canonical), canonical.mask, features, direction(canonical.angle).float())

    def features(self, columns: Float[Tensor, "N F"]) -> Float[Tensor, "N W"]:
        """Return asinh of the standardised columns, and their distance from users; `width` columns in float32.

        Bots may lie hundreds of deviations off, where a network is undetermined: asinh and the logarithm of the
        Mahalanobis distance compress the range.
        """
        z = (columns - self.mean) / self.std
        distance = (z @ self.whitening).square().mean(dim=1, keepdim=True).log1p()
        return torch.cat([torch.asinh(z.float()), distance.float()], dim=1)


def direction(angle: Float[Tensor, "N"]) -> Float[Tensor, "N 2"]:
    """Return cosine and sine of the angles."""
    return torch.stack([angle.cos(), angle.sin()], dim=1)


def columns(canonical: Canonical, goals: GoalConsistency | None = None) -> Float[Tensor, "N F"]:
    """Return the columns `COLUMNS` of movements before scaling, then those of goal consistency, float64."""
    parts = [movement_features(canonical.deltas[..., :2], canonical.mask), canonical.measured_condition()]
    return torch.cat(parts if goals is None else [*parts, goals.columns(canonical)], dim=1)


class DetectorDataset(Dataset[Item]):
    """Users and bots in memory.

    Args:
        weight: Weight of each movement in the loss; None for the balance by count.
    """

    def __init__(self, inputs: Inputs, targets: Targets, weight: Float[Tensor, "N"] | None = None) -> None:
        self.inputs, self.targets, self.weight = inputs, targets, weight

    def __len__(self) -> int:
        return len(self.targets.bot)

    def __getitem__(self, rows: Int[Tensor, "B"]) -> Item:
        pair = (self.inputs.take(rows), Targets(*(part[rows] for part in self.targets)))
        return pair if self.weight is None else (*pair, self.weight[rows])


def label_maps() -> LabelMaps:
    """Return the label maps of every data set: all possible tasks, humans, and every source of bots."""
    return LabelMaps.of(every_task(), [HUMAN, *BOTS, *SOURCES[1:]])


@dataclass(frozen=True, eq=False)
class TrainingSet:
    """Users of the training split, with other bots in each pass.

    Attributes:
        maps: Maps of all possible labels.
    """

    real: Canonical
    scaling: Scaling
    maps: LabelMaps
    config: DetectorConfig

    @property
    def count(self) -> int:
        """Number of bots in a pass."""
        alpha = self.config.negatives.alpha
        return len(self.real) if alpha is None else generated_count(len(self.real), alpha)

    @cached_property
    def first(self) -> Negatives:
        """The bots of pass 0, cached, since sampling a generator takes long."""
        return self._make(0)

    def negatives(self, number: int) -> Negatives:
        """Return the bots of pass `number`."""
        return self._make(number) if number else self.first

    def _make(self, number: int) -> Negatives:
        seed = derive(self.config.seed, "negatives", number)
        return mixture(self.real, self.count, self.config.negatives, self.config.data.canonical, seed)

    def account(self) -> dict[str, Any]:
        """Return their summary for a record: the label maps, and the bots and the balance of the first pass.

        Raises the errors of the sources of bots.
        """
        summary = {**self.first.account(), "balance": self.dataset(self.first)[1]}
        return {"labels": self.maps.to_json(), "negatives": summary}

    def dataset(self, negatives: Negatives) -> tuple[DetectorDataset, str]:
        """Return the data set of the users and these bots, and a line on their balance.

        Raises:
            BalanceError: The number of bots, or a weight, is not the configured one.
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
