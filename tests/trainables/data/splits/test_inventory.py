"""Prepared sets: listed with what they hold, found by user, compared with their hashes, deleted whole or not at all."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.trainables.data.source_tables import write_sources
from trainables.core.atomic_files import try_lock
from trainables.core.config import digest
from trainables.data.config import DataConfig
from trainables.data.splits import derived as derived_module
from trainables.data.splits import inventory
from trainables.data.splits.derived import derived
from trainables.data.splits.inventory import delete, holding, is_being_prepared, stored_sets
from trainables.data.splits.loading import load_splits
from trainables.data.splits.store import ENVIRONMENT, LOCKS, MANIFEST, STAGED, Writer, prepared_set
from trainables.training import manifest

A, B, C, D, E, F, G, H = map(digest, "abcdefgh")
OLD = digest("old")


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A store of the test's own."""
    folder = tmp_path / "store"
    monkeypatch.setenv(ENVIRONMENT, str(folder))
    load_splits.cache_clear()
    yield folder
    load_splits.cache_clear()


def written(key: str, **account: object) -> None:
    """Prepare a set with one small array and an account."""

    def prepare(writer: Writer) -> dict[str, object]:
        writer.save("values", np.arange(4))
        return account

    prepared_set(key, prepare)


def users(*names: str) -> dict[str, object]:
    return {"names": {"group": list(names), "source": ["s"]}}


def reasons(user: str) -> dict[str, str]:
    return {stored.key: reason for stored, reason in holding(user, stored_sets())}


def test_a_store_that_is_not_there_holds_no_set(store: Path) -> None:
    assert stored_sets() == []
    assert not store.exists()


def test_a_set_of_recordings_and_what_is_derived_from_it_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    splits = load_splits(DataConfig())
    monkeypatch.setattr(derived_module, "PART", 100)
    derived(splits["train"], "condition", lambda part: part.condition())
    by_parent = {stored.parent is None: stored for stored in stored_sets()}
    own, other = by_parent[True], by_parent[False]
    assert own.label == "cursory"
    assert own.movements == sum(len(split) for split in splits.splits.values())
    assert own.users == sorted({user for split in splits.splits.values() for user in split.group})
    assert (other.parent, other.label) == (own.key, f"condition of {own.key}/train")
    assert (other.users, other.movements) == (None, None)
    assert own.is_of_this_version
    assert other.is_of_this_version
    for stored in (own, other):
        assert stored.bytes == sum(file.stat().st_size for file in stored.path.iterdir())
        assert list(stored.damage()) == []
    user = own.users[0]
    assert [(stored.key, reason) for stored, reason in holding(user, stored_sets())] == [
        (other.key, f"derived from {own.key}"),
        (own.key, "holds their movements"),
    ]
    assert holding("another", stored_sets()) == []


def test_the_paths_of_recordings_are_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    load_splits(write_sources(Path("table.parquet"), "one"))
    (stored,) = stored_sets()
    assert stored.label == "table"
    assert stored.manifest["paths"] == [str(tmp_path / "table.parquet")]


def test_the_sets_of_a_user_are_those_that_name_the_user_or_do_not_say_whose_they_are(store: Path) -> None:
    written(A, **users("u", "v"))
    written(B, **users("v"))
    written(C, parent=A, split="train", name="n")
    written(D, parent=B, split="train", name="n")
    written(E, parent=digest("gone"), split="train", name="n")
    written(F)
    written(G, **users("v"))
    (store / G / MANIFEST).write_text("{")
    (store / f"{STAGED}-{H}").mkdir()
    assert reasons("u") == {
        A: "holds their movements",
        C: f"derived from {A}",
        E: "derived from a set that is not there",
        F: "does not record its users",
        G: "does not record its users",
        H: "does not record its users",
    }
    order = [stored.key for stored, _ in holding("u", stored_sets())]
    assert set(order[:2]) == {C, E}
    assert all(delete(stored) for stored, _ in holding("u", stored_sets()))
    assert sorted(stored.key for stored in stored_sets()) == sorted([B, D])
    assert reasons("u") == {}


def test_a_folder_that_is_no_set_is_neither_listed_nor_found(store: Path) -> None:
    """The store may be a folder with other files: names that are no keys, and names like keys with files of others."""
    others = ["thesis/chapter.tex", "thesis/manifest.json", "photos/a.npy", f".{A}/a.npy", f"{A.upper()}/a.npy"]
    others += [f"{A}/notes.txt", f"{B}/manifest.json", f"{B}/raw/a.npy", f"{C}/parts/notes.txt"]
    for name in others:
        (store / name).parent.mkdir(parents=True, exist_ok=True)
        (store / name).write_text("{}")
    assert stored_sets() == []
    assert reasons("unknown") == {}
    written(D, **users("u"))
    (store / D / "notes.txt").touch()  # its manifest is whole
    assert [stored.key for stored in stored_sets()] == [D]


def test_what_a_preparation_leaves_at_any_time_is_a_set(store: Path) -> None:
    for number, name in enumerate(("manifest.json", ".manifest.json", "train.deltas.npy", "parts/0/deltas.npy")):
        file = store / f"{STAGED}-{number:016x}" / name
        file.parent.mkdir(parents=True)
        file.touch()
    (store / f"{STAGED}-{9:016x}").mkdir()
    assert sorted(stored.key for stored in stored_sets()) == [f"{number:016x}" for number in (0, 1, 2, 3, 9)]
    assert all(stored.is_unfinished and delete(stored) for stored in stored_sets())
    assert [path.name for path in store.iterdir()] == [LOCKS]


def test_a_set_that_another_process_holds_is_left_whole(store: Path) -> None:
    written(A, **users("u"))
    (stored,) = stored_sets()
    with try_lock(store / LOCKS / A):
        assert is_being_prepared(A)
        assert not delete(stored)
        assert list(stored.damage()) == []
    assert not is_being_prepared(A)
    assert delete(stored)
    assert stored_sets() == []


def test_a_deletion_that_was_cut_leaves_no_set_under_its_name(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(A, **users("u"))
    (stored,) = stored_sets()

    def cut(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "rmtree", cut)
        with pytest.raises(KeyboardInterrupt):
            delete(stored)
    assert not (store / A).exists()
    (left,) = stored_sets()
    assert (left.key, left.is_unfinished) == (A, True)
    assert reasons("u").keys() == {A}
    assert delete(left)
    assert stored_sets() == []


def test_what_is_mapped_outlives_its_set() -> None:
    written(A, **users("u"))
    mapped = prepared_set(A, lambda writer: pytest.fail("it is there")).tensor("values")
    assert delete(stored_sets()[0])
    assert mapped.tolist() == [0, 1, 2, 3]


def test_damage_is_named_for_each_array(store: Path) -> None:
    def prepare(writer: Writer) -> dict[str, object]:
        for name in ("one", "two", "three"):
            writer.save(name, np.arange(9))
        return {}

    prepared_set(A, prepare)
    content = bytearray((store / A / "one.npy").read_bytes())
    content[-1] ^= 1
    (store / A / "one.npy").write_bytes(bytes(content))
    (store / A / "two.npy").unlink()
    assert list(stored_sets()[0].damage()) == ["one.npy differs from its hash", "two.npy is missing"]
    (store / A / MANIFEST).write_text(json.dumps([1]))
    assert list(stored_sets()[0].damage()) == [inventory.UNREADABLE]


def test_a_set_of_other_code_is_of_another_version(monkeypatch: pytest.MonkeyPatch) -> None:
    load_splits(DataConfig())
    written(OLD, **users("u"))
    assert {stored.key == OLD: stored.is_of_this_version for stored in stored_sets()} == {True: False, False: True}
    monkeypatch.setattr(manifest, "code_sha256", lambda folder: "other")
    assert not any(stored.is_of_this_version for stored in stored_sets())


def test_the_latest_set_comes_first(store: Path) -> None:
    for number, key in enumerate((B, A, C)):
        written(key, **users("u"))
        os.utime(store / key / MANIFEST, (number, number))
    assert [stored.key for stored in stored_sets()] == [C, A, B]
    assert [stored.prepared_s for stored in stored_sets()] == [2, 1, 0]
