"""Both models of a co-training with their data: what samples, what is trained on, and how they are evaluated."""

import time
from dataclasses import dataclass, field
from typing import Any

import torch

from trainables.augmentation.training_set import TrainingSet, training_set_with
from trainables.core.config import require
from trainables.cotraining.config import CotrainingConfig
from trainables.cotraining.decision import SideEvaluation
from trainables.cotraining.exchange import Exchange, Sampler, exchanged, exchanged_count
from trainables.cotraining.state import State
from trainables.data.dataset import SequenceDataset
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.objective import Objective
from trainables.diffusion.validation import sampler_of, validation_loss
from trainables.eval.generation.validator import Validator
from trainables.generation.conditions import conditions_of
from trainables.physical.api import PhysicalGenerator
from trainables.physical.population import Population
from trainables.physical.state import FittedMovements
from trainables.training import metric_names as names
from trainables.training.worker import Worker


@dataclass(frozen=True, eq=False)
class MixedSet:
    """The training set of the diffusion in one cycle.

    Attributes:
        account: Counts and balance.
    """

    dataset: TrainingSet
    account: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Models:
    """What a run does not change: data, references, and the training set of the present cycle.

    Attributes:
        fitted: The real movements that the physical model is fitted to.
        sets: Cycle -> training set of the diffusion, of the present cycle alone.
    """

    config: CotrainingConfig
    of_diffusion: DiffusionConfig
    splits: DataSplits
    fitted: FittedMovements
    objective: Objective
    validator: Validator
    worker: Worker
    sets: dict[int, MixedSet] = field(default_factory=dict)

    @classmethod
    def of(cls, config: CotrainingConfig, worker: Worker) -> "Models":
        """Load the data and fit the references.

        Raises:
            ConfigError: Wrong data, an alpha that rounds to no movement, or one validation user, who shows no noise.
        """
        splits = load_splits(config.data)
        validator = Validator.fit(splits["validation"], splits["train"], config.data.canonical, config.evaluation)
        return cls.on(config, splits, validator, worker)

    @classmethod
    def on(cls, config: CotrainingConfig, splits: DataSplits, validator: Validator, worker: Worker) -> "Models":
        """Return the models of splits that are not those of `config.data`, such as a part of its training split.

        Args:
            validator: Of the validation users, over whom cycles are decided.

        Raises:
            ConfigError: An alpha that rounds to no movement, or one validation user, who shows no noise.
        """
        splits = splits.with_ends(config.of_diffusion().motion_ends)
        fitted = FittedMovements.of(splits["train"], config.of_physical())
        for real in (splits["train"], fitted.movements):
            exchanged_count(config, len(real))
        users = len(set(validator.held_out.group))
        law = "`validation users >= 2`, over whom cycles are decided"
        require(users >= 2 or not config.exchanges, law, str(users), "read more recordings, or set alpha=0")
        objective = Objective.of(config.diffusion)
        return cls(config, config.of_diffusion(), splits, fitted, objective, validator, worker)

    def diffusion(self, state: State) -> Sampler:
        """Return the diffusion as it is."""
        return sampler_of(state.diffusion, self.of_diffusion, self.splits, self.objective)

    def physical(self, state: State) -> Sampler:
        """Return the physical model as it is.

        Raises:
            ConfigError: Strokes fit fewer than two movements.
        """
        population = Population.of(self.fitted.form, self.config.population, state.components)
        known = conditions_of(self.splits["train"])
        return PhysicalGenerator(population, self.splits.statistics, self.config.data.canonical, known)

    def sampler(self, state: State, side: str) -> Sampler:
        """Return a model by its name."""
        return self.diffusion(state) if side == "diffusion" else self.physical(state)

    def training_set(self, cycle: int, state: State | None = None) -> MixedSet:
        """Return the training set of the diffusion in a cycle; without generated movements in cycle 0.

        Raises:
            BalanceError: Another number of generated movements than the configuration says.
        """
        if cycle not in self.sets:
            real, config = self.splits["train"], self.config
            exchange, alpha, weight = Exchange(real.take(torch.arange(0))), 0.0, 0.0
            if cycle and state is not None:
                count, alpha, weight = exchanged_count(config, len(real)), config.alpha, config.weight
                exchange = exchanged(self.physical(state), "physical", real, count, config, cycle)
            generated, variations = exchange.movements, config.variations
            made = training_set_with(self.splits, config.data.canonical, generated, alpha, variations, weight)
            self.sets.clear()
            self.sets[cycle] = MixedSet(made, exchange.account(made.balance, len(real)))
        return self.sets[cycle]

    def evaluate(self, state: State, side: str) -> dict[str, float]:
        """Evaluate a model with the same randomness in every epoch; the first worker alone does."""
        if self.worker.rank:
            return {}
        began, extra, held_out = time.perf_counter(), {}, self.validator.held_out
        if side == "diffusion":
            dataset, device = SequenceDataset(held_out, self.splits.statistics), self.worker.device
            extra[names.VAL_LOSS] = validation_loss(state.diffusion, self.of_diffusion, dataset, self.objective, device)
        network = state.diffusion.model if side == "diffusion" else state.components
        extra[names.PARAMETERS] = float(sum(part.numel() for part in network.parameters()))
        fake = self.sampler(state, side).sample_matching(held_out, seed=self.config.evaluation.sampling_seed)
        state.evaluations[side] = SideEvaluation.of(self.validator, fake, extra)
        return {names.VAL_SECONDS: time.perf_counter() - began}
