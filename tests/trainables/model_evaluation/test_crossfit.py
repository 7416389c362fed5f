"""One model per fold of users: every user is evaluated once, an interrupted run resumes, errors are one line."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from platform import evaluate as platform_evaluate
from trainables.core.cli import INTERRUPTED, WRONG_INPUT, run
from trainables.core.config import build, plain
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits
from trainables.data.users import effective_users
from trainables.detector.config import DetectorConfig
from trainables.diffusion.config import DiffusionConfig, EarlyStoppingConfig, ModelConfig
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.diffusion_eval import COMMAND, main
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.metrics import GENERATION
from trainables.eval.intervals.jackknife import interval
from trainables.gan.config import GanConfig, GanModelConfig
from trainables.model_evaluation import crossfit, crossfit_plan
from trainables.model_evaluation.config import EvalConfig
from trainables.model_evaluation.crossfit_plan import plan
from trainables.model_evaluation.result import EvaluationResult
from trainables.specs import TRAINABLES
from trainables.training import metric_names as names
from trainables.training.checkpoint import load_record, save_checkpoint
from trainables.training.progress import Progress
from trainables.training.run_folder import Line, RunFolder, opened, recording

EVALUATION = EvaluationConfig(movements=60, probes=("features",))
DIFFUSION = DiffusionConfig(
    epochs=3,
    steps_per_epoch=8,
    model=ModelConfig(base_channels=16),
    sampling=SamplingConfig(steps=1),
    early_stopping=EarlyStoppingConfig(patience=2, min_delta=100.0),
    evaluation=EVALUATION,
)
GAN = GanConfig(
    epochs=1,
    steps_per_epoch=2,
    model=GanModelConfig(widths=(8, 12), latent_dim=4, noise_channels=2, embedding_dim=16),
    evaluation=EVALUATION,
)
evaluate = partial(run, COMMAND, main)


def trained(path: Path, name: str, config: Any, epochs: int) -> Path:
    """Return the last checkpoint of a run in a folder."""
    with opened(path, name, config, GENERATION.epoch_order) as folder, recording(folder) as record:
        for epoch in TRAINABLES[name].load().epochs(config):
            record(epoch)
            if epoch.number == epochs:
                break
        assert folder.last is not None
        return folder.last


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint after two of three epochs, of a configuration that would stop after the second."""
    return trained(tmp_path_factory.mktemp("run") / "run", "diffusion", DIFFUSION, epochs=2)


@pytest.fixture(scope="module")
def done(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an evaluation with two folds."""
    folder = tmp_path_factory.mktemp("crossfit")
    assert evaluate([f"ckpt={checkpoint}", "crossfit=2", f"out_dir={folder}"]) == 0
    return folder


def report(folder: Path) -> dict[str, Any]:
    numbers: dict[str, Any] = json.loads((folder / "crossfit.json").read_text(), parse_constant=pytest.fail)
    return numbers


def fold_run(folder: Path, number: int) -> RunFolder:
    return RunFolder(folder / "crossfit" / f"fold-{number}", GENERATION.epoch_order)


def result(folder: Path, number: int) -> EvaluationResult:
    return EvaluationResult.from_json(json.loads((fold_run(folder, number).path / "evaluation.json").read_text()))


def test_every_user_is_evaluated_once_by_a_model_that_was_not_trained_on_them(done: Path) -> None:
    found, four = report(done), load_splits(DataConfig())
    named = {
        user
        for name in ("train", "validation", "test")
        for user, source in zip(four[name].group, four[name].source, strict=True)
        if source == "sapimouse"
    }
    evaluated = [user for fold in found["folds"] for user in fold["users"]]
    assert sorted(evaluated) == sorted(named)
    assert found["users"] == len(named)
    owners: list[str] = []
    for number in (1, 2):
        last = fold_run(done, number).last
        assert last is not None
        record = load_record(last)
        splits = load_splits(build(DataConfig, record["config"]["data"]))
        assert record["data_sha256"] == splits.sha256 == found["folds"][number - 1]["data_sha256"]
        assert result(done, number).users == tuple(found["folds"][number - 1]["users"])
        assert result(done, number).movements == len(splits["validation"]) > EVALUATION.movements
        assert not set(splits["train"].group) & set(result(done, number).users)
        assert not set(four["holdout"].group) & {*splits["train"].group, *splits["validation"].group}
        owners += splits["validation"].group
    assert found["movements"] == len(owners)
    assert found["effective_users"] == pytest.approx(effective_users(owners))
    assert found["left_out"] == {"split": "holdout", "users": len(set(four["holdout"].group))}


def test_a_fold_has_the_configuration_and_the_epochs_of_the_checkpoint_and_never_stops_early(
    done: Path, checkpoint: Path
) -> None:
    for number in (1, 2):
        folder = fold_run(done, number)
        assert folder.last_epoch == 2
        assert [line[names.EPOCH] for line in folder.metrics()] == [0, 1, 2]
        assert folder.last is not None
        config = load_record(folder.last)["config"]
        assert config["data"].pop("fold") == f"{number}/2"
        assert config["early_stopping"].pop("patience") == 0
        assert config["evaluation"].pop("movements") == result(done, number).movements
        expected = plain(DIFFUSION)
        for group, key in (("data", "fold"), ("early_stopping", "patience"), ("evaluation", "movements")):
            del expected[group][key]
        assert config == expected


def test_the_figure_is_the_mean_over_folds_with_an_interval_over_all_users(done: Path) -> None:
    found, results = report(done), [result(done, number) for number in (1, 2)]
    for name in (names.VAL_AUC_EXCESS, names.probe_auc("features"), names.probe_floor("features")):
        mean, parts = found["mean"][name], [interval(one.metrics[name]) for one in results]
        assert mean["value"] == pytest.approx(fmean(part.value for part in parts))
        assert mean["se"] == pytest.approx((sum(part.se**2 for part in parts)) ** 0.5 / 2)
        assert mean["df"] == found["users"] - 2
        assert [fold["metrics"][name]["se"] for fold in found["folds"]] == pytest.approx([part.se for part in parts])
    assert found["mean"]["excess/features"] == pytest.approx(found["mean"][names.VAL_AUC_EXCESS])  # one probe alone


def test_the_costs_the_folds_and_what_is_left_out_are_stated(
    checkpoint: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(done, tmp_path / "again", symlinks=True)
    monkeypatch.setattr(crossfit, "evaluate", pytest.fail)  # nothing is trained or evaluated a second time
    assert evaluate([f"ckpt={checkpoint}", "crossfit=2", f"out_dir={tmp_path / 'again'}"]) == 0
    printed, found = capsys.readouterr().out, report(done)
    assert (
        f"crossfit: 2 folds of {found['users']} users ({found['effective_users']:.1f} effective), "
        f"{found['movements']} movements" in printed
    )
    left_out = (
        f"left out: the {found['left_out']['users']} users of the holdout split, neither trained on nor evaluated"
    )
    assert left_out in printed
    assert "cost: all 4 epochs are trained already" in printed
    mean = found["mean"][names.VAL_AUC_EXCESS]
    row = next(line for line in printed.splitlines() if line.startswith("mean"))
    assert f"{mean['value']:.3f} [{mean['low']:.3f}, {mean['high']:.3f}]" in row
    assert [line.split()[0] for line in printed.splitlines() if re.match(r"\d/2 ", line)] == ["1/2", "2/2"]
    assert (tmp_path / "again" / "crossfit.json").exists()


@pytest.mark.parametrize("recorded", [True, False])
def test_the_cost_is_of_the_run_of_the_checkpoint_or_timed(checkpoint: Path, tmp_path: Path, recorded: bool) -> None:
    folder = checkpoint
    if not recorded:
        folder = tmp_path / "a" / "b" / "checkpoint"
        shutil.copytree(checkpoint, folder)
    found = plan(EvalConfig(ckpt=str(folder), crossfit=3, out_dir=str(tmp_path)))
    cost, line = crossfit_plan.epoch_cost(found), list(crossfit_plan.plan_lines(found))[-1]
    assert cost.basis == ("recorded by the run of the checkpoint" if recorded else "timed on this machine")
    assert cost.training_s > 0 < cost.evaluation_s
    cells = r"cost: 6 of 3 x 2 epochs to train, each [\d.]+ s and [\d.]+ s of evaluation .*; about \S+ in all"
    assert re.fullmatch(cells, line)
    assert any("fewer than 20 users" in text for text in crossfit_plan.plan_lines(found))
    assert not (tmp_path / "crossfit").exists()  # a plan writes nothing


@pytest.mark.heavy
def test_an_interrupted_run_resumes_in_its_fold_and_has_the_same_figures(
    checkpoint: Path, done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Interrupting(Progress):
        def __call__(self, line: Line) -> None:
            super().__call__(line)
            if self.folder.path.name == "fold-2" and line[names.EPOCH] == 1:
                raise KeyboardInterrupt

    command = [f"ckpt={checkpoint}", "crossfit=2", f"out_dir={tmp_path}"]
    with monkeypatch.context() as patch:
        patch.setattr(crossfit, "Progress", Interrupting)
        assert evaluate(command) == INTERRUPTED
    last = fold_run(tmp_path, 1).last
    assert last is not None
    before = (last / "record.json").stat().st_mtime_ns
    assert [fold_run(tmp_path, number).last_epoch for number in (1, 2)] == [2, 1]
    capsys.readouterr()
    assert evaluate(command) == 0
    printed = capsys.readouterr().out
    assert "cost: 1 of 2 x 2 epochs to train" in printed
    assert re.search(r"fold-2 holds 1 of 2 epochs; resuming", " ".join(printed.split()))
    assert (last / "record.json").stat().st_mtime_ns == before
    again, straight = report(tmp_path), report(done)
    for part in ("mean", "users", "movements"):
        assert again[part] == straight[part]


@pytest.mark.heavy
def test_a_gan_is_evaluated_like_a_diffusion(tmp_path: Path) -> None:
    checkpoint = trained(tmp_path / "run", "gan", GAN, epochs=1)
    assert evaluate([f"ckpt={checkpoint}", "crossfit=2", f"out_dir={tmp_path / 'out'}"]) == 0
    found = report(tmp_path / "out")
    assert found["kind"] == "gan"
    assert len(found["folds"]) == 2
    assert set(found["mean"]) >= {names.VAL_REJECTED}


# errors


@pytest.mark.parametrize(
    ("arguments", "law", "rest"),
    [
        (
            ["ckpt=CHECKPOINT", "crossfit=1"],
            "`crossfit=0` or `crossfit >= 2`",
            "crossfit=1; one fold has no other users to train on; give crossfit=5",
        ),
        (
            ["samples=file.npy", "crossfit=5"],
            "`ckpt` with crossfit, which trains models with the configuration of a checkpoint",
            "samples=file.npy; give ckpt=FOLDER, or leave crossfit out",
        ),
        (
            ["ckpt=CHECKPOINT", "crossfit=99"],
            "users of sapimouse outside of the holdout split >= 99, one per fold",
            "N; use fewer folds",
        ),
        (
            ["ckpt=CHECKPOINT", "crossfit=12"],
            "`movements of each fold >= 40`",
            "N in fold 1/12; use fewer folds",
        ),
        (
            ["ckpt=CHECKPOINT", "crossfit=2", "sampling.eta=1"],
            "the default of `sampling` with crossfit, which evaluates as the training of the checkpoint did",
            "sampling.eta=1.0; leave it out",
        ),
        (
            ["ckpt=CHECKPOINT", "crossfit=2", "metrics=[mmd,prd]"],
            "the default of `metrics` with crossfit, which evaluates as the training of the checkpoint did",
            "metrics=[mmd,prd]; leave it out",
        ),
    ],
)
def test_input_that_cannot_be_used_is_refused_in_one_line(
    checkpoint: Path, tmp_path: Path, arguments: list[str], law: str, rest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [argument.replace("CHECKPOINT", str(checkpoint)) for argument in arguments]
    assert evaluate([*given, f"out_dir={tmp_path}"]) == WRONG_INPUT
    found = re.sub(r"but got \d+", "but got N", capsys.readouterr().err)
    assert found == f"error: expected {law}, but got {rest}\n"
    assert not list(tmp_path.iterdir())


def test_a_device_that_is_not_there_is_refused_before_any_training(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate([f"ckpt={checkpoint}", "crossfit=2", "device=cuda:99", f"out_dir={tmp_path}"]) == WRONG_INPUT
    assert re.fullmatch(r"error: device=cuda:99: not available \(.*\); use cpu\n", capsys.readouterr().err)
    assert not list(tmp_path.iterdir())


def test_a_detector_has_no_folds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_checkpoint(tmp_path / "d", {}, {"kind": "detector", "config": plain(DetectorConfig()), "epoch": 1})
    assert platform_evaluate.main([f"ckpt={tmp_path / 'd'}", "crossfit=5"]) == WRONG_INPUT
    line = capsys.readouterr().err
    assert line.startswith(
        "error: `crossfit=5`: `crossfit` is for generators and files, but this is the evaluation of a"
    )
    assert evaluate([f"ckpt={tmp_path / 'd'}", "crossfit=5"]) == WRONG_INPUT
    assert (
        "expected a checkpoint of a generator (`diffusion` or `gan` or `physical` or `cotraining` or `distill`), "
        "but got detector" in capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda config: replace(config, seed=1), "seed=0, but now it is 1"),
        (
            lambda config: replace(config, data=replace(config.data, rows_per_user=11)),
            "data.rows_per_user=12, but now it is 11",
        ),
    ],
)
def test_another_configuration_is_refused(
    done: Path,
    tmp_path: Path,
    change: Callable[[DiffusionConfig], DiffusionConfig],
    line: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    config = change(DIFFUSION)
    record = {"kind": "diffusion", "config": plain(config), "data_sha256": load_splits(config.data).sha256, "epoch": 2}
    save_checkpoint(tmp_path / "other", {}, record)
    shutil.copytree(done, tmp_path / "out", symlinks=True)
    assert evaluate([f"ckpt={tmp_path / 'other'}", "crossfit=2", f"out_dir={tmp_path / 'out'}"]) == WRONG_INPUT
    assert f"fold-1: holds a run with {line}; choose another folder or restore" in capsys.readouterr().err


def test_other_folds_other_data_and_fewer_epochs_are_refused_in_the_same_folder(
    checkpoint: Path, done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(done, tmp_path / "out", symlinks=True)
    command = [f"ckpt={checkpoint}", f"out_dir={tmp_path / 'out'}"]
    assert evaluate([*command, "crossfit=3"]) == WRONG_INPUT
    assert "fold-1: holds a run with data.fold=1/2, but now it is 1/3; choose another folder" in capsys.readouterr().err

    def changed(config: DataConfig) -> Any:
        found = load_splits(config)
        return found if config.fold is None else replace(found, sha256="0123456789abcdef")

    with monkeypatch.context() as patch:
        patch.setattr(crossfit_plan, "load_splits", changed)
        assert evaluate([*command, "crossfit=2"]) == WRONG_INPUT
    assert "to hold a run with the present data (0123456789abcdef), but got " in capsys.readouterr().err

    first = checkpoint.parent.parent.parent / "first" / "epoch-0001"
    shutil.copytree(checkpoint, first)
    record = json.loads((first / "record.json").read_text())
    (first / "record.json").write_text(json.dumps({**record, "epoch": 1}))
    assert evaluate([f"ckpt={first}", command[1], "crossfit=2"]) == WRONG_INPUT
    assert "to hold at most 1 epochs, those of the checkpoint, but got 2; choose another" in capsys.readouterr().err


def test_the_checkpoint_of_a_fold_is_refused_but_can_be_evaluated_on_its_fold(
    done: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    last = fold_run(done, 1).last
    assert evaluate([f"ckpt={last}", "crossfit=2", f"out_dir={tmp_path}"]) == WRONG_INPUT
    assert "expected a checkpoint of the four splits, but got one of data.fold=1/2" in capsys.readouterr().err
    assert evaluate([f"ckpt={last}", "split=test", f"out_dir={tmp_path}"]) == WRONG_INPUT
    assert "expected `split` in {train, validation}, but got split=test" in capsys.readouterr().err
