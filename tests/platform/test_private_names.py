"""Private names of libraries are few and listed: an upgrade may change them without notice."""

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from torch.utils.tensorboard import SummaryWriter

from platform.study.resume import REASON, REQUEUED, requeue

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("platform", "search_spaces", "serve", "trainables")
NAMED_TUPLE = {"_asdict", "_fields", "_make", "_replace"}  # public, by its documentation
OWN = {"_file"}  # of our own classes, used by another one of their module
USED = {
    ("_predictors", "trainables/generation/selection/boosted_trees.py"),  # the trees of scikit-learn's boosting
    ("_baseline_prediction", "trainables/generation/selection/boosted_trees.py"),
    ("_foreach_lerp_", "trainables/nn/ema.py"),  # torch's, of a list of tensors at once
    ("_foreach_lerp_", "trainables/critic/agent/sac.py"),
    ("_storage", "platform/study/resume.py"),  # a study's, for attributes of a trial that another process left RUNNING
    ("_trial_id", "platform/study/resume.py"),
    ("_get_file_writer", "platform/sweep/tensorboard.py"),  # HPARAMS in the run of the metrics
    ("optuna.storages.journal._file", "platform/study/storage.py"),  # the interface of a journal's lock
}
"""Private name, and the file that uses it."""


def private_names(path: Path) -> Iterator[str]:
    """Yield private attributes of anything but `self` and `cls`, and private modules that are imported."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.attr
        elif isinstance(node, ast.ImportFrom) and "._" in str(node.module):
            yield str(node.module)


def test_no_other_private_name_is_used() -> None:
    """The list is complete and holds nothing that is no longer used."""
    found = {
        (name, path.relative_to(ROOT).as_posix())
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for name in private_names(path)
        if name not in NAMED_TUPLE | OWN
    }
    assert found == USED


def test_the_private_names_of_optuna_do_what_they_are_used_for() -> None:
    study = optuna.create_study()
    trial = study.ask({"x": FloatDistribution(0, 1)})
    requeue(study, trial.number, "why")
    ended, waiting = study.get_trials(deepcopy=False)
    assert (ended.user_attrs[REASON], ended.user_attrs[REQUEUED]) == ("why", True)
    assert study.ask({"x": FloatDistribution(0, 1)}).params == trial.params
    assert waiting.number == 1
    lock = import_module("optuna.storages.journal._file").BaseJournalFileLock
    assert {name for name in vars(lock) if not name.startswith("_")} == {"acquire", "release"}


def test_the_private_name_of_tensorboards_writer_takes_summaries(tmp_path: Path) -> None:
    writer = SummaryWriter(str(tmp_path))
    assert callable(writer._get_file_writer().add_summary)
    writer.close()


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("study._storage", ["_storage"]),
        ("self._storage", []),
        ("from optuna.storages.journal._file import x", ["optuna.storages.journal._file"]),
        ("from __future__ import annotations", []),
        ("a.__class__", []),
    ],
)
def test_private_names_are_found(tmp_path: Path, line: str, names: list[str]) -> None:
    (tmp_path / "a.py").write_text(line)
    assert list(private_names(tmp_path / "a.py")) == names
