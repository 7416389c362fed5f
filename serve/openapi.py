"""The contract of the service as OpenAPI says it: examples of every body and every error, and the limits in force."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from serve.formats import BODY_HASH, FORMATS, HEADERS
from serve.messages import ErrorReply, HealthReply, ModelReply, SampleReply, ScoreReply
from serve.settings import LimitsConfig

ERRORS = {
    400: "the body is not JSON: Unterminated string starting at (character 6)",
    401: "a known token is needed, as `Authorization: Bearer TOKEN`",
    403: "this address is reachable from elsewhere and the service has no token: it answers nothing",
    404: "no batch of this id was made here, or too long ago; post its request again",
    405: "the route is there, and not for this method; /openapi.json has them all",
    408: "the body did not end within 300 s",
    409: "no detector: nothing was published yet",
    410: "the bytes of this batch can no longer be made: the software is another one; post its request again",
    413: "`body <= 1000000 bytes` must hold, but got more; divide the request, by `first`",
    415: "a body is JSON: send `Content-Type: application/json`",
    422: "`n <= 4096` must hold, but got n=5000; ask for the rest by `first`",
    429: "`600000 movements a minute` are this token's quota; ask again later",
    500: "an error inside the service; its log says more",
    503: "as many requests wait as may (`queue`); ask again in a second",
    504: "no reply within 300 s; ask for fewer movements or steps",
}
RETRIED = (429, 503)
Reply = dict[str, Any]
Replies = dict[int | str, Reply]

CARD = {
    "id": "0003-9f86d081884c",
    "weights_sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "kind": "diffusion",
}
MODEL = {
    "model": CARD,
    "swap": {"wanted": "", "error": "", "since": "2026-01-31T12:00:00+00:00"},
    "replicas": 1,
    "detector": {"id": "0001-2c26b46b68ff", "kind": "detector"},
    "detector_swap": {"wanted": "", "error": "", "since": "2026-01-31T12:00:00+00:00"},
}
METRICS = 'humouse_requests_total{method="POST",route="/v1/samples",status="200"} 3.0'


def errors(*statuses: int) -> Replies:
    """The errors of a route, each with its example; those of the guard and of a busy service are any route's."""
    return {status: _error(status) for status in sorted({401, 403, 408, 413, 500, 503, 504, *statuses})}


def _error(status: int) -> Reply:
    example = {"error": {"status": status, "message": ERRORS[status]}}
    reply: Reply = {
        "model": ErrorReply,
        "description": HTTPStatus(status).phrase,
        "content": {"application/json": {"example": example}},
    }
    if status in RETRIED:
        reply["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
    return reply


def _movements(about: str) -> Reply:
    """A reply with movements, in any of the formats."""
    binary = {"schema": {"type": "string", "format": "binary"}}
    return {
        "model": SampleReply,
        "description": about,
        "headers": {header: {"schema": {"type": "string"}} for header in (*HEADERS.values(), BODY_HASH)},
        "content": {kind.media_type: binary for name, kind in FORMATS.items() if name != "json"},
    }


def _json(model: type[BaseModel], about: str, example: Mapping[str, Any]) -> Reply:
    return {"model": model, "description": about, "content": {"application/json": {"example": dict(example)}}}


DESCRIBED: dict[str, Replies] = {
    "POST /samples": {200: _movements("The movements."), **errors(400, 404, 409, 410, 415, 422, 429)},
    "GET /samples/{batch_id}": {200: _movements("The same bytes again."), **errors(404, 409, 410, 422, 429)},
    "POST /score": {
        200: _json(ScoreReply, "A probability of a bot for each movement.", {"scores": [0.93]}),
        **errors(400, 409, 415, 422, 429),
    },
    "GET /model": {200: _json(ModelReply, "The cards.", MODEL), **errors()},
    "GET /health": {
        200: _json(HealthReply, "Ready.", {"ready": True, "model": CARD["id"], "error": ""}),
        **errors(),
    },
    "GET /metrics": {
        200: {"description": "Prometheus' text format.", "content": {"text/plain": {"example": METRICS}}},
        **errors(),
    },
}


def with_limits(app: FastAPI, limits: LimitsConfig) -> Callable[[], dict[str, Any]]:
    """The document of the application with the limits that this service was given."""
    plain = app.openapi

    def document() -> dict[str, Any]:
        contract = plain()
        schemas = contract["components"]["schemas"]
        asked = schemas["SampleRequest"]["properties"]
        asked["n"]["maximum"] = limits.n
        asked["seq_len"]["maximum"] = limits.seq_len
        asked["steps"]["anyOf"][0]["maximum"] = limits.steps
        schemas["ScoreRequest"]["properties"]["movements"]["maxItems"] = limits.score_n
        schemas["Movement"]["properties"]["points"]["maxItems"] = limits.points
        return contract

    return document
