"""`python -m platform.train` in this process: the same folder as the trainable's own command, and what it refuses."""

import json
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from platform import doctor, evaluate, promote, tune
from platform.core import training_run
from platform.train import COMMAND, main
from trainables.core.cli import WRONG_INPUT, parse, run
from trainables.core.config import ConfigError, build, plain, with_absolute_paths
from trainables.data.config import SourceConfig
from trainables.data.splits.loading import load_splits
from trainables.diffusion import train as experiment
from trainables.diffusion.config import DiffusionConfig
from trainables.metric_registry import METRIC_SETS
from trainables.training.manifest import MANIFEST, Manifest
from trainables.training.run_folder import CHECKPOINTS, EVENTS, LAST, METRICS

TINY = {
    "epochs": "1",
    "steps_per_epoch": "2",
    "batch_size": "8",
    "model.base_channels": "16",
    "evaluation.movements": "40",
    "sampling.steps": "1",
    "evaluation.folds": "2",
    "evaluation.probes": "[features]",
}


def train(folder: Path, *overrides: str) -> int:
    return run(
        COMMAND,
        main,
        [
            *(f"trainable.{k}={v}" for k, v in TINY.items()),
            f"storage_path={folder.parent}",
            f"name={folder.name}",
            *overrides,
        ],
    )


def test_a_run_of_either_command_is_the_same_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(tmp_path) == 0
    assert [json.loads(line)["epoch"] for line in (tmp_path / METRICS).read_text().splitlines()] == [0, 1]
    assert (tmp_path / CHECKPOINTS / LAST).is_dir()
    assert not (tmp_path / "ray").exists()
    capsys.readouterr()
    same = ["experiment=cpu", "seed=0", *(f"{k}={v}" for k, v in TINY.items()), f"out_dir={tmp_path}"]
    assert run(experiment.COMMAND, experiment.main, same) == 0
    assert "training already complete" in capsys.readouterr().out


def test_several_sources_are_given_as_a_list_of_records() -> None:
    given = "trainable.data.sources=[{reader:table,path:a.parquet,name:a},{reader:cursory}]"
    request = parse(COMMAND, [given])
    config = build(DiffusionConfig, request.config["trainable"], at="trainable")
    assert config.data.sources == (SourceConfig("table", "a.parquet", "a"), SourceConfig("cursory"))
    absolute = with_absolute_paths(plain(config))["data"]["sources"]
    assert [source["path"] for source in absolute] == [str(Path("a.parquet").absolute()), None]
    wrong = parse(COMMAND, ["trainable.data.sources=[{path:a.parquet,raeder:table}]"]).config["trainable"]
    line = r"^unknown key trainable\.data\.sources\[0\]\.raeder; did you mean `reader`\?$"
    with pytest.raises(ConfigError, match=line):
        build(DiffusionConfig, wrong, at="trainable")


def test_a_run_that_is_complete_keeps_its_manifest(tmp_path: Path) -> None:
    file = tmp_path / "run" / MANIFEST
    assert train(tmp_path / "run") == 0
    earlier = file.read_text().replace('"workers": 1', '"workers": 2')
    file.write_text(earlier)
    assert train(tmp_path / "run") == 0
    assert file.read_text() == earlier


def test_a_run_has_a_manifest_and_plots_of_spectra_and_kinematics(tmp_path: Path) -> None:
    assert train(tmp_path / "run", "plots_every=1") == 0
    manifest = Manifest.read(tmp_path / "run")
    assert manifest is not None
    config = build(DiffusionConfig, {key: manifest.config[key] for key in manifest.config})
    assert (manifest.trainable, manifest.workers, config.batch_size) == ("diffusion", 1, 8)
    assert manifest.data_sha256 == load_splits(config.data).sha256
    assert manifest.source.keys() & {"commit", "reason"}
    events = EventAccumulator(str(tmp_path / "run" / EVENTS)).Reload()
    assert sorted(events.Tags()["images"]) == ["plots/kinematic_overlays", "plots/velocity_spectra"]


def test_an_agent_with_other_workers_than_before_is_refused_before_ray_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = {
        "trainable": "agent",
        "trainable.epochs": "1",
        "trainable.steps_per_epoch": "2",
        "trainable.batch_size": "8",
        "trainable.collection.copies": "8",
        "trainable.environment.max_steps": "10",
        "trainable.evaluation.episodes": "8",
        "storage_path": str(tmp_path),
    }
    lines = [f"{key}={value}" for key, value in agent.items()]
    assert run(COMMAND, main, lines) == 0
    capsys.readouterr()

    def refused(*_: object) -> None:
        raise AssertionError("Ray was started")

    monkeypatch.setattr(training_run, "ray_instance", refused)
    assert run(COMMAND, main, [*lines, "scaling.num_workers=2"]) == WRONG_INPUT
    [line] = capsys.readouterr().err.splitlines()
    assert "expected the episodes of workers=2, but got those of 1; resume with as many workers as before" in line
    with pytest.raises(AssertionError, match="Ray was started"):
        run(COMMAND, main, [*lines, "scaling.num_workers=1"])


@pytest.mark.parametrize(("trainable", "checkpoint"), [("detector", "last"), ("gan", "best"), ("diffusion", "best")])
def test_the_recommended_checkpoint_is_the_one_that_the_docs_name(trainable: str, checkpoint: str) -> None:
    assert METRIC_SETS[trainable].recommended == checkpoint


COMMANDS = {
    "train": COMMAND,
    "tune": tune.COMMAND,
    "promote": promote.COMMAND,
    "doctor": doctor.COMMAND,
    "diffusion.train": experiment.COMMAND,
    "evaluate": evaluate.COMMAND,
}
FOLDER_KEYS = {
    ("train", "out_dir"): "use storage_path=FOLDER name=RUN; the run lies in FOLDER/RUN",
    ("train", "study_name"): "use storage_path=FOLDER name=RUN; the run lies in FOLDER/RUN",
    ("tune", "out_dir"): "use storage_path=FOLDER study_name=STUDY; the study lies in FOLDER/STUDY",
    ("tune", "name"): "use storage_path=FOLDER study_name=STUDY; the study lies in FOLDER/STUDY",
    ("promote", "out_dir"): "use storage_path=FOLDER study_name=STUDY; the study lies in FOLDER/STUDY",
    ("doctor", "out_dir"): "use storage_path=FOLDER",
    ("diffusion.train", "storage_path"): "use out_dir=FOLDER",
    ("diffusion.train", "name"): "use out_dir=FOLDER",
    ("evaluate", "storage_path"): "use out_dir=FOLDER",
}


@pytest.mark.parametrize(("command", "key"), FOLDER_KEYS)
def test_the_key_of_another_commands_folder_names_this_ones(
    command: str, key: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(COMMANDS[command], lambda request: 0, [f"{key}=results/mine"]) == WRONG_INPUT
    assert capsys.readouterr().err == f"error: `{key}` is no key here: {FOLDER_KEYS[command, key]}\n"


WRONG: dict[str, tuple[str, ...]] = {
    "trainable=quux": ("`trainable` in {agent, cotraining, critic, detector, diffusion", "trainable=quux"),
    "trainable.epochs=0": ("trainable: expected `epochs >= 1`", "epochs=0"),
    "trainable.sampling.steps=0": ("trainable.sampling: expected `steps >= 1`", "steps=0"),
    "trainable.sampling.candidates=2": ("trainable: expected `sampling.candidates = 1` in a training", "candidates=2"),
    "trainable.optim.lrr=1": ("did you mean `trainable.optim.lr`?",),
    "scaling.num_workers=-1": ("scaling: expected `num_workers >= 0`",),
    "scaling.num_worker=2": ("did you mean `scaling.num_workers`?",),
    "trainable.optim.lr=interval(0,1)": ("one value per key",),
}


@pytest.mark.parametrize("override", WRONG)
def test_wrong_input_is_one_line_that_names_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, override: str
) -> None:
    assert train(tmp_path / "run", override) == WRONG_INPUT
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert [part for part in WRONG[override] if part not in err] == []
    assert not (tmp_path / "run").exists()


def test_the_help_names_every_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(COMMAND, main, ["--help"]) == 0
    out = capsys.readouterr().out
    assert [
        word
        for word in ("scaling.num_workers=0", "storage_path=", "trainable.model.base_channels=64")
        if word not in out
    ] == []
