"""The service over HTTP: checks a request, has it computed by a backend, and writes the reply; it knows nothing of Ray.

    POST /v1/samples             movements, in one of the formats of `serve.formats`
    GET  /v1/samples/{batch_id}  the same bytes again
    POST /v1/score               a published detector's probability of a bot for movements
    GET  /v1/model               the champion's card and the state of its last change
    GET  /v1/health              200 where movements can be served
    GET  /v1/metrics             counters for Prometheus
    GET  /                       the page

Every error has one shape, `{"error": {"status", "message"}}`, with a message of one line.
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
from serve.batches import FILE, Batches, Kept, batch_id_of
from serve.formats import BODY_HASH, FORMATS, arrays_of, canonical_json, facts_of, headers_of, null_for_nan
from serve.guard import NOBODY, Entry, Guard, error_reply
from serve.jobs import Drawn, NoChampionError, ServeError, TimedOutError
from serve.messages import BATCH_ID, SampleRequest, ScoreRequest, one_line
from serve.metrics import MEDIA_TYPE, Metrics
from serve.openapi import DESCRIBED, with_limits
from serve.quotas import Quotas
from serve.settings import LimitsConfig, ServeConfig
from serve.tokens import Tokens, read_tokens
from trainables.core.config import ConfigError, require
from trainables.data.recordings import RecordingError

PAGE = Path(__file__).parent / "static" / "index.html"
PAGE_HEADERS = {"Content-Security-Policy": "default-src 'self' 'unsafe-inline' data:; frame-ancestors 'none'"}
INLINE_BYTES = 1 << 16  # of deltas: encoding more would hold up the other requests, so a thread does it
UNROUTABLE = {
    400: "the body is JSON that cannot be read: nested too deep, a number of too many digits, or text that is no UTF-8",
    404: "there is no such route; /openapi.json has them all",
    405: "the route is there, and not for this method; /openapi.json has them all",
}

Result = TypeVar("Result")


def create_app(backend: Backend, settings: ServeConfig, tokens: Tokens | None = None) -> FastAPI:
    """The application around a backend.

    Args:
        tokens: None reads those that the settings and the environment name.

    Raises:
        ConfigError: tokens that cannot be read.
    """
    tokens = read_tokens(settings.token_file, os.environ) if tokens is None else tokens
    file = Path(settings.storage_path).expanduser() / FILE
    batches = Batches(file, settings.kept_batches, settings.kept_bytes)
    service = Service(backend, settings, batches, Quotas(settings.quota))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        batches.close()

    app = FastAPI(title="humouse-lab", version="1", docs_url=None, redoc_url=None, lifespan=lifespan)
    app.include_router(_routes(service))
    app.add_api_route("/", _page, include_in_schema=False)
    app.add_middleware(Guard, settings=settings, tokens=tokens, watch=service.metrics.ended)
    app.add_exception_handler(ServeError, _refused)
    app.add_exception_handler(ConfigError, _unlawful)
    app.add_exception_handler(RecordingError, _unlawful)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unroutable)
    app.add_exception_handler(Exception, _broken)
    app.openapi = with_limits(app, settings.limits)  # type: ignore[method-assign]  # FastAPI's way to extend it
    return app


@dataclass(frozen=True, eq=False)
class Service:
    """The routes and what they share."""

    backend: Backend
    settings: ServeConfig
    batches: Batches
    quotas: Quotas
    metrics: Metrics = field(default_factory=Metrics)

    async def samples(self, asked: SampleRequest, http: Request) -> Response:
        """Draw movements from the champion. Seed and request decide the bytes; a seed left out is told in the reply."""
        return await self._reply(asked.settled(), http, None)

    async def again(self, batch_id: Annotated[str, InPath(pattern=f"^{BATCH_ID}$")], http: Request) -> Response:
        """Make the bytes of an earlier reply again, from the champion that made them."""
        kept = await asyncio.to_thread(self.batches.find, batch_id)
        return await self._reply(SampleRequest.model_validate_json(kept.request), http, kept)

    async def score(self, asked: ScoreRequest, http: Request) -> Response:
        """The published detector's probability of a bot for each movement; never the sole basis to block a person."""
        limits, count = self.settings.limits, len(asked.movements)
        require(count <= limits.score_n, f"`movements <= {limits.score_n}`", str(count), "send them in parts")
        longest = max(len(movement.points) for movement in asked.movements)
        require(longest <= limits.points, f"`points <= {limits.points}` of a movement", str(longest))
        with self._admitted(http, n=count):
            return JSONResponse({"scores": await self._in_time(self.backend.score(asked.recordings()))})

    async def model(self) -> Response:
        """The champion's card, the state of its last change, and the detector's card; null: a figure is not known."""
        return JSONResponse(null_for_nan(await self._in_time(self.backend.describe())))

    async def health(self, http: Request) -> Response:
        """Ready to serve or not; who is served and what went wrong is told to whoever has a token."""
        state = await self._in_time(self.backend.describe())
        error = str(state["swap"]["error"])
        told = _entry(http).name != NOBODY
        if state["model"] is None:
            raise NoChampionError("no champion can be served" + (f": {error}" if told and error else ""))
        detail = {"model": state["model"]["id"], "error": error} if told else {}
        return JSONResponse({"ready": True, **detail})

    async def counters(self) -> Response:
        """Counters of this ingress process, for Prometheus."""
        return Response(self.metrics.text(), media_type=MEDIA_TYPE)

    async def _reply(self, asked: SampleRequest, http: Request, kept: Kept | None) -> Response:
        require_within(asked, self.settings.limits)
        job = asked.job()
        with self._admitted(http, n=asked.n, seq_len=asked.seq_len):
            drawn = await self._in_time(self.backend.sample(job))
        request = request_of(asked, drawn)
        encode = partial(encoded, asked, drawn, batch_id_of(request))
        body, headers = encode() if drawn.deltas.nbytes <= INLINE_BYTES else await asyncio.to_thread(encode)
        if kept is not None:
            kept.require(body)
        else:
            await asyncio.to_thread(self.batches.keep, batch_id_of(request), Kept(request, headers[BODY_HASH]))
        _entry(http).facts.update(batch=batch_id_of(request), model=drawn.model)
        self.metrics.served(asked.n, drawn.seconds)
        return Response(body, headers=headers, media_type=FORMATS[asked.format].media_type)

    def _admitted(self, http: Request, *, n: int, **facts: int) -> AbstractContextManager[None]:
        """Note what is asked, and take it from the quota for what is done inside."""
        entry = _entry(http)
        entry.facts.update(n=n, **facts)
        return self.quotas.taken(entry.name, n)

    async def _in_time(self, work: Awaitable[Result]) -> Result:
        try:
            async with asyncio.timeout(self.settings.timeout_s):
                return await work
        except TimeoutError:
            remedy = "ask for fewer movements or steps"
            raise TimedOutError(f"no reply within {self.settings.timeout_s:g} s; {remedy}") from None


def require_within(asked: SampleRequest, limits: LimitsConfig) -> None:
    """Raise `ConfigError` where a request asks for more than the service gives, or for what its format cannot carry."""
    require(asked.n <= limits.n, f"`n <= {limits.n}`", f"n={asked.n}", "ask for the rest by `first`")
    require(asked.seq_len <= limits.seq_len, f"`seq_len <= {limits.seq_len}`", f"seq_len={asked.seq_len}")
    steps = asked.steps or 1
    require(steps <= limits.steps, f"`steps <= {limits.steps}`", f"steps={steps}")
    small = asked.format != "json" or asked.n <= limits.json_n
    require(small, f"`n <= {limits.json_n}` with format=json", f"n={asked.n}", "take format=safetensors")
    carries = FORMATS[asked.format].whole or not asked.pixels
    require(carries, "`pixels` with format=safetensors or json", f"format={asked.format}")


def request_of(asked: SampleRequest, drawn: Drawn) -> str:
    """What was asked, with seed, champion and detector named, as the canonical JSON that a batch id stands for."""
    return canonical_json(asked.model_copy(update={"model": drawn.model, "detector": drawn.detector}).model_dump())


def encoded(asked: SampleRequest, drawn: Drawn, batch_id: str) -> tuple[bytes, dict[str, str]]:
    """The body of a reply and its headers."""
    facts = facts_of(drawn, batch_id=batch_id, seed=asked.seed or 0, first=asked.first, conditions=asked.origin)
    body = FORMATS[asked.format].encode(arrays_of(drawn), facts)
    return body, {**headers_of(facts, body), "Server-Timing": f"sampling;dur={drawn.seconds * 1e3:.1f}"}


def _routes(service: Service) -> APIRouter:
    router = APIRouter(prefix="/v1", dependencies=[Depends(HTTPBearer(auto_error=False))])
    for method, path, endpoint in (
        ("POST", "/samples", service.samples),
        ("GET", "/samples/{batch_id}", service.again),
        ("POST", "/score", service.score),
        ("GET", "/model", service.model),
        ("GET", "/health", service.health),
        ("GET", "/metrics", service.counters),
    ):
        replies = DESCRIBED[f"{method} {path}"]
        router.add_api_route(path, endpoint, methods=[method], responses=replies, response_class=Response)
    return router


async def _page() -> Response:
    return FileResponse(PAGE, headers=PAGE_HEADERS)


def _entry(http: Request) -> Entry:
    entry: Entry = http.state.entry
    return entry


async def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, ServeError)
    return error_reply(error.status, str(error), error.retry_after_s)


async def _unlawful(_: Request, error: Exception) -> Response:
    return error_reply(422, str(error))


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    if first["type"] == "json_invalid":
        return error_reply(400, f"the body is not JSON: {first['ctx']['error']} (character {first['loc'][-1]})")
    return error_reply(422, one_line(error.errors(), SampleRequest.model_fields))


async def _unroutable(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    reply = error_reply(error.status_code, UNROUTABLE.get(error.status_code, str(error.detail)))
    reply.headers.update(error.headers or {})
    return reply


async def _broken(_: Request, error: Exception) -> Response:
    return error_reply(500, "an error inside the service; its log says more")
