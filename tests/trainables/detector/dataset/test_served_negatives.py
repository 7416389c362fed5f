"""Properties of a folder of served movements: reading restores what was written, and damage is one line."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.trainables.detector.tiny import assert_same_movements
from trainables.data.canonical import SAMPLE
from trainables.data.config import CanonicalConfig
from trainables.detector.dataset.served_negatives import ServedMovements, read_served, write_served
from trainables.generation.conditions import Conditions
from trainables.training.checkpoint import RECORD, WEIGHTS, CheckpointError, load_checkpoint, save_checkpoint


def test_reading_restores_what_was_written(stored: ServedMovements, folder: Path) -> None:
    found = read_served(folder)
    assert_same_movements(found.canonical, stored.canonical)
    assert found.canonical.target_width_px.isnan().sum() == 20
    for name in ("form", "model", "model_sha256", "request", "refused"):
        assert getattr(found, name) == getattr(stored, name), name


def test_requested_conditions_are_stored_with_unknown_widths(stored: ServedMovements, tmp_path: Path) -> None:
    asked = Conditions(stored.canonical.condition(), stored.canonical.angle)
    write_served(replace(stored, requested=asked, data_sha256="d" * 64), tmp_path / "folder")
    found = read_served(tmp_path / "folder")
    assert found.requested is not None
    assert torch.equal(found.requested.raw.nan_to_num(-9.0), asked.raw.nan_to_num(-9.0))
    assert torch.equal(found.requested.angle, asked.angle)
    assert found.data_sha256 == "d" * 64


def test_an_older_folder_has_no_requested_conditions(folder: Path) -> None:
    found = read_served(folder)
    assert (found.requested, found.data_sha256) == (None, "")


@pytest.mark.parametrize("form", [CanonicalConfig("events", 48), CanonicalConfig("normalised_time", 32)])
def test_the_form_is_stored_with_the_movements(stored: ServedMovements, tmp_path: Path, form: CanonicalConfig) -> None:
    write_served(replace(stored, form=form), tmp_path / "folder")
    assert read_served(tmp_path / "folder").form == form


def test_an_existing_folder_is_not_overwritten(stored: ServedMovements, folder: Path) -> None:
    before = (folder / WEIGHTS).read_bytes()
    with pytest.raises(CheckpointError, match="exists already"):
        write_served(replace(stored, model="another"), folder)
    assert (folder / WEIGHTS).read_bytes() == before
    assert read_served(folder).model == stored.model


@pytest.mark.parametrize("name", ["deltas", "distance_px", "target_width_px"])
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_movement_that_is_not_finite_is_refused(
    stored: ServedMovements, tmp_path: Path, name: str, value: float
) -> None:
    """Only a target width may be NaN: unknown."""
    tensor = getattr(stored.canonical, name).clone()
    tensor.view(-1)[4] = value
    movements = replace(stored, canonical=replace(stored.canonical, **{name: tensor}))
    if name == "target_width_px" and value != value:
        write_served(movements, tmp_path / "folder")
        assert read_served(tmp_path / "folder").canonical.target_width_px[4].isnan()
    else:
        with pytest.raises(CheckpointError, match=f"^{name} holds NaN or infinity"):
            write_served(movements, tmp_path / "folder")
        assert not any(tmp_path.iterdir())


# damage


def test_a_folder_of_something_else_is_refused(gan: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"expected movements of the service, but got gan$"):
        read_served(gan)
    with pytest.raises(CheckpointError, match="no such file"):
        read_served(tmp_path / "nothing")


def test_altered_movements_are_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / RECORD).write_bytes((folder / RECORD).read_bytes())
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="truncated or altered"):
        read_served(tmp_path)


def without(name: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def change(tensors: dict[str, Any], record: dict[str, Any]) -> None:
        (tensors if name in tensors else record).pop(name)

    return change


def fewer(tensors: dict[str, Any], record: dict[str, Any]) -> None:
    record["group"] = record["group"][:-1]


def shorter(tensors: dict[str, Any], record: dict[str, Any]) -> None:
    tensors["angle"] = tensors["angle"][:-1]


def of_fewer_sources(tensors: dict[str, Any], record: dict[str, Any]) -> None:
    record["source"] = record["source"][:-1]


def of_another_form(tensors: dict[str, Any], record: dict[str, Any]) -> None:
    record["form"] = {"representation": "splines"}


def of_no_form(tensors: dict[str, Any], record: dict[str, Any]) -> None:
    record["form"] = None


MISSING = ("model", "model_sha256", "request", "refused", "group", "form", "deltas", "target_width_px")
OTHERWISE = (fewer, shorter, of_fewer_sources, of_another_form, of_no_form)
DAMAGE = {**{name: without(name) for name in MISSING}, **{damage.__name__: damage for damage in OTHERWISE}}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damage_is_one_line(
    folder: Path, tmp_path: Path, damage: Callable[[dict[str, Any], dict[str, Any]], None]
) -> None:
    tensors, record = load_checkpoint(folder)
    damage(tensors, record)
    save_checkpoint(tmp_path / "folder", tensors, record)
    with pytest.raises(CheckpointError) as exc_info:
        read_served(tmp_path / "folder")
    assert str(exc_info.value).startswith(f"{tmp_path / 'folder'}: incomplete movements of the service (")
    assert "\n" not in str(exc_info.value)


def test_a_folder_without_sources_is_of_samples(folder: Path, tmp_path: Path) -> None:
    tensors, record = load_checkpoint(folder)
    del record["source"]
    save_checkpoint(tmp_path / "folder", tensors, record)
    assert set(read_served(tmp_path / "folder").canonical.source) == {SAMPLE}


def test_an_unreadable_record_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    (tmp_path / RECORD).write_text("{")
    with pytest.raises(CheckpointError, match="not a readable JSON record"):
        read_served(tmp_path)
    (tmp_path / RECORD).write_text(json.dumps([1]))
    with pytest.raises(CheckpointError, match="expected a record to be a JSON object, but got"):
        read_served(tmp_path)


def test_unknown_widths_stay_unknown(stored: ServedMovements, tmp_path: Path) -> None:
    unknown = replace(stored.canonical, target_width_px=torch.full((30,), torch.nan, dtype=torch.float64))
    write_served(replace(stored, canonical=unknown), tmp_path / "folder")
    assert bool(read_served(tmp_path / "folder").canonical.target_width_px.isnan().all())
