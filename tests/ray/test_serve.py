"""Tests of the service on a real Ray instance: promotions under load, dying replicas, a full queue."""

import json
import logging
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray
import requests
from ray import serve
from starlette.testclient import TestClient

from platform.core.ray_instance import environment, own_address
from serve.api import create_app
from serve.app import application
from serve.backend import LocalBackend
from serve.client import HardNegatives
from serve.models import Models
from serve.settings import ReplicasConfig, ServeConfig
from tests.ray.processes import below
from tests.serve import published
from trainables.model_registry.publisher import lock_registry
from trainables.model_registry.registry import Registry

pytestmark = pytest.mark.ray

REPLICA = "ray::ServeReplica:default:Sampler"
REQUEST: dict[str, Any] = {"n": 3, "format": "safetensors", "pixels": True}
WITHIN_S = 60.0  # limit of what takes about ten seconds on two cores


@dataclass
class Load:
    """Clients that send requests without a pause until the block ends.

    Attributes:
        responses: (status, id of the champion, seed, body) of each response, in their order.
    """

    url: str
    clients: int
    responses: list[tuple[int, str, int, bytes]] = field(default_factory=list)
    ended: bool = False

    def __enter__(self) -> "Load":
        self._pool = ThreadPoolExecutor(self.clients)
        self._futures = [self._pool.submit(self._request_samples, client) for client in range(self.clients)]
        return self

    def __exit__(self, *_: object) -> None:
        self.ended = True
        for future in self._futures:
            future.result()
        self._pool.shutdown()

    def _request_samples(self, seed: int) -> None:
        with requests.Session() as session:
            while not self.ended:
                response = session.post(f"{self.url}/v1/samples", json={**REQUEST, "seed": seed}, timeout=WITHIN_S)
                model = response.headers.get("X-Model-Id", "")
                self.responses.append((response.status_code, model, seed, response.content))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until a condition holds."""
    ends = time.monotonic() + WITHIN_S
    while not holds():
        assert time.monotonic() < ends, what
        time.sleep(0.05)


def replicas() -> dict[int, psutil.Process]:
    """Return the processes of the samplers by id."""
    return {process.pid: process for process in below(title=REPLICA)}


def computed_here(storage: Path, body: dict[str, Any]) -> bytes:
    """Return the response of the service without Ray, in this process, for the champion that the body names."""
    models = Models.below(storage)
    models.champions.swap(body["model"])
    backend = LocalBackend(models)
    with TestClient(create_app(backend, ServeConfig(str(storage / "apart"))), base_url="http://localhost") as client:
        response = client.post("/v1/samples", json={**body, "model": ""})
    backend.close()
    assert response.status_code == 200, response.text
    return response.content


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.diffusion(tmp_path_factory.mktemp("one") / "checkpoint")


@pytest.fixture(scope="module")
def storage(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    storage = tmp_path_factory.mktemp("results")
    published.publish(Registry.below(storage), checkpoint)
    return storage


@pytest.fixture(scope="module")
def url(storage: Path) -> Iterator[str]:
    """Run the service with two replicas; yield its URL."""
    port = free_port()
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    with environment(own_address()):  # other instances may run beside the tests
        ray.init(address="local", num_cpus=4, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    try:
        serve.start(http_options={"host": "127.0.0.1", "port": port})
        serve.run(application(ServeConfig(str(storage), replicas=ReplicasConfig(2, 2))))
        yield f"http://127.0.0.1:{port}"
    finally:
        serve.shutdown()
        ray.shutdown()


def request_samples(url: str, **payload: Any) -> requests.Response:
    return requests.post(f"{url}/v1/samples", json={**REQUEST, **payload}, timeout=WITHIN_S)


def model_of(url: str) -> dict[str, Any]:
    state: dict[str, Any] = requests.get(f"{url}/v1/model", timeout=WITHIN_S).json()
    return state


def test_a_response_has_the_bytes_of_the_application_in_one_process(url: str, storage: Path) -> None:
    champion = model_of(url)["model"]["id"]
    assert champion == Registry.below(storage).champion_id()
    for body in (
        {"n": 1, "seed": 3},
        {"n": 40, "seed": 2**40, "first": 7, "seq_len": 60, "steps": 3, "format": "npy"},
        {"n": 2, "seed": 0, "format": "json", "conditions": [[-0.7, 6.0, 0.1, 0.8, None]]},
    ):
        payload = {**REQUEST, "pixels": False, **body}
        assert requests.post(f"{url}/v1/samples", json=payload, timeout=WITHIN_S).content == computed_here(
            storage, {**payload, "model": champion}
        )
    assert model_of(url)["replicas"] == 2


def test_inside_the_cluster_the_handle_returns_the_same_as_http(url: str) -> None:
    outside = HardNegatives(url).fetch(5, seed=3, chunk=2)
    inside = HardNegatives(handle=serve.get_deployment_handle("Sampler", "default")).fetch(5, seed=3)
    assert inside.deltas.numpy().tobytes() == outside.deltas.numpy().tobytes()
    assert (inside.model, inside.seed) == (outside.model, outside.seed)


def test_a_batch_id_reproduces_the_bytes(url: str) -> None:
    response = request_samples(url, seed=11)
    again = requests.get(f"{url}/v1/samples/{response.headers['X-Batch-Id']}", timeout=WITHIN_S)
    assert again.content == response.content


@pytest.mark.heavy
def test_a_promotion_under_load_fails_no_request_and_mixes_no_champions(
    url: str, storage: Path, checkpoint: Path, tmp_path: Path
) -> None:
    before = model_of(url)["model"]["id"]
    other = published.altered(checkpoint, tmp_path / "other", lambda weight: weight * 0.9)
    with Load(url, clients=4) as load:
        until(lambda: len(load.responses) > 20, "the service answers")
        after = published.publish(Registry.below(storage), other)
        until(lambda: any(model == after for _, model, _, _ in load.responses), "the new champion answers")
        until(lambda: all(model == after for _, model, _, _ in load.responses[-40:]), "the old one is gone")
        count = len(load.responses)
        until(lambda: len(load.responses) > count + 20, "the service answers")
    assert {status for status, _, _, _ in load.responses} == {200}
    assert {model for _, model, _, _ in load.responses} == {before, after}
    for client in range(4):  # the old one has gone for good: one request of each client was under way
        assert before not in [model for _, model, of, _ in load.responses[count:] if of == client][1:]
    expected = {
        (model, seed): computed_here(storage, {**REQUEST, "seed": seed, "model": model})
        for model in (before, after)
        for seed in range(4)
    }
    assert expected[before, 0] != expected[after, 0]
    assert all(body == expected[model, seed] for _, model, seed, body in load.responses)


def test_a_bad_champion_leaves_the_old_one_serving_and_is_reported(
    url: str, storage: Path, checkpoint: Path, tmp_path: Path
) -> None:
    before, expected = model_of(url)["model"]["id"], request_samples(url, seed=5).content
    registry = Registry.below(storage)
    bad = published.publish(registry, published.altered(checkpoint, tmp_path / "bad", lambda weight: weight * 1e19))
    until(lambda: all(model_of(url)["swap"]["error"] != "" for _ in range(8)), "both replicas report the error")
    for _ in range(8):
        state, health = model_of(url), requests.get(f"{url}/v1/health", timeout=WITHIN_S)
        assert state["model"]["id"] == before != bad
        assert "NaN or infinity" in state["swap"]["error"]
        assert health.status_code == 200
        assert health.json()["error"] == state["swap"]["error"]
        assert request_samples(url, seed=5).content == expected
    with lock_registry(registry) as publisher:
        publisher.rollback()
    until(lambda: all(model_of(url)["swap"]["error"] == "" for _ in range(8)), "the rollback is followed")


@pytest.mark.heavy
def test_a_killed_replica_fails_no_request_and_its_successor_returns_the_same_bytes(url: str) -> None:
    with Load(url, clients=4) as load:
        for _ in range(2):  # in turn, so that the first victim's successor is left alone with the load
            until(lambda: len(replicas()) == 2 and model_of(url)["replicas"] == 2, "two replicas run")
            oldest = min(replicas().values(), key=psutil.Process.create_time)
            count = len(load.responses)
            os.kill(oldest.pid, signal.SIGKILL)
            until(lambda count=count: len(load.responses) > count + 20, "the other one answers")  # type: ignore[misc]
            until(lambda gone=oldest.pid: gone not in replicas(), "it is gone")  # type: ignore[misc]
    assert {status for status, _, _, _ in load.responses} == {200}  # its requests were sent again
    for seed in range(4):
        assert len({body for _, _, of, body in load.responses if of == seed}) == 1


@pytest.mark.heavy
def test_a_full_queue_is_503_with_retry_after(url: str, storage: Path) -> None:
    settings = ServeConfig(str(storage), queue=1, replicas=ReplicasConfig(1, 1))
    serve.run(application(settings, max_ongoing=1), name="narrow", route_prefix="/narrow")
    try:
        with ThreadPoolExecutor(12) as pool:
            responses = [*pool.map(lambda seed: request_samples(f"{url}/narrow", n=64, steps=20, seed=seed), range(12))]
    finally:
        serve.delete("narrow")
    assert {response.status_code for response in responses} == {200, 503}
    refused = [response for response in responses if response.status_code == 503]
    assert {response.headers["Retry-After"] for response in refused} == {"1"}
    assert {json.loads(response.content)["error"]["status"] for response in refused} == {503}


def test_every_request_leaves_a_line_in_the_audit_log(url: str, storage: Path) -> None:
    batch = request_samples(url, seed=77).headers["X-Batch-Id"]

    def statuses() -> list[int]:
        lines = (storage / "serve" / "audit.jsonl").read_text().rpartition("\n")[0].splitlines()
        return [line["status"] for line in map(json.loads, lines) if line.get("batch") == batch]

    until(lambda: len(statuses()) > 0, "a line of the request")  # it is written behind the response
    assert statuses() == [200]
