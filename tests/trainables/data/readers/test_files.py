"""The files behind a path: folders, archives and globs, and what names users, sessions and sources."""

import zipfile
from functools import partial
from pathlib import Path

import pandas as pd
import pytest

from tests.trainables.data.readers.examples import events, write_mousetracker
from trainables.data.readers.files import files_of
from trainables.data.readers.guess import guess_reader
from trainables.data.readers.recordings import RecordingError, RecordingSet, read_recordings

FROM_NAMES = ["t_ms", "x", "y"]


def names(result: RecordingSet) -> list[tuple[str, str, str]]:
    return sorted({(r.source, r.user, r.session) for r in result.recordings})


def save(frame: pd.DataFrame, file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    frame.to_csv(file, index=False)
    return file


def test_columns_name_users_and_sessions_and_the_folder_the_source(tmp_path: Path) -> None:
    save(events(user="ann", session="1"), tmp_path / "lab" / "a.csv")
    save(events(user="bob", session="2"), tmp_path / "lab" / "deeper" / "b.csv")
    assert names(read_recordings("table", tmp_path / "lab")) == [("lab", "ann", "1"), ("lab", "bob", "2")]


def test_without_columns_folders_are_users_and_files_sessions(tmp_path: Path) -> None:
    for file in ("ann/1.csv", "ann/2.csv", "all/bob/1.csv", "cid.csv"):
        save(events()[FROM_NAMES], tmp_path / "lab" / file)
    expected = [("lab", "ann", "1"), ("lab", "ann", "2"), ("lab", "bob", "1"), ("lab", "cid", "cid")]
    assert names(read_recordings("table", tmp_path / "lab")) == expected


def test_a_single_table_names_its_users_itself(tmp_path: Path) -> None:
    file = save(events()[FROM_NAMES], tmp_path / "cid.csv")
    with pytest.raises(RecordingError, match="missing column user, session; present: t_ms, x, y"):
        read_recordings("table", file)


def test_an_archive_is_a_folder(tmp_path: Path) -> None:
    file = save(events()[FROM_NAMES], tmp_path / "1.csv")
    with zipfile.ZipFile(tmp_path / "lab.zip", "w") as archive:
        archive.write(file, "ann/1.csv")
        archive.write(file, "cid.csv")
    assert names(read_recordings("table", tmp_path / "lab.zip")) == [("lab", "ann", "1"), ("lab", "cid", "cid")]


def test_an_archive_in_a_folder_is_read_too(tmp_path: Path) -> None:
    file = save(events()[FROM_NAMES], tmp_path / "1.csv")
    (tmp_path / "lab").mkdir()
    with zipfile.ZipFile(tmp_path / "lab" / "more.zip", "w") as archive:
        archive.write(file, "ann/1.csv")
    assert [(user, session) for _, user, session in names(read_recordings("table", tmp_path / "lab"))] == [("ann", "1")]


def test_a_glob_reads_what_matches_and_its_folder_names_the_source(tmp_path: Path) -> None:
    for name in ("a1", "a2", "b1"):
        save(events(user=name), tmp_path / "lab" / f"{name}.csv")
    users = [user for _, user, _ in names(read_recordings("table", tmp_path / "lab" / "a*.csv"))]
    assert users == ["a1", "a2"]
    assert names(read_recordings("table", tmp_path / "*" / "b1.csv"))[0][0] == tmp_path.name


def test_other_files_do_not_matter_but_recordings_of_another_suffix_do(tmp_path: Path) -> None:
    save(events(), tmp_path / "lab" / "a.csv")
    for name in ("readme.md", "notes.txt", "settings.json", ".hidden.mt"):
        (tmp_path / "lab" / name).write_text("no recording")
    assert len(read_recordings("table", tmp_path / "lab").recordings) == 3
    write_mousetracker(tmp_path / "lab")
    law = (
        "lab: expected recordings of one suffix in this folder, but got 1 .csv, 1 .mt; name those of one kind, as path="
    )
    for source in ("table", "mousetracker"):
        with pytest.raises(RecordingError, match=law):
            read_recordings(source, tmp_path / "lab")
    assert len(read_recordings("mousetracker", tmp_path / "lab" / "*.mt").recordings) == 3


def test_a_table_in_two_formats_is_not_read_twice(tmp_path: Path) -> None:
    save(events(), tmp_path / "lab" / "a.csv")
    events().to_parquet(tmp_path / "lab" / "a.parquet", index=False)
    with pytest.raises(RecordingError, match=r"but got 1 \.csv, 1 \.parquet; name those of one kind"):
        read_recordings("table", tmp_path / "lab")


def test_a_folder_or_glob_without_files_of_the_reader_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no recording")
    for path, place in ((tmp_path, "in this folder"), (tmp_path / "*.txt", "of this glob")):
        with pytest.raises(RecordingError, match=rf"expected files \.mt {place}, but got none; correct `path`"):
            read_recordings("mousetracker", path)


def test_a_glob_without_a_match_is_one_line_that_speaks_of_no_folder(tmp_path: Path) -> None:
    glob = tmp_path / "*.csv"
    for read in (partial(read_recordings, "table"), guess_reader):
        with pytest.raises(RecordingError) as error:
            read(glob)
        assert str(error.value) == f"{glob}: no file matches this glob; correct `path`"


def test_a_glob_over_two_suffixes_is_refused_as_a_glob(tmp_path: Path) -> None:
    save(events(), tmp_path / "a.csv")
    write_mousetracker(tmp_path)
    with pytest.raises(RecordingError, match=r"of one suffix of this glob, but got 1 \.csv, 1 \.mt"):
        read_recordings("table", tmp_path / "*")


def test_files_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("b", "a", "c/a"):
        save(events(), tmp_path / f"{name}.csv")
    found = [file.path.relative_to(tmp_path).as_posix() for file in files_of(tmp_path, "table", (".csv",))]
    assert found == ["a.csv", "b.csv", "c/a.csv"]
