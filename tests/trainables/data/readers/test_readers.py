"""The contract of all readers, over their list: what names the files, how they are compressed, how they are guessed."""

import gzip
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tests.trainables.data.readers.examples import EXAMPLES, POINTS, STEP_MS, path
from trainables.data.readers.guess import guess_reader
from trainables.data.readers.recordings import READERS, RecordingError, RecordingSet, read_recordings

NAMES = sorted(EXAMPLES)


def seen(result: RecordingSet) -> list[tuple[object, ...]]:
    return [
        (r.session, r.target, r.target_width_px, r.t_ms.tolist(), r.x.tolist(), r.y.tolist()) for r in result.recordings
    ]


def test_every_reader_of_files_has_an_example() -> None:
    assert set(EXAMPLES) == set(READERS) - {"cursory"}


@pytest.mark.parametrize("name", NAMES)
def test_three_movements_are_read_as_they_were_made(name: str, tmp_path: Path) -> None:
    result = read_recordings(name, EXAMPLES[name](tmp_path))
    x, _ = path()
    assert (result.read, len(result.recordings), result.dropped) == (3, 3, {})
    assert len({r.user for r in result.recordings}) == 1
    for recording in result.recordings:
        moved = np.abs(recording.x - recording.x[0])
        expected = np.abs(x - x[0]) if recording.x[-1] > recording.x[0] else np.abs(x - x[-1])[::-1]
        np.testing.assert_allclose(moved, expected[: len(moved)], atol=1e-9)
        np.testing.assert_allclose(np.diff(recording.t_ms), STEP_MS, atol=1e-6)
        assert POINTS - 3 <= len(moved) <= POINTS  # a step of less than a pixel at an end is rest


@pytest.mark.parametrize("name", NAMES)
def test_gzip_zip_folder_and_glob_give_the_same_movements(name: str, tmp_path: Path) -> None:
    (tmp_path / "plain").mkdir()
    file = EXAMPLES[name](tmp_path / "plain")
    expected = seen(read_recordings(name, file))
    packed = tmp_path / "packed" / file.relative_to(tmp_path / "plain")
    packed.parent.mkdir(parents=True)
    packed = packed.with_name(file.name + ".gz")
    packed.write_bytes(gzip.compress(file.read_bytes()))
    assert seen(read_recordings(name, packed)) == expected
    assert seen(read_recordings(name, tmp_path / "packed")) == expected
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(file, file.relative_to(tmp_path / "plain"))
        archive.writestr("__MACOSX/._x.csv", "")
    assert seen(read_recordings(name, tmp_path / "all.zip")) == expected
    assert seen(read_recordings(name, tmp_path / "plain")) == expected
    assert seen(read_recordings(name, tmp_path / "plain" / "**" / f"*{file.suffix}")) == expected


@pytest.mark.parametrize("name", NAMES)
def test_the_reader_is_guessed_with_a_reason(name: str, tmp_path: Path) -> None:
    file = EXAMPLES[name](tmp_path)
    (tmp_path / "readme.txt").write_text("not a recording")
    assert guess_reader(file).name == guess_reader(tmp_path).name == name
    assert guess_reader(file).reason != ""


@pytest.mark.parametrize("name", NAMES)
def test_an_empty_file_is_one_line(name: str, tmp_path: Path) -> None:
    file = EXAMPLES[name](tmp_path)
    file.write_bytes(b"")
    with pytest.raises(RecordingError) as error:
        read_recordings(name, file)
    assert str(error.value).startswith(str(file))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", NAMES)
def test_a_damaged_archive_is_one_line(name: str, tmp_path: Path) -> None:
    for suffix in (".csv.gz", ".zip"):
        file = tmp_path / f"broken{suffix}"
        file.write_bytes(b"not an archive")
        with pytest.raises(RecordingError, match=f"broken{suffix}: cannot be read: .*complete"):
            read_recordings(name, file)


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_unit_of_time_is_refused_where_the_format_has_one(name: str, tmp_path: Path) -> None:
    if "time_unit" in READERS[name].options:
        assert name in ("table", "events")
        return
    with pytest.raises(
        RecordingError, match=f"expected no `time_unit` with source={name}, .*, but got time_unit=s; leave"
    ):
        read_recordings(name, None if name == "cursory" else EXAMPLES[name](tmp_path), time_unit="s")


def test_every_reader_has_a_line_of_help() -> None:
    assert all(reader.about and "\n" not in reader.about for reader in READERS.values())


def test_a_file_that_no_reader_recognises_names_the_candidates(tmp_path: Path) -> None:
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")
    with pytest.raises(
        RecordingError, match=r"other\.csv: expected a file that a reader recognises, but got a, b; set .*"
    ):
        guess_reader(file)
    with pytest.raises(RecordingError) as error:
        guess_reader(file)
    assert all(f"{name} (" in str(error.value) for name in READERS)


def test_files_of_two_readers_are_one_line(tmp_path: Path) -> None:
    EXAMPLES["table"](tmp_path)
    EXAMPLES["mousetrap"](tmp_path)
    with pytest.raises(
        RecordingError, match="expected files that one reader recognises, but got 1 of mousetrap, 1 of table"
    ):
        guess_reader(tmp_path)


def test_nothing_there_cannot_be_guessed(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="no such file or folder"):
        guess_reader(tmp_path / "absent")
    with pytest.raises(RecordingError, match="but got none; set `source`, one of cursory"):
        guess_reader(tmp_path)
