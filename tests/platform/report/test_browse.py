"""Studies and trials in a terminal: listed, shown, compared; nothing is made by looking."""

import io
import json
import re
from collections.abc import Sequence
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console

from platform.leaderboard.archive import EVALUATIONS, EvaluationArchive
from platform.leaderboard.holdout_ledger import LEDGER, HoldoutEvaluation, Ledger
from platform.report import compare_trials, study_view
from platform.report.browse import list_studies, show
from platform.report.compare_trials import compare
from platform.report.html import render
from platform.study.resume import ATTEMPT, FOLDER, REASON, REPEATS
from platform.study.storage import JOURNAL, lock_study
from tests.platform.studies import add, add_cut, add_many, study_in, write_board
from trainables.core.config import ConfigError
from trainables.eval.intervals.jackknife import JackknifeEstimate
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_MMD


@pytest.fixture
def console() -> Console:
    """A console that is no terminal."""
    return Console(file=io.StringIO())


def lines(console: Console) -> list[str]:
    """Return the printed lines, with single spaces."""
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def files(folder: Path) -> set[tuple[str, int]]:
    return {(str(path), path.stat().st_size) for path in folder.rglob("*")}


def test_studies_are_listed_with_their_states_and_their_best(console: Console, tmp_path: Path) -> None:
    first, second = study_in(tmp_path / "first"), study_in(tmp_path / "second", (VAL_AUC_EXCESS, VAL_MMD))
    add_many(first, 8)
    add(second, TrialState.COMPLETE, 0.1)
    write_board(second, tmp_path / "second", [0])
    study_in(tmp_path / "third")
    before = files(tmp_path)
    assert list_studies(console, tmp_path) == 0
    assert files(tmp_path) == before
    head, *rows = lines(console)
    assert head == "study objectives trials best AUC excess last activity"
    by_name = {row.split()[0]: row for row in rows}
    assert "4 COMPLETE, 3 PRUNED, 1 FAIL" in by_name["first"]
    assert "(search estimate)" in by_name["first"]
    assert by_name["second"].startswith("second val/auc_excess, val/mmd 1 COMPLETE 0.120 [0.070, 0.170] 2")
    assert by_name["third"] == "third val/auc_excess none yet - -"
    assert list(by_name)[-1] == "third"  # the latest first, and those without activity last


def test_without_a_study_nothing_is_created(console: Console, tmp_path: Path) -> None:
    assert list_studies(console, tmp_path / "nowhere") == 0
    assert lines(console) == [f"no studies in {tmp_path / 'nowhere'} yet"]
    with pytest.raises(ConfigError, match="to be an existing database"):
        list_studies(console, tmp_path, f"sqlite:///{tmp_path}/s.db")
    assert list(tmp_path.iterdir()) == []


def test_studies_of_a_database_are_listed_too(console: Console, tmp_path: Path) -> None:
    """A study that no sweep made is listed as such."""
    url = f"sqlite:///{tmp_path}/s.db"
    optuna.create_study(storage=url, study_name="theirs")
    list_studies(console, tmp_path, url)
    assert lines(console)[1].startswith("theirs study_name=theirs: expected a study with objectives, but got none")


@pytest.mark.parametrize(
    "attributes",
    [
        {"objectives": ["val/c2st_excess"]},
        {"objectives": ["val/mmd+0.5*val/c2st"]},
        {"constraints": ["val/c2st_auc<=0.7"]},
        {"scheduler_metric": "val/c2st_excess"},
    ],
)
def test_a_study_searched_by_a_metric_that_is_no_longer_measured_is_one_line(
    console: Console, tmp_path: Path, attributes: dict[str, Any]
) -> None:
    """Beside studies that can be read; its name, the metric, and the version that searched it."""
    old = study_in(tmp_path / "old", version="0.2.0", **attributes)
    add(study_in(tmp_path / "new"), TrialState.COMPLETE, 0.1)
    [text] = [text for value in attributes.values() for text in ([value] if isinstance(value, str) else value)]
    metric = text[text.index("val/c2st") :].split("<=")[0]
    refusal = f"study_name=old: expected a study of metrics that are still measured, but got {metric}, by which "
    refusal += "version 0.2.0 searched it; choose another study_name: "
    assert list_studies(console, tmp_path) == 0
    unreadable, head, row = lines(console)
    assert unreadable.startswith(f"unreadable: {refusal}")
    assert unreadable.endswith("use val/auc_excess, in a study of its own, since its values do not compare with those")
    assert (head.split()[0], row.split()[0]) == ("study", "new")
    with pytest.raises(ConfigError, match=re.escape(refusal)) as exc_info:
        show(console, old, tmp_path / "old")
    assert "\n" not in str(exc_info.value)


def test_a_study_is_shown_with_leaderboard_and_ranking(console: Console, tmp_path: Path) -> None:
    study = study_in(tmp_path / "s", data_sha256="d" * 64, constraints=["val/recall>=0.5"])
    add_many(study, 30)
    write_board(study, tmp_path / "s", [4, 0])
    assert show(console, study, tmp_path / "s") == 0
    printed = lines(console)
    facts = ["Study s", "objectives val/auc_excess", "constraints val/recall>=0.5", f"data {'d' * 16}"]
    assert all(fact in printed for fact in facts)
    board = printed.index("Leaderboard: finalists re-evaluated with new seeds, 95 % intervals")
    assert [line.split()[0] for line in printed[board + 2 : board + 4]] == ["4", "0"]
    ranking = printed.index("Ranking by search estimate (the first 12 of 27)")
    values = [float(line.split()[4]) for line in printed[ranking + 2 :]]
    assert len(values) == 12
    assert values == sorted(values)


def test_a_trial_is_shown_with_the_trials_it_was_resumed_from(console: Console, tmp_path: Path) -> None:
    study = study_in(tmp_path / "s")
    add_cut(study, "the driver ended before the trial did [again]")
    folder = tmp_path / "s" / "trials" / "one"
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"config": {"a": 1}, "seeds": {"seed": 3}, "data_sha256": "d1"}))
    add(study, TrialState.COMPLETE, -0.03, attributes={REPEATS: 0, ATTEMPT: 1, FOLDER: str(folder)})
    for number in (0, 1, 2):
        assert show(console, study, tmp_path / "s", number) == 0
    printed = lines(console)
    expected = [
        "state INTERRUPTED",
        "reason the driver ended before the trial did [again]",
        "resumed by 1",
        "resumed from 0",
        "repeats 0",
        "attempt 2",
        "val/auc_excess -0.03",
        "4 -0.030",
        "seeds seed 3",
    ]
    assert [line for line in expected if line not in printed] == []


@pytest.mark.parametrize("number", [-1, 2, 99])
def test_a_trial_that_is_none_is_refused_with_those_that_are(console: Console, tmp_path: Path, number: int) -> None:
    study = study_in(tmp_path / "s")
    add_many(study, 2)
    with pytest.raises(ConfigError, match=rf"a trial of s \(0 to 1\).*trial {number}"):
        show(console, study, tmp_path / "s", number)


@pytest.mark.parametrize("trials", [[], [0], [0, 0]])
def test_less_than_two_trials_cannot_be_compared(console: Console, tmp_path: Path, trials: list[int]) -> None:
    study = study_in(tmp_path / "s")
    add_many(study, 2)
    with pytest.raises(ConfigError, match="two or more different ones"):
        compare(console, study, tmp_path / "s", trials)


def test_trials_are_compared_where_both_have_been(console: Console, tmp_path: Path) -> None:
    """The last epoch that both reached: 0.1 after 2 epochs, and 0.05 that still was 0.1 higher then."""
    study = study_in(tmp_path / "s")
    add(study, TrialState.PRUNED, 0.1, epoch=2)
    add(study, TrialState.COMPLETE, 0.05)
    assert compare(console, study, tmp_path / "s", [0, 1]) == 0
    printed = lines(console)
    assert "trial 0 (PRUNED) trial 1 (COMPLETE)" in printed
    at = printed.index("At epoch 2, the last that all trials reached")
    assert printed[at + 2] == "val/auc_excess 0.100 0.150"
    end = printed.index("At their last epoch")
    assert printed[end + 2 : end + 4] == ["epoch 2 4", "val/auc_excess 0.100 0.050"]
    margin = next(line for line in printed if line.startswith("contrastive.margin"))
    assert margin.endswith(" -")  # the second one did not have this parameter
    assert not any("Re-evaluated" in line for line in printed)


def evaluation(values: Sequence[float], split: str = "validation") -> EvaluationResult:
    """Of rows of one figure, one row per group: its mean with and without each."""
    total, count = sum(values), len(values)
    figure = JackknifeEstimate(total / count, tuple((total - value) / (count - 1) for value in values))
    groups = tuple(f"g{at}" for at in range(count))
    return EvaluationResult("sha", "diffusion", split, "d1", (1, 2, 3), groups, count, {VAL_AUC_EXCESS: figure}, {})


def test_evaluations_are_read_from_the_archive_and_the_ledger(tmp_path: Path) -> None:
    """In the study's folder and in the ledger, under the leaderboard's noise; nowhere before there is a leaderboard."""
    study = study_in(tmp_path / "s")
    add(study, TrialState.COMPLETE, 0.1)
    checkpoint = tmp_path / "checkpoint"
    checkpoint.mkdir()
    (checkpoint / "record.json").write_text(json.dumps({"weights_sha256": "sha", "data_sha256": "d1"}))
    known, on_holdout = evaluation([0.1, 0.2, -0.1]), evaluation([0.2, 0.3, 0.3], "holdout")
    EvaluationArchive(tmp_path / "s" / EVALUATIONS, (1, 2, 3)).store(checkpoint, known)
    Ledger(tmp_path / LEDGER, 1).evaluate(HoldoutEvaluation.of_checkpoint(checkpoint, (1, 2, 3)), lambda *_: on_holdout)
    assert study_view.evaluations(study_view.view(study, tmp_path / "s"), checkpoint) == {}
    write_board(study, tmp_path / "s", [0])
    shown = study_view.view(study, tmp_path / "s")
    assert study_view.evaluations(shown, checkpoint) == {"validation": known, "holdout": on_holdout}
    assert study_view.evaluations(shown, None) == study_view.evaluations(shown, tmp_path / "gone") == {}


def test_re_evaluations_are_compared_pair_by_pair(
    console: Console, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three groups, apart by 0.1, 0.1 and 0.4: 0.2, and t(2, 97.5 %) = 4.303 times the s.e. 0.1 of that mean."""
    study = study_in(tmp_path / "s")
    add(study, TrialState.COMPLETE, 0.1)
    add(study, TrialState.COMPLETE, 0.2)
    kept = iter([{"validation": evaluation([0.1, 0.2, -0.1])}, {"validation": evaluation([0.2, 0.3, 0.3])}])

    def known(shown: study_view.StudyView, checkpoint: Any) -> dict[str, EvaluationResult]:
        return next(kept)

    monkeypatch.setattr(compare_trials, "evaluations", known)
    compare(console, study, tmp_path / "s", [0, 1])
    last = lines(console)[-1]
    assert last.startswith("validation val/auc_excess 0.067 [")
    assert last.endswith("0.267; 0.200 [-0.230, 0.630]")


def test_a_pipe_gets_full_lines_and_a_terminal_its_width(tmp_path: Path) -> None:
    study = study_in(tmp_path / "s")
    add_many(study, 4)
    pipe = Console(file=io.StringIO(), width=40)
    terminal = Console(file=io.StringIO(), force_terminal=True, color_system=None, width=60)
    for screen in (pipe, terminal):
        show(screen, study, tmp_path / "s")
    assert "…" not in str(lines(pipe))
    assert any("base_channels" in line and "margin" in line for line in lines(pipe))
    assert all(len(line) <= 60 for line in lines(terminal))


def test_reading_a_journal_does_not_change_it(console: Console, tmp_path: Path) -> None:
    study = study_in(tmp_path / "s")
    add_many(study, 3)
    before = (tmp_path / "s" / JOURNAL).read_bytes()
    list_studies(console, tmp_path)
    show(console, study, tmp_path / "s", 1)
    compare(console, study, tmp_path / "s", [0, 1])
    assert (tmp_path / "s" / JOURNAL).read_bytes() == before
    assert {path.name for path in (tmp_path / "s").iterdir()} == {JOURNAL}
    assert REASON in study.trials[1].user_attrs


def test_a_leaderboard_that_is_older_than_the_latest_trial_is_said_to_be(console: Console, tmp_path: Path) -> None:
    study = study_in(tmp_path / "s")
    add_many(study, 4)
    write_board(study, tmp_path / "s", [0], ended=4)
    assert show(console, study, tmp_path / "s") == list_studies(console, tmp_path) == 0
    assert not any("stale" in line or "older" in line for line in lines(console))
    add(study, TrialState.COMPLETE, 0.1)
    assert show(console, study, tmp_path / "s") == list_studies(console, tmp_path) == 0
    older = "older than 1 trial(s) that have ended since; run the sweep's command again"
    assert f"the leaderboard is {older}" in lines(console)
    assert "(stale leaderboard)" in lines(console)[-1]
    assert older in unescape(render(study_view.view(study, tmp_path / "s"), datetime(2026, 1, 1)))  # noqa: DTZ001
    write_board(study, tmp_path / "s", [0])
    assert study_view.view(study, tmp_path / "s").stale == ""  # an earlier version's, which does not tell


def test_trials_that_nothing_runs_are_named(console: Console, tmp_path: Path) -> None:
    study = study_in(tmp_path / "s")
    add(study, TrialState.RUNNING)
    line = "driver driver not running: the sweep's command resumes 1 trial(s) that are recorded as RUNNING"
    with lock_study(tmp_path / "s"):
        show(console, study, tmp_path / "s")
        assert line not in lines(console)
    show(console, study, tmp_path / "s")
    assert line in lines(console)
