"""Bots that other people published, and people of other sources: what a detector is judged on and never trained on.

A file of bots is Parquet, a row per movement: `style, trajectory_id`, and lists `t_ms, x, y` (milliseconds, pixels).
Rows of one `trajectory_id` move between the same two points, whatever the style; the pair is their group. Everything
passes the observation model of the recordings, and what the canonical form cannot hold is counted by style and reason.

A style's family is the mechanism that its authors name, or the style itself where they name none or their own. Its kin
are families of our simple bots with that mechanism: a detector that was trained on these has met the like. Styles that
play back recordings of people are marked, since they are as far as a detector of movements can be asked to go.
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
from trainables.data.dataset import observe_recordings
from trainables.data.recordings import Recording, RecordingError, read_recordings
from trainables.data.rows import error_at, existing, require_columns
from trainables.eval.generation.movement_reader import judged

COLUMNS = ("style", "trajectory_id", "t_ms", "x", "y")
BEZIER = "bezier"  # the family of those who draw one Bézier curve from start to end


@dataclass(frozen=True)
class Origin:
    """Where a style belongs.

    Attributes:
        kin: Families of simple bots with the same mechanism.
        replays: Whether it plays back recordings of people.
    """

    family: str
    kin: tuple[str, ...] = ()
    replays: bool = False


ORIGINS: dict[str, Origin] = {
    "pyclick": Origin(BEZIER, ("spline",)),
    "humancursor": Origin(BEZIER, ("spline",)),
    "cursor_humanizer": Origin(BEZIER, ("spline",)),
    "ghost_cursor": Origin("ghost_cursor", ("spline",)),  # Bézier curves of its own timing, with overshoots
    "human_mouse": Origin("human_mouse", ("spline",)),  # Bézier curves and splines
    "oxymouse_bezier": Origin("oxymouse_bezier", ("spline",)),
    "oxymouse_gaussian": Origin("oxymouse_gaussian", ("noise",)),  # a smoothed random walk
    "oxymouse_perlin": Origin("oxymouse_perlin", ("noise",)),
    "humanmovemouse": Origin("humanmovemouse", ("minimum_jerk",)),  # minimum jerk with measured statistics
    "nothingtoseehere": Origin("nothingtoseehere", ("minimum_jerk",)),  # minimum jerk, signal-dependent noise, tremor
    "mousehumanizer": Origin("mousehumanizer"),
    "cursory_gen": Origin("cursory", ("replay",), replays=True),  # the nearest recording, morphed and jittered
}
KIN_FAMILIES: dict[str, tuple[str, ...]] = {origin.family: origin.kin for origin in ORIGINS.values()}
REPLAYS: tuple[str, ...] = tuple(origin.family for origin in ORIGINS.values() if origin.replays)


@dataclass(frozen=True, eq=False)
class BotRecordings:
    """Recordings of bots and the style of each."""

    recordings: tuple[Recording, ...]
    style: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class OthersBots:
    """Bots of others in canonical form.

    Attributes:
        rows: Of the recordings that they are.
        dropped: Style -> reason -> movements that the form cannot hold.
    """

    canonical: Canonical
    style: tuple[str, ...]
    rows: tuple[int, ...]
    dropped: Mapping[str, Mapping[str, int]]

    @property
    def family(self) -> tuple[str, ...]:
        """Of each movement."""
        return tuple(ORIGINS[style].family for style in self.style)


@dataclass(frozen=True, eq=False)
class OthersPeople:
    """People of another source in canonical form.

    Attributes:
        dropped: Reason -> movements left out: of people whom the detector knows, or that the form cannot hold.
    """

    canonical: Canonical
    dropped: Mapping[str, int]


def read_bots(path: Path) -> BotRecordings:
    """The recordings of a file of bots.

    Raises:
        RecordingError: unreadable, a missing column, a list that is no movement (with its row), or an unknown style.
    """
    table = _table(existing(path, "bots"))
    recordings = tuple(_recordings(path, table))
    style = tuple(recording.source for recording in recordings)
    unknown = sorted(set(style) - set(ORIGINS))
    if unknown:
        raise RecordingError(f"{path}: unknown style {', '.join(unknown)}; its family must stand in `ORIGINS`")
    return BotRecordings(recordings, style)


def canonical_bots(bots: BotRecordings, form: CanonicalConfig) -> OthersBots:
    """The bots that the form can hold, and how many of each style it cannot, by reason.

    Raises:
        ConfigError: it can hold none.
    """
    observed = judged(observe_recordings(bots.recordings), form)
    if not len(observed):
        raise ConfigError(f"the canonical form can hold none of {len(bots.style)} bots: {dict(observed.dropped)}")
    dropped = {}
    for style in sorted(set(bots.style)):
        own = [r for r, name in zip(bots.recordings, bots.style, strict=True) if name == style]
        dropped[style] = judged(observe_recordings(own), form).dropped
    rows = tuple(observed.rows.tolist())
    return OthersBots(observed.canonical, tuple(bots.style[row] for row in rows), rows, dropped)


def read_people(path: Path, form: CanonicalConfig, known: Collection[str]) -> dict[str, OthersPeople]:
    """People of a table of recordings whom the detector does not know, by their source.

    Args:
        known: People of the training and the validation split. A person has one name in all sources.

    Raises:
        RecordingError: the table cannot be read.
        ConfigError: nobody is left of a source.
    """
    by_source: dict[str, list[Recording]] = {}
    for recording in read_recordings("table", path).recordings:
        by_source.setdefault(recording.source, []).append(recording)
    return {source: _strangers(source, found, form, known) for source, found in sorted(by_source.items())}


def _strangers(
    source: str, recordings: Sequence[Recording], form: CanonicalConfig, known: Collection[str]
) -> OthersPeople:
    strangers = [recording for recording in recordings if recording.user not in known]
    observed = judged(observe_recordings(strangers), form) if strangers else None
    if observed is None or not len(observed):
        raise ConfigError(f"nobody of {source} is left whom the detector does not know; judge it on another source")
    met = {"of people whom the detector knows": len(recordings) - len(strangers)}
    return OthersPeople(observed.canonical, dict(Counter(observed.dropped) + Counter(met)))


def _table(path: Path) -> pa.Table:
    try:
        require_columns(path, pq.read_schema(path).names, COLUMNS)
        return pq.read_table(path, columns=list(COLUMNS))
    except (OSError, pa.ArrowException) as error:
        raise RecordingError(f"{path}: cannot be read as Parquet: {str(error).splitlines()[0]}") from error


def _recordings(path: Path, table: pa.Table) -> Iterator[Recording]:
    """One recording per row: its source is the style, its user the pair of points it moves between."""
    for number, row in enumerate(table.to_pylist(), start=1):
        try:
            t_ms, x, y = (np.array(row[name], dtype=np.float64) for name in ("t_ms", "x", "y"))
            pair = f"pair {row['trajectory_id']}"
            yield Recording(t_ms - t_ms[:1].sum(), x, y, row["style"], pair, pair)
        except (RecordingError, TypeError, ValueError) as error:
            raise error_at(path, number, str(error)) from None
