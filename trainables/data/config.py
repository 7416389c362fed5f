"""Configuration of the data: which recordings, in which form, varied how; imports no torch, so that `--help` is fast.

The names of choices stand here; a test compares them with the dicts of functions that the choices name.
"""

import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from trainables.core.bounds import Choice, Distinct, PositiveFloat, PositiveInt, Range, Share, check
from trainables.core.config import require

SOURCE_NAMES = (  # the keys of `trainables.data.readers.recordings.READERS`
    "cursory",
    "balabit",
    "sapimouse",
    "table",
    "page",
    "events",
    "mousetracker",
    "mousetrap",
    "jspsych",
)
TIME_UNIT_NAMES = ("ms", "s", "us", "ns")  # the keys of `trainables.data.readers.times.MS_PER_UNIT`
FRAME_NAMES = ("chord", "quarter_turn")  # the keys of `trainables.data.frames.FRAMES`
DEFAULT_SOURCE = SOURCE_NAMES[0]
SPLITS = ("train", "validation", "test", "holdout")
EVALUATION_SPLITS = SPLITS[1:]  # all but the training split
UNSEEN_USERS = "test+holdout"  # both together: every user on whom no trial of a search is evaluated
FOLD_SPLITS = SPLITS[:2]  # those of a fold: its users are the validation split, those of the other folds are trained on
MINIMUM_STEPS = 8  # a third difference and five spectral bands need as many
RATE_HZ = 60.0  # of the observation
PART = 8192  # movements that are in memory at a time, of a data set that may have millions
MEASURED_CONDITIONS = ("log_duration_s", "log_distance_px", "log_path_ratio", "log1p_turning_rad")
CONDITION_NAMES = (*MEASURED_CONDITIONS, "log_target_width_px")  # the last is no part of the movement: NaN if unknown
# Of a network's condition without the columns of sources: the last column is whether a width is known.
CONDITION_WIDTH = len(CONDITION_NAMES) + 1


@dataclass(frozen=True)
class Form:
    """Shape of a sequence in one representation.

    Attributes:
        channels: C of the sequence: two of displacement, in `events` a third of time.
        bounded: Whether T bounds the duration.
        padded: Whether the mask follows from the duration; else every step is valid.
    """

    channels: int
    bounded: bool
    padded: bool


FORMS: Mapping[str, Form] = {  # the keys of `trainables.data.representation.REPRESENTATIONS`
    "fixed_dt": Form(2, bounded=True, padded=True),
    "normalised_time": Form(2, bounded=False, padded=False),
    "events": Form(3, bounded=True, padded=False),
}


@dataclass(frozen=True)
class CanonicalConfig:
    """Canonical form of movements, and its number of steps."""

    # canonical form of a movement; fixed_dt: native 60 Hz steps, no interpolation pattern for a generator to imitate
    representation: Annotated[str, Choice(FORMS)] = "fixed_dt"
    # T, steps of a sequence; 1.07 s at 60 Hz, which 88 % of the default recordings do not exceed
    sequence_length: Annotated[int, Range(ge=MINIMUM_STEPS)] = 64

    def __post_init__(self) -> None:
        check(self)

    @property
    def form(self) -> Form:
        """The shape of its sequences."""
        return FORMS[self.representation]

    @property
    def longest(self) -> int:
        """Most 60 Hz steps of a movement: T, or any number where T does not bound the duration."""
        return self.sequence_length if self.form.bounded else sys.maxsize


@dataclass(frozen=True)
class SourceConfig:
    """One of several sources of recordings."""

    reader: Annotated[str, Choice(SOURCE_NAMES)] = "table"  # what reads them
    path: str | None = None  # file, folder, zip or glob of the recordings, for every reader but the embedded one
    name: str | None = None  # of the source of all its recordings; null: the names that the recordings have
    time_unit: Annotated[str, Choice(TIME_UNIT_NAMES)] = "ms"  # of the times in tables and event logs; never guessed

    def __post_init__(self) -> None:
        check(self)
        require(self.name != "", "`name` with at least one letter", "name=''", "leave it out")

    @property
    def label(self) -> str:
        """What it is called where no recording has been read."""
        return self.name or (Path(self.path).stem if self.path else self.reader)


@dataclass(frozen=True)
class Fold:
    """One of `count` folds of users, by its number from 1."""

    number: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Fold":
        """Return the fold of a text; raises ConfigError.

        >>> Fold.parse("2/5")
        Fold(number=2, count=5)
        """
        parts = re.fullmatch(r"(\d{1,4})/(\d{1,4})", text)
        number, count = (int(parts[1]), int(parts[2])) if parts else (0, 0)
        law, remedy = "`fold` to be k/K with 1 <= k <= K and K >= 2", "write 1/5 for the first of five folds"
        require(1 <= number <= count and count >= 2, law, f"fold={text}", remedy)
        return cls(number, count)

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"


@dataclass(frozen=True)
class DataConfig:
    """Recordings to read, and their canonical form."""

    # who recorded the movements; the default is embedded in the installation, the others read `path`
    source: Annotated[str, Choice(SOURCE_NAMES)] = DEFAULT_SOURCE
    path: str | None = None  # file, folder, zip or glob of the recordings, for every source but the embedded one
    canonical: CanonicalConfig = field(default_factory=CanonicalConfig)
    # scale of the companding of steps; well under a pixel: steps of 0 and 1 then lie as far apart as those of 1 and 8
    companding_px: PositiveFloat = 0.25
    # which way generators see movements turned: their chord along +x, or by multiples of 90 degrees only, which keeps
    # the pixel grid, with the rest of the direction as a condition; features and detectors always take the chord
    frame: Annotated[str, Choice(FRAME_NAMES)] = "chord"
    # most movements of a user in validation, test and holdout; a user with 93 of them would outweigh a dozen others
    rows_per_user: PositiveInt = 12
    # several sources in place of `source` and `path`, as [{reader:table,path:one.parquet,name:one},{reader:cursory}]
    sources: Annotated[tuple[SourceConfig, ...], Distinct()] = ()
    # one of K folds of the users outside of the holdout split, as 1/5: they are the validation split, all others are
    # trained on, and there is no other split; null: the four splits by hash
    fold: str | None = None
    # sources of the recordings, or laboratories, whose recordings are left out of every split
    leave_out: Annotated[tuple[str, ...], Distinct()] = ()
    # users whose recordings are left out of every split; no other user changes the split
    leave_out_users: Annotated[tuple[str, ...], Distinct()] = ()
    time_unit: Annotated[str, Choice(TIME_UNIT_NAMES)] = "ms"  # of the times in tables and event logs; never guessed

    def __post_init__(self) -> None:
        check(self)
        if self.fold is not None:
            Fold.parse(self.fold)
        alone = not self.sources or (self.source, self.path) == (DEFAULT_SOURCE, None)
        got = f"source={self.source}, path={self.path} and {len(self.sources)} sources"
        require(alone, "`source` and `path`, or `sources`", got, "leave one of them out")
        names = [source.name for source in self.sources if source.name]
        twice = sorted(name for name, count in Counter(names).items() if count > 1)
        require(not twice, "each `name` of `sources` once", f"{', '.join(twice)} twice", "give each another name")

    @property
    def paths(self) -> list[Path]:
        """What is read."""
        paths = [source.path for source in self.sources] if self.sources else [self.path]
        return [Path(path) for path in paths if path]

    @property
    def label(self) -> str:
        """What the recordings are called where none has been read."""
        return ", ".join(source.label for source in self.sources) or self.source


@dataclass(frozen=True)
class Crop:
    """Cut up to `strength` of the steps off at each end."""

    probability: Share = 0.0  # share of the movements that it is applied to; 0 switches it off
    strength: Annotated[float, Range(ge=0, le=0.4)] = 0.1  # largest share of the steps cut off at each end

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class TimeStretch:
    """Keep the path and make the duration longer or shorter by up to `strength` of it."""

    probability: Share = 0.25  # share of the movements that it is applied to; 0 switches it off
    strength: Annotated[float, Range(ge=0, le=0.5)] = 0.1  # largest change of the duration, relative to it

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class TimeWarp:
    """Keep path and duration and make the pace locally faster or slower by up to `strength`."""

    probability: Share = 0.5  # share of the movements that it is applied to; 0 switches it off
    strength: Annotated[float, Range(ge=0, le=0.5)] = 0.1  # largest local change of the pace, relative to it

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class GoalShift:
    """Turn and scale the whole movement, so that its end moves by up to `strength` of the distance."""

    probability: Share = 0.5  # share of the movements that it is applied to; 0 switches it off
    strength: Annotated[float, Range(ge=0, le=0.3)] = 0.05  # largest shift of the end, relative to the distance

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Mirror:
    """Mirror the movement: (dx, -dy)."""

    probability: Share = 0.5  # share of the movements that are mirrored; 0 switches it off

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class QuarterTurn:
    """Turn the movement by 90 degrees: (-dy, dx)."""

    # share of the movements that are turned; nothing changes in the frame `chord`, and in `quarter_turn` the column of
    # the condition alone that tells horizontal movements from vertical ones; 0 switches it off
    probability: Share = 0.0

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class Jitter:
    """Move a share of `strength` of the fast points by one pixel."""

    probability: Share = 0.5  # share of the movements that it is applied to; 0 switches it off
    strength: Share = 0.1  # share of the fast points that are moved by one pixel

    def __post_init__(self) -> None:
        check(self)


Variation = Crop | TimeStretch | TimeWarp | GoalShift | Mirror | QuarterTurn | Jitter
"""How often one augmentation is applied, and how strongly; applied by `trainables.data.augment`."""


@dataclass(frozen=True)
class VariationsConfig:
    """Augmentation of recorded movements: probability and strength of each variation.

    Beside each the C2ST of all movements varied against themselves as recorded (degree-2 probe, 0.5 is no difference);
    a whole pass at these defaults reads 0.508. Crop, mirror and quarter turn keep every step, up to quarter turns and
    mirrors; the others make new ones, in whole pixels.
    """

    crop: Crop = field(default_factory=Crop)  # 0.538, so off: what remains begins and ends with less rest
    stretch: TimeStretch = field(default_factory=TimeStretch)  # 0.526, so a quarter of the rows
    warp: TimeWarp = field(default_factory=TimeWarp)  # 0.515
    goal: GoalShift = field(default_factory=GoalShift)  # 0.502
    mirror: Mirror = field(default_factory=Mirror)  # 0.500, exactly: no feature knows left from right
    quarter_turn: QuarterTurn = field(default_factory=QuarterTurn)  # off: the features are taken along the chord
    jitter: Jitter = field(default_factory=Jitter)  # 0.510

    def active(self) -> Mapping[str, Variation]:
        """Return the variations with a probability above 0, in the order in which they are applied."""
        chosen: dict[str, Variation] = dict(vars(self))
        return {name: variation for name, variation in chosen.items() if variation.probability > 0}
