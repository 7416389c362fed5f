"""The leave-one-out matrix: the diagonal holds the unseen families, and inconsistent evaluations are refused."""

import json
from pathlib import Path

import pytest

from tests.trainables.detector.scores import bots, humans
from trainables.core.config import ConfigError
from trainables.detector.evaluation.config import DetectorReportConfig
from trainables.detector.evaluation.leave_one_out_matrix import LeaveOneOut, table_of
from trainables.detector.evaluation.report import (
    DetectorEvaluation,
    evaluate_scores,
)
from trainables.detector.evaluation.scored_movements import ScoredMovements, joined
from trainables.eval.intervals.config import BootstrapConfig

CONFIG = DetectorReportConfig(fprs=(0.05,), bins=5, movements=(1,), bootstrap=BootstrapConfig(replicates=50))
FAMILIES = ("bezier", "noise", "pid")


def scored(seed: int, left_out: str) -> ScoredMovements:
    """Return users and bots; the log odds of a family are shifted by 3, of the one left out by 1."""
    of_users = humans(seed, users=10, each=20)
    styles = {f"{name} style": (name, 1.0 if name == left_out else 3.0) for name in FAMILIES}
    return joined(of_users, bots(seed, of_users, styles))


def evaluation_without(left_out: str, config: DetectorReportConfig = CONFIG) -> DetectorEvaluation:
    others = [name for name in FAMILIES if name != left_out]
    return evaluate_scores(scored(1, left_out), scored(2, left_out), others, config)


@pytest.fixture(scope="module")
def table() -> LeaveOneOut:
    return LeaveOneOut.of({name: evaluation_without(name) for name in FAMILIES})


def test_the_diagonal_is_the_family_that_was_left_out(table: LeaveOneOut) -> None:
    for row in table.unseen:
        assert table.matrix[row.name][row.name] == row.detected[0].value
        assert table.matrix[row.name] == {
            other.name: other.detected[0].value for other in evaluation_without(row.name).families
        }


def test_the_lowest_tpr_comes_first(table: LeaveOneOut) -> None:
    rates = [row.detected[0].value for row in table.unseen]
    assert rates == sorted(rates)
    assert {row.name for row in table.unseen} == set(FAMILIES)


def test_the_gain_is_the_column_without_the_diagonal_less_the_diagonal(table: LeaveOneOut) -> None:
    for name in FAMILIES:
        seen = [table.matrix[other][name] for other in FAMILIES if other != name]
        gain = table.gains[name]
        assert gain == pytest.approx(sum(seen) / 2 - table.matrix[name][name])
        assert gain is not None
        assert gain > 0.2
    alone = LeaveOneOut.of({"pid": evaluation_without("pid")})
    assert alone.gains == {"pid": None}


def test_a_table_is_restored_from_its_json(table: LeaveOneOut) -> None:
    text = json.dumps(table.to_json(), allow_nan=False)
    assert LeaveOneOut.from_json(json.loads(text)) == table


def test_the_tables_mark_the_families_left_out(table: LeaveOneOut) -> None:
    unseen, matrix = table.tables()
    assert [row[0] for row in unseen.rows] == [row.name for row in table.unseen]
    assert tuple(row[0] for row in matrix.rows) == table.families
    for row in matrix.rows:
        marked = [name for name, cell in zip(matrix.columns[1:], row[1:], strict=True) if cell.startswith("[")]
        assert marked == [row[0]]


def test_a_detector_trained_on_the_family_or_not_evaluated_on_it_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected `noise` to be left out of the training.*bezier, noise"):
        LeaveOneOut.of({"noise": evaluation_without("pid")})
    with pytest.raises(ConfigError, match=r"expected an evaluation on `wind`, which was left out"):
        LeaveOneOut.of({"wind": evaluation_without("pid")})
    with pytest.raises(ConfigError, match="evaluations >= 1"):
        LeaveOneOut.of({})
    other = DetectorReportConfig(fprs=(0.1,), bins=5, movements=(1,), bootstrap=BootstrapConfig(replicates=50))
    with pytest.raises(ConfigError, match="one target FPR"):
        LeaveOneOut.of({"pid": evaluation_without("pid"), "noise": evaluation_without("noise", other)})


def test_a_card_accepts_the_table_of_detectors_of_the_same_configuration(table: LeaveOneOut, tmp_path: Path) -> None:
    """The configurations may differ in the families left out."""
    file, mine = tmp_path / "leave_one_out.json", {"seed": 0, "negatives": {"alpha": 1.0, "held_out": ["pid"]}}
    theirs = {"seed": 0, "negatives": {"alpha": 1.0, "held_out": []}}
    file.write_text(json.dumps({"table": table.to_json(), "trainable": theirs}))
    assert table_of(file, mine) == table
    law = "expected `leave_one_out` of detectors trained as this one"
    with pytest.raises(ConfigError, match=f"{law}, but got another seed"):
        table_of(file, {**mine, "seed": 1})
    with pytest.raises(ConfigError, match="another negatives"):
        table_of(file, {**mine, "negatives": {"alpha": 2.0, "held_out": []}})
    for text in ("", "[]", "{}", '{"table": {}}'):
        (tmp_path / "bad.json").write_text(text)
        with pytest.raises(ConfigError, match="not a leave-one-out table"):
            table_of(tmp_path / "bad.json", mine)
    with pytest.raises(ConfigError, match="not a leave-one-out table"):
        table_of(tmp_path / "absent.json", mine)
