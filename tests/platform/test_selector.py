"""The command that fits a selector: what it writes and prints, that sampling takes it, and wrong input in one line."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from platform.selector import COMMAND, main
from tests.serve import published
from trainables.core.cli import WRONG_INPUT, run
from trainables.diffusion import sample
from trainables.training.checkpoint import RECORD, load_checkpoint, load_record
from trainables.training.checkpoint_record import SELECTOR

SMALL = ["ratio.movements=60", "ratio.samples=2", "ratio.trees=3", "ratio.folds=2"]
fit = partial(run, COMMAND, main)
generate = partial(run, sample.COMMAND, sample.main)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.diffusion(tmp_path_factory.mktemp("model") / "checkpoint")


@pytest.fixture(scope="module")
def unfitted(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the checkpoint, for fits that are refused."""
    return Path(shutil.copytree(checkpoint, tmp_path_factory.mktemp("unfitted") / "checkpoint"))


@pytest.fixture(scope="module")
def fitted(checkpoint: Path, unfitted: Path) -> Path:
    """The checkpoint, once the command has been run."""
    assert fit([f"ckpt={checkpoint}", *SMALL]) == 0
    return checkpoint


def test_the_record_names_the_weights_the_data_the_sampling_and_the_users(fitted: Path) -> None:
    """By default the sources are those of the validation split: named users, and no session blocks."""
    record, model = load_record(fitted / SELECTOR), load_record(fitted)
    assert record["generator_sha256"] == model["weights_sha256"]
    assert record["data_sha256"] == model["data_sha256"]
    assert record["sampling"]["steps"] == 2
    assert record["sources"] == ["sapimouse"]
    assert record["fitted"]["sapimouse"]["movements"] == 60
    assert record["fitted"]["sapimouse"]["samples"] <= 120
    assert record["config"]["columns"] == ["features", "pixels"]


def test_the_account_names_source_and_folder_and_a_second_fit_is_refused(
    fitted: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit([f"ckpt={fitted}", *SMALL, "replace=true"]) == 0
    printed = capsys.readouterr().out
    assert "sapimouse" in printed
    assert f"selector: {fitted / SELECTOR}" in printed
    assert fit([f"ckpt={fitted}", *SMALL]) == WRONG_INPUT
    assert "exists already; give replace=true" in capsys.readouterr().err


def test_the_same_command_fits_the_same_selector(fitted: Path, tmp_path: Path) -> None:
    again = published.diffusion(tmp_path / "checkpoint")
    assert fit([f"ckpt={again}", *SMALL]) == 0
    (one, _), (other, _) = (load_checkpoint(folder / SELECTOR) for folder in (fitted, again))
    assert one.keys() == other.keys()
    assert all(bool((one[name] == other[name]).all()) for name in one)


def test_a_second_round_leaves_the_first_as_it_is_and_the_same_command_fits_the_same(
    fitted: Path, unfitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copies = [Path(shutil.copytree(unfitted, tmp_path / name)) for name in ("one", "other")]
    for copy in copies:
        assert fit([f"ckpt={copy}", *SMALL, "rounds=2", "round_candidates=2"]) == 0
    assert "AUC of selected samples" in capsys.readouterr().out
    (first, alone), (one, record), (other, _) = (load_checkpoint(folder / SELECTOR) for folder in (fitted, *copies))
    assert "second_round" not in alone
    assert record["second_round"] == {"candidates": 2}
    assert record["fitted"]["sapimouse"]["second_round"]["samples"] <= 120
    assert all(bool((one[name] == first[name]).all()) for name in first)
    assert {name.split(".")[1] for name in one.keys() - first.keys()} == {"second"}
    assert one.keys() == other.keys()
    assert all(bool((one[name] == other[name]).all()) for name in one)


def test_the_sampling_command_takes_candidates(
    fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """K=1 gives the files of sampling without a selector, K=4 others; the record names the selector."""
    for name, candidates in (("default", []), ("one", ["candidates=1"]), ("four", ["candidates=4"])):
        command = [f"ckpt={fitted}", "n=12", "source=sapimouse", f"out_dir={tmp_path / name}", "format=[npy]"]
        assert generate([*command, *candidates]) == 0
    default, one, four = (np.load(tmp_path / name / "samples.npy") for name in ("default", "one", "four"))
    assert np.array_equal(default, one)
    assert not np.array_equal(one, four)
    one_record, four_record = (json.loads((tmp_path / name / "samples.json").read_text()) for name in ("one", "four"))
    assert one_record["selector_sha256"] is None
    assert four_record["selector_sha256"] == load_record(fitted / SELECTOR)["weights_sha256"]
    assert four_record["sampling"]["candidates"] == 4
    assert generate([f"ckpt={fitted}", "n=40", "candidates=4", f"out_dir={tmp_path / 'mixed'}"]) == WRONG_INPUT
    assert "but got cursory; ask for one of these sources" in capsys.readouterr().err
    assert not (tmp_path / "mixed").exists()


def test_the_preset_best_says_which_steps_and_candidates_it_came_to(
    fitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One candidate where a row is of a source without a ratio."""
    wanted = {"of_source": (["source=sapimouse"], 2, 4), "of_all": ([], 20, 1)}
    for name, (given, steps, candidates) in wanted.items():
        command = [f"ckpt={fitted}", "n=40", "quality=best", f"out_dir={tmp_path / name}", "format=[npy]", *given]
        assert generate(command) == 0
        assert f"quality=best: steps={steps}, candidates={candidates}" in capsys.readouterr().out.replace("\n", " ")
        record = json.loads((tmp_path / name / "samples.json").read_text())
        assert (record["sampling"]["steps"], record["sampling"]["candidates"]) == (steps, candidates)


def of_other_data(folder: Path) -> None:
    record = json.loads((folder / RECORD).read_text())
    (folder / RECORD).write_text(json.dumps({**record, "data_sha256": "0" * 64}))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            ["source_names=[x]"],
            "`source_names` among those of the training split (cursory, sapimouse), but got x",
        ),
        (["sampling.candidates=2"], "expected no `sampling.candidates` in a fit"),
        (["sampling.steps=5000"], "expected `1 <= steps <= timesteps`"),
        (["ratio.columns=[pixel]"], "expected `columns` in {convolutions, features, pixels}, but got columns=pixel"),
        (["ratio.columns=[]"], "expected `columns` to have 1 or more entries"),
        (["ratio.max_ratio=1"], "expected `1 < max_ratio < 1e+06`, but got max_ratio=1"),
        (["ratio.folds=90"], "expected `training users of the source >= ratio.folds = 90`, but got"),
        (["ratio.fold=2"], "unknown key ratio.fold; did you mean `ratio.folds`?"),
        (["ckpt=nowhere"], "no such file; a checkpoint is a folder with"),
    ],
)
def test_wrong_input_is_one_line_and_nothing_is_written(
    unfitted: Path, given: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit([f"ckpt={unfitted}", "ratio.samples=1", *given]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (unfitted / SELECTOR).exists()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (published.gan, "expected the checkpoint of a diffusion, which has settings of a sampler, but got gan"),
        (published.network, "expected a checkpoint of a generator"),
    ],
)
def test_other_checkpoints_are_refused(
    tmp_path: Path, make: Callable[[Path], Path], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fit([f"ckpt={make(tmp_path / 'checkpoint')}", *SMALL]) == WRONG_INPUT
    assert message in capsys.readouterr().err


def test_a_checkpoint_of_other_data_is_refused(
    unfitted: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = shutil.copytree(unfitted, tmp_path / "checkpoint")
    of_other_data(folder)
    assert fit([f"ckpt={folder}", *SMALL]) == WRONG_INPUT
    assert "trained on other data" in capsys.readouterr().err
