"""`python -m tests.run`: first the tests that start no Ray, on every core, then those that do, one after another.

The second part is tests/ray/: each Ray instance of the tests holds two CPUs, so none of its tests has neighbours. All
tests of a file run in the same process (`--dist loadfile`), which makes the trained models that they share only once.
`make test` leaves out the tests marked `heavy`, which kill processes, fill a disk, open a browser or load the service;
`--all` (`make test-all`) runs them as well. The other arguments are pytest's: `-k schedule`, `-m "not ray"`, a folder,
`-n 0` for one process, `--pdb` as well.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

PASSED, FAILED, NONE = pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.NO_TESTS_COLLECTED
RAY = "tests/ray"
Run = Callable[[Sequence[str]], int]


def parts(arguments: Sequence[str], cores: int) -> list[list[str]]:
    """Return the arguments of the two calls of pytest; a marker expression among `arguments` narrows both."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--all", dest="heavy", action="store_true")
    parser.add_argument("-m", dest="markers", default="")
    given, rest = parser.parse_known_args(arguments)
    narrowed = ("" if given.heavy else " and not heavy") + (f" and ({given.markers})" if given.markers else "")
    everywhere = ["-n", str(cores), "--dist", "loadfile", f"--ignore={RAY}", *rest, "-m", f"not ray{narrowed}"]
    alone = ["-o", f"testpaths={RAY}", *rest, "-n", "0", "-m", f"ray{narrowed}"]
    return [everywhere, alone]


def main(arguments: Sequence[str], run: Run, cores: int) -> int:
    """Return the exit code of both parts; failed tests do not keep the second from running, Ctrl-C does."""
    codes: list[int] = []
    for part in parts(arguments, cores):
        codes.append(run(part))
        if codes[-1] not in (PASSED, FAILED, NONE):
            return codes[-1]
    ran = [code for code in codes if code != NONE]
    return max(ran, default=NONE)


def run_pytest(arguments: Sequence[str]) -> int:
    """Return its exit code; one thread per process, for there are as many processes as cores.

    Bytecode is kept even where the shell says otherwise: without it each process rewrites the asserts of all tests and
    compiles the project, which is half of the start of each.
    """
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    process = subprocess.Popen([sys.executable, "-m", "pytest", *arguments], env=environment)
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:  # pytest received it too, and prints its results so far
            continue


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], run_pytest, len(os.sched_getaffinity(0))))
