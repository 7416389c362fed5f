"""`platform` is ours and the standard library's at once, in every way in which a process can be started."""

import ast
import inspect
import multiprocessing
import os
import pickle
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

import platform

ROOT = Path(__file__).resolve().parents[2]
STANDARD = Path(sysconfig.get_path("stdlib")) / "platform.py"
OURS = str(ROOT / "platform" / "__init__.py")


def view_of_platform() -> tuple[str, str]:
    """Which file stands behind `platform` in the process that calls, and what it answers to a standard question."""
    return str(platform.__file__), platform.system()


class Views(Dataset[str]):
    """Two rows, each the file behind `platform` in the worker that reads it."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> str:
        return ":".join(view_of_platform())


def run(*command: str, folder: Path = ROOT, **environment: str) -> str:
    """Standard output of a Python started in `folder` without anything of this process's path."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=inherited | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def copy_shim(folder: Path) -> None:
    """A `platform` package of one file, the shim, under `folder`."""
    (folder / "platform").mkdir()
    (folder / "platform" / "__init__.py").write_bytes(Path(OURS).read_bytes())


def names_defined_by(path: Path) -> set[str]:
    """Names that the top level of a module binds, read from its source and not by running it."""
    names: set[str] = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


def test_every_name_of_the_standard_module_is_there() -> None:
    assert names_defined_by(STANDARD) - set(vars(platform)) == set()


def test_its_functions_return_what_the_standard_module_returns() -> None:
    question = "import platform; print(*platform.uname(), platform.python_version(), platform.libc_ver(), sep='|')"
    assert run("-c", question) == run("-I", "-c", question)


def test_the_package_keeps_its_own_identity() -> None:
    assert platform.__name__ == "platform"
    assert platform.__file__ == OURS
    assert list(platform.__path__) == [str(ROOT / "platform")]
    assert platform.__spec__ is not None
    assert platform.__spec__.origin == OURS
    assert str(platform.__doc__).startswith("Driver commands")


def test_its_functions_show_the_standard_source() -> None:
    assert inspect.getsourcefile(platform.uname) == str(STANDARD)


def test_the_result_of_uname_survives_pickle() -> None:
    answer = platform.uname()
    assert pickle.loads(pickle.dumps(answer)) == answer
    assert type(pickle.loads(pickle.dumps(answer))) is platform.uname_result


def test_a_uname_crosses_between_the_two_modules() -> None:
    pickled = run("-I", "-c", "import pickle, platform; print(pickle.dumps(platform.uname()).hex())")
    assert pickle.loads(bytes.fromhex(pickled)) == platform.uname()


@pytest.mark.parametrize(
    ("start", "name"), [("-m platform.command", "__main__"), ("-c import platform.command", "platform.command")]
)
def test_commands_are_found_by_name(tmp_path: Path, start: str, name: str) -> None:
    copy_shim(tmp_path)
    (tmp_path / "platform" / "command.py").write_text("import platform\nprint(__name__, platform.system())\n")
    assert run(*start.split(" ", 1), folder=tmp_path) == f"{name} {platform.system()}"


def test_a_missing_standard_module_is_one_clear_error(tmp_path: Path) -> None:
    copy_shim(tmp_path)
    attempt = (
        f"import sysconfig; sysconfig.get_path = lambda _: {str(tmp_path / 'nothing')!r}\n"
        "try:\n    import platform\nexcept ImportError as error:\n    print(error)"
    )
    expected = (
        f"expected the standard library's platform.py in {tmp_path / 'nothing'}, but got none; reinstall this Python"
    )
    assert run("-c", attempt, folder=tmp_path) == expected


@pytest.mark.parametrize("library", ["torch", "pandas", "ray", "pytest", "optuna"])
def test_libraries_that_use_the_standard_module_can_be_imported(library: str) -> None:
    answer = run("-c", f"import {library}, platform; print(platform.__file__)", RAY_USAGE_STATS_ENABLED="0")
    assert answer.splitlines()[-1] == OURS


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_started_process_imports_this_package(method: str) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        assert pool.submit(view_of_platform).result(timeout=60) == (OURS, platform.system())


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_data_loader_workers_see_ours(method: str) -> None:
    batches: Iterator[list[str]] = iter(DataLoader(Views(), num_workers=1, multiprocessing_context=method, timeout=60))
    assert [view for batch in batches for view in batch] == [f"{OURS}:{platform.system()}"] * 2


@pytest.mark.parametrize("flags", ["-m", "-Im"])
def test_both_ways_to_start_pytest_test_ours(flags: str) -> None:
    """`-Im` leaves the root off the path as bare `pytest` does, so that pytest imports the standard module first."""
    test = f"{Path(__file__).relative_to(ROOT)}::test_the_package_keeps_its_own_identity"
    assert "1 passed" in run(flags, "pytest", "-p", "no:cacheprovider", test)


@pytest.mark.heavy
def test_trainables_import_beside_the_standard_module() -> None:
    everything = (
        f"import importlib, pkgutil, platform, sys; sys.path.insert(0, {str(ROOT)!r}); import trainables\n"
        "for m in pkgutil.walk_packages(trainables.__path__, 'trainables.'): importlib.import_module(m.name)\n"
        "print(platform.__file__)"
    )
    assert run("-Ic", everything).splitlines()[-1] == str(STANDARD)


def test_one_thread_computes_in_every_test() -> None:
    assert torch.get_num_threads() == 1
