"""Checks of every machine: Python, packages, code, and limits of the system."""

import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

import platform
from platform.core.provenance import ROOT, source_of
from platform.preflight.context import FAIL, OK, WARNING, Finding, PreflightContext, mib, worst_finding
from trainables.training.node_probe import Node, normal

PYTHON = (3, 11)
FULL_DISK = 0.95  # Ray puts no objects on a fuller disk
FREE_BYTES = 5 * 2**30  # of a disk; a default sweep leaves some hundred MB
SHARED_BYTES = 256 * 2**20  # containers start with 64 MB
OPEN_FILES = 4096  # Ray warns below


def check_python(context: PreflightContext) -> Finding:
    """Check that Python is recent enough and the same on all machines: Ray refuses to join others."""
    versions = {node.python for node in context.machines}
    text = " and ".join(sorted(".".join(map(str, version)) for version in versions))
    if min(versions)[:2] < PYTHON:
        return Finding(FAIL, text, "make venv PYTHON=python3.11, or a later one")
    return Finding(FAIL, text, "install one version on all machines") if len(versions) > 1 else Finding(OK, text)


def check_packages(context: PreflightContext) -> Finding:
    """Check that installed packages have the versions of constraints.txt and that none is missing."""
    locked = pins((ROOT / "constraints.txt").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = [normal(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0]) for line in project["dependencies"]]
    return worst_finding(context, lambda node: compare_packages(node.packages, locked, needed))


def pins(constraints: str) -> dict[str, str]:
    """Return normalised names and versions from the text of constraints.txt."""
    lines = [line.split("==") for line in constraints.splitlines() if "==" in line and not line.startswith("#")]
    return {normal(name): version.strip() for name, version in lines}


def compare_packages(installed: Mapping[str, str], locked: Mapping[str, str], needed: Sequence[str]) -> Finding:
    """Compare versions without their local part (torch 2.13.0+cpu)."""
    missing = [f"{name} is missing" for name in needed if name not in installed]
    other = [
        f"{name} {installed[name]}, locked {version}"
        for name, version in locked.items()
        if name in installed and installed[name].partition("+")[0] != version
    ]
    if missing or other:
        return Finding(FAIL, ", ".join(missing + other), "make venv")
    return Finding(OK, f"{len(set(locked) & set(installed))} packages as in constraints.txt")


def check_shim(context: PreflightContext) -> Finding:
    """Check that `platform` is this project's package and still provides the standard library's functions."""
    file = Path(platform.__file__).resolve()
    remedy = f"start in {ROOT} with python -m, without PYTHONSAFEPATH"
    if file.parent != ROOT / "platform":
        return Finding(FAIL, f"`platform` is {file}", remedy)
    same = platform.system() == os.uname().sysname and platform.python_version().startswith("3.")
    return (
        Finding(OK, "project package with stdlib fallback")
        if same
        else Finding(FAIL, "the stdlib module is not reachable", remedy)
    )


def check_code(context: PreflightContext) -> Finding:
    """Check the commit, and by hashes that every node has the same code."""
    source = source_of()
    others = [node.host for node in context.machines if node.code_sha256 != context.driver.code_sha256]
    if others:
        return Finding(FAIL, f"other code in {', '.join(others)}", "copy this checkout with `ray up cluster.yaml`")
    if source.commit is None:
        return Finding(WARNING, f"no commit: {source.reason}", "install git: without it trials record only a hash")
    if source.diff:
        remedy = "commit, or rely on the patch that the study stores"
        return Finding(WARNING, f"commit {source.commit[:12]} and uncommitted changes", remedy)
    return Finding(OK, f"commit {source.commit[:12]}, the same code on {len(context.machines)} machine(s)")


def check_open_files(context: PreflightContext) -> Finding:
    """Check the limit of open files: Ray's processes hold many sockets."""
    remedy = f"ulimit -n {16 * OPEN_FILES}"

    def check_node(node: Node) -> Finding:
        text = f"{node.open_files} per process"
        return Finding(OK, text) if node.open_files >= OPEN_FILES else Finding(WARNING, text, remedy)

    return worst_finding(context, check_node)


def check_shared_memory(context: PreflightContext) -> Finding:
    """Check the shared memory, which holds Ray's objects; without enough of it they are spilled to disk."""

    def check_node(node: Node) -> Finding:
        disk = node.disks.get("shared memory")
        if disk is None:
            return Finding(OK, "none on this system; Ray uses temporary files")
        if disk.total_bytes < SHARED_BYTES:
            return Finding(WARNING, mib(disk.total_bytes), "docker run --shm-size=2g, or mount a larger /dev/shm")
        return Finding(OK, mib(disk.total_bytes))

    return worst_finding(context, check_node)


def check_disks(context: PreflightContext) -> Finding:
    """Check the free space for results and for Ray's files."""

    def check_node(node: Node) -> Finding:
        disks = {name: disk for name, disk in node.disks.items() if name != "shared memory"}
        text = ", ".join(f"{name} {mib(disk.free_bytes)} free in {disk.folder}" for name, disk in disks.items())
        if any(disk.free_bytes < (1 - FULL_DISK) * disk.total_bytes for disk in disks.values()):
            return Finding(FAIL, text, "free disk space (Ray stops at 95 %), or set another storage_path or RAY_TMPDIR")
        if any(disk.free_bytes < FREE_BYTES for disk in disks.values()):
            return Finding(WARNING, text, "free disk space, or lower budget.disk")
        return Finding(OK, text)

    return worst_finding(context, check_node)
