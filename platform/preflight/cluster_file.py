"""Checks of the cluster file before `ray up`: programs, key and host names; optionally a login to its machines."""

import ipaddress
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from platform.preflight.context import FAIL, OK, WARNING, Finding, PreflightContext
from trainables.core.config import ConfigError

DOCUMENTATION = [ipaddress.ip_network(block) for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
LOGIN_S = 10
NEEDED = "command -v rsync && command -v make"  # on every machine


@dataclass(frozen=True)
class ClusterFile:
    """User, key, hosts and mounts of a cluster file."""

    user: str
    key: Path
    hosts: tuple[str, ...]
    mounts: tuple[Path, ...]

    @property
    def filled_in(self) -> bool:
        """Whether its addresses are of machines; those of the template are reserved for documentation."""
        return not any(_reserved(host) for host in self.hosts)


def check_cluster_file(context: PreflightContext) -> Finding:
    """Check what `ray up` needs: file, programs, key, and host names that resolve."""
    missing = [program for program in ("ssh", "rsync") if shutil.which(program) is None]
    problems, filled_in = reachable(Path(context.config.cluster))
    if missing:
        problems = [f"{' and '.join(missing)} not installed", *problems]
    if problems:
        return Finding(
            FAIL if filled_in else WARNING, "; ".join(problems), f"correct it before `ray up {context.config.cluster}`"
        )
    text = "every host resolves, the key exists" if filled_in else "still the template: no cluster configured"
    return Finding(OK, f"{context.config.cluster}: {text}")


def check_connection(context: PreflightContext) -> Finding:
    """Log in to each machine of the cluster file, if `connect` is set."""
    if not context.config.connect:
        return Finding(OK, "not checked; connect=true logs in to every machine of the cluster file")
    failed = reach(Path(context.config.cluster))
    return (
        Finding(FAIL, "; ".join(failed), "log in there with ssh once, install rsync and make")
        if failed
        else Finding(OK, "logged in to every machine")
    )


def read(file: Path) -> ClusterFile:
    """Read the cluster file of an on-prem cluster.

    Raises:
        ConfigError: it cannot be read, or a key is missing.
    """
    try:
        content = yaml.safe_load(file.read_text())
        provider, auth = content["provider"], content["auth"]
        hosts = (provider["head_ip"], *provider["worker_ips"])
        mounts = tuple(_path(source) for source in content.get("file_mounts", {}).values())
        return ClusterFile(auth["ssh_user"], _path(auth["ssh_private_key"]), tuple(map(str, hosts)), mounts)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"cluster={file}: not a readable cluster file ({error})") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"cluster={file}: expected an on-prem cluster file, but {error} is missing or wrong"
        ) from None


def reachable(file: Path) -> tuple[list[str], bool]:
    """Return the problems that show without a login, and whether the file is filled in."""
    if not file.is_file():
        return [f"{file}: no such file"], False
    cluster = read(file)
    return (list(_problems(cluster)) if cluster.filled_in else []), cluster.filled_in


def _problems(cluster: ClusterFile) -> Iterator[str]:
    if not cluster.key.is_file():
        yield f"{cluster.key}: no such key"
    yield from (f"{path}: no such file to copy to the nodes" for path in cluster.mounts if not path.exists())
    for host in cluster.hosts:
        try:
            socket.getaddrinfo(host, 22)
        except OSError as error:
            yield f"{host} does not resolve ({error.strerror})"


def reach(file: Path) -> list[str]:
    """Log in to every machine without prompts; return the errors."""
    cluster = read(file)
    return [error for host in cluster.hosts if (error := _login(cluster, host))]


def _login(cluster: ClusterFile, host: str) -> str:
    options = ["-o", "BatchMode=yes", "-o", f"ConnectTimeout={LOGIN_S}", "-i", str(cluster.key)]
    command = ["ssh", *options, "--", f"{cluster.user}@{host}", NEEDED]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=3 * LOGIN_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{host}: {error}"
    if done.returncode == 0:
        return ""
    lines = done.stderr.strip().splitlines()
    return f"{host}: {lines[-1] if lines else 'rsync or make is missing there'}"


def _reserved(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in block for block in DOCUMENTATION)


def _path(text: str) -> Path:
    return Path(text).expanduser()
