"""`python -m tests.run`: the whole suite; on every core what starts no Ray, then one test after another what does.

Each Ray instance of the tests holds two CPUs, and some of its tests are about time: none of them has neighbours. All
tests of a file run in the same process (`--dist loadfile`), which makes the trained models that they share only once.
The arguments are pytest's: `-k schedule`, `-m "not slow"`, a folder, `-n 0` for one process, `--pdb` as well.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

FINE, FAILED, NONE = pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED
Run = Callable[[Sequence[str]], int]


def parts(arguments: Sequence[str], cores: int) -> list[list[str]]:
    """The arguments of the two calls of pytest; a marker expression among `arguments` narrows both."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-m", dest="markers", default="")
    given, rest = parser.parse_known_args(arguments)
    asked = f" and ({given.markers})" if given.markers else ""
    everywhere = ["-n", str(cores), "--dist", "loadfile", *rest, "-m", f"not ray{asked}"]
    return [everywhere, [*rest, "-n", "0", "-m", f"ray{asked}"]]


def main(arguments: Sequence[str], run: Run, cores: int) -> int:
    """The first exit code that tells of a fault; failed tests do not keep the second part from running, Ctrl-C does."""
    codes: list[int] = []
    for part in parts(arguments, cores):
        codes.append(run(part))
        if codes[-1] not in (FINE, FAILED, NONE):
            return codes[-1]
    told = [code for code in codes if code != NONE]
    return max(told, default=NONE)


def pytest_ends(arguments: Sequence[str]) -> int:
    """Its exit code; one thread per process, for there are as many processes as cores."""
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    process = subprocess.Popen([sys.executable, "-m", "pytest", *arguments], env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # pytest has had it too, and tells what it did so far
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], pytest_ends, len(os.sched_getaffinity(0))))
