"""Changes of the registry: interrupted anywhere they leave a complete champion, and the next change recovers."""

import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from trainables.core import atomic_files
from trainables.model_registry import publisher as publication
from trainables.model_registry.publisher import lock_registry
from trainables.model_registry.registry import CHAMPION, DECISION, HISTORY, LOG, Registry, RegistryError, lineage_of
from trainables.training.checkpoint import RECORD, WEIGHTS, CheckpointError, save_checkpoint
from trainables.training.checkpoint_record import SELECTOR

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def _one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(publication, "now", lambda: "2030-01-01T00:00:00+00:00")


def checkpoint(folder: Path, value: int) -> Path:
    """A checkpoint that holds a number."""
    if not folder.exists():
        save_checkpoint(folder, {"w": torch.tensor([value])}, {"kind": "test", "epoch": value})
    return folder


def publish(registry: Registry, folder: Path, value: int) -> str:
    with lock_registry(registry) as publisher:
        return publisher.publish(checkpoint(folder / f"trial-{value}", value), {"reason": f"because of {value}"}).id


def value_of(registry: Registry) -> int | None:
    """Return the champion's entry, verified."""
    champion = registry.champion()
    return None if champion is None else int(str(champion.decision["reason"]).rpartition(" ")[2])


def content(path: Path) -> dict[str, Any]:
    """Every file and link of a folder."""
    return {
        file.relative_to(path).as_posix(): str(file.readlink()) if file.is_symlink() else file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_symlink() or file.is_file()
    }


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "registry")


def test_a_publication_copies_the_checkpoint_and_stores_the_decision(registry: Registry, tmp_path: Path) -> None:
    assert registry.champion() is None
    name = publish(registry, tmp_path, 1)
    shutil.rmtree(tmp_path / "trial-1")  # the copy does not live on it
    champion = registry.champion()
    assert champion is not None
    assert (champion.id, champion.path) == (name, registry.path / HISTORY / name)
    assert champion.decision["reason"] == "because of 1"
    assert name == f"0001-{champion.weights_sha256[:12]}"
    files = {path.name for path in registry.path.rglob("*") if path.is_file()}
    assert files == {WEIGHTS, RECORD, DECISION, LOG, atomic_files.LOCK}


def test_a_selector_is_published_with_its_checkpoint_and_verified_with_it(registry: Registry, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "trial-1", 1)
    save_checkpoint(folder / SELECTOR, {"w": torch.tensor([7])}, {"kind": "selector"})
    name = publish(registry, tmp_path, 1)
    copy = registry.entry(name).checkpoint
    assert content(copy) == content(folder)
    weights = copy / SELECTOR / WEIGHTS
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1])
    with pytest.raises(RegistryError, match="the tensors do not match their record"):
        registry.entry(name)
    weights.write_bytes(whole)
    assert registry.entry(name).id == name
    shutil.rmtree(copy / SELECTOR)
    with pytest.raises(RegistryError, match="describes another checkpoint"):
        registry.entry(name)


def test_a_selector_that_came_later_is_not_that_of_a_publication(registry: Registry, tmp_path: Path) -> None:
    copy = registry.entry(publish(registry, tmp_path, 1)).checkpoint
    save_checkpoint(copy / SELECTOR, {"w": torch.tensor([7])}, {"kind": "selector"})
    with pytest.raises(RegistryError, match="describes another checkpoint"):
        registry.champion()


def test_a_damaged_selector_is_never_published(registry: Registry, tmp_path: Path) -> None:
    folder = checkpoint(tmp_path / "trial-1", 1)
    save_checkpoint(folder / SELECTOR, {"w": torch.tensor([7])}, {"kind": "selector"})
    (folder / SELECTOR / WEIGHTS).write_bytes(b"")
    with pytest.raises(CheckpointError, match="do not match their record"):
        publish(registry, tmp_path, 1)
    assert registry.history() == []


def test_rollbacks_step_back_one_by_one_and_a_publication_starts_from_their_end(
    registry: Registry, tmp_path: Path
) -> None:
    for value in (1, 2, 3):
        publish(registry, tmp_path, value)
    with lock_registry(registry) as publisher:
        assert [publisher.rollback()[0].decision["reason"] for _ in range(2)] == ["because of 2", "because of 1"]
        with pytest.raises(RegistryError, match="no earlier champion to roll back to; the champion stays"):
            publisher.rollback()
    publish(registry, tmp_path, 4)
    assert [line["event"] for line in registry.log()] == [*["publication"] * 3, *["rollback"] * 2, "publication"]
    with lock_registry(registry) as publisher:
        publisher.rollback()
    assert value_of(registry) == 1
    assert len(registry.history()) == 4


def test_a_rollback_skips_incomplete_entries_and_reports_them(registry: Registry, tmp_path: Path) -> None:
    names = [publish(registry, tmp_path, value) for value in (1, 2, 3)]
    (registry.path / HISTORY / names[1] / "checkpoint" / WEIGHTS).write_bytes(b"half")
    with lock_registry(registry) as publisher:
        entry, passed = publisher.rollback()
    assert (entry.id, passed, value_of(registry)) == (names[0], (names[1],), 1)


class Cut(BaseException):
    """Stands in for the end of the process; nothing of ours catches it."""


def cut_before(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the process end before its `step`-th change of anything on disk."""
    changes = itertools.count()

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if next(changes) == step:
                raise Cut
            return change(*args, **options)

        return call

    for name in ("rename", "replace", "symlink_to", "unlink", "mkdir"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    append = counted(atomic_files.append)
    for module in (atomic_files, publication):
        monkeypatch.setattr(module, "append", append)
    for name in ("rmtree", "copyfile"):
        monkeypatch.setattr(shutil, name, counted(getattr(shutil, name)))
    for name in ("fsync", "truncate"):
        monkeypatch.setattr(os, name, counted(getattr(os, name)))


def rollback(registry: Registry, folder: Path, value: int) -> None:
    with lock_registry(registry) as publisher:
        publisher.rollback()


@pytest.mark.parametrize(
    ("before", "change", "value", "after"),
    [((), publish, 1, 1), ((1,), publish, 2, 2), ((1, 2), publish, 3, 3), ((1, 2), rollback, 0, 1)],
    ids=["first", "second", "third", "rollback"],
)
def test_a_change_interrupted_between_any_two_steps_leaves_a_complete_champion(
    tmp_path: Path, before: tuple[int, ...], change: Callable[..., object], value: int, after: int
) -> None:
    old = before[-1] if before else None
    for step in itertools.count():
        registry = Registry(tmp_path / f"cut-{step}")
        for earlier in before:
            publish(registry, tmp_path, earlier)
        checkpoint(tmp_path / f"trial-{value}", value)
        with pytest.MonkeyPatch.context() as patch:
            cut_before(patch, step)
            try:
                change(registry, tmp_path, value)
                break
            except Cut:
                pass
        found = value_of(registry)
        assert found in (old, after), step
        if found != after:
            change(registry, tmp_path, value)
        publish(registry, tmp_path, 4)
        uncut = Registry(tmp_path / f"uncut-{step}")
        for earlier in before:
            publish(uncut, tmp_path, earlier)
        change(uncut, tmp_path, value)
        publish(uncut, tmp_path, 4)
        assert content(registry.path) == content(uncut.path), step
    assert step > 5  # the loop ended because no step was left to cut


def test_the_rest_of_an_interrupted_publication_is_removed_even_if_the_removal_is_interrupted(
    registry: Registry, tmp_path: Path
) -> None:
    publish(registry, tmp_path, 1)
    whole = content(registry.path)
    shutil.copytree(registry.path / CHAMPION, registry.path / HISTORY / "0002-0123456789ab")  # never named by the link
    (registry.path / HISTORY / "0002-0123456789ab" / DECISION).unlink()
    (registry.path / HISTORY / ".0003-0123456789ab").mkdir()
    (registry.path / f".{CHAMPION}").symlink_to("nowhere")
    with (registry.path / LOG).open("a") as stream:
        stream.write('{"champion": "0002-01')
    with lock_registry(registry):
        assert content(registry.path) == whole


def test_a_full_disk_is_one_line_and_does_not_change_the_champion(
    registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = publish(registry, tmp_path, 1)
    checkpoint(tmp_path / "trial-2", 2)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", full)
        with pytest.raises(RegistryError, match=rf"No space left on device\); the champion is {name}"):
            publish(registry, tmp_path, 2)
    assert value_of(registry) == 1
    assert publish(registry, tmp_path, 2)
    assert value_of(registry) == 2


def test_an_incomplete_checkpoint_is_never_published(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, 1)
    before = content(registry.path)
    (checkpoint(tmp_path / "trial-2", 2) / WEIGHTS).write_bytes(b"half")
    with pytest.raises(CheckpointError, match="truncated or altered"):
        publish(registry, tmp_path, 2)
    assert content(registry.path) == before


def test_a_failed_copy_is_never_published(registry: Registry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(registry, tmp_path, 1)
    copyfile = shutil.copyfile

    def altered(source: Path, target: Path) -> None:
        copyfile(source, target)
        target.write_bytes(target.read_bytes().replace(b"\x02", b"\x03"))

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfile", altered)
        with pytest.raises(RegistryError, match="do not match their record"):
            publish(registry, tmp_path, 2)
    assert (value_of(registry), len(registry.history())) == (1, 1)


def test_a_refusal_is_written_down_and_changes_no_champion(registry: Registry, tmp_path: Path) -> None:
    publish(registry, tmp_path, 1)
    for reason in ("first", "second"):
        with lock_registry(registry) as publisher:
            publisher.refuse("ab" * 32, {"reason": reason})
    assert [json.loads(file.read_text())["reason"] for file in registry.refusals()] == ["first", "second"]
    assert value_of(registry) == 1


def test_the_lineage_is_the_stack_of_publications_and_rollbacks() -> None:
    """Every sequence of five changes against a stack that is pushed and popped."""
    for changes in itertools.product(("publish", "rollback"), repeat=5):
        stack: list[str] = []
        log = []
        for number, change in enumerate(changes):
            if change == "rollback" and len(stack) < 2:
                continue
            if change == "rollback":
                stack.pop()
            else:
                stack.append(str(number))
            log.append({"champion": stack[-1]})
        assert lineage_of(log) == stack


# two processes

ENDLESS = """
import sys
from pathlib import Path
from trainables.model_registry.publisher import lock_registry
from trainables.model_registry.registry import Registry, RegistryError
print("ready", flush=True)
while True:
    try:
        with lock_registry(Registry(Path(sys.argv[1]))) as publisher:
            for value in (1, 2):
                publisher.publish(Path(sys.argv[2]) / f"trial-{value}", {"reason": f"because of {value}"})
    except RegistryError as error:
        if "in use by another process" not in str(error):
            raise
"""


def test_readers_see_a_complete_champion_at_every_moment_and_a_killed_process_leaves_no_lock(
    registry: Registry, tmp_path: Path
) -> None:
    for value in (1, 2):
        checkpoint(tmp_path / f"trial-{value}", value)
    command = [sys.executable, "-c", ENDLESS, str(registry.path), str(tmp_path)]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process, process.stdout:
        try:
            assert process.stdout.readline() == "ready\n"
            reads, refused = 0, 0
            while reads < 200 or ((not refused or len(registry.history()) < 3) and process.poll() is None):
                reads += 1
                assert value_of(registry) in (None, 1, 2)
                try:
                    with lock_registry(registry):
                        pass
                except RegistryError as error:
                    refused += "in use by another process" in str(error)
        finally:
            process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert value_of(registry) in (1, 2)
    publish(registry, tmp_path, 3)
    assert value_of(registry) == 3
    assert list(registry.path.rglob(".*")) == [registry.path / atomic_files.LOCK]


def test_a_recovered_registry_is_still_locked(registry: Registry, tmp_path: Path) -> None:
    """Files that recovery removes have names like the lock's."""
    with lock_registry(registry):
        for _ in range(2):
            with pytest.raises(RegistryError, match="in use by another process"), lock_registry(registry):
                pass
    assert publish(registry, tmp_path, 1)
