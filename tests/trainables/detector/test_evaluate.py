"""Properties of the command that evaluates a detector: its files, its output, and its refusals."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from tests.trainables.detector.tiny import TINY, few
from trainables.core.cli import parse, run
from trainables.core.config import ConfigError, build
from trainables.data.splits.assignment import split_of
from trainables.data.splits.loading import load_splits
from trainables.detector.api import load_trained_detector
from trainables.detector.bots import BOTS
from trainables.detector.config import DetectorConfig
from trainables.detector.dataset.external_bots import ORIGINS
from trainables.detector.evaluate import COMMAND, main
from trainables.detector.evaluate_run import probed, raw_recordings
from trainables.detector.evaluation.config import DetectorEvaluationCommand
from trainables.detector.evaluation.evaluation_set import EvaluationSet
from trainables.detector.evaluation.report import DetectorEvaluation
from trainables.detector.evaluation.shortcut_audit import FOLDS
from trainables.detector.train import epochs
from trainables.eval.detection.roc import threshold_at_fpr
from trainables.training.checkpoint import load_record

METRICS = ("report.bootstrap.replicates=20", "report.movements=[1,2]", "report.bins=5", "report.fprs=[0.1]")
PLOTS = ("detected.png", "reliability.png", "sessions.png")


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
    """Write a dozen of the detector's own recordings as of two external users, one of them too long for the form."""
    rows = pd.read_parquet(str(config.data.path)).head(12).to_dict("records")
    for number, row in enumerate(rows):
        row.update(user=f"external {number % 2}", source="elsewhere")
        if number == 11:
            row["t_ms"] = row["t_ms"] * 50
    file = tmp_path_factory.mktemp("elsewhere") / "users.parquet"
    pd.DataFrame(rows).to_parquet(file, index=False)
    return file


@pytest.fixture(scope="module")
def evaluated(checkpoint: Path, elsewhere: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluated") / "out"
    assert run(COMMAND, main, [f"ckpt={checkpoint}", f"users={elsewhere}", f"out_dir={folder}", *METRICS]) == 0
    return folder


def test_thresholds_are_of_the_validation_users_and_metrics_of_the_test_users(
    evaluated: Path, checkpoint: Path, config: DetectorConfig
) -> None:
    found = DetectorEvaluation.from_json(json.loads((evaluated / "card.json").read_text())["evaluation"])
    detector, splits = load_trained_detector(checkpoint), load_splits(config.data)
    threshold = threshold_at_fpr(detector.score(splits["validation"]).double(), 0.1)
    assert found.thresholds == (threshold,)
    own = next(row for row in found.sources if row.name == "recordings")
    assert own.flagged[0].hits == (detector.score(splits["test"]) > threshold.value).sum()
    assert {row.name for row in found.styles} == set(BOTS)
    assert {row.metrics.bots for row in found.styles} == {len(splits["test"])}
    assert set(found.trained_on) == set(config.negatives.families)


@pytest.mark.parametrize(("pairs", "enough"), [(FOLDS, True), (FOLDS - 1, False)])
def test_recordings_of_third_party_bots_are_audited_if_there_are_enough(
    config: DetectorConfig, tmp_path: Path, pairs: int, enough: bool
) -> None:
    """Beside those of the split's users, as many as there are; a fold needs a bot of its own."""
    rows = pd.read_parquet(str(config.data.path)).to_dict("records")
    bots = [
        {"style": next(iter(ORIGINS)), "trajectory_id": number % pairs, **{key: row[key] for key in ("t_ms", "x", "y")}}
        for number, row in enumerate(rows[:20])
    ]
    pd.DataFrame(bots).to_parquet(tmp_path / "bots.parquet", index=False)
    command = build(DetectorEvaluationCommand, {"ckpt": "folder", "bots": str(tmp_path / "bots.parquet")})
    found = raw_recordings(command, config.data)
    assert (found is not None) == enough
    if found is not None:
        assert {split_of(recording.user) for recording in found[0]} == {"test"}
        assert len(found[0]) == sum(split_of(row["user"]) == "test" for row in rows)
        assert len(found[1]) == 20


def test_users_of_another_source_have_their_own_fpr_and_threshold(evaluated: Path) -> None:
    content = json.loads((evaluated / "card.json").read_text())
    found = DetectorEvaluation.from_json(content["evaluation"])
    assert {row.name: row.flagged[0].n for row in found.sources}["elsewhere"] == 11
    [own] = found.source_thresholds
    assert (own.source, own.users) == ("elsewhere", 2)
    assert own.threshold is not None
    assert own.flagged is not None
    assert (own.threshold.n, own.flagged.n) == (6, 5)
    assert any(line.startswith("users of elsewhere, excluded: 1 ") for line in content["excluded"])
    page = (evaluated / "card.md").read_text()
    assert f"elsewhere: threshold {own.threshold.value:.6f}, fitted at 10 % FPR on 6 movements of 1 of" in page
    assert "users of elsewhere, excluded: 1 longer than" in page


def test_an_agent_is_an_unseen_family_beside_the_scripted_ones_with_its_hash_on_the_card(
    checkpoint: Path, agent: Path, tmp_path: Path
) -> None:
    words = [f"ckpt={checkpoint}", f"agent_checkpoint={agent}", f"out_dir={tmp_path / 'out'}"]
    assert run(COMMAND, main, [*words, *METRICS]) == 0
    content = json.loads((tmp_path / "out" / "card.json").read_text())
    found = DetectorEvaluation.from_json(content["evaluation"])
    assert {row.name for row in found.styles} == {*BOTS, "agent"}
    [row] = [row for row in found.families if row.name == "agent"]
    assert (row.training, row.source) == ("unseen", "trained agent")
    assert row.metrics.bots > 0
    assert content["agent"] == load_record(agent)["weights_sha256"]
    assert f"family agent: model {content['agent'][:16]}" in (tmp_path / "out" / "card.md").read_text()


def test_the_card_holds_the_embedding_probes(evaluated: Path) -> None:
    probes = json.loads((evaluated / "card.json").read_text())["probes"]
    assert len(probes["probes"]) == 4
    assert all(probe["finding"] in (evaluated / "card.md").read_text() for probe in probes["probes"])


@pytest.mark.parametrize("name", PLOTS)
def test_its_plots_are_written(name: str, evaluated: Path) -> None:
    with Image.open(evaluated / name) as plot:
        assert min(plot.size) > 400


def test_with_too_few_users_for_a_probe_the_card_states_the_reason(config: DetectorConfig, checkpoint: Path) -> None:
    detector, splits = load_trained_detector(checkpoint), load_splits(config.data)
    alone = {name: replace(split, group=("one",) * len(split)) for name, split in splits.splits.items()}
    evaluation_set = EvaluationSet.of(replace(splits, splits=alone), "test", detector.canonical, 0)
    reason = probed(evaluation_set, detector, build(DetectorEvaluationCommand, {"ckpt": str(checkpoint)}))
    assert reason == "Not measured: expected `2 <= folds <= groups`, but got folds=5 and 1 groups."


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("ckpt=", "`ckpt` to be a checkpoint folder"),
        ("split=validation", "the thresholds are fitted on the validation split"),
        ("split=holdout", "the holdout split is reserved for the promotion"),
        ("split=everything", "expected `split` in {test}, but got split=everything"),
        (
            "leave_one_source_out=true agent_checkpoint=folder",
            "`leave_one_source_out` without bots, users, agent_checkpoint and",
        ),
        ("report.fprs=[]", "`fprs` to have 1 or more entries"),
    ],
)
def test_wrong_settings_are_one_line(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build(DetectorEvaluationCommand, parse(COMMAND, ["ckpt=folder", *word.split()]).config)


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("ckpt=nowhere", "nowhere/record.json: no such file"),
        ("bots=nowhere.parquet", "nowhere.parquet"),
        ("users=nowhere.parquet", "nowhere.parquet"),
        ("agent_checkpoint=nowhere", "nowhere/record.json: no such file"),
    ],
)
def test_an_absent_file_is_one_line(
    word: str, message: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(COMMAND, main, [f"ckpt={checkpoint}", word, f"out_dir={tmp_path / 'out'}"]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
