from pathlib import Path

import pytest

from serve.jobs import QueueFullError, ServeError, ShortageError
from serve.quotas import QuotaError, Quotas
from serve.settings import LimitsConfig
from tests.serve.fakes import FakeBackend, client_of


def test_a_bucket_is_refilled_within_a_minute_and_never_overfilled() -> None:
    now = [0.0]
    quotas = Quotas(600, clock=lambda: now[0])
    quotas.take("ada", 600)
    with pytest.raises(QuotaError, match="quota of 600 movements per minute") as error:
        quotas.take("ada", 100)
    assert error.value.retry_after_s == 11
    quotas.take("grace", 600)
    now[0] = 9.9
    with pytest.raises(QuotaError):
        quotas.take("ada", 100)
    now[0] = 10.0
    quotas.take("ada", 100)
    now[0] = 1e6
    quotas.take("ada", 600)
    with pytest.raises(QuotaError):
        quotas.take("ada", 1)


@pytest.mark.parametrize(("failure", "left"), [(QueueFullError("full"), 10), (ShortageError("3 of 8"), 4)])
def test_a_quota_is_refunded_where_the_service_fails_and_not_where_the_client_errs(
    failure: ServeError, left: int
) -> None:
    quotas = Quotas(10, clock=lambda: 0.0)
    with pytest.raises(type(failure)), quotas.charge("ada", 6):
        raise failure
    quotas.take("ada", left)
    with pytest.raises(QuotaError):
        quotas.take("ada", 1)


def test_a_request_that_finds_a_full_queue_costs_no_quota(tmp_path: Path) -> None:
    backend, limits = FakeBackend(failure=QueueFullError("full")), LimitsConfig(n=10, json_n=10)
    with client_of(backend, tmp_path, limits=limits, quota=10) as client:
        assert [client.post("/v1/samples", json={"n": 10}).status_code for _ in range(3)] == [503] * 3
        backend.failure = None
        assert [client.post("/v1/samples", json={"n": 10}).status_code for _ in range(2)] == [200, 429]


def test_a_movement_counts_as_often_as_it_has_candidates(tmp_path: Path) -> None:
    with client_of(FakeBackend(), tmp_path, limits=LimitsConfig(n=10, json_n=10), quota=10) as client:
        assert client.post("/v1/samples", json={"n": 2, "candidates": 4}).status_code == 200
        assert client.post("/v1/samples", json={"n": 3}).status_code == 429
        assert client.post("/v1/samples", json={"n": 2}).status_code == 200


def test_a_quota_of_0_is_unlimited() -> None:
    for _ in range(3):
        Quotas(0).take("ada", 10**9)


def test_over_the_quota_is_429_with_retry_after_and_movements_to_score_count(tmp_path: Path) -> None:
    limits = LimitsConfig(n=10, json_n=10)
    with client_of(FakeBackend(scores=0.5), tmp_path, limits=limits, quota=10) as client:
        assert client.post("/v1/samples", json={"n": 9}).status_code == 200
        points = {"points": [[0, 0, 0], [16, 5, 5]]}
        assert client.post("/v1/score", json={"movements": [points]}).status_code == 200
        response = client.post("/v1/samples", json={"n": 10})
    assert response.status_code == 429
    assert 50 <= int(response.headers["retry-after"]) <= 61
    assert response.json()["error"]["message"] == "quota of 10 movements per minute exceeded; retry later"
