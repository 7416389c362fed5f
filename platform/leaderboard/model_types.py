"""Functions by type of model: scores of real movements, plots of the best trial, and the timed call.

What is only named differently stands in the record of the type (`trainables.training.trainable.ModelType`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from platform.leaderboard.archive import VALIDATION
from platform.leaderboard.leaderboard import intervals
from platform.leaderboard.reference import Reference
from trainables.core.config import build
from trainables.critic.agent.api import load_agent
from trainables.critic.agent.evaluation.plots import plot_trajectories
from trainables.critic.agent.spec import AGENT_TYPE
from trainables.critic.api import load_critic
from trainables.critic.evaluation.plots import plot_value_maps
from trainables.critic.spec import CRITIC_TYPE
from trainables.data.canonical import Canonical, reobserve
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.data.users import effective_users
from trainables.detector.api import load_trained_detector
from trainables.detector.config import DetectorConfig
from trainables.detector.evaluation.plots import plot_overview
from trainables.detector.spec import DETECTOR
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.plots import plot_gallery, plot_overlays
from trainables.eval.generation.validator import Validator
from trainables.generation.model_type import GENERATOR
from trainables.model_evaluation.detector import scores_on
from trainables.model_evaluation.generator import validator_of
from trainables.model_evaluation.result import EvaluationResult
from trainables.models import load_detector, load_generator
from trainables.training.checkpoint_record import load_record


@dataclass(frozen=True)
class ModelFunctions:
    """Functions of one type of model.

    Attributes:
        reference: Scores of real movements under a configuration; None where they cannot take the model's place.
        plot: Writes plots of a checkpoint into a folder, with the intervals of its re-evaluation, if there is one.
        workload: What a checkpoint does with movements, to be timed.
    """

    reference: Callable[[Any], Reference] | None
    plot: Callable[[Path, Any, EvaluationResult | None, Path], None]
    workload: Callable[[Path], Callable[[Canonical], object]]


def reference_scores(config: Any) -> Reference:
    """Return what other users read in the place of a generator's samples, against the validation users."""
    validator = _validator(config)
    users = effective_users(validator.held_out.group)
    return Reference(validator.no_difference(), validator.floors, users, validator.folds_by)


def plot_samples(checkpoint: Path, config: Any, evaluation: EvaluationResult | None, pictures: Path) -> None:
    """Plot a gallery and overlays of samples, sampled as in the validation during training."""
    validator = _validator(config)
    own = build(EvaluationConfig, load_record(checkpoint)["config"]["evaluation"])
    samples = load_generator(checkpoint).sample_matching(validator.held_out, seed=own.sampling_seed)
    observed, rows = reobserve(samples, validator.canonical)
    plot_gallery(validator.observed.take(rows), observed, pictures / "gallery.png")
    plot_overlays(validator.observed, observed, pictures / "features.png")


def _validator(config: Any) -> Validator:
    return validator_of(config.data, VALIDATION, config.evaluation)


def plot_scores(checkpoint: Path, config: Any, evaluation: EvaluationResult | None, pictures: Path) -> None:
    """Plot a detector's scores of users and of the bots of its training, with intervals where it was re-evaluated."""
    own = build(DetectorConfig, load_record(checkpoint)["config"])
    scores = scores_on(load_trained_detector(checkpoint), own, VALIDATION, own.evaluation.seed)
    bots = {family: of_family.flatten() for family, of_family in scores.bots.items()}
    plot_overview(scores.human, bots, scores.unseen, scores.fpr, intervals(evaluation), pictures / "detection.png")


def plot_values(checkpoint: Path, config: Any, evaluation: EvaluationResult | None, pictures: Path) -> None:
    """Plot maps of a critic's values around the ends of validation movements."""
    data = build(DataConfig, load_record(checkpoint)["config"]["data"])
    plot_value_maps(load_critic(checkpoint), load_splits(data)[VALIDATION], pictures / "values.png")


def plot_agent(checkpoint: Path, config: Any, evaluation: EvaluationResult | None, pictures: Path) -> None:
    """Plot episodes of an agent beside validation movements."""
    agent = load_agent(checkpoint)
    plot_trajectories(agent, load_splits(agent.config.data)[VALIDATION], pictures / "trajectories.png")


def sampling(checkpoint: Path) -> Callable[[Canonical], object]:
    """Samples under the conditions of movements."""
    return partial(load_generator(checkpoint).sample_matching, seed=0)


def scoring(checkpoint: Path) -> Callable[[Canonical], object]:
    """Scores of movements."""
    return load_detector(checkpoint).score


def values_along(checkpoint: Path) -> Callable[[Canonical], object]:
    """Values of the steps of movements towards their ends."""
    return load_critic(checkpoint).along


def actions_along(checkpoint: Path) -> Callable[[Canonical], object]:
    """Actions in the states of movements towards their ends."""
    return load_agent(checkpoint).along


MODEL_FUNCTIONS: Mapping[str, ModelFunctions] = {
    GENERATOR.name: ModelFunctions(reference_scores, plot_samples, sampling),
    DETECTOR.name: ModelFunctions(None, plot_scores, scoring),
    CRITIC_TYPE.name: ModelFunctions(None, plot_values, values_along),
    AGENT_TYPE.name: ModelFunctions(None, plot_agent, actions_along),
}
"""Name of a type of model -> its functions; models of another type are neither re-evaluated nor plotted."""
