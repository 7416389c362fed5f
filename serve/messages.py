"""Pydantic schemas of requests and responses: they check types, and the OpenAPI document is generated from them.

An unknown field, a string in place of a number or a number that is not finite is refused with the name of the field.
Bounds that depend on the model or on the service's limits are checked later, in `serve.jobs` and `serve.api`.
Validation of a list stops at the first wrong item (`fail_fast`): many errors in a body cost no more than one.
"""

import difflib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from serve.distributions import DISTRIBUTIONS, TRAINING
from serve.jobs import ROWS_PER_SEED, SEED_LIMIT, Job
from trainables.data.config import CONDITION_NAMES
from trainables.data.readers.recordings import Recording
from trainables.diffusion.samplers import SAMPLERS, SPACINGS
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.generation.selection.config import MAX_CANDIDATES

ID = "([0-9]{4,12}-[0-9a-f]{12})?"
BATCH_ID = "[0-9a-f]{32}"
GIVEN = "given"
MAX_FIELDS = 64  # of one object, more than any schema has
MAX_COORDINATE = 1e15  # of a time or a position, from any origin: differences stay exact to a quarter
MAX_SOURCE = 200  # characters of the name of a source
MAX_SHOWN = 60  # characters of a wrong value that a message repeats
MOVEMENT: list[JsonValue] = [
    [0, 100, 100],
    [16, 104, 101],
    [33, 131, 108],
    [50, 178, 121],
    [66, 219, 133],
    [83, 236, 139],
    [100, 240, 140],
]
CONDITION: list[JsonValue] = [-0.69, 5.99, 0.05, 0.8, None]


def _one_of(known: Iterable[str], description: str) -> Any:
    return Field(None, description=description, json_schema_extra={"enum": [*known, None]})


class _RequestModel(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _bound_fields(cls, body: Any) -> Any:
        """Refuse a body with so many fields that naming each one would take long."""
        if isinstance(body, Mapping) and len(body) > MAX_FIELDS:
            message = "expected `fields <= {most}`, but got {got}"
            raise PydanticCustomError("many_fields", message, {"most": MAX_FIELDS, "got": len(body)})
        return body


WIDTH = {"minItems": len(CONDITION_NAMES), "maxItems": len(CONDITION_NAMES)}
Row = Annotated[list[float | None], Field(fail_fast=True, json_schema_extra=WIDTH)]


class SampleRequest(_RequestModel):
    """Request for movements. The same seed and request give the same bytes, whatever the load of the service."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"n": 16, "seed": 7},
                {"n": 2, "seed": 7, "format": "json", "pixels": True, "conditions": [CONDITION]},
                {"n": 256, "seq_len": 60, "steps": 20, "sampler": "dpmpp_2m", "distribution": "even_distance"},
            ]
        }
    )

    n: int = Field(ge=1, description="Number of movements.")
    first: int = Field(
        0, ge=0, lt=ROWS_PER_SEED, description="Number of the first row in the endless sequence of the seed."
    )
    seq_len: int = Field(
        0, ge=0, description="Steps T of the arrays, at most the trained length; 0: the trained length."
    )
    seed: int | None = Field(
        None, ge=0, lt=SEED_LIMIT, description="Default: a random seed, returned with the response."
    )
    format: Literal["npy", "safetensors", "json"] = Field(
        "safetensors", description="Format of the response body; npy holds the deltas alone."
    )
    conditions: list[Row] | None = Field(
        None,
        fail_fast=True,
        min_length=1,
        description=f"One row for all movements, or n rows: {', '.join(CONDITION_NAMES)}; natural logarithms, "
        "for the turning that of 1 plus radians. null: an unknown target width.",
        examples=[[CONDITION]],
    )
    distribution: str | None = _one_of(DISTRIBUTIONS, f"Distribution to sample conditions from; default: {TRAINING}.")
    source: str | None = Field(
        None,
        min_length=1,
        max_length=MAX_SOURCE,
        description="Source of the recordings that movements are to be like, one of the model card's `sources`; "
        "default: as the training movements whose conditions are drawn.",
    )
    sampler: str | None = _one_of(SAMPLERS, "Default, as for the next fields: the setting of the model's evaluation.")
    spacing: str | None = _one_of(SPACINGS, "Spacing of the sampler's time steps.")
    steps: int | None = Field(None, ge=1, description="Network calls per movement.")
    guidance: float | None = Field(None, description="Classifier-free guidance weight; 1: the plain conditional model.")
    eta: float | None = Field(None, ge=0, le=1, description="Share of fresh noise; for sampler=ddim only.")
    inpaint: bool | None = Field(None, description="Fix the net displacement to the requested one at every step.")
    align: bool | None = Field(None, description="Turn and scale each movement onto the requested net displacement.")
    candidates: int | None = Field(
        None,
        ge=1,
        le=MAX_CANDIDATES,
        description="Samples per movement, of which the champion's selector draws one; `n x candidates` counts.",
    )
    hardness: Annotated[list[float], Field(fail_fast=True, min_length=2, max_length=2)] | None = Field(
        None, description="Keep only movements whose score by the published detector lies in [low, high]."
    )
    pixels: bool = Field(False, description="Also return whole-pixel steps at 60 Hz; not with format=npy.")
    model: str = Field(
        "", pattern=f"^{ID}$", description="Id of a current or past champion; empty: the current champion."
    )
    detector: str = Field(
        "", pattern=f"^{ID}$", description="Id of the detector for `hardness`; empty: the current detector."
    )

    def with_seed(self) -> "SampleRequest":
        """Return the same request with a seed, a random one where none is given."""
        return self if self.seed is not None else self.model_copy(update={"seed": secrets.randbelow(SEED_LIMIT)})

    def job(self) -> Job:
        """Return the job of this request.

        Raises:
            ConfigError: a value violates a bound of `Job` or of the sampler.
        """
        unknown = float("nan")
        rows = tuple(tuple(unknown if v is None else v for v in row) for row in self.conditions or ())
        changes = {name: getattr(self, name) for name in SamplingChanges.__dataclass_fields__}
        return Job(
            n=self.n,
            first=self.first,
            seq_len=self.seq_len,
            seed=self.seed or 0,
            conditions=rows,
            distribution=self.distribution or TRAINING,
            source=self.source or "",
            sampling=SamplingChanges(**changes),
            hardness=None if self.hardness is None else (self.hardness[0], self.hardness[1]),
            pixels=self.pixels,
            model=self.model,
            detector=self.detector,
        )

    @property
    def conditions_source(self) -> str:
        """Source of the conditions: "given", or the name of the distribution."""
        return GIVEN if self.conditions else self.distribution or TRAINING


Number = Annotated[float, Field(ge=-MAX_COORDINATE, le=MAX_COORDINATE)]
Point = Annotated[list[Number], Field(fail_fast=True, min_length=3, max_length=3)]


class Movement(_RequestModel):
    """One recorded movement."""

    points: list[Point] = Field(
        fail_fast=True,
        min_length=2,
        description="[t_ms, x_px, y_px] in order of time, from any origin.",
        examples=[MOVEMENT],
    )

    def recording(self, number: int) -> Recording:
        """Return the movement as a recording, with time from 0.

        Raises:
            RecordingError: the times decrease.
        """
        t_ms, x, y = np.array(self.points, dtype=np.float64).T
        return Recording(t_ms - t_ms[0], x, y, "http", "client", str(number))


class ScoreRequest(_RequestModel):
    """Movements to be scored by the published detector."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"movements": [{"points": MOVEMENT}]}]})

    movements: list[Movement] = Field(fail_fast=True, min_length=1)

    def recordings(self) -> Sequence[Recording]:
        """Return the movements as recordings."""
        return [movement.recording(number) for number, movement in enumerate(self.movements)]


class ScoreResponse(BaseModel):
    """Probability of a bot for each movement; never the sole basis to block a user."""

    scores: list[float]


class ModelResponse(BaseModel):
    """Model cards of champion and detector, and whether the last swap of each failed."""

    model: dict[str, Any] | None
    swap: dict[str, Any]
    replicas: int
    detector: dict[str, Any] | None
    detector_swap: dict[str, Any]


class HealthResponse(BaseModel):
    """Readiness; with a token also the id of the model and the error of a failed swap."""

    ready: bool
    model: str = ""
    error: str = ""


class Arrays(BaseModel):
    """Arrays of a response; see `serve.jobs.SampleResult`."""

    deltas: list[list[list[float]]] = Field(description="[n, T, C]")
    length: list[int]
    condition: list[list[float | None]] = Field(description="[n, 5]")
    angle: list[float]
    number: list[int]
    score: list[float] | None = None
    steps_px: list[list[list[int]]] | None = Field(None, description="[n, S, 2]")


class SampleResponse(BaseModel):
    """Samples and their metadata as JSON; safetensors carries the same."""

    provenance: Literal["synthetic"]
    model: str
    weights_sha256: str
    detector: str
    batch_id: str
    seed: int
    first: int
    n: int
    seq_len: int
    channels: int
    rate_hz: float
    conditions: str
    conditions_sha256: str
    condition_names: list[str]
    unit: str
    pixels: str
    arrays: Arrays


class ErrorDetail(BaseModel):
    """HTTP status and message of an error."""

    status: int
    message: str


class ErrorResponse(BaseModel):
    """Body of every error."""

    error: ErrorDetail


def one_line(errors: Sequence[Mapping[str, Any]], known: Iterable[str]) -> str:
    """Return pydantic's errors as one line: at most three of them, the rest as a count.

    Args:
        known: Names of fields, to suggest one for an unknown name.
    """
    lines = [_line(error, known) for error in errors[:3]]
    return "; ".join(lines) + (f"; and {len(errors) - 3} more" if len(errors) > 3 else "")


def _line(error: Mapping[str, Any], known: Iterable[str]) -> str:
    field = ".".join(str(part) for part in error["loc"] if part != "body") or "body"
    value, context = error.get("input"), error.get("ctx", {})
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return f"{field[:MAX_SHOWN]}: unknown field" + (f"; did you mean `{close[0]}`?" if close else "")
    for bound, sign in (("ge", ">="), ("le", "<="), ("lt", "<")):
        if bound in context:
            return f"expected `{field} {sign} {context[bound]}`, but got {field}={_cut(value)}"
    if error["type"] == "missing":
        return f"{field}: required field is missing"
    shown = "" if isinstance(value, dict | list | bytes) else f", but got {_cut(value)}"
    return f"{field[:MAX_SHOWN]}: {error['msg'][:1].lower()}{error['msg'][1:]}{shown}"


def _cut(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
