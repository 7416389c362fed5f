"""A measured service ends with the block that started it, and its whole process group where it would stay."""

import subprocess
import sys
import time

import psutil
import pytest

from benchmarks.support import service
from benchmarks.support.service import end

CHILD = "import time; time.sleep(60)"
PARENT = f"""
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "{CHILD}"])
HANDLER
print(child.pid, flush=True)
time.sleep(60)
"""


def started(handler: str) -> tuple["subprocess.Popen[str]", psutil.Process]:
    """A process in a group of its own, and the one that it has started."""
    command = [sys.executable, "-c", PARENT.replace("HANDLER", handler)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    with process.stdout as said:
        return process, psutil.Process(int(said.readline()))


def test_a_service_that_ends_when_told_is_not_killed() -> None:
    process, child = started("signal.signal(signal.SIGTERM, lambda *_: (child.kill(), child.wait(), sys.exit(0)))")
    end(process)
    assert process.returncode == 0
    assert not child.is_running()


def test_of_a_service_that_stays_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "WITHIN_S", 0.2)
    process, child = started("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    end(process)
    assert process.returncode == -9
    ends = time.monotonic() + 60
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < ends
        time.sleep(0.05)
