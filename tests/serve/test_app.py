"""Tests of the Ray Serve deployments and of the command that starts them: options, files, early refusals."""

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from click.testing import CliRunner
from ray.serve.schema import ServeDeploySchema
from ray.serve.scripts import build

from serve.app import with_absolute_paths, with_settings
from serve.launch import main
from serve.settings import ServeConfig, is_loopback
from serve.tokens import TOKENS_VARIABLE
from trainables.core.config import ConfigError

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "serve" / "deploy.yaml"


def deployed() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(DEPLOY.read_text())
    return content


@pytest.fixture
def built(tmp_path: Path) -> dict[str, Any]:
    """Options of every deployment, as `serve build serve.app:app` writes them."""
    file = tmp_path / "built.yaml"
    result = CliRunner().invoke(build, ["serve.app:app", "-o", str(file)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    content: dict[str, Any] = yaml.safe_load(file.read_text())
    return {deployment["name"]: deployment for deployment in content["applications"][0]["deployments"]}


def test_serve_build_has_every_deployment_that_the_deploy_file_names(built: dict[str, Any]) -> None:
    assert set(built) == {"Ingress", "Sampler"}
    assert {deployment["name"] for deployment in deployed()["applications"][0]["deployments"]} <= set(built)


def test_the_defaults_bound_every_queue_and_give_each_replica_the_cores_of_its_threads(built: dict[str, Any]) -> None:
    settings = ServeConfig()
    sampler, ingress = built["Sampler"], built["Ingress"]
    assert sampler["max_queued_requests"] == settings.queue
    assert sampler["ray_actor_options"]["num_cpus"] == settings.replicas.threads
    assert sampler["user_config"] == {"champion": ""}
    scaling = sampler["autoscaling_config"]
    assert (scaling["min_replicas"], scaling["max_replicas"]) == (settings.replicas.minimum, settings.replicas.maximum)
    most = settings.queue + settings.replicas.maximum * sampler["max_ongoing_requests"]
    assert ingress["max_ongoing_requests"] > most  # the samplers' queue is full first, with our error
    assert ingress["max_queued_requests"] > 0
    assert ingress["num_replicas"] == 1


def test_the_deploy_file_is_valid_for_ray_and_binds_to_loopback_only() -> None:
    schema = ServeDeploySchema.model_validate(deployed())
    assert schema.http_options.host is not None
    assert is_loopback(schema.http_options.host)
    (app,) = schema.applications
    assert app.import_path == "serve.app:with_settings"
    with_settings(app.args)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"prot": "1"}, "unknown key prot; did you mean `port`?"),
        ({"limits.n": "many"}, "expected `limits.n` to be an int, but got limits.n=many"),
        ({"replicas": {"minimum": 3}}, "expected `replicas.minimum <= replicas.maximum`"),
        ({"host": "0.0.0.0"}, "neither `host` nor `port`"),
        ({"champion": "../x"}, "`champion` to be an id"),
    ],
)
def test_wrong_arguments_are_refused_in_one_line(args: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        with_settings(args)
    assert message in str(exc_info.value)
    assert "\n" not in str(exc_info.value)


@pytest.mark.parametrize(
    ("former", "today"),
    [
        ("kept_batches", "max_stored_batches"),
        ("kept_bytes", "max_store_bytes"),
        ("batch.patience", "batch.wait_fraction"),
    ],
)
def test_a_former_key_is_refused_in_one_line_with_the_new_name(
    former: str, today: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ConfigError, match=f"^`{former}` was renamed: use {today}$"):
        with_settings({former: "1"})
    assert main([f"storage_path={tmp_path}", f"{former}=1"]) == 2
    assert capsys.readouterr().err == f"error: `{former}` was renamed: use {today}=1\n"


def test_strings_of_a_command_line_and_values_of_a_file_are_equivalent() -> None:
    with_settings({"queue": "3", "limits.steps": "7"})
    with_settings({"queue": 3, "limits": {"steps": 7}})


def test_importing_the_application_starts_nothing_and_makes_no_folder(tmp_path: Path) -> None:
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import serve.app, ray; print(ray.is_initialized())"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
    assert not list(tmp_path.iterdir())


def test_the_command_refuses_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(TOKENS_VARIABLE, raising=False)
    tokens = tmp_path / "tokens"
    tokens.write_text("too short\n")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for arguments, message in (
            (["host=0.0.0.0"], "expected a token for a host that other machines can reach, but got host=0.0.0.0"),
            (['host="::"'], "a token for a host that other machines can reach"),
            ([f"token_file={tokens}"], "invalid token format; expected at least"),
            ([f"token_file={tokens}.not"], "not a readable text file"),
            ([f"port={port}"], "Address already in use; choose another with port=NUMBER"),
            (["queue=0"], "expected `queue >= 1`"),
        ):
            assert main([f"storage_path={tmp_path}", *arguments]) == 2, arguments
            error = capsys.readouterr().err
            assert error.startswith("error: ")
            assert message in error
            assert error.count("\n") == 1
            assert "too short" not in error
    assert not ray.is_initialized()


def test_paths_are_resolved_in_the_folder_of_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = with_absolute_paths(ServeConfig("results", token_file="tokens"))
    assert Path(settings.storage_path) == tmp_path / "results"
    assert Path(settings.token_file) == tmp_path / "tokens"
