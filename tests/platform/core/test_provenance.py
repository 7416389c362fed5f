"""The checkout of a driver: its commit, and all that is not committed, as a patch that restores it."""

import subprocess
from pathlib import Path

import pytest

from platform.core import provenance
from platform.core.provenance import FOLDER, source_of


def git(root: Path, *arguments: str, stdin: str = "") -> str:
    command = ["git", "-C", str(root), "-c", "user.name=t", "-c", "user.email=t@example.org", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    root = tmp_path / "checkout"
    (root / "code").mkdir(parents=True)
    (root / "constraints.txt").write_text("torch==1\n")
    (root / "code" / "a.py").write_text("x = 1\n")
    (root / ".gitignore").write_text("results/\n*.tmp\n")
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    return root


def test_a_clean_checkout_is_its_commit(checkout: Path, tmp_path: Path) -> None:
    found = source_of(checkout)
    assert found.commit == git(checkout, "rev-parse", "HEAD").strip()
    assert (found.diff, found.diff_sha256, found.reason) == ("", None, None)
    assert found.keep(tmp_path / "study")["dirty"] is False
    assert not (tmp_path / "study").exists()


def test_the_kept_patch_restores_staged_unstaged_and_new_files(checkout: Path, tmp_path: Path) -> None:
    (checkout / "code" / "a.py").write_text("x = 2\n")
    git(checkout, "add", "code/a.py")
    (checkout / "constraints.txt").write_text("torch==2\n")
    (checkout / "code" / "näw file.py").write_text("y = 1\n")
    (checkout / "top.py").write_text("z = 1\n")
    (checkout / "results").mkdir()
    (checkout / "results" / "large.py").write_text("ignored")
    (checkout / "code" / "cache.tmp").write_text("ignored")
    (checkout / "elsewhere").mkdir()
    (checkout / "elsewhere" / "notes.txt").write_text("no tracked file is here")
    facts = source_of(checkout).keep(tmp_path / "study")
    [kept] = (tmp_path / "study" / FOLDER).iterdir()
    assert kept.name == f"{facts['diff_sha256']}.diff"
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(checkout), str(clone))
    git(clone, "apply", "-", stdin=kept.read_text())
    for name in ("code/a.py", "constraints.txt", "code/näw file.py", "top.py"):
        assert (clone / name).read_text() == (checkout / name).read_text()
    assert not (clone / "results").exists()
    assert not (clone / "code" / "cache.tmp").exists()
    assert not (clone / "elsewhere").exists()


def test_a_state_is_kept_once_and_every_change_is_another(checkout: Path, tmp_path: Path) -> None:
    hashes = set()
    for text in ("x = 2\n", "x = 3\n", "x = 2\n"):
        (checkout / "code" / "a.py").write_text(text)
        hashes.add(source_of(checkout).keep(tmp_path)["diff_sha256"])
    assert {f"{sha}.diff" for sha in hashes} == {path.name for path in (tmp_path / FOLDER).iterdir()}
    assert len(hashes) == 2


def test_a_large_untracked_file_is_named_by_its_hash(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "KEPT_BYTES", 10)
    (checkout / "code" / "weights.bin").write_bytes(b"0" * 11)
    assert "too large to keep: code/weights.bin (11 bytes" in source_of(checkout).diff


def test_taking_the_state_changes_nothing_in_the_repository(checkout: Path) -> None:
    (checkout / "code" / "new.py").write_text("y = 1\n")
    before = git(checkout, "status", "--porcelain"), (checkout / ".git" / "index").read_bytes()
    source_of(checkout)
    assert (git(checkout, "status", "--porcelain"), (checkout / ".git" / "index").read_bytes()) == before


def test_a_folder_without_a_repository_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "bare").mkdir()
    found = source_of(tmp_path / "bare")
    assert (found.commit, found.constraints_sha256) == (None, None)
    assert "not a git repository" in str(found.reason)


def test_a_machine_without_git_is_reported(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    found = source_of(checkout)
    assert found.commit is None
    assert "git cannot be run" in str(found.reason)
    assert found.constraints_sha256 is not None


def test_a_copy_inside_of_another_repository_does_not_take_its_commit(checkout: Path) -> None:
    found = source_of(checkout / "code")
    assert found.commit is None
    assert str(checkout) in str(found.reason)
