"""Validate a critic: the same transitions and goals of held-out users in every epoch and trial, source by source.

The batches are drawn from the held-out movements of one source at a time, `batch_size` rows or, where there are fewer
movements, as many as there are. The baselines are scored on these very batches, once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.critic.api import Critic
from trainables.critic.buffer import Buffer, Transitions, filled
from trainables.critic.config import CriticConfig
from trainables.critic.episodes import episodes_of_split
from trainables.critic.evaluation.baselines import Extrapolation, best_extrapolation, distance, extrapolated
from trainables.critic.evaluation.goal_evaluation import GoalEvaluation, SourceScores
from trainables.critic.goals import negative_mask
from trainables.critic.losses import counted, credit
from trainables.data.canonical import Canonical

LEAST = 2  # movements of a source: of one alone every f is right


@dataclass(frozen=True, eq=False)
class SourceBatches:
    """Batches of one source, and the scores of everything but the critic.

    Attributes:
        negatives: Which goals of a batch count as negatives of which rows.
        scores: With zeros in place of the critic's.
        extrapolation: Chosen on the training movements of the source; of all sources where it has none.
    """

    batches: tuple[Transitions, ...]
    negatives: tuple[Bool[Tensor, "_ _"], ...]
    scores: SourceScores
    extrapolation: Extrapolation


@dataclass(frozen=True, eq=False)
class Validator:
    """Batches by source; made by `fit`, called with a critic."""

    by_source: Mapping[str, SourceBatches]

    @classmethod
    def fit(cls, held_out: Canonical, training: Canonical, config: CriticConfig) -> "Validator":
        """Draw the batches of each source of `held_out`, and choose its extrapolation on `training`.

        Raises:
            ConfigError: A source has one movement alone.
        """
        return cls({source: _batches(source, held_out, training, config) for source in sorted(set(held_out.source))})

    def __call__(self, critic: Critic) -> GoalEvaluation:
        """Return the scores of a critic beside those of the baselines."""
        return GoalEvaluation({source: _scored(batches, critic) for source, batches in self.by_source.items()})


def _batches(source: str, held_out: Canonical, training: Canonical, config: CriticConfig) -> SourceBatches:
    own, trained = _of_source(held_out, source), _of_source(training, source)
    trained = trained if len(trained) >= LEAST else training
    drawn, negatives = _drawn(own, config, source, "held out")
    extrapolation = best_extrapolation(*_drawn(trained, config, source, "training"))
    pairs = [*zip(drawn, negatives, strict=True)]
    candidates = torch.cat([negative.sum(dim=1) for negative in negatives]).double() + 1
    rows = len(drawn[0].state)
    nothing = torch.zeros(len(candidates), dtype=torch.float64)
    scores = SourceScores(
        owners=tuple(own.group[number] for one in drawn for number in one.trajectory.tolist()),
        critic=nothing,
        distance=torch.cat([credit(distance(one), negative) for one, negative in pairs]),
        extrapolation=torch.cat([credit(extrapolated(one, extrapolation), negative) for one, negative in pairs]),
        chance=1 / candidates,
        loss=nothing,
        masked=(rows - candidates) / (rows - 1),
        batch_size=rows,
    )
    return SourceBatches(drawn, negatives, scores, extrapolation)


def _drawn(
    movements: Canonical, config: CriticConfig, *stream: str
) -> tuple[tuple[Transitions, ...], tuple[Tensor, ...]]:
    """Return batches of movements of one source, and their masks."""
    buffer, asked = filled(episodes_of_split(movements, config.data.canonical)), config.evaluation
    found = buffer.found.trajectories
    require(found >= LEAST, f"`movements of a source >= {LEAST}`", f"{found} of {stream[0]}", "give more recordings")
    batches = tuple(_stream(buffer, min(asked.batch_size, found), config, *stream))
    return batches, tuple(negative_mask(one.trajectory, one.goal, config.tolerance_px) for one in batches)


def _stream(buffer: Buffer, rows: int, config: CriticConfig, *stream: str) -> Iterator[Transitions]:
    random = generator(config.evaluation.seed, "goals", *stream)
    for _ in range(config.evaluation.batches):
        yield buffer.sample(rows, config.evaluation.gamma, random, goal_velocity=config.goal_velocity)


def _of_source(movements: Canonical, source: str) -> Canonical:
    rows = [row for row, its in enumerate(movements.source) if its == source]
    return movements.take(torch.tensor(rows, dtype=torch.int64))


def _scored(of: SourceBatches, critic: Critic) -> SourceScores:
    credits, losses = [], []
    for drawn, negative in zip(of.batches, of.negatives, strict=True):
        f = critic(drawn.state, drawn.action, drawn.goal)
        credits.append(credit(f, negative))
        losses.append(_infonce(f, negative))
    return replace(of.scores, critic=torch.cat(credits), loss=torch.cat(losses))


def _infonce(f: Float[Tensor, "B B"], negative: Bool[Tensor, "B B"]) -> Float[Tensor, "B"]:
    """Return the InfoNCE of each row, in float64."""
    f = f.double()
    return counted(f, negative).logsumexp(dim=1) - f.diagonal()
