"""Laws of judging a detector again: the validator's figures under its seed, and honest ones without each person."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from trainables.data.config import DataConfig
from trainables.data.dataset import load_parts
from trainables.detector.api import load_trained_detector
from trainables.detector.bots import FAMILIES
from trainables.detector.config import DetectorConfig, NegativesConfig
from trainables.detector.model import DetectorModelConfig
from trainables.detector.train import epochs
from trainables.eval.intervals.jackknife import interval
from trainables.model_evaluation import JUDGED_ON, Judgement, judge, judged
from trainables.model_evaluation.detector import Scores, scores_on
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
FIGURES = {VAL_FNR_WORST_UNSEEN, VAL_FNR_UNSEEN, VAL_FNR_SEEN, VAL_UNSEEN_AUC, VAL_SEEN_AUC} | {
    family_fnr(family) for family in FAMILIES
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, float]]:
    """A checkpoint of a briefly trained detector, and how its training judged it."""
    folder = tmp_path_factory.mktemp("run") / "checkpoint"
    *_, last = epochs(CONFIG)
    last.save(folder)
    return folder, dict(last.metrics)


def test_under_the_validators_own_seed_the_figures_are_its_own(trained: tuple[Path, dict[str, float]]) -> None:
    found = judge(trained[0], "validation", [CONFIG.judgement.seed])
    assert set(found.figures) == FIGURES | {VAL_FPR}
    for name in FIGURES:
        assert found.figures[name].value == pytest.approx(trained[1][name], rel=1e-12), name
    assert (found.kind, found.movements) == ("detector", len(load_parts(CONFIG.data)["validation"]))


def test_values_are_means_over_fresh_bots(trained: tuple[Path, dict[str, float]]) -> None:
    both, first, second = (judge(trained[0], "test", seeds) for seeds in ([1, 2], [1], [2]))
    assert first.figures != second.figures
    for name, figure in both.figures.items():
        one, other = first.figures[name], second.figures[name]
        assert both.by_seed[name] == (one.value, other.value)
        assert figure.value == pytest.approx((one.value + other.value) / 2)


@pytest.mark.parametrize("part", JUDGED_ON)
def test_every_held_out_part_judges_by_its_own_people(trained: tuple[Path, dict[str, float]], part: str) -> None:
    people = load_parts(CONFIG.data)[part]
    found = judge(trained[0], part, [3])
    assert found.groups == tuple(sorted(set(people.group)))
    assert (found.part, found.seeds, found.movements) == (part, (3,), len(people))
    assert interval(found.figures[VAL_FNR_WORST_UNSEEN]).df == len(found.groups) - 1
    assert Judgement.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False))) == found


def scores(seed: int = 0, styles: int = 2) -> Scores:
    """Of four people with 5 to 20 movements, one of whom is taken for a bot."""
    owners = tuple("a" * 20 + "b" * 5 + "c" * 9 + "d" * 6)
    random = torch.Generator().manual_seed(seed)
    people = torch.randn(40, generator=random, dtype=torch.float64)
    people[20:25] += 3.0
    shifts = {"straight": 4.0, "pid": 2.5, "replay": 0.5}
    bots = {f: torch.randn(styles, 40, generator=random, dtype=torch.float64) + shift for f, shift in shifts.items()}
    return Scores(people, bots, owners, ("pid", "replay"), 0.1, fixed=2.0)


def missed(told: Scores, family: str, left_out: str = "") -> float:
    """By the definition: the threshold on the others, and the bots that imitate them."""
    rows = [row for row, owner in enumerate(told.owners) if owner != left_out]
    people = sorted((told.people[row].item() for row in rows), reverse=True)
    threshold = people[int(0.1 * len(rows) + 1e-9)]
    bots = [score.item() for style in told.bots[family] for row, score in enumerate(style) if row in rows]
    return float(sum(score <= threshold for score in bots) / len(bots))


def test_without_a_person_the_threshold_is_fixed_on_the_others_and_their_bots_count() -> None:
    told = scores()
    found = told.figures()
    for family in told.bots:
        figure = found[family_fnr(family)]
        assert figure.value == pytest.approx(missed(told, family))
        assert figure.without == pytest.approx([missed(told, family, group) for group in told.groups])
    worst = [max(missed(told, family, group) for family in ("pid", "replay")) for group in told.groups]
    assert found[VAL_FNR_WORST_UNSEEN].without == pytest.approx(worst)
    assert found[VAL_FNR_WORST_UNSEEN].without[1] < found[VAL_FNR_WORST_UNSEEN].value  # nobody is like b


def test_people_are_accused_at_a_threshold_that_is_fixed_elsewhere() -> None:
    """And stays where it is when a person is left out."""
    told = scores()
    found = told.figures()[VAL_FPR]
    accused = [(score.item() > 2.0, owner) for score, owner in zip(told.people, told.owners, strict=True)]
    assert found.value == pytest.approx(sum(hit for hit, _ in accused) / 40)
    for group, without in zip(told.groups, found.without, strict=True):
        others = [hit for hit, owner in accused if owner != group]
        assert without == pytest.approx(sum(others) / len(others))


@pytest.mark.parametrize("part", JUDGED_ON)
def test_that_threshold_is_the_validation_peoples_on_every_part(
    trained: tuple[Path, dict[str, float]], part: str
) -> None:
    """On those people themselves it accuses as many as it may: 3 of 334."""
    detector, parts = load_trained_detector(trained[0]), load_parts(CONFIG.data)
    allowed = int(CONFIG.judgement.fpr * len(parts["validation"]))
    threshold = detector.logit(parts["validation"]).sort(descending=True).values[allowed].item()
    accused = (detector.logit(parts[part]) > threshold).double().mean().item()
    found = judge(trained[0], part, [3]).figures[VAL_FPR]
    assert found.value == pytest.approx(accused)
    if part == "validation":
        assert found.value == pytest.approx(allowed / len(parts[part]))


def test_intervals_over_people_cover_what_fresh_people_show() -> None:
    """Eight people of ten movements each, of whom bots differ by one standard deviation: the area is 0.76.

    The truth is the mean of 400 draws. Of 200 intervals of 95 % at least 168 cover it: at a coverage of 0.92, which is
    less than eight groups of equal size have, fewer come once in 10,000 seeds. Of bots far off the interval is a point.
    """

    def drawn(seed: int, shift: float) -> Scores:
        random = torch.Generator().manual_seed(seed)
        people = torch.randn(80, generator=random, dtype=torch.float64)
        bots = torch.randn(1, 80, generator=random, dtype=torch.float64) + shift
        return Scores(people, {"pid": bots}, tuple(f"p{row % 8}" for row in range(80)), ("pid",), 0.1, 0.0)

    found = [drawn(seed, 1.0).figures()[VAL_UNSEEN_AUC] for seed in range(400)]
    truth = sum(figure.value for figure in found) / len(found)
    spans = [interval(figure) for figure in found[:200]]
    assert sum(span.low <= truth <= span.high for span in spans) >= 168
    far = interval(drawn(0, 12.0).figures()[VAL_FNR_WORST_UNSEEN])
    assert (far.value, far.low, far.high) == (0.0, 0.0, 0.0)


def test_detectors_that_were_trained_otherwise_meet_the_same_bots(trained: tuple[Path, dict[str, float]]) -> None:
    detector = load_trained_detector(trained[0])
    other = replace(CONFIG, seed=5, negatives=NegativesConfig(alpha=0.5, held_out=("pid",)))
    mine, theirs = (scores_on(detector, config, "validation", 7) for config in (CONFIG, other))
    assert all(torch.equal(mine.bots[family], theirs.bots[family]) for family in FAMILIES)
    assert (mine.unseen, theirs.unseen) == (CONFIG.negatives.held_out, ("pid",))
    fresh = scores_on(detector, CONFIG, "validation", 8)
    assert not any(torch.equal(mine.bots[family], fresh.bots[family]) for family in FAMILIES)
    assert torch.equal(mine.people, fresh.people)


def test_scores_that_are_not_finite_are_no_judgement(trained: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    tensors, record = load_checkpoint(trained[0])
    broken = {name: torch.full_like(t, 3e38) if name.startswith("ema.") else t for name, t in tensors.items()}
    save_checkpoint(tmp_path / "broken", broken, record)
    found = judged(tmp_path / "broken", "validation", [1])
    assert isinstance(found, str)
    assert "scores are not finite" in found


def test_a_detector_of_other_data_is_refused(trained: tuple[Path, dict[str, float]], tmp_path: Path) -> None:
    tensors, record = load_checkpoint(trained[0])
    save_checkpoint(tmp_path / "other", tensors, {**record, "data_sha256": "d2"})
    found = judged(tmp_path / "other", "validation", [1])
    assert isinstance(found, str)
    assert "trained on other data (d2)" in found
    assert DataConfig() == CONFIG.data
