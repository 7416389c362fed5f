"""Laws of the training set: alpha 0 is the real part, any other alpha an exact count behind it."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from trainables.config import ConfigError
from trainables.data.balance import BalanceError, generated_count
from trainables.data.canonical import TENSORS, Canonical, CanonicalConfig, Movements
from trainables.data.dataset import DataConfig, DataParts, SequenceDataset, load_parts
from trainables.diffusion import augment
from trainables.diffusion.augment import AugmentationConfig, generate, training_set
from trainables.physical.minimum_jerk import GENERATORS

FORM = CanonicalConfig()
names = pytest.mark.parametrize("name", list(GENERATORS))


@pytest.fixture(scope="module")
def parts() -> DataParts:
    return load_parts(DataConfig())


def tensors(dataset: SequenceDataset) -> Iterator[Tensor]:
    yield from (dataset.sequences.z, dataset.sequences.mask, dataset.condition)


@names
def test_alpha_zero_is_the_real_part_bit_for_bit(parts: DataParts, name: str) -> None:
    torch.manual_seed(0)
    state = torch.get_rng_state()
    for seed in (0, 1):
        found = training_set(parts, FORM, AugmentationConfig(0.0, name), seed).dataset
        expected = SequenceDataset(parts["train"], parts.statistics)
        assert all(map(torch.equal, tensors(found), tensors(expected)))
    assert torch.equal(torch.get_rng_state(), state)


@names
@pytest.mark.parametrize("alpha", [0.001, 0.29, 1.0, 1.5])
def test_exactly_as_many_are_generated_as_were_asked_for(parts: DataParts, name: str, alpha: float) -> None:
    real, found = parts["train"], training_set(parts, FORM, AugmentationConfig(alpha, name), 0)
    count = generated_count(len(real), alpha)
    assert len(found.dataset) == len(real) + count
    assert f"{len(real)} real + {count} generated" in found.balance


@names
def test_the_real_movements_stand_first_and_unchanged(parts: DataParts, name: str) -> None:
    real = SequenceDataset(parts["train"], parts.statistics)
    found = training_set(parts, FORM, AugmentationConfig(0.3, name), 0).dataset
    for ours, theirs in zip(tensors(found), tensors(real), strict=True):
        assert torch.equal(ours[: len(real)], theirs)
        assert bool(torch.isfinite(ours).all())


@names
def test_generated_movements_have_the_conditions_of_real_ones(parts: DataParts, name: str) -> None:
    """Duration, distance, direction and owner belong to one real movement each, and movements are not repeated."""
    real, made = parts["train"], generate(parts["train"], FORM, AugmentationConfig(0.2, name), 0)

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
def test_what_is_generated_depends_on_the_seed_alone(parts: DataParts, name: str) -> None:
    config = AugmentationConfig(0.05, name)
    one, same, other = (generate(parts["train"], FORM, config, seed) for seed in (0, 0, 1))
    assert all(torch.equal(getattr(one, k), getattr(same, k)) for k in TENSORS)
    assert not torch.equal(one.distance_px, other.distance_px)


@pytest.mark.parametrize("representation", ["fixed_dt", "normalised_time"])
def test_both_representations_can_be_augmented(representation: str) -> None:
    form = CanonicalConfig(representation, 64)
    parts = load_parts(DataConfig(canonical=form))
    made = generate(parts["train"], form, AugmentationConfig(0.05), 0)
    net = made.deltas.sum(dim=1)
    torch.testing.assert_close(net, torch.tensor([1.0, 0.0]).double().expand_as(net), rtol=0.0, atol=1e-9)


def test_a_generator_whose_movements_cannot_be_used_is_refused(
    parts: DataParts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of its movements stand still; they are neither replaced nor left out."""

    def lame(like: Canonical, random: torch.Generator) -> Movements:
        movements = GENERATORS["minimum_jerk"](like, random)
        movements.steps_px[[0, 3]] = 0.0
        return movements

    monkeypatch.setitem(GENERATORS, "lame", lame)
    with pytest.raises(ConfigError, match=r"`generated == 12` must hold, but lame gave 10 usable \(net .* 8 px: 2\)"):
        generate(parts["train"], FORM, AugmentationConfig(0.01, "lame"), 0)


@pytest.mark.parametrize("off", [-1, 1])
def test_a_wrong_count_never_reaches_training(parts: DataParts, monkeypatch: pytest.MonkeyPatch, off: int) -> None:
    true_count = generated_count
    monkeypatch.setattr(augment, "generated_count", lambda *given: true_count(*given) + off)
    with pytest.raises(BalanceError, match=r"`generated == round\(alpha \* real\)`"):
        training_set(parts, FORM, AugmentationConfig(0.29), 0)


@pytest.mark.parametrize(
    ("alpha", "name", "law"),
    [(-0.1, "minimum_jerk", "`0 <= alpha <= 10`"), (10.1, "minimum_jerk", "alpha=10.1"), (0.0, "no", "`generator` in")],
)
def test_a_config_checks_itself(alpha: float, name: str, law: str) -> None:
    with pytest.raises(ConfigError, match=law):
        AugmentationConfig(alpha, name)
