"""Tests of the client against a real service, failing servers, and servers that are not the service."""

import asyncio
import hashlib
import json
import pickle
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
import torch

from serve.api import create_app
from serve.client import HardNegatives, SampleOptions
from serve.formats import BODY_HASH, FORMATS, arrays_of, headers_of, metadata_of
from serve.jobs import Job, NoDetectorError, SampleResult, ShortageError
from serve.patience import RETRYABLE, RetryPolicy, ServiceError
from serve.remote import HttpClient
from serve.settings import ServeConfig
from serve.tokens import read_tokens
from tests.serve.fakes import CHAMPION, FakeBackend
from tests.serve.servers import Script, ScriptedResponse, scripted, served
from trainables.core.config import ConfigError
from trainables.diffusion.sampling_config import SamplingChanges

QUICK = RetryPolicy(attempts=4, first_wait_s=0.001, max_wait_s=0.002)
TOKEN = "correct-horse-battery-staple"
ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HUMOUSE_TOKEN", raising=False)


@pytest.fixture
def backend() -> FakeBackend:
    return FakeBackend()


@pytest.fixture
def url(backend: FakeBackend, tmp_path: Path) -> Iterator[str]:
    with served(create_app(backend, ServeConfig(storage_path=str(tmp_path)), read_tokens("", {}))) as address:
        yield address


def computed(**options: Any) -> SampleResult:
    """Return the samples of the backend, without a service."""
    return asyncio.run(FakeBackend().sample(Job(**options)))


def response(job: Job, **changes: Any) -> ScriptedResponse:
    """Return the correct response to a job, with changes of its metadata."""
    result = asyncio.run(FakeBackend().sample(job))
    metadata = metadata_of(result, batch_id="b" * 32, seed=job.seed, first=job.first, conditions="training") | changes
    body = FORMATS["safetensors"].encode(arrays_of(result), metadata)
    return ScriptedResponse(200, body, headers_of(metadata, body))


def error(status: int, message: str = "a line", **headers: str) -> ScriptedResponse:
    body = json.dumps({"error": {"status": status, "message": message}}).encode()
    return ScriptedResponse(status, body, {name.replace("_", "-"): value for name, value in headers.items()})


def test_a_sample_is_what_the_service_computes(url: str) -> None:
    found = HardNegatives(url).sample(n=5, seed=7, seq_len=12)
    assert found.dtype == torch.float32
    assert np.array_equal(found.numpy(), computed(n=5, seed=7, seq_len=12).deltas)


@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 8, 100])
def test_chunks_of_any_size_give_the_same_sample(url: str, backend: FakeBackend, chunk: int) -> None:
    conditions = [[-1.0, 5.0, 0.1, 0.5, float("nan")], *([[-0.5, 4.0, 0.2, 0.3, 3.0]] * 6)]
    drawn = HardNegatives(url).fetch(n=7, seed=3, conditions=conditions, pixels=True, chunk=chunk)
    whole = computed(n=7, seed=3, conditions=tuple(map(tuple, conditions)), pixels=True)
    assert np.array_equal(drawn.deltas.numpy(), whole.deltas)
    assert np.array_equal(drawn.condition.numpy(), whole.condition, equal_nan=True)
    assert drawn.number.tolist() == list(range(7))
    assert drawn.steps_px is not None
    assert drawn.steps_px.shape == (7, 16, 2)
    assert drawn.score is None
    assert len(drawn.batch_ids) == len(backend.jobs) == -(-7 // chunk)
    assert (drawn.model, drawn.seed, len(drawn)) == (CHAMPION, 3, 7)


def test_a_stream_requests_a_chunk_when_it_is_consumed(url: str, backend: FakeBackend) -> None:
    chunks = HardNegatives(url).batches(n=1000, seed=1, chunk=10)
    assert not backend.jobs
    assert [len(next(chunks)), len(next(chunks)), len(backend.jobs)] == [10, 10, 2]


def test_a_promotion_during_a_sample_does_not_mix_champions(url: str, backend: FakeBackend) -> None:
    chunks = HardNegatives(url).stream(n=6, chunk=2)
    first = next(chunks)
    backend.champion = "0002-bbbbbbbbbbbb"
    assert {first.model, *(chunk.model for chunk in chunks)} == {CHAMPION}
    assert [job.model for job in backend.jobs] == ["", CHAMPION, CHAMPION]
    assert HardNegatives(url).fetch(n=1).model == "0002-bbbbbbbbbbbb"


def test_a_missing_seed_is_random_and_the_same_for_all_chunks_and_returned(url: str) -> None:
    one, other = (HardNegatives(url).fetch(n=4, chunk=2) for _ in range(2))
    assert one.seed != other.seed
    assert torch.equal(HardNegatives(url).sample(n=4, seed=one.seed), one.deltas)


def test_every_option_reaches_the_job(url: str, backend: FakeBackend) -> None:
    options: SampleOptions = {"steps": 5, "sampler": "ddim", "guidance": 1.5, "hardness": (0.25, 0.5)}
    HardNegatives(url).sample(n=1, **options | {"distribution": "training", "source": "cursory"})
    [job] = backend.jobs
    assert (job.distribution, job.source) == ("training", "cursory")
    assert job.sampling == SamplingChanges(steps=5, sampler="ddim", guidance=1.5)
    assert job.hardness == (0.25, 0.5)
    scored = HardNegatives(url).fetch(n=4, hardness=(0.25, 0.5), chunk=2)
    assert scored.score is not None
    assert scored.score.tolist() == [0.25] * 4
    assert scored.detector == backend.jobs[-1].detector != ""
    backend.jobs.clear()
    HardNegatives(url).sample(n=300, candidates=8)
    assert [(job.n, job.sampling.candidates) for job in backend.jobs] == [(64, 8)] * 4 + [(44, 8)]
    other = HardNegatives(url).fetch(n=1, hardness=(0.25, 0.5), detector="0002-eeeeeeeeeeee")
    assert other.detector == backend.jobs[-1].detector == "0002-eeeeeeeeeeee"


def test_the_model_card_is_returned(url: str) -> None:
    assert HardNegatives(url).model()["model"]["id"] == CHAMPION


@pytest.mark.parametrize("failure", [ShortageError("3 of 8 rows"), NoDetectorError("no detector is published")])
def test_a_permanent_error_is_raised_at_once_with_the_message_of_the_service(
    url: str, backend: FakeBackend, failure: Exception
) -> None:
    backend.failure = failure
    with pytest.raises(ServiceError, match=f"^409: {failure}$") as exc_info:
        HardNegatives(url).sample(n=8)
    assert (exc_info.value.status, len(backend.jobs)) == (409, 1)


def test_a_limit_of_the_service_is_reported_with_its_message(url: str) -> None:
    with pytest.raises(ServiceError, match=r"^422: expected `n <= 4096`"):
        HardNegatives(url).sample(n=5000, chunk=5000)


@pytest.mark.parametrize(
    "options",
    [
        {"n": 0},
        {"n": 1, "seed": -1},
        {"n": 1, "chunk": 0},
        {"n": 1, "sampler": "euler"},
        {"n": 3, "conditions": [[1.0]]},
    ],
)
def test_an_option_out_of_bounds_is_never_sent(url: str, backend: FakeBackend, options: Any) -> None:
    with pytest.raises(ConfigError, match=r"expected .*, but got"):
        HardNegatives(url).stream(**options)
    assert not backend.jobs


@pytest.mark.parametrize("status", RETRYABLE)
def test_a_failure_that_passes_is_retried(status: int) -> None:
    script = Script([error(status), error(status), response(Job(2, seed=1))])
    with scripted(script) as address:
        found = HardNegatives(address, retry=QUICK).sample(n=2, seed=1)
    assert np.array_equal(found.numpy(), computed(n=2, seed=1).deltas)
    assert len({body for _, body in script.requests}) == 1
    assert len(script.requests) == 3


def _truncated() -> ScriptedResponse:
    whole = response(Job(2, seed=1))
    return replace(whole, body=whole.body[:-9], length=len(whole.body))


def _damaged() -> ScriptedResponse:
    whole = response(Job(2, seed=1))
    return replace(whole, body=whole.body[:-1] + bytes([whole.body[-1] ^ 1]))


@pytest.mark.parametrize(
    "broken", [_truncated, _damaged, lambda: ScriptedResponse(length=10), lambda: ScriptedResponse(200, b"<html>")]
)
def test_a_damaged_response_is_requested_again(broken: Any) -> None:
    script = Script([broken, broken, response(Job(2, seed=1))])
    with scripted(script) as address:
        found = HardNegatives(address, retry=QUICK).sample(n=2, seed=1)
    assert np.array_equal(found.numpy(), computed(n=2, seed=1).deltas)


@pytest.mark.parametrize(
    ("broken", "line"),
    [(_damaged, "SHA-256 of the body"), (_truncated, "no complete response"), (error(503), "503: a line")],
)
def test_a_persistent_failure_ends_after_the_attempts(broken: Any, line: str) -> None:
    script = Script([broken])
    with scripted(script) as address, pytest.raises(ServiceError, match=rf"{line}.* \(given up after 4 attempts\)$"):
        HardNegatives(address, retry=QUICK).sample(n=2, seed=1)
    assert len(script.requests) == QUICK.attempts


def test_an_unreachable_service_is_one_line() -> None:
    with scripted(Script([error(500)])) as address:
        pass
    with pytest.raises(ServiceError, match=r"no complete response \(ConnectionError\) \(given up after 4 attempts\)$"):
        HardNegatives(address, retry=QUICK).sample(n=2)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 415, 422, 504])
def test_no_other_failure_is_retried(status: int) -> None:
    script = Script([error(status, "so it\nis", Retry_After="1")])
    with scripted(script) as address, pytest.raises(ServiceError, match=f"^{status}: so it is$"):
        HardNegatives(address, retry=QUICK).sample(n=2)
    assert len(script.requests) == 1


def test_429_is_retried_with_a_retry_after_header_only() -> None:
    waits: list[float] = []
    script = Script([error(429, Retry_After="7"), response(Job(2, seed=1))])
    with scripted(script) as address:
        client = HardNegatives(address).client
        QUICK.call(lambda: client.sample(Job(2, seed=1)), waits.append)
    assert waits == [7.0]
    with scripted(Script([error(429)])) as address, pytest.raises(ServiceError, match=r"^429: a line$"):
        HardNegatives(address, retry=QUICK).sample(n=2)


def test_a_timeout_is_not_retried() -> None:
    given_up = threading.Event()

    def late() -> ScriptedResponse:
        given_up.wait(60.0)
        return response(Job(2, seed=1))

    script = Script([late])
    with (
        scripted(script) as address,
        pytest.raises(ServiceError, match=r"no response within 1 s; request fewer rows"),
    ):
        HardNegatives(address, timeout_s=1.0, retry=QUICK).sample(n=2, seed=1)
    given_up.set()
    assert len(script.requests) == 1


def test_the_service_times_out_before_its_client() -> None:
    timeouts = [
        parameter.default for parameter in signature(HardNegatives).parameters.values() if "time" in parameter.name
    ]
    assert timeouts == [HttpClient.timeout_s]
    assert HttpClient.timeout_s >= ServeConfig().timeout_s + 10.0


def test_a_process_reuses_its_session(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[requests.Session] = []
    kind = requests.Session

    def session() -> requests.Session:
        made.append(kind())
        return made[-1]

    monkeypatch.setattr(requests, "Session", session)
    assert len(HardNegatives(url).fetch(n=6, chunk=2).batch_ids) == 3
    assert len(made) == 1


def test_a_redirect_is_reported_and_not_followed() -> None:
    elsewhere = Script([error(500)])
    with scripted(elsewhere) as other:
        script = Script([ScriptedResponse(307, b"", {"Location": other})])
        with scripted(script) as address, pytest.raises(ServiceError, match=f"^307: redirects to {other}"):
            HardNegatives(address, TOKEN, retry=QUICK).sample(n=2)
    assert not elsewhere.requests


def test_the_retry_after_time_of_the_service_is_respected() -> None:
    waits: list[float] = []
    script = Script([error(503, Retry_After="7"), error(503, Retry_After="tomorrow"), response(Job(2, seed=1))])
    with scripted(script) as address:
        client = HardNegatives(address).client
        policy = RetryPolicy(first_wait_s=0.1, max_wait_s=0.2)
        policy.call(lambda: client.sample(Job(2, seed=1)), waits.append)
    assert waits[0] == 7.0
    assert 0.1 <= waits[1] <= 0.2


def test_a_too_long_retry_after_time_ends_the_attempts() -> None:
    script = Script([error(503, Retry_After="3600")])
    with scripted(script) as address, pytest.raises(ServiceError, match="given up after 1 attempt"):
        HardNegatives(address).sample(n=2)


def test_waits_double_up_to_a_bound_and_differ() -> None:
    policy = RetryPolicy(first_wait_s=1.0, max_wait_s=5.0)
    for attempt, full in enumerate([1.0, 2.0, 4.0, 5.0, 5.0], start=1):
        waits = {policy.wait_s(attempt) for _ in range(50)}
        assert full / 2 <= min(waits) < max(waits) <= full
    assert policy.wait_s(5000) <= 5.0


@pytest.mark.parametrize("place", ["header", "facts", "neither"])
def test_data_that_is_not_marked_as_synthetic_is_refused(place: str) -> None:
    base = response(Job(2, seed=1), **({} if place == "header" else {"provenance": "recorded"}))
    marked = {} if place == "neither" else {"X-Provenance": "recorded" if place == "header" else "synthetic"}
    headers = {name: value for name, value in base.headers.items() if name != "X-Provenance"} | marked
    script = Script([replace(base, headers=headers)])
    with scripted(script) as address, pytest.raises(ServiceError, match="expected `provenance == synthetic`"):
        HardNegatives(address, retry=QUICK).sample(n=2, seed=1)
    assert len(script.requests) == 1


@pytest.mark.parametrize("other", [Job(2, first=2, seed=1), Job(3, seed=1), Job(2, seed=1, model="0009-cccccccccccc")])
def test_a_response_to_another_request_is_refused(other: Job) -> None:
    pinned = {"model": CHAMPION}
    with (
        scripted(Script([response(other)])) as address,
        pytest.raises(ServiceError, match="does not match the request"),
    ):
        HardNegatives(address, retry=QUICK).sample(n=2, seed=1, **pinned)  # type: ignore[arg-type]


def test_malformed_bytes_with_the_right_hash_are_refused() -> None:
    page = ScriptedResponse(200, b"<html>", {BODY_HASH: hashlib.sha256(b"<html>").hexdigest()})
    with scripted(Script([page])) as address, pytest.raises(ServiceError, match="are not a valid safetensors response"):
        HardNegatives(address, retry=QUICK).sample(n=2)


def test_the_token_is_sent_and_appears_in_no_text(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    script = Script([error(401, "unknown token")])
    caplog.set_level(0)
    with scripted(script) as address:
        given = HardNegatives(address, TOKEN, retry=QUICK)
        monkeypatch.setenv("HUMOUSE_TOKEN", TOKEN[::-1])
        for client in (given, HardNegatives(address, retry=QUICK), HardNegatives(address, "", retry=QUICK)):
            with pytest.raises(ServiceError, match=r"^401: unknown token$") as exc_info:
                client.sample(n=1)
            text = repr(client) + str(client) + repr(client.client) + repr(exc_info.value) + caplog.text
            assert TOKEN not in text
            assert TOKEN[::-1] not in text
    assert [token for token, _ in script.requests] == [f"Bearer {TOKEN}", f"Bearer {TOKEN[::-1]}", None]


def test_a_netrc_file_adds_no_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login user password pass\n")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    script = Script([error(401)])
    with scripted(script) as address, pytest.raises(ServiceError, match=r"^401"):
        HardNegatives(address).sample(n=1)
    assert script.requests[0][0] is None


@pytest.mark.parametrize("token", [f"{TOKEN}\n", f" {TOKEN}", "tökén", "a b"])
def test_a_malformed_token_is_refused_without_being_shown(token: str) -> None:
    with pytest.raises(ConfigError, match="`token`") as exc_info:
        HardNegatives("http://127.0.0.1:1", token)
    assert token.strip() not in str(exc_info.value)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", "http://user:secret@host", "http://h?q=1"])
def test_a_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="`url`") as exc_info:
        HardNegatives(url)
    assert "secret" not in str(exc_info.value)


def test_exactly_one_of_url_and_handle_is_accepted() -> None:
    with pytest.raises(ConfigError, match="but got neither"):
        HardNegatives()
    with pytest.raises(ConfigError, match="but got both"):
        HardNegatives("http://host", handle=object())


def test_a_client_can_be_pickled(url: str) -> None:
    client = HardNegatives(url, TOKEN)
    client.sample(n=1)
    again = pickle.loads(pickle.dumps(client))
    assert torch.equal(again.sample(n=2, seed=1), client.sample(n=2, seed=1))


def test_the_example_script_works(url: str) -> None:
    script = f"from serve.client import HardNegatives\nprint(tuple(HardNegatives({url!r}).sample(n=3).shape))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("(3, 16, 2)\n", "")


def test_a_client_over_http_needs_no_ray() -> None:
    script = "import serve.client, sys; print('ray' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert re.fullmatch(r"False\n", done.stdout)
