"""The leaderboard orders by new seeds, evaluates nothing twice, and never orders by the holdout split."""

import io
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import TrialState
from rich.console import Console

from platform.leaderboard import finalists
from platform.leaderboard import leaderboard as leaderboards
from platform.leaderboard.archive import LEADERBOARD
from platform.leaderboard.holdout_ledger import LEDGER, LedgerError
from platform.leaderboard.leaderboard import Repeats, finalists_of, leaderboard, to_json, write_leaderboard
from platform.leaderboard.reference import Reference
from platform.study.config import FinalistsConfig, TuneConfig
from platform.study.ranking import INTERRUPTED, RankedTrial
from platform.study.resume import FOLDER, METRICS, OVERRIDES, REPEATS
from platform.study.sweep import Sweep
from search_spaces import SPACES
from trainables.core.config import ConfigError, plain
from trainables.diffusion.config import DiffusionConfig
from trainables.eval.intervals.jackknife import JackknifeEstimate, interval
from trainables.eval.two_sample.null_band import NullBand
from trainables.metric_registry import value_range
from trainables.model_evaluation import result
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint import RECORD
from trainables.training.metric_names import EPOCH, VAL_AUC_EXCESS, VAL_MMD, VAL_REJECTED
from trainables.training.trial_keys import METRICS_FILE

GROUPS = ("a", "b", "c", "d")
REFERENCE = Reference(NullBand(0.01, 0.02, -0.03, 0.05), {"features": 0.58, "pixels": 0.6}, 3.5, "users")
EXCESS = {0: 0.20, 1: 0.10, 2: 0.15, 3: 0.40}  # on fresh noise, by trial: the ranking of the search is 0, 1, 2, 3


def spread(value: float) -> JackknifeEstimate:
    return JackknifeEstimate(value, (value - 0.01, value + 0.02, value - 0.02, value + 0.01))


class StubEvaluator:
    """Replaces the evaluation of a checkpoint, whose hash identifies the trial, and records its calls."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, str]] = []
        self.broken: set[int] = set()
        self.still: set[int] = set()

    def __call__(self, checkpoint: Path, split: str, seeds: Sequence[int]) -> EvaluationResult | str:
        record = json.loads((checkpoint / RECORD).read_text())
        trial = int(record["weights_sha256"])
        self.calls.append((trial, split))
        if trial in self.broken:
            return f"{checkpoint}: holds NaN"
        values = {VAL_AUC_EXCESS: EXCESS[trial] + 0.1 * (split == "holdout"), VAL_MMD: 0.01 * trial, VAL_REJECTED: 0.0}
        kept = [VAL_REJECTED] if trial in self.still else list(values)
        figures, by_seed = {n: spread(values[n]) for n in kept}, {n: (values[n],) * len(seeds) for n in kept}
        return EvaluationResult(str(trial), "diffusion", split, "d1", tuple(seeds), GROUPS, 40, figures, by_seed)


@pytest.fixture
def evaluator(monkeypatch: pytest.MonkeyPatch) -> StubEvaluator:
    evaluator = StubEvaluator()
    monkeypatch.setattr(finalists, "try_evaluate", evaluator)
    return evaluator


@pytest.fixture
def ranked(tmp_path: Path) -> list[RankedTrial]:
    """Four trials in the order of the search."""
    trials = []
    for number in EXCESS:
        folder = tmp_path / "trials" / str(number)
        folder.mkdir(parents=True)
        record = {"weights_sha256": str(number), "data_sha256": "d1", "config": {"seed": 0}}
        (folder / RECORD).write_text(json.dumps(record))
        metrics = {VAL_AUC_EXCESS: 0.05 + 0.01 * number, VAL_MMD: 0.001}
        trials.append(RankedTrial(number, "COMPLETE", 9, 0.05, metrics, {"x": number}, {}, folder, ""))
    return trials


def sweep_in(folder: Path, seed: int = 0, **settings: Any) -> Sweep:
    tune = TuneConfig(
        storage_path=str(folder), study_name="mine", space="diffusion", seed=seed, finalists=FinalistsConfig(**settings)
    )
    return Sweep(tune, plain(DiffusionConfig()), SPACES["diffusion"], ())


def console() -> Console:
    return Console(file=io.StringIO(), width=120)


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study()


def test_finalists_are_the_first_with_a_result_and_a_checkpoint(ranked: list[RankedTrial]) -> None:
    one, two, three, four = ranked
    others = [replace(one, checkpoint=None), replace(two, state="FAIL"), replace(three, metrics={}), four]
    assert [trial.number for trial in finalists_of(others, 3).values()] == [3]
    assert [trial.number for trial in finalists_of(ranked, 2).values()] == [0, 1]
    assert finalists_of(ranked, 0) == {}


def test_rows_are_ordered_by_the_re_evaluation(
    tmp_path: Path, study: optuna.Study, ranked: list[RankedTrial], evaluator: StubEvaluator
) -> None:
    board = leaderboard(console(), sweep_in(tmp_path), study, ranked)
    assert [row.trial.number for row in board.rows] == [1, 2, 0]
    assert board.by == VAL_AUC_EXCESS
    assert {split for _, split in evaluator.calls} == {"validation", "holdout"}
    assert (len(evaluator.calls), board.holdout_evaluations, board.budget) == (4, 1, 32)
    assert (board.refused, dict(board.left_out)) == (None, {})
    probabilities = [row.probability_best for row in board.rows]
    assert sum(p for p in probabilities if p is not None) == pytest.approx(1.0)
    assert probabilities == [1.0, 0.0, 0.0]  # their jackknives differ by a constant: there is no doubt
    assert [row.holdout is not None for row in board.rows] == [True, False, False]


def test_values_below_zero_are_ordered_too(
    tmp_path: Path,
    study: optuna.Study,
    ranked: list[RankedTrial],
    evaluator: StubEvaluator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(EXCESS, 0, -0.03)
    monkeypatch.setitem(EXCESS, 2, -0.05)
    board = leaderboard(console(), sweep_in(tmp_path), study, ranked)
    assert [row.trial.number for row in board.rows] == [2, 0, 1]


def test_the_noise_is_common_fresh_and_the_studys(
    tmp_path: Path, study: optuna.Study, ranked: list[RankedTrial], evaluator: StubEvaluator
) -> None:
    board = leaderboard(console(), sweep_in(tmp_path, eval_seeds=4), study, ranked)
    assert {row.validation.seeds for row in board.rows} == {board.seeds}
    assert len(set(board.seeds) - {DiffusionConfig().evaluation.seed}) == 4
    assert leaderboard(console(), sweep_in(tmp_path, seed=1, eval_seeds=4), study, ranked).seeds != board.seeds


def test_nothing_is_evaluated_twice(
    tmp_path: Path, study: optuna.Study, ranked: list[RankedTrial], evaluator: StubEvaluator
) -> None:
    first = leaderboard(console(), sweep_in(tmp_path), study, ranked)
    assert len(evaluator.calls) == 4
    again = leaderboard(console(), sweep_in(tmp_path), study, ranked)
    assert (len(evaluator.calls), again) == (4, first)
    leaderboard(console(), sweep_in(tmp_path, top=4), study, ranked)
    assert evaluator.calls[4:] == [(3, "validation")]


def test_evaluations_by_other_code_are_repeated(
    tmp_path: Path,
    study: optuna.Study,
    ranked: list[RankedTrial],
    evaluator: StubEvaluator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the place of what it was, and at no cost."""
    for code in ("other", "other", "another"):
        monkeypatch.setattr(result, "code_sha256", lambda folder, code=code: code)
        board = leaderboard(console(), sweep_in(tmp_path, top=1, holdout_budget=1), study, ranked)
        [row] = board.rows
        assert row.holdout is not None
        assert (row.validation.code_sha256, row.holdout.code_sha256, board.holdout_evaluations) == (code, code, 1)
    assert evaluator.calls == [(0, "validation"), (0, "holdout")] * 2
    assert len(list((tmp_path / "mine" / "judgements").iterdir())) == 1


def test_a_checkpoint_with_another_evaluation_configuration_is_evaluated_again(
    tmp_path: Path, study: optuna.Study, ranked: list[RankedTrial], evaluator: StubEvaluator
) -> None:
    """The same weights under another configuration are another generator."""
    leaderboard(console(), sweep_in(tmp_path, top=1), study, ranked)
    assert ranked[0].checkpoint is not None
    file = ranked[0].checkpoint / RECORD
    file.write_text(json.dumps({**json.loads(file.read_text()), "config": {"seed": 1}}))
    leaderboard(console(), sweep_in(tmp_path, top=1), study, ranked)
    assert evaluator.calls == [(0, "validation"), (0, "holdout")] * 2


def test_a_damaged_evaluation_is_one_line_that_names_the_file(
    tmp_path: Path, study: optuna.Study, ranked: list[RankedTrial], evaluator: StubEvaluator
) -> None:
    leaderboard(console(), sweep_in(tmp_path, top=1), study, ranked)
    [file] = (tmp_path / "mine" / "judgements").iterdir()
    file.write_text('{"kind": ')
    with pytest.raises(ConfigError, match=rf"{file.name}: .*delete the file") as exc_info:
        leaderboard(console(), sweep_in(tmp_path, top=1), study, ranked)
    assert "\n" not in str(exc_info.value)


def test_a_used_up_holdout_budget_still_gives_a_leaderboard(
    tmp_path: Path,
    study: optuna.Study,
    ranked: list[RankedTrial],
    evaluator: StubEvaluator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The budget is spent in the order of the ranking, not of the re-evaluation."""
    monkeypatch.setattr(leaderboards, "PROBABLE", 0.0)
    board = leaderboard(console(), sweep_in(tmp_path, holdout_budget=1), study, ranked)
    assert [(row.trial.number, row.holdout is not None) for row in board.rows] == [(1, False), (2, False), (0, True)]
    assert board.refused is not None
    assert all(words in board.refused for words in (LEDGER, "< 1", "but got 1"))
    assert (board.holdout_evaluations, [calls for calls in evaluator.calls if calls[1] == "holdout"]) == (
        1,
        [(0, "holdout")],
    )
    none = leaderboard(console(), sweep_in(tmp_path / "other", holdout_budget=0), study, ranked)
    assert (len(none.rows), none.holdout_evaluations, [row.holdout for row in none.rows]) == (3, 0, [None] * 3)


def test_a_damaged_ledger_is_not_passed_over(
    tmp_path: Path, study: optuna.Study, ranked: list[RankedTrial], evaluator: StubEvaluator
) -> None:
    (tmp_path / LEDGER).write_text("damage\n")
    with pytest.raises(LedgerError, match="line 1"):
        leaderboard(console(), sweep_in(tmp_path), study, ranked)


def test_a_failed_evaluation_is_left_out_with_its_reason_and_uses_no_holdout_evaluation(
    tmp_path: Path, study: optuna.Study, ranked: list[RankedTrial], evaluator: StubEvaluator
) -> None:
    evaluator.broken = {1}
    board = leaderboard(console(), sweep_in(tmp_path), study, ranked)
    assert [row.trial.number for row in board.rows] == [2, 0]
    assert board.left_out[1].endswith("holds NaN")
    assert board.holdout_evaluations == 1  # of the first of the two


def test_a_checkpoint_without_a_record_is_left_out(
    tmp_path: Path, study: optuna.Study, ranked: list[RankedTrial]
) -> None:
    """With the real evaluation."""
    assert ranked[0].checkpoint is not None
    (ranked[0].checkpoint / RECORD).unlink()
    board = leaderboard(console(), sweep_in(tmp_path, top=1), study, ranked)
    assert (board.rows, board.holdout_evaluations) == ((), 0)
    assert "no such file" in board.left_out[0]


def test_trials_that_violate_a_constraint_rank_last(
    tmp_path: Path, study: optuna.Study, ranked: list[RankedTrial], evaluator: StubEvaluator
) -> None:
    ranked[1] = replace(ranked[1], feasible=False)
    board = leaderboard(console(), sweep_in(tmp_path, top=4), study, ranked)
    assert [row.trial.number for row in board.rows] == [2, 0, 3, 1]


def test_a_metric_that_could_not_be_computed_ranks_last_without_a_probability(
    tmp_path: Path, study: optuna.Study, ranked: list[RankedTrial], evaluator: StubEvaluator
) -> None:
    evaluator.still = {1}
    board = leaderboard(console(), sweep_in(tmp_path), study, ranked)
    assert [(row.trial.number, row.probability_best) for row in board.rows] == [(2, 1.0), (0, 0.0), (1, None)]


def test_a_trial_that_will_be_resumed_has_no_holdout_evaluation(
    tmp_path: Path, study: optuna.Study, ranked: list[RankedTrial], evaluator: StubEvaluator
) -> None:
    ranked[0] = replace(ranked[0], state=INTERRUPTED)
    board = leaderboard(console(), sweep_in(tmp_path, top=2), study, ranked)
    assert [(row.trial.number, row.holdout is not None) for row in board.rows] == [(1, True), (0, False)]
    ranked[:2] = [replace(ranked[0], state="COMPLETE"), replace(ranked[1], state=INTERRUPTED)]
    board = leaderboard(console(), sweep_in(tmp_path / "other", top=2), study, ranked)
    assert [row.holdout for row in board.rows] == [None, None]


def test_repeats_are_shown_beside_the_repeated_trial(
    tmp_path: Path, study: optuna.Study, ranked: list[RankedTrial], evaluator: StubEvaluator
) -> None:
    """Those that ran to their end; the chosen trial itself is none of them."""
    repeats = (("COMPLETE", 0.1, 0), ("COMPLETE", 0.2, 0), ("PRUNED", 0.4, 0), ("COMPLETE", -0.1, 1))
    for seed, (state, value, of) in enumerate(repeats):
        attributes = {REPEATS: of, OVERRIDES: {"seed": seed}, METRICS: {VAL_AUC_EXCESS: value}}
        study.add_trial(optuna.trial.create_trial(state=TrialState[state], value=value, user_attrs=attributes))
    found = {row.trial.number: row.repeats for row in leaderboard(console(), sweep_in(tmp_path), study, ranked).rows}
    assert found[0] is not None
    assert [found[0].n, found[0].mean, found[0].sem] == pytest.approx([2, 0.15, 0.05])
    assert found[1] == Repeats(1, -0.1, None)
    assert found[2] is None


def add_repeat(study: optuna.Study, folder: Path, of: int, seed: int, value: float) -> None:
    """Add a training anew, whose weights have the hash 10 * (of + 1) + seed."""
    weights = 10 * (of + 1) + seed
    checkpoint = folder / "trials" / f"repeat-{weights}" / "checkpoint_000009"
    checkpoint.mkdir(parents=True)
    record = {"weights_sha256": str(weights), "data_sha256": "d1", "config": {"seed": seed}}
    (checkpoint / RECORD).write_text(json.dumps(record))
    (checkpoint / METRICS_FILE).write_text(json.dumps({EPOCH: 9, VAL_AUC_EXCESS: value}))
    attributes = {
        REPEATS: of,
        OVERRIDES: {"seed": seed},
        METRICS: {VAL_AUC_EXCESS: value},
        FOLDER: str(checkpoint.parent),
    }
    study.add_trial(optuna.trial.create_trial(state=TrialState.COMPLETE, value=value, user_attrs=attributes))


@pytest.mark.parametrize("better", [True, False])
def test_a_retrained_model_is_evaluated_and_the_recommended_configuration_comes_first(
    tmp_path: Path,
    study: optuna.Study,
    ranked: list[RankedTrial],
    evaluator: StubEvaluator,
    monkeypatch: pytest.MonkeyPatch,
    better: bool,
) -> None:
    """The default is trial 3, which the search likes least; of each configuration the first seed is evaluated."""
    monkeypatch.setattr(leaderboards, "default_trial", lambda *study_and_sweep: 3)
    for of in (3, 0):
        for seed, value in ((1, 0.50), (2, 0.51), (3, 0.505)):
            add_repeat(study, tmp_path, of, seed, value - 0.2 * (of == 0 and better))
            monkeypatch.setitem(EXCESS, 10 * (of + 1) + seed, 0.3)
    board = leaderboard(console(), sweep_in(tmp_path, top=1, retrain_seeds=3), study, ranked)
    assert [row.trial.number for row in board.rows] == ([0, 3] if better else [3, 0])
    assert {row.trial.number: row.retrained for row in board.rows} == {3: 0, 0: 3}
    assert {trial for trial, _ in evaluator.calls} == {41, 11}
    assert {row.trial.number: row.gain is None for row in board.rows} == {3: True, 0: False}
    plain_rows = to_json(board, "mine", REFERENCE, tmp_path)["rows"]
    assert all("repeat-" in row["checkpoint"] for row in plain_rows)
    assert board.retraining.conclusion.startswith("trial 0 beats" if better else "no trial beats the default")


def test_the_file_has_the_whole_leaderboard(
    tmp_path: Path,
    study: optuna.Study,
    ranked: list[RankedTrial],
    evaluator: StubEvaluator,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(leaderboards, "PROBABLE", 0.0)
    board = leaderboard(console(), sweep_in(tmp_path, top=2, holdout_budget=1), study, ranked)
    (tmp_path / "mine").mkdir(exist_ok=True)
    write_leaderboard(board, tmp_path / "mine", "mine", REFERENCE)
    found = json.loads((tmp_path / "mine" / LEADERBOARD).read_text(), parse_constant=pytest.fail)
    assert found == json.loads(json.dumps(to_json(board, "mine", REFERENCE, tmp_path / "mine")))
    assert found["study"] == "mine"
    assert Reference.from_json(found["reference"]) == REFERENCE
    assert found["noise_seeds"] == list(board.seeds)
    assert (found["holdout"]["asked"], found["holdout"]["budget"]) == (1, 1)
    assert "but got 1" in found["holdout"]["refused"]
    first, second = found["rows"]
    expected = interval(spread(0.10), within=value_range(VAL_AUC_EXCESS))
    assert first["validation"][VAL_AUC_EXCESS] == vars(expected)
    assert (first["trial"], first["epoch"], first["state"], first["params"]) == (1, 9, "COMPLETE", {"x": 1})
    assert first["searched"] == pytest.approx({VAL_AUC_EXCESS: 0.06, VAL_MMD: 0.001})
    assert (first["holdout"], first["repeats"], first["probability_best"]) == (None, None, 1.0)
    assert second["holdout"][VAL_AUC_EXCESS]["value"] == pytest.approx(0.3)
    assert second["checkpoint"] == str(ranked[0].checkpoint)
