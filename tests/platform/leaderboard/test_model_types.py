"""Properties of the functions by type of model: every type has them, and plots are made of true checkpoints."""

from pathlib import Path

import pytest
from PIL import Image

from platform.leaderboard.model_types import MODEL_FUNCTIONS
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.detector.config import DetectorConfig, DetectorModelConfig
from trainables.detector.train import epochs
from trainables.diffusion.config import DiffusionConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.validator import Validator
from trainables.metric_registry import METRICS
from trainables.model_evaluation.reevaluate import EVALUATORS, evaluate
from trainables.specs import TRAINABLES
from trainables.training.trainable import TrainableSpec


def test_every_type_of_model_is_evaluated_and_plotted() -> None:
    assert set(MODEL_FUNCTIONS) == set(EVALUATORS) == {spec.model_type.name for spec in TRAINABLES.values()}


@pytest.mark.parametrize("spec", TRAINABLES.values(), ids=TRAINABLES.keys())
def test_real_movements_are_a_reference_where_the_headline_has_a_chance_level(spec: TrainableSpec) -> None:
    chance = METRICS[spec.metrics.headline].chance
    assert (MODEL_FUNCTIONS[spec.model_type.name].reference is None) == (chance is None)


def test_the_reference_is_the_validators_own() -> None:
    evaluation = EvaluationConfig(movements=60, folds=2, probes=("features",))
    config, splits = DiffusionConfig(evaluation=evaluation), load_splits(DataConfig())
    validator = Validator.fit(splits["validation"], splits["train"], config.data.canonical, evaluation)
    reference = MODEL_FUNCTIONS["generator"].reference
    assert reference is not None
    found = reference(config)
    [part] = validator.by_source.values()
    [scores] = part.floors.values()
    assert found.no_difference == validator.no_difference()
    assert found.floors == {"features": scores.auc()}
    assert (found.effective_users, found.folds_by) == (scores.effective_users, scores.folds_by)


@pytest.mark.heavy
def test_the_scores_of_a_detector_are_plotted_with_and_without_an_evaluation(tmp_path: Path) -> None:
    model = DetectorModelConfig(width=8, features_width=16, fused_width=16)
    *_, last = epochs(DetectorConfig(epochs=1, steps_per_epoch=3, batch_size=16, model=model))
    last.save(tmp_path / "checkpoint")
    pictures = []
    for evaluation in (None, evaluate(tmp_path / "checkpoint", "validation", [1])):
        MODEL_FUNCTIONS["detector"].plot(tmp_path / "checkpoint", None, evaluation, tmp_path)
        pictures.append((tmp_path / "detection.png").read_bytes())
        with Image.open(tmp_path / "detection.png") as image:
            assert image.size[0] > 1000
    assert pictures[0] != pictures[1]
