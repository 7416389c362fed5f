"""What crosses between the processes of the service: a job, what was drawn for it, and what may go wrong instead.

A job holds everything that decides the bytes of its reply, so that the same job gives the same bytes whatever it is
computed together with. The rows of a seed are one endless sample: a job asks for those numbered [first, first + n), and
the chunks of a large sample are the whole, bit for bit. With `hardness` rows are looked through from `first` on, and
the first n of them whose score lies inside are kept; the next chunk then starts behind the last number that was kept.

The numbers drawn are canonical normalised deltas: displacements per step in units of the asked net displacement, which
points along +x. They are no standardised values of a network.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from serve.distributions import DISTRIBUTIONS, TRAINING
from trainables.core.config import require, require_member
from trainables.data.config import CONDITION_NAMES
from trainables.diffusion.sampling import SamplingChanges

ROWS_OF_A_SEED = 2**22  # conditions are drawn from the first row on: the last of so many waits 30 ms for that
SEEDS = 2**53  # whole numbers that JSON readers keep
LONGEST_S = 60.0  # of an asked movement, where the form bounds no duration
AS_JUDGED = SamplingChanges()
FARTHEST_PX = 65536.0  # wider than any screen; pixels then fit their integers


@dataclass(frozen=True)
class Job:
    """One request after its checks.

    Attributes:
        n: Number of movements.
        first: Number of the first one.
        seq_len: T; 0: the trained length.
        seed: Of the noise, and of the conditions where they are drawn.
        conditions: Raw rows, columns as in `CONDITION_NAMES`, NaN for an unknown target width: one for all, or n;
            none: drawn from `distribution`.
        distribution: A name of `DISTRIBUTIONS`.
        sampling: What is asked for in place of the model's own way from noise to a sample.
        hardness: Keep only rows whose detector score, the probability of a bot, lies inside [low, high].
        pixels: Whether the de-normalised pixel steps are made as well.
        model: Id of a champion, past or present; "": the present one.
        detector: Id of the detector of `hardness`; "": the present one.

    Raises:
        ConfigError: a value breaks the law of its field.
    """

    n: int
    first: int = 0
    seq_len: int = 0
    seed: int = 0
    conditions: tuple[tuple[float, ...], ...] = ()
    distribution: str = TRAINING
    sampling: SamplingChanges = AS_JUDGED
    hardness: tuple[float, float] | None = None
    pixels: bool = False
    model: str = ""
    detector: str = ""

    def __post_init__(self) -> None:
        require(self.n >= 1, "`n >= 1`", f"n={self.n}")
        within = self.first >= 0 and self.first + self.n <= ROWS_OF_A_SEED
        got = f"first={self.first}, n={self.n}"
        require(within, f"`0 <= first` and `first + n <= {ROWS_OF_A_SEED}`", got, "go on with another seed")
        require(self.seq_len >= 0, "`seq_len >= 0`", f"seq_len={self.seq_len}")
        require(0 <= self.seed < SEEDS, "`0 <= seed < 2^53`", f"seed={self.seed}")
        require_member("distribution", self.distribution, DISTRIBUTIONS)
        require_conditions(self.conditions, self.n)
        if self.conditions:
            law = "`distribution` is left out where `conditions` are given"
            require(self.distribution == TRAINING, law, f"distribution={self.distribution}")
        if self.hardness is not None:
            low, high = self.hardness
            require(0.0 <= low <= high <= 1.0, "`0 <= low <= high <= 1` of `hardness`", f"low={low}, high={high}")
            law = "`conditions` are one row for all, or drawn, with `hardness`"
            require(len(self.conditions) <= 1, law, f"{len(self.conditions)} rows")


def require_conditions(rows: tuple[tuple[float, ...], ...], n: int) -> None:
    """Raise `ConfigError` unless there is no row, one, or n, of the right width and of what fits on a screen."""
    require(len(rows) in (0, 1, n), f"`rows of conditions` is 1 or n={n}", str(len(rows)))
    for at, row in enumerate(rows):
        law = f"`columns == {len(CONDITION_NAMES)}` ({', '.join(CONDITION_NAMES)})"
        require(len(row) == len(CONDITION_NAMES), law, f"{len(row)} in row {at}", "an unknown target width is NaN")
        finite = all(math.isfinite(value) for value in row[:-1]) and not math.isinf(row[-1])
        require(finite, "`conditions are finite` (an unknown target width alone is NaN)", f"row {at}: {list(row)}")
        for name, limit in (("log_duration_s", LONGEST_S), ("log_distance_px", FARTHEST_PX)):
            value = row[CONDITION_NAMES.index(name)]
            require(value <= math.log(limit), f"`{name} <= log({limit:g})`", f"{value:g} in row {at}")


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn for a job, as numpy arrays, which Ray moves without a copy.

    Attributes:
        deltas: Canonical normalised deltas, zero after the last step.
        length: Valid steps of each row of `deltas`.
        condition: Raw, columns as in `CONDITION_NAMES`; NaN: unknown target width.
        angle: Direction on the screen, radians.
        number: Of each row in the endless sample of the seed.
        score: The detector's probability of a bot, where `hardness` was asked for.
        steps_px: Whole-pixel steps at 60 Hz, by `trainables.data.canonical.decode`, zero after a movement's end
            (its duration, a condition); where `pixels` was asked for.
        model: Id of the champion that was asked.
        weights_sha256: Of its weights.
        detector: Id of the detector that scored; "": none did.
        seconds: Of sampling, for everything that was computed together with the job.
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
    """Why there is no reply, in one line.

    Attributes:
        status: Of HTTP.
        retry_after_s: After which asking again makes sense; 0: it makes none.
    """

    status: int = 500
    retry_after_s: int = 0


class BadRequestError(ServeError):
    """A value breaks its law; the line names law, value and remedy."""

    status = 422


class UnknownModelError(ServeError):
    """No champion or detector of this id was ever published."""

    status = 404


class NoDetectorError(ServeError):
    """A score is asked for, and no detector is published."""

    status = 409


class ShortageError(ServeError):
    """Too few rows have a score inside the asked hardness."""

    status = 409


class NoChampionError(ServeError):
    """There is no champion to serve yet."""

    status = 503
    retry_after_s = 5


class DamagedModelError(ServeError):
    """A champion or detector that was published cannot be loaded any more, or does not work; the others are served."""

    status = 410


class QueueFullError(ServeError):
    """As many requests wait as may."""

    status = 503
    retry_after_s = 1


class TimedOutError(ServeError):
    """A request was not computed in time, or nobody waits for it any more."""

    status = 504
