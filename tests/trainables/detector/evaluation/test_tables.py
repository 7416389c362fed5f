"""Laws of the tables: a terminal shows whole columns and names those that it has no room for, a file has them all."""

from io import StringIO

import pytest
from rich.console import Console

from tests.trainables.detector.scores import judged_set
from trainables.detector.evaluation.config import FiguresConfig
from trainables.detector.evaluation.report import DetectorJudgement, judge_scores
from trainables.detector.evaluation.tables import Sheet, sheets, show
from trainables.eval.intervals.config import BootstrapConfig

CONFIG = FiguresConfig(bins=10, movements=(1, 3), bootstrap=BootstrapConfig(replicates=50))
TABLE = Sheet("a title", ("who", "first figure", "second", "third"), (("a_long_name", "0.123", "1", "[2]"),))


@pytest.fixture(scope="module")
def judgement() -> DetectorJudgement:
    return judge_scores(judged_set(1), judged_set(2), ["plain"], CONFIG)


def shown(tables: tuple[Sheet, ...], width: int, terminal: bool = True) -> list[str]:
    """The lines of a terminal, or of a file."""
    file = StringIO()
    show(Console(file=file, width=width, force_terminal=terminal, color_system=None), tables)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_a_column_stands_where_it_has_room_for_its_words_and_is_named_where_it_has_not() -> None:
    """`a_long_name` takes 11, `figure` 6, `second` 6, `third` 5, and a space between two: 18, 25, 31."""
    heads = {10: 1, 17: 1, 18: 2, 24: 2, 25: 3, 30: 3, 31: 4, 200: 4}
    for width, columns in heads.items():
        text = " ".join(shown((TABLE,), width))
        assert [cell in text for cell in ("0.123", " 1", "[2]")] == [number < columns for number in (1, 2, 3)], width
        assert all(word in text for name in TABLE.columns for word in name.split())


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_cell_of_a_judgement_is_cut(judgement: DetectorJudgement, width: int) -> None:
    lines = shown(sheets(judgement), width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    assert not any(line.lstrip().startswith("(") for line in lines)  # an interval stands beside its figure
    for sheet in sheets(judgement):
        for row in sheet.rows:
            assert any(line.startswith(f"{row[0]} ") for line in lines), row[0]


def test_the_worst_and_how_many_of_them_are_caught_stand_in_eighty_columns(judgement: DetectorJudgement) -> None:
    lines = shown(sheets(judgement), 80)
    for row in judgement.styles:
        line = next(line for line in lines if line.startswith(row.name))
        assert [f"{caught.value:.2f} (" in line for caught in row.caught] == [True, True]
        assert f"{row.figures.auc.value:.3f}" in line


def test_a_file_has_every_column(judgement: DetectorJudgement) -> None:
    text = "\n".join(shown(sheets(judgement), 80, terminal=False))
    assert "too wide" not in text
    for sheet in sheets(judgement):
        assert all(cell in text for row in sheet.rows for cell in row)
