import hashlib
import json
import logging
import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from starlette.testclient import TestClient

from serve import api
from serve.backend import LocalBackend
from serve.compute import compute
from serve.formats import FORMATS, HEADERS, arrays_of, decode
from serve.jobs import BadRequestError, NoChampionError, SampleResult, UnknownModelError
from serve.messages import SampleRequest
from tests.serve.fakes import AUTHORISED, CHAMPION, TOKEN, TRAINED_LENGTH, BusyError, FakeBackend, client_of, tokens
from tests.serve.published import serving
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.eval.generation.metrics import GENERATION

WIDE = [-1.0, 5.0, 0.1, 0.5, 3.0]
UNKNOWN = [-1.0, 5.0, 0.1, 0.5, None]


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def client(backend: FakeBackend, tmp_path: Path) -> Iterator[TestClient]:
    with client_of(backend, tmp_path) as client:
        yield client


@pytest.mark.parametrize("name", FORMATS)
def test_a_response_holds_the_samples_of_the_backend_and_names_the_model(client: TestClient, name: str) -> None:
    response = client.post("/v1/samples", json={"n": 3, "seed": 5, "format": name})
    assert response.status_code == 200
    arrays, _ = decode(response.content, name)
    rows = [np.random.default_rng((0, 5, number)).normal(size=(TRAINED_LENGTH, 2)) for number in range(3)]
    np.testing.assert_array_equal(arrays["deltas"], np.array(rows, dtype=np.float32))
    assert response.headers["content-type"] == FORMATS[name].media_type
    assert response.headers["x-model-id"] == CHAMPION
    assert response.headers["x-seed"] == "5"
    assert response.headers["x-provenance"] == "synthetic"
    assert response.headers["x-conditions"] == "training"
    assert response.headers["x-content-sha256"] == hashlib.sha256(response.content).hexdigest()
    assert response.headers["server-timing"] == "sampling;dur=250.0"


@pytest.mark.parametrize("name", [name for name in FORMATS if FORMATS[name].whole])
def test_the_metadata_of_the_body_equals_the_headers(client: TestClient, name: str) -> None:
    response = client.post("/v1/samples", json={"n": 2, "format": name, "conditions": [WIDE], "pixels": True})
    arrays, metadata = decode(response.content, name)
    assert {header: str(metadata[key]) for key, header in HEADERS.items()}.items() <= dict(
        zip(HEADERS.values(), map(response.headers.__getitem__, HEADERS.values()), strict=True)
    ).items()
    assert (metadata["n"], metadata["seq_len"], metadata["conditions"]) == (2, TRAINED_LENGTH, "given")
    np.testing.assert_array_equal(arrays["condition"], [WIDE, WIDE])
    assert "steps_px" in arrays


def test_every_field_reaches_the_job(client: TestClient, backend: FakeBackend) -> None:
    payload = {"n": 2, "first": 40, "seq_len": 24, "seed": 9, "conditions": [WIDE, UNKNOWN], "pixels": True}
    changes: dict[str, Any] = {
        "sampler": "ddim",
        "spacing": "trailing",
        "steps": 7,
        "guidance": 2,
        "eta": 0.5,
        "inpaint": True,
    }
    client.post("/v1/samples", json={**payload, **changes, "model": "0002-bbbbbbbbbbbb"}).raise_for_status()
    (job,) = backend.jobs
    assert (job.n, job.first, job.seq_len, job.seed, job.pixels) == (2, 40, 24, 9, True)
    np.testing.assert_array_equal(job.conditions, [WIDE, [*WIDE[:-1], np.nan]])
    assert job.sampling == SamplingChanges(**changes)
    assert job.model == "0002-bbbbbbbbbbbb"


def test_hardness_and_distribution_reach_the_job_too(client: TestClient, backend: FakeBackend) -> None:
    payload = {"n": 1, "hardness": [0, 0.25], "distribution": "even_distance", "source": "sapimouse"}
    payload["detector"] = "0001-dddddddddddd"
    response = client.post("/v1/samples", json=payload)
    (job,) = backend.jobs
    assert (job.hardness, job.distribution, job.detector) == ((0.0, 0.25), "even_distance", "0001-dddddddddddd")
    assert job.source == "sapimouse"
    assert response.headers["x-conditions"] == "even_distance"
    assert "score" in decode(response.content, "safetensors")[0]


def test_a_missing_seed_is_random_and_returned_and_reproduces_the_bytes(client: TestClient) -> None:
    first, other = (client.post("/v1/samples", json={"n": 2}) for _ in range(2))
    assert first.headers["x-seed"] != other.headers["x-seed"]
    again = client.post("/v1/samples", json={"n": 2, "seed": int(first.headers["x-seed"])})
    assert again.content == first.content


@pytest.mark.parametrize("name", FORMATS)
def test_a_batch_id_reproduces_the_bytes_even_after_a_restart_and_a_promotion(
    client: TestClient, tmp_path: Path, name: str
) -> None:
    payload = {"n": 2, "format": name, "pixels": FORMATS[name].whole, "conditions": [UNKNOWN]}
    first = client.post("/v1/samples", json=payload)
    batch = first.headers["x-batch-id"]
    with client_of(FakeBackend(champion="0002-bbbbbbbbbbbb"), tmp_path) as restarted:
        again = restarted.get(f"/v1/samples/{batch}")
    assert again.content == first.content
    assert {header: again.headers[header] for header in HEADERS.values()} == {
        header: first.headers[header] for header in HEADERS.values()
    }


def test_equal_requests_share_a_batch_id_whether_the_champion_is_named_or_not(client: TestClient) -> None:
    payload = ({"n": 1, "seed": 1}, {"seed": 1, "n": 1, "model": CHAMPION}, {"n": 1, "seed": 2})
    ids = [client.post("/v1/samples", json=each).headers["x-batch-id"] for each in payload]
    assert ids[0] == ids[1] != ids[2]


def test_a_batch_whose_bytes_would_differ_is_refused(client: TestClient, backend: FakeBackend) -> None:
    batch = client.post("/v1/samples", json={"n": 1}).headers["x-batch-id"]
    backend.salt = 1
    response = client.get(f"/v1/samples/{batch}")
    assert response.status_code == 410
    assert "cannot be reproduced" in response.json()["error"]["message"]


def test_a_large_response_equals_its_chunks(client: TestClient) -> None:
    def deltas(**payload: Any) -> npt.NDArray[Any]:
        body = client.post("/v1/samples", json={"seed": 3, "seq_len": 64, "format": "npy", **payload}).content
        return decode(body, "npy")[0]["deltas"]

    whole = deltas(n=300)
    assert whole.nbytes > api.INLINE_BYTES
    np.testing.assert_array_equal(whole, np.concatenate([deltas(n=200), deltas(n=100, first=200)]))


def test_the_model_card_has_null_for_unknown_values(client: TestClient) -> None:
    state = client.get("/v1/model").json()
    assert state["model"] == {"id": CHAMPION, "excess": None}
    assert (state["swap"]["error"], state["replicas"], state["detector"]) == ("", 1, None)


def test_health_names_the_champion_and_a_failed_swap(client: TestClient, backend: FakeBackend) -> None:
    assert client.get("/v1/health").json() == {"ready": True, "model": CHAMPION, "error": ""}
    backend.error = "0002-bbbbbbbbbbbb: truncated"
    assert client.get("/v1/health").json()["error"] == backend.error


def test_health_is_503_where_there_is_no_champion(client: TestClient, backend: FakeBackend) -> None:
    backend.champion, backend.error = None, "the registry is damaged"
    response = client.get("/v1/health")
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")
    assert response.json()["error"]["message"] == "no champion is loaded: the registry is damaged"


def test_without_a_token_health_returns_ready_and_no_more(tmp_path: Path) -> None:
    backend = FakeBackend(error="secrets of the disk")
    with client_of(backend, tmp_path, tokens()) as client:
        assert client.get("/v1/health").json() == {"ready": True}
        assert client.get("/v1/health", headers=AUTHORISED).json()["error"] == backend.error
        backend.champion = None
        assert client.get("/v1/health").json()["error"]["message"] == "no champion is loaded"


def test_a_detector_scores_movements_from_any_origin_of_time(client: TestClient, backend: FakeBackend) -> None:
    payload = {"movements": [{"points": [[1000.5, 1, 2], [1016, 3, 4]]}, {"points": [[-5, 1, 2], [-5, 3, 4]]}]}
    assert client.post("/v1/score", json=payload).status_code == 409
    backend.scores = 0.75
    assert client.post("/v1/score", json=payload).json() == {"scores": [0.75, 0.75]}


def test_metrics_count_requests_and_movements(client: TestClient) -> None:
    client.post("/v1/samples", json={"n": 3})
    client.post("/v1/samples", json={"n": 0})
    client.get("/nowhere/1"), client.get("/nowhere/2")
    text = client.get("/v1/metrics").text
    assert 'humouse_requests_total{method="POST",route="/v1/samples",status="200"} 1.0' in text
    assert 'humouse_requests_total{method="POST",route="/v1/samples",status="422"} 1.0' in text
    assert 'humouse_requests_total{method="other",route="other",status="404"} 2.0' in text
    assert "humouse_movements_total 3.0" in text
    assert "nowhere" not in text


def test_metrics_have_labels_for_known_http_methods_only(client: TestClient) -> None:
    for method in ("BREW", "DELETE"):
        client.request(method, "/v1/model")
    text = client.get("/v1/metrics").text
    assert "BREW" not in text


def test_the_page_loads_nothing_from_other_origins(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "index.html").write_text("<title>movements</title>")
    monkeypatch.setattr(api, "PAGE", tmp_path / "index.html")
    response = client.get("/")
    assert response.text == "<title>movements</title>"
    assert response.headers["content-security-policy"].startswith("default-src 'self' ")


def test_the_page_has_a_title_for_every_metric_of_a_generators_card() -> None:
    titles = set(re.findall(r'"(val/[a-z0-9_]+)": \["', api.PAGE.read_text(encoding="utf-8")))
    evaluated_again = {metric.name for metric in GENERATION.metrics if metric.per_user or not metric.reported}
    assert evaluated_again - titles == set()
    assert {"val/c2st", "val/c2st_auc"} <= titles  # of cards that older versions wrote


@pytest.mark.parametrize(
    ("failure", "status", "retry_after"),
    [
        (BusyError("the queue is full"), 503, "3"),
        (NoChampionError("no champion published yet"), 503, "5"),
        (UnknownModelError("never published"), 404, None),
        (BadRequestError("expected `seq_len >= 9`, but got 8"), 422, None),
    ],
)
def test_an_error_of_the_backend_keeps_its_status_and_message(
    client: TestClient, backend: FakeBackend, failure: Exception, status: int, retry_after: str | None
) -> None:
    backend.failure = failure
    response = client.post("/v1/samples", json={"n": 1})
    assert (response.status_code, response.headers.get("retry-after")) == (status, retry_after)
    assert response.json() == {"error": {"status": status, "message": str(failure)}}


def test_an_unexpected_error_is_500_without_its_details(client: TestClient, backend: FakeBackend) -> None:
    backend.failure = RuntimeError("/home/secret")
    response = client.post("/v1/samples", json={"n": 1})
    assert response.status_code == 500
    assert response.json() == {"error": {"status": 500, "message": "internal server error; see the log of the service"}}


def test_a_backend_that_does_not_respond_is_504(tmp_path: Path) -> None:
    with client_of(FakeBackend(delay_s=5.0), tmp_path, timeout_s=0.05) as client:
        for response in (client.post("/v1/samples", json={"n": 1}), client.get("/v1/model")):
            assert response.status_code == 504
            assert response.json()["error"]["message"] == "no response within 0.05 s; request fewer movements or steps"


def test_the_audit_log_has_a_line_per_request_with_a_name_and_no_token(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with client_of(FakeBackend(), tmp_path, tokens()) as client, caplog.at_level(logging.INFO, "serve.audit"):
        batch = client.post("/v1/samples", json={"n": 3, "seq_len": 20}, headers=AUTHORISED).headers["x-batch-id"]
        client.post("/v1/samples", json={"n": 3}, headers={"Authorization": "Bearer a-token-of-no-known-user"})
    sampled, refused = [json.loads(record.message) for record in caplog.records if record.name == "serve.audit"]
    fields = {"token": "ada", "method": "POST", "path": "/v1/samples", "status": 200, "n": 3, "seq_len": 20}
    assert {**fields, "batch": batch, "model": CHAMPION}.items() <= sampled.items()
    assert set(sampled) == {*fields, "time", "batch", "model", "ms"}
    assert (refused["token"], refused["status"]) == ("", 401)
    assert TOKEN not in caplog.text
    assert "a-token-of-no-known-user" not in caplog.text


def test_a_real_champion_is_served_with_the_bytes_computed_here(checkpoint: Path, tmp_path: Path) -> None:
    payload = {"n": 5, "seed": 3, "pixels": True, "conditions": [UNKNOWN]}
    models, (champion,) = serving(tmp_path, checkpoint)
    with closing(LocalBackend(models)) as local, client_of(local, tmp_path) as client:
        response = client.post("/v1/samples", json=payload)
        arrays, metadata = decode(response.content, "safetensors")
        batch = response.headers["x-batch-id"]
        assert client.get(f"/v1/samples/{batch}").content == response.content
        assert client.get("/v1/model").json()["model"]["id"] == metadata["model"] == champion
        assert client.get("/v1/health").json()["ready"]
    (result,) = compute(models, [SampleRequest.model_validate(payload).job()])
    assert isinstance(result, SampleResult)
    for name, array in arrays_of(result).items():
        assert arrays[name].tobytes() == array.tobytes()
    assert metadata["weights_sha256"] == result.weights_sha256
