"""Laws of the ledger: no look without its line, none beyond the budget, none paid twice, and no damage unnoticed."""

import fcntl
import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from platform.leaderboard.holdout_ledger import LEDGER, HoldoutSpentError, Ledger, LedgerError, Look
from trainables.eval.intervals.jackknife import JackknifeEstimate
from trainables.model_evaluation import result
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint import RECORD, CheckpointError


def checkpoint(folder: Path, weights: str, data: str = "d1") -> Path:
    path = folder / f"{weights}-{data}"
    path.mkdir()
    (path / RECORD).write_text(json.dumps({"weights_sha256": weights, "data_sha256": data}))
    return path


def look(folder: Path, weights: str, data: str = "d1", seeds: Sequence[int] = (1, 2)) -> Look:
    path = folder / f"{weights}-{data}"
    return Look.at(path if path.exists() else checkpoint(folder, weights, data), seeds, "study", 3)


class Judge:
    """Stands in for the judgement, and counts how often it is asked."""

    def __init__(self) -> None:
        self.asked: list[Path] = []

    def __call__(self, path: Path, split: str, seeds: Sequence[int]) -> EvaluationResult:
        self.asked.append(path)
        record = json.loads((path / RECORD).read_text())
        figures = {"val/c2st": JackknifeEstimate(0.6, (0.5, 0.7))}
        hashes = record["weights_sha256"], record["data_sha256"]
        return EvaluationResult(
            hashes[0], "gan", split, hashes[1], tuple(seeds), ("a", "b"), 40, figures, {"val/c2st": (0.6,) * len(seeds)}
        )


def dies(path: Path, split: str, seeds: Sequence[int]) -> EvaluationResult:
    raise KeyboardInterrupt


def lines(ledger: Ledger) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ledger.path.read_text().splitlines()]


def test_a_look_is_written_down_with_its_answer(tmp_path: Path) -> None:
    ledger, judge = Ledger(tmp_path / "results" / LEDGER, 2), Judge()
    found = ledger.ask(look(tmp_path, "w1"), judge)
    asked, answered = lines(ledger)
    assert (asked["event"], asked["study"], asked["trial"], asked["seeds"]) == ("look", "study", 3, [1, 2])
    assert (asked["checkpoint_sha256"], asked["data_sha256"]) == ("w1", "d1")
    assert all(answered[name] == asked[name] for name in ("checkpoint_sha256", "config_hash", "data_sha256", "seeds"))
    assert EvaluationResult.from_json(answered["judgement"]) == found
    assert found.split == "holdout"
    assert all(entry["time"].endswith("+00:00") for entry in (asked, answered))


def test_the_line_stands_before_the_look_is_taken(tmp_path: Path) -> None:
    ledger, seen = Ledger(tmp_path / LEDGER, 2), list[str]()

    def watching(path: Path, split: str, seeds: Sequence[int]) -> EvaluationResult:
        seen.extend(entry["event"] for entry in lines(ledger))
        return Judge()(path, split, seeds)

    ledger.ask(look(tmp_path, "w1"), watching)
    assert seen == ["look"]


def test_the_same_question_costs_nothing_and_has_the_answer_of_then(tmp_path: Path) -> None:
    ledger, judge = Ledger(tmp_path / LEDGER, 1), Judge()
    first = ledger.ask(look(tmp_path, "w1"), judge)
    assert ledger.ask(look(tmp_path, "w1"), judge) == first
    assert Ledger(ledger.path, 0).ask(look(tmp_path, "w1"), judge) == first
    assert (len(judge.asked), ledger.looks("d1")) == (1, 1)


def test_what_other_code_answered_is_asked_again_and_paid_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line of a time when none was written down is of other code, too."""
    ledger, judge = Ledger(tmp_path / LEDGER, 1), Judge()
    first = ledger.ask(look(tmp_path, "w1"), judge)
    asked, answered = lines(ledger)
    del answered["judgement"]["code_sha256"]
    ledger.path.write_text(f"{json.dumps(asked)}\n{json.dumps(answered)}\n")
    assert ledger.judgement(look(tmp_path, "w1")) is None
    assert ledger.ask(look(tmp_path, "w1"), judge) == first
    assert (len(judge.asked), ledger.looks("d1")) == (2, 1)
    monkeypatch.setattr(result, "code_sha256", lambda folder: "other")
    assert ledger.ask(look(tmp_path, "w1"), judge).code_sha256 == "other"
    ledger.ask(look(tmp_path, "w1"), judge)
    assert (len(judge.asked), ledger.looks("d1")) == (3, 1)


def test_other_noise_is_another_question(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / LEDGER, 2)
    for seeds in ((1, 2), (2, 1)):
        ledger.ask(look(tmp_path, "w1", seeds=seeds), Judge())
    assert ledger.looks("d1") == 2


def test_the_same_weights_sampled_otherwise_are_another_question(tmp_path: Path) -> None:
    ledger, first = Ledger(tmp_path / LEDGER, 2), look(tmp_path, "w1")
    record = json.loads((first.checkpoint / RECORD).read_text())
    (first.checkpoint / RECORD).write_text(json.dumps({**record, "config": {"steps": 50}}))
    for each in (first, look(tmp_path, "w1")):
        ledger.ask(each, Judge())
    assert ledger.looks("d1") == 2


def test_looks_end_with_the_budget_and_other_data_have_their_own(tmp_path: Path) -> None:
    ledger, judge = Ledger(tmp_path / LEDGER, 2), Judge()
    for weights in ("w1", "w2"):
        ledger.ask(look(tmp_path, weights), judge)
    before = ledger.path.read_bytes()
    with pytest.raises(
        HoldoutSpentError, match=r"looks at the holdout split < 2.*have had 2; record new people"
    ) as caught:
        ledger.ask(look(tmp_path, "w3"), judge)
    assert "\n" not in str(caught.value)
    assert ledger.path.read_bytes() == before
    assert len(judge.asked) == 2
    ledger.ask(look(tmp_path, "w3", data="d2"), judge)
    assert (ledger.looks("d1"), ledger.looks("d2")) == (2, 1)


def test_a_look_whose_process_died_counts_and_is_not_paid_again(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / LEDGER, 1)
    with pytest.raises(KeyboardInterrupt):
        ledger.ask(look(tmp_path, "w1"), dies)
    assert ledger.looks("d1") == 1
    with pytest.raises(HoldoutSpentError):
        ledger.ask(look(tmp_path, "w2"), Judge())
    ledger.ask(look(tmp_path, "w1"), Judge())
    assert [entry["event"] for entry in lines(ledger)] == ["look", "judgement"]


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_line_that_was_cut_counts_for_nothing_and_breaks_nothing(tmp_path: Path, kept: int) -> None:
    ledger = Ledger(tmp_path / LEDGER, 3)
    ledger.ask(look(tmp_path, "w1"), Judge())
    whole = ledger.path.read_bytes()
    ledger.ask(look(tmp_path, "w2"), Judge())
    ledger.path.write_bytes(whole + ledger.path.read_bytes()[len(whole) :].splitlines(keepends=True)[0][:kept])
    assert ledger.looks("d1") == 1
    ledger.ask(look(tmp_path, "w3"), Judge())
    assert [entry["event"] for entry in lines(ledger)] == ["look", "judgement", "look", "judgement"]


@pytest.mark.parametrize(
    "damage",
    ["garbage", "{}", '{"event": "look"}', '{"event": "glance"}', '{"event": "judgement", "judgement": {}}', "[]", ""],
)
def test_any_other_damage_names_file_and_line(tmp_path: Path, damage: str) -> None:
    ledger = Ledger(tmp_path / LEDGER, 3)
    ledger.ask(look(tmp_path, "w1"), Judge())
    first, second = ledger.path.read_text().splitlines()
    ledger.path.write_text(f"{first}\n{damage}\n{second}\n")
    for ask in (lambda: ledger.looks("d1"), lambda: ledger.ask(look(tmp_path, "w2"), Judge())):
        with pytest.raises(LedgerError, match=r"holdout\.jsonl, line 2: damaged") as caught:
            ask()
        assert "\n" not in str(caught.value)
    assert len(ledger.path.read_text().splitlines()) == 3


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LedgerError, match=r"cannot be (read|written)"):
        Ledger(tmp_path / "file" / LEDGER, 3).ask(look(tmp_path, "w1"), Judge())


def test_a_checkpoint_without_a_record_has_no_look(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        Look.at(tmp_path, (1,))


def write_down_many(path: Path, folder: Path, names: Sequence[str], budget: int) -> None:
    for name in names:
        try:
            Ledger(path, budget).write_down(look(folder, name))
        except HoldoutSpentError:
            continue


def test_askers_side_by_side_share_one_budget(tmp_path: Path) -> None:
    """Three ask for ten looks each at the same time, each by a handle of its own: 20 are taken, each line whole."""
    path = tmp_path / LEDGER
    names = [[f"w{i}-{j}" for j in range(10)] for i in range(3)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda mine: write_down_many(path, tmp_path, mine, 20), names))
    assert len(lines(Ledger(path, 20))) == Ledger(path, 20).looks("d1") == 20


def test_who_counts_waits_for_whoever_holds_the_ledger(tmp_path: Path) -> None:
    ledger, asked = Ledger(tmp_path / LEDGER, 1), look(tmp_path, "w1")
    with ledger.path.open("a") as held, ThreadPoolExecutor(1) as pool:
        fcntl.flock(held, fcntl.LOCK_EX)
        waiting = pool.submit(ledger.write_down, asked)
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)
        assert ledger.looks("d1") == 0
        fcntl.flock(held, fcntl.LOCK_UN)
        waiting.result(timeout=30)
    assert ledger.looks("d1") == 1
