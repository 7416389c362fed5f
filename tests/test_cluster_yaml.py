"""`cluster.yaml` is one that Ray's launcher accepts, and keeps the measured rules for its nodes."""

import ipaddress
import json
import shlex
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config

from trainables.training.scaling import TRIAL_DRIVER

ROOT = Path(__file__).resolve().parents[1]
CLUSTER: dict[str, Any] = yaml.safe_load((ROOT / "cluster.yaml").read_text(encoding="utf-8"))
STARTS = {
    role: [command for command in CLUSTER[f"{role}_start_ray_commands"] if "ray start" in command]
    for role in ("head", "worker")
}
DOCUMENTATION = [ipaddress.ip_network(block) for block in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]


def option(command: str, name: str) -> str:
    """The value of `--name=value` in a shell command."""
    values = [word.removeprefix(f"--{name}=") for word in shlex.split(command) if word.startswith(f"--{name}=")]
    assert len(values) == 1, f"--{name} stands {len(values)} times in {command}"
    return values[0]


def test_ray_accepts_it_and_keeps_every_worker() -> None:
    prepared = prepare_config(deepcopy(CLUSTER))
    validate_config(prepared)
    (node_type,) = prepared["available_node_types"].values()
    assert node_type["min_workers"] == node_type["max_workers"] == len(CLUSTER["provider"]["worker_ips"])


def test_ray_refuses_an_unknown_key() -> None:
    with pytest.raises(ValidationError, match="rsync_excludes"):
        validate_config(prepare_config(deepcopy(CLUSTER) | {"rsync_excludes": []}))


def test_addresses_are_reserved_for_documentation() -> None:
    for address in [CLUSTER["provider"]["head_ip"], *CLUSTER["provider"]["worker_ips"]]:
        assert any(ipaddress.ip_address(address) in block for block in DOCUMENTATION)


@pytest.mark.parametrize("role", STARTS)
def test_every_node_starts_ray_once_in_the_checkout_with_the_token(role: str) -> None:
    (command,) = STARTS[role]
    before, _ = command.split(".venv/bin/ray start")
    assert "RAY_AUTH_MODE=token" in before
    assert "RAY_USAGE_STATS_ENABLED=0" in before
    assert before.rstrip().endswith("cd ~/humouse-lab &&")
    assert json.loads(option(command, "resources"))[TRIAL_DRIVER] > 0


def test_code_and_token_reach_every_node() -> None:
    assert CLUSTER["file_mounts"] == {"~/humouse-lab": ".", "~/.ray/auth_token": "~/.ray/auth_token"}
    assert ".git" in CLUSTER["rsync_exclude"]
    assert ".venv/" in (ROOT / CLUSTER["rsync_filter"][0]).read_text(encoding="utf-8").splitlines()


def test_the_head_runs_the_first_autoscaler_and_shows_its_dashboard_to_itself_alone() -> None:
    (command,) = STARTS["head"]
    assert command.startswith("unset RAY_enable_autoscaler_v2;")
    assert option(command, "dashboard-host") == "127.0.0.1"
    assert option(command, "autoscaling-config") == "~/ray_bootstrap_config.yaml"
