"""The training set: alpha 0 is the real movements, any other alpha an exact count behind them; each pass varies the
real movements, and none the generated ones.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pad

from tests.serve import published
from trainables.augmentation import training_set as augment
from trainables.augmentation.config import AugmentationConfig
from trainables.augmentation.generators import GENERATORS
from trainables.augmentation.training_set import TrainingSet, generate, training_set, training_set_with
from trainables.core.config import ConfigError, build
from trainables.core.seeding import generator
from trainables.data.augment import AUGMENTATIONS
from trainables.data.balance import BalanceError, generated_count
from trainables.data.canonical import TENSORS, Canonical, Movements, encode
from trainables.data.config import CONDITION_WIDTH, CanonicalConfig, DataConfig, VariationsConfig
from trainables.data.dataset import SequenceDataset
from trainables.data.representation import REPRESENTATIONS, interpolate, prefix_mask
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.eval.features.kinematic import movement_features
from trainables.eval.metrics import classifier_two_sample_test
from trainables.training.checkpoint import CheckpointError

FORM = CanonicalConfig()
names = pytest.mark.parametrize("name", list(GENERATORS))
forms = pytest.mark.parametrize("representation", list(REPRESENTATIONS))
OFF = build(VariationsConfig, {name: {"probability": 0.0} for name in AUGMENTATIONS})
ALL = build(VariationsConfig, {name: {"probability": 1.0} for name in AUGMENTATIONS})


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return load_splits(DataConfig())


Configured = Callable[..., AugmentationConfig]


@pytest.fixture(scope="module")
def configured(tmp_path_factory: pytest.TempPathFactory) -> Configured:
    """A function that names a fitted checkpoint where the generator takes one."""

    @cache
    def fitted(form: CanonicalConfig) -> str:
        config = replace(published.PHYSICAL, data=DataConfig(canonical=form))
        return str(published.physical(tmp_path_factory.mktemp("physical") / "checkpoint", config))

    def made(alpha: float, name: str, form: CanonicalConfig = FORM, **more: VariationsConfig) -> AugmentationConfig:
        return AugmentationConfig(alpha, name, fitted(form) if name == "physical" else "", **more)

    return made


def tensors(dataset: SequenceDataset) -> Iterator[Tensor]:
    yield from (dataset.sequences.z, dataset.sequences.mask, dataset.condition)


def assert_equal(found: Tensor, expected: Tensor) -> None:
    """Bit for bit; unknown is unknown."""
    torch.testing.assert_close(found, expected, rtol=0.0, atol=0.0, equal_nan=True)


@names
def test_alpha_zero_is_the_real_part_bit_for_bit(splits: DataSplits, name: str, configured: Configured) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    for seed in (0, 1):
        found = training_set(splits, FORM, configured(0.0, name), seed).dataset
        expected = SequenceDataset(splits["train"], splits.statistics)
        assert all(map(torch.equal, tensors(found), tensors(expected)))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("name", "alpha"), [*(("minimum_jerk", alpha) for alpha in (0.001, 0.29, 1.0, 1.5)), ("physical", 0.05)]
)
def test_exactly_the_configured_number_is_generated(
    splits: DataSplits, name: str, alpha: float, configured: Configured
) -> None:
    real, found = splits["train"], training_set(splits, FORM, configured(alpha, name), 0)
    count = generated_count(len(real), alpha)
    assert len(found.dataset) == len(real) + count
    assert f"{len(real)} real + {count} generated" in found.balance


@names
def test_the_real_movements_are_first_and_unchanged(splits: DataSplits, name: str, configured: Configured) -> None:
    real = SequenceDataset(splits["train"], splits.statistics)
    found = training_set(splits, FORM, configured(0.1, name), 0).dataset
    for ours, theirs in zip(tensors(found), tensors(real), strict=True):
        assert torch.equal(ours[: len(real)], theirs)
        assert bool(torch.isfinite(ours).all())


@names
def test_generated_movements_have_the_conditions_of_real_ones(
    splits: DataSplits, name: str, configured: Configured
) -> None:
    """Duration, distance, direction and owner belong to one real movement each, and movements are not repeated."""
    real, made = splits["train"], generate(splits, FORM, configured(0.2, name), 0)

    def known(part: Canonical) -> list[tuple[object, ...]]:
        columns = [part.duration_s, part.distance_px, part.angle]
        return [
            (*row, g)
            for row, g in zip(torch.stack(columns, 1).double().round(decimals=6).tolist(), part.group, strict=True)
        ]

    assert set(known(made)) <= set(known(real))
    assert len(set(known(made))) > 0.8 * len(made)
    assert len({tuple(row.flatten().tolist()) for row in made.deltas}) == len(made)


@names
def test_generated_movements_depend_on_the_seed_only(splits: DataSplits, name: str, configured: Configured) -> None:
    config = configured(0.05, name)
    one, same, other = (generate(splits, FORM, config, seed) for seed in (0, 0, 1))
    for k in TENSORS:
        assert_equal(getattr(one, k), getattr(same, k))
    assert not torch.equal(one.distance_px, other.distance_px)


@forms
@names
def test_target_widths_stay_with_their_movements(representation: str, name: str, configured: Configured) -> None:
    """Real ones, varied, in their order; generated ones with the direction of the movement that they match."""
    form = CanonicalConfig(representation, 64)
    known = load_splits(DataConfig(canonical=form))
    real = known["train"].take(torch.arange(80))
    real = replace(real, target_width_px=torch.tensor([math.nan, 12.0, 30.0, 47.0] * 20, dtype=torch.float64))
    wide_splits = replace(known, splits={**known.splits, "train": real})
    training = training_set(wide_splits, form, configured(0.5, name, form, variations=ALL), 0)
    found, _ = training.varied(seeded())
    assert_equal(found.target_width_px, real.target_width_px)
    assert_equal(training.movements.target_width_px, real.target_width_px)
    matched = real.take(torch.randint(80, (40,), generator=generator(0, "augmentation")))
    assert len(set(training.generated.target_width_px.nan_to_num(0.0).tolist())) == 4
    assert_equal(training.generated.target_width_px, matched.target_width_px)
    unknown = training.fresh(seeded()).condition[:, CONDITION_WIDTH - 1] == 0
    assert torch.equal(unknown, torch.cat([real.target_width_px, matched.target_width_px]).isnan())


@forms
def test_all_representations_can_be_augmented(representation: str) -> None:
    form = CanonicalConfig(representation, 64)
    splits = load_splits(DataConfig(canonical=form))
    made = generate(splits, form, AugmentationConfig(0.05), 0)
    net = made.deltas[..., :2].sum(dim=1)
    torch.testing.assert_close(net, torch.tensor([1.0, 0.0]).double().expand_as(net), rtol=0.0, atol=1e-9)


def test_a_generator_whose_movements_cannot_be_used_is_refused(
    splits: DataSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of its movements stand still; they are neither replaced nor left out."""

    whole = GENERATORS["minimum_jerk"]

    def lame(like: Canonical, random: torch.Generator) -> Movements:
        movements = whole(AugmentationConfig(), FORM, splits.sha256)(like, random)
        movements.steps_px[[0, 3]] = 0.0
        return movements

    monkeypatch.setitem(GENERATORS, "minimum_jerk", lambda *_: lame)
    with pytest.raises(ConfigError, match=r"`generated == 15`, but minimum_jerk gave 13 usable \(net .* 8 px: 2\)"):
        generate(splits, FORM, AugmentationConfig(0.01), 0)


def test_a_physical_model_of_other_data_or_another_form_is_refused(
    splits: DataSplits, configured: Configured, gan: Path
) -> None:
    config = configured(0.01, "physical")
    with pytest.raises(CheckpointError, match=r"trained on other data .* than the present ones"):
        generate(replace(splits, sha256="0" * 64), FORM, config, 0)
    with pytest.raises(ConfigError, match="canonical form of the physical model to be that of the data"):
        generate(splits, CanonicalConfig(sequence_length=65), config, 0)
    with pytest.raises(CheckpointError, match="kind `physical`, but got gan"):
        generate(splits, FORM, replace(config, physical_checkpoint=str(gan)), 0)


@pytest.mark.parametrize("given", [{"generator": "physical"}, {"physical_checkpoint": "folder"}])
def test_a_checkpoint_belongs_to_the_physical_generator(given: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="`physical_checkpoint` with `generator=physical`, and with no other"):
        build(AugmentationConfig, given)


@pytest.fixture(scope="module")
def gan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return published.gan(tmp_path_factory.mktemp("gan") / "checkpoint")


@pytest.mark.parametrize("off", [-1, 1])
def test_a_wrong_count_never_reaches_training(splits: DataSplits, monkeypatch: pytest.MonkeyPatch, off: int) -> None:
    true_count = generated_count
    monkeypatch.setattr(augment, "generated_count", lambda *given: true_count(*given) + off)
    with pytest.raises(BalanceError, match=r"`generated == round\(alpha \* real\)`"):
        training_set(splits, FORM, AugmentationConfig(0.29), 0)


@pytest.mark.parametrize("variations", [OFF, ALL], ids=["off", "all"])
def test_a_weighted_set_has_as_many_generated_movements_each_of_one_weight(
    splits: DataSplits, variations: VariationsConfig
) -> None:
    real = splits["train"]
    found = training_set_with(splits, FORM, real, 0.0, variations, weight=0.25)
    assert found.balance.endswith(f"{len(real)} real + {len(real)} generated, weighted ratio 0.2500 (target 0.2500)")
    for dataset in (found.dataset, *found.passed(seeded())):
        assert dataset.weight is not None
        assert dataset.weight.tolist() == [1.0] * len(real) + [0.25] * len(real)
    few = real.take(torch.arange(9))
    with pytest.raises(BalanceError, match="a count beside the weight would scale it twice"):
        training_set_with(splits, FORM, few, 0.0, variations, weight=0.25)
    with pytest.raises(BalanceError, match="generate as many as expected"):
        training_set_with(splits, FORM, few, 0.0, variations)


def test_weights_of_recorded_movements_stay_with_them_in_parts_and_generated_ones_have_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole = varied_set(FORM, OFF, alpha=0.1)
    real, weight = len(whole.real), whole.real.distance_px.float()
    weighted = replace(whole, real_weight=weight)
    found = weighted.dataset.weight
    assert found is not None
    assert torch.equal(found[:real], weight)
    assert found[real:].tolist() == [1.0] * len(whole.generated)
    monkeypatch.setattr("trainables.augmentation.training_set.PART", len(whole) // 3)
    parts = [*weighted.parts(seeded())]
    assert len(parts) > 1
    for part in parts:
        assert part.real_weight is not None
        assert torch.equal(part.real_weight, part.real.distance_px.float())


# passes


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def varied_set(form: CanonicalConfig, variations: VariationsConfig, alpha: float = 0.0) -> TrainingSet:
    """Return a set of one source, so that a pass leaves conditions as they are."""
    splits = load_splits(DataConfig(canonical=form))
    splits = replace(splits, statistics=replace(splits.statistics, sources=()))
    return training_set(splits, form, AugmentationConfig(alpha, variations=variations), 0)


def test_with_every_variation_off_a_pass_is_the_data_set_itself() -> None:
    training, random = varied_set(FORM, OFF, alpha=0.1), seeded()
    assert training.fresh(random) is training.dataset
    assert torch.equal(random.get_state(), seeded().get_state())


@pytest.mark.parametrize("variations", [OFF, ALL], ids=["off", "all"])
def test_a_tenth_of_the_sources_is_unknown_in_a_pass_and_no_other_condition(
    splits: DataSplits, variations: VariationsConfig
) -> None:
    """A share of 0.1 of 1,388 rows: 0.068 to 0.132 is four standard deviations."""
    training = training_set(splits, FORM, AugmentationConfig(0.1, variations=variations), 0)
    one, same, other = (training.fresh(seeded(seed)).condition for seed in (0, 0, 1))
    assert torch.equal(one, same)
    width, unknown = CONDITION_WIDTH, (one[:, CONDITION_WIDTH:] == 0).all(dim=1)
    assert 0.068 < float(unknown.double().mean()) < 0.132
    assert not torch.equal(unknown, (other[:, width:] == 0).all(dim=1))
    assert torch.equal(one[~unknown, width:], training.dataset.condition[~unknown, width:])
    assert bool((training.dataset.condition[:, width:].sum(dim=1) == 1).all())
    if variations is OFF:
        assert torch.equal(one[:, :width], training.dataset.condition[:, :width])


def test_a_pass_varies_the_real_rows_and_leaves_the_generated_ones() -> None:
    training = varied_set(FORM, ALL, alpha=0.1)
    one, same, other = (training.fresh(seeded(seed)) for seed in (0, 0, 1))
    real = len(training.real)
    assert all(map(torch.equal, tensors(one), tensors(same)))
    for now, recorded in zip(tensors(one), tensors(training.dataset), strict=True):
        assert torch.equal(now[real:], recorded[real:])
        assert now.shape == recorded.shape
    changed = (one.sequences.z[:real] != training.dataset.sequences.z[:real]).flatten(1).any(dim=1)
    assert float(changed.double().mean()) > 0.99
    assert not torch.equal(one.sequences.z, other.sequences.z)


def test_rows_that_nothing_was_applied_to_are_the_recorded_ones_bit_for_bit() -> None:
    training = varied_set(FORM, build(VariationsConfig, plain_off(mirror=0.5)))
    found, refused = training.varied(seeded())
    real = training.real
    mirrored = (found.angle != real.angle).nonzero().squeeze(1)
    level = real.angle.sin().abs() < 1e-9  # a level movement's mirror image has its angle
    kept = ((found.angle == real.angle) & ~level).nonzero().squeeze(1)
    assert 0.4 * len(real) < len(mirrored) < 0.6 * len(real)
    for name in TENSORS:
        assert_equal(getattr(found, name)[kept], getattr(real, name)[kept])
    assert torch.equal(found.deltas[mirrored, :, 0], real.deltas[mirrored, :, 0])
    assert torch.equal(found.deltas[mirrored, :, 1], -real.deltas[mirrored, :, 1])
    assert refused == {"mirror": 0}
    assert (found.group, found.source) == (real.group, real.source)


def plain_off(**probability: float) -> dict[str, dict[str, float]]:
    return {name: {"probability": probability.get(name, 0.0)} for name in AUGMENTATIONS}


@forms
def test_every_representation_can_be_varied(representation: str) -> None:
    training = varied_set(CanonicalConfig(representation, 64), ALL)
    found, _ = training.varied(seeded())
    net = found.deltas[..., :2].sum(dim=1)
    torch.testing.assert_close(net, torch.tensor([1.0, 0.0]).double().expand_as(net), rtol=0.0, atol=1e-9)
    assert all(bool(torch.isfinite(part.float()).all()) for part in tensors(training.fresh(seeded())))


def separability(real: Canonical, movements: Movements) -> float:
    rows = (movements.length <= FORM.sequence_length).nonzero().squeeze(1)
    found = encode(movements.take(rows), FORM)
    features = [movement_features(part.deltas, part.mask) for part in (real.take(rows), found)]
    return classifier_two_sample_test(*features, real_groups=found.group, fake_groups=found.group).accuracy


def test_the_default_variations_are_nearly_indistinguishable_from_recordings() -> None:
    """Null: 0.505 to 0.514 over 5 seeds, so 0.55 is never reached. Alternative: a stretch that reads positions at equal
    distances smooths jerk and smears still steps, and reads 0.62 to 0.63.
    """
    training = varied_set(FORM, VariationsConfig())
    real, movements = training.real, training.movements
    found, _ = training.varied(seeded())
    features = [movement_features(part.deltas, part.mask) for part in (real, found)]
    test = classifier_two_sample_test(*features, real_groups=real.group, fake_groups=real.group)
    assert test.accuracy < 0.55
    assert separability(real, plain_stretch(movements, 1.1)) > 0.58


def plain_stretch(movements: Movements, factor: float) -> Movements:
    length = (movements.length * factor).round().long()
    path = pad(movements.steps_px, (0, 0, 1, 0)).cumsum(dim=1)
    at = (torch.arange(72) / (length / movements.length)[:, None]).clamp(max=64.0).double()
    steps = interpolate(path, torch.minimum(at, movements.length[:, None])).round().diff(dim=1)
    return Movements(steps * prefix_mask(length, 71)[..., None], length, movements.group)


@pytest.mark.parametrize(
    ("alpha", "name", "law"),
    [(-0.1, "minimum_jerk", "`0 <= alpha <= 10`"), (10.1, "minimum_jerk", "alpha=10.1"), (0.0, "no", "`generator` in")],
)
def test_a_config_checks_itself(alpha: float, name: str, law: str) -> None:
    with pytest.raises(ConfigError, match=law):
        AugmentationConfig(alpha, name)


@pytest.mark.parametrize("variations", [OFF, ALL], ids=["off", "all"])
def test_a_pass_in_parts_has_every_movement_once_and_a_set_of_one_part_draws_nothing_for_it(
    variations: VariationsConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = varied_set(FORM, variations, alpha=0.1)
    (whole,), alone = training.passed(seeded()), training.fresh(seeded())
    assert all(map(torch.equal, tensors(whole), tensors(alone)))
    monkeypatch.setattr(augment, "PART", 500)
    parts = list(training.passed(seeded()))
    sizes = [len(part) for part in parts]
    assert sum(sizes) == len(training)
    assert max(sizes) - min(sizes) <= 1
    assert max(sizes) <= 500
    again = list(training.passed(seeded()))
    assert all(torch.equal(a.condition, b.condition) for a, b in zip(parts, again, strict=True))
    assert not torch.equal(parts[0].condition, next(training.passed(seeded(1))).condition)
    if variations is OFF:
        rows = [row.tobytes() for part in parts for row in part.condition.numpy()]
        assert sorted(rows) == sorted(row.tobytes() for row in training.dataset.condition.numpy())
