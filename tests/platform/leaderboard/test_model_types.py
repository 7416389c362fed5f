"""Laws of the table of kinds: whoever can be judged again is in it, and pictures are drawn of true checkpoints."""

from pathlib import Path

import pytest
from PIL import Image

from platform.leaderboard.model_types import KINDS
from trainables.data.config import DataConfig
from trainables.data.dataset import load_splits
from trainables.detector.config import DetectorConfig, DetectorModelConfig
from trainables.detector.train import epochs
from trainables.diffusion.config import DiffusionConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.validator import Validator
from trainables.model_evaluation import evaluate
from trainables.model_evaluation.reevaluate import EVALUATORS
from trainables.training.headline_metrics import CRITERIA, FIGURES


def test_every_kind_that_can_be_judged_again_is_in_it() -> None:
    assert set(KINDS) == set(EVALUATORS)


@pytest.mark.parametrize("name", KINDS)
def test_people_are_a_reference_where_the_headline_has_a_chance(name: str) -> None:
    chance = FIGURES[CRITERIA[name].headline].chance
    assert (KINDS[name].reference is None) == (chance is None)


def test_the_reference_is_the_validators_own() -> None:
    evaluation = EvaluationConfig(movements=60, folds=2, probe="logistic")
    config, splits = DiffusionConfig(evaluation=evaluation), load_splits(DataConfig())
    validator = Validator.fit(splits["validation"], splits["train"], config.data.canonical, evaluation)
    reference = KINDS["diffusion"].reference
    assert reference is not None
    found = reference(config)
    assert (found.floor, found.people) == (validator.floor(), validator.c2st_against(splits["train"]))


def test_the_scores_of_a_detector_are_drawn_with_and_without_a_judgement(tmp_path: Path) -> None:
    model = DetectorModelConfig(width=8, features_width=16, fused_width=16)
    *_, last = epochs(DetectorConfig(epochs=1, steps_per_epoch=3, batch_size=16, model=model))
    last.save(tmp_path / "checkpoint")
    pictures = []
    for judgement in (None, evaluate(tmp_path / "checkpoint", "validation", [1])):
        KINDS["detector"].draw(tmp_path / "checkpoint", None, judgement, tmp_path)
        pictures.append((tmp_path / "detection.png").read_bytes())
        with Image.open(tmp_path / "detection.png") as image:
            assert image.size[0] > 1000
    assert pictures[0] != pictures[1]
