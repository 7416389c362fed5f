"""Third-party bots and users of other sources: evaluation data of a detector that are never trained on.

A file of bots is Parquet, a row per movement: `style, trajectory_id`, and lists `t_ms, x, y` (milliseconds, pixels).
Rows of one `trajectory_id` move between the same two points, whatever the style; the pair is their group. Everything
passes the observation model of the recordings, and movements that the canonical form cannot represent are counted by
style and reason.

A style's family is the mechanism that its authors name, or the style itself where they name none or their own. Related
families are those of our scripted bots with that mechanism: a detector that was trained on these knows the mechanism.
Styles that replay recordings of users are marked, since they are the hardest bots for a detector of movements.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical
from trainables.data.config import CanonicalConfig
from trainables.data.readers.files import file_of
from trainables.data.readers.recordings import Recording, RecordingError, read_recordings
from trainables.data.readers.rows import error_at, require_columns
from trainables.data.splits.parts import observe_recordings
from trainables.eval.generation.movement_reader import canonicalise

COLUMNS = ("style", "trajectory_id", "t_ms", "x", "y")
BEZIER = "bezier"  # family of styles that follow one Bézier curve from start to end


@dataclass(frozen=True)
class StyleOrigin:
    """Family of a third-party style.

    Attributes:
        related: Families of scripted bots with the same mechanism.
        replays: Whether the style replays recordings of users.
    """

    family: str
    related: tuple[str, ...] = ()
    replays: bool = False


ORIGINS: dict[str, StyleOrigin] = {
    "pyclick": StyleOrigin(BEZIER, ("spline",)),
    "humancursor": StyleOrigin(BEZIER, ("spline",)),
    "cursor_humanizer": StyleOrigin(BEZIER, ("spline",)),
    "ghost_cursor": StyleOrigin("ghost_cursor", ("spline",)),  # Bézier curves of its own timing, with overshoots
    "human_mouse": StyleOrigin("human_mouse", ("spline",)),  # Bézier curves and splines
    "oxymouse_bezier": StyleOrigin("oxymouse_bezier", ("spline",)),
    "oxymouse_gaussian": StyleOrigin("oxymouse_gaussian", ("noise",)),  # a smoothed random walk
    "oxymouse_perlin": StyleOrigin("oxymouse_perlin", ("noise",)),
    "humanmovemouse": StyleOrigin("humanmovemouse", ("minimum_jerk",)),  # minimum jerk with measured statistics
    "nothingtoseehere": StyleOrigin(
        "nothingtoseehere", ("minimum_jerk",)
    ),  # minimum jerk, signal-dependent noise, tremor
    "mousehumanizer": StyleOrigin("mousehumanizer"),
    "cursory_gen": StyleOrigin("cursory", ("replay",), replays=True),  # the nearest recording, morphed and jittered
}
RELATED_FAMILIES: dict[str, tuple[str, ...]] = {origin.family: origin.related for origin in ORIGINS.values()}
REPLAYS: tuple[str, ...] = tuple(origin.family for origin in ORIGINS.values() if origin.replays)


@dataclass(frozen=True, eq=False)
class BotRecordings:
    """Recordings of bots with the style of each."""

    recordings: tuple[Recording, ...]
    style: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ThirdPartyBots:
    """Third-party bots in canonical form.

    Attributes:
        rows: Row numbers of the recordings in canonical form.
        dropped: Style -> reason -> number of movements that the form cannot represent.
    """

    canonical: Canonical
    style: tuple[str, ...]
    rows: tuple[int, ...]
    dropped: Mapping[str, Mapping[str, int]]

    @property
    def family(self) -> tuple[str, ...]:
        """Family of each movement."""
        return tuple(ORIGINS[style].family for style in self.style)


@dataclass(frozen=True, eq=False)
class ExternalUsers:
    """Users of another source in canonical form.

    Attributes:
        dropped: Reason -> number of movements left out: of users in the training or validation split, or that the form
            cannot represent.
    """

    canonical: Canonical
    dropped: Mapping[str, int]


def read_bots(path: Path) -> BotRecordings:
    """Read the recordings of a file of bots.

    Raises:
        RecordingError: An unreadable file, a missing column, a list that is no movement (with its row), or an unknown
            style.
    """
    table = _table(file_of(path).path)
    recordings = tuple(_recordings(path, table))
    style = tuple(recording.source for recording in recordings)
    unknown = sorted(set(style) - set(ORIGINS))
    if unknown:
        raise RecordingError(f"{path}: unknown style {', '.join(unknown)}; add its family to `ORIGINS`")
    return BotRecordings(recordings, style)


def canonical_bots(bots: BotRecordings, form: CanonicalConfig) -> ThirdPartyBots:
    """Return the bots that the form can represent, and the number of others by style and reason.

    Raises:
        ConfigError: The form can represent none.
    """
    observed = canonicalise(observe_recordings(bots.recordings), form)
    if not len(observed):
        got = f"0 of {len(bots.style)}: {dict(observed.dropped)}"
        raise ConfigError(f"expected `bots with a canonical form >= 1`, but got {got}; give other recordings")
    dropped = {}
    for style in sorted(set(bots.style)):
        own = [r for r, name in zip(bots.recordings, bots.style, strict=True) if name == style]
        dropped[style] = canonicalise(observe_recordings(own), form).dropped
    rows = tuple(observed.rows.tolist())
    return ThirdPartyBots(observed.canonical, tuple(bots.style[row] for row in rows), rows, dropped)


def read_users(path: Path, form: CanonicalConfig, known: Collection[str]) -> dict[str, ExternalUsers]:
    """Read the users of a table of recordings who are not in `known`, by their source.

    Args:
        known: Users of the training and the validation split. A user has one name in all sources.

    Raises:
        RecordingError: The table cannot be read.
        ConfigError: A source has no other user.
    """
    by_source: dict[str, list[Recording]] = {}
    for recording in read_recordings("table", path).recordings:
        by_source.setdefault(recording.source, []).append(recording)
    return {source: _unseen_users(source, chosen, form, known) for source, chosen in sorted(by_source.items())}


def _unseen_users(
    source: str, recordings: Sequence[Recording], form: CanonicalConfig, known: Collection[str]
) -> ExternalUsers:
    unseen = [recording for recording in recordings if recording.user not in known]
    observed = canonicalise(observe_recordings(unseen), form) if unseen else None
    if observed is None or not len(observed):
        law = f"users of {source} outside of the training and validation splits"
        raise ConfigError(f"expected {law}, but got none; evaluate on another source")
    known_users = {"of users of the training or validation split": len(recordings) - len(unseen)}
    return ExternalUsers(observed.canonical, dict(Counter(observed.dropped) + Counter(known_users)))


def _table(path: Path) -> pa.Table:
    try:
        require_columns(path, pq.read_schema(path).names, COLUMNS)
        return pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise RecordingError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def _recordings(path: Path, table: pa.Table) -> Iterator[Recording]:
    """Yield one recording per row: its source is the style, its user the pair of points of the movement."""
    for number, row in enumerate(table.to_pylist(), start=1):
        try:
            t_ms, x, y = (np.array(row[name], dtype=np.float64) for name in ("t_ms", "x", "y"))
            pair = f"pair {row['trajectory_id']}"
            yield Recording(t_ms - t_ms[:1].sum(), x, y, row["style"], pair, pair)
        except (RecordingError, TypeError, ValueError) as error:
            raise error_at(path, number, str(error)) from None
