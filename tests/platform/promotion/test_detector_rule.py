"""The promotion of detectors: its limits and margins one by one, and the command with champions of their own."""

import json
from functools import partial
from pathlib import Path

import pytest

from platform.promote import COMMAND, main
from platform.promotion.config import REFUSED
from platform.promotion.detector_rule import DetectorLimitsConfig, DetectorMarginsConfig, DetectorRuleConfig
from platform.promotion.latency import Latency
from platform.promotion.rule import LATENCY, decide
from trainables.core.cli import WRONG_INPUT, run
from trainables.data.config import UNSEEN_USERS
from trainables.detector.config import DetectorConfig, DetectorModelConfig, NegativesConfig
from trainables.detector.spec import DETECTOR
from trainables.detector.train import epochs
from trainables.eval.intervals.jackknife import JackknifeEstimate
from trainables.model_evaluation.result import EvaluationResult
from trainables.model_registry.registry import Registry
from trainables.training.checkpoint import RECORD, load_record
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_FNR_WORST_UNSEEN, VAL_FPR, VAL_SEEN_AUC, VAL_UNSEEN_AUC

promote = partial(run, COMMAND, main)
RULE = DetectorRuleConfig().rule(0.95)
LIMITS, MARGINS = DetectorLimitsConfig(), DetectorMarginsConfig()
GOOD = {VAL_FNR_WORST_UNSEEN: 0.4, VAL_UNSEEN_AUC: 0.95, VAL_SEEN_AUC: 0.96, VAL_FPR: 0.01}
SAME_SPEED = Latency((0.1,) * 9, (0.1,) * 9)
BETTER = {**GOOD, VAL_FNR_WORST_UNSEEN: 0.3}


def exact(figures: dict[str, float], groups: int = 8) -> EvaluationResult:
    """Return metrics that are the same whichever user is left out: their intervals have no width."""
    clustered = {name: JackknifeEstimate(value, (value,) * groups) for name, value in figures.items()}
    who = tuple(f"user {number}" for number in range(groups))
    return EvaluationResult("0" * 64, "detector", "holdout", "d" * 64, (1,), who, 40, clustered, {})


def test_a_challenger_with_a_lower_fnr_on_the_worst_family_is_promoted_with_that_reason() -> None:
    decision = decide(exact(BETTER), exact(GOOD), SAME_SPEED, RULE)
    assert decision.promoted
    assert decision.reason.startswith(f"{VAL_FNR_WORST_UNSEEN} is 0.3000 against the champion's 0.4000")
    assert VAL_AUC_EXCESS not in {check.figure for check in decision.checks}


def test_an_equal_or_worse_one_is_not() -> None:
    for worse in (0.0, 0.1):
        decision = decide(exact({**GOOD, VAL_FNR_WORST_UNSEEN: 0.4 + worse}), exact(GOOD), SAME_SPEED, RULE)
        assert [check.figure for check in decision.checks if not check.held] == [VAL_FNR_WORST_UNSEEN]


def test_a_lower_fnr_due_to_one_user_is_no_proof() -> None:
    """The FNR is lower by 0.1, all of it due to one user of eight."""
    without = [0.3] * 7 + [0.4]
    unsure = exact(BETTER)
    figures = {**unsure.metrics, VAL_FNR_WORST_UNSEEN: JackknifeEstimate(0.3, tuple(without))}
    decision = decide(EvaluationResult(**{**vars(unsure), "metrics": figures}), exact(GOOD), SAME_SPEED, RULE)
    assert not decision.promoted


@pytest.mark.parametrize(
    ("name", "limit"), [(VAL_FNR_WORST_UNSEEN, LIMITS.fnr_at_fpr_worst_unseen), (VAL_FPR, LIMITS.fpr)]
)
def test_limits_hold_for_the_first_champion_too(name: str, limit: float) -> None:
    at, above = (decide(exact({**GOOD, name: limit + step}), None, SAME_SPEED, RULE) for step in (0.0, 1e-6))
    assert at.promoted
    assert [check.figure for check in above.checks if not check.held] == [name]


@pytest.mark.parametrize(("name", "margin"), [(VAL_UNSEEN_AUC, MARGINS.unseen_auc), (VAL_SEEN_AUC, MARGINS.seen_auc)])
def test_other_figures_may_be_worse_by_their_margin(name: str, margin: float) -> None:
    inside, outside = (
        decide(exact({**BETTER, name: GOOD[name] - margin - step}), exact(GOOD), SAME_SPEED, RULE)
        for step in (-1e-6, 1e-6)
    )
    assert inside.promoted
    assert [check.figure for check in outside.checks if not check.held] == [name]


def test_a_slow_one_is_refused() -> None:
    slow = Latency((0.1 * MARGINS.latency_ratio * 1.01,) * 9, (0.1,) * 9)
    decision = decide(exact(BETTER), exact(GOOD), slow, RULE)
    assert [check.figure for check in decision.checks if not check.held] == [LATENCY]
    late = Latency((LIMITS.latency_ms_per_movement + 0.01,) * 9)
    assert [check.figure for check in decide(exact(GOOD), None, late, RULE).checks if not check.held] == [LATENCY]


def test_a_champion_that_misses_nothing_cannot_be_improved_on() -> None:
    champion = exact({**GOOD, VAL_FNR_WORST_UNSEEN: 0.0})
    decision = decide(exact({**GOOD, VAL_FNR_WORST_UNSEEN: 0.0}), champion, SAME_SPEED, RULE)
    assert f"{VAL_FNR_WORST_UNSEEN}: expected `champion > 0`" in decision.reason


def test_a_figure_that_was_not_computed_is_not_kept() -> None:
    decision = decide(exact({k: v for k, v in GOOD.items() if k != VAL_FPR}), None, SAME_SPEED, RULE)
    assert f"{VAL_FPR}: expected `challenger <= {LIMITS.fpr:g}`, but it was not computed" in decision.reason


# as typed


QUICK = ["eval_seeds=2", "confidence=0.9", "latency.movements=8", "latency.repeats=6"]
LOOSE = [
    "detector.limits.fnr_at_fpr_worst_unseen=1",
    "detector.limits.fpr=1",
    "detector.limits.latency_ms_per_movement=1e3",
]
FREE = ["detector.margins.unseen_auc=1", "detector.margins.seen_auc=1", "detector.margins.latency_ratio=1e3"]


def trained(folder: Path, steps: int, held_out: str = "windmouse") -> Path:
    """A checkpoint of a detector that was trained for some steps."""
    model = DetectorModelConfig(width=8, features_width=16, fused_width=16)
    config = DetectorConfig(
        epochs=1, steps_per_epoch=steps, batch_size=64, model=model, negatives=NegativesConfig(held_out=(held_out,))
    )
    *_, last = epochs(config)
    last.save(folder)
    return folder


@pytest.fixture(scope="module")
def poor(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("poor") / "checkpoint", 2)


@pytest.fixture(scope="module")
def better(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return trained(tmp_path_factory.mktemp("better") / "checkpoint", 200)


def weights(checkpoint: Path) -> str:
    return str(load_record(checkpoint)["weights_sha256"])


def champion(storage: Path) -> str | None:
    found = Registry.below(storage, DETECTOR.registry).champion()
    return None if found is None else found.weights_sha256


def test_a_better_detector_becomes_champion_among_detectors(
    poor: Path, better: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    storage = f"storage_path={tmp_path}"
    assert promote([storage, f"ckpt={poor}", *QUICK]) == REFUSED
    assert f"{VAL_FNR_WORST_UNSEEN}: expected `challenger <= 0.75`" in capsys.readouterr().out
    assert promote([storage, f"ckpt={poor}", *QUICK, *LOOSE]) == 0
    assert champion(tmp_path) == weights(poor)
    (tmp_path / "detector").mkdir()
    row = {"trial": 3, "checkpoint": str(better), "params": {"model.width": 8}}
    (tmp_path / "detector" / "leaderboard.json").write_text(json.dumps({"rows": [row]}))
    assert promote([storage, "study_name=detector", *QUICK, *LOOSE, *FREE]) == 0
    assert champion(tmp_path) == weights(better)
    assert Registry.below(tmp_path).champion() is None  # generators have their own
    entry = Registry.below(tmp_path, DETECTOR.registry).champion()
    assert entry is not None
    published = entry.decision
    assert (published["challenger"]["kind"], published["challenger"]["trial"], published["data"]["split"]) == (
        "detector",
        3,
        UNSEEN_USERS,
    )
    assert VAL_FNR_WORST_UNSEEN in published["reason"]
    capsys.readouterr()
    assert promote(["list", storage]) == 0
    assert "no model published yet" in capsys.readouterr().out
    assert promote(["list", storage, f"registry={DETECTOR.registry}"]) == 0
    out = capsys.readouterr().out
    assert "worst FNR" in out
    assert "*  0002-" in out
    assert promote(["rollback", storage, f"registry={DETECTOR.registry}"]) == 0
    assert champion(tmp_path) == weights(poor)


def test_an_incomplete_champion_names_its_own_registry(
    poor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote([f"storage_path={tmp_path}", f"ckpt={poor}", *QUICK, *LOOSE, "split=validation"]) == 0
    [entry] = (tmp_path / DETECTOR.registry / "history").iterdir()
    (entry / "checkpoint" / RECORD).write_text("{}")
    capsys.readouterr()
    promote([f"storage_path={tmp_path}", f"ckpt={poor}", *QUICK, *LOOSE])
    assert f"python -m platform.promote rollback registry={DETECTOR.registry}" in capsys.readouterr().err


def test_detectors_with_different_unseen_families_are_not_compared(
    poor: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The worst of other families is another metric."""
    assert promote([f"storage_path={tmp_path}", f"ckpt={poor}", *QUICK, *LOOSE, "split=validation"]) == 0
    changed = trained(tmp_path / "changed", 1, held_out="pid")
    assert promote([f"storage_path={tmp_path}", f"ckpt={changed}", *QUICK, *LOOSE]) == WRONG_INPUT
    assert "but got ['pid']; train it alike" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("detector.limits.fpr=2", "detector.limits: expected `0 <= fpr <= 1`"),
        ("detector.limits.latency_ms_per_movement=0", "`0 < latency_ms_per_movement < inf`"),
        ("detector.margins.seen_auc=-1", "`0 <= seen_auc < inf`"),
        ("registry=mine", "`registry` in {registry, registry-agent, registry-critic, registry-detector}"),
    ],
)
def test_wrong_input_is_one_line(
    override: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert promote([f"storage_path={tmp_path / 'results'}", override]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
