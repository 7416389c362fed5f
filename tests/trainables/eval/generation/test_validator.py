"""The evaluation during training: the same for all trials, chance on human movements, high on all others."""

from collections.abc import Iterator
from dataclasses import replace
from statistics import median, stdev
from typing import Any

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical, concatenate, encode, with_deltas
from trainables.data.config import MEASURED_CONDITIONS, CanonicalConfig, DataConfig
from trainables.data.representation import REPRESENTATIONS
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.eval.features.kinematic import movement_features
from trainables.eval.generation.config import HEADLINE_PROBES, EvaluationConfig
from trainables.eval.generation.matching import matched_rows
from trainables.eval.generation.validator import Validator
from trainables.eval.metrics import median_distance
from trainables.physical.minimum_jerk import MinimumJerk
from trainables.training import metric_names as names

FORM = CanonicalConfig()
LIMITS = {  # of the null: mean over 30 splits, their standard deviation
    names.VAL_PRD_PRECISION: (0.947, 0.013),
    names.VAL_PRD_RECALL: (0.948, 0.010),
    names.VAL_PRECISION: (0.893, 0.028),
    names.VAL_RECALL: (0.885, 0.022),
    names.VAL_DENSITY: (1.013, 0.084),
    names.VAL_COVERAGE: (0.973, 0.020),
    names.VAL_MEMORISATION: (0.994, 0.071),
    names.VAL_MEMORISED_SHARE: (0.020, 0.013),
}
ERRORS = {names.VAL_CONDITION_ERROR, *map(names.condition_error, MEASURED_CONDITIONS)}
OF_PROBES = {
    of(probe) for probe in HEADLINE_PROBES for of in (names.probe_auc, names.probe_accuracy, names.probe_floor)
}
TESTS = {names.VAL_AUC_EXCESS, names.VAL_MMD} | OF_PROBES
METRICS = TESTS | set(LIMITS) | ERRORS | {names.VAL_REJECTED, names.VAL_COPIED_SHARE}
ROWS = 120
CONFIG = EvaluationConfig(movements=ROWS)
UNEASY = 0.17  # see the test of the null
QUICK = replace(CONFIG, probes=("features",))


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return load_splits(DataConfig())


@pytest.fixture(scope="module")
def validator(splits: DataSplits) -> Validator:
    """With one probe, for laws that hold for any."""
    return Validator.fit(splits["validation"], splits["train"], FORM, QUICK)


@pytest.fixture(scope="module")
def complete(splits: DataSplits) -> Validator:
    return Validator.fit(splits["validation"], splits["train"], FORM, CONFIG)


def evaluated(splits: DataSplits) -> Canonical:
    """All movements of users who were not trained on."""
    return concatenate(concatenate(splits["validation"], splits["test"]), splits["holdout"])


def halves(split: Canonical, seed: int) -> Iterator[Canonical]:
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    yield from (split.take(rows) for rows in order.chunk(2))


def smooth(like: Canonical) -> Canonical:
    """Return machine movements under human conditions: perfect minimum-jerk profiles."""
    machine = MinimumJerk(submovements=1, endpoint_noise=0.0, motor_noise=0.0, tremor_px_s=0.0)
    return encode(machine(like, torch.Generator().manual_seed(0)), FORM)


# null and alternative


def test_other_users_read_the_floor(complete: Validator, splits: DataSplits) -> None:
    """Null: users of the other splits, who were neither trained on nor evaluated, in the place of samples.

    Over seven choices of the rows the excess has mean -0.02 and s.d. 0.042; the limit is four of it above zero (false
    failure below 3e-5). Users of a small split may read less than the floor by any amount.
    """
    unseen = concatenate(splits["test"], splits["holdout"])
    found = complete(unseen.take(matched_rows(complete.held_out, unseen)))
    assert found[names.VAL_AUC_EXCESS] < UNEASY
    aucs = [(found[names.probe_auc(probe)], found[names.probe_floor(probe)]) for probe in HEADLINE_PROBES]
    assert found[names.VAL_AUC_EXCESS] == max(auc - floor for auc, floor in aucs)


def test_users_score_as_users_by_every_other_metric(splits: DataSplits) -> None:
    """Null of the metrics in `LIMITS`, three halvings; 4.5 s.d. each (false failure of all 24 reads: 2e-4)."""
    for seed in range(100, 103):
        one, other = halves(evaluated(splits), seed)
        fitted = Validator.fit(one, splits["train"], FORM, QUICK)
        found = fitted(other.take(matched_rows(fitted.held_out, other)))
        for name, (mean, std) in LIMITS.items():
            assert abs(found[name] - mean) < 4.5 * std, name


def test_machine_movements_are_distinguished_from_human_ones(complete: Validator) -> None:
    """Alternative: the same conditions, other movements."""
    found = complete(smooth(complete.held_out))
    assert found[names.VAL_AUC_EXCESS] > 0.4
    for probe in HEADLINE_PROBES:
        assert found[names.probe_auc(probe)] > 0.95
        assert found[names.probe_accuracy(probe)] > 0.9
    assert found[names.VAL_MMD] > 0.1
    for name in (names.VAL_PRD_RECALL, names.VAL_RECALL, names.VAL_COVERAGE):
        assert found[name] < 0.5


def test_a_generator_with_few_ideas_loses_recall_and_coverage_but_no_precision(validator: Validator) -> None:
    """Fifteen human movements, eight times each: every one is realistic."""
    found = validator(validator.held_out.take(torch.arange(ROWS) // 8 * 8))
    assert found[names.VAL_PRECISION] == 1.0
    assert found[names.VAL_RECALL] < 0.3
    assert found[names.VAL_COVERAGE] < 0.75


def test_copies_of_training_movements_are_called_so(splits: DataSplits, validator: Validator) -> None:
    """They pass the tests of realism, which is why this one stands beside them."""
    rows = torch.randperm(len(splits["train"]), generator=torch.Generator().manual_seed(0))[:ROWS]
    found = validator(replace(splits["train"].take(rows), group=validator.held_out.group))
    assert found[names.VAL_AUC_EXCESS] < UNEASY
    assert found[names.VAL_MEMORISATION] == 0.0
    assert found[names.VAL_MEMORISED_SHARE] == 1.0


# conditions


def test_the_condition_error_is_the_median_in_standard_deviations_of_the_training_split(
    splits: DataSplits, validator: Validator
) -> None:
    produced = smooth(validator.held_out)
    found, training = validator(produced), splits["train"].condition()
    errors = []
    for i, name in enumerate(MEASURED_CONDITIONS):
        miss = (produced.condition()[:, i] - validator.held_out.condition()[:, i]).abs().tolist()
        errors.append(median(miss) / stdev(training[:, i].tolist()))
        assert found[names.condition_error(name)] == pytest.approx(errors[-1], rel=1e-9, abs=1e-12)
    assert found[names.VAL_CONDITION_ERROR] == pytest.approx(sum(errors) / len(errors))
    assert found[names.condition_error("log1p_turning_rad")] > 0.5
    assert found[names.condition_error("log_duration_s")] == 0.0


def test_a_target_width_is_nothing_that_a_movement_shows(splits: DataSplits, validator: Validator) -> None:
    human = splits["validation"]
    width_px = torch.linspace(5.0, 50.0, len(human), dtype=torch.float64)
    width_px[::3] = torch.nan
    fitted = Validator.fit(replace(human, target_width_px=width_px), splits["train"], FORM, QUICK)
    assert not bool(fitted.held_out.condition()[:, -1].isnan().all())
    assert fitted(smooth(fitted.held_out)) == validator(smooth(validator.held_out))


def test_samples_of_other_conditions_miss_each_of_them(validator: Validator) -> None:
    rows = torch.randperm(ROWS, generator=torch.Generator().manual_seed(0))
    found = validator(replace(validator.held_out.take(rows), group=validator.held_out.group))
    assert all(found[name] > 0.3 for name in ERRORS)


@pytest.mark.parametrize("representation", list(REPRESENTATIONS))
def test_the_movements_keep_their_users_in_every_representation(representation: str) -> None:
    """A model's form differs from that of the evaluation: observed movements survive either."""
    data = DataConfig(canonical=CanonicalConfig(representation))
    splits = load_splits(data)
    fitted = Validator.fit(splits["validation"], splits["train"], data.canonical, QUICK)
    found = fitted(fitted.held_out)
    assert fitted.observed.deltas.shape[2] == 2
    assert [found[name] for name in sorted(ERRORS)] == [0.0] * len(ERRORS)
    assert (found[names.VAL_REJECTED], found[names.VAL_MEMORISATION]) == (0.0, 1.0)
    assert found[names.probe_auc("features")] == 0.5


def test_a_small_difference_reads_smaller_than_a_large_one(validator: Validator) -> None:
    """A quarter of machine movements among human ones, half, and machine movements only."""
    human, machines = validator.held_out, smooth(validator.held_out)
    readings = []
    for share in (0.0, 0.25, 0.5, 1.0):
        machine = torch.rand(len(human), generator=torch.Generator().manual_seed(1)) < share
        mixed = torch.where(machine[:, None, None], machines.deltas, human.deltas)
        found = validator(with_deltas(human, mixed))
        readings.append((found[names.VAL_AUC_EXCESS], found[names.VAL_MMD]))
    assert readings == sorted(readings)
    assert readings[0][0] < 0.0


def test_the_band_of_no_difference_holds_other_users_and_not_machines(validator: Validator, splits: DataSplits) -> None:
    band = validator.no_difference()
    assert band.low < 0.0 < band.high < 0.3
    assert abs(band.mean) < 1e-12  # with one probe; of several the largest counts
    assert band.high < validator(smooth(validator.held_out))[names.VAL_AUC_EXCESS]


def test_the_floor_is_the_auc_of_training_users_of_like_conditions(complete: Validator) -> None:
    """They move for about as long and as far, in the source of each evaluated movement; they are in no other pair."""
    found = complete(complete.others)
    for probe in HEADLINE_PROBES:
        assert found[names.probe_auc(probe)] == found[names.probe_floor(probe)]
    assert found[names.VAL_AUC_EXCESS] == 0.0
    assert complete.others.source == complete.held_out.source
    assert not set(complete.others.group) & set(complete.held_out.group)
    far = (complete.others.distance_px.log() - complete.held_out.distance_px.log()).abs()
    assert float(far.median()) < 0.3


# common to all trials


def test_the_same_samples_get_the_same_numbers(splits: DataSplits, validator: Validator) -> None:
    torch.rand(5)
    again = Validator.fit(splits["validation"], splits["train"], FORM, QUICK)
    fake = smooth(validator.held_out)
    assert dict(again(fake)) == dict(validator(fake)) == dict(validator(fake))
    assert again.no_difference() == validator.no_difference()


def test_the_compared_movements_are_held_out_ones_without_repetition(splits: DataSplits, validator: Validator) -> None:
    held_out = [tuple(row.flatten().tolist()) for row in splits["validation"].deltas]
    compared = [tuple(row.flatten().tolist()) for row in validator.held_out.deltas]
    assert len(compared) == ROWS
    assert set(compared) <= set(held_out)
    places = [held_out.index(row) for row in compared]
    assert places == sorted(places)
    other = Validator.fit(splits["validation"], splits["train"], FORM, replace(QUICK, seed=1)).held_out
    assert not torch.equal(other.deltas, validator.held_out.deltas)


def test_more_than_there_are_is_all_there_are(splits: DataSplits) -> None:
    compared = Validator.fit(splits["validation"], splits["train"], FORM, replace(QUICK, movements=512)).held_out
    assert torch.equal(compared.deltas, splits["validation"].deltas)


def test_of_a_source_no_more_are_evaluated_than_training_users_moved(splits: DataSplits) -> None:
    named = [row for row, source in enumerate(splits["train"].source) if source == "sapimouse"]
    few = splits["train"].take(torch.tensor(named[:50]))
    assert len(Validator.fit(splits["validation"], few, FORM, QUICK).held_out) == 50
    other = replace(few, source=("elsewhere",) * 50)
    with pytest.raises(
        ConfigError, match=r"^expected movements of training users of sapimouse, .*, but got 0; train on"
    ):
        Validator.fit(splits["validation"], other, FORM, QUICK)


def test_sigma_is_fixed_on_standardised_real_features(validator: Validator) -> None:
    features = movement_features(validator.held_out.deltas, validator.held_out.mask)
    varying = features[:, features.std(dim=0) > 1e-6]
    scaled = (varying - varying.mean(dim=0)) / varying.std(dim=0, correction=0)
    [part] = validator.by_source.values()
    assert part.sigma == pytest.approx(median_distance(scaled), rel=1e-9)


@pytest.mark.parametrize("probe", HEADLINE_PROBES)
def test_a_chosen_probe_is_the_only_one(splits: DataSplits, complete: Validator, probe: str) -> None:
    fitted = Validator.fit(splits["validation"], splits["train"], FORM, replace(CONFIG, probes=(probe,)))
    machines = smooth(complete.held_out)
    found, everything = fitted(machines), complete(machines)
    own = {names.probe_auc(probe), names.probe_accuracy(probe), names.probe_floor(probe)}
    assert set(found) == METRICS - OF_PROBES | own
    assert {name: found[name] for name in own} == {name: everything[name] for name in own}
    assert found[names.VAL_AUC_EXCESS] == found[names.probe_auc(probe)] - found[names.probe_floor(probe)]


# samples are observed before they are evaluated


def test_a_difference_below_a_pixel_does_not_count(validator: Validator) -> None:
    """A tenth of a pixel vanishes in whole pixels; without observation it would give every sample away."""
    random = torch.Generator().manual_seed(0)
    pixels = (torch.rand(validator.held_out.deltas.shape, generator=random, dtype=torch.float64) - 0.5) * 0.2
    noise = pixels / validator.held_out.distance_px[:, None, None] * validator.held_out.mask[..., None]
    disturbed = with_deltas(validator.held_out, validator.held_out.deltas + noise)
    assert dict(validator(disturbed)) == dict(validator(validator.held_out))


def still(compared: Canonical, count: int) -> Canonical:
    """`count` of them, spread over all users, do not move."""
    deltas = compared.deltas.clone()
    deltas[torch.linspace(0, len(compared) - 1, count).long()] = 0.0
    return with_deltas(compared, deltas)


@pytest.mark.parametrize("count", [1, 8, ROWS // 2])
def test_samples_that_do_not_move_are_counted_and_left_out(validator: Validator, count: int) -> None:
    found = validator(still(validator.held_out, count))
    assert found[names.VAL_REJECTED] == pytest.approx(count / ROWS)
    assert found[names.VAL_AUC_EXCESS] < UNEASY


def test_if_most_samples_do_not_move_the_rejected_share_is_the_only_metric(validator: Validator) -> None:
    assert names.VAL_AUC_EXCESS in validator(still(validator.held_out, ROWS // 2))
    assert validator(still(validator.held_out, ROWS // 2 + 1)) == {
        names.VAL_REJECTED: pytest.approx((ROWS // 2 + 1) / ROWS)
    }


@pytest.mark.parametrize(("key", "value"), [("movements", 39), ("folds", 1)])
def test_a_config_checks_itself(key: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"{key}={value}"):
        replace(CONFIG, **{key: value})


@pytest.mark.parametrize("value", [0.0, float("inf"), float("nan")])
def test_samples_that_are_no_movements_are_all_counted(validator: Validator, value: float) -> None:
    none = with_deltas(validator.held_out, torch.full_like(validator.held_out.deltas, value))
    assert validator(none) == {names.VAL_REJECTED: 1.0}


def test_rejected_samples_are_left_out_with_the_movements_that_they_match(validator: Validator) -> None:
    """Even where they are all of one user: the folds then contain the other users, real and fake."""
    owner = validator.held_out.group[0]
    theirs = torch.tensor([group == owner for group in validator.held_out.group])
    deltas = validator.held_out.deltas.clone()
    deltas[theirs] = 0.0
    metrics = validator(with_deltas(validator.held_out, deltas))
    assert metrics[names.VAL_REJECTED] == pytest.approx(theirs.double().mean().item())
    assert metrics[names.probe_auc("features")] == 0.5  # what is left equals the real part row by row


def test_too_few_held_out_movements_are_refused(splits: DataSplits) -> None:
    few = splits["validation"].take(torch.arange(39))
    with pytest.raises(
        ConfigError, match=r"^expected `held-out movements with as many of training users >= 40`, but got 39; read"
    ):
        Validator.fit(few, splits["train"], FORM, CONFIG)


def test_training_movements_are_no_reference_of_held_out_ones(splits: DataSplits) -> None:
    with pytest.raises(ValueError, match="remove the movements that are in both splits"):
        Validator.fit(splits["train"], splits["train"], FORM, CONFIG)


def test_another_number_of_samples_is_refused(validator: Validator) -> None:
    with pytest.raises(ConfigError, match="one per row"):
        validator(validator.held_out.take(torch.arange(100)))
