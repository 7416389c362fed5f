"""The evaluation command: the metrics of the training, equal for a file, all outputs, and one-line errors."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from PIL import Image

from trainables.core.cli import WRONG_INPUT, run
from trainables.data.canonical import decode
from trainables.data.config import RATE_HZ, DataConfig
from trainables.data.dataset import load_splits
from trainables.diffusion.api import load_generator
from trainables.diffusion.config import DiffusionConfig, ModelConfig
from trainables.diffusion.loop import epochs
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.diffusion_eval import COMMAND, main
from trainables.eval.generation import plots
from trainables.eval.generation.config import EvaluationConfig
from trainables.gan import config as gan
from trainables.gan.train import epochs as gan_epochs
from trainables.training import metric_names as names

QUICK = ["steps=1", "comparison.probes=[quadratic]", "comparison.null_repeats=2", "comparison.permutations=19"]
evaluate = partial(run, COMMAND, main)
PLOTS = ("plot_gallery", "plot_overlays", "plot_spectra", "plot_probe_accuracy")


@pytest.fixture
def unplotted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out the plots, which take long; those of `report` are checked."""
    for name in PLOTS:
        monkeypatch.setattr(plots, name, lambda *_, **__: None)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A checkpoint of a briefly trained model, and the metrics of its training."""
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    model, quick = ModelConfig(base_channels=16), SamplingConfig(steps=1)
    *_, last = epochs(DiffusionConfig(epochs=1, steps_per_epoch=12, model=model, sampling=quick))
    last.save(folder)
    return folder, dict(last.metrics)


@pytest.fixture(scope="module")
def report(trained: tuple[Path, dict[str, float]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    assert evaluate([f"ckpt={trained[0]}", f"out_dir={folder}", *QUICK]) == 0
    return folder


@pytest.fixture(scope="module")
def samples(trained: tuple[Path, dict[str, float]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the samples of the checkpoint's evaluation as a table."""
    source, real = load_generator(trained[0]), load_splits(DataConfig())["validation"]
    movements = decode(source.sample_matching(real, seed=20240, steps=1), source.canonical)
    paths = [torch.cat([torch.zeros(1, 2), s[:n].cumsum(0)]) for s, n in zip(*movement_parts(movements), strict=True)]
    table = {"t_ms": [[i * 1000 / RATE_HZ for i in range(len(p))] for p in paths]}
    table |= {"x": [p[:, 0].tolist() for p in paths], "y": [p[:, 1].tolist() for p in paths]}
    file = tmp_path_factory.mktemp("file") / "samples.parquet"
    pd.DataFrame({**table, "user": movements.group, "session": "s"}).to_parquet(file)
    return file


def movement_parts(movements: Any) -> tuple[Any, list[int]]:
    return movements.steps_px, movements.length.tolist()


def read(folder: Path) -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads((folder / "report.json").read_text(), parse_constant=pytest.fail)
    return numbers


def test_a_checkpoint_has_the_metrics_of_its_training(report: Path, trained: tuple[Path, dict[str, float]]) -> None:
    found, metrics = read(report), trained[1]
    assert found["metrics"]["c2st"]["quadratic"]["accuracy"] == metrics[names.VAL_C2ST]
    assert found["metrics"]["mmd"]["mmd"] == pytest.approx(metrics[names.VAL_MMD], rel=1e-9)
    assert found["metrics"]["prd"]["recall"] == metrics[names.VAL_RECALL]
    assert found["metrics"]["prd"]["prd_precision"] == pytest.approx(metrics[names.VAL_PRD_PRECISION])
    assert found["checks"]["memorisation"]["ratio"] == pytest.approx(metrics[names.VAL_MEMORISATION])
    error = found["checks"]["conditions"]["mean_median_absolute_sd"]
    assert error == pytest.approx(metrics[names.VAL_CONDITION_ERROR])


def test_the_report_records_the_checkpoint_and_the_data(report: Path, trained: tuple[Path, dict[str, float]]) -> None:
    found, record = read(report), json.loads((trained[0] / "record.json").read_text())
    assert found["evaluated"]["weights_sha256"] == record["weights_sha256"]
    assert found["data"]["sha256"] == record["data_sha256"]
    assert found["real"]["source"] == "validation"
    for side in ("real", "fake"):
        account = found[side]
        assert account["evaluated"] + sum(account["dropped"].values()) == account["read"]
    assert set(found["metrics"]) == {"c2st", "mmd", "prd", "kinematics", "spectra"}
    assert {"python", "torch", "numpy", "scipy", "scikit-learn", "cursory"} == set(found["versions"])


def test_every_plot_is_written_and_not_blank(report: Path) -> None:
    assert read(report)["plots"] == ["gallery.png", "overlays.png", "spectra.png", "c2st.png"]
    for name in read(report)["plots"]:
        with Image.open(report / name) as image:
            shades = image.convert("L").histogram()
        assert max(shades) < 0.99 * sum(shades)


@pytest.mark.usefixtures("unplotted")
def test_a_file_of_the_same_samples_has_the_metrics_of_the_checkpoint(
    samples: Path, report: Path, tmp_path: Path
) -> None:
    assert evaluate([f"samples={samples}", f"out_dir={tmp_path}", *QUICK]) == 0
    by_file, by_checkpoint = read(tmp_path), read(report)
    assert by_checkpoint["fake"]["dropped"] == {}  # else a file, which has no partners, keeps more of the real ones
    assert by_file["metrics"] == by_checkpoint["metrics"]
    assert "not_measured" in by_file["checks"]["conditions"]


@pytest.mark.usefixtures("unplotted")
def test_the_same_command_writes_the_same_bytes_and_n_chooses(samples: Path, tmp_path: Path) -> None:
    command = [f"samples={samples}", f"out_dir={tmp_path}", "n=60", "split=test", "metrics=[mmd]", *QUICK]
    written = []
    for _ in range(2):
        assert evaluate(command) == 0
        written.append((tmp_path / "report.json").read_bytes())
    assert written[0] == written[1]
    assert (read(tmp_path)["fake"]["evaluated"], read(tmp_path)["real"]["evaluated"]) == (60, 90)
    assert set(read(tmp_path)["metrics"]) == {"mmd"}
    assert read(tmp_path)["plots"] == ["gallery.png"]


@pytest.mark.usefixtures("unplotted")
def test_other_users_can_take_the_place_of_the_split(samples: Path, tmp_path: Path) -> None:
    """The samples themselves as the real movements: they are indistinguishable."""
    command = [f"samples={samples}", f"val_split={samples}", f"out_dir={tmp_path}", "metrics=[kinematics]", *QUICK]
    assert evaluate(command) == 0
    features = read(tmp_path)["metrics"]["kinematics"]
    assert {found["ks"] for name, found in features.items() if name != "ks_5_percent"} == {0.0}
    assert read(tmp_path)["real"]["source"] == str(samples)


@pytest.mark.usefixtures("unplotted")
def test_a_gan_is_evaluated_by_the_same_command_but_has_no_sampler(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evaluation = EvaluationConfig(movements=60, folds=2, probe="logistic")
    config = gan.GanConfig(epochs=1, steps_per_epoch=1, optim=gan.GanOptimConfig(critic_steps=1), evaluation=evaluation)
    *_, last = gan_epochs(config)
    last.save(tmp_path / "checkpoint")
    command = [f"ckpt={tmp_path / 'checkpoint'}", f"out_dir={tmp_path}", "metrics=[spectra]"]
    assert evaluate([*command, "sampling.steps=4"]) == WRONG_INPUT
    assert "a generator without a sampler" in capsys.readouterr().err
    assert evaluate(command) == 0
    assert read(tmp_path)["evaluated"]["kind"] == "gan"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "exactly one of `ckpt` and `samples`"),
        (["ckpt=a", "samples=b.npy"], "exactly one of `ckpt` and `samples`"),
        (["ckpt=nowhere"], "no such file"),
        (["samples=nowhere.parquet"], "no such file"),
        (["samples=nowhere.npy", "split=holdout"], "the holdout split is reserved for the promotion"),
        (["samples=a.npy", "split=train"], "`split` in {test, validation}"),
        (["samples=a.npy", "metrics=[c2st,fid]"], "metrics=fid"),
        (["samples=a.npy", "metrics=[]"], "`metrics` to have 1 or more entries"),
        (["samples=a.npy", "n=-1"], "`n >= 0`"),
        (["samples=a.npy", "steps=-1"], "`steps >= 0`"),
        (["ckpt=a", "sampling.sampler=euler"], "sampler=euler"),
        (["samples=a.npy", "comparison.folds=1"], "folds >= 2"),
        (
            ["samples=a.npy", "val_split=."],
            "`val_split` to be a file (.parquet, .csv, .npy), but got the folder .",
        ),
        (["ckpt=checkpoints/diff_mouse_v1.pt"], "expected a checkpoint folder, but got a file"),
        (["ckpt=a", "data.source=table"], "expected no data keys with `ckpt`, but got data.source"),
    ],
)
def test_wrong_input_is_one_line(
    overrides: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate([f"out_dir={tmp_path / 'out'}", *overrides]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_more_samples_than_there_are_or_of_other_data_are_refused(
    trained: tuple[Path, dict[str, float]], samples: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = json.loads((trained[0] / "record.json").read_text())
    other = tmp_path / "other"
    other.mkdir()
    (other / "weights.safetensors").write_bytes((trained[0] / "weights.safetensors").read_bytes())
    (other / "record.json").write_text(json.dumps(record | {"data_sha256": "0"}))
    for command, message in (
        ([f"ckpt={trained[0]}", "n=165"], "n=165 and 164 movements"),
        ([f"samples={samples}", "n=9999"], "n=9999"),
        ([f"samples={samples}", "n=30"], "usable fake movements >= 40"),
        ([f"ckpt={other}"], "trained on other data"),
    ):
        assert evaluate([*command, f"out_dir={tmp_path / 'out'}", *QUICK]) == WRONG_INPUT
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
