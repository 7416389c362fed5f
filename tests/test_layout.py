"""The tree agrees with the packaging and the design."""

import ast
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
OURS = {"benchmarks", "docs", "platform", "search_spaces", "serve", "tests", "trainables"}
RAY_DOORS = ("benchmarks/", "platform/", "serve/", "tests/", "trainables/session.py")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def python_files() -> list[Path]:
    """Every Python file of the packages, the tests and the benchmarks."""
    return sorted(path for package in OURS for path in (ROOT / package).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}, line {node.lineno}: imports are absolute"
            yield str(node.module)


def files_importing(package: str) -> list[str]:
    """Files, from the root, that import `package` or something below it."""
    return [
        path.relative_to(ROOT).as_posix()
        for path in python_files()
        if any(module.split(".")[0] == package for module in imports(path))
    ]


def requirements(lines: list[str]) -> dict[str, Requirement]:
    """Requirements by normal name."""
    parsed = [Requirement(line) for line in lines]
    return {canonicalize_name(requirement.name): requirement for requirement in parsed}


def pins() -> dict[str, Version]:
    """Return the versions in constraints.txt; every other line is an error."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parts = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in parts}


def test_ray_is_imported_by_the_listed_modules_only() -> None:
    assert [path for path in files_importing("ray") if not path.startswith(RAY_DOORS)] == []


def test_nothing_that_runs_in_a_worker_imports_platform() -> None:
    """Not even the standard one: in a worker the name may stand for either."""
    drivers = ("benchmarks/", "platform/", "tests/")
    assert [path for path in files_importing("platform") if not path.startswith(drivers)] == []


def test_the_import_contracts_hold() -> None:
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", command, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


@pytest.mark.parametrize(
    ("folders", "declared"),
    [
        (("platform", "search_spaces", "serve", "trainables"), PROJECT["dependencies"]),
        (("docs",), PROJECT["dependencies"] + EXTRAS["docs"] + EXTRAS["dev"]),
        (("tests",), PROJECT["dependencies"] + EXTRAS["dev"]),
        (("benchmarks",), PROJECT["dependencies"] + EXTRAS["bench"] + ["denoising-diffusion-pytorch"]),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else "",
)
def test_every_import_is_a_declared_dependency(folders: tuple[str, ...], declared: list[str]) -> None:
    files = [path for path in python_files() if path.relative_to(ROOT).parts[0] in folders]
    modules = {module.split(".")[0] for path in files for module in imports(path)} - OURS - sys.stdlib_module_names
    distributions, known = packages_distributions(), set(requirements(declared))
    providers = {
        module: {canonicalize_name(name) for name in distributions.get(module, [module])} for module in modules
    }
    assert {module: names for module, names in providers.items() if not names & known} == {}


def test_constraints_fix_every_declared_dependency_within_its_bounds() -> None:
    declared = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    fixed = pins()
    outside = {
        name: fixed.get(name) for name, wanted in requirements(declared).items() if not fits(fixed, name, wanted)
    }
    assert outside == {}


def fits(fixed: dict[str, Version], name: str, wanted: Requirement) -> bool:
    """Whether a dependency is fixed, at a version that its requirement admits."""
    return name in fixed and wanted.specifier.contains(fixed[name], prereleases=True)
