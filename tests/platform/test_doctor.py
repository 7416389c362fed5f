"""The preflight: every check's failing side, what it prints, and that one check never stops another."""

import io
import os
import socket
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import pytest
import ray
from rich.console import Console

from platform.core import ray_instance as cluster
from platform.core.provenance import ROOT, Source
from platform.doctor import COMMAND, main
from platform.preflight import command
from platform.preflight.checks import CHECKS
from platform.preflight.config import DoctorConfig
from platform.preflight.context import FAIL, OK, WARNING, Cluster, Finding, PreflightContext, run_check
from platform.preflight.machines import compare_packages, pins
from platform.preflight.ray_instance import check_token
from trainables.core.cli import FAILED, WRONG_INPUT, run
from trainables.core.config import ConfigError
from trainables.data.config import DataConfig
from trainables.training import node_probe as node_module
from trainables.training.node_probe import Disk, Node, exchange, memory_bytes, probe_node
from trainables.training.scaling import TRIAL_DRIVER, ScalingConfig

GIB = 2**30
ROOMY = Disk("/data", 100 * GIB, 200 * GIB)
SOURCE = Source("c" * 40, None, "", "d" * 64)
NO_GIT = Source(None, "git cannot be run", "", "d" * 64)
CLUSTER_FILE = """
provider: {{type: local, head_ip: {head}, worker_ips: [{worker}]}}
auth: {{ssh_user: me, ssh_private_key: {key}}}
file_mounts: {{"~/code": "{mount}"}}
"""


def a_node(**changes: Any) -> Node:
    """A machine with which nothing is wrong."""
    base = Node(
        host="one",
        python=(3, 11, 7),
        packages=locked_packages(),
        code_sha256="a" * 64,
        open_files=65536,
        memory_bytes=64 * GIB,
        disks={"storage": ROOMY, "temporary": ROOMY, "shared memory": Disk("/dev/shm", GIB, GIB)},
        storage="",
    )
    return replace(base, **changes)


def locked_packages() -> dict[str, str]:
    return pins((ROOT / "constraints.txt").read_text())


def a_context(
    node: Node | None = None, cluster: Cluster | None = None, file: str = "cluster.yaml", **config: Any
) -> PreflightContext:
    """A cluster of two machines; `node` is the second of them."""
    second = node or a_node(host="two")
    whole = Cluster(
        nodes=(a_node(), second),
        clock_offset_s={"one": 0.0, "two": 0.0},
        capacity=({"CPU": 4.0, TRIAL_DRIVER: 1.0}, {"CPU": 4.0}),
    )
    settings = DoctorConfig(**{"address": "auto", "cluster": file, **config})
    return PreflightContext(settings, DataConfig(), a_node(), cluster or whole)


@pytest.fixture(autouse=True)
def sound(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A clean checkout, a token that its owner alone reads, an ssh and an rsync."""
    token = tmp_path / "token"
    token.touch(mode=0o600)
    token.write_text("0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    monkeypatch.setattr("platform.preflight.machines.source_of", lambda: SOURCE)
    monkeypatch.setattr("shutil.which", lambda program: program)


@pytest.mark.parametrize("name", CHECKS)
def test_every_check_passes_where_nothing_is_wrong(name: str) -> None:
    found = CHECKS[name](a_context())
    assert found.state == OK, found
    assert found.text


def write_cluster_file(folder: Path, **changes: Any) -> str:
    key = folder / "key"
    key.touch()
    file = folder / "cluster.yaml"
    file.write_text(
        CLUSTER_FILE.format(**{"head": "127.0.0.1", "worker": "127.0.0.1", "key": key, "mount": key} | changes)
    )
    return str(file)


def written(file: Path, text: str) -> str:
    file.write_text(text)
    return str(file)


def patched(patch: pytest.MonkeyPatch, name: str, value: object, **config: Any) -> PreflightContext:
    """A scene in a world where something of the given name is otherwise."""
    patch.setattr(name, value)
    return a_context(**config)


Wrong = Callable[[pytest.MonkeyPatch, Path], PreflightContext]
FULL = Disk("/data", 1 * GIB, 100 * GIB)
WRONG: dict[str, tuple[str, str, str, Wrong]] = {
    "another python": ("python", FAIL, "3.11.7 and 3.12.0", lambda m, p: a_context(a_node(python=(3, 12, 0)))),
    "an old python": (
        "python",
        FAIL,
        "3.10.1",
        lambda m, p: replace(a_context(), driver=a_node(python=(3, 10, 1))),
    ),
    "another version on a node": (
        "packages",
        FAIL,
        "two: torch 1.0, locked 2.13.0",
        lambda m, p: a_context(a_node(host="two", packages={**locked_packages(), "torch": "1.0"})),
    ),
    "the standard platform": (
        "platform",
        FAIL,
        "/lib/platform.py",
        lambda m, p: patched(m, "platform.__file__", "/lib/platform.py"),
    ),
    "other code on a node": (
        "code",
        FAIL,
        "other code in two",
        lambda m, p: a_context(a_node(host="two", code_sha256="b" * 64)),
    ),
    "no git": (
        "code",
        WARNING,
        "no commit: git cannot be run",
        lambda m, p: patched(
            m, "platform.preflight.machines.source_of", lambda: Source(None, "git cannot be run", "", None)
        ),
    ),
    "uncommitted changes": (
        "code",
        WARNING,
        "commit cccccccccccc and uncommitted",
        lambda m, p: patched(m, "platform.preflight.machines.source_of", lambda: replace(SOURCE, diff="+x")),
    ),
    "few open files": ("open files", WARNING, "two: 1024", lambda m, p: a_context(a_node(host="two", open_files=1024))),
    "little shared memory": (
        "shared memory",
        WARNING,
        "two: 64 MiB",
        lambda m, p: a_context(a_node(host="two", disks={"shared memory": Disk("/dev/shm", 1, 64 * 2**20)})),
    ),
    "a full disk": (
        "disks",
        FAIL,
        "two: storage 1,024 MiB",
        lambda m, p: a_context(a_node(host="two", disks={"storage": FULL})),
    ),
    "a disk with little room": (
        "disks",
        WARNING,
        "1,024 MiB free in /data",
        lambda m, p: a_context(a_node(host="two", disks={"temporary": Disk("/data", GIB, 2 * GIB)})),
    ),
    "no ray": (
        "ray",
        FAIL,
        "no Ray there",
        lambda m, p: a_context(cluster=Cluster(error="address=auto: no Ray there")),
    ),
    "an unresponsive node": (
        "ray",
        FAIL,
        "three: No module named 'trainables'",
        lambda m, p: a_context(cluster=Cluster(unresponsive=("three: No module named 'trainables'",))),
    ),
    "no room for a worker": (
        "resources",
        FAIL,
        "3 process(es) of 3 CPUs and 0 GPUs per trial, but 2 fit",
        lambda m, p: a_context(scaling=ScalingConfig(num_workers=3, cpus_per_worker=3)),
    ),
    "no gpu": ("resources", FAIL, "but 0 fit", lambda m, p: a_context(scaling=ScalingConfig(gpus_per_worker=1.0))),
    "no trial_driver": (
        "resources",
        FAIL,
        "no node has the resource trial_driver",
        lambda m, p: a_context(cluster=Cluster(capacity=({"CPU": 8.0},)), scaling=ScalingConfig(num_workers=2)),
    ),
    "little memory": (
        "resources",
        WARNING,
        "8 concurrent trial(s), about 6,400 MiB of memory, but 2,048 MiB are free",
        lambda m, p: a_context(cluster=replace(a_context().cluster, nodes=(a_node(memory_bytes=2 * GIB),))),
    ),
    "clocks apart": (
        "clocks",
        WARNING,
        "two -7.5 s",
        lambda m, p: a_context(cluster=replace(a_context().cluster, clock_offset_s={"one": 0.1, "two": -7.5})),
    ),
    "no right to write": (
        "storage",
        FAIL,
        "storage_path=/root/x: Permission denied",
        lambda m, p: replace(a_context(storage_path="/root/x"), driver=a_node(storage="Permission denied")),
    ),
    "a storage that is not shared": (
        "storage",
        FAIL,
        "two: /data is not the driver's",
        lambda m, p: a_context(a_node(host="two", storage="/data is not the driver's")),
    ),
    "a database that is not there": (
        "database",
        FAIL,
        "storage=postgresql+psycopg://me:***@127.0.0.1:1/x",
        lambda m, p: a_context(storage="postgresql+psycopg://me:secret@127.0.0.1:1/x"),
    ),
    "no database": ("database", FAIL, "storage=nonsense", lambda m, p: a_context(storage="nonsense")),
    "a database file in no folder": (
        "database",
        FAIL,
        "is not writable",
        lambda m, p: a_context(storage=f"sqlite:///{p}/nowhere/s.db"),
    ),
    "no data": (
        "data",
        FAIL,
        "/nowhere.csv",
        lambda m, p: replace(a_context(), data=DataConfig(source="table", path="/nowhere.csv")),
    ),
    "no rsync": (
        "cluster file",
        WARNING,
        "rsync not installed",
        lambda m, p: patched(m, "shutil.which", lambda name: None if name == "rsync" else name),
    ),
    "no cluster file": ("cluster file", WARNING, "no such file", lambda m, p: a_context(file="/nowhere.yaml")),
    "a file of something else": (
        "cluster file",
        FAIL,
        "expected an on-prem cluster file",
        lambda m, p: a_context(file=written(p / "other.yaml", "a: 1")),
    ),
    "no key": (
        "cluster file",
        FAIL,
        "/no/key: no such key",
        lambda m, p: a_context(file=write_cluster_file(p, key="/no/key")),
    ),
    "no token to copy": (
        "cluster file",
        FAIL,
        "/no/token: no such file to copy",
        lambda m, p: a_context(file=write_cluster_file(p, mount="/no/token")),
    ),
    "a name that does not resolve": (
        "cluster file",
        FAIL,
        "elsewhere does not resolve",
        lambda m, p: patched(m, "socket.getaddrinfo", unresolved, file=write_cluster_file(p, worker="elsewhere")),
    ),
    "a login that is refused": (
        "connection",
        FAIL,
        "127.0.0.1: me@127.0.0.1: Permission denied",
        lambda m, p: patched(m, "subprocess.run", refused, file=write_cluster_file(p), connect=True),
    ),
}


def unresolved(host: str, port: int) -> list[str]:
    if host == "elsewhere":
        raise socket.gaierror(-2, "Name or service not known")
    return []


def refused(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
    assert "BatchMode=yes" in command
    return subprocess.CompletedProcess(command, 255, "", f"warning\n{command[-2]}: Permission denied\n")


@pytest.mark.parametrize("case", WRONG)
def test_every_fault_is_reported_with_a_remedy(case: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name, state, text, wrong = WRONG[case]
    found = run_check(CHECKS[name], wrong(monkeypatch, tmp_path))
    assert found.state == state
    assert text in found.text
    assert found.remedy
    assert "secret" not in found.text
    assert "\n" not in found.text + found.remedy


def test_every_check_can_fail() -> None:
    assert {name for name, *_ in WRONG.values()} | {"token"} == set(CHECKS)


def exposed_token(folder: Path, mode: int, folder_mode: int = 0o755) -> Path:
    file = folder / "ray" / "auth_token"
    file.parent.mkdir()
    file.write_text("t")
    file.chmod(mode)
    file.parent.chmod(folder_mode)
    return file


@pytest.mark.parametrize("address", ["local", "auto"])
def test_a_token_is_required_and_readable_by_its_owner_only(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    context, serious = a_context(address=address), WARNING if address == "local" else FAIL
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    assert check_token(context).state == serious
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    assert check_token(context).state == (OK if address == "local" else FAIL)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "t")
    assert check_token(context).state == OK
    monkeypatch.delenv("RAY_AUTH_MODE")
    assert check_token(context).state == (OK if address == "local" else FAIL)


@pytest.mark.parametrize(
    ("mode", "folder_mode", "exposed"), [(0o644, 0o755, True), (0o600, 0o755, False), (0o644, 0o700, False)]
)
def test_a_token_is_exposed_by_its_bits_where_the_folders_let_others_in(
    mode: int, folder_mode: int, exposed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TemporaryDirectory() as name:  # that of pytest lies in folders that no other user may enter
        Path(name).chmod(0o755)
        monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(exposed_token(Path(name), mode, folder_mode)))
        assert check_token(a_context()).state == (FAIL if exposed else OK)


def test_a_build_of_another_kind_is_the_locked_version() -> None:
    locked = {"torch": "2.13.0", "absent": "1"}
    assert compare_packages({"torch": "2.13.0+cpu", "pip": "9"}, locked, ["torch"]).state == OK
    assert compare_packages({}, locked, ["torch"]).text == "torch is missing"


def test_without_ray_the_checks_that_need_it_report_not_checked() -> None:
    for name in ("resources", "clocks"):
        found = CHECKS[name](a_context(cluster=Cluster(error="none")))
        assert (found.state, "not checked" in found.text) == (WARNING, True)


def test_the_cluster_file_of_the_repository_is_not_filled_in() -> None:
    assert "no cluster configured" in CHECKS["cluster file"](a_context()).text


def test_a_database_file_is_not_made_by_looking(tmp_path: Path) -> None:
    assert CHECKS["database"](a_context(storage=f"sqlite:///{tmp_path}/s.db")).state == OK
    assert list(tmp_path.glob("*.db")) == []


# the exchange of files between the driver and a node


def test_a_node_that_shares_the_folder_reads_and_writes_in_it(tmp_path: Path) -> None:
    (tmp_path / "driver").write_text("s")
    assert exchange(tmp_path, "s", "node") == ""
    assert (tmp_path / "node").read_text() == "s"
    assert "another file" in exchange(tmp_path, "other", "node")
    assert "is not the driver's" in exchange(tmp_path / "absent", "s", "node")


def test_a_node_reports_its_own_properties(tmp_path: Path) -> None:
    (tmp_path / "driver").write_text("s")
    found = probe_node(str(tmp_path), "s", "node")
    assert (found.host, found.storage) == (os.uname().nodename, "")
    assert found.disks["storage"].folder == str(tmp_path.parent)
    assert found.packages["ray"] == ray.__version__


def test_a_containers_limit_bounds_the_free_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = {"MEMORY_INFO": "MemAvailable:  4096 kB\n", "MEMORY_LIMIT": "max", "MEMORY_USED": "1000"}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        monkeypatch.setattr(node_module, name, tmp_path / name)
    assert memory_bytes() == 4096 * 1024
    (tmp_path / "MEMORY_LIMIT").write_text("5000\n")
    assert memory_bytes() == 4000


def no_ray(address: str, scaling: ScalingConfig) -> None:
    raise ConfigError(f"address={address}: no Ray there")


def doctor_run(*overrides: str) -> int:
    return run(COMMAND, main, overrides)


def test_the_command_prints_each_check_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "ray_instance", no_ray)

    def broken(context: PreflightContext) -> Finding:
        raise ZeroDivisionError("of a check")

    monkeypatch.setitem(CHECKS, "clocks", broken)
    assert doctor_run(f"storage_path={tmp_path}/new/results") == FAILED
    out = capsys.readouterr().out
    assert [name for name in CHECKS if f" {name} " not in out] == []
    assert "FAIL    clocks         ZeroDivisionError: of a check" in out
    assert "address=local: no Ray there" in out
    assert " -> " in out
    assert "2 failed" in out
    assert not (tmp_path / "new").exists()


def test_an_unwritable_folder_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "ray_instance", no_ray)
    (tmp_path / "file").touch()
    assert doctor_run(f"storage_path={tmp_path}/file") == FAILED
    assert f"storage_path={tmp_path}/file: Not a directory" in capsys.readouterr().out


def test_warnings_do_not_fail(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "gather_context", lambda config, data: a_context())
    monkeypatch.setitem(CHECKS, "clocks", lambda context: Finding(WARNING, "x [y]", "[do] it"))
    assert doctor_run() == 0
    out = capsys.readouterr().out
    assert "x [y]" in out
    assert "-> [do] it" in out


@pytest.mark.parametrize("override", ["scaling.num_workers=-1", "storagepath=x", "trainable.data.source=quux"])
def test_wrong_input_is_one_line(override: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert doctor_run(override) == WRONG_INPUT
    assert capsys.readouterr().err.count("\n") == 1


def test_an_unreachable_address_is_reported_without_waiting() -> None:
    """A socket that is never read stands in for a head that is gone; `ray.init` would wait for many minutes."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        reason = cluster.unreachable_reason(f"127.0.0.1:{deaf.getsockname()[1]}", within_s=1)
    assert "no response within 1 s" in reason


def test_a_line_names_its_state_beside_the_colour() -> None:
    console = Console(file=io.StringIO(), width=40)
    command._shown(console, "ray", Finding(FAIL, "a long line that a narrow terminal would break", "do something"))
    lines = cast(io.StringIO, console.file).getvalue().splitlines()
    assert lines[0].startswith("FAIL    ray")
    assert lines[1].strip() == "-> do something"
