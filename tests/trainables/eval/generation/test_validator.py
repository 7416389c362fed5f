"""The evaluation during training: the same for all trials, chance on human movements, high on all others."""

from collections.abc import Iterator
from dataclasses import replace
from statistics import median, stdev
from typing import Any

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.data.canonical import Canonical, encode, with_deltas
from trainables.data.config import MEASURED_CONDITIONS, CanonicalConfig, DataConfig
from trainables.data.dataset import DataSplits, load_splits
from trainables.data.representation import REPRESENTATIONS
from trainables.eval.features.kinematic import movement_features
from trainables.eval.generation.config import EvaluationConfig
from trainables.eval.generation.validator import Validator
from trainables.eval.metrics import PROBES, median_distance
from trainables.physical.minimum_jerk import MinimumJerk
from trainables.training import metric_names as names

FORM = CanonicalConfig()
LIMITS = {  # of the null: mean over 30 splits, their standard deviation
    names.VAL_PRD_PRECISION: (0.959, 0.009),
    names.VAL_PRD_RECALL: (0.963, 0.011),
    names.VAL_PRECISION: (0.901, 0.024),
    names.VAL_RECALL: (0.882, 0.032),
    names.VAL_DENSITY: (1.010, 0.093),
    names.VAL_COVERAGE: (0.973, 0.013),
    names.VAL_MEMORISATION: (1.012, 0.088),
    names.VAL_MEMORISED_SHARE: (0.015, 0.015),
}
ERRORS = {names.VAL_CONDITION_ERROR, *map(names.condition_error, MEASURED_CONDITIONS)}
TESTS = {names.VAL_C2ST, names.VAL_C2ST_AUC, names.VAL_C2ST_EXCESS, names.VAL_MMD}
METRICS = TESTS | set(LIMITS) | ERRORS | {names.VAL_REJECTED, names.VAL_COPIED_SHARE}
CONFIG = EvaluationConfig(movements=160)
UNEASY = 0.64  # four standard deviations above 0.5, see the test of the null


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return load_splits(DataConfig())


@pytest.fixture(scope="module")
def whole() -> DataSplits:
    """Return splits with all movements of a user, of which halves have 160 rows a class, as the nulls below."""
    return load_splits(DataConfig(rows_per_user=1000))


@pytest.fixture(scope="module")
def validator(splits: DataSplits) -> Validator:
    return Validator.fit(splits["validation"], splits["train"], FORM, CONFIG)


def halves(split: Canonical, seed: int) -> Iterator[Canonical]:
    order = torch.randperm(len(split), generator=torch.Generator().manual_seed(seed))
    yield from (split.take(rows) for rows in order.chunk(2))


def smooth(like: Canonical) -> Canonical:
    """Return machine movements under human conditions: perfect minimum-jerk profiles."""
    machine = MinimumJerk(submovements=1, endpoint_noise=0.0, motor_noise=0.0, tremor_px_s=0.0)
    return encode(machine(like, torch.Generator().manual_seed(0)), FORM)


# null and alternative


def test_human_movements_are_indistinguishable_from_those_of_the_same_users(whole: DataSplits) -> None:
    """Null: random halves of the validation split, 160 rows a class, ten splits.

    Over 30 splits the accuracy has mean 0.499 and s.d. 0.032, the MMD -0.0002 and 0.0013. Limits are 4 s.d. for one
    split (false failure of ten: 3e-4) and for the means of ten (6e-5 each).
    """
    accuracies, distances = [], []
    for seed in range(10):
        one, other = halves(whole["validation"], seed)
        fitted = Validator.fit(one, whole["train"], FORM, CONFIG)
        found = fitted(other.take(torch.arange(len(fitted.held_out))))
        accuracies.append(found[names.VAL_C2ST])
        distances.append(found[names.VAL_MMD])
        assert found[names.VAL_REJECTED] == 0.0
        assert found[names.VAL_C2ST_EXCESS] == max(0.0, accuracies[-1] - 0.5)
    assert min(accuracies) < 0.5 < max(accuracies) < UNEASY
    assert abs(sum(accuracies) / 10 - 0.5) < 0.045
    assert abs(sum(distances) / 10) < 0.003


def test_human_movements_score_as_human_by_every_other_metric(whole: DataSplits) -> None:
    """Null of the metrics in `LIMITS`, three other splits; 4.5 s.d. each (false failure of all 24 reads: 2e-4)."""
    for seed in range(100, 103):
        one, other = halves(whole["validation"], seed)
        fitted = Validator.fit(one, whole["train"], FORM, CONFIG)
        found = fitted(other.take(torch.arange(len(fitted.held_out))))
        for name, (mean, std) in LIMITS.items():
            assert abs(found[name] - mean) < 4.5 * std, name


def test_machine_movements_are_distinguished_from_human_ones(validator: Validator) -> None:
    """Alternative: the same conditions, other movements."""
    found = validator(smooth(validator.held_out))
    assert found[names.VAL_C2ST] > 0.9
    assert found[names.VAL_C2ST_AUC] > 0.95
    assert found[names.VAL_MMD] > 0.1
    for name in (names.VAL_PRD_RECALL, names.VAL_RECALL, names.VAL_COVERAGE):
        assert found[name] < 0.5


def test_a_generator_with_few_ideas_loses_recall_and_coverage_but_no_precision(validator: Validator) -> None:
    """Sixteen human movements, ten times each: every one is realistic."""
    found = validator(validator.held_out.take(torch.arange(160) // 10 * 10))
    assert found[names.VAL_PRECISION] == 1.0
    assert found[names.VAL_RECALL] < 0.3
    assert found[names.VAL_COVERAGE] < 0.6


def test_copies_of_training_movements_are_called_so(splits: DataSplits, validator: Validator) -> None:
    """They pass the tests of realism, which is why this one stands beside them."""
    rows = torch.randperm(len(splits["train"]), generator=torch.Generator().manual_seed(0))[:160]
    found = validator(replace(splits["train"].take(rows), group=validator.held_out.group))
    assert found[names.VAL_C2ST] < UNEASY
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
    fitted = Validator.fit(replace(human, target_width_px=width_px), splits["train"], FORM, CONFIG)
    assert not bool(fitted.held_out.condition()[:, -1].isnan().all())
    assert fitted(smooth(fitted.held_out)) == validator(smooth(validator.held_out))


def test_samples_of_other_conditions_miss_each_of_them(validator: Validator) -> None:
    rows = torch.randperm(160, generator=torch.Generator().manual_seed(0))
    found = validator(replace(validator.held_out.take(rows), group=validator.held_out.group))
    assert all(found[name] > 0.3 for name in ERRORS)


@pytest.mark.parametrize("representation", list(REPRESENTATIONS))
def test_the_movements_keep_their_users_in_every_representation(representation: str) -> None:
    """A model's form differs from that of the evaluation: observed movements survive either."""
    data = DataConfig(canonical=CanonicalConfig(representation))
    splits = load_splits(data)
    fitted = Validator.fit(splits["validation"], splits["train"], data.canonical, CONFIG)
    found = fitted(fitted.held_out)
    assert fitted.observed.deltas.shape[2] == 2
    assert [found[name] for name in sorted(ERRORS)] == [0.0] * len(ERRORS)
    assert (
        found[names.VAL_C2ST_EXCESS],
        found[names.VAL_REJECTED],
        found[names.VAL_MEMORISATION],
    ) == (0.0, 0.0, 1.0)


def test_a_small_difference_reads_smaller_than_a_large_one(validator: Validator) -> None:
    """A quarter of machine movements among human ones, half, and machine movements only."""
    human, machines = validator.held_out, smooth(validator.held_out)
    readings = []
    for share in (0.0, 0.25, 0.5, 1.0):
        machine = torch.rand(len(human), generator=torch.Generator().manual_seed(1)) < share
        mixed = torch.where(machine[:, None, None], machines.deltas, human.deltas)
        found = validator(with_deltas(human, mixed))
        readings.append((found[names.VAL_C2ST], found[names.VAL_MMD]))
    assert readings == sorted(readings)
    assert readings[0][0] <= 0.5


def test_the_floor_is_that_of_real_against_real(validator: Validator) -> None:
    floor = validator.floor()
    assert 0.42 < floor.mean < 0.56
    assert 0.0 < floor.std < 0.08
    assert floor.high < validator(smooth(validator.held_out))[names.VAL_C2ST]


def test_other_users_resemble_users_more_than_machines_do(validator: Validator, splits: DataSplits) -> None:
    """The C2ST against users of another split is above chance, but below that against synthetic movements."""
    assert 0.4 < validator.c2st_against(splits["test"]) < 0.8
    assert validator.c2st_against(smooth(splits["test"])) > 0.85


# common to all trials


def test_the_same_samples_get_the_same_numbers(splits: DataSplits, validator: Validator) -> None:
    torch.rand(5)
    again = Validator.fit(splits["validation"], splits["train"], FORM, CONFIG)
    fake = smooth(validator.held_out)
    assert dict(again(fake)) == dict(validator(fake)) == dict(validator(fake))
    assert again.floor() == validator.floor()


def test_the_compared_movements_are_held_out_ones_without_repetition(splits: DataSplits, validator: Validator) -> None:
    held_out = [tuple(row.flatten().tolist()) for row in splits["validation"].deltas]
    compared = [tuple(row.flatten().tolist()) for row in validator.held_out.deltas]
    assert len(compared) == 160
    assert set(compared) <= set(held_out)
    places = [held_out.index(row) for row in compared]
    assert places == sorted(places)
    other = Validator.fit(splits["validation"], splits["train"], FORM, replace(CONFIG, seed=1)).held_out
    assert not torch.equal(other.deltas, validator.held_out.deltas)


def test_more_than_there_are_is_all_there_are(splits: DataSplits) -> None:
    compared = Validator.fit(splits["validation"], splits["train"], FORM, EvaluationConfig()).held_out
    assert torch.equal(compared.deltas, splits["validation"].deltas)


def test_sigma_is_fixed_on_standardised_real_features(validator: Validator) -> None:
    features = movement_features(validator.held_out.deltas, validator.held_out.mask)
    varying = features[:, features.std(dim=0) > 1e-6]
    scaled = (varying - varying.mean(dim=0)) / varying.std(dim=0, correction=0)
    assert validator.sigma == pytest.approx(median_distance(scaled), rel=1e-9)


@pytest.mark.parametrize("probe", list(PROBES))
def test_every_probe_can_be_used(splits: DataSplits, probe: str) -> None:
    fitted = Validator.fit(splits["validation"], splits["train"], FORM, replace(CONFIG, folds=2, probe=probe))
    found = fitted(smooth(fitted.held_out))
    assert set(found) == METRICS
    assert found[names.VAL_C2ST_EXCESS] == max(0.0, found[names.VAL_C2ST] - 0.5) > 0.2


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


@pytest.mark.parametrize("count", [1, 8, 80])
def test_samples_that_do_not_move_are_counted_and_left_out(validator: Validator, count: int) -> None:
    found = validator(still(validator.held_out, count))
    assert found[names.VAL_REJECTED] == pytest.approx(count / 160)
    assert found[names.VAL_C2ST] < UNEASY


def test_if_most_samples_do_not_move_the_rejected_share_is_the_only_metric(validator: Validator) -> None:
    assert names.VAL_C2ST in validator(still(validator.held_out, 80))
    assert validator(still(validator.held_out, 81)) == {names.VAL_REJECTED: pytest.approx(81 / 160)}


@pytest.mark.parametrize(("key", "value"), [("movements", 39), ("folds", 1), ("probe", "oracle")])
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
    assert metrics[names.VAL_C2ST] <= 0.5  # what is left equals the real part row by row


def test_too_few_held_out_movements_are_refused(splits: DataSplits) -> None:
    few = splits["validation"].take(torch.arange(39))
    with pytest.raises(ConfigError, match=r"^expected `held-out movements >= 40`, but got 39; read more"):
        Validator.fit(few, splits["train"], FORM, CONFIG)


def test_training_movements_are_no_reference_of_held_out_ones(splits: DataSplits) -> None:
    with pytest.raises(ValueError, match="remove the movements that are in both splits"):
        Validator.fit(splits["train"], splits["train"], FORM, CONFIG)


def test_another_number_of_samples_is_refused(validator: Validator) -> None:
    with pytest.raises(ConfigError, match="one per row"):
        validator(validator.held_out.take(torch.arange(100)))
