"""What is asked over HTTP and what is answered, as models: they check types, and the OpenAPI document is made of them.

A field that is not known, a text in place of a number or a number that is not finite is refused with the field's name;
laws that hang on the model or on the service's limits are checked behind it, in `serve.jobs` and `serve.api`. Of a list
the first wrong part alone is looked for (`fail_fast`): a body of many mistakes costs no more than one of one mistake.
"""

import difflib
import secrets
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import PydanticCustomError

from serve.distributions import DISTRIBUTIONS, TRAINING
from serve.jobs import ROWS_OF_A_SEED, SEEDS, Job
from trainables.data.config import CONDITION_NAMES
from trainables.data.recordings import Recording
from trainables.diffusion.samplers import SAMPLERS, SPACINGS
from trainables.diffusion.sampling import SamplingChanges

ID = "([0-9]{4,12}-[0-9a-f]{12})?"
BATCH_ID = "[0-9a-f]{32}"
GIVEN = "given"
FIELDS = 64  # of one object, more than any message has
FARTHEST = 1e15  # of a time or a position, from any origin: differences stay exact to a quarter
SHOWN = 60  # characters of a wrong value that a message repeats
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


def _one_of(known: Iterable[str], about: str) -> Any:
    return Field(None, description=about, json_schema_extra={"enum": [*known, None]})


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _few(cls, told: Any) -> Any:
        """Refuse what has so many fields that naming each one would take long."""
        if isinstance(told, Mapping) and len(told) > FIELDS:
            law = "`fields <= {most}` must hold, but got {got}"
            raise PydanticCustomError("many_fields", law, {"most": FIELDS, "got": len(told)})
        return told


WIDTH = {"minItems": len(CONDITION_NAMES), "maxItems": len(CONDITION_NAMES)}
Row = Annotated[list[float | None], Field(fail_fast=True, json_schema_extra=WIDTH)]


class SampleRequest(_Message):
    """Movements that are wanted. The same seed and request give the same bytes, whatever they are computed with."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"n": 16, "seed": 7},
                {"n": 2, "seed": 7, "format": "json", "pixels": True, "conditions": [CONDITION]},
                {"n": 256, "seq_len": 200, "steps": 20, "sampler": "dpmpp_2m", "distribution": "even_distance"},
            ]
        }
    )

    n: int = Field(ge=1, description="Number of movements.")
    first: int = Field(0, ge=0, lt=ROWS_OF_A_SEED, description="Number of the first one in the seed's endless sample.")
    seq_len: int = Field(0, ge=0, description="Steps T of the arrays; 0: as the model was trained.")
    seed: int | None = Field(None, ge=0, lt=SEEDS, description="Left out: a fresh one, told in the reply.")
    format: Literal["npy", "safetensors", "json"] = Field(
        "safetensors", description="Of the reply; see `serve.formats`."
    )
    conditions: list[Row] | None = Field(
        None,
        fail_fast=True,
        min_length=1,
        description=f"One row for all movements, or n: {', '.join(CONDITION_NAMES)}; natural logarithms, "
        "of the turning in radians plus 1. null: an unknown target width.",
        examples=[[CONDITION]],
    )
    distribution: str | None = _one_of(DISTRIBUTIONS, f"What conditions are drawn from; left out: {TRAINING}.")
    sampler: str | None = _one_of(SAMPLERS, "Left out, as all of the next ones: as the model was judged.")
    spacing: str | None = _one_of(SPACINGS, "Of the sampler's steps.")
    steps: int | None = Field(None, ge=1, description="Network calls per movement.")
    guidance: float | None = Field(None, description="Strength of the condition; 1: the conditional model.")
    eta: float | None = Field(None, ge=0, le=1, description="Share of fresh noise; with sampler=ddim alone.")
    inpaint: bool | None = Field(None, description="Hold the net displacement to the asked one at every step.")
    hardness: Annotated[list[float], Field(fail_fast=True, min_length=2, max_length=2)] | None = Field(
        None, description="Keep movements alone whose score by the published detector lies in [low, high]."
    )
    pixels: bool = Field(False, description="Also the de-normalised pixels per 60 Hz step; not with format=npy.")
    model: str = Field("", pattern=f"^{ID}$", description="Id of a champion, past or present; empty: the present one.")
    detector: str = Field(
        "", pattern=f"^{ID}$", description="Id of the detector of `hardness`; empty: the present one."
    )

    def settled(self) -> "SampleRequest":
        """The same with a seed."""
        return self if self.seed is not None else self.model_copy(update={"seed": secrets.randbelow(SEEDS)})

    def job(self) -> Job:
        """What is to be computed.

        Raises:
            ConfigError: a value breaks a law of `Job` or of the sampler.
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
            sampling=SamplingChanges(**changes),
            hardness=None if self.hardness is None else (self.hardness[0], self.hardness[1]),
            pixels=self.pixels,
            model=self.model,
            detector=self.detector,
        )

    @property
    def origin(self) -> str:
        """Where the conditions come from: "given", or the distribution's name."""
        return GIVEN if self.conditions else self.distribution or TRAINING


Number = Annotated[float, Field(ge=-FARTHEST, le=FARTHEST)]
Point = Annotated[list[Number], Field(fail_fast=True, min_length=3, max_length=3)]


class Movement(_Message):
    """One recorded movement."""

    points: list[Point] = Field(
        fail_fast=True,
        min_length=2,
        description="[t_ms, x_px, y_px] in order of time, from any origin.",
        examples=[MOVEMENT],
    )

    def recording(self, number: int) -> Recording:
        """As the readers of recordings give it.

        Raises:
            RecordingError: a time that decreases.
        """
        t_ms, x, y = np.array(self.points, dtype=np.float64).T
        return Recording(t_ms - t_ms[0], x, y, "http", "client", str(number))


class ScoreRequest(_Message):
    """Movements to be scored by the published detector."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"movements": [{"points": MOVEMENT}]}]})

    movements: list[Movement] = Field(fail_fast=True, min_length=1)

    def recordings(self) -> Sequence[Recording]:
        """The movements as recordings."""
        return [movement.recording(number) for number, movement in enumerate(self.movements)]


class ScoreReply(BaseModel):
    """One probability of a bot per movement; never the sole basis to block a person."""

    scores: list[float]


class ModelReply(BaseModel):
    """Who is served: the cards of champion and detector, and whether the last change of each failed."""

    model: dict[str, Any] | None
    swap: dict[str, Any]
    replicas: int
    detector: dict[str, Any] | None
    detector_swap: dict[str, Any]


class HealthReply(BaseModel):
    """Ready to serve; with a token also who is served and why a change of the model failed."""

    ready: bool
    model: str = ""
    error: str = ""


class Arrays(BaseModel):
    """The numbers of a reply; see `serve.jobs.Drawn`."""

    deltas: list[list[list[float]]] = Field(description="[n, T, C]")
    length: list[int]
    condition: list[list[float | None]] = Field(description="[n, 5]")
    angle: list[float]
    number: list[int]
    score: list[float] | None = None
    steps_px: list[list[list[int]]] | None = Field(None, description="[n, S, 2]")


class SampleReply(BaseModel):
    """A reply as JSON; the other formats carry the same."""

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


class Reason(BaseModel):
    """Why there is no reply."""

    status: int
    message: str


class ErrorReply(BaseModel):
    """The one shape of every error."""

    error: Reason


def one_line(errors: Sequence[Mapping[str, Any]], known: Iterable[str]) -> str:
    """What pydantic found, as one line: of three fields at most, the rest as a count.

    Args:
        known: Names of fields, for whoever misspelt one.
    """
    lines = [_line(error, known) for error in errors[:3]]
    return "; ".join(lines) + (f"; and {len(errors) - 3} more" if len(errors) > 3 else "")


def _line(error: Mapping[str, Any], known: Iterable[str]) -> str:
    field = ".".join(str(part) for part in error["loc"] if part != "body") or "body"
    value, context = error.get("input"), error.get("ctx", {})
    if error["type"] == "extra_forbidden":
        close = difflib.get_close_matches(str(error["loc"][-1]), known, n=1)
        return f"{field[:SHOWN]}: there is no such field" + (f"; did you mean `{close[0]}`?" if close else "")
    for bound, sign in (("ge", ">="), ("le", "<="), ("lt", "<")):
        if bound in context:
            return f"`{field} {sign} {context[bound]}` must hold, but got {field}={_cut(value)}"
    if error["type"] == "missing":
        return f"{field}: it is needed and was left out"
    shown = "" if isinstance(value, dict | list | bytes) else f", but got {_cut(value)}"
    return f"{field[:SHOWN]}: {error['msg'][:1].lower()}{error['msg'][1:]}{shown}"


def _cut(value: object) -> str:
    text = " ".join(repr(value).split())
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}…"
