"""The example of CONTRIBUTING adds a trainable by four existing files at most, and the tree with it trains it."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from platform.core.provenance import ROOT

SECTION = re.compile(r"^## Add a trainable\n.*?^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MOST_FILES = 4  # that existed before
PARTS = ("configs", "platform", "search_spaces", "serve", "trainables", "pyproject.toml", "constraints.txt")
TRAIN = ("trainable=example", "trainable.epochs=1", "trainable.evaluation.probes=[features]")


@pytest.fixture(scope="module")
def diff() -> str:
    found = SECTION.search((ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8"))
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def tree(diff: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the command needs, with the diff applied."""
    copy = tmp_path_factory.mktemp("tree")
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / part, copy / part)
    subprocess.run(["git", "apply", "-"], cwd=copy, input=diff, text=True, check=True)
    return copy


def run(tree: Path, *arguments: str) -> str:
    """Run a module in the copy and return what it printed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(tree)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=tree,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_trainable_touches_four_existing_files_at_most(diff: str) -> None:
    heads = diff.split("diff --git ")[1:]
    existing = [head for head in heads if "new file mode" not in head]
    assert 1 <= len(existing) <= MOST_FILES


@pytest.mark.heavy
def test_the_example_is_trained_by_the_command(tree: Path, tmp_path: Path) -> None:
    run(tree, "-m", "platform.train", *TRAIN, f"storage_path={tmp_path}", "name=run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [0, 1]
    assert all(0.0 <= line["val/auc_excess"] <= 1.0 for line in lines)
    record = json.loads((tmp_path / "run" / "checkpoints" / "last" / "record.json").read_text())
    assert record["kind"] == "example"


def test_commands_list_the_example(tree: Path) -> None:
    shown = run(tree, "-m", "platform.tune", "--help")
    assert "trainable=example" in shown


def test_the_example_keeps_the_import_contracts(tree: Path) -> None:
    run(tree, "-c", "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports())")
