"""Probe one machine for the preflight: versions, limits and disks, and whether it shares the driver's storage.

The driver calls `probe_node` in its own process and as a task on every node of a cluster, and compares the answers.
"""

import os
import re
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path

from trainables.training.manifest import CODE, code_sha256

DRIVERS_FILE = "driver"
SHARED_MEMORY = Path("/dev/shm")
MEMORY_INFO = Path("/proc/meminfo")
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")  # of a container; absent or "max" where there is none
MEMORY_USED = Path("/sys/fs/cgroup/memory.current")


@dataclass(frozen=True)
class Disk:
    """The file system that holds a folder."""

    folder: str
    free_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Node:
    """One machine as a process on it finds it.

    Attributes:
        packages: Normal name -> installed version.
        code_sha256: Of `trainables` as this process imports it.
        open_files: How many a process may hold open.
        memory_bytes: Free for further processes; None where the system does not report it.
        disks: Of the storage, of temporary files, and of shared memory where there is any.
        storage: Why the driver's storage cannot be shared; empty where it can.
    """

    host: str
    python: tuple[int, int, int]
    packages: Mapping[str, str]
    code_sha256: str
    open_files: int
    memory_bytes: int | None
    disks: Mapping[str, Disk]
    storage: str


def probe_node(folder: str, secret: str, name: str) -> Node:
    """This machine, with a file left under `name` in a folder of the storage, where the driver has left its own."""
    return Node(
        host=os.uname().nodename,
        python=sys.version_info[:3],
        packages=installed_packages(),
        code_sha256=code_sha256(CODE),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        memory_bytes=memory_bytes(),
        disks=_disks(Path(folder).parent),
        storage=exchange(Path(folder), secret, name),
    )


def now_s() -> float:
    """The clock of this machine, seconds since 1970."""
    return time.time()


def exchange(folder: Path, secret: str, name: str) -> str:
    """Read the driver's file and leave one of one's own; what went wrong, empty if nothing."""
    try:
        if (folder / DRIVERS_FILE).read_text() != secret:
            return f"{folder} holds another file than the driver wrote there"
        (folder / name).write_text(secret)
    except FileNotFoundError:
        return f"{folder.parent} is not the driver's: what it wrote there is not here"
    except OSError as error:
        return f"{folder.parent}: {error.strerror}"
    return ""


def normal(name: str) -> str:
    """The name of a package as indexes compare it.

    >>> normal("Scikit_Learn")
    'scikit-learn'
    """
    return re.sub(r"[-_.]+", "-", name).lower()


def installed_packages() -> dict[str, str]:
    """Normal name -> version of everything installed; of two copies the one that is imported counts."""
    found: dict[str, str] = {}
    for distribution in distributions():
        found.setdefault(normal(distribution.name), distribution.version)
    return found


def memory_bytes() -> int | None:
    """Return the available memory of the system, or of the container's limit if that is less."""
    if not MEMORY_INFO.is_file():
        return None
    available = re.search(r"^MemAvailable:\s+(\d+) kB$", MEMORY_INFO.read_text(), re.MULTILINE)
    left = [int(available[1]) * 1024] if available else []
    limit = MEMORY_LIMIT.read_text().strip() if MEMORY_LIMIT.is_file() else "max"
    if limit != "max":
        left.append(int(limit) - int(MEMORY_USED.read_text()))
    return min(left, default=None)


def _disks(storage: Path) -> dict[str, Disk]:
    temporary = os.environ.get("RAY_TMPDIR", tempfile.gettempdir())
    places = {"storage": storage, "temporary": Path(temporary), "shared memory": SHARED_MEMORY}
    return {name: _disk(folder) for name, folder in places.items() if folder.is_dir()}


def _disk(folder: Path) -> Disk:
    usage = shutil.disk_usage(folder)
    return Disk(str(folder), usage.free, usage.total)
