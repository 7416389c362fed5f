"""A data set is divided into pieces: read one by one, in any process, they are what is read as a whole."""

import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from trainables.data.config import DataConfig, SourceConfig
from trainables.data.readers import table as module
from trainables.data.readers.cleaning import EDGE
from trainables.data.readers.reader import Piece, read_all
from trainables.data.readers.recording_set import Recording, RecordingError, RecordingSet
from trainables.data.readers.recordings import READERS, data_pieces, pieces_of, read_data, read_recordings

ROWS = 23
EDGE_PX = 1900.0


def rows_of_movements(seed: int = 0) -> pd.DataFrame:
    """Movements of three sessions in turn; some of the first session's are pressed against the same edge."""
    rng, rows = np.random.default_rng(seed), []
    for row in range(ROWS):
        points = int(rng.integers(12, 40))
        x = np.cumsum(rng.uniform(2, 12, points)).round()
        if row % 6 == 0:
            x = np.minimum(x * 40, EDGE_PX)
        y = np.cumsum(rng.normal(0, 4, points)).round()
        rows.append({"t_ms": np.arange(points) * 10.0, "x": x, "y": y, "user": f"u{row % 3}", "session": "s"})
    return pd.DataFrame(rows)


def same(one: RecordingSet, other: RecordingSet) -> bool:
    counts = (one.read, one.dropped, one.repaired_events) == (other.read, other.dropped, other.repaired_events)
    return counts and len(one.recordings) == len(other.recordings) and all(map(equal, one.recordings, other.recordings))


def equal(one: Recording, other: Recording) -> bool:
    arrays = all(np.array_equal(getattr(one, name), getattr(other, name)) for name in ("t_ms", "x", "y"))
    return arrays and (one.source, one.user, one.session, one.target) == (
        *(other.source, other.user, other.session),
        other.target,
    )


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Make the pieces of a table so small that the sessions of this one lie in several."""
    return lambda: monkeypatch.setattr(module, "PART", 4)


def test_a_table_read_in_pieces_is_the_table_with_the_edges_of_its_sessions(
    tmp_path: Path, in_parts: Callable[[], None]
) -> None:
    path = tmp_path / "table.parquet"
    rows_of_movements().to_parquet(path, row_group_size=5)
    whole = read_recordings("table", path)
    assert whole.dropped[EDGE] >= 2
    assert len(list(pieces_of("table", path, "ms"))) == 1
    in_parts()
    pieces = list(pieces_of("table", path, "ms"))
    assert len(pieces) == -(-ROWS // 4)
    assert same(read_all(pieces), whole)
    assert all(piece.size > 0 for piece in pieces)
    assert 0.9 * path.stat().st_size <= sum(piece.stored for piece in pieces) <= path.stat().st_size


def test_the_edges_of_a_session_are_those_of_its_other_pieces_too(tmp_path: Path, in_parts: Callable[[], None]) -> None:
    """Of each session one pressed movement lies in each piece, so that no piece alone would show an edge."""
    path = tmp_path / "table.parquet"
    rows_of_movements().to_parquet(path)
    in_parts()
    alone = [
        pq.read_table(path).slice(first, 4).to_pandas().pipe(lambda part: part[part["user"] == "u0"])
        for first in range(0, ROWS, 4)
    ]
    written = [tmp_path / f"{number}.parquet" for number, part in enumerate(alone) if len(part)]
    for file, part in zip(written, (part for part in alone if len(part)), strict=True):
        part.to_parquet(file)
    assert sum(read_recordings("table", file).dropped.get(EDGE, 0) for file in written) == 0
    assert read_recordings("table", path).dropped[EDGE] >= 2


@pytest.mark.parametrize("row", [0, 9, ROWS - 1])
@pytest.mark.parametrize(
    ("column", "value", "law"),
    [
        ("x", np.array([1.0, np.nan, 3.0]), "finite numbers"),
        ("y", np.array([1.0, 2.0]), "as long as `t_ms`"),
        ("user", None, "a value of `user`"),
    ],
)
def test_an_error_names_the_row_of_the_file(
    tmp_path: Path, in_parts: Callable[[], None], row: int, column: str, value: object, law: str
) -> None:
    path, rows = tmp_path / "table.parquet", rows_of_movements().to_dict("records")
    rows[row][column] = value
    if column == "x":
        rows[row]["t_ms"] = rows[row]["y"] = np.arange(3.0)
    pd.DataFrame(rows).to_parquet(path)
    in_parts()
    with pytest.raises(RecordingError, match=rf"row {row + 1}: expected .*{law}"):
        read_recordings("table", path)


def test_an_empty_table_is_refused(tmp_path: Path) -> None:
    rows_of_movements().iloc[:0].to_parquet(tmp_path / "empty.parquet")
    with pytest.raises(RecordingError, match="holds no rows"):
        read_recordings("table", tmp_path / "empty.parquet")


def test_a_compressed_table_is_read_in_pieces_too(tmp_path: Path, in_parts: Callable[[], None]) -> None:
    import gzip

    path, packed = tmp_path / "table.parquet", tmp_path / "table.parquet.gz"
    rows_of_movements().to_parquet(path)
    packed.write_bytes(gzip.compress(path.read_bytes()))
    in_parts()
    assert same(read_recordings("table", packed), read_recordings("table", path))


def test_each_file_of_a_folder_is_a_piece(tmp_path: Path) -> None:
    for name in "ab":
        frame = pd.DataFrame({"t_ms": np.arange(20) * 10, "x": np.arange(20) * 9, "y": 0})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    pieces = list(pieces_of("table", tmp_path, "ms"))
    assert [piece.read().recordings[0].user for piece in pieces] == ["a", "b"]
    assert [piece.size for piece in pieces] == [file.stat().st_size for file in sorted(tmp_path.iterdir())]


@pytest.mark.parametrize("source", [name for name in READERS if name != "cursory"])
def test_every_reader_without_files_says_so(source: str) -> None:
    with pytest.raises(RecordingError, match="expected a `path`"):
        list(pieces_of(source, None, "ms"))


def test_pieces_can_be_sent_to_another_process(tmp_path: Path, in_parts: Callable[[], None]) -> None:
    path = tmp_path / "table.parquet"
    rows_of_movements().to_parquet(path)
    in_parts()
    config = DataConfig(sources=(SourceConfig(path=str(path), name="mine"), SourceConfig(path=str(path), name="yours")))
    pieces: list[Piece] = pickle.loads(pickle.dumps(list(data_pieces(config))))
    assert same(read_all(pieces), read_data(config))
    assert {recording.source for recording in read_all(pieces).recordings} == {"mine", "yours"}


def test_the_unit_of_times_is_that_of_the_table_and_not_of_a_piece(
    tmp_path: Path, in_parts: Callable[[], None]
) -> None:
    """The last piece is one movement of a recorder that rested for a second at every step."""
    frame, path = rows_of_movements().iloc[:21], tmp_path / "table.parquet"
    times = frame["t_ms"].to_list()
    times[-1] = times[-1] * 100
    frame.assign(t_ms=times).to_parquet(path)
    whole = read_recordings("table", path)
    in_parts()
    assert same(read_recordings("table", path), whole)
    frame.assign(t_ms=[t_ms / 1000 for t_ms in times]).to_parquet(path)
    with pytest.raises(RecordingError, match=r"which looks like seconds; set data\.time_unit=s"):
        read_recordings("table", path)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_nanoseconds_since_1970_in_whole_numbers_are_read(tmp_path: Path, suffix: str) -> None:
    frame, path = rows_of_movements(), tmp_path / f"table.{suffix}"
    plain = tmp_path / f"plain.{suffix}"
    since = [(1_700_000_000_000_000_000 + (t_ms * 1e6).astype(np.int64)) for t_ms in frame["t_ms"]]
    for rows, file in ((frame.assign(t_ms=since, source="one"), path), (frame.assign(source="one"), plain)):
        if suffix == "parquet":
            rows.to_parquet(file)
        else:
            rows.to_json(file, orient="records", lines=True)
    found, expected = read_recordings("table", path, time_unit="ns"), read_recordings("table", plain)
    assert (found.read, found.dropped) == (expected.read, expected.dropped)
    for one, other in zip(found.recordings, expected.recordings, strict=True):
        np.testing.assert_allclose(one.t_ms, other.t_ms, atol=0.001)


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its recordings would be missing without a word."""
    for name in ("open", "shut"):
        (tmp_path / name).mkdir()
        rows_of_movements().to_parquet(tmp_path / name / "table.parquet")
    listed = os.scandir

    def refusing(path: str) -> Any:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return listed(path)

    monkeypatch.setattr(os, "scandir", refusing)
    for path in (tmp_path, tmp_path / "**" / "*.parquet"):
        with pytest.raises(
            RecordingError, match=r"shut: cannot be read: .*Permission denied.*; check that it is there"
        ):
            read_recordings("table", path)


def test_files_of_two_kinds_in_an_archive_have_to_be_unpacked(tmp_path: Path) -> None:
    """A glob, which helps with a folder of two kinds, matches nothing inside of an archive."""
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.writestr("a.csv", "t_ms,x,y\n0,0,0\n")
        archive.writestr("b.jsonl", "{}\n")
    with pytest.raises(RecordingError, match=r"1 \.csv, 1 \.jsonl; unpack the archive and name those of one kind"):
        read_recordings("table", tmp_path / "both.zip")
