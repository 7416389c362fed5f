"""Tests of the OpenAPI document: it is true, and no request that it allows or forbids breaks the service."""

import pkgutil
from collections.abc import Iterator
from contextlib import closing
from functools import cache, reduce
from importlib import import_module
from operator import or_
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.internal.conjecture import providers
from hypothesis.internal.constants_ast import constants_from_module
from pydantic import BaseModel
from schemathesis import BaseSchema, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.testclient import TestClient
from starlette.types import Receive, Scope, Send

import serve
from serve.api import HTTP_ERRORS
from serve.backend import LocalBackend
from serve.messages import ErrorResponse, ModelResponse, SampleRequest, ScoreRequest, ScoreResponse
from serve.openapi import ERRORS
from serve.settings import LimitsConfig, ServeConfig
from tests.serve.fakes import AUTHORISED, FakeBackend, client_of, tokens
from tests.serve.published import serving

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SMALL = LimitsConfig(n=40, json_n=20, seq_len=32)
EXAMPLES = 40  # of each operation and mode; all of them together take about fifteen seconds


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    storage = tmp_path_factory.mktemp("serve")
    with client_of(FakeBackend(scores=0.5), storage, tokens(), limits=SMALL, quota=0) as client:
        yield client


@pytest.fixture(scope="module")
def sampling(checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """Client of the service with a small real champion, with few sampler steps."""
    storage = tmp_path_factory.mktemp("sampling")
    models, _ = serving(storage, checkpoint)
    few = LimitsConfig(n=4, json_n=4, seq_len=96, steps=2, score_n=2)
    with closing(LocalBackend(models)) as backend, client_of(backend, storage, tokens(), limits=few, quota=0) as client:
        yield client


@pytest.fixture(scope="module")
def contract(client: TestClient) -> dict[str, Any]:
    document: dict[str, Any] = client.get("/openapi.json").json()
    return document


def operations(contract: dict[str, Any]) -> dict[str, Any]:
    return {f"{m.upper()} {path}": at for path, each in contract["paths"].items() for m, at in each.items()}


def test_every_route_is_versioned_and_described_with_its_errors(contract: dict[str, Any]) -> None:
    found = operations(contract)
    assert sorted(found) == [
        "GET /v1/health",
        "GET /v1/metrics",
        "GET /v1/model",
        "GET /v1/samples/{batch_id}",
        "POST /v1/samples",
        "POST /v1/score",
    ]
    for operation in found.values():
        assert operation["description"]
        assert {"200", "401", "403", "500", "503", "504"} <= set(operation["responses"])


def test_every_error_has_an_example_of_its_shape(contract: dict[str, Any]) -> None:
    for operation in operations(contract).values():
        for status, response in operation["responses"].items():
            if status != "200":
                example = response["content"]["application/json"]["example"]
                assert ErrorResponse.model_validate(example, strict=True).error.status == int(status)


def test_the_examples_of_errors_are_the_messages_of_the_service(tmp_path: Path) -> None:
    assert ERRORS[405] == HTTP_ERRORS[405]
    limit = ServeConfig().timeout_s
    assert ERRORS[408] == f"request body not received within {limit:g} s"
    assert ERRORS[504] == f"no response within {limit:g} s; request fewer movements or steps"
    with client_of(FakeBackend(), tmp_path) as client:
        for status, payload in ((422, {"n": 5000}), (413, {"n": 1, "model": "x" * 1_000_000})):
            assert client.post("/v1/samples", json=payload).json()["error"]["message"] == ERRORS[status]
        assert client.get(f"/v1/samples/{'0' * 32}").json()["error"]["message"] == ERRORS[404]


def test_every_error_message_is_one_line() -> None:
    assert all(message.splitlines() == [message] for message in ERRORS.values())


@pytest.mark.parametrize("model", [SampleRequest, ScoreRequest])
def test_every_example_of_a_request_succeeds(
    client: TestClient, contract: dict[str, Any], model: type[BaseModel]
) -> None:
    examples = contract["components"]["schemas"][model.__name__]["examples"]
    path = {SampleRequest: "/v1/samples", ScoreRequest: "/v1/score"}[model]
    for example in examples:
        small = {**example, "n": 2, "seq_len": 0} if model is SampleRequest else example
        assert client.post(path, json=small, headers=AUTHORISED).status_code == 200
    assert examples


@pytest.mark.parametrize(("route", "model"), [("GET /v1/model", ModelResponse), ("POST /v1/score", ScoreResponse)])
def test_examples_of_responses_match_their_schemas(
    contract: dict[str, Any], route: str, model: type[BaseModel]
) -> None:
    content = operations(contract)[route]["responses"]["200"]["content"]["application/json"]
    model.model_validate(content["example"], strict=True, extra="forbid")


def test_the_limits_in_the_document_are_those_in_force(contract: dict[str, Any]) -> None:
    schemas = contract["components"]["schemas"]
    request = schemas["SampleRequest"]["properties"]
    assert (request["n"]["maximum"], request["seq_len"]["maximum"]) == (SMALL.n, SMALL.seq_len)
    assert request["steps"]["anyOf"][0]["maximum"] == SMALL.steps
    assert schemas["ScoreRequest"]["properties"]["movements"]["maxItems"] == SMALL.score_n
    assert ServeConfig().limits.n != SMALL.n


def test_the_document_declares_bearer_authentication(contract: dict[str, Any]) -> None:
    assert [scheme["scheme"] for scheme in contract["components"]["securitySchemes"].values()] == ["bearer"]


@pytest.fixture(autouse=True, scope="module")
def constants_of_the_service() -> Iterator[None]:
    """Make Hypothesis use the constants of serve/ only: by default it also uses those of all our imported modules.

    Otherwise the same seed would generate other requests after other tests.
    """
    modules = [import_module(f"serve.{module.name}") for module in pkgutil.iter_modules(serve.__path__)]
    constants = reduce(or_, map(constants_from_module, modules))
    for kind in ("integers", "floats", "bytes", "strings"):  # sets: of another order in each process
        setattr(constants, kind, sorted(getattr(constants, kind)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(providers, "_get_local_constants", lambda: constants)
        patch.setattr(providers, "CONSTANTS_CACHE", {})
        yield


@cache
def fuzzed(client: TestClient) -> BaseSchema:
    async def http_alone(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":  # the lifespan is the client's: a second one would end in the middle of its own
            await client.app(scope, receive, send)

    return schemathesis.openapi.from_asgi("/openapi.json", http_alone)


QUIET = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


OPERATIONS = [  # with the statuses that some of the forbidden requests must get
    ("/v1/samples", "POST", {422}),
    ("/v1/samples/{batch_id}", "GET", {422}),
    ("/v1/score", "POST", {422}),
    ("/v1/model", "GET", None),
    ("/v1/health", "GET", None),
    ("/v1/metrics", "GET", None),
]


def statuses_of(client: TestClient, path: str, method: str, mode: GenerationMode) -> set[int]:
    """Return the statuses of generated requests, each of which the document must declare for the route."""
    statuses = set()

    @QUIET
    @given(case=fuzzed(client)[path][method].as_strategy(generation_mode=mode))
    def fuzz(case: Case[Any]) -> None:
        statuses.add(case.call_and_validate(headers=AUTHORISED, checks=CHECKS).status_code)

    fuzz()
    return statuses


@pytest.mark.heavy
@pytest.mark.parametrize(("path", "method", "_"), OPERATIONS)
def test_no_allowed_request_breaks_the_service(client: TestClient, path: str, method: str, _: set[int] | None) -> None:
    statuses = statuses_of(client, path, method, GenerationMode.POSITIVE)
    assert statuses >= ({404} if "{" in path else {200})


@pytest.mark.parametrize("path", ["/v1/samples", "/v1/score"])
def test_no_allowed_request_breaks_a_real_champion(sampling: TestClient, path: str) -> None:
    assert statuses_of(sampling, path, "POST", GenerationMode.POSITIVE) >= ({409} if "score" in path else {200, 422})


@pytest.mark.parametrize(("path", "method", "expected"), [each for each in OPERATIONS if each[2]])
def test_no_forbidden_request_breaks_the_service(
    client: TestClient, path: str, method: str, expected: set[int]
) -> None:
    assert statuses_of(client, path, method, GenerationMode.NEGATIVE) >= expected
