"""OpenAPI document of the service: examples of every body and every error, and the limits in force."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from serve.formats import BODY_HASH, FORMATS, HEADERS
from serve.messages import ErrorResponse, HealthResponse, ModelResponse, SampleResponse, ScoreResponse
from serve.settings import LimitsConfig

ERRORS = {
    400: "invalid JSON body: Unterminated string starting at (character 6)",
    401: "missing or unknown token; send `Authorization: Bearer TOKEN`",
    403: "no token is configured: requests by a non-loopback address are refused",
    404: "unknown or expired batch id; send the request again",
    405: "method not allowed on this route; see /openapi.json",
    408: "request body not received within 300 s",
    409: "no detector published yet",
    410: "the bytes of this batch cannot be reproduced: the software has changed; send the request again",
    413: "expected `body <= 1000000 bytes`, but got more; split the request with `first`",
    415: "unsupported content type; send JSON with `Content-Type: application/json`",
    422: "expected `n <= 4096`, but got n=5000; request the rest with `first`",
    429: "quota of 600000 movements per minute exceeded; retry later",
    500: "internal server error; see the log of the service",
    503: "the request queue is full; retry in a second",
    504: "no response within 300 s; request fewer movements or steps",
}
WITH_RETRY_AFTER = (429, 503)
ResponseSpec = dict[str, Any]
ResponseSpecs = dict[int | str, ResponseSpec]

CARD = {
    "id": "0003-9f86d081884c",
    "weights_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "kind": "diffusion",
    "users": {
        "train": {"users": 25, "effective_users": 6.5, "movements": 1513},
        "validation": {"users": 20, "effective_users": 15.7, "movements": 159},
        "names": "`users` in record.json of the checkpoint",
    },
}
MODEL = {
    "model": CARD,
    "swap": {"wanted": "", "error": "", "since": "2026-01-31T12:00:00+00:00"},
    "replicas": 1,
    "detector": {"id": "0001-2c26b46b68ff", "kind": "detector"},
    "detector_swap": {"wanted": "", "error": "", "since": "2026-01-31T12:00:00+00:00"},
}
METRICS = 'humouse_requests_total{method="POST",route="/v1/samples",status="200"} 3.0'


def errors(*statuses: int) -> ResponseSpecs:
    """Return the errors of a route with examples; those of the middleware and of an overloaded service always apply."""
    return {status: _error(status) for status in sorted({401, 403, 408, 413, 500, 503, 504, *statuses})}


def _error(status: int) -> ResponseSpec:
    example = {"error": {"status": status, "message": ERRORS[status]}}
    spec: ResponseSpec = {
        "model": ErrorResponse,
        "description": HTTPStatus(status).phrase,
        "content": {"application/json": {"example": example}},
    }
    if status in WITH_RETRY_AFTER:
        spec["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return spec


def _movements(description: str) -> ResponseSpec:
    """Return the specification of a response with movements, in any of the formats."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        "model": SampleResponse,
        "description": description,
        "headers": {header: {"schema": {"type": "string"}} for header in (*HEADERS.values(), BODY_HASH)},
        "content": {kind.media_type: binary for name, kind in FORMATS.items() if name != "json"},
    }


def _json(model: type[BaseModel], description: str, example: Mapping[str, Any]) -> ResponseSpec:
    return {"model": model, "description": description, "content": {"application/json": {"example": dict(example)}}}


RESPONSES: dict[str, ResponseSpecs] = {
    "POST /samples": {200: _movements("Sampled movements."), **errors(400, 404, 409, 410, 415, 422, 429)},
    "GET /samples/{batch_id}": {
        200: _movements("The same bytes as the first response."),
        **errors(404, 409, 410, 422, 429),
    },
    "POST /score": {
        200: _json(ScoreResponse, "Probability of a bot for each movement.", {"scores": [0.93]}),
        **errors(400, 409, 415, 422, 429),
    },
    "GET /model": {200: _json(ModelResponse, "Model cards and the state of the last swap.", MODEL), **errors()},
    "GET /health": {
        200: _json(HealthResponse, "Ready to serve.", {"ready": True, "model": CARD["id"], "error": ""}),
        **errors(),
    },
    "GET /metrics": {
        200: {"description": "Prometheus text format.", "content": {"text/plain": {"example": METRICS}}},
        **errors(),
    },
}


def with_limits(app: FastAPI, limits: LimitsConfig) -> Callable[[], dict[str, Any]]:
    """Return a function that generates the application's OpenAPI document with the configured limits."""
    plain = app.openapi

    def document() -> dict[str, Any]:
        schema = plain()
        schemas = schema["components"]["schemas"]
        request = schemas["SampleRequest"]["properties"]
        request["n"]["maximum"] = limits.n
        request["seq_len"]["maximum"] = limits.seq_len
        request["steps"]["anyOf"][0]["maximum"] = limits.steps
        schemas["ScoreRequest"]["properties"]["movements"]["maxItems"] = limits.score_n
        schemas["Movement"]["properties"]["points"]["maxItems"] = limits.points
        return schema

    return document
