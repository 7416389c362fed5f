"""Provenance of the checkout: its commit, uncommitted changes, and locked versions.

Without git, or outside of a repository (`ray up` copies the code and not the history), there is no commit, and the
reason stands in its place; the hash of the code that a trial ran is in its manifest either way.
"""

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.core.atomic_files import write_atomically
from trainables.training.checkpoint_record import file_sha256

ROOT = Path(__file__).resolve().parents[2]
FOLDER = "source"  # of a study: uncommitted changes, one file per state of the checkout
GIT_S = 60.0
KEPT_BYTES = 1_000_000  # of one untracked file; a larger one is named by its hash
PLAIN = ("--no-color", "--no-ext-diff", "--no-textconv", "--full-index", "--src-prefix=a/", "--dst-prefix=b/")


@dataclass(frozen=True)
class Source:
    """The state of a checkout.

    Attributes:
        commit: Full hash; None where it cannot be known.
        reason: Why it cannot.
        diff: What is not committed, as a patch on `commit`; empty for a clean checkout.
        constraints_sha256: Of constraints.txt; None where there is none.
    """

    commit: str | None
    reason: str | None
    diff: str
    constraints_sha256: str | None

    @property
    def diff_sha256(self) -> str | None:
        """Hash of the patch; None for a clean checkout."""
        return hashlib.sha256(self.diff.encode()).hexdigest() if self.diff else None

    def facts(self) -> dict[str, Any]:
        """Return the facts that a manifest stores, as plain values."""
        return {
            "commit": self.commit,
            "reason": self.reason,
            "dirty": bool(self.diff),
            "diff_sha256": self.diff_sha256,
            "constraints_sha256": self.constraints_sha256,
        }

    def keep(self, study: Path) -> dict[str, Any]:
        """Save the patch in a study's folder, once per state of the checkout; returns the facts."""
        if self.diff:
            file = study / FOLDER / f"{self.diff_sha256}.diff"
            file.parent.mkdir(parents=True, exist_ok=True)
            if not file.exists():
                write_atomically(file, self.diff)
        return self.facts()


class NoHistory(RuntimeError):
    """The code has no git history that can be read."""


def source_of(root: Path = ROOT) -> Source:
    """Return the state of the checkout in `root`."""
    lock = root / "constraints.txt"
    constraints = file_sha256(lock) if lock.is_file() else None
    try:
        top = Path(_git(root, "rev-parse", "--show-toplevel").strip())
        if top != root.resolve():
            raise NoHistory(f"the code is not a repository of its own, but a folder of {top}")
        commit = _git(root, "rev-parse", "--verify", "HEAD").strip()
        return Source(commit, None, _uncommitted(root), constraints)
    except NoHistory as error:
        return Source(None, str(error), "", constraints)


def _uncommitted(root: Path) -> str:
    """Staged and unstaged changes, then every untracked file that git does not ignore where tracked ones are."""
    changed = _git(root, "diff", "HEAD", *PLAIN)
    folders = _git(root, "ls-tree", "-d", "-z", "--name-only", "HEAD").split("\0")
    places = [f":(literal){folder}" for folder in folders if folder]
    listed = _git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", ":(glob)*", *places)
    return changed + "".join(_added(root, name) for name in sorted(filter(None, listed.split("\0"))))


def _added(root: Path, name: str) -> str:
    """Return an untracked file as a patch that adds it; for a large one a line with its hash."""
    file = root / name
    if not file.is_symlink() and file.stat().st_size > KEPT_BYTES:
        return f"# untracked, too large to keep: {name} ({file.stat().st_size} bytes, sha256 {file_sha256(file)})\n"
    return _git(root, "diff", "--no-index", *PLAIN, "--", os.devnull, name, allowed=(0, 1))


def _git(root: Path, *arguments: str, allowed: tuple[int, ...] = (0,)) -> str:
    """Return the output of a git command, which takes no locks and does not prompt.

    Raises:
        NoHistory: there is no git, no repository, no commit, or no answer.
    """
    quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    command = ["git", "-C", str(root), "-c", "core.quotepath=off", *arguments]
    try:
        done = subprocess.run(command, env=os.environ | quiet, capture_output=True, timeout=GIT_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoHistory(f"git cannot be run ({error})") from None
    if done.returncode not in allowed:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise NoHistory(lines[0] if lines else f"git {arguments[0]} exited with code {done.returncode}")
    return done.stdout.decode(errors="replace")
