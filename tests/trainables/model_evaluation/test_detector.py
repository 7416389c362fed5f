"""Re-evaluation of a detector: the validator's metrics under its seed, and recomputed ones without each user."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainables.data.config import EVALUATION_SPLITS, DataConfig
from trainables.data.splits.loading import load_splits
from trainables.detector.api import load_trained_detector
from trainables.detector.bots import FAMILIES
from trainables.detector.config import DetectorConfig, DetectorModelConfig, NegativesConfig
from trainables.detector.train import epochs
from trainables.eval.intervals.jackknife import interval
from trainables.model_evaluation.detector import Scores, scores_on
from trainables.model_evaluation.reevaluate import evaluate, try_evaluate
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint import load_checkpoint, save_checkpoint
from trainables.training.metric_names import (
    VAL_FNR_SEEN,
    VAL_FNR_UNSEEN,
    VAL_FNR_WORST_UNSEEN,
    VAL_FPR,
    VAL_SEEN_AUC,
    VAL_UNSEEN_AUC,
    family_fnr,
)

CONFIG = DetectorConfig(
    epochs=1, steps_per_epoch=12, batch_size=32, model=DetectorModelConfig(width=8, features_width=16, fused_width=16)
)
METRIC_NAMES = {VAL_FNR_WORST_UNSEEN, VAL_FNR_UNSEEN, VAL_FNR_SEEN, VAL_UNSEEN_AUC, VAL_SEEN_AUC} | {
    family_fnr(family) for family in FAMILIES
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A checkpoint of a briefly trained detector, and the metrics of its training."""
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    *_, last = epochs(CONFIG)
    last.save(folder)
    return folder, dict(last.metrics)


def test_under_the_validators_seed_the_metrics_equal_its_metrics(trained: tuple[Path, dict[str, float]]) -> None:
    found = evaluate(trained[0], "validation", [CONFIG.evaluation.seed])
    assert set(found.metrics) == METRIC_NAMES | {VAL_FPR}
    for name in METRIC_NAMES:
        assert found.metrics[name].value == pytest.approx(trained[1][name], rel=1e-12), name
    assert (found.kind, found.movements) == ("detector", len(load_splits(CONFIG.data)["validation"]))


def test_values_are_means_over_seeds(trained: tuple[Path, dict[str, float]]) -> None:
    both, first, second = (evaluate(trained[0], "test", seeds) for seeds in ([1, 2], [1], [2]))
    assert first.metrics != second.metrics
    for name, figure in both.metrics.items():
        one, other = first.metrics[name], second.metrics[name]
        assert both.by_seed[name] == (one.value, other.value)
        assert figure.value == pytest.approx((one.value + other.value) / 2)


@pytest.mark.parametrize("split", EVALUATION_SPLITS)
def test_each_held_out_split_is_evaluated_on_its_users(trained: tuple[Path, dict[str, float]], split: str) -> None:
    human = load_splits(CONFIG.data)[split]
    found = evaluate(trained[0], split, [3])
    assert found.users == tuple(sorted(set(human.group)))
    assert (found.split, found.seeds, found.movements) == (split, (3,), len(human))
    assert interval(found.metrics[VAL_FNR_WORST_UNSEEN]).df == len(found.users) - 1
    assert EvaluationResult.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


def example(seed: int = 0, styles: int = 2) -> Scores:
    """Return scores of four users with 5 to 20 movements, one of which moves like a bot."""
    owners = tuple("a" * 20 + "b" * 5 + "c" * 9 + "d" * 6)
    random = torch.Generator().manual_seed(seed)
    human = torch.randn(40, generator=random, dtype=torch.float64)
    human[20:25] += 3.0
    shifts = {"straight": 4.0, "pid": 2.5, "replay": 0.5}
    bots = {f: torch.randn(styles, 40, generator=random, dtype=torch.float64) + shift for f, shift in shifts.items()}
    return Scores(human, bots, owners, ("pid", "replay"), 0.1, validation_threshold=2.0)


def fnr(scores: Scores, family: str, left_out: str = "") -> float:
    """Return the FNR by its definition: the threshold on the other users, and the bots made under their conditions."""
    rows = [row for row, owner in enumerate(scores.owners) if owner != left_out]
    human = sorted((scores.human[row].item() for row in rows), reverse=True)
    threshold = human[int(0.1 * len(rows) + 1e-9)]
    bots = [score.item() for style in scores.bots[family] for row, score in enumerate(style) if row in rows]
    return float(sum(score <= threshold for score in bots) / len(bots))


def test_without_a_user_the_threshold_is_fitted_on_the_others_and_their_bots_count() -> None:
    scores = example()
    found = scores.metrics()
    for family in scores.bots:
        figure = found[family_fnr(family)]
        assert figure.value == pytest.approx(fnr(scores, family))
        assert figure.without == pytest.approx([fnr(scores, family, group) for group in scores.users])
    worst = [max(fnr(scores, family, group) for family in ("pid", "replay")) for group in scores.users]
    assert found[VAL_FNR_WORST_UNSEEN].without == pytest.approx(worst)
    assert found[VAL_FNR_WORST_UNSEEN].without[1] < found[VAL_FNR_WORST_UNSEEN].value  # only b moves like a bot


def test_the_fpr_is_measured_at_a_threshold_that_is_fitted_elsewhere() -> None:
    """The threshold stays the same when a user is left out."""
    scores = example()
    found = scores.metrics()[VAL_FPR]
    flagged = [(score.item() > 2.0, owner) for score, owner in zip(scores.human, scores.owners, strict=True)]
    assert found.value == pytest.approx(sum(hit for hit, _ in flagged) / 40)
    for group, without in zip(scores.users, found.without, strict=True):
        others = [hit for hit, owner in flagged if owner != group]
        assert without == pytest.approx(sum(others) / len(others))


@pytest.mark.parametrize("split", EVALUATION_SPLITS)
def test_that_threshold_is_the_validation_users_on_every_split(
    trained: tuple[Path, dict[str, float]], split: str
) -> None:
    """On those users themselves it flags as many movements as the target FPR allows: 3 of 334."""
    detector, splits = load_trained_detector(trained[0]), load_splits(CONFIG.data)
    allowed = int(CONFIG.evaluation.fpr * len(splits["validation"]))
    threshold = detector.logit(splits["validation"]).sort(descending=True).values[allowed].item()
    flagged = (detector.logit(splits[split]) > threshold).double().mean().item()
    found = evaluate(trained[0], split, [3]).metrics[VAL_FPR]
    assert found.value == pytest.approx(flagged)
    if split == "validation":
        assert found.value == pytest.approx(allowed / len(splits[split]))


def test_intervals_over_users_cover_the_mean_over_new_users() -> None:
    """Eight users of ten movements each; bots differ from them by one standard deviation, so that the area is 0.76.

    The truth is the mean of 400 draws. Of 200 intervals of 95 % at least 168 cover it: at a coverage of 0.92, which is
    less than eight users of equal size have, fewer come once in 10,000 seeds. Of bots far off the interval is a point.
    """

    def drawn(seed: int, shift: float) -> Scores:
        random = torch.Generator().manual_seed(seed)
        human = torch.randn(80, generator=random, dtype=torch.float64)
        bots = torch.randn(1, 80, generator=random, dtype=torch.float64) + shift
        return Scores(human, {"pid": bots}, tuple(f"p{row % 8}" for row in range(80)), ("pid",), 0.1, 0.0)

    found = [drawn(seed, 1.0).metrics()[VAL_UNSEEN_AUC] for seed in range(400)]
    truth = sum(figure.value for figure in found) / len(found)
    spans = [interval(figure) for figure in found[:200]]
    assert sum(span.low <= truth <= span.high for span in spans) >= 168
    far = interval(drawn(0, 12.0).metrics()[VAL_FNR_WORST_UNSEEN])
    assert (far.value, far.low, far.high) == (0.0, 0.0, 0.0)


def test_detectors_of_other_configurations_get_the_same_bots(
    trained: tuple[Path, dict[str, float]],
) -> None:
    detector = load_trained_detector(trained[0])
    other = replace(CONFIG, seed=5, negatives=NegativesConfig(alpha=0.5, held_out=("pid",)))
    mine, theirs = (scores_on(detector, config, "validation", 7) for config in (CONFIG, other))
    assert all(torch.equal(mine.bots[family], theirs.bots[family]) for family in FAMILIES)
    assert (mine.unseen, theirs.unseen) == (CONFIG.negatives.held_out, ("pid",))
    fresh = scores_on(detector, CONFIG, "validation", 8)
    assert not any(torch.equal(mine.bots[family], fresh.bots[family]) for family in FAMILIES)
    assert torch.equal(mine.human, fresh.human)


def test_scores_that_are_not_finite_give_a_reason(trained: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    tensors, record = load_checkpoint(trained[0])
    broken = {name: torch.full_like(t, 3e38) if name.startswith("ema.") else t for name, t in tensors.items()}
    save_checkpoint(tmp_path / "broken", broken, record)
    found = try_evaluate(tmp_path / "broken", "validation", [1])
    assert isinstance(found, str)
    assert "scores are not finite" in found


def test_a_detector_of_other_data_is_refused(trained: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    tensors, record = load_checkpoint(trained[0])
    save_checkpoint(tmp_path / "other", tensors, {**record, "data_sha256": "d2"})
    found = try_evaluate(tmp_path / "other", "validation", [1])
    assert isinstance(found, str)
    assert "trained on other data (d2)" in found
    assert DataConfig() == CONFIG.data
