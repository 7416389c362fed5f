"""The sampling command: what it writes, and that the data reader takes it back."""

import json
from pathlib import Path

import numpy as np
import pytest

from trainables.command import WRONG_INPUT, run
from trainables.data.canonical import CanonicalConfig, usable
from trainables.data.dataset import observe_recordings
from trainables.data.recordings import read_recordings
from trainables.diffusion.api import generate_diffusion_samples
from trainables.diffusion.config import DiffusionConfig, ModelConfig
from trainables.diffusion.sample import COMMAND, main
from trainables.diffusion.train import epochs
from trainables.eval.validation import EvaluationConfig


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    model, judged = ModelConfig(base_channels=16), EvaluationConfig(movements=100, steps=1, probe="logistic")
    *_, last = epochs(DiffusionConfig(epochs=1, steps_per_epoch=2, model=model, evaluation=judged))
    last.save(folder)
    return folder


def test_the_files_hold_the_samples_of_the_api_and_are_read_back_as_recordings(
    checkpoint: Path, tmp_path: Path
) -> None:
    assert run(COMMAND, main, [f"ckpt={checkpoint}", "n=9", "steps=2", "seed=5", f"out_dir={tmp_path}"]) == 0
    written = np.load(tmp_path / "samples.npy")
    asked = generate_diffusion_samples(9, 64, steps=2, seed=5, checkpoint=checkpoint)
    assert np.array_equal(written, asked.numpy())
    read = read_recordings("table", tmp_path / "samples.parquet")
    assert len(read.recordings) == 9
    movements = observe_recordings(read.recordings)
    assert [int(n) for n in movements.length] == [int(row.any(axis=1).sum()) for row in written]
    assert len(usable(movements, CanonicalConfig())[0]) == 9
    assert json.loads((tmp_path / "samples.json").read_text())["provenance"] == "synthetic"


@pytest.mark.parametrize("override", ["n=0", "steps=-1", "seq_len=4", "ckpt=", "ckpt=nowhere", "number=3"])
def test_wrong_input_is_one_line(
    override: str, checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(COMMAND, main, [f"ckpt={checkpoint}", f"out_dir={tmp_path}", override]) == WRONG_INPUT
    assert capsys.readouterr().err.count("\n") == 1
