"""Tables: a terminal shows complete columns and names those that do not fit, a file has them all."""

from io import StringIO

import pytest
from rich.console import Console

from tests.trainables.detector.scores import example_set
from trainables.detector.evaluation.config import DetectorReportConfig
from trainables.detector.evaluation.report import (
    DetectorEvaluation,
    evaluate_scores,
)
from trainables.detector.evaluation.tables import Table, show, tables
from trainables.eval.intervals.config import BootstrapConfig

CONFIG = DetectorReportConfig(bins=10, movements=(1, 3), bootstrap=BootstrapConfig(replicates=50))
TABLE = Table("a title", ("user", "first figure", "second", "third"), (("a_long_name", "0.123", "1", "[2]"),))


@pytest.fixture(scope="module")
def evaluation() -> DetectorEvaluation:
    return evaluate_scores(example_set(1), example_set(2), ["plain"], CONFIG)


def shown(tables: tuple[Table, ...], width: int, terminal: bool = True) -> list[str]:
    """Return the lines of a terminal, or of a file."""
    file = StringIO()
    show(Console(file=file, width=width, force_terminal=terminal, color_system=None), tables)
    return [line.rstrip() for line in file.getvalue().splitlines()]


def test_columns_that_fit_are_shown_and_the_others_are_named() -> None:
    """`a_long_name` takes 11, `figure` 6, `second` 6, `third` 5, and a space between two: 18, 25, 31."""
    heads = {10: 1, 17: 1, 18: 2, 24: 2, 25: 3, 30: 3, 31: 4, 200: 4}
    for width, columns in heads.items():
        text = " ".join(shown((TABLE,), width))
        assert [cell in text for cell in ("0.123", " 1", "[2]")] == [number < columns for number in (1, 2, 3)], width
        assert all(word in text for name in TABLE.columns for word in name.split())


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_cell_of_an_evaluation_is_truncated(evaluation: DetectorEvaluation, width: int) -> None:
    lines = shown(tables(evaluation), width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    assert "…" not in text
    assert not any(line.lstrip().startswith("[") for line in lines)  # an interval stands beside its metric
    for table in tables(evaluation):
        for row in table.rows:
            assert any(line.startswith(f"{row[0]} ") for line in lines), row[0]


def test_names_and_tpr_fit_into_eighty_columns(evaluation: DetectorEvaluation) -> None:
    lines = shown(tables(evaluation), 80)
    for row in evaluation.styles:
        line = next(line for line in lines if line.startswith(row.name))
        assert [f"{detected.value:.2f} [" in line for detected in row.detected] == [True, True]
        assert f"{row.metrics.auc.value:.3f}" in line


def test_a_file_has_every_column(evaluation: DetectorEvaluation) -> None:
    text = "\n".join(shown(tables(evaluation), 80, terminal=False))
    assert "too wide" not in text
    for table in tables(evaluation):
        assert all(cell in text for row in table.rows for cell in row)
