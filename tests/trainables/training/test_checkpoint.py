"""Checkpoints: saved tensors are restored bit for bit, and an incomplete checkpoint is refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from trainables.core.version import VERSION
from trainables.training.checkpoint import (
    RECORD,
    WEIGHTS,
    CheckpointError,
    file_sha256,
    flatten,
    load_checkpoint,
    load_record,
    save_checkpoint,
    select,
)

RECORD_VALUES = {"kind": "test", "epoch": 3, "config": {"lr": 1e-3, "name": None}}


def tensors() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return {
        "model.weight": torch.randn(4, 6).T,  # not contiguous
        "model.bias": torch.randn(5, dtype=torch.float64, requires_grad=True),
        "optimizer.step": torch.tensor(7),
        "mask": torch.tensor([True, False]),
        "empty": torch.empty(0, 3),
        "half": torch.randn(3).bfloat16(),
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "checkpoint", tensors(), RECORD_VALUES)
    return tmp_path / "checkpoint"


def refusal(read: Callable[[Path], object], folder: Path, name: str) -> str:
    """The message, which is one line and names the file."""
    with pytest.raises(CheckpointError) as exc_info:
        read(folder)
    message = str(exc_info.value)
    assert "\n" not in message
    assert message.startswith(f"{folder / name}: ")
    return message


def test_saved_tensors_are_restored_bit_for_bit(folder: Path) -> None:
    found, record = load_checkpoint(folder)
    expected = tensors()
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)
    assert record == {**RECORD_VALUES, "version": VERSION, "weights_sha256": file_sha256(folder / WEIGHTS)}
    assert record == load_record(folder)


def test_nothing_else_is_left_beside_it(folder: Path) -> None:
    assert sorted(path.name for path in folder.iterdir()) == sorted([WEIGHTS, RECORD])
    assert list(folder.parent.iterdir()) == [folder]


@pytest.mark.parametrize("name", [WEIGHTS, RECORD])
def test_a_missing_file_is_named(folder: Path, name: str) -> None:
    (folder / name).unlink()
    assert "no such file" in refusal(load_checkpoint, folder, name)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert "no such file" in refusal(load_checkpoint, tmp_path / "nowhere", RECORD)
    assert "no such file" in refusal(load_record, tmp_path / "nowhere", RECORD)


@pytest.mark.parametrize("name", ["diff_mouse_v1.pt", "there.pt", "there"])
def test_a_file_is_no_checkpoint_and_the_line_names_the_folder_to_give(tmp_path: Path, name: str) -> None:
    if name.startswith("there"):
        (tmp_path / name).write_bytes(b"weights")
    with pytest.raises(CheckpointError, match=r"expected a checkpoint folder, but got a file; give") as exc_info:
        load_record(tmp_path / name)
    assert "\n" not in str(exc_info.value)


@pytest.mark.parametrize("kept", [0, 4, 100, -1])
def test_truncated_tensors_are_refused(folder: Path, kept: int) -> None:
    whole = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(whole[:kept])
    assert "truncated or altered" in refusal(load_checkpoint, folder, WEIGHTS)


@pytest.mark.parametrize("place", [0.0, 0.3, 0.6, 1.0])
def test_one_altered_bit_anywhere_in_the_tensors_is_refused(folder: Path, place: float) -> None:
    content = bytearray((folder / WEIGHTS).read_bytes())
    content[int(place * (len(content) - 1))] ^= 1
    (folder / WEIGHTS).write_bytes(content)
    assert "truncated or altered" in refusal(load_checkpoint, folder, WEIGHTS)


def test_tensors_of_another_checkpoint_are_refused(folder: Path, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "other", {**tensors(), "mask": torch.tensor([True, True])}, RECORD_VALUES)
    (tmp_path / "other" / WEIGHTS).replace(folder / WEIGHTS)
    assert "do not match their record" in refusal(load_checkpoint, folder, WEIGHTS)


def test_a_file_that_is_no_safetensors_is_refused_even_if_its_hash_is_right(folder: Path) -> None:
    (folder / WEIGHTS).write_bytes(b"these are no tensors")
    record = {**RECORD_VALUES, "weights_sha256": file_sha256(folder / WEIGHTS)}
    (folder / RECORD).write_text(json.dumps(record))
    assert "not a readable safetensors file" in refusal(load_checkpoint, folder, WEIGHTS)


@pytest.mark.parametrize("content", [b"", b'{"kind": ', b"\xff\xfe\x00", b"{'a': 1}"])
@pytest.mark.parametrize("read", [load_checkpoint, load_record])
def test_a_broken_record_is_refused(folder: Path, content: bytes, read: Callable[[Path], object]) -> None:
    (folder / RECORD).write_bytes(content)
    assert "not a readable JSON record" in refusal(read, folder, RECORD)


@pytest.mark.parametrize("content", ["[1, 2]", '"text"', "null", "3"])
def test_a_record_that_is_no_object_is_refused(folder: Path, content: str) -> None:
    (folder / RECORD).write_text(content)
    assert "expected a record to be a JSON object, but got" in refusal(load_checkpoint, folder, RECORD)


def test_a_record_without_the_hash_is_refused(folder: Path) -> None:
    (folder / RECORD).write_text(json.dumps(RECORD_VALUES))
    assert "do not match their record" in refusal(load_checkpoint, folder, WEIGHTS)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_that_are_not_finite_are_never_published(tmp_path: Path, value: float, dtype: torch.dtype) -> None:
    weight = torch.zeros(3, 3, dtype=dtype)
    weight[1, 2] = value
    with pytest.raises(CheckpointError, match=r"^model\.weight holds NaN or infinity: .*\bcheckpoint\b"):
        save_checkpoint(tmp_path / "checkpoint", {**tensors(), "model.weight": weight}, RECORD_VALUES)
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        save_checkpoint(tmp_path / "checkpoint", tensors(), {"unserialisable": object()})
    assert list(tmp_path.iterdir()) == []


def test_a_checkpoint_is_never_overwritten(folder: Path) -> None:
    with pytest.raises(CheckpointError, match="exists already"):
        save_checkpoint(folder, {"other": torch.zeros(1)}, {})
    assert load_checkpoint(folder)[1]["epoch"] == 3
    assert list(folder.parent.iterdir()) == [folder]


def test_flatten_and_select_are_inverse_and_distinguish_prefixes() -> None:
    parts = {"a": {"w": torch.zeros(1), "b.c": torch.ones(2)}, "ab": {"w": torch.full((1,), 3.0)}, "a.w": {}}
    flat = {name: tensor for prefix, part in parts.items() for name, tensor in flatten(prefix, part).items()}
    assert set(flat) == {"a.w", "a.b.c", "ab.w"}
    for prefix, part in parts.items():
        found = select(prefix, flat)
        assert found.keys() == part.keys()
        assert all(torch.equal(found[name], tensor) for name, tensor in part.items())
