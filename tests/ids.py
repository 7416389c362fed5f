"""`python -m tests.ids`: collect the tests twice and compare their ids.

pytest-xdist refuses to run where its workers collect different ids, and a report joins on them. The two collections
run in processes that differ in all that an id may not depend on: the seed of `hash`, the time, the temporary folder and
the home folder. The arguments are pytest's: a folder, `-m "not ray"`.
"""

import difflib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

APART_S = 1.1  # clocks in file headers count seconds
COLLECT = ("-m", "pytest", "--collect-only", "-q", "-n", "0", "-p", "no:cacheprovider")
COLLECTED = (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED)


class CollectionError(Exception):
    """pytest could not collect the tests."""


def collections(arguments: Sequence[str]) -> list[list[str]]:
    """Return the ids of two collections, in their order.

    Raises:
        CollectionError: pytest ends with an error; its output is the message.
    """
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        begun = []
        for seed, folder in (("1", first), ("2", second)):
            begun.append(_begin(arguments, seed, Path(folder)))
            time.sleep(APART_S)
        outputs = [process.communicate()[0] for process in begun]
    return [_ids(process.returncode, output) for process, output in zip(begun, outputs, strict=True)]


def faults(first: Sequence[str], second: Sequence[str]) -> list[str]:
    """Return the lines that differ, those of the first collection with `-` and those of the second with `+`."""
    lines = difflib.ndiff(first, second)
    return [line for line in lines if line.startswith(("- ", "+ "))]


def main(arguments: Sequence[str]) -> int:
    """Print the ids that differ; 1 if there are any or the tests cannot be collected."""
    try:
        first, second = collections(arguments)
    except CollectionError as error:
        print(f"expected pytest to collect the tests, but got:\n{error}")
        return 1
    differing = faults(first, second)
    for line in differing:
        print(line)
    if differing:
        print(
            f"expected the same test ids in every process, but got {len(differing)} that differ; write them out "
            "(pytest.param(..., id=...) or ids=[...])"
        )
        return 1
    print(f"the {len(first)} test ids are the same in two processes")
    return 0


def _begin(arguments: Sequence[str], seed: str, folder: Path) -> subprocess.Popen[str]:
    """Start one collection with a hash seed and folders of its own."""
    environment = os.environ | {"PYTHONHASHSEED": seed, "TMPDIR": str(folder), "HOME": str(folder)}
    return subprocess.Popen(
        [sys.executable, *COLLECT, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _ids(code: int, output: str) -> list[str]:
    """Return the ids that a collection prints, one a line before the first empty line."""
    if code not in COLLECTED:
        raise CollectionError(output.strip())
    return [line for line in output.partition("\n\n")[0].splitlines() if "::" in line]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
