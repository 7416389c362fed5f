"""Sweeps of the stand-in in processes of their own, watched through their study."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import optuna
import psutil
from optuna.trial import FrozenTrial, TrialState

from platform.study.study import load_study
from tests.ray import standin
from tests.ray.processes import below
from trainables.core.config import ConfigError

ROOT = Path(__file__).resolve().parents[2]
SMALL = ("trainable.model.base_channels=16", "study_name=small")
PATIENCE_S = 600
WORKING = ("ImplicitFunc", "RayTrainWorker", "raylet/raylet", "gcs_server")  # Ray's agents may take minutes to end


class Sweep:
    """`platform.tune` over the stand-in with an empty home folder, as on a fresh machine; its output goes to a file."""

    def __init__(self, home: Path, *overrides: str) -> None:
        command = [*standin.COMMAND, f"storage_path={home / 'results'}", *SMALL, *overrides]
        self.home = home
        self.log = home / f"log-{time.monotonic_ns()}.txt"
        with self.log.open("w") as stream:
            self.process = _started(command, environment_of(home), stream)
        self.below: list[psutil.Process] = []

    def wait(self) -> int:
        """The exit code, at its end."""
        try:
            return self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            raise AssertionError(f"no end within {PATIENCE_S} s\n{self.output()}") from None

    def output(self) -> str:
        """Return the output so far, errors included."""
        return self.log.read_text()

    def signal(self, name: str) -> Path:
        """Return the file that triggers an event of the stand-in."""
        return self.home / name

    def send(self, number: int) -> None:
        """Send the command's own process a signal."""
        os.kill(self.process.pid, number)

    def study(self) -> optuna.Study:
        """Its study, as a reader sees it."""
        return load_study(self.home / "results", "small")

    def until(self, holds: Callable[[optuna.Study], bool]) -> optuna.Study:
        """Wait for something to be true of the study while the sweep runs; the test fails if it never is."""
        ends = time.monotonic() + PATIENCE_S
        while time.monotonic() < ends:
            assert self.process.poll() is None, self.output()
            try:
                study = self.study()
            except ConfigError:
                time.sleep(0.5)
                continue
            if holds(study):
                return study
            time.sleep(0.1)
        raise AssertionError(self.output())

    def processes(self, title: str) -> list[psutil.Process]:
        """Those that the sweep has started and whose command holds `title`."""
        self.below = [process for part in WORKING for process in below(self.process.pid, part)]
        return below(self.process.pid, title)

    def held(self) -> list[psutil.Process]:
        """Those in which a trial has waited before its held epoch; all earlier epochs are reported."""
        return [
            psutil.Process(int(path.name.removeprefix(standin.HELD))) for path in self.home.glob(f"{standin.HELD}*")
        ]

    def left_behind(self) -> list[psutil.Process]:
        """Working processes that were seen by `processes` and still live, when they have had a minute to end."""
        return list(psutil.wait_procs(self.below, timeout=60)[1])


def environment_of(home: Path) -> dict[str, str]:
    """Return the environment of a fresh machine, whose signals to the stand-in stand in the home folder."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")}
    return ours | {"HOME": str(home), standin.SIGNALS: str(home)}


def _started(command: list[str], environment: dict[str, str], stream: IO[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=stream, stderr=subprocess.STDOUT, start_new_session=True
    )


def running(study: optuna.Study) -> list[FrozenTrial]:
    """Trials that Optuna holds for running."""
    return study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
