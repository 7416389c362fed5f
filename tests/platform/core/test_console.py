from io import StringIO

import pytest
from rich.console import Console

from platform.core.console import columns, print_table
from trainables.detector.evaluation.tables import Table, show

LONG = "contrastive.weight=0.125 " * 40


def printed(terminal: bool) -> str:
    table = columns(">trial", "name", "~parameters", title="Trials")
    table.add_row("1", "the whole name " * 30, LONG)
    stream = StringIO()
    print_table(Console(file=stream, width=80, force_terminal=terminal, color_system=None), table)
    return stream.getvalue()


def test_a_table_in_a_pipe_has_every_character_and_one_line_per_row() -> None:
    lines = printed(terminal=False).splitlines()
    assert len(lines) == 3  # title, heading, row
    assert LONG.strip() in lines[2]
    assert ("the whole name " * 30).strip() in lines[2]


def test_a_table_keeps_to_the_width_of_a_terminal() -> None:
    assert max(map(len, printed(terminal=True).splitlines())) <= 80


@pytest.mark.parametrize("count", [4, 60])
def test_a_table_of_an_evaluation_has_all_columns_in_a_pipe(count: int) -> None:
    names = tuple(f"a column of number {number}" for number in range(count))
    stream = StringIO()
    show(Console(file=stream, width=80), (Table("Title", names, (tuple("x" * count),)),))
    assert "too wide" not in stream.getvalue()
    assert all(str(number) in stream.getvalue() for number in range(count))
