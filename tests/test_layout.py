"""The tree is what the README, the packaging and the design say of it."""

import ast
import re
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
OURS = {"benchmarks", "platform", "search_spaces", "serve", "tests", "trainables"}
RAY_DOORS = ("benchmarks/", "platform/", "serve/", "tests/", "trainables/session.py")
MAP_LINE = re.compile(r"(?P<path>\S+) {2,}(?P<description>\S.*)")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]


def tracked_files() -> list[str]:
    """Paths that git tracks, from the root."""
    if not (ROOT / ".git").exists():
        pytest.skip("the tree is compared with what git tracks, and this copy has no .git")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [path for path in listed.stdout.split("\0") if path]


def file_map() -> list[str]:
    """Lines of the fenced block below the README's heading `## File map`."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    block = re.search(r"^## File map\n+```\w*\n(.*?)\n```$", readme, re.MULTILINE | re.DOTALL)
    assert block, "README.md must hold a fenced block right below its heading `## File map`"
    return block[1].split("\n")


def mapped_paths() -> list[str]:
    """The paths that the file map names, in its order."""
    matches = [MAP_LINE.fullmatch(line) for line in file_map()]
    return [match["path"] for match in matches if match]


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
    """What constraints.txt fixes; a line that fixes nothing has no place there."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    parts = [line.split("==") for line in lines if not line.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in parts}


def test_each_line_of_the_file_map_is_a_path_and_a_description() -> None:
    assert [line for line in file_map() if not MAP_LINE.fullmatch(line)] == []


def test_the_file_map_names_each_path_once() -> None:
    paths = mapped_paths()
    assert [path for path in paths if paths.count(path) > 1] == []


def test_the_file_map_equals_the_tree() -> None:
    tree, paths = set(tracked_files()), mapped_paths()
    folders = tuple(path for path in paths if path.endswith("/"))
    covered = {path for path in tree if path.startswith(folders)}
    assert sorted(path for path in covered if path.endswith(".py")) == [], "a folder with Python is listed file by file"
    assert sorted(covered & set(paths)) == [], "listed, and once more by its folder"
    assert sorted(tree - covered - set(paths)) == [], "in the tree, but not in the map"
    assert sorted(path for path in paths if not any(file.startswith(path) for file in tree)) == [], "not in the tree"
    assert sorted(path for path in paths if not path.endswith("/") and path not in tree) == [], "no file of the tree"


def test_ray_is_met_at_its_doors_only() -> None:
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
