"""Laws of the command that judges a detector: what it writes, what it prints, and what it refuses."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.trainables.detector.tiny import TINY, few
from trainables.core.cli import parse, run
from trainables.core.config import ConfigError, build
from trainables.data.dataset import load_splits
from trainables.detector.api import load_trained_detector
from trainables.detector.bots import BOTS
from trainables.detector.config import DetectorConfig
from trainables.detector.evaluate import COMMAND, JudgeConfig, main, probed
from trainables.detector.evaluation.evaluation_set import EvaluationSet
from trainables.detector.evaluation.report import DetectorJudgement
from trainables.detector.train import epochs
from trainables.eval.detection.roc import threshold_at_fpr

FIGURES = ("figures.bootstrap.replicates=20", "figures.movements=[1,2]", "figures.bins=5", "figures.fprs=[0.1]")
PICTURES = ("caught.png", "reliability.png", "sessions.png")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DetectorConfig:
    counts = {"train": 150, "validation": 50, "test": 150, "holdout": 2}
    return replace(TINY, data=few(tmp_path_factory.mktemp("few") / "recordings.parquet", counts))


@pytest.fixture(scope="module")
def checkpoint(config: DetectorConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("detector") / "checkpoint"
    *_, last = epochs(config)
    last.save(folder)
    return folder


@pytest.fixture(scope="module")
def elsewhere(config: DetectorConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dozen of the detector's own recordings, as if of two strangers, one of them too long for the form."""
    rows = pd.read_parquet(str(config.data.path)).head(12).to_dict("records")
    for number, row in enumerate(rows):
        row.update(user=f"stranger {number % 2}", source="elsewhere")
        if number == 11:
            row["t_ms"] = row["t_ms"] * 50
    file = tmp_path_factory.mktemp("elsewhere") / "people.parquet"
    pd.DataFrame(rows).to_parquet(file, index=False)
    return file


@pytest.fixture(scope="module")
def judged(checkpoint: Path, elsewhere: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("judged") / "out"
    assert run(COMMAND, main, [f"ckpt={checkpoint}", f"people={elsewhere}", f"out_dir={folder}", *FIGURES]) == 0
    return folder


def test_thresholds_are_the_validation_peoples_and_figures_the_test_peoples(
    judged: Path, checkpoint: Path, config: DetectorConfig
) -> None:
    found = DetectorJudgement.from_json(json.loads((judged / "card.json").read_text())["judgement"])
    detector, splits = load_trained_detector(checkpoint), load_splits(config.data)
    threshold = threshold_at_fpr(detector.score(splits["validation"]).double(), 0.1)
    assert found.thresholds == (threshold,)
    own = next(row for row in found.sources if row.name == "recordings")
    assert own.accused[0].hits == (detector.score(splits["test"]) > threshold.value).sum()
    assert {row.name for row in found.styles} == set(BOTS)
    assert {row.figures.bots for row in found.styles} == {len(splits["test"])}
    assert set(found.trained_on) == set(config.negatives.families)


def test_people_of_another_source_have_their_rate_and_a_threshold_of_their_own(judged: Path) -> None:
    content = json.loads((judged / "card.json").read_text())
    found = DetectorJudgement.from_json(content["judgement"])
    assert {row.name: row.accused[0].n for row in found.sources}["elsewhere"] == 11
    [own] = found.own_thresholds
    assert (own.source, own.people) == ("elsewhere", 2)
    assert own.fixed is not None
    assert own.accused is not None
    assert (own.fixed.people, own.accused.n) == (6, 5)
    assert any(line.startswith("people of elsewhere, left out: 1 ") for line in content["left_out"])
    page = (judged / "card.md").read_text()
    assert f"For elsewhere a threshold of {own.fixed.value:.6f}, fixed for 10 % of 6 movements of 1 of" in page
    assert "people of elsewhere, left out: 1 longer than" in page


def test_the_card_says_what_the_embeddings_tell(judged: Path) -> None:
    probes = json.loads((judged / "card.json").read_text())["probes"]
    assert len(probes["probes"]) == 4
    assert all(probe["finding"] in (judged / "card.md").read_text() for probe in probes["probes"])


@pytest.mark.parametrize("name", PICTURES)
def test_its_pictures_are_drawn(name: str, judged: Path) -> None:
    with Image.open(judged / name) as picture:
        assert min(picture.size) > 400


def test_too_few_people_for_a_probe_are_no_reason_to_write_no_card(config: DetectorConfig, checkpoint: Path) -> None:
    """The reason stands in the place of the figures."""
    detector, splits = load_trained_detector(checkpoint), load_splits(config.data)
    alone = {name: replace(split, group=("one",) * len(split)) for name, split in splits.splits.items()}
    met = EvaluationSet.of(replace(splits, splits=alone), "test", detector.canonical, 0)
    said = probed(met, detector, build(JudgeConfig, {"ckpt": str(checkpoint)}))
    assert said == "Not made: expected `2 <= folds <= groups`, but got folds=5 and 1 groups."


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("ckpt=", "`ckpt` to be a checkpoint folder"),
        ("split=validation", "the thresholds are fixed on the validation split"),
        ("split=holdout", "the holdout split is kept for the promotion"),
        ("split=everything", "expected `split` in {test}, but got split=everything"),
        ("figures.fprs=[]", "`fprs` falling"),
    ],
)
def test_wrong_settings_are_one_line(word: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        build(JudgeConfig, parse(COMMAND, ["ckpt=folder", word]).config)


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("ckpt=nowhere", "nowhere/record.json: no such file"),
        ("bots=nowhere.parquet", "nowhere.parquet"),
        ("people=nowhere.parquet", "nowhere.parquet"),
    ],
)
def test_what_is_not_there_is_one_line(
    word: str, says: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(COMMAND, main, [f"ckpt={checkpoint}", word, f"out_dir={tmp_path / 'out'}"]) == 2
    assert says in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
