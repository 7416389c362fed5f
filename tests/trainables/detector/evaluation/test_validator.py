"""Properties of a detector's validation: a threshold from users alone, metrics by family, and a temperature."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from torch import Tensor

from tests.trainables.detector.definitions import area_by_definition, fnr_by_definition
from tests.trainables.detector.tiny import assert_same_movements
from trainables.data.canonical import Canonical, concatenate
from trainables.data.splits.loading import load_splits
from trainables.detector.api import Detector
from trainables.detector.bots import BOTS, FAMILIES
from trainables.detector.config import DetectorConfig, DetectorEvaluationConfig, NegativesConfig
from trainables.detector.dataset.negatives import of_style
from trainables.detector.dataset.training_set import WIDTH, Inputs, Scaling
from trainables.detector.evaluation.validator import Validator
from trainables.detector.model import Outputs
from trainables.metric_registry import DIRECTIONS
from trainables.training import metric_names as names

UNSEEN = ("pid", "noise")
FPR = 0.1
Scores = dict[str, Tensor]


@pytest.fixture(scope="module")
def config(tiny: DetectorConfig) -> DetectorConfig:
    return replace(
        tiny, negatives=NegativesConfig(held_out=UNSEEN), evaluation=DetectorEvaluationConfig(fpr=FPR, seed=3)
    )


@pytest.fixture(scope="module")
def human(config: DetectorConfig) -> Canonical:
    return load_splits(config.data)["validation"]


@pytest.fixture(scope="module")
def scaling(config: DetectorConfig) -> Scaling:
    return Scaling.fit(load_splits(config.data))


@pytest.fixture(scope="module")
def validator(human: Canonical, scaling: Scaling, config: DetectorConfig) -> Validator:
    return Validator.fit(human, scaling, config)


class Lookup(torch.nn.Module):
    """Network whose logits are looked up in a table by the first feature."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(logits)

    def forward(self, z: Tensor, mask: Tensor, features: Tensor, direction: Tensor) -> Outputs:
        return Outputs(self.logits[features[:, 0].long()], z[:, 0, :1], z[:, 0, :1])


def inputs_at(start: int, count: int) -> Inputs:
    """Return inputs whose logits stand in a row of the table, from `start` on."""
    features = torch.zeros(count, WIDTH)
    features[:, 0] = torch.arange(start, start + count)
    return Inputs(torch.zeros(count, 8, 2), torch.ones(count, 8, dtype=torch.bool), features, torch.zeros(count, 2))


@dataclass
class Case:
    """Scores of users and families, with their metrics."""

    human: Tensor
    bots: dict[str, Tensor]
    temperature: float
    metrics: dict[str, float]


def case(
    config: DetectorConfig, scaling: Scaling, seed: int = 0, ties: bool = False, changes: Scores | None = None
) -> Case:
    """Families of unequal size and shift; `changes` replace some of the scores."""
    random, start = torch.Generator().manual_seed(seed), 0
    logits, inputs = dict[str, Tensor](), dict[str, Inputs]()
    for number, name in enumerate(("human", *FAMILIES)):
        count = 40 if name == "human" else 10 + 7 * number
        drawn = torch.randn(count, generator=random) + (0.0 if name == "human" else 0.4 * number - 0.5)
        logits[name] = (changes or {}).get(name, drawn.round() if ties else drawn)
        inputs[name] = inputs_at(start, count)
        start += count
    families = {name: inputs[name] for name in FAMILIES}
    detector = Detector(Lookup(torch.cat([*logits.values()])), scaling, config.data.canonical)
    temperature, metrics = Validator(inputs["human"], ("one",) * 40, families, UNSEEN, FPR)(detector)
    return Case(logits["human"], {name: logits[name] for name in FAMILIES}, temperature, metrics)


# validation data


def test_every_style_makes_a_movement_under_all_conditions(
    validator: Validator, human: Canonical, scaling: Scaling, config: DetectorConfig
) -> None:
    assert torch.equal(validator.human.features, scaling.inputs(human).features)
    assert set(validator.bots) == set(FAMILIES)
    for family, styles in FAMILIES.items():
        made = [of_style(style, human, config.data.canonical, 3).canonical for style in styles]
        expected = scaling.inputs(concatenate(*made))
        assert len(validator.bots[family].z) == len(styles) * len(human)
        for mine, theirs in zip(validator.bots[family], expected, strict=True):
            assert torch.equal(mine, theirs)
    assert (validator.unseen, validator.fpr) == (UNSEEN, FPR)


def test_all_trials_of_a_study_are_validated_on_the_same_bots(
    validator: Validator, human: Canonical, scaling: Scaling, config: DetectorConfig
) -> None:
    """They do not depend on the training; another evaluation seed makes others."""
    alike = replace(config, seed=8, negatives=NegativesConfig(alpha=0.25))
    same = Validator.fit(human, scaling, alike)
    other = Validator.fit(human, scaling, replace(config, evaluation=DetectorEvaluationConfig(seed=4)))
    for family in FAMILIES:
        assert torch.equal(same.bots[family].features, validator.bots[family].features)
        assert not torch.equal(other.bots[family].features, validator.bots[family].features)


def test_training_bots_differ_from_validation_bots(human: Canonical, config: DetectorConfig) -> None:
    validated = of_style("straight_constant", human, config.data.canonical, config.evaluation.seed).canonical
    again = of_style("straight_constant", human, config.data.canonical, config.evaluation.seed).canonical
    assert_same_movements(validated, again)
    trained = of_style("straight_constant", human, config.data.canonical, config.seed).canonical
    assert not torch.equal(validated.deltas, trained.deltas)


# metrics


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_their_definition_in_plain_loops(
    config: DetectorConfig, scaling: Scaling, seed: int, ties: bool
) -> None:
    found = case(config, scaling, seed, ties)
    human, bots = found.human.tolist(), {family: scores.tolist() for family, scores in found.bots.items()}
    missed = {family: fnr_by_definition(human, scores, FPR) for family, scores in bots.items()}
    areas = {family: area_by_definition(human, scores) for family, scores in bots.items()}
    seen = [family for family in FAMILIES if family not in UNSEEN]
    expected = {
        **{names.family_fnr(family): value for family, value in missed.items()},
        names.VAL_FNR_WORST_UNSEEN: max(missed[family] for family in UNSEEN),
        names.VAL_FNR_UNSEEN: sum(missed[family] for family in UNSEEN) / len(UNSEEN),
        names.VAL_UNSEEN_AUC: sum(areas[family] for family in UNSEEN) / len(UNSEEN),
        names.VAL_FNR_SEEN: sum(missed[family] for family in seen) / len(seen),
        names.VAL_SEEN_AUC: sum(areas[family] for family in seen) / len(seen),
    }
    calibration = {names.VAL_BRIER, names.VAL_CALIBRATION_ERROR}
    assert set(found.metrics) == set(expected) | calibration
    for name, value in expected.items():
        assert found.metrics[name] == pytest.approx(value, abs=1e-12), name
    assert all(name in DIRECTIONS for name in found.metrics if not name.startswith("val/fnr/"))


def test_the_threshold_is_fitted_on_users_alone(config: DetectorConfig, scaling: Scaling) -> None:
    """Other scores of one family change its own FNR and the means that contain it."""
    one = case(config, scaling)
    worse = one.bots["spline"] - 100.0
    other = case(config, scaling, changes={"spline": worse})
    assert other.metrics[names.family_fnr("spline")] == 1.0
    for family in FAMILIES:
        if family != "spline":
            assert other.metrics[names.family_fnr(family)] == one.metrics[names.family_fnr(family)]


def test_seen_families_do_not_affect_the_metrics_of_unseen_ones(config: DetectorConfig, scaling: Scaling) -> None:
    one = case(config, scaling)
    seen = next(family for family in FAMILIES if family not in UNSEEN)
    other = case(config, scaling, changes={seen: one.bots[seen] - 100.0})
    for name in (names.VAL_FNR_WORST_UNSEEN, names.VAL_FNR_UNSEEN, names.VAL_UNSEEN_AUC):
        assert other.metrics[name] == one.metrics[name]
    assert other.metrics[names.VAL_FNR_SEEN] > one.metrics[names.VAL_FNR_SEEN]
    assert other.metrics[names.VAL_SEEN_AUC] < one.metrics[names.VAL_SEEN_AUC]
    other = case(config, scaling, changes={"pid": one.bots["pid"] - 100.0})
    assert other.metrics[names.VAL_FNR_WORST_UNSEEN] == 1.0
    for name in (
        names.VAL_FNR_SEEN,
        names.VAL_SEEN_AUC,
        names.VAL_BRIER,
        names.VAL_CALIBRATION_ERROR,
    ):
        assert other.metrics[name] == one.metrics[name]
    assert other.temperature == one.temperature


def test_without_held_out_families_there_are_no_metrics_of_unseen_ones(
    validator: Validator, config: DetectorConfig, scaling: Scaling
) -> None:
    torch.manual_seed(0)
    detector = Detector(Lookup(torch.randn(2)), scaling, config.data.canonical)
    whole = {family: inputs._replace(features=inputs.features * 0) for family, inputs in validator.bots.items()}
    human = validator.human._replace(features=validator.human.features * 0)
    _, metrics = Validator(human, validator.source, whole, (), FPR)(detector)
    assert not {names.VAL_FNR_WORST_UNSEEN, names.VAL_FNR_UNSEEN, names.VAL_UNSEEN_AUC} & set(metrics)
    _, metrics = Validator(human, validator.source, whole, tuple(FAMILIES), FPR)(detector)
    assert not {names.VAL_FNR_SEEN, names.VAL_SEEN_AUC} & set(metrics)
    assert metrics[names.VAL_UNSEEN_AUC] == 0.5  # all scores are equal
    assert metrics[names.VAL_FNR_WORST_UNSEEN] == 1.0


def test_each_of_several_sources_has_its_false_positives_and_its_own_headline(
    config: DetectorConfig, scaling: Scaling
) -> None:
    """Users of the second score higher: they are flagged at the common threshold, and hide bots at their own."""
    count, styles = 60, 2
    source = tuple("first" if row % 3 else "second" for row in range(count))
    random = torch.Generator().manual_seed(4)
    shift = torch.tensor([0.0 if name == "first" else 2.0 for name in source])
    scores = {"human": torch.randn(count, generator=random) + shift}
    scores |= {family: torch.randn(styles * count, generator=random) + 1.0 for family in FAMILIES}
    starts = [0, *torch.tensor([len(part) for part in scores.values()]).cumsum(0).tolist()]
    inputs = {name: inputs_at(start, len(part)) for start, (name, part) in zip(starts, scores.items(), strict=False)}
    detector = Detector(Lookup(torch.cat([*scores.values()])), scaling, config.data.canonical)
    families = {family: inputs[family] for family in FAMILIES}
    _, found = Validator(inputs["human"], source, families, UNSEEN, FPR)(detector)
    threshold = sorted(scores["human"].tolist())[-int(FPR * count) - 1]
    for name in ("first", "second"):
        rows = [row for row in range(count) if source[row] == name]
        human = scores["human"][rows].tolist()
        bots = {family: scores[family].view(styles, count)[:, rows].flatten().tolist() for family in UNSEEN}
        flagged = sum(score > threshold for score in human) / len(human)
        assert found[names.of_source(names.VAL_FPR, name)] == pytest.approx(flagged)
        worst = max(fnr_by_definition(human, of_family, FPR) for of_family in bots.values())
        assert found[names.of_source(names.VAL_FNR_WORST_UNSEEN, name)] == pytest.approx(worst)
    assert found[names.of_source(names.VAL_FPR, "first")] < found[names.of_source(names.VAL_FPR, "second")]


# calibration


def log_loss(logits: list[float], labels: list[bool], temperature: float) -> float:
    """Cross-entropy with the labels of a fit, of which none is quite 0 or 1: (n + 1) / (n + 2) of n rows of a kind."""
    bots, human = sum(labels), len(labels) - sum(labels)
    total = 0.0
    for z, bot in zip(logits, labels, strict=True):
        y = (bots + 1) / (bots + 2) if bot else 1 / (human + 2)
        total += y * math.log1p(math.exp(-z / temperature)) + (1 - y) * math.log1p(math.exp(z / temperature))
    return total / len(labels)


def test_the_temperature_maximises_the_likelihood_of_users_and_as_many_seen_bots(
    config: DetectorConfig, scaling: Scaling
) -> None:
    """Twice the logits give twice the temperature, and no other one is better on the rows of the fit."""
    one = case(config, scaling)
    doubled = case(config, scaling, changes={name: 2 * z for name, z in {"human": one.human, **one.bots}.items()})
    assert doubled.temperature == pytest.approx(2 * one.temperature, rel=1e-6)
    for name, value in one.metrics.items():
        assert doubled.metrics[name] == pytest.approx(value, abs=1e-9), name
    seen = [z for name, z in one.bots.items() if name not in UNSEEN]
    share = -(-40 // len(seen))
    logits, labels = one.human.tolist(), [False] * 40
    for z in seen:
        step = max(len(z) // share, 1)
        drawn = [z.tolist()[k] for k in range(0, len(z), step)][:share]
        logits, labels = logits + drawn, labels + [True] * len(drawn)
    best = log_loss(logits, labels, one.temperature)
    for factor in (0.5, 0.9, 0.99, 1.01, 1.1, 2.0):
        assert log_loss(logits, labels, factor * one.temperature) > best


def test_brier_and_calibration_error_are_those_of_calibrated_probabilities(
    config: DetectorConfig, scaling: Scaling
) -> None:
    """A perfect detector has hardly any of either; one without information, a Brier score of one quarter."""
    sure = {name: torch.full((10 + 7 * (k + 1),), 50.0) for k, name in enumerate(FAMILIES)}
    found = case(config, scaling, changes={"human": torch.full((40,), -50.0), **sure})
    assert found.metrics[names.VAL_BRIER] == pytest.approx(
        1 / 42**2, rel=0.1
    )  # smoothed labels of 40 humans and 42 bots
    assert found.metrics[names.VAL_CALIBRATION_ERROR] == pytest.approx(1 / 42, rel=0.1)
    undecided = {name: torch.zeros(10 + 7 * (k + 1)) for k, name in enumerate(FAMILIES)}
    found = case(config, scaling, changes={"human": torch.zeros(40), **undecided})
    assert found.metrics[names.VAL_BRIER] == pytest.approx(0.25)


def test_every_style_is_in_an_evaluated_family() -> None:
    assert sorted(style for styles in FAMILIES.values() for style in styles) == sorted(BOTS)
