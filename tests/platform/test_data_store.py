"""The verbs on prepared data: `store` lists, verifies and prunes, `forget` removes a user and says what remains."""

import json
import os
import shlex
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from platform.core import data_store
from platform.data import COMMAND, main
from trainables.core.atomic_files import try_lock
from trainables.core.cli import WRONG_INPUT, parse, run
from trainables.core.config import digest
from trainables.data.config import DataConfig
from trainables.data.splits.inventory import stored_sets
from trainables.data.splits.loading import load_splits
from trainables.data.splits.store import CONTENTS, ENVIRONMENT, LOCKS, MANIFEST, content_hashes, prepared_set
from trainables.training.checkpoint import save_checkpoint

USER = "sapimouse/user64"
OLD, NEW = digest("old"), digest("new")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store of the test's own, with the default data and a set of an older version."""
    folder = tmp_path / "store"
    monkeypatch.setenv(ENVIRONMENT, str(folder))
    monkeypatch.chdir(tmp_path)
    load_splits.cache_clear()
    load_splits(DataConfig())
    prepared_set(OLD, lambda writer: {"names": {"group": ["a", "b"]}})
    yield folder
    load_splits.cache_clear()


def keys() -> list[str]:
    return sorted(stored.key for stored in stored_sets())


def present(store: Path) -> str:
    (key,) = set(keys()) - {OLD}
    os.utime(store / key / MANIFEST, (1, 1))
    return key


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    assert run(COMMAND, main, list(arguments)) == code
    return capsys.readouterr().out


def test_sets_are_listed_with_what_they_hold_and_without_names_of_users(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = present(store)
    text = printed(capsys, "store", "json=made/store.json")
    (row,) = [line.split() for line in text.splitlines() if line.startswith(key)]
    (own,) = [stored for stored in stored_sets() if stored.key == key]
    size = f"{own.bytes / 1e6:.1f}"
    assert row == [key, "cursory", "1,829", "65", size, "1970-01-01T00:00:01+00:00", "this"]
    assert f"{store}: 2 sets, {sum(stored.bytes for stored in stored_sets()) / 1e6:.1f} MB" in text
    content = json.loads(Path("made/store.json").read_text())
    assert {row["key"]: row["version"] for row in content["sets"]} == {key: "this", OLD: "another"}
    assert content["folder"] == str(store)
    assert "sapimouse/" not in text + json.dumps(content)


def test_whole_sets_are_verified_and_a_damaged_array_is_named(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "verified: the arrays of 2 sets equal their hashes" in printed(capsys, "store", "verify=true")
    file = store / present(store) / "test.mask.npy"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    text = printed(capsys, "store", "verify=true", "json=store.json", code=1)
    assert f"damaged: {present(store)}: test.mask.npy differs from its hash" in text
    assert "verified: damaged: 1 of 2 sets; delete the folders" in text
    damage = {row["key"]: row["damage"] for row in json.loads(Path("store.json").read_text())["sets"]}
    assert damage == {present(store): ["test.mask.npy differs from its hash"], OLD: []}
    assert "damaged" not in printed(capsys, "store")


def test_sets_of_other_versions_are_pruned_and_a_plan_deletes_nothing(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = present(store)
    size = next(f"{stored.bytes / 1e6:.1f}" for stored in stored_sets() if stored.key == OLD)
    assert f"would be deleted: 1 set of other versions, {size} MB" in printed(capsys, "store", "prune=true", "--plan")
    assert keys() == sorted([key, OLD])
    assert f"deleted: 1 set of other versions, {size} MB" in printed(capsys, "store", "prune=true")
    assert keys() == [key]


def test_other_folders_in_the_store_are_left_as_they_are(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [store / "thesis" / "chapter.tex", store / "photos" / "one.npy", store / ("0" * 16) / "notes.txt"]
    for file in files:
        file.parent.mkdir()
        file.touch()
    assert "deleted: 1 set of other versions" in printed(capsys, "store", "prune=true")
    assert "no prepared set holds movements of unknown" in printed(capsys, "forget", "user=unknown")
    assert all(file.exists() for file in files)


def test_what_another_process_prepares_is_neither_pruned_nor_called_damaged(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (store / f".staged-{NEW}").mkdir()
    with try_lock(store / LOCKS / NEW):
        text = printed(capsys, "store", "verify=true", "prune=true")
        assert "verified: the arrays of 2 sets" in text
        assert NEW in keys()
    printed(capsys, "store", "prune=true")
    assert keys() == [present(store)]


def test_a_user_is_removed_from_prepared_data_and_the_models_are_named(
    store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    key = present(store)
    users = {"train": {USER: 7}, "validation": {"v": 1}}
    for name, record in (("new", {"users": users}), ("old", {})):
        save_checkpoint(Path("results") / name, {"w": torch.ones(1)}, {"kind": "gan", **record})
    plan = printed(capsys, "forget", f"user={USER}", "--plan")
    assert keys() == sorted([key, OLD])
    assert "would be deleted: 1 set" in plan
    text = printed(capsys, "forget", f"user={USER}")
    assert keys() == [OLD]
    assert f"prepared data: {store}" in text
    (row,) = [line for line in text.splitlines() if line.startswith(key)]
    assert row.endswith("holds their movements")
    assert "deleted: 1 set, 2.1 MB" in text
    assert any(line.split()[:2] == ["results/new", "gan"] and "trained on 7" in line for line in text.splitlines())
    assert any(line.split()[:2] == ["results/old", "gan"] and "before version" in line for line in text.splitlines())
    assert "train them again without this user" in text
    assert sorted(path.name for path in Path("results").iterdir()) == ["new", "old"]
    (override,) = shlex.split(text.splitlines()[-1])
    assert override == f'trainable.data.leave_out_users=["{USER}"]'
    Path("elsewhere").mkdir()
    again = printed(capsys, "forget", f"user={USER}", "runs=elsewhere")
    assert f"no prepared set holds movements of {USER}" in again
    assert "no model below" in again


def test_no_model_is_cleared_without_a_folder_of_models(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "forget", f"user={USER}", "--plan")
    assert f"the folder {Path('results').absolute()} does not exist: no models were examined" in text
    assert "no model below" not in text
    Path("results").touch()
    for name in ("results", "elsewhere"):
        assert run(COMMAND, main, ["forget", f"user={USER}", f"runs={name}"]) == WRONG_INPUT
        assert f"but got runs={name}, which is no folder; correct it" in capsys.readouterr().err
    assert len(keys()) == 2


def test_the_paths_of_recordings_are_forgotten_with_the_sets(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recording = Path("lab") / "alice_smith" / "s.csv"
    recording.parent.mkdir(parents=True)
    recording.touch()
    content_hashes({recording: (0, 0, 0)})
    assert "alice_smith" in (store / CONTENTS).read_text()
    printed(capsys, "forget", f"user={USER}", "--plan")
    with try_lock(store / LOCKS / CONTENTS):
        assert "index of the files that were read is in use" in printed(capsys, "forget", f"user={USER}", code=1)
    assert (store / CONTENTS).exists()
    printed(capsys, "forget", f"user={USER}")
    assert not any(b"alice_smith" in file.read_bytes() for file in store.rglob("*") if file.is_file())


def test_a_plan_makes_no_file(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(store / LOCKS)
    before = sorted(store.rglob("*"))
    assert "would be deleted: 1 set" in printed(capsys, "store", "prune=true", "--plan")
    assert "would be deleted: 1 set" in printed(capsys, "forget", f"user={USER}", "--plan")
    assert sorted(store.rglob("*")) == before


@pytest.mark.parametrize(
    "content",
    [
        {"paths": 5},
        {"paths": [5]},
        {"movements": "many"},
        {"movements": {"train": "many"}},
        {"arrays": {"a": {"bytes": 1}}},
        {"arrays": {"a": 1}},
        {"arrays": None},
        {"names": {"group": 3}},
        {"names": ["a"]},
        {"parent": ["a"]},
        {"label": 1},
    ],
)
def test_a_malformed_manifest_is_one_that_cannot_be_read(
    content: dict[str, object], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (store / OLD / MANIFEST).write_text(json.dumps({"arrays": {}, **content}))
    text = printed(capsys, "store", "verify=true", code=1)
    assert f"damaged: {OLD}: manifest.json is missing or cannot be read" in text
    assert f"{OLD}  -" in text
    assert "does not record its users" in printed(capsys, "forget", "user=unknown", "--plan")


@pytest.mark.parametrize("verb", [["store"], ["forget", "user=a"]])
def test_a_store_that_is_no_folder_or_cannot_be_read_is_one_line(
    verb: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(folder: Path) -> Iterator[Path]:
        raise PermissionError(13, "Permission denied", str(folder))

    (tmp_path / "file").touch()
    monkeypatch.setenv(ENVIRONMENT, str(tmp_path / "file"))
    assert run(COMMAND, main, verb) == WRONG_INPUT
    law = f"the store of prepared data {tmp_path / 'file'} to be a folder that can be read"
    assert f"{law}, but got Not a directory; correct {ENVIRONMENT}" in capsys.readouterr().err
    monkeypatch.setattr(Path, "iterdir", refuse)
    assert run(COMMAND, main, verb) == WRONG_INPUT
    assert f"{law}, but got Permission denied" in capsys.readouterr().err


def test_the_printed_key_leaves_the_user_out() -> None:
    from platform.train import COMMAND as TRAIN

    for name in (USER, "7", "null", 'a, "b"]', "O'Brien"):
        key = f"trainable.data.leave_out_users=[{json.dumps(name, ensure_ascii=False)}]"
        (override,) = shlex.split(shlex.quote(key))
        assert parse(TRAIN, [override]).config["trainable"]["data"]["leave_out_users"] == [name]
    assert USER not in load_splits(replace(DataConfig(), leave_out_users=(USER,)))["train"].group


def test_a_set_in_use_is_named_and_left_whole(store: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = present(store)
    with try_lock(store / LOCKS / key):
        for arguments in (["--plan"], []):
            text = printed(capsys, "forget", f"user={USER}", *arguments, code=1)
            assert "in use: another process prepares it" in text
            assert "deleted: 0 sets, 0.0 MB" in text
            assert "give the same command again" in text
    assert keys() == sorted([key, OLD])


def test_a_name_of_no_user_is_answered_with_names_like_it(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "forget", "user=user64")
    assert text.splitlines()[-1] == f"user64 is none of the 67 users of the prepared data; did you mean {USER}?"
    assert len(keys()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["forget"], "expected `user` to be the name of a user, but got an empty text; add user=NAME"),
        (["forget", "user=a", "runs="], "expected `runs` to be a folder"),
        (["forget", "user=a", "split=test"], "unknown key split"),
        (["store", "user=a"], "unknown key user"),
        (["store", "--plan"], "expected prune=true with --plan, but got --plan alone; add prune=true, or leave"),
        (["store", "--dry"], "unknown option --dry; known: --help, --cfg job, --plan"),
        (["store", "forget"], "expected an override key=value, but got forget"),
        (["conditions", "verify=true"], "unknown key verify"),
    ],
)
def test_wrong_input_is_one_line_and_deletes_nothing(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(COMMAND, main, arguments) == WRONG_INPUT
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert len(keys()) == 2


@pytest.mark.parametrize("arguments", [["store", "prune=true"], ["forget", "user=a"]])
def test_a_store_that_cannot_be_written_is_one_line(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from platform.core import forget_user

    def refuse(stored: object) -> bool:
        raise PermissionError(13, "Permission denied")

    for module in (data_store, forget_user):
        monkeypatch.setattr(module, "delete", refuse)
    assert run(COMMAND, main, arguments) == WRONG_INPUT
    assert "to be writable, but got Permission denied; correct its rights" in capsys.readouterr().err


def test_help_of_a_verb_prints_its_keys_alone(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "forget", "--help")
    assert text.startswith("usage: python -m platform.data forget [--help]")
    assert "runs=results" in text
    assert "split=" not in text
