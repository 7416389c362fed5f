"""`platform` is ours and the standard library's at once, in every way in which a process can be started."""

import ast
import inspect
import multiprocessing
import os
import pickle
import platform
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, Dataset

ROOT = Path(__file__).resolve().parents[2]
STANDARD = Path(sysconfig.get_path("stdlib")) / "platform.py"
OURS = str(ROOT / "platform" / "__init__.py")


def view_of_platform(_: object = None) -> tuple[str, str]:
    """Which file stands behind `platform` in the process that calls, and what it answers to a standard question."""
    import platform

    return str(platform.__file__), platform.system()


class Views(Dataset[str]):
    """Two rows, each the file behind `platform` in the worker that reads it."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> str:
        return ":".join(view_of_platform(index))


def run(*command: str, folder: Path = ROOT, **environment: str) -> str:
    """Standard output of a Python started in `folder` without anything of this process's path."""
    inherited = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONSAFEPATH")}
    done = subprocess.run(
        [sys.executable, *command], cwd=folder, env=inherited | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


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


def test_it_answers_as_the_standard_module_does() -> None:
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


def test_the_answer_of_uname_survives_pickle() -> None:
    answer = platform.uname()
    assert pickle.loads(pickle.dumps(answer)) == answer
    assert type(pickle.loads(pickle.dumps(answer))) is platform.uname_result


def test_a_uname_crosses_between_the_two_modules() -> None:
    pickled = run("-I", "-c", "import pickle, platform; print(pickle.dumps(platform.uname()).hex())")
    assert pickle.loads(bytes.fromhex(pickled)) == platform.uname()


def test_commands_are_found_by_name(tmp_path: Path) -> None:
    package = tmp_path / "platform"
    package.mkdir()
    (package / "__init__.py").write_bytes(Path(OURS).read_bytes())
    (package / "command.py").write_text("import platform\nprint(platform.command.__name__, platform.system())\n")
    assert run("-c", "import platform.command", folder=tmp_path) == f"platform.command {platform.system()}"
    assert run("-c", "import runpy; runpy.run_module('platform.command')", folder=tmp_path).count(platform.system()) == 2


def test_a_missing_standard_module_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "platform").mkdir()
    (tmp_path / "platform" / "__init__.py").write_bytes(Path(OURS).read_bytes())
    attempt = (
        f"import sysconfig; sysconfig.get_path = lambda _: {str(tmp_path / 'nothing')!r}\n"
        "try:\n    import platform\nexcept ImportError as error:\n    print(error)"
    )
    expected = f"the standard library's platform.py must be in {tmp_path / 'nothing'}, but it is not; check this Python"
    assert run("-c", attempt, folder=tmp_path) == expected


@pytest.mark.parametrize("library", ["torch", "pandas", "ray", "pytest", "optuna"])
def test_libraries_that_ask_the_standard_module_import(library: str) -> None:
    answer = run("-c", f"import {library}, platform; print(platform.__file__)", RAY_USAGE_STATS_ENABLED="0")
    assert answer.splitlines()[-1] == OURS


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_started_process_sees_ours(method: str) -> None:
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        assert pool.submit(view_of_platform).result(timeout=60) == (OURS, platform.system())


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_data_loader_workers_see_ours(method: str) -> None:
    batches: Iterator[list[str]] = iter(DataLoader(Views(), num_workers=1, multiprocessing_context=method, timeout=60))
    assert [view for batch in batches for view in batch] == [f"{OURS}:{platform.system()}"] * 2


@pytest.mark.parametrize("start", ["-m pytest", "-c import sys,pytest;sys.path.remove('');sys.exit(pytest.main())"])
def test_both_ways_to_start_pytest_test_ours(start: str) -> None:
    """The second is what the `pytest` script does: the root is not on the path, and `platform` is already imported."""
    flag, program = start.split(" ", 1)
    test = f"{Path(__file__).relative_to(ROOT)}::test_the_package_keeps_its_own_identity"
    assert "1 passed" in run(flag, program, "-p", "no:cacheprovider", test)


@pytest.mark.ray
def test_a_ray_worker_needs_nothing_of_ours_to_import_trainables() -> None:
    """A plain worker holds the standard module before the first task arrives; what it runs must not mind."""
    import ray

    def work() -> tuple[str, str, str]:
        import trainables.config

        return *view_of_platform_here(), trainables.config.__name__

    def view_of_platform_here() -> tuple[str, str]:
        import platform

        return str(platform.__file__), platform.system()

    ray.init(address="local", include_dashboard=False, num_cpus=1, log_to_driver=False)
    try:
        file, system, imported = ray.get(ray.remote(work).remote(), timeout=120)
    finally:
        ray.shutdown()
    assert file in (OURS, str(STANDARD))
    assert (system, imported) == (platform.system(), "trainables.config")


def test_one_thread_computes_in_every_test() -> None:
    assert torch.get_num_threads() == 1
