"""Tests of stopping a measured service: gracefully, and by killing its process group after a timeout."""

import subprocess
import sys
import time

import psutil
import pytest

from benchmarks.support import service
from benchmarks.support.service import stop

CHILD = "import time; time.sleep(60)"
PARENT = f"""
import signal, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "{CHILD}"])
HANDLER
print(child.pid, flush=True)
time.sleep(60)
"""


def started(handler: str) -> tuple["subprocess.Popen[str]", psutil.Process]:
    """Start a process in a group of its own; return it and its child."""
    command = [sys.executable, "-c", PARENT.replace("HANDLER", handler)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stdout is not None
    with process.stdout as output:
        return process, psutil.Process(int(output.readline()))


def test_a_service_that_stops_on_sigterm_is_not_killed() -> None:
    process, child = started("signal.signal(signal.SIGTERM, lambda *_: (child.kill(), child.wait(), sys.exit(0)))")
    stop(process)
    assert process.returncode == 0
    assert not child.is_running()


def test_a_service_that_does_not_stop_is_killed_with_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "WITHIN_S", 0.2)
    process, child = started("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    stop(process)
    assert process.returncode == -9
    ends = time.monotonic() + 60
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < ends
        time.sleep(0.05)
