"""Commands in the documentation: each is run or has a reason not to, and each would start as it is typed.

`python -m tests.docs.run` runs them. Here they are parsed: the target exists, and the configuration composes.
"""

import ast
import importlib.util
import re
import shlex
import shutil
import sys
from collections import Counter
from importlib import import_module
from pathlib import Path

import pytest

from docs.generate.links import ROOT
from tests.docs.commands import commands, shell, snippets
from tests.docs.plan import EXCEPTIONS, RUNS
from trainables.core.cli import run
from trainables.core.command import Command, Request

PROGRAM = "python -m "
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
SHOWN = sorted({shown.text for shown in commands()})
STARTED = sorted([*EXCEPTIONS, *(f"{run.command} {run.small}".strip() for run in RUNS)])


def faults(command: str) -> str:
    """Return why a command would not start, empty where it would."""
    words = shlex.split(command)
    while "=" in words[0]:  # variables of the environment
        words = words[1:]
    if command.startswith(PROGRAM):
        return module_faults(words[2], words[3:])
    if words[0] == "make":
        return make_faults(words[1:])
    files = [word for word in words if word.endswith((".yaml", ".py")) and not (ROOT / word).exists()]
    found = shutil.which(words[0]) or (Path(sys.executable).parent / words[0]).exists() or words[0] == "locust"
    return "" if found and not files else f"{words[0]}: no such program, or no {files}"


def module_faults(name: str, arguments: list[str]) -> str:
    """Return why a module would not start with these arguments."""
    entry = "serve.launch" if name == "serve" else name
    found = importlib.util.find_spec(entry)
    if found is None or found.origin is None:
        return f"{name}: no such module"
    file = Path(found.origin)
    if "COMMAND" not in file.read_text(encoding="utf-8"):  # an argparse of its own
        return option_faults(file, arguments)
    declared = [value for value in vars(import_module(entry)).values() if isinstance(value, Command)]
    # a command may have a configuration for each kind of checkpoint
    return min((composition_faults(command, arguments) for command in declared), key=len)


def composition_faults(command: Command, arguments: list[str]) -> str:
    """Return why a configuration does not compose."""
    requests: list[Request] = []

    def started(request: Request) -> int:
        requests.append(request)
        return 0

    code = run(command, started, arguments)
    return "" if code == 0 and requests else f"exit code {code}: {arguments}"


def option_faults(file: Path, arguments: list[str]) -> str:
    """Return the options that a file declares nowhere."""
    constants = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
    missing = [word for word in arguments if word.startswith("--") and word not in constants]
    return f"{file.name}: no option {missing}" if missing else ""


def make_faults(words: list[str]) -> str:
    """Return why make would do nothing, or what it calls would not start."""
    targets = [word for word in words if "=" not in word and not word.startswith("-")]
    return "" if targets and set(targets) <= TARGETS else f"{targets}: no such target"


def test_every_command_is_run_or_has_a_reason_not_to_be() -> None:
    planned = Counter([run.command for run in RUNS] + list(EXCEPTIONS))
    assert [command for command in SHOWN if not planned[command]] == [], "neither run nor an exception"
    assert [command for command, times in planned.items() if times > 1] == [], "planned twice"
    assert [command for command in planned if command not in SHOWN] == [], "no page shows it any more"
    assert all(EXCEPTIONS.values())


@pytest.mark.parametrize("command", STARTED)
def test_a_command_would_start(command: str) -> None:
    assert faults(command) == ""


@pytest.mark.parametrize(
    "command",
    [
        pytest.param("python -m platform.nothing", id="no module"),
        pytest.param("python -m platform.tune budget.trails=3", id="no key"),
        pytest.param("python -m platform.tune look", id="no verb"),
        pytest.param("python -m benchmarks.decisions --many 3", id="no option"),
        pytest.param("make nothing", id="no target"),
        pytest.param("ray up nothing.yaml", id="no file"),
        pytest.param("no-such-program", id="no program"),
    ],
)
def test_a_command_that_would_not_start_is_reported(command: str) -> None:
    assert faults(command) != ""


def test_a_block_of_python_compiles() -> None:
    assert snippets()
    for block in snippets():
        compile(block.text, block.page, "exec")


def test_commands_are_found_in_blocks_and_in_lines() -> None:
    text = "Use `make map`, `x=1`.\n```bash\npython -m a b=1   # why\n```\n```console\n$ ray up c\noutput\n```\n"
    assert list(shell(text)) == ["make map", "python -m a b=1", "ray up c"]
