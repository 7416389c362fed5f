"""The service over HTTP, one question at a time: what is sent, and whether what comes back may be believed.

A reply is taken only if the hash of its body is the one that its header names and its provenance is `synthetic`. What
fails for now (no connection, 500, 502, 503, 429 with a time to wait, a body that was damaged on its way) is a
`PassingError`; any other refusal, or no answer in time, is a `ServiceError` with the service's own line. The token is
sent to the URL that was given and to no other: redirections are not followed, and no message or text of an object
holds it.
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
from serve.jobs import Drawn, Job
from serve.patience import PASSING, PassingError, ServiceError
from serve.settings import ServeConfig
from trainables.core.config import require

VARIABLE = "HUMOUSE_TOKEN"
TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750: what a header can carry
CONNECT_S = 5.0
TIMEOUT_S = ServeConfig.timeout_s + 30.0  # the service says first that it takes too long
LINE = 500  # characters of a message at most
FORMAT = "safetensors"


class Answer(NamedTuple):
    """What was drawn for a job, and the id by which the service draws it again ("": it keeps none)."""

    drawn: Drawn
    batch_id: str


class Bearer(AuthBase):
    """The token of a question; also where there is none, so that no `.netrc` adds one."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}" if token else ""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self._header:
            request.headers["Authorization"] = self._header
        return request


@dataclass(frozen=True)
class Http:
    """A service at a URL.

    Attributes:
        token: None: that of the environment.
        timeout_s: Without a byte of the reply.

    Raises:
        ConfigError: a URL that is none, or a token that no header can carry.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    timeout_s: float = TIMEOUT_S
    _sessions: dict[int, requests.Session] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        named = parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
        shown = self.url.rpartition("@")[2]
        require(named and not parts.query, "`url` is http(s)://host[:port][/path]", repr(shown))
        require(self.timeout_s > 0, "`timeout_s > 0`", f"timeout_s={self.timeout_s}")
        token = os.environ.get(VARIABLE, "") if self.token is None else self.token
        law = f"`token` (or the variable {VARIABLE}) is of A-Z a-z 0-9 . _ ~ + / - with = at its end"
        require(token == "" or TOKEN.fullmatch(token) is not None, law, f"{len(token)} other characters")
        object.__setattr__(self, "token", token)

    def __reduce__(self) -> tuple[type["Http"], tuple[str, str | None, float]]:
        return Http, (self.url, self.token, self.timeout_s)

    def draw(self, job: Job) -> Answer:
        """The rows of a job."""
        reply = self._reply("POST", "/v1/samples", body_of(job))
        _require_whole(reply)
        arrays, facts = _decoded(reply)
        for provenance in (reply.headers.get(HEADERS["provenance"]), facts["provenance"]):
            require_synthetic(provenance)
        told = {name: facts[name] for name in ("model", "weights_sha256", "detector")}
        seconds = sampling_s(reply.headers.get("Server-Timing", ""))
        return Answer(Drawn(**arrays, **told, seconds=seconds), str(facts["batch_id"]))

    def describe(self) -> dict[str, Any]:
        """The card of the champion and the state of the service."""
        try:
            return dict(self._reply("GET", "/v1/model").json())
        except ValueError:
            raise ServiceError(f"{self.url}/v1/model: no JSON object came; is this the service?") from None

    def _reply(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> requests.Response:
        url = self.url.rstrip("/") + path
        try:
            reply = self._session().request(
                method,
                url,
                json=body,
                auth=Bearer(self.token or ""),
                timeout=(CONNECT_S, self.timeout_s),
                allow_redirects=False,
            )
        except requests.exceptions.SSLError:
            raise ServiceError(f"{url}: the service's certificate is not accepted") from None
        except requests.ReadTimeout:
            late = f"no answer within {self.timeout_s:g} s; ask for fewer rows or steps, by `chunk`"
            raise ServiceError(f"{url}: {late}") from None
        except (
            requests.ConnectionError,
            requests.exceptions.ChunkedEncodingError,
            requests.exceptions.ContentDecodingError,
        ) as error:
            raise PassingError(f"{url}: no whole answer ({type(error).__name__})") from None
        except requests.RequestException as error:
            raise ServiceError(f"{url}: cannot be asked ({type(error).__name__})") from None
        return _accepted(reply)

    def _session(self) -> requests.Session:
        """The connections of this process: a forked one would read the answers to its parent's questions."""
        here = os.getpid()
        if here not in self._sessions:
            self._sessions[here] = requests.Session()
        return self._sessions[here]


def body_of(job: Job) -> dict[str, Any]:
    """A job as the service's JSON; what is left to the service is left out."""
    asked = {"seq_len": job.seq_len, "model": job.model, "detector": job.detector, "pixels": job.pixels}
    conditions = {"conditions": null_for_nan(job.conditions)} if job.conditions else {"distribution": job.distribution}
    return {
        "n": job.n,
        "first": job.first,
        "seed": job.seed,
        "format": FORMAT,
        **conditions,
        **{name: value for name, value in asked.items() if value},
        **{name: value for name, value in vars(job.sampling).items() if value is not None},
        **({} if job.hardness is None else {"hardness": list(job.hardness)}),
    }


def sampling_s(timing: str) -> float:
    """What a header `Server-Timing` says of sampling, NaN where it says nothing.

    >>> sampling_s("sampling;dur=12.5")
    0.0125
    """
    found = re.search(r"sampling;dur=(\d+(?:\.\d+)?)", timing)
    return float(found[1]) / 1e3 if found else math.nan


def require_synthetic(provenance: object) -> None:
    """Raise `ServiceError` for numbers that do not say that they are generated: they may be a person's."""
    if provenance != PROVENANCE:
        raise ServiceError(f"`provenance == {PROVENANCE}` must hold, but got {provenance!r}; the reply is not used")


def _accepted(reply: requests.Response) -> requests.Response:
    """The reply where it is one.

    Raises:
        PassingError: a failure for now, or a quota that says when it is filled again.
        ServiceError: any other status.
    """
    if reply.status_code == requests.codes.ok:
        return reply
    said = f"{reply.status_code}: {_line_of(reply)}"
    wait_s = _named_s(reply.headers.get("Retry-After", ""))
    if reply.status_code in PASSING or (reply.status_code == requests.codes.too_many and wait_s > 0):
        raise PassingError(said, reply.status_code, wait_s)
    raise ServiceError(said, reply.status_code)


def _line_of(reply: requests.Response) -> str:
    """What the service says of a failure, or what stands between it and us."""
    if reply.is_redirect:
        return f"redirects to {reply.headers['Location']}; give the URL where it leads"
    try:
        said = str(reply.json()["error"]["message"])
    except (ValueError, KeyError, TypeError):
        said = f"{reply.reason or 'no reason'} (not in the words of the service)"
    return " ".join(said.split())[:LINE]


def _named_s(text: str) -> float:
    """The seconds of a header `Retry-After`; 0 for a date, which needs a clock that agrees."""
    return float(text) if re.fullmatch(r"\d{1,9}", text) else 0.0


def _require_whole(reply: requests.Response) -> None:
    named, found = reply.headers.get(BODY_HASH), hashlib.sha256(reply.content).hexdigest()
    if named != found:
        heard = f"{len(reply.content)} bytes with {found[:12]}"
        raise PassingError(f"`SHA-256 of a reply == {BODY_HASH}` must hold, but got {heard} for {str(named)[:12]}")


def _decoded(reply: requests.Response) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        return decode(reply.content, FORMAT)
    except FormatError as error:
        raise ServiceError(f"{error} ({reply.headers.get('Content-Type')} came)") from None
