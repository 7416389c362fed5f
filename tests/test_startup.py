"""Commands answer what needs no model without importing what takes long: torch and Ray take seconds."""

import json
import subprocess
import sys
from collections.abc import Sequence
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
    "platform.data",
    "platform.doctor",
    "platform.evaluate",
    "platform.labels",
    "platform.negatives",
    "platform.promote",
    "platform.selector",
    "serve",
    "trainables.detector.export",
    "trainables.detector.leave_one_out",
    "trainables.diffusion.sample",
    "trainables.diffusion.train",
    "trainables.eval.diffusion_eval",
)
"""Every command."""
PROBE = """
import json, runpy, sys
module, lines = sys.argv[1], json.loads(sys.argv[2])
for line in lines:
    sys.argv = [module, *line]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit:
        pass
    print("imported:", *sorted(name for name in sys.modules if "." not in name))
"""


def imported(module: str, *lines: Sequence[str]) -> list[set[str]]:
    """Return the heavy packages that a command has imported after each of some command lines, in one process."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE, module, json.dumps(lines)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    found = [line for line in done.stdout.splitlines() if line.startswith("imported: ")]
    assert len(found) == len(lines)
    return [set(line.split()) & set(HEAVY) for line in found]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_configuration_and_a_wrong_key_import_nothing_heavy(command: str) -> None:
    after = dict(zip(ANSWERS, imported(command, *ANSWERS), strict=True))
    assert after == {line: set() for line in ANSWERS}


def test_help_of_verbs_with_keys_of_their_own_imports_nothing_heavy() -> None:
    lines = [[verb, "recordings.csv", *answer] for verb in ("inspect", "convert") for answer in ANSWERS]
    assert imported("platform.data", *lines) == [set()] * len(lines)


@pytest.mark.parametrize("line", READING, ids=" ".join)
def test_reading_studies_imports_optuna_and_nothing_else_heavy(line: tuple[str, ...], tmp_path: Path) -> None:
    study = study_in(tmp_path / "diffusion")
    add_many(study, 8)
    write_board(study, tmp_path / "diffusion", [0])
    assert imported("platform.tune", [*line, f"storage_path={tmp_path}"]) == [{"optuna"}]


def test_the_probe_reports_the_imports_of_a_command() -> None:
    [found] = imported("trainables.training.checkpoint", [])
    assert "torch" in found
