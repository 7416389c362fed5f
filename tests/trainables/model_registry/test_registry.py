"""Reading the registry: a complete champion, none before the first, and one line for anything else."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from trainables.model_registry.publisher import lock_registry
from trainables.model_registry.registry import CHAMPION, CHECKPOINT, DECISION, HISTORY, LOG, Registry, RegistryError
from trainables.training.checkpoint import RECORD, WEIGHTS, save_checkpoint


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Two publications; the champion is the second."""
    registry = Registry(tmp_path / "registry")
    for value in (1, 2):
        folder = tmp_path / f"trial-{value}"
        save_checkpoint(folder, {"w": torch.tensor([float(value)])}, {"kind": "test"})
        with lock_registry(registry) as publisher:
            publisher.publish(folder, {"reason": f"because of {value}"})
    return registry


def champion_folder(registry: Registry) -> Path:
    return registry.path / HISTORY / registry.history()[-1]


def change_weights(registry: Registry) -> None:
    file = champion_folder(registry) / CHECKPOINT / WEIGHTS
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def change_record(registry: Registry) -> None:
    file = champion_folder(registry) / CHECKPOINT / RECORD
    file.write_text(json.dumps(json.loads(file.read_text()) | {"kind": "other"}))


def exchange_checkpoint(registry: Registry) -> None:
    """A whole checkpoint, but another one."""
    shutil.rmtree(champion_folder(registry) / CHECKPOINT)
    shutil.copytree(
        registry.path / HISTORY / registry.history()[0] / CHECKPOINT, champion_folder(registry) / CHECKPOINT
    )


def point_elsewhere(registry: Registry) -> None:
    link = registry.path / CHAMPION
    link.unlink()
    link.symlink_to("../trial-1")


def copy_without_links(registry: Registry) -> None:
    link = registry.path / CHAMPION
    link.unlink()
    shutil.copytree(champion_folder(registry), link)


def write_decision(text: str) -> Callable[[Registry], object]:
    return lambda registry: (champion_folder(registry) / DECISION).write_text(text)


DAMAGES: dict[str, tuple[Callable[[Registry], object], str]] = {
    "weights changed by a bit": (change_weights, "truncated or altered"),
    "weights missing": (lambda r: (champion_folder(r) / CHECKPOINT / WEIGHTS).unlink(), "no such file"),
    "record changed": (change_record, "describes another checkpoint"),
    "record missing": (lambda r: (champion_folder(r) / CHECKPOINT / RECORD).unlink(), "cannot be read"),
    "another checkpoint": (exchange_checkpoint, "describes another checkpoint"),
    "decision missing": (lambda r: (champion_folder(r) / DECISION).unlink(), "cannot be read"),
    "decision cut": (write_decision('{"reason": "beca'), "cannot be read"),
    "decision of no entry": (write_decision('{"reason": "any"}'), "cannot be read"),
    "decision a list": (write_decision("[]"), "cannot be read"),
    "entry missing": (lambda r: shutil.rmtree(champion_folder(r)), "cannot be read"),
    "link elsewhere": (point_elsewhere, "not a link to an entry"),
    "link missing": (lambda r: (r.path / CHAMPION).unlink(), "not a link to an entry"),
    "link a folder": (copy_without_links, "move it away (copy registries with cp -a), then"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_an_incomplete_entry_is_an_error_with_its_remedy_and_a_rollback_helps(registry: Registry, damage: str) -> None:
    change, part = DAMAGES[damage]
    change(registry)
    with pytest.raises(RegistryError) as exc_info:
        registry.champion()
    message = str(exc_info.value)
    assert part in message
    assert "python -m platform.promote rollback" in message
    assert "\n" not in message
    if damage == "link a folder":
        shutil.rmtree(registry.path / CHAMPION)
    with lock_registry(registry) as publisher:
        entry, _ = publisher.rollback()
    assert registry.champion() == entry
    link_only = damage.startswith("link")  # the champion itself was whole then
    assert entry.decision["reason"] == ("because of 2" if link_only else "because of 1")


def test_without_a_publication_there_is_no_champion(tmp_path: Path) -> None:
    registry = Registry(tmp_path / "nowhere")
    assert registry.champion() is None
    assert (registry.history(), registry.log(), registry.refusals()) == ([], [], [])
    assert not registry.path.exists()
    with lock_registry(registry):
        pass
    assert registry.champion() is None


def test_a_registry_may_be_moved_and_copied_with_its_links(registry: Registry, tmp_path: Path) -> None:
    shutil.copytree(registry.path, tmp_path / "copy", symlinks=True)
    registry.path.rename(tmp_path / "moved")
    for place in ("copy", "moved"):
        champion = Registry(tmp_path / place).champion()
        assert champion is not None
        assert champion.decision["reason"] == "because of 2"


def test_an_entry_stays_readable_when_another_becomes_champion(registry: Registry) -> None:
    before = registry.champion()
    assert before is not None
    with lock_registry(registry) as publisher:
        publisher.rollback()
    assert registry.champion() != before
    assert registry.entry(before.id) == before
    assert (before.checkpoint / WEIGHTS).is_file()


@pytest.mark.parametrize("text", ["no line\n", "[]\n", '{"champion": "../x"}\n', "\xff\n"])
def test_a_damaged_log_is_reported_by_its_line_and_hides_no_champion(registry: Registry, text: str) -> None:
    whole = (registry.path / LOG).read_text()
    (registry.path / LOG).write_text(whole.splitlines(keepends=True)[0] + text, encoding="latin-1")
    with pytest.raises(RegistryError, match=r"log.jsonl, line 2: not a line of this log"), lock_registry(registry):
        pass
    assert registry.champion() is not None


def test_a_missing_log_is_reported_and_nothing_is_removed(registry: Registry) -> None:
    (registry.path / LOG).unlink()
    with (
        pytest.raises(RegistryError, match="no such file, but it records the order of champions"),
        lock_registry(registry),
    ):
        pass
    assert len(registry.history()) == 2


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(RegistryError, match="cannot write there"),
        lock_registry(Registry(tmp_path / "file" / "registry")),
    ):
        pass


def test_the_registry_of_a_storage_path_is_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Registry.below("results") == Registry(tmp_path / "results" / "registry")
    assert Registry.below("results", "other") == Registry(tmp_path / "results" / "other")
