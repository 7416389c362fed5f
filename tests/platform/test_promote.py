"""`python -m platform.promote` as it is typed: decided, written down either way, published, rolled back, refused."""

import json
import shutil
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

from platform.leaderboard.holdout_ledger import LEDGER
from platform.promote import COMMAND, main
from platform.promotion.config import REFUSED, PromoteConfig
from platform.promotion.latency import Latency
from platform.promotion.rule import LimitsConfig, MarginsConfig, Rule, decide, to_json
from tests.serve.published import with_selector
from trainables.core.cli import FAILED, WRONG_INPUT, run
from trainables.core.config import build
from trainables.data.config import UNSEEN_USERS, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.diffusion.config import DiffusionConfig, ModelConfig, OptimConfig
from trainables.diffusion.loop import epochs
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.eval.generation.config import EvaluationConfig
from trainables.model_evaluation.result import EvaluationResult
from trainables.model_registry.publisher import lock_registry
from trainables.model_registry.registry import Registry
from trainables.training.checkpoint import RECORD, WEIGHTS, load_record, save_checkpoint
from trainables.training.checkpoint_record import SELECTOR

promote = partial(run, COMMAND, main)
QUICK = ["eval_seeds=2", "confidence=0.9", "latency.movements=8", "latency.repeats=6"]
LOOSE = ["limits.auc_excess=1", "limits.memorised_share=1", "limits.precision=0", "limits.recall=0"]
FREE = ["margins.memorised_share=1", "margins.latency_ratio=100"]


def trained(folder: Path, steps: int, seed: int = 0) -> Path:
    """A checkpoint of a diffusion that was trained for some steps."""
    evaluated = EvaluationConfig(movements=200, probes=("features",))
    config = DiffusionConfig(
        seed=seed,
        epochs=1,
        steps_per_epoch=steps,
        model=ModelConfig(base_channels=16),
        optim=OptimConfig(lr=4e-3),
        sampling=SamplingConfig(steps=4),
        evaluation=evaluated,
    )
    *_, last = epochs(config)
    last.save(folder)
    return folder


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("poor") / "checkpoint", 4)


@pytest.fixture(scope="module")
def better(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("better") / "checkpoint", 120)


@pytest.fixture(scope="module")
def with_champion(poor: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage path whose champion is the poor one."""
    storage = tmp_path_factory.mktemp("with_champion")
    assert promote([f"storage_path={storage}", f"ckpt={poor}", *QUICK, *LOOSE]) == 0
    return storage


@pytest.fixture
def storage(with_champion: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    shutil.copytree(with_champion, tmp_path / "results", symlinks=True)
    return tmp_path / "results"


def champion(storage: Path) -> str | None:
    """Its weights."""
    found = Registry.below(storage).champion()
    return None if found is None else found.weights_sha256


def weights(checkpoint: Path) -> str:
    return str(load_record(checkpoint)["weights_sha256"])


def refusals(storage: Path) -> list[dict[str, Any]]:
    return [json.loads(file.read_text()) for file in Registry.below(storage).refusals()]


def reserved(storage: Path) -> int:
    return sum(json.loads(line)["event"] == "look" for line in (storage / LEDGER).read_text().splitlines())


def test_a_better_challenger_becomes_champion_with_the_reason_recorded(
    storage: Path, poor: Path, better: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = Registry.below(storage).champion()
    assert before is not None
    first_seeds = before.decision["data"]["seeds"]
    assert promote([f"storage_path={storage}", f"ckpt={better}", *QUICK, *LOOSE, *FREE]) == 0
    assert champion(storage) == weights(better)
    out = capsys.readouterr().out
    assert "promoted: 0002-" in out
    entry = Registry.below(storage).champion()
    assert entry is not None
    decision = entry.decision
    assert decision["decision"] == "promoted"
    assert decision["reason"] in out
    assert (decision["challenger"]["weights_sha256"], decision["champion"]["weights_sha256"]) == (
        weights(better),
        weights(poor),
    )
    assert decision["data"]["split"] == UNSEEN_USERS
    assert decision["data"]["movements"] == len(load_splits(DataConfig())[UNSEEN_USERS])
    assert decision["data"]["users"] == 20
    assert [set(one) for one in decision["power"]] == [{"gain", "alike", "differing"}] * 3
    assert "if gains differ between users (s.d. = the gain); 20 users" in out
    assert set(entry.decision["data"]["seeds"]).isdisjoint(first_seeds)
    assert all(check["held"] for check in decision["checks"])
    assert decision["versions"]["torch"] == version("torch")
    assert reserved(storage) == 3  # the champion under the noise of its own promotion, and both under that of this one


def test_the_decision_is_reproduced_from_its_record(storage: Path, better: Path) -> None:
    assert promote([f"storage_path={storage}", f"ckpt={better}", *QUICK, "limits.auc_excess=0"]) == REFUSED
    written = refusals(storage)[-1]
    sides = [EvaluationResult.from_json(written["judgements"][side]) for side in ("challenger", "champion")]
    times = {side: tuple(values) for side, values in written["latency_ms_per_movement"].items()}
    rule = written["rule"]
    limits, margins = build(LimitsConfig, rule["limits"]), build(MarginsConfig, rule["margins"])
    again = to_json(
        decide(sides[0], sides[1], Latency(**times), Rule(rule["confidence"], limits, margins, rule["alpha"]))
    )
    assert again == {key: written[key] for key in again}


def test_a_refusal_names_what_failed_and_by_how_much_and_is_no_error(
    storage: Path, poor: Path, better: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        promote([f"storage_path={storage}", f"ckpt={better}", *QUICK, *LOOSE, *FREE, "limits.auc_excess=0"]) == REFUSED
    )
    printed = capsys.readouterr()
    assert printed.err == ""
    assert "refused: val/auc_excess: expected `challenger <= 0`, but got 0." in printed.out
    assert champion(storage) == weights(poor)
    assert [found["decision"] for found in refusals(storage)] == ["refused"]


def test_the_champion_itself_is_refused_without_a_holdout_evaluation(
    storage: Path, poor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote([f"storage_path={storage}", f"ckpt={poor}", *QUICK]) == REFUSED
    assert "these weights are the champion already (0001-" in capsys.readouterr().out
    assert reserved(storage) == 1
    assert refusals(storage)[0]["champion"]["weights_sha256"] == weights(poor)


def test_a_selector_of_the_champion_is_published_without_another_evaluation(
    storage: Path, poor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    selecting = with_selector(Path(shutil.copytree(poor, tmp_path / "checkpoint")))
    before = Registry.below(storage).champion()
    where = [f"storage_path={storage}", f"ckpt={selecting}", *QUICK]
    assert promote(where) == 0
    assert "promoted: 0002-" in capsys.readouterr().out
    entry = Registry.below(storage).champion()
    assert before is not None
    assert entry is not None
    assert load_record(entry.checkpoint / SELECTOR) == load_record(selecting / SELECTOR)
    assert entry.decision["figures"] == before.decision["figures"]
    assert f"the weights of the champion {before.id} with another selector" in entry.decision["reason"]
    assert reserved(storage) == 1
    assert promote(where) == REFUSED
    assert "these weights are the champion already (0002-" in capsys.readouterr().out
    record = json.loads((selecting / SELECTOR / RECORD).read_text()) | {"generator_sha256": "0", "weights_sha256": "0"}
    (selecting / SELECTOR / RECORD).write_text(json.dumps(record))
    assert promote(where) == WRONG_INPUT
    assert capsys.readouterr().err.count("\n") == 1


def test_a_rollback_restores_the_previous_champion_and_the_list_shows_all(
    storage: Path, poor: Path, better: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = f"storage_path={storage}"
    assert promote([where, f"ckpt={better}", *QUICK, *LOOSE, *FREE, "split=validation"]) == 0
    assert promote(["list", where]) == 0
    listed = capsys.readouterr().out
    assert "alpha budget against 0002-" in listed
    assert "0 decision(s), 0.0000 of 0.1 spent; the next is made with 95.00 % confidence" in listed
    assert [line[:8] for line in listed.splitlines() if line[3:7].isdigit()] == [
        "   0001-",
        "*  0002-",
    ]
    assert promote(["rollback", where]) == 0
    assert "rolled back: 0001-" in capsys.readouterr().out
    assert champion(storage) == weights(poor)
    assert promote(["rollback", where]) == FAILED
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert "no earlier champion to roll back to" in printed.err


def test_an_incomplete_champion_stops_the_promotion_with_the_remedy(
    storage: Path, poor: Path, better: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    registry = Registry.below(storage)
    with lock_registry(registry) as publisher:
        broken = publisher.publish(better, {"reason": "any", "figures": {}})
    (broken.checkpoint / WEIGHTS).write_bytes(b"half")
    where = f"storage_path={storage}"
    assert promote([where, f"ckpt={better}", *QUICK]) == FAILED
    error = capsys.readouterr().err
    assert "truncated or altered" in error
    assert "python -m platform.promote rollback" in error
    assert promote(["list", where]) == 0
    assert "incomplete" in capsys.readouterr().out
    assert promote(["rollback", where]) == 0
    assert champion(storage) == weights(poor)


def test_the_leaderboard_gives_the_challenger(
    storage: Path, better: Path, poor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [
        {"trial": 7, "checkpoint": str(better), "params": {"model.base_channels": 16}},
        {"trial": 2, "checkpoint": str(poor), "params": {}},
    ]
    (storage / "wide").mkdir()
    (storage / "wide" / "leaderboard.json").write_text(json.dumps({"rows": rows}))
    command = [f"storage_path={storage}", "study_name=wide", *QUICK, *LOOSE, *FREE, "split=validation"]
    assert promote([*command, "trial=2"]) == REFUSED  # the champion already
    assert promote(command) == 0
    found = Registry.below(storage).champion()
    assert found is not None
    challenger = found.decision["challenger"]
    assert (challenger["study"], challenger["trial"], challenger["params"]) == ("wide", 7, {"model.base_channels": 16})
    capsys.readouterr()
    assert promote(["list", f"storage_path={storage}"]) == 0
    assert "wide" in capsys.readouterr().out
    assert promote([*command, "trial=3"]) == WRONG_INPUT
    assert "trial=3: not on the leaderboard" in capsys.readouterr().err


def test_a_spent_holdout_split_fails_in_one_line_and_changes_nothing(
    storage: Path, better: Path, poor: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote([f"storage_path={storage}", f"ckpt={better}", *QUICK, "holdout_budget=1"]) == FAILED
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1
    assert "on the holdout users of these recordings < 1" in printed.err
    assert (champion(storage), refusals(storage), reserved(storage)) == (weights(poor), [], 1)


def changed(checkpoint: Path, folder: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """A copy of a checkpoint with another record."""
    shutil.copytree(checkpoint, folder)
    record = json.loads((folder / RECORD).read_text())
    change(record)
    (folder / RECORD).write_text(json.dumps(record))
    return folder


def test_incomparable_challengers_are_refused_before_a_holdout_evaluation(
    storage: Path, better: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other_data = changed(better, tmp_path / "data", lambda record: record.update(data_sha256="0"))
    other_form = changed(better, tmp_path / "form", lambda record: record["config"]["evaluation"].update(movements=99))
    for ckpt, key in ((other_data, "data_sha256"), (other_form, "evaluation")):
        assert promote([f"storage_path={storage}", f"ckpt={ckpt}", *QUICK]) == WRONG_INPUT
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert f"expected the {key} of the " in error
    assert reserved(storage) == 1


def test_data_that_are_not_todays_are_refused_before_a_holdout_evaluation(
    better: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = changed(better, tmp_path / "old", lambda record: record.update(data_sha256="0"))
    assert promote([f"storage_path={tmp_path / 'results'}", f"ckpt={old}", *QUICK]) == WRONG_INPUT
    assert "expected the data of its training, but got" in capsys.readouterr().err
    assert not (tmp_path / "results" / LEDGER).exists()


def test_a_registry_locked_by_another_process_is_reported(
    storage: Path, better: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with lock_registry(Registry.below(storage)):
        assert promote([f"storage_path={storage}", f"ckpt={better}", *QUICK]) == FAILED
    assert "in use by another process" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ([], "leaderboard.json: no such file; run `python -m platform.tune study_name=diffusion`"),
        (["ckpt=nowhere"], "no such file"),
        (["ckpt=a", "trial=1"], "at most one of `ckpt` and `trial`"),
        (["split=train"], "`split` in {holdout, test, test+holdout, validation}"),
        (["eval_seeds=1"], "`eval_seeds >= 2`"),
        (["alpha_budget=0"], "`0 < alpha_budget < 0.5`"),
        (["trial=-2"], "`trial >= -1`"),
        (["holdout_budget=0"], "`holdout_budget >= 1`"),
        (["confidence=95"], "`0.5 < confidence < 1`"),
        (["limits.c2st=0.6"], "`limits.c2st` is no key here: limits.auc_excess bounds the headline of today"),
        (["limits.auc_excess=2"], "limits: expected `0 <= auc_excess <= 1`"),
        (["margins.mdm=1"], "did you mean `margins.mmd`?"),
        (["latency.repeats=4"], "latency.repeats >= confidence"),
        (["eval_seeds=choice(1,2)"], "one value per key"),
    ],
)
def test_wrong_input_is_one_line_and_leaves_nothing(
    overrides: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote([f"storage_path={tmp_path / 'results'}", *overrides]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "[[1, 2]]", '{"rows": 3}', '{"rows": [{"trial": 1}]}', '{"rows": [], "retraining": 1}']
)
def test_a_leaderboard_that_cannot_be_read_is_one_line(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "diffusion").mkdir()
    (tmp_path / "diffusion" / "leaderboard.json").write_text(text)
    assert promote([f"storage_path={tmp_path}"]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert "not a readable leaderboard" in error
    assert error.count("\n") == 1


def test_an_empty_leaderboard_and_a_checkpoint_of_no_generator_are_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "diffusion").mkdir()
    (tmp_path / "diffusion" / "leaderboard.json").write_text('{"rows": []}')
    assert promote([f"storage_path={tmp_path}"]) == WRONG_INPUT
    assert "(trials: none); give a checkpoint as ckpt=FOLDER" in capsys.readouterr().err
    save_checkpoint(tmp_path / "any", {"w": torch.zeros(1)}, {"kind": "any"})
    assert promote([f"storage_path={tmp_path}", f"ckpt={tmp_path / 'any'}"]) == WRONG_INPUT
    assert "the record lacks config, data_sha256" in capsys.readouterr().err


def test_a_registry_without_anything_lists_nothing_and_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote(["list", f"storage_path={tmp_path / 'results'}"]) == 0
    assert "no model published yet" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


def test_the_help_names_every_key_and_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert promote(["--help"]) == 0
    out = capsys.readouterr().out
    named = (
        "3      refused",
        "1      the work failed",
        "2      wrong input",
        "rollback",
        "list",
        "margins.latency_ratio=",
    )
    assert [word for word in named if word not in out] == []
    assert PromoteConfig().rule == Rule()
