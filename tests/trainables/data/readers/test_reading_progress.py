"""Progress of long readings: nothing of a small data set, a line in a log, a bar on a terminal."""

from functools import partial
from pathlib import Path

import pytest
from rich.console import Console

from trainables.data.config import DataConfig, SourceConfig
from trainables.data.readers import reading_progress
from trainables.data.readers.reader import Piece
from trainables.data.readers.reading_progress import LARGE_BYTES, shown
from trainables.data.readers.recording_set import RecordingSet

PIECES = [Piece(partial(RecordingSet, (), 0), LARGE_BYTES, LARGE_BYTES // 2) for _ in range(2)]


@pytest.fixture
def large(tmp_path: Path) -> DataConfig:
    """Two files, which take no room on the disk, of `LARGE_BYTES` in all."""
    for name in "ab":
        with (tmp_path / name).open("wb") as file:
            file.truncate(LARGE_BYTES // 2)
    return DataConfig(sources=(SourceConfig(path=str(tmp_path), name="mine"),))


def test_a_log_gets_one_line_of_a_large_data_set(large: DataConfig, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(shown(PIECES, large, "reading")) == PIECES
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "reading mine: 64 MiB of recordings\n")


def test_of_a_small_data_set_nothing_is_shown(large: DataConfig, capsys: pytest.CaptureFixture[str]) -> None:
    (Path(str(large.sources[0].path)) / "a").write_text("")
    assert list(shown(PIECES, large, "reading")) == PIECES
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar(
    large: DataConfig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = partial(Console, force_terminal=True)
    monkeypatch.setattr(reading_progress, "Console", terminal)
    pieces = shown(PIECES, large, "reading")
    next(pieces)
    assert list(pieces) == PIECES[1:]
    assert "reading mine" in capsys.readouterr().err
