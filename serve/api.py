"""FastAPI application: validates a request, has a backend compute it, and encodes the response; it does not use Ray.

    POST /v1/samples             movements, in one of the formats of `serve.formats`
    GET  /v1/samples/{batch_id}  the same bytes again
    POST /v1/score               probability of a bot for movements, by the published detector
    GET  /v1/model               model card of the champion and state of its last swap
    GET  /v1/health              200 where movements can be served
    GET  /v1/metrics             Prometheus metrics
    GET  /                       the page

Every error has the body `{"error": {"status", "message"}}`, with a message of one line.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from serve.backend import Backend
from serve.batches import FILE, BatchStore, StoredRequest, batch_id_of
from serve.formats import BODY_HASH, FORMATS, arrays_of, canonical_json, headers_of, metadata_of, null_for_nan
from serve.guard import ANONYMOUS, RequestMiddleware, RequestRecord, error_response
from serve.jobs import NoChampionError, SampleResult, ServeError, TimedOutError
from serve.messages import BATCH_ID, SampleRequest, ScoreRequest, one_line
from serve.metrics import MEDIA_TYPE, Metrics
from serve.openapi import RESPONSES, with_limits
from serve.quotas import Quotas
from serve.settings import LimitsConfig, ServeConfig
from serve.tokens import Tokens, read_tokens
from trainables.core.config import ConfigError, require
from trainables.data.readers.recordings import RecordingError

PAGE = Path(__file__).parent / "static" / "index.html"
PAGE_HEADERS = {"Content-Security-Policy": "default-src 'self' 'unsafe-inline' data:; frame-ancestors 'none'"}
INLINE_BYTES = 1 << 16  # of deltas: encoding more would block the event loop, so a thread does it
HTTP_ERRORS = {
    400: "unreadable JSON body: nested too deeply, a number with too many digits, or not UTF-8",
    404: "no such route; see /openapi.json",
    405: "method not allowed on this route; see /openapi.json",
}

Result = TypeVar("Result")


def create_app(backend: Backend, settings: ServeConfig, tokens: Tokens | None = None) -> FastAPI:
    """Create the application around a backend.

    Args:
        tokens: None: read from the file of the settings and from the environment.

    Raises:
        ConfigError: the tokens cannot be read.
    """
    tokens = read_tokens(settings.token_file, os.environ) if tokens is None else tokens
    file = Path(settings.storage_path).expanduser() / FILE
    batches = BatchStore(file, settings.max_stored_batches, settings.max_store_bytes)
    service = Service(backend, settings, batches, Quotas(settings.quota))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        batches.close()

    app = FastAPI(title="humouse-lab", version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.include_router(_routes(service))
    app.add_api_route("/", _page, include_in_schema=False)
    app.add_middleware(RequestMiddleware, settings=settings, tokens=tokens, on_end=service.metrics.count_request)
    app.add_exception_handler(ServeError, _on_serve_error)
    app.add_exception_handler(ConfigError, _on_invalid_value)
    app.add_exception_handler(RecordingError, _on_invalid_value)
    app.add_exception_handler(RequestValidationError, _on_validation_error)
    app.add_exception_handler(HTTPException, _on_http_exception)
    app.add_exception_handler(Exception, _on_unexpected_error)
    app.openapi = with_limits(app, settings.limits)  # type: ignore[method-assign]  # FastAPI's way to extend it
    return app


@dataclass(frozen=True, eq=False)
class Service:
    """Handlers of the routes, and the state that they share."""

    backend: Backend
    settings: ServeConfig
    batches: BatchStore
    quotas: Quotas
    metrics: Metrics = field(default_factory=Metrics)

    async def samples(self, request: SampleRequest, http: Request) -> Response:
        """Sample movements from the champion. Seed and request decide the bytes; a random seed is in the response."""
        return await self._sample(request.with_seed(), http, None)

    async def batch(self, batch_id: Annotated[str, InPath(pattern=f"^{BATCH_ID}$")], http: Request) -> Response:
        """Reproduce the bytes of an earlier response, with the champion that sampled them."""
        stored = await asyncio.to_thread(self.batches.find, batch_id)
        return await self._sample(SampleRequest.model_validate_json(stored.request), http, stored)

    async def score(self, request: ScoreRequest, http: Request) -> Response:
        """Return the published detector's probability of a bot for each movement.

        It is never the sole basis to block a user.
        """
        limits, count = self.settings.limits, len(request.movements)
        require(count <= limits.score_n, f"`movements <= {limits.score_n}`", str(count), "split the request")
        longest = max(len(movement.points) for movement in request.movements)
        require(longest <= limits.points, f"`points <= {limits.points}` per movement", str(longest))
        with self._charged(http, count, n=count):
            return JSONResponse({"scores": await self._within_timeout(self.backend.score(request.recordings()))})

    async def model(self) -> Response:
        """Return the champion's model card, the state of its last swap, and the detector's card; null: unknown."""
        return JSONResponse(null_for_nan(await self._within_timeout(self.backend.describe())))

    async def health(self, http: Request) -> Response:
        """Return whether the service is ready; with a token also the model and the error of a failed swap."""
        state = await self._within_timeout(self.backend.describe())
        error = str(state["swap"]["error"])
        known = _record(http).name != ANONYMOUS
        if state["model"] is None:
            raise NoChampionError("no champion is loaded" + (f": {error}" if known and error else ""))
        detail = {"model": state["model"]["id"], "error": error} if known else {}
        return JSONResponse({"ready": True, **detail})

    async def counters(self) -> Response:
        """Return the Prometheus metrics of this ingress process."""
        return Response(self.metrics.text(), media_type=MEDIA_TYPE)

    async def _sample(self, request: SampleRequest, http: Request, stored: StoredRequest | None) -> Response:
        """Sample and encode; check the bytes against a stored request, or store a new one."""
        require_within(request, self.settings.limits)
        job = request.job()
        with self._charged(http, job.samples, n=request.n, seq_len=request.seq_len):
            result = await self._within_timeout(self.backend.sample(job))
        resolved = resolved_request(request, result)
        encode = partial(encoded, request, result, batch_id_of(resolved))
        body, headers = encode() if result.deltas.nbytes <= INLINE_BYTES else await asyncio.to_thread(encode)
        if stored is not None:
            stored.check(body)
        else:
            new = StoredRequest(resolved, headers[BODY_HASH])
            await asyncio.to_thread(self.batches.put, batch_id_of(resolved), new)
        _record(http).facts.update(batch=batch_id_of(resolved), model=result.model)
        self.metrics.count_samples(request.n, result.seconds)
        return Response(body, headers=headers, media_type=FORMATS[request.format].media_type)

    def _charged(self, http: Request, work: int, **facts: int) -> AbstractContextManager[None]:
        """Record the size of the request, and charge the quota for the work inside the block."""
        record = _record(http)
        record.facts.update(facts)
        return self.quotas.charge(record.name, work)

    async def _within_timeout(self, work: Awaitable[Result]) -> Result:
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                return await work
        except TimeoutError:
            remedy = "request fewer movements or steps"
            raise TimedOutError(f"no response within {self.settings.timeout_s:g} s; {remedy}") from None


def require_within(request: SampleRequest, limits: LimitsConfig) -> None:
    """Raise `ConfigError` where a request exceeds a limit of the service, or what its format can carry."""
    require(request.n <= limits.n, f"`n <= {limits.n}`", f"n={request.n}", "request the rest with `first`")
    law, got = f"`n x candidates <= {limits.n}`", f"n={request.n}, candidates={request.candidates}"
    samples = request.n * (request.candidates or 1)
    require(samples <= limits.n, law, got, "request the rest with `first`")
    require(request.seq_len <= limits.seq_len, f"`seq_len <= {limits.seq_len}`", f"seq_len={request.seq_len}")
    steps = request.steps or 1
    require(steps <= limits.steps, f"`steps <= {limits.steps}`", f"steps={steps}")
    small = request.format != "json" or request.n <= limits.json_n
    require(small, f"`n <= {limits.json_n}` with format=json", f"n={request.n}", "use format=safetensors")
    carried = FORMATS[request.format].whole or not request.pixels
    require(carried, "format=safetensors or json with `pixels`", f"format={request.format}")


def resolved_request(request: SampleRequest, result: SampleResult) -> str:
    """Return a request, with seed, champion and detector named, as the canonical JSON that a batch id stands for."""
    return canonical_json(request.model_copy(update={"model": result.model, "detector": result.detector}).model_dump())


def encoded(request: SampleRequest, result: SampleResult, batch_id: str) -> tuple[bytes, dict[str, str]]:
    """Return the body of a response and its headers."""
    seed, conditions = request.seed or 0, request.conditions_source
    metadata = metadata_of(result, batch_id=batch_id, seed=seed, first=request.first, conditions=conditions)
    body = FORMATS[request.format].encode(arrays_of(result), metadata)
    return body, {**headers_of(metadata, body), "Server-Timing": f"sampling;dur={result.seconds * 1e3:.1f}"}


def _routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[Depends(HTTPBearer(auto_error=False))])
    for method, path, endpoint in (
        ("POST", "/samples", service.samples),
        ("GET", "/samples/{batch_id}", service.batch),
        ("POST", "/score", service.score),
        ("GET", "/model", service.model),
        ("GET", "/health", service.health),
        ("GET", "/metrics", service.counters),
    ):
        responses = RESPONSES[f"{method} {path}"]
        router.add_api_route(path, endpoint, methods=[method], responses=responses, response_class=Response)
    return router


async def _page() -> Response:
    return FileResponse(PAGE, headers=PAGE_HEADERS)


def _record(http: Request) -> RequestRecord:
    record: RequestRecord = http.state.record
    return record


async def _on_serve_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServeError)
    return error_response(error.status, str(error), error.retry_after_s)


async def _on_invalid_value(_: Request, error: Exception) -> Response:
    return error_response(422, str(error))


async def _on_validation_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    if first["type"] == "json_invalid":
        return error_response(400, f"invalid JSON body: {first['ctx']['error']} (character {first['loc'][-1]})")
    return error_response(422, one_line(error.errors(), SampleRequest.model_fields))


async def _on_http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    response = error_response(error.status_code, HTTP_ERRORS.get(error.status_code, str(error.detail)))
    response.headers.update(error.headers or {})
    return response


async def _on_unexpected_error(_: Request, error: Exception) -> Response:
    return error_response(500, "internal server error; see the log of the service")
