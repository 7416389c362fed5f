"""Properties of the training set: one scaling of the generated part, statistics of training users, stable labels."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.trainables.detector.tiny import TINY, human
from trainables.core.config import ConfigError
from trainables.data.balance import BalanceError, validate_augmentation_balance
from trainables.data.canonical import Canonical, concatenate
from trainables.data.config import DataConfig
from trainables.data.labels import BOT, HUMAN, LabelMaps, task_names
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.detector.bots import BOTS
from trainables.detector.config import SOURCES, NegativesConfig
from trainables.detector.dataset.negatives import Negatives
from trainables.detector.dataset.training_set import (
    COLUMNS,
    RIDGE,
    WIDTH,
    DetectorDataset,
    Inputs,
    Scaling,
    Targets,
    TrainingSet,
    columns,
    label_maps,
)
from trainables.eval.features.kinematic import neuromotor_features

REAL = 40


@pytest.fixture(scope="module")
def splits() -> DataSplits:
    return load_splits(DataConfig())


@pytest.fixture(scope="module")
def scaling(splits: DataSplits) -> Scaling:
    return Scaling.fit(splits)


def training_set(scaling: Scaling, alpha: float | None = 0.5, weight: float | None = None) -> TrainingSet:
    config = replace(TINY, negatives=NegativesConfig(alpha, weight))
    return TrainingSet(human(REAL), scaling, label_maps(), config)


def without_last(negatives: Negatives) -> Negatives:
    n = len(negatives) - 1
    kept = {name: getattr(negatives, name)[:n] for name in ("style", "family", "model")}
    return Negatives(negatives.canonical.take(torch.arange(n)), **kept)


# scaling


def test_columns_are_the_features_and_the_measured_conditions(splits: DataSplits) -> None:
    few = splits["validation"].take(torch.arange(3))
    found = columns(few)
    assert found.shape == (3, len(COLUMNS))
    assert found.dtype == torch.float64
    named: Mapping[str, Tensor] = dict(zip(COLUMNS, found.T, strict=True))
    assert torch.equal(named["log_distance_px"], few.distance_px.log())
    assert torch.equal(named["path_efficiency"], neuromotor_features(few.deltas, few.mask)[:, 0])


def test_columns_are_scaled_by_the_training_users(splits: DataSplits, scaling: Scaling) -> None:
    """Mean and sample deviation of each column over them in plain loops, then asinh."""
    table = columns(splits["train"]).numpy()
    chosen = splits["validation"].take(torch.arange(4))
    for number, column in enumerate(table.T):
        mean = math.fsum(column) / len(column)
        deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in column) / (len(column) - 1))
        expected = [math.asinh((value - mean) / deviation) for value in columns(chosen)[:, number].tolist()]
        found = scaling.inputs(chosen).features[:, number]
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_the_last_column_is_the_distance_from_the_training_users(splits: DataSplits, scaling: Scaling) -> None:
    """log(1 + d^2 / F), d being that of Mahalanobis over F standardised columns, with `RIDGE` on the diagonal."""
    table = columns(splits["train"]).numpy()
    z = (table - table.mean(axis=0)) / table.std(axis=0, ddof=1)
    covariance = np.cov(z.T) + RIDGE * np.eye(z.shape[1])
    chosen = splits["validation"].take(torch.arange(4))
    found = scaling.inputs(chosen).features
    assert found.shape == (4, WIDTH)
    for row, values in enumerate(columns(chosen).numpy()):
        mine = (values - table.mean(axis=0)) / table.std(axis=0, ddof=1)
        square = mine @ np.linalg.solve(covariance, mine) / len(mine)
        assert float(found[row, len(COLUMNS)]) == pytest.approx(math.log1p(square), rel=1e-5)


def test_the_direction_on_the_screen_is_a_separate_input(splits: DataSplits, scaling: Scaling) -> None:
    """The canonical form removes it: the same movement in another direction differs in it alone."""
    chosen = splits["validation"].take(torch.arange(4))
    turned = replace(chosen, angle=chosen.angle + 1.0)
    one, other = (scaling.inputs(movements) for movements in (chosen, turned))
    for row, angle in enumerate(chosen.angle.tolist()):
        assert one.direction[row].tolist() == pytest.approx([math.cos(angle), math.sin(angle)], abs=1e-6)
    assert torch.equal(one.features, other.features)
    assert torch.equal(one.z, other.z)
    assert not torch.isclose(one.direction, other.direction).all(dim=1).any()


def test_the_scaling_depends_on_the_training_users_alone(splits: DataSplits, scaling: Scaling) -> None:
    others = {name: splits[name if name == "train" else "train"].take(torch.arange(3)) for name in splits.splits}
    found = Scaling.fit(replace(splits, splits={**others, "train": splits["train"]}))
    assert torch.equal(found.mean, scaling.mean)
    assert torch.equal(found.std, scaling.std)
    assert torch.equal(found.whitening, scaling.whitening)
    fewer = Scaling.fit(replace(splits, splits={**splits.splits, "train": human(500)}))
    assert not torch.equal(fewer.mean, scaling.mean)


@pytest.mark.parametrize("count", [7, 1166])
def test_a_constant_column_is_not_scaled(splits: DataSplits, count: int) -> None:
    """Equal values have a deviation of exactly 0 and not of rounding."""
    same = splits["train"].take(torch.full((count,), 3))
    found = Scaling.fit(replace(splits, splits={**splits.splits, "train": same}))
    assert torch.equal(found.std, torch.ones(len(COLUMNS), dtype=torch.float64))
    assert float(found.inputs(splits["train"]).features.abs().max()) < 10


def test_bots_hundreds_of_deviations_off_have_bounded_inputs(scaling: Scaling) -> None:
    far = human(2)
    still = replace(far, distance_px=far.distance_px * 1e6)
    assert 1 < float(scaling.inputs(still).features.abs().max()) < 10


def test_steps_are_standardised_and_zero_under_the_mask(splits: DataSplits, scaling: Scaling) -> None:
    inputs = scaling.inputs(splits["train"])
    assert torch.equal(inputs.mask, splits["train"].mask)
    assert not inputs.z[~inputs.mask].any()
    valid = inputs.z[inputs.mask].double()
    torch.testing.assert_close(valid.mean(dim=0), torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-5)
    torch.testing.assert_close(valid.std(dim=0), torch.ones(2, dtype=torch.float64), rtol=0, atol=1e-5)


def test_rows_are_taken_without_the_steps_that_pad_all_of_them(scaling: Scaling) -> None:
    movements = human(12)
    inputs, rows = scaling.inputs(movements), torch.tensor([5, 0, 5])
    found = inputs.take(rows)
    longest = max(int(movements.mask[row].sum()) for row in rows.tolist())
    assert found.z.shape[1] == found.mask.shape[1] == longest
    for place, row in enumerate(rows.tolist()):
        assert torch.equal(found.z[place], inputs.z[row, :longest])
        assert torch.equal(found.mask[place], inputs.mask[row, :longest])
        assert torch.equal(found.features[place], inputs.features[row])


# balance


@pytest.mark.parametrize(("alpha", "count"), [(0.29, 12), (0.5, 20), (1.0, 40), (0.0125, 0), (2.0, 80)])
def test_the_number_of_bots_is_balanced_by_count(scaling: Scaling, alpha: float, count: int) -> None:
    """0.29 of 40 is 11.6, rounded to 12; 0.0125 of 40 is 0.5, rounded to the even 0."""
    given = training_set(scaling, alpha)
    negatives = given.negatives(0)
    dataset, line = given.dataset(negatives)
    assert given.count == len(negatives) == count
    assert len(dataset) == REAL + count
    assert line == f"balance: 40 real + {count} generated, ratio {count / 40:.4f} (target {alpha:.4f})"
    assert Counter(dataset.targets.bot.tolist()) == Counter([0.0] * REAL + [1.0] * count)
    assert len(dataset[torch.arange(3)]) == 2


def test_one_bot_too_few_is_refused(scaling: Scaling) -> None:
    given = training_set(scaling)
    with pytest.raises(BalanceError, match=r"got generated=19, alpha=0.5, real=40 \(expected 20\)"):
        given.dataset(without_last(given.negatives(0)))
    weighted = training_set(scaling, None, 0.5)
    with pytest.raises(BalanceError, match="got generated=39, real=40; a count beside the weight would scale it twice"):
        weighted.dataset(without_last(weighted.negatives(0)))


def test_a_weight_replaces_the_count(scaling: Scaling) -> None:
    given = training_set(scaling, None, 0.25)
    dataset, line = given.dataset(given.negatives(0))
    assert line == "balance: 40 real + 40 generated, weighted ratio 0.2500 (target 0.2500)"
    assert dataset.weight is not None
    assert dataset.weight.tolist() == [1.0] * 40 + [0.25] * 40
    rows = torch.tensor([3, 77, 40])
    item = dataset[rows]
    assert len(item) == 3
    assert item[2].tolist() == [1.0, 0.25, 0.25]
    assert item[1].bot.tolist() == [0.0, 1.0, 1.0]


def test_an_item_with_a_weight_is_refused_where_bots_are_counted(scaling: Scaling) -> None:
    given = training_set(scaling)
    dataset, _ = given.dataset(given.negatives(0))
    weighted = DetectorDataset(dataset.inputs, dataset.targets, torch.ones(len(dataset)))
    with pytest.raises(BalanceError, match="got 3 fields; leave out weights, which would scale"):
        validate_augmentation_balance(40, 20, 0.5, weighted[torch.arange(1)])


# labels


def test_the_maps_contain_every_style_and_every_task(splits: DataSplits) -> None:
    maps = label_maps()
    assert set(maps.style.names) == {HUMAN, *BOTS, *SOURCES[1:]}
    assert set(maps.embodiment.names) == {HUMAN, BOT}
    for split in splits.splits.values():
        maps.task.encode(task_names(split))
    assert LabelMaps.from_json(maps.to_json()) == maps
    assert maps.sha256 == label_maps().sha256


def test_labels_of_a_movement_are_the_same_in_any_pass_and_order(scaling: Scaling) -> None:
    given = training_set(scaling)
    first, second = (given.negatives(number) for number in (0, 1))
    rows = torch.randperm(len(first), generator=torch.Generator().manual_seed(0))
    columns_of: dict[str, Any] = {
        name: tuple(getattr(first, name)[row] for row in rows.tolist()) for name in ("style", "family", "model")
    }
    shuffled = Negatives(first.canonical.take(rows), **columns_of)
    sets = [given.dataset(negatives)[0].targets for negatives in (first, second, shuffled)]
    for targets in sets:
        for mine, theirs in zip(targets, sets[0], strict=True):
            assert torch.equal(mine[:REAL], theirs[:REAL])
    for mine, theirs in zip(sets[2], sets[0], strict=True):
        assert torch.equal(mine[REAL:], theirs[REAL:][rows])


def test_labels_are_those_of_the_movement_itself(scaling: Scaling) -> None:
    given = training_set(scaling)
    negatives = given.negatives(0)
    targets = given.dataset(negatives)[0].targets
    movements = concatenate(given.real, negatives.canonical)
    assert given.maps.task.decode(targets.task) == task_names(movements)
    assert given.maps.embodiment.decode(targets.embodiment) == (HUMAN,) * REAL + (BOT,) * 20
    assert targets.bot.tolist() == [0.0] * REAL + [1.0] * 20


def test_an_unknown_style_is_an_error_and_not_class_0(scaling: Scaling) -> None:
    given = training_set(scaling)
    negatives = given.negatives(0)
    unknown = replace(negatives, style=(*negatives.style[:-1], "teleport"))
    with pytest.raises(ConfigError, match=r"`style` of row 59 is not among .* got 'teleport'"):
        given.dataset(unknown)


# passes


def same(one: Canonical, other: Canonical) -> bool:
    return torch.equal(one.deltas, other.deltas)


def test_the_bots_of_a_pass_follow_from_the_seed(scaling: Scaling) -> None:
    given = training_set(scaling)
    other = replace(given, config=replace(given.config, seed=1))
    assert same(given.negatives(3).canonical, given.negatives(3).canonical)
    assert not same(given.negatives(3).canonical, given.negatives(4).canonical)
    assert not same(given.negatives(3).canonical, other.negatives(3).canonical)


def test_the_account_holds_labels_bots_and_balance_of_the_first_pass(scaling: Scaling) -> None:
    given = training_set(scaling)
    account, negatives = given.account(), given.negatives(0)
    assert LabelMaps.from_json(account["labels"]) == given.maps
    assert account["negatives"]["styles"] == Counter(negatives.style)
    assert account["negatives"]["balance"] == "balance: 40 real + 20 generated, ratio 0.5000 (target 0.5000)"
    assert (account["negatives"]["models"], account["negatives"]["refused"]) == ({}, negatives.refused)


def test_an_item_is_inputs_and_targets(scaling: Scaling) -> None:
    given = training_set(scaling)
    dataset, _ = given.dataset(given.negatives(0))
    rows = torch.tensor([50, 2])
    inputs, targets, *rest = dataset[rows]
    assert isinstance(inputs, Inputs)
    assert isinstance(targets, Targets)
    assert not rest
    assert torch.equal(inputs.features, dataset.inputs.features[rows])
    assert [part.tolist() for part in targets] == [part[rows].tolist() for part in dataset.targets]
