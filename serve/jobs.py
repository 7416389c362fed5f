"""Records that cross between the processes of the service: a job, its result, and the errors in place of a result.

A job holds everything that decides the bytes of its response, so the same job gives the same bytes whatever it is
computed together with. The rows of a seed form one endless sequence: a job requests rows [first, first + n), and the
chunks of a large sample equal the whole, bit for bit. With `hardness`, rows are scanned from `first` on and the first n
whose score lies inside are kept; the next chunk starts after the last row that was kept.

Samples are canonical normalised deltas: displacements per step in units of the requested net displacement, which points
along +x. They are not the standardised values of a network.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serve.distributions import DISTRIBUTIONS, TRAINING
from trainables.core.config import require, require_member
from trainables.data.config import CONDITION_NAMES
from trainables.diffusion.sampling_config import SamplingChanges

ROWS_PER_SEED = 2**22  # conditions are sampled from row 0 on: that takes 30 ms for the last of so many rows
SEED_LIMIT = 2**53  # integers that JSON readers keep exactly
MAX_DURATION_S = 60.0  # of a requested movement, where the canonical form does not bound the duration
DEFAULT_SAMPLING = SamplingChanges()  # the settings that the model was evaluated with
MAX_DISTANCE_PX = 65536.0  # wider than any screen; pixels then fit their integers


@dataclass(frozen=True)
class Job:
    """Validated request for samples.

    Attributes:
        n: Number of movements.
        first: Number of the first row.
        seq_len: T, at most the trained length; 0: the trained length.
        seed: Seed of the noise, and of the conditions where they are sampled.
        conditions: Raw rows, columns as in `CONDITION_NAMES`, NaN for an unknown target width: one for all, or n;
            none: sampled from `distribution`.
        distribution: A name of `DISTRIBUTIONS`.
        source: Source of the recordings that samples are to be like; "": as the training movements whose conditions are
            drawn.
        sampling: Sampler settings that replace the model's own.
        hardness: Keep only rows whose detector score, the probability of a bot, lies inside [low, high].
        pixels: Whether to return the denormalised pixel steps as well.
        model: Id of a current or past champion; "": the current one.
        detector: Id of the detector for `hardness`; "": the current one.

    Raises:
        ConfigError: a field is out of bounds.
    """

    n: int
    first: int = 0
    seq_len: int = 0
    seed: int = 0
    conditions: tuple[tuple[float, ...], ...] = ()
    distribution: str = TRAINING
    source: str = ""
    sampling: SamplingChanges = DEFAULT_SAMPLING
    hardness: tuple[float, float] | None = None
    pixels: bool = False
    model: str = ""
    detector: str = ""

    def __post_init__(self) -> None:
        require(self.n >= 1, "`n >= 1`", f"n={self.n}")
        within = self.first >= 0 and self.first + self.n <= ROWS_PER_SEED
        got = f"first={self.first}, n={self.n}"
        require(within, f"`0 <= first` and `first + n <= {ROWS_PER_SEED}`", got, "continue with another seed")
        require(self.seq_len >= 0, "`seq_len >= 0`", f"seq_len={self.seq_len}")
        require(0 <= self.seed < SEED_LIMIT, "`0 <= seed < 2^53`", f"seed={self.seed}")
        require_member("distribution", self.distribution, DISTRIBUTIONS)
        require_conditions(self.conditions, self.n)
        if self.conditions:
            law = "no `distribution` together with `conditions`"
            require(self.distribution == TRAINING, law, f"distribution={self.distribution}")
        if self.hardness is not None:
            low, high = self.hardness
            require(0.0 <= low <= high <= 1.0, "`0 <= low <= high <= 1` for `hardness`", f"low={low}, high={high}")
            law = "at most one row of `conditions` together with `hardness`"
            require(len(self.conditions) <= 1, law, f"{len(self.conditions)} rows")

    @property
    def samples(self) -> int:
        """Samples that are made for its movements: one, or all candidates, of each."""
        return self.n * (self.sampling.candidates or 1)


def require_conditions(rows: tuple[tuple[float, ...], ...], n: int) -> None:
    """Raise `ConfigError` unless there are 0, 1 or n rows, each of the right width, finite and within bounds."""
    require(len(rows) in (0, 1, n), f"`conditions` to have 1 row or n={n} rows", f"{len(rows)} rows")
    for at, row in enumerate(rows):
        law = f"`columns == {len(CONDITION_NAMES)}` ({', '.join(CONDITION_NAMES)})"
        require(len(row) == len(CONDITION_NAMES), law, f"{len(row)} in row {at}", "an unknown target width is NaN")
        finite = all(math.isfinite(value) for value in row[:-1]) and not math.isinf(row[-1])
        require(finite, "finite `conditions` (only an unknown target width is NaN)", f"row {at}: {list(row)}")
        for name, limit in (("log_duration_s", MAX_DURATION_S), ("log_distance_px", MAX_DISTANCE_PX)):
            value = row[CONDITION_NAMES.index(name)]
            require(value <= math.log(limit), f"`{name} <= log({limit:g})`", f"{value:g} in row {at}")


@dataclass(frozen=True, eq=False)
class SampleResult:
    """Samples of a job as numpy arrays, which Ray transfers without a copy.

    Attributes:
        deltas: Canonical normalised deltas, zero after the last step.
        length: Valid steps of each row of `deltas`.
        condition: Raw conditions, columns as in `CONDITION_NAMES`; NaN: unknown target width.
        angle: Direction on the screen, radians.
        number: Row number in the sequence of the seed.
        score: The detector's probability of a bot, where `hardness` was requested.
        steps_px: Whole-pixel steps at 60 Hz, by `trainables.data.canonical.decode`, zero after a movement's end
            (its duration, a condition); where `pixels` was requested.
        model: Id of the champion that sampled.
        weights_sha256: SHA-256 of its weights.
        detector: Id of the detector that scored; "": no scores.
        seconds: Sampling time of the whole batch that the job was part of.
    """

    deltas: npt.NDArray[np.float32]
    length: npt.NDArray[np.int32]
    condition: npt.NDArray[np.float64]
    angle: npt.NDArray[np.float64]
    number: npt.NDArray[np.int64]
    model: str
    weights_sha256: str
    seconds: float
    score: npt.NDArray[np.float64] | None = None
    steps_px: npt.NDArray[np.int32] | None = None
    detector: str = ""


class ServeError(Exception):
    """Reason for a missing response, in one line.

    Attributes:
        status: HTTP status.
        retry_after_s: Seconds after which a retry makes sense; 0: a retry makes no sense.
    """

    status: int = 500
    retry_after_s: int = 0


class BadRequestError(ServeError):
    """A value is out of bounds; the line names the bound, the value and the remedy."""

    status = 422


class UnknownModelError(ServeError):
    """No champion or detector with this id was ever published."""

    status = 404


class NoDetectorError(ServeError):
    """A score is requested, and no detector is published."""

    status = 409


class ShortageError(ServeError):
    """Too few rows have a score inside the requested hardness."""

    status = 409


class NoChampionError(ServeError):
    """No champion is published yet."""

    status = 503
    retry_after_s = 5


class DamagedModelError(ServeError):
    """A published champion or detector cannot be loaded any more, or does not work; the others are still served."""

    status = 410


class QueueFullError(ServeError):
    """The request queue is full."""

    status = 503
    retry_after_s = 1


class TimedOutError(ServeError):
    """A request was not computed in time, or was cancelled by its client."""

    status = 504
