"""Properties of the leave-one-out command: each detector is trained without its family alone, and a run resumes."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.trainables.detector.tiny import TINY, few
from trainables.core.cli import parse, run
from trainables.core.config import ConfigError, build, plain
from trainables.data.splits.loading import load_splits
from trainables.detector.config import FAMILY_NAMES, DetectorConfig, NegativesConfig
from trainables.detector.dataset.mixture import mixture
from trainables.detector.evaluation.leave_one_out_matrix import LeaveOneOut
from trainables.detector.evaluation.report import DetectorEvaluation
from trainables.detector.leave_one_out import COMMAND, configs, main
from trainables.detector.leave_one_out_run import last_checkpoint, with_agent, without
from trainables.detector.spec import SPEC
from trainables.training.checkpoint import load_record
from trainables.training.metric_names import EPOCH
from trainables.training.run_folder import remaining_epochs

FAMILIES = ("pid", "straight")
METRICS = ("report.bootstrap.replicates=20", "report.movements=[1]", "report.bins=5", "report.fprs=[0.05]")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> DetectorConfig:
    counts = {"train": 150, "validation": 40, "test": 30, "holdout": 2}
    return replace(TINY, data=few(tmp_path_factory.mktemp("few") / "recordings.parquet", counts))


def words(config: DetectorConfig, out_dir: Path) -> list[str]:
    """Return the command line of a run on these users."""
    return [
        *METRICS,
        f"families=[{','.join(FAMILIES)}]",
        f"out_dir={out_dir}",
        "trainable.data.source=table",
        f"trainable.data.path={config.data.path}",
        f"trainable.data.rows_per_user={config.data.rows_per_user}",
        *(f"trainable.{key}={getattr(config, key)}" for key in ("epochs", "steps_per_epoch", "batch_size")),
        f"trainable.negatives.alpha={config.negatives.alpha}",
        *(f"trainable.model.{key}={value}" for key, value in plain(config.model).items() if isinstance(value, int)),
    ]


@pytest.fixture(scope="module")
def folder(config: DetectorConfig, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the output of the command, whose second fold was interrupted after its first epoch and resumed."""
    place = tmp_path_factory.mktemp("folds") / "out"
    _, trainable = configs(parse(COMMAND, words(config, place)))

    interrupted = remaining_epochs(place / FAMILIES[1], SPEC, without(FAMILIES[1], trainable))
    assert [next(interrupted)[EPOCH], next(interrupted)[EPOCH]] == [0, 1]
    interrupted.close()
    assert run(COMMAND, main, words(config, place)) == 0
    return place


@pytest.mark.parametrize("family", FAMILIES)
def test_every_detector_is_trained_without_its_family_alone(family: str, folder: Path) -> None:
    record = load_record(last_checkpoint(folder / family))
    assert record["config"]["negatives"]["held_out"] == [family]
    trainable = build(DetectorConfig, record["config"])
    human = load_splits(trainable.data)["train"]
    negatives = mixture(human, 60, trainable.negatives, trainable.data.canonical, seed=0)
    assert family not in negatives.family
    assert set(negatives.family) == set(trainable.negatives.families)
    assert record["epoch"] == trainable.epochs


def test_the_table_is_of_the_evaluations_beside_the_runs(folder: Path) -> None:
    content = json.loads((folder / "leave_one_out.json").read_text())
    found = {
        family: DetectorEvaluation.from_json(json.loads((folder / family / "evaluation.json").read_text()))
        for family in FAMILIES
    }
    assert LeaveOneOut.from_json(content["table"]) == LeaveOneOut.of(found)
    for family in FAMILIES:
        assert content["weights_sha256"][family] == load_record(last_checkpoint(folder / family))["weights_sha256"]
        assert family not in found[family].trained_on
        assert {row.metrics.humans for row in found[family].families} == {30}
    page = (folder / "leave_one_out.md").read_text()
    assert all(table.markdown() in page for table in LeaveOneOut.of(found).tables())
    assert "30 movements of users of the test split" in page
    assert (folder / "leave_one_out.png").stat().st_size > 1000


def test_complete_detectors_are_kept_and_interrupted_ones_resume(
    folder: Path, config: DetectorConfig, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same command again trains nothing; a resumed fold ends with the weights of an uninterrupted one."""
    before = (folder / "leave_one_out.json").read_bytes()
    assert run(COMMAND, main, words(config, folder)) == 0
    printed = capsys.readouterr().out
    assert printed.count("0 epochs trained") == 2
    assert (folder / "leave_one_out.json").read_bytes() == before
    _, trainable = configs(parse(COMMAND, words(config, tmp_path)))
    whole = remaining_epochs(tmp_path / "whole", SPEC, without(FAMILIES[1], trainable))
    assert [line[EPOCH] for line in whole] == [0, 1, 2]
    weights = [
        load_record(last_checkpoint(path))["weights_sha256"] for path in (folder / FAMILIES[1], tmp_path / "whole")
    ]
    assert weights[0] == weights[1]


def test_another_training_in_the_same_folder_is_refused(
    folder: Path, config: DetectorConfig, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(COMMAND, main, [*words(config, folder), "trainable.seed=5"]) == 2
    assert "holds a run with seed=0, but now it is 5" in capsys.readouterr().err


def test_an_agent_is_left_out_like_any_other_family(config: DetectorConfig, agent: Path, tmp_path: Path) -> None:
    given = [*words(config, tmp_path / "out")[:-1], "families=[pid]", f"agent_checkpoint={agent}"]
    assert run(COMMAND, main, given) == 0
    content = json.loads((tmp_path / "out" / "leave_one_out.json").read_text())
    table = LeaveOneOut.from_json(content["table"])
    assert {row.name: row.training for row in table.unseen} == dict.fromkeys(("pid", "agent"), "unseen")
    assert all(set(rates) == {*FAMILY_NAMES, "agent"} for rates in table.matrix.values())
    models = {
        family: load_record(last_checkpoint(tmp_path / "out" / family))["negatives"]["models"]
        for family in ("pid", "agent")
    }
    assert models == {"pid": {"agent": load_record(agent)["weights_sha256"]}, "agent": {}}
    assert content["trainable"]["negatives"]["agent_checkpoint"] == str(agent)
    assert content["trainable"]["negatives"]["agent"] == 1 / len(FAMILY_NAMES)


@pytest.mark.parametrize("family", ["pid", "agent"])
def test_the_share_of_an_agent_is_that_of_a_scripted_family(family: str) -> None:
    whole = with_agent(replace(TINY, negatives=NegativesConfig(bots=2.0)), "somewhere")
    fold = without(family, whole).negatives
    assert (fold.agent, fold.agent_checkpoint) == ((0.0, "") if family == "agent" else (0.25, "somewhere"))
    assert set(fold.families) == set(FAMILY_NAMES) - {family}
    assert with_agent(TINY, "") == TINY


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("families=[]", "expected `families` to have 1 or more entries"),
        ("families=[pid,cursory]", "expected `families` in {.*pid.*}, but got families=cursory"),
        ("families=[pid,pid]", "`families` to name each entry once"),
        ("split=validation", "`split` in {test}.*the thresholds are fitted on the validation split"),
        ("split=holdout", "reserved for the promotion"),
        ("trainable.negatives.held_out=[pid]", r"name it as families=\[...\]"),
        ("trainable.negatives.agent=0", "name it as agent_checkpoint=FOLDER"),
        ("trainable.negatives.agent_checkpoint=there", "name it as agent_checkpoint=FOLDER"),
        ("trainable.epochs=0", "trainable: expected `epochs >= 1`"),
    ],
)
def test_wrong_settings_are_one_line(word: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        configs(parse(COMMAND, [word]))
