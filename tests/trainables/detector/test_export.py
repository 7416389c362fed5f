"""Properties of an exported detector: the scores of the checkpoint for any number and length, and its metadata."""

from pathlib import Path

import onnxruntime
import pytest
import torch

from tests.trainables.detector.tiny import TINY
from trainables.core.cli import run
from trainables.data.canonical import Canonical
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.detector.api import Detector, load_trained_detector
from trainables.detector.export import COMMAND, main
from trainables.detector.onnx_export import OnnxDetector
from trainables.detector.train import epochs
from trainables.training.checkpoint import CheckpointError, load_record


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a briefly trained detector, whose scores differ."""
    folder = tmp_path_factory.mktemp("trained") / "checkpoint"
    *_, last = epochs(TINY)
    last.save(folder)
    return folder


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return load_splits(TINY.data)


@pytest.fixture(scope="module")
def file(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("exported") / "a folder that is not there" / "detector.onnx"
    assert run(COMMAND, main, [f"ckpt={checkpoint}", f"out={out}"]) == 0
    return out


@pytest.fixture(scope="module")
def detector(checkpoint: Path) -> Detector:
    return load_trained_detector(checkpoint)


def shortest(movements: Canonical, count: int) -> Canonical:
    return movements.take(movements.mask.sum(dim=1).argsort()[:count])


@pytest.mark.parametrize("count", [1, 2, 300])
def test_scores_are_those_of_the_checkpoint(file: Path, detector: Detector, splits: DataSplits, count: int) -> None:
    """In float32 up to 1e-5; the scores of users vary much more than that."""
    humans = splits["train"].take(torch.arange(count))
    found, expected = OnnxDetector.load(file).score(humans), detector.score(humans)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert found.dtype == torch.float64
    assert count < 300 or float(expected.std()) > 1e-3


def test_short_movements_without_padding_have_the_same_scores(
    file: Path, detector: Detector, splits: DataSplits
) -> None:
    few = shortest(splits["train"], 5)
    length = int(few.mask.sum(dim=1).max())
    assert length < TINY.data.canonical.sequence_length
    bare = Canonical(**{**vars(few), "deltas": few.deltas[:, :length], "mask": few.mask[:, :length]})
    torch.testing.assert_close(OnnxDetector.load(file).score(bare), detector.score(few), rtol=0, atol=1e-5)


def test_the_file_holds_the_hash_of_the_weights_and_the_form(file: Path, checkpoint: Path) -> None:
    assert OnnxDetector.load(file).canonical == TINY.data.canonical
    metadata = onnxruntime.InferenceSession(file).get_modelmeta().custom_metadata_map
    assert metadata["weights_sha256"] == load_record(checkpoint)["weights_sha256"]


def test_another_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "damaged.onnx").write_bytes(b"no model")
    for wrong in (tmp_path / "damaged.onnx", tmp_path / "absent.onnx"):
        with pytest.raises(CheckpointError, match=f"^{wrong}: not an exported detector: [^\n]+$"):
            OnnxDetector.load(wrong)


def test_wrong_input_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(COMMAND, main, []) == 2
    assert "`ckpt` to be a checkpoint folder" in capsys.readouterr().err
    assert run(COMMAND, main, ["ckpt=a", "out=detector.pt"]) == 2
    assert "expected `out` to be a file that ends in .onnx, but got out=" in capsys.readouterr().err
