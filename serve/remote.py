"""HTTP client of the service: sends one request at a time, and verifies the response.

A response is accepted only if the hash of its body equals the one in its header and its provenance is `synthetic`. A
failure that may pass (no connection, 500, 502, 503, 429 with `Retry-After`, a damaged body) is a `RetryableError`; any
other error, or no response in time, is a `ServiceError` with the message of the service. The token is sent only to the
given URL: redirects are not followed, and no message or representation of an object contains it.
"""

import hashlib
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase

from serve.formats import BODY_HASH, HEADERS, PROVENANCE, FormatError, decode, null_for_nan
from serve.jobs import Job, SampleResult
from serve.patience import RETRYABLE, RetryableError, ServiceError
from serve.settings import ServeConfig
from trainables.core.config import require

TOKEN_VARIABLE = "HUMOUSE_TOKEN"
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750: valid in a header
CONNECT_S = 5.0
TIMEOUT_S = ServeConfig.timeout_s + 30.0  # the service reports its own timeout first
MAX_LINE = 500  # characters of a message
FORMAT = "safetensors"


class ClientResponse(NamedTuple):
    """Samples of a job, and the batch id by which the service reproduces them ("": none)."""

    result: SampleResult
    batch_id: str


class BearerAuth(AuthBase):
    """Bearer token of a request; also used without a token, so that no `.netrc` adds one."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}" if token else ""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header:
            request.headers["Authorization"] = self._header
        return request


@dataclass(frozen=True)
class HttpClient:
    """Client of the service at a URL.

    Attributes:
        token: None: read from the environment.
        timeout_s: Time without a byte of the response.

    Raises:
        ConfigError: the URL is malformed, or the token cannot be sent in a header.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    timeout_s: float = TIMEOUT_S
    _sessions: dict[int, requests.Session] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        shown = self.url.rpartition("@")[2]
        require(valid and not parts.query, "`url` to be http(s)://host[:port][/path]", repr(shown))
        require(self.timeout_s > 0, "`timeout_s > 0`", f"timeout_s={self.timeout_s}")
        token = os.environ.get(TOKEN_VARIABLE, "") if self.token is None else self.token
        law = f"`token` (or the variable {TOKEN_VARIABLE}) to consist of A-Z a-z 0-9 . _ ~ + / - with = at its end"
        require(token == "" or TOKEN.fullmatch(token) is not None, law, f"others among its {len(token)} characters")
        object.__setattr__(self, "token", token)

    def __reduce__(self) -> tuple[type["HttpClient"], tuple[str, str | None, float]]:
        return HttpClient, (self.url, self.token, self.timeout_s)

    def sample(self, job: Job) -> ClientResponse:
        """Request the samples of a job."""
        response = self._request("POST", "/v1/samples", request_body(job))
        _require_intact(response)
        arrays, metadata = _decoded(response)
        for provenance in (response.headers.get(HEADERS["provenance"]), metadata["provenance"]):
            require_synthetic(provenance)
        origin = {name: metadata[name] for name in ("model", "weights_sha256", "detector")}
        seconds = sampling_s(response.headers.get("Server-Timing", ""))
        return ClientResponse(SampleResult(**arrays, **origin, seconds=seconds), str(metadata["batch_id"]))

    def describe(self) -> dict[str, Any]:
        """Return the model cards and the state of the service."""
        try:
            return dict(self._request("GET", "/v1/model").json())
        except ValueError:
            raise ServiceError(f"{self.url}/v1/model: the response is not a JSON object; check the URL") from None

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> requests.Response:
        url = self.url.rstrip("/") + path
        try:
            response = self._session().request(
                method,
                url,
                json=body,
                auth=BearerAuth(self.token or ""),
                timeout=(CONNECT_S, self.timeout_s),
                allow_redirects=False,
            )
        except requests.exceptions.SSLError:
            raise ServiceError(f"{url}: TLS certificate verification failed") from None
        except requests.ReadTimeout:
            late = f"no response within {self.timeout_s:g} s; request fewer rows or steps with `chunk`"
            raise ServiceError(f"{url}: {late}") from None
        except (
            requests.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
        ) as error:
            raise RetryableError(f"{url}: no complete response ({type(error).__name__})") from None
        except requests.RequestException as error:
            raise ServiceError(f"{url}: the request failed ({type(error).__name__})") from None
        return _require_ok(response)

    def _session(self) -> requests.Session:
        """Return the session of this process: a forked one would read the responses to its parent's requests."""
        process = os.getpid()
        if process not in self._sessions:
            self._sessions[process] = requests.Session()
        return self._sessions[process]


def request_body(job: Job) -> dict[str, Any]:
    """Return a job as the JSON of a request; fields with the service's default are omitted."""
    optional = {name: getattr(job, name) for name in ("seq_len", "source", "model", "detector", "pixels")}
    conditions = {"conditions": null_for_nan(job.conditions)} if job.conditions else {"distribution": job.distribution}
    return {
        "n": job.n,
        "first": job.first,
        "seed": job.seed,
        "format": FORMAT,
        **conditions,
        **{name: value for name, value in optional.items() if value},
        **{name: value for name, value in vars(job.sampling).items() if value is not None},
        **({} if job.hardness is None else {"hardness": list(job.hardness)}),
    }


def sampling_s(timing: str) -> float:
    """Return the sampling time of a `Server-Timing` header, NaN where there is none.

    >>> sampling_s("sampling;dur=12.5")
    0.0125
    """
    found = re.search(r"sampling;dur=(\d+(?:\.\d+)?)", timing)
    return float(found[1]) / 1e3 if found else math.nan


def require_synthetic(provenance: object) -> None:
    """Raise `ServiceError` for data that is not marked as synthetic: it may be a recording of a user."""
    if provenance != PROVENANCE:
        raise ServiceError(f"expected `provenance == {PROVENANCE}`, but got {provenance!r}; the response is discarded")


def _require_ok(response: requests.Response) -> requests.Response:
    """Return a response with status 200.

    Raises:
        RetryableError: a failure that may pass, or a quota with the time of its refill.
        ServiceError: any other status.
    """
    if response.status_code == requests.codes.ok:
        return response
    line = f"{response.status_code}: {_message_of(response)}"
    min_wait_s = _retry_after_s(response.headers.get("Retry-After", ""))
    if response.status_code in RETRYABLE or (response.status_code == requests.codes.too_many and min_wait_s > 0):
        raise RetryableError(line, response.status_code, min_wait_s)
    raise ServiceError(line, response.status_code)


def _message_of(response: requests.Response) -> str:
    """Return the error message of the service, or of a proxy before it."""
    if response.is_redirect:
        return f"redirects to {response.headers['Location']}; use that URL"
    try:
        message = str(response.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        message = f"{response.reason or 'no reason'} (not an error response of the service)"
    return " ".join(message.split())[:MAX_LINE]


def _retry_after_s(text: str) -> float:
    """Return the seconds of a `Retry-After` header; 0 for a date, which would need synchronised clocks."""
    return float(text) if re.fullmatch(r"\d{1,9}", text) else 0.0


def _require_intact(response: requests.Response) -> None:
    """Raise `RetryableError` unless the body has the hash of its header."""
    named, found = response.headers.get(BODY_HASH), hashlib.sha256(response.content).hexdigest()
    if named != found:
        got = f"{len(response.content)} bytes with {found[:12]} instead of {str(named)[:12]}"
        raise RetryableError(f"expected the SHA-256 of the body to equal {BODY_HASH}, but got {got}")


def _decoded(response: requests.Response) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        return decode(response.content, FORMAT)
    except FormatError as error:
        raise ServiceError(f"{error} (Content-Type: {response.headers.get('Content-Type')})") from None
