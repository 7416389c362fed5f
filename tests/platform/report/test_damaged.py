from pathlib import Path

import pytest

from platform import tune
from platform.leaderboard.archive import LEADERBOARD
from tests.platform.studies import add_many, study_in, write_board
from trainables.core.cli import WRONG_INPUT, run


@pytest.mark.parametrize("verb", ["show", "report"])
@pytest.mark.parametrize("content", ["{", "[]", "3", "{}", '{"rows": 3}', '{"rows": [{"trial": 1}]}', '{"rows": []}'])
def test_a_damaged_leaderboard_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], verb: str, content: str
) -> None:
    add_many(study_in(tmp_path / "s"), 3)
    (tmp_path / "s" / LEADERBOARD).write_text(content)
    assert run(tune.COMMAND, tune.main, [verb, "study_name=s", f"storage_path={tmp_path}"]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert LEADERBOARD in error
    assert "delete it and run the sweep's command again" in error


def test_a_whole_leaderboard_is_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study = study_in(tmp_path / "s")
    add_many(study, 3)
    write_board(study, tmp_path / "s", [0])
    assert run(tune.COMMAND, tune.main, ["show", "study_name=s", f"storage_path={tmp_path}"]) == 0
    assert "Leaderboard" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("argument", "hint"),
    [
        ("constraints=[val/recall", """'constraints=["val/recall>=0.5"]'"""),  # what a shell leaves of it
        ("constraints=[val/recall>=0.5]", """'constraints=["val/recall>=0.5"]'"""),
        ("constraints=val/recall>=0.6", """'constraints=["val/recall>=0.6"]'"""),
        ("objectives=val/mmd", "objectives=[val/mmd]"),
    ],
)
def test_a_list_without_quotes_or_brackets_is_refused_with_the_right_form(
    capsys: pytest.CaptureFixture[str], argument: str, hint: str
) -> None:
    assert run(tune.COMMAND, tune.main, [argument, "--plan"]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert hint in error
