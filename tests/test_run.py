"""The two parts of the suite: what starts no Ray on every core, what does by itself, and one exit code of both."""

import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest

from tests.run import FAILED, NONE, PASSED, main, parts

ROOT = Path(__file__).resolve().parents[1]
STOPPED, MISUSED = pytest.ExitCode.INTERRUPTED, pytest.ExitCode.USAGE_ERROR
FILES = {
    "pyproject.toml": "[tool.pytest.ini_options]\nmarkers = ['ray', 'heavy']\n",
    "test_one.py": """
import os
def wrote(name): open(f"wrote_{name}", "w").write(os.environ.get("PYTEST_XDIST_WORKER", "alone"))
def test_first(): wrote("first")
def test_second(): wrote("second")
""",
    "tests/ray/test_sweep.py": """
import pytest
from test_one import wrote
@pytest.mark.ray
def test_ray(): wrote("ray")
@pytest.mark.heavy
@pytest.mark.ray
def test_heavy_ray(): wrote("heavy_ray")
""",
    "test_other.py": """
import pytest
from test_one import wrote
def test_other(): wrote("other")
@pytest.mark.heavy
def test_heavy(): wrote("heavy")
""",
}


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((PASSED, PASSED), PASSED),
        ((FAILED, PASSED), FAILED),
        ((PASSED, FAILED), FAILED),
        ((FAILED, NONE), FAILED),
        ((NONE, PASSED), PASSED),
        ((PASSED, NONE), PASSED),
        ((NONE, NONE), NONE),
        ((PASSED, STOPPED), STOPPED),
        ((FAILED, MISUSED), MISUSED),
        ((STOPPED,), STOPPED),
        ((MISUSED,), MISUSED),
    ],
)
def test_the_exit_code_covers_both_parts_and_an_interruption_ends_them(
    codes: tuple[pytest.ExitCode, ...], expected: pytest.ExitCode
) -> None:
    left = list(codes)

    def run(part: Sequence[str]) -> int:
        return left.pop(0)

    assert main([], run, 2) == expected
    assert left == []


def test_arguments_narrow_both_parts_and_never_parallelise_the_tests_of_ray() -> None:
    spread, alone = parts(["-k", "schedule", "-m", "one or other", "-n", "4", "--all", "tests/ray"], cores=2)
    for part, markers in ((spread, "not ray and (one or other)"), (alone, "ray and (one or other)")):
        assert part[-2:] == ["-m", markers]
        assert part.count("-m") == 1
        assert [word for word in ("-k", "schedule", "tests/ray") if word not in part] == []
    last = [[after for word, after in pairwise(part) if word == "-n"][-1] for part in (spread, alone)]
    assert last == ["4", "0"]
    assert parts(["-m", "one"], cores=3) == [
        ["-n", "3", "--dist", "loadfile", "--ignore=tests/ray", "-m", "not ray and not heavy and (one)"],
        ["-o", "testpaths=tests/ray", "-n", "0", "-m", "ray and not heavy and (one)"],
    ]


@pytest.mark.parametrize(
    ("arguments", "ran"),
    [
        ([], {"first", "second", "other", "ray"}),
        (["--all"], {"first", "second", "other", "heavy", "ray", "heavy_ray"}),
        (["--all", "-m", "heavy"], {"heavy", "heavy_ray"}),
    ],
)
def test_every_test_runs_in_its_part_and_those_of_a_file_together(
    tmp_path: Path, arguments: list[str], ran: set[str]
) -> None:
    (tmp_path / "tests" / "ray").mkdir(parents=True)
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    ours = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")}
    environment = ours | {"PYTHONPATH": f"{ROOT}:{tmp_path}", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "tests.run", "-p", "no:cacheprovider", "-p", "xdist", *arguments]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = {path.name.removeprefix("wrote_"): path.read_text() for path in tmp_path.glob("wrote_*")}
    assert recorded.keys() == ran
    assert {name for name, worker in recorded.items() if worker == "alone"} == {name for name in ran if "ray" in name}
    for one, other in (("first", "second"), ("heavy", "other")):
        if {one, other} <= ran:
            assert recorded[one] == recorded[other]


def test_tests_that_start_ray_are_marked_and_lie_in_the_folder_of_the_second_part() -> None:
    files = [path for path in (ROOT / "tests").rglob("test_*.py") if path != Path(__file__)]
    marked = [path for path in files if "pytest.mark.ray" in path.read_text(encoding="utf-8")]
    assert marked == [path for path in files if path.parent == ROOT / "tests" / "ray"] != []
