"""`python -m tests.docs.run`: run the commands of README.md and docs/ with the small budgets of `tests.docs.plan`.

All of them run in one temporary copy of the checkout's root, in which results/ is empty, so that the later ones find
what the earlier ones left, as a reader would. Each is a process of its own: a copy of this one, which has imported the
heavy libraries once. The blocks of Python and the tutorial run as well. `-k TEXT` runs what holds a text alone.
"""

import argparse
import os
import runpy
import shlex
import socket
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import requests

import platform.tune  # noqa: F401  # here, once, for all commands
from docs.generate.links import ROOT
from tests.docs.commands import snippets
from tests.docs.plan import AFTER_THE_SERVICE, BEFORE_THE_SERVICE, BESIDE_THE_SERVICE, CHECKPOINT, SERVICE, Run
from trainables.data.readers.recordings import read_recordings

KEPT_OUT = {"results", "build", "generated", "evaluation"}
PORT, START_S = 8000, 180.0
SERVED = "HardNegatives"  # a block of Python with it needs the service
PROGRAM = "python -m "


def main() -> int:
    """Run everything; return 1 if anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-k", dest="text", default="", help="run the commands that hold this text alone")
    chosen = parser.parse_args().text
    warnings.filterwarnings("ignore", message=".*found in sys.modules after import of package")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage(folder)
        return run_all(folder, chosen)


def stage(folder: Path) -> None:
    """Link the checkout into a folder, and put the files there that the pages name."""
    for path in ROOT.iterdir():
        if path.name not in KEPT_OUT and not path.name.startswith("."):
            (folder / path.name).symlink_to(path)
    recordings = read_recordings("cursory").recordings
    rows = [  # names of their own, since a page reads these beside the default recordings
        {"t_ms": r.t_ms, "x": r.x, "y": r.y, "user": r.user.replace("/", " "), "session": f"s{i}"}
        for i, r in enumerate(recordings)
    ]
    movements = pd.DataFrame(rows)
    movements.explode(["t_ms", "x", "y"]).to_csv(folder / "recordings.csv", index=False)
    movements[:300].to_parquet(folder / "theirs.parquet")
    bots = movements[:60].assign(style="ghost_cursor", trajectory_id=[f"path{i}" for i in range(60)])
    bots[["style", "trajectory_id", "t_ms", "x", "y"]].to_parquet(folder / "bots.parquet")


def run_all(folder: Path, chosen: str) -> int:
    """Run the commands in their order, and print each with its seconds; those that failed with their last lines."""
    failed = [run.command for run in BEFORE_THE_SERVICE if chosen in run.command and not succeeds(folder, run)]
    failed += run_python(folder, served=False, chosen=chosen)
    if any(chosen in run.command for run in (SERVICE, *BESIDE_THE_SERVICE)):
        with service(folder):
            failed += [run.command for run in BESIDE_THE_SERVICE if not succeeds(folder, run)]
            failed += run_python(folder, served=True, chosen="")
        assert np.load(folder / "negatives.npy").shape[0] == 1000, "curl got something else than a thousand movements"
    failed += [run.command for run in AFTER_THE_SERVICE if chosen in run.command and not succeeds(folder, run)]
    if chosen in "docs.tutorial" and not succeeds(folder, Run("python -m docs.tutorial")):
        failed.append("docs.tutorial")
    print(f"{len(failed)} failed" + "".join(f"\n  {command}" for command in failed))
    return 1 if failed else 0


def succeeds(folder: Path, run: Run) -> bool:
    """Run a command in the folder; return whether its exit code is one of those that are no fault."""
    line = f"{run.command} {run.small}".replace("CHECKPOINT", CHECKPOINT).strip()
    if run.command.startswith("make "):
        line = made(run)
    words = shlex.split(line)
    action = module(words[2:]) if line.startswith(PROGRAM) else program(words)
    return measured(folder, run.command, action, run.codes)


def made(run: Run) -> str:
    """Return what a target of make runs, with the small budget in its ARGS; the environment is there already."""
    command = [*shlex.split(run.command), f"ARGS={run.small}"]
    shown = subprocess.run(
        [*command[:1], "--no-print-directory", "-n", "-o", "venv", *command[1:]],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    return shown.stdout.decode().strip().replace(".venv/bin/python", "python")


def module(words: list[str]) -> Callable[[], None]:
    """Return what runs a module as a program in this process."""

    def action() -> None:
        sys.argv = words
        runpy.run_module(words[0], run_name="__main__", alter_sys=True)

    return action


def program(words: list[str]) -> Callable[[], None]:
    """Return what runs another program."""
    return lambda: sys.exit(subprocess.run(words, check=False).returncode)


def run_python(folder: Path, served: bool, chosen: str) -> list[str]:
    """Run the blocks of Python that need the service, or the others; return those that failed."""
    blocks = [block for block in snippets() if (SERVED in block.text) == served and chosen in block.text]
    return [
        f"{block.page}: Python"
        for block in blocks
        if not measured(folder, f"{block.page}: Python", snippet(block.text), (0,))
    ]


def snippet(text: str) -> Callable[[], None]:
    """Return what runs a block of Python, with fewer movements."""
    small = text.replace("CHECKPOINT", CHECKPOINT).replace("n=2000", "n=20")
    return lambda: exec(compile(small, "block", "exec"), {})


def measured(folder: Path, title: str, action: Callable[[], None], codes: tuple[int, ...]) -> bool:
    """Run an action in a copy of this process; print its seconds, and where it failed what it printed."""
    print(f"{title} ...", flush=True)
    started, log = time.monotonic(), folder / "output.txt"
    child = os.fork()
    if not child:
        in_child(folder, log, action)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    good = code in codes
    print(f"{time.monotonic() - started:7.1f} s  exit code {code}" + ("" if good else "  FAILED"), flush=True)
    if not good:
        print("\n".join(log.read_text(errors="replace").splitlines()[-40:]), flush=True)
    return good


def in_child(folder: Path, log: Path, action: Callable[[], None]) -> None:
    """Run an action in the folder with its output in a file, and end this process with its exit code."""
    code = 1
    try:
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(folder)
        os.environ.update(OMP_NUM_THREADS="1", TUTORIAL_STEPS="2", TUTORIAL_EPOCHS="1", PYTHONPATH=str(folder))
        action()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001  # the traceback is what the parent shows
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


@contextmanager
def service(folder: Path) -> Iterator[None]:
    """Run the service while the block runs.

    Raises:
        RuntimeError: another program listens at its port, it does not answer, or it does not end in good order.
    """
    if answers():
        raise RuntimeError(f"expected port {PORT} to be free, but something answers there; end it")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    process = subprocess.Popen([sys.executable, "-m", "serve"], cwd=folder, env=environment)
    try:
        ends = time.monotonic() + START_S
        while not (answers() and requests.get(f"http://127.0.0.1:{PORT}/v1/health", timeout=30).ok):
            if time.monotonic() > ends or process.poll() is not None:
                raise RuntimeError(f"expected the service to answer within {START_S:g} s, but it did not")
            time.sleep(0.5)
        yield
    finally:
        process.terminate()
        code = process.wait()
    if code:
        raise RuntimeError(f"expected the service to end with exit code 0, but got {code}")


def answers() -> bool:
    """Return whether something listens at the port of the service."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", PORT)) == 0


if __name__ == "__main__":
    sys.exit(main())
