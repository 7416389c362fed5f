"""Progress of long readings: nothing of a small data set, a line in a log, a bar on a terminal."""

from functools import partial

import pytest
from rich.console import Console

from trainables.data.splits import reading_progress
from trainables.data.splits.parts import Group
from trainables.data.splits.reading_progress import LARGE_BYTES, shown

GROUPS = [Group((), 0, {}, {}, frozenset(), frozenset(), LARGE_BYTES // 2) for _ in range(2)]


@pytest.mark.parametrize(("total", "lines"), [(LARGE_BYTES - 1, 0), (LARGE_BYTES, 1)])
def test_a_log_gets_one_line_of_a_large_data_set(total: int, lines: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert list(shown(GROUPS, "mine", total)) == GROUPS
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.splitlines() == ["preparing mine: 64 MiB of recordings"] * lines


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = partial(Console, force_terminal=True)
    monkeypatch.setattr(reading_progress, "Console", terminal)
    groups = shown(GROUPS, "mine", LARGE_BYTES)
    next(groups)
    assert list(groups) == GROUPS[1:]
    assert "preparing mine" in capsys.readouterr().err
