"""The preflight as a user types it, with a real Ray instance that it starts and ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from platform.preflight.checks import CHECKS

pytestmark = pytest.mark.ray
ROOT = Path(__file__).resolve().parents[2]


def test_a_new_machine_passes_and_is_not_changed(tmp_path: Path) -> None:
    """An empty home folder: no token, no configuration; everything missing for a cluster is a warning."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"HOME": str(tmp_path)}
    place = tmp_path / "results"
    command = [sys.executable, "-m", "platform.doctor", f"storage_path={place}", "scaling.num_workers=1"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    states = {name: line.split()[0] for name in CHECKS for line in lines if line[8:].startswith(f"{name} ")}
    assert set(states) == set(CHECKS)
    for name in ("python", "packages", "platform", "ray", "resources", "storage", "data", "clocks"):
        assert states[name] == "ok", done.stdout
    assert "1 node(s)" in done.stdout
    assert "written and read by this process and 1 node(s)" in done.stdout
    assert "\x1b" not in done.stdout
    assert not place.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".ray"]  # the token that Ray makes for a local instance
