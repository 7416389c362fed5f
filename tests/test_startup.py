"""Commands answer what needs no model without importing what takes long: torch and Ray take seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

from platform.core.provenance import ROOT
from tests.platform.studies import add_many, study_in, write_board

HEAVY = ("torch", "ray", "optuna", "scipy", "sklearn", "pandas", "matplotlib", "plotly", "sqlalchemy")
READING = (("list",), ("show",), ("show", "trials=[0]"), ("compare", "trials=[0,1]"))
ANSWERS = (("--help",), ("--cfg", "job"), ("no_such_key=1",))
COMMANDS = (
    "platform.tune",
    "platform.train",
    "platform.doctor",
    "platform.evaluate",
    "platform.labels",
    "platform.negatives",
    "platform.promote",
    "serve",
    "trainables.detector.export",
    "trainables.detector.leave_one_out",
    "trainables.diffusion.sample",
    "trainables.diffusion.train",
    "trainables.eval.diffusion_eval",
)
"""Every command."""
PROBE = """
import runpy, sys
module, *arguments = sys.argv[1:]
sys.argv = [module, *arguments]
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit:
    pass
print("imported:", *sorted(name for name in sys.modules if "." not in name))
"""


def imported(*line: str) -> set[str]:
    """Return the heavy packages that a command line imports."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, *line], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    *_, last = done.stdout.splitlines()
    assert last.startswith("imported: ")
    return set(last.split()) & set(HEAVY)


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: answer[0])
def test_help_configuration_and_a_wrong_key_import_nothing_heavy(command: str, answer: tuple[str, ...]) -> None:
    assert imported(command, *answer) == set()


@pytest.mark.parametrize("line", READING, ids=" ".join)
def test_reading_studies_imports_optuna_and_nothing_else_heavy(line: tuple[str, ...], tmp_path: Path) -> None:
    study = study_in(tmp_path / "diffusion")
    add_many(study, 8)
    write_board(study, tmp_path / "diffusion", [0])
    assert imported("platform.tune", *line, f"storage_path={tmp_path}") == {"optuna"}


def test_the_probe_reports_the_imports_of_a_command(tmp_path: Path) -> None:
    found = imported("trainables.training.checkpoint")
    assert "torch" in found
