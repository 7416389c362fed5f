"""Copies of training movements are detected under every disturbance; held-out users are not flagged."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, concatenate, reobserve, with_deltas
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.eval.generation import memorisation
from trainables.eval.generation.memorisation import (
    POINTS,
    Memorisation,
    TrainingPaths,
    movement_paths,
    nearest_distance,
)

FORM = CanonicalConfig()


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return load_splits(DataConfig())


@pytest.fixture(scope="module")
def training(splits: DataSplits) -> TrainingPaths:
    train, held_out = splits["train"], splits["validation"]
    return TrainingPaths.fit(train.deltas, train.mask, held_out.deltas, held_out.mask)


def evaluate(training: TrainingPaths, samples: Canonical) -> Memorisation:
    observed, _ = reobserve(samples, FORM)
    return training(observed.deltas, observed.mask)


def some(part: Canonical, count: int, seed: int = 0) -> Canonical:
    return part.take(torch.randperm(len(part), generator=torch.Generator().manual_seed(seed))[:count])


def jittered(part: Canonical, px: float) -> Canonical:
    noise = torch.randn(part.deltas.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    shift = px * noise / part.distance_px[:, None, None] * part.mask[..., None]
    return with_deltas(part, part.deltas + shift)


# definitions


def path_by_hand(deltas: list[list[float]], steps: int) -> list[float]:
    """Walk step by step to each moment and stop between two points where it falls between them."""
    coordinates = []
    for k in range(1, POINTS + 1):
        moment = steps * k / (POINTS + 1)
        whole = min(math.floor(moment), steps - 1)
        for axis in (0, 1):
            walked = sum(step[axis] for step in deltas[:whole])
            coordinates.append((walked + (moment - whole) * deltas[whole][axis]) / math.sqrt(POINTS))
    return coordinates


def test_a_path_is_sampled_at_equal_moments_independently_of_the_padding(splits: DataSplits) -> None:
    few = some(splits["train"], 12)
    deltas = torch.where(few.mask[..., None], few.deltas, torch.nan)
    found = movement_paths(deltas, few.mask)
    for row, steps in enumerate(few.mask.sum(dim=1).tolist()):
        assert found[row].tolist() == pytest.approx(path_by_hand(few.deltas[row].tolist(), steps), abs=1e-12)


def test_ratio_and_share_equal_their_definition(splits: DataSplits, training: TrainingPaths) -> None:
    samples = jittered(some(splits["train"], 21), 3.0)
    own = movement_paths(samples.deltas, samples.mask).tolist()
    others = [*training.paths.tolist(), *(training.paths * torch.tensor([1.0, -1.0]).repeat(POINTS)).tolist()]
    distances = sorted(min(math.dist(path, other) for other in others) for path in own)
    reference = training.reference.sort().values.tolist()
    place = 0.01 * (len(reference) - 1)
    low = int(place)
    near = reference[low] + (place - low) * (reference[low + 1] - reference[low])
    found = training(samples.deltas, samples.mask)
    assert found.median == pytest.approx(distances[10])
    assert found.ratio == pytest.approx(distances[10] / reference[(len(reference) - 1) // 2])
    assert found.share == sum(d <= near for d in distances) / 21


def test_the_reference_is_held_out_users_against_the_training_split(
    splits: DataSplits, training: TrainingPaths
) -> None:
    held_out = splits["validation"]
    found = training(held_out.deltas, held_out.mask)
    assert found.ratio == 1.0
    assert found.share == pytest.approx(0.01, abs=0.005)


def test_the_distance_does_not_depend_on_other_samples(training: TrainingPaths) -> None:
    rows = training.paths[::7] + 0.01
    together = nearest_distance(rows, training.paths)
    assert torch.equal(together[3:4], nearest_distance(rows[3:4], training.paths))


@pytest.mark.parametrize("columns", [200, 1024])
def test_among_many_the_nearest_is_the_same(
    columns: int, training: TrainingPaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In blocks, whose products are float32, as in one exact pass; 1,024 are searched by groups."""
    rows = torch.cat([training.paths[::9] + 0.01 * torch.randn(len(training.paths[::9]), 1), training.paths[:5]])
    exact = nearest_distance(rows, training.paths)
    monkeypatch.setattr(memorisation, "EXACT", 200)
    monkeypatch.setattr(memorisation, "COLUMNS", columns)
    torch.testing.assert_close(nearest_distance(rows, training.paths), exact, rtol=1e-6, atol=0.0)
    assert nearest_distance(rows, training.paths)[-5:].tolist() == [0.0] * 5


# null


def test_other_users_have_the_values_of_the_reference(splits: DataSplits, training: TrainingPaths) -> None:
    """Null: other users of the test split. Their share of 260 would exceed 0.05 by chance with probability 1e-6
    were they samples of the reference; users differ, and the median of a split by some percent more.
    """
    found = evaluate(training, splits["test"])
    assert 0.8 < found.ratio < 1.25
    assert found.share < 0.05


# alternatives


def turned(part: Canonical) -> Canonical:
    return replace(part, angle=part.angle + 1.0)


def resized(part: Canonical) -> Canonical:
    return replace(part, distance_px=1.3 * part.distance_px)


def half_a_pixel_off(part: Canonical) -> Canonical:
    return jittered(part, 0.5)


def mirrored(part: Canonical) -> Canonical:
    return with_deltas(part, part.deltas * torch.tensor([1.0, -1.0]))


def image(part: Canonical) -> tuple[torch.Tensor, torch.Tensor]:
    return mirrored(part).deltas, part.mask


@pytest.mark.parametrize("disturbed", [lambda part: part, turned, resized, half_a_pixel_off, mirrored])
def test_copies_are_detected_after_rounding_to_pixels(
    splits: DataSplits, training: TrainingPaths, disturbed: object
) -> None:
    found = evaluate(training, disturbed(some(splits["train"], 300)))  # type: ignore[operator]
    assert found.ratio < 0.15
    assert found.share > 0.9


def test_an_exact_copy_has_distance_zero(splits: DataSplits, training: TrainingPaths) -> None:
    assert evaluate(training, some(splits["train"], 100)) == Memorisation(0.0, 1.0, 0.0)


def test_an_exact_mirror_image_has_distance_zero(splits: DataSplits, training: TrainingPaths) -> None:
    images = mirrored(some(splits["train"], 100))
    assert training(images.deltas, images.mask) == Memorisation(0.0, 1.0, 0.0)


def test_copies_of_other_movements_are_found_and_other_users_are_none(
    splits: DataSplits, training: TrainingPaths
) -> None:
    held_out, test = (movement_paths(splits[name].deltas, splits[name].mask) for name in ("validation", "test"))
    assert bool(training.copies(movement_paths(*image(splits["validation"])), held_out).all())
    assert float(training.copies(test, held_out).double().mean()) < 0.03


def test_the_share_estimates_the_proportion_of_copies(splits: DataSplits, training: TrainingPaths) -> None:
    """A quarter of copies leaves the median nearly alone: that is what the share is for."""
    unseen = concatenate(splits["test"], splits["holdout"])
    fresh, copies = some(unseen, 150), jittered(some(splits["train"], 50), 0.3)
    deltas, mask = (torch.cat([getattr(part, name) for part in (fresh, copies)]) for name in ("deltas", "mask"))
    found = training(deltas, mask)
    assert found.ratio > 0.6
    assert found.share == pytest.approx(0.25, abs=0.03)


# refusals


def test_training_movements_are_no_reference(splits: DataSplits) -> None:
    train = splits["train"]
    with pytest.raises(ValueError, match="remove the movements that are in both splits"):
        TrainingPaths.fit(train.deltas, train.mask, train.deltas[:50], train.mask[:50])


@pytest.mark.parametrize("spoilt", [torch.nan, torch.inf])
def test_positions_that_are_not_finite_are_refused(splits: DataSplits, spoilt: float) -> None:
    few = some(splits["train"], 3)
    deltas: Tensor = few.deltas.clone()
    deltas[1, 2, 0] = spoilt
    with pytest.raises(ValueError, match="finite"):
        movement_paths(deltas, few.mask)


def test_a_movement_without_steps_is_refused() -> None:
    with pytest.raises(ValueError, match="valid steps"):
        movement_paths(torch.zeros(1, 4, 2), torch.zeros(1, 4, dtype=torch.bool))


@pytest.mark.parametrize("shape", [(5, 512), (3, 4096), (4, 100), (2, 4095)])
def test_the_smallest_by_groups_are_those_of_all_columns(shape: tuple[int, int]) -> None:
    values = torch.randn(shape, generator=generator(0, "values"))
    near, at = memorisation._smallest(values, 8)
    assert torch.equal(near, values.topk(8, largest=False).values)
    assert torch.equal(values.gather(1, at), near)
