"""The ledger: no evaluation without its line, none beyond the budget, none counted twice, no damage missed."""

import fcntl
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from platform.leaderboard.holdout_ledger import (
    HOLDOUT,
    LEDGER,
    HoldoutEvaluation,
    HoldoutSpentError,
    Ledger,
    LedgerError,
)
from platform.promotion.config import PromoteConfig
from platform.study.config import FinalistsConfig
from trainables.data.config import UNSEEN_USERS
from trainables.eval.intervals.jackknife import JackknifeEstimate
from trainables.model_evaluation import result
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint import RECORD, CheckpointError


def checkpoint(folder: Path, weights: str, data: str = "d1") -> Path:
    path = folder / f"{weights}-{data}"
    path.mkdir()
    (path / RECORD).write_text(json.dumps({"weights_sha256": weights, "data_sha256": data}))
    return path


def evaluation_of(folder: Path, weights: str, data: str = "d1", seeds: Sequence[int] = (1, 2)) -> HoldoutEvaluation:
    path = folder / f"{weights}-{data}"
    return HoldoutEvaluation.of_checkpoint(
        path if path.exists() else checkpoint(folder, weights, data), seeds, "study", 3
    )


class StubEvaluator:
    """Stands in for the evaluation, and lists what it was called with."""

    def __init__(self) -> None:
        self.evaluated: list[Path] = []

    def __call__(self, path: Path, split: str, seeds: Sequence[int]) -> EvaluationResult:
        self.evaluated.append(path)
        record = json.loads((path / RECORD).read_text())
        figures = {"val/auc_excess": JackknifeEstimate(0.1, (0.0, 0.2))}
        hashes = record["weights_sha256"], record["data_sha256"]
        return EvaluationResult(
            hashes[0],
            "gan",
            split,
            hashes[1],
            tuple(seeds),
            ("a", "b"),
            40,
            figures,
            {"val/auc_excess": (0.1,) * len(seeds)},
        )


def dies(path: Path, split: str, seeds: Sequence[int]) -> EvaluationResult:
    raise KeyboardInterrupt


def counts(ledger: Ledger, folder: Path, *data: str) -> tuple[int, ...]:
    """Models that are reserved on each data."""
    return tuple(ledger.count(evaluation_of(folder, "any", one)) for one in data)


def lines(ledger: Ledger) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ledger.path.read_text().splitlines()]


def test_an_evaluation_is_reserved_and_recorded(tmp_path: Path) -> None:
    ledger, evaluator = Ledger(tmp_path / "results" / LEDGER, 2), StubEvaluator()
    found = ledger.evaluate(evaluation_of(tmp_path, "w1"), evaluator)
    reserved, recorded = lines(ledger)
    assert (reserved["event"], reserved["study"], reserved["trial"], reserved["seeds"]) == ("look", "study", 3, [1, 2])
    assert (reserved["checkpoint_sha256"], reserved["data_sha256"]) == ("w1", "d1")
    assert all(
        recorded[name] == reserved[name] for name in ("checkpoint_sha256", "config_hash", "data_sha256", "seeds")
    )
    assert EvaluationResult.from_json(recorded["judgement"]) == found
    assert found.split == "holdout"
    assert all(entry["time"].endswith("+00:00") for entry in (reserved, recorded))


def test_the_reservation_is_written_before_the_evaluation_runs(tmp_path: Path) -> None:
    ledger, seen = Ledger(tmp_path / LEDGER, 2), list[str]()

    def watching(path: Path, split: str, seeds: Sequence[int]) -> EvaluationResult:
        seen.extend(entry["event"] for entry in lines(ledger))
        return StubEvaluator()(path, split, seeds)

    ledger.evaluate(evaluation_of(tmp_path, "w1"), watching)
    assert seen == ["look"]


def test_an_equal_evaluation_costs_nothing_and_returns_the_recorded_result(tmp_path: Path) -> None:
    ledger, evaluator = Ledger(tmp_path / LEDGER, 1), StubEvaluator()
    first = ledger.evaluate(evaluation_of(tmp_path, "w1"), evaluator)
    assert ledger.evaluate(evaluation_of(tmp_path, "w1"), evaluator) == first
    assert Ledger(ledger.path, 0).evaluate(evaluation_of(tmp_path, "w1"), evaluator) == first
    assert (len(evaluator.evaluated), counts(ledger, tmp_path, "d1")[0]) == (1, 1)


def test_a_result_of_other_code_is_computed_again_and_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The line of a time when none was written down is of other code, too."""
    ledger, evaluator = Ledger(tmp_path / LEDGER, 1), StubEvaluator()
    first = ledger.evaluate(evaluation_of(tmp_path, "w1"), evaluator)
    reserved, recorded = lines(ledger)
    del recorded["judgement"]["code_sha256"]
    ledger.path.write_text(f"{json.dumps(reserved)}\n{json.dumps(recorded)}\n")
    assert ledger.find(evaluation_of(tmp_path, "w1")) is None
    assert ledger.evaluate(evaluation_of(tmp_path, "w1"), evaluator) == first
    assert (len(evaluator.evaluated), counts(ledger, tmp_path, "d1")[0]) == (2, 1)
    monkeypatch.setattr(result, "code_sha256", lambda folder: "other")
    assert ledger.evaluate(evaluation_of(tmp_path, "w1"), evaluator).code_sha256 == "other"
    ledger.evaluate(evaluation_of(tmp_path, "w1"), evaluator)
    assert (len(evaluator.evaluated), counts(ledger, tmp_path, "d1")[0]) == (3, 1)


def test_other_noise_and_the_test_split_beside_it_are_another_result_of_one_model(tmp_path: Path) -> None:
    ledger, evaluator = Ledger(tmp_path / LEDGER, 1), StubEvaluator()
    one = evaluation_of(tmp_path, "w1")
    for each in (one, replace(one, seeds=(2, 1)), replace(one, split=UNSEEN_USERS)):
        ledger.evaluate(each, evaluator)
        assert ledger.find(each) is not None
    assert (len(evaluator.evaluated), counts(ledger, tmp_path, "d1")) == (3, (1,))
    assert [entry["split"] for entry in lines(ledger) if entry["event"] == "look"] == [HOLDOUT, HOLDOUT, UNSEEN_USERS]


def with_length(folder: Path, weights: str, steps: int) -> HoldoutEvaluation:
    """Return an evaluation of a model of the embedded recordings in sequences of T steps, which are other data."""
    path = checkpoint(folder, weights, f"T{steps}")
    record = json.loads((path / RECORD).read_text())
    config = {"data": {"canonical": {"sequence_length": steps}}}
    (path / RECORD).write_text(json.dumps({**record, "config": config}))
    return HoldoutEvaluation.of_checkpoint(path, (1,))


def test_another_form_of_the_same_recordings_has_no_budget_of_its_own(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / LEDGER, 2)
    for weights, steps in (("w1", 64), ("w2", 65)):
        ledger.reserve(with_length(tmp_path, weights, steps))
    third = with_length(tmp_path, "w3", 66)
    assert ledger.count(third) == 2
    with pytest.raises(HoldoutSpentError, match="< 2`, but got 2"):
        ledger.reserve(third)


def test_lines_of_older_versions_are_read_and_counted(tmp_path: Path) -> None:
    """They have neither recordings nor split; those of the same data belong to the recordings of these."""
    ledger, evaluator = Ledger(tmp_path / LEDGER, 9), StubEvaluator()
    old = with_length(tmp_path, "w1", 64)
    ledger.evaluate(old, evaluator)
    stripped = [{k: v for k, v in e.items() if k not in ("recordings_sha256", "split")} for e in lines(ledger)]
    ledger.path.write_text("".join(json.dumps(entry) + "\n" for entry in stripped))
    assert ledger.find(old) is not None
    assert ledger.count(old) == 1
    assert ledger.count(with_length(tmp_path, "w2", 65)) == 0  # nothing ties the old line to these recordings yet
    ledger.reserve(with_length(tmp_path, "w3", 64))
    assert ledger.count(with_length(tmp_path, "w4", 65)) == 2


def test_ten_sweeps_and_the_promotion_of_each_first_do_not_exhaust_the_default_budget(tmp_path: Path) -> None:
    """At worst every finalist of each may be the best, and each promotion has new noise."""
    finalists, promotion = FinalistsConfig(), PromoteConfig()
    assert finalists.holdout_budget == promotion.holdout_budget
    ledger = Ledger(tmp_path / LEDGER, promotion.holdout_budget)
    for sweep in range(10):
        for place in range(finalists.top):
            ledger.reserve(evaluation_of(tmp_path, f"w{sweep}-{place}"))
        first, champion = evaluation_of(tmp_path, f"w{sweep}-0"), evaluation_of(tmp_path, "w0-0")
        for each in (first, champion):
            ledger.reserve(replace(each, seeds=(sweep + 3,), split=UNSEEN_USERS))
    assert counts(ledger, tmp_path, "d1") == (10 * finalists.top,)


def test_the_same_weights_sampled_otherwise_are_another_evaluation(tmp_path: Path) -> None:
    ledger, first = Ledger(tmp_path / LEDGER, 2), evaluation_of(tmp_path, "w1")
    record = json.loads((first.checkpoint / RECORD).read_text())
    (first.checkpoint / RECORD).write_text(json.dumps({**record, "config": {"steps": 50}}))
    for each in (first, evaluation_of(tmp_path, "w1")):
        ledger.evaluate(each, StubEvaluator())
    assert counts(ledger, tmp_path, "d1")[0] == 2


def test_evaluations_are_limited_by_the_budget_and_other_data_have_their_own(tmp_path: Path) -> None:
    ledger, evaluator = Ledger(tmp_path / LEDGER, 2), StubEvaluator()
    for weights in ("w1", "w2"):
        ledger.evaluate(evaluation_of(tmp_path, weights), evaluator)
    before = ledger.path.read_bytes()
    with pytest.raises(
        HoldoutSpentError, match=r"on the holdout users of these recordings < 2.*but got 2; record new users"
    ) as exc_info:
        ledger.evaluate(evaluation_of(tmp_path, "w3"), evaluator)
    assert "\n" not in str(exc_info.value)
    assert ledger.path.read_bytes() == before
    assert len(evaluator.evaluated) == 2
    ledger.evaluate(evaluation_of(tmp_path, "w3", data="d2"), evaluator)
    assert counts(ledger, tmp_path, "d1", "d2") == (2, 1)


def test_an_evaluation_whose_process_died_counts_once(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / LEDGER, 1)
    with pytest.raises(KeyboardInterrupt):
        ledger.evaluate(evaluation_of(tmp_path, "w1"), dies)
    assert counts(ledger, tmp_path, "d1")[0] == 1
    with pytest.raises(HoldoutSpentError):
        ledger.evaluate(evaluation_of(tmp_path, "w2"), StubEvaluator())
    ledger.evaluate(evaluation_of(tmp_path, "w1"), StubEvaluator())
    assert [entry["event"] for entry in lines(ledger)] == ["look", "judgement"]


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_partial_line_is_ignored(tmp_path: Path, kept: int) -> None:
    ledger = Ledger(tmp_path / LEDGER, 3)
    ledger.evaluate(evaluation_of(tmp_path, "w1"), StubEvaluator())
    whole = ledger.path.read_bytes()
    ledger.evaluate(evaluation_of(tmp_path, "w2"), StubEvaluator())
    ledger.path.write_bytes(whole + ledger.path.read_bytes()[len(whole) :].splitlines(keepends=True)[0][:kept])
    assert counts(ledger, tmp_path, "d1")[0] == 1
    ledger.evaluate(evaluation_of(tmp_path, "w3"), StubEvaluator())
    assert [entry["event"] for entry in lines(ledger)] == ["look", "judgement", "look", "judgement"]


@pytest.mark.parametrize(
    "damage",
    ["garbage", "{}", '{"event": "look"}', '{"event": "glance"}', '{"event": "judgement", "judgement": {}}', "[]", ""],
)
def test_any_other_damage_names_file_and_line(tmp_path: Path, damage: str) -> None:
    ledger = Ledger(tmp_path / LEDGER, 3)
    ledger.evaluate(evaluation_of(tmp_path, "w1"), StubEvaluator())
    first, second = ledger.path.read_text().splitlines()
    ledger.path.write_text(f"{first}\n{damage}\n{second}\n")
    for evaluate in (
        lambda: counts(ledger, tmp_path, "d1")[0],
        lambda: ledger.evaluate(evaluation_of(tmp_path, "w2"), StubEvaluator()),
    ):
        with pytest.raises(LedgerError, match=r"holdout\.jsonl, line 2: damaged") as exc_info:
            evaluate()
        assert "\n" not in str(exc_info.value)
    assert len(ledger.path.read_text().splitlines()) == 3


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"cannot be (read|written)"):
        Ledger(tmp_path / "file" / LEDGER, 3).evaluate(evaluation_of(tmp_path, "w1"), StubEvaluator())


def test_a_checkpoint_without_a_record_cannot_be_evaluated(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        HoldoutEvaluation.of_checkpoint(tmp_path, (1,))


def write_down_many(path: Path, folder: Path, names: Sequence[str], budget: int) -> None:
    for name in names:
        try:
            Ledger(path, budget).reserve(evaluation_of(folder, name))
        except HoldoutSpentError:
            continue


def test_askers_side_by_side_share_one_budget(tmp_path: Path) -> None:
    """Three reserve ten evaluations each at the same time, with ledgers of their own: 20 are granted."""
    path = tmp_path / LEDGER
    names = [[f"w{i}-{j}" for j in range(10)] for i in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda mine: write_down_many(path, tmp_path, mine, 20), names))
    assert len(lines(Ledger(path, 20))) == counts(Ledger(path, 20), tmp_path, "d1")[0] == 20


def test_a_reservation_waits_for_the_lock_of_the_ledger(tmp_path: Path) -> None:
    ledger, reserved = Ledger(tmp_path / LEDGER, 1), evaluation_of(tmp_path, "w1")
    with ledger.path.open("a") as held, ThreadPoolExecutor(1) as pool:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = pool.submit(ledger.reserve, reserved)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)
        assert counts(ledger, tmp_path, "d1")[0] == 0
        fcntl.flock(held, fcntl.LOCK_UN)
        waiting.result(timeout=30)
    assert counts(ledger, tmp_path, "d1")[0] == 1
