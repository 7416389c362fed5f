"""The cycles of a co-training: counts, resuming, reverting, separate training at alpha 0, and what is refused."""

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.trainables.cotraining.tiny import INSIDE, LAST, TINY, WARM, few_everywhere
from trainables import models as loaders
from trainables.core.config import ConfigError
from trainables.cotraining import cycle, models, refit, train
from trainables.cotraining.api import load_cotrained
from trainables.cotraining.config import CotrainingConfig
from trainables.cotraining.cost import measure
from trainables.cotraining.decision import Decision
from trainables.cotraining.schedule import place_of
from trainables.cotraining.state import initial_fit, restore_state
from trainables.data.canonical import concatenate
from trainables.data.splits.data_splits import DataSplits
from trainables.diffusion import loop
from trainables.diffusion.state import initial_state
from trainables.physical import state as physical_state
from trainables.physical import train as physical
from trainables.physical.config import PhysicalConfig
from trainables.training import metric_names as names
from trainables.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint, select
from trainables.training.trainable import Epoch, TrainingDivergedError
from trainables.training.worker import ALONE, Worker

CLOCKS = (names.TRAIN_SECONDS, names.VAL_SECONDS)
Tensors = Mapping[str, Tensor]
KEPT, REVERTED = Decision(True, "a test"), Decision(False, "a test")


@pytest.fixture(scope="module", autouse=True)
def splits() -> Iterator[DataSplits]:
    yield from few_everywhere()


@pytest.fixture(scope="module")
def uncut(splits: DataSplits, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Epoch], Path]:
    """A run saved after each epoch."""
    folder, found = tmp_path_factory.mktemp("uncut"), []
    for epoch in train.epochs(TINY):
        epoch.save(folder / str(epoch.number))
        found.append(epoch)
    return found, folder


@pytest.fixture(scope="module")
def kept(uncut: tuple[list[Epoch], Path], tmp_path_factory: pytest.TempPathFactory) -> Tensors:
    """The tensors of both models after a cycle that is kept."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cycle, "decide", lambda *_: KEPT)
        rest = train.epochs(TINY, resume=uncut[1] / str(LAST - 1))
        return last_of(rest, tmp_path_factory.mktemp("kept") / "last")[0]


def timeless(epoch: Epoch) -> dict[str, float]:
    return {name: value for name, value in epoch.metrics.items() if name not in CLOCKS}


def assert_same(found: Tensors, expected: Tensors) -> None:
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], tensor) for name, tensor in expected.items())


def last_of(epochs: Iterator[Epoch], folder: Path) -> tuple[Tensors, Mapping[str, Any]]:
    *_, last = epochs
    last.save(folder)
    return load_checkpoint(folder)


def state_of(folder: Path) -> tuple[models.Models, Any]:
    """Return a saved state with its models."""
    own = models.Models.of(TINY, ALONE)
    diffusion = initial_state(own.of_diffusion, ALONE, own.splits.statistics.condition_width)
    return own, restore_state(diffusion, TINY, own.splits, folder)


# the cycle


def test_a_cycle_is_recorded_with_exact_counts_metrics_and_decisions(
    uncut: tuple[list[Epoch], Path], splits: DataSplits
) -> None:
    found, folder = uncut
    (recorded,) = load_checkpoint(folder / str(LAST))[1]["cycles"]
    for side, real in (("diffusion", len(splits["train"])), ("physical", TINY.fit.movements)):
        part = recorded[side]
        assert (part["real"], part["generated"]) == (real, round(TINY.alpha * real))
        assert f"{real} real + {round(TINY.alpha * real)} generated" in part["balance"]
        assert names.VAL_AUC_EXCESS in part["metrics"]
        assert found[-1].metrics[names.cycle_metric(side, "kept")] == float(part["decision"]["kept"])
    assert [epoch.metrics.get(names.COTRAINING_CYCLE) for epoch in found] == [None, 0, 0, 1, 1, 1]
    assert [epoch.metrics.get(names.TRAIN_GENERATED) for epoch in found] == [None, None, None, 12, 12, 3]
    assert [epoch.metrics.get(names.TRAIN_REAL) for epoch in found] == [None, None, None, 240, 240, 60]
    assert [epoch.metrics[names.TRAIN_STEPS] for epoch in found] == [0, 0, 3, 6, 9, 9]


def test_the_headline_is_that_of_the_model_that_the_checkpoint_samples_from(
    uncut: tuple[list[Epoch], Path],
) -> None:
    found, folder = uncut
    for epoch in found:
        headlines = {side: epoch.metrics[names.headline_of(side)] for side in ("diffusion", "physical")}
        assert epoch.metrics[names.VAL_AUC_EXCESS] == min(headlines.values())
        record = json.loads((folder / str(epoch.number) / "record.json").read_text())
        assert headlines[record["samples_from"]] == min(headlines.values())


def test_checkpoints_are_loaded_as_generators(uncut: tuple[list[Epoch], Path], splits: DataSplits) -> None:
    """The one that is sampled from by everybody's loader, either by name, with the samples of the state itself."""
    folder = uncut[1] / str(LAST)
    own, state = state_of(folder)
    real = splits["train"].take(torch.arange(3))
    for side in ("diffusion", "physical"):
        samples = load_cotrained(folder, side=side).sample_matching(real, seed=1)
        assert torch.equal(samples.deltas, own.sampler(state, side).sample_matching(real, seed=1).deltas)
    assert isinstance(loaders.load_generator(folder), loaders.ServedGenerator)
    with pytest.raises(CheckpointError, match=r"expected a side `diffusion` or `physical`, but got gan$"):
        load_cotrained(folder, side="gan")


# resuming


@pytest.mark.parametrize("cut", [WARM, INSIDE, LAST - 1], ids=["before the cycle", "inside", "before the refit"])
def test_a_run_resumed_at_any_point_equals_the_uninterrupted_one_bit_for_bit(
    uncut: tuple[list[Epoch], Path], cut: int, tmp_path: Path
) -> None:
    found, folder = uncut
    rest = []
    for epoch in train.epochs(TINY, resume=folder / str(cut)):
        rest.append(epoch.number)
        assert timeless(epoch) == timeless(found[epoch.number])
    epoch.save(tmp_path / "last")
    assert rest == list(range(cut + 1, LAST + 1))
    tensors, record = load_checkpoint(tmp_path / "last")
    expected, expected_record = load_checkpoint(folder / str(LAST))
    assert_same(tensors, expected)
    assert record == expected_record


def test_a_checkpoint_of_another_configuration_is_refused(uncut: tuple[list[Epoch], Path]) -> None:
    with pytest.raises(CheckpointError, match=r"configuration, now alpha=0\.1 \(there: .*\); start a new run instead$"):
        next(train.epochs(replace(TINY, alpha=0.1), resume=uncut[1] / str(WARM)))


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), TrainingDivergedError("the loss is nan")], ids=["Ctrl-C", "nan"]
)
def test_an_interrupted_cycle_leaves_no_file_and_loses_nothing(
    uncut: tuple[list[Epoch], Path], error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def broken(*_: Any) -> None:
        raise error

    folder = uncut[1] / str(WARM)
    before = load_checkpoint(folder)
    monkeypatch.setattr(loop, "train_epoch", broken)
    with pytest.raises(type(error)):
        next(train.epochs(TINY, resume=folder))
    assert list(tmp_path.iterdir()) == []
    assert_same(load_checkpoint(folder)[0], before[0])


# reverting


def test_a_cycle_that_is_not_kept_is_reverted_bit_for_bit(
    uncut: tuple[list[Epoch], Path], kept: Tensors, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Weights, averages, moments, strokes, population and evaluations, but no counter."""
    found, folder = uncut
    monkeypatch.setattr(cycle, "decide", lambda *_: REVERTED)
    *_, last = train.epochs(TINY, resume=folder / str(WARM))
    last.save(tmp_path / "last")
    tensors, record = load_checkpoint(tmp_path / "last")
    expected, before = load_checkpoint(folder / str(WARM))
    assert_same(tensors, expected)
    assert record["evaluations"] == before["evaluations"]
    assert record["diffusion"]["ema_updates"] == before["diffusion"]["ema_updates"]
    assert (record["step"], record["stale"]) == (before["step"] + 2 * TINY.steps_per_epoch, 1)
    assert last.metrics[names.VAL_AUC_EXCESS] == found[WARM].metrics[names.VAL_AUC_EXCESS]
    for part in ("diffusion.model", "diffusion.ema", "physical.fit", "physical.components"):
        one, other = select(part, kept), select(part, expected)
        assert any(one[name].shape != other[name].shape or not torch.equal(one[name], other[name]) for name in one)


def test_one_side_is_reverted_alone(
    uncut: tuple[list[Epoch], Path], kept: Tensors, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _, folder = uncut
    decisions = iter([REVERTED, KEPT])  # the diffusion's, the physical model's
    monkeypatch.setattr(cycle, "decide", lambda *_: next(decisions))
    tensors, record = last_of(train.epochs(TINY, resume=folder / str(LAST - 1)), tmp_path / "last")
    assert_same(select("diffusion", tensors), select("diffusion", load_checkpoint(folder / str(WARM))[0]))
    assert_same(select("physical", tensors), select("physical", kept))
    assert record["stale"] == 0


def test_a_run_ends_after_as_many_lost_cycles_as_its_patience(uncut: tuple[list[Epoch], Path], tmp_path: Path) -> None:
    tensors, record = load_checkpoint(uncut[1] / str(INSIDE))
    for stale, number in ((TINY.patience - 1, INSIDE + 1), (TINY.patience, None)):
        save_checkpoint(tmp_path / str(stale), tensors, {**record, "stale": stale})
        following = next(train.epochs(TINY, resume=tmp_path / str(stale)), None)
        assert (following.number if following else None) == number


# with nothing exchanged


def test_alpha_zero_equals_separate_training_of_both_bit_for_bit(tmp_path: Path) -> None:
    alone = replace(TINY, alpha=0.0, margin=1.0, epochs=4, epochs_per_cycle=1)
    tensors, record = last_of(train.epochs(alone), tmp_path / "together")
    diffusion, _ = last_of(loop.epochs(alone.of_diffusion()), tmp_path / "diffusion")
    fitted, _ = last_of(physical.epochs(alone.of_physical()), tmp_path / "physical")
    for side, separate in (("diffusion", diffusion), ("physical", fitted)):
        own = {name: tensor for name, tensor in separate.items() if not name.startswith(("statistics.", "known."))}
        assert_same(select(side, tensors), own)
    assert [part["generated"] for part in record["cycles"][0].values() if isinstance(part, dict)] == [0, 0]


# what training sees


def test_generated_movements_have_conditions_and_users_of_the_training_split_alone(
    uncut: tuple[list[Epoch], Path], splits: DataSplits
) -> None:
    own, state = state_of(uncut[1] / str(WARM))
    made = own.training_set(1, state).dataset
    others = {user for part in ("validation", "test") for user in splits[part].group}
    assert set(made.generated.group) <= set(splits["train"].group)
    assert not others & {*made.generated.group, *made.real.group, *own.fitted.movements.group}
    known = set(zip(splits["train"].duration_s.tolist(), splits["train"].group, strict=True))
    assert set(zip(made.generated.duration_s.tolist(), made.generated.group, strict=True)) <= known


def test_no_movement_of_a_validation_user_reaches_the_weights(
    uncut: tuple[list[Epoch], Path],
    kept: Tensors,
    splits: DataSplits,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """With every validation movement mirrored and in another order a cycle trains the same weights."""
    held_out = splits["validation"].take(torch.arange(len(splits["validation"])).flip(0))
    mirrored = replace(held_out, deltas=held_out.deltas * torch.tensor([1.0, -1.0]), angle=-held_out.angle)
    other = replace(splits, splits={**splits.splits, "validation": mirrored})
    monkeypatch.setattr(models, "load_splits", lambda _: other)
    monkeypatch.setattr(cycle, "decide", lambda *_: KEPT)
    changed, record = last_of(train.epochs(TINY, resume=uncut[1] / str(WARM)), tmp_path / "other")
    assert_same(changed, kept)
    assert record["evaluations"] != load_checkpoint(uncut[1] / str(LAST))[1]["evaluations"]


def test_another_worker_makes_and_fits_the_same_and_evaluates_nothing(
    uncut: tuple[list[Epoch], Path], splits: DataSplits
) -> None:
    own, state = state_of(uncut[1] / str(WARM))
    expected = own.training_set(1, state).dataset.generated
    other = replace(own, worker=Worker(rank=1, world_size=2), sets={})
    assert torch.equal(other.training_set(1, state).dataset.generated.deltas, expected.deltas)
    before = dict(state.evaluations)
    assert other.evaluate(state, "physical") == {}
    assert state.evaluations == before
    second = Worker(rank=1, world_size=2, mean=lambda value: value + 0.5)  # rank 0 keeps
    *_, last = train.epochs(TINY, resume=uncut[1] / str(LAST - 1), worker=second)
    assert not any(name.startswith(("val/", "model/")) for name in last.metrics)


def test_the_cost_of_a_run_is_measured() -> None:
    found = measure(TINY)
    assert found.step_s > 0
    assert found.steps_per_epoch == TINY.steps_per_epoch
    assert found.evaluation_s > 0
    assert found.checkpoint_bytes > 2_000_000


# weights in the place of counts


def test_strategies_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match=r"^expected `alpha` or `weight`, not both, but got alpha=0.1, weight=0.2; "):
        CotrainingConfig(weight=0.2)
    assert CotrainingConfig(alpha=0.0, weight=0.2).exchanges


def test_a_weighted_cycle_has_equal_counts_and_one_weight(
    uncut: tuple[list[Epoch], Path], splits: DataSplits, tmp_path: Path
) -> None:
    config = replace(TINY, alpha=0.0, weight=0.25, epochs=4, epochs_per_cycle=1)
    tensors, record = last_of(train.epochs(config), tmp_path / "weighted")
    recorded = record["cycles"][0]
    for side, real in (("diffusion", len(splits["train"])), ("physical", TINY.fit.movements)):
        assert recorded[side]["balance"].endswith(
            f"{real} real + {real} generated, weighted ratio 0.2500 (target 0.2500)"
        )
    if recorded["physical"]["decision"]["kept"]:
        assert set(tensors["physical.components.weight"].tolist()) == {1.0, 0.25}


# what is refused


@pytest.mark.parametrize(
    ("given", "law"),
    [
        ({"alpha": -0.1}, "`0 <= alpha <= 10`"),
        ({"weight": -1.0}, "`0 <= weight <= 10`"),
        ({"epochs": 7, "cycles": 3}, r"`epochs >= 2 \+ cycles \* \(epochs_per_cycle \+ 1\)`, here 8, but got epochs=7"),
        ({"samples_from": "gan"}, "`samples_from` in"),
    ],
)
def test_a_configuration_checks_itself(given: dict[str, Any], law: str) -> None:
    with pytest.raises(ConfigError, match=law):
        CotrainingConfig(**given)


def test_an_alpha_that_rounds_to_no_movement_is_refused_before_any_training() -> None:
    law = r"^expected `round\(alpha \* real\) >= 1` where alpha is not 0, but got alpha=0.001, real=\d+; set alpha=0"
    with pytest.raises(ConfigError, match=law):
        next(train.epochs(replace(TINY, alpha=0.001)))


def test_a_population_of_one_movement_is_refused(uncut: tuple[list[Epoch], Path], splits: DataSplits) -> None:
    own, state = state_of(uncut[1] / str(WARM))
    one = own.fitted.movements.take(torch.arange(1))
    fitted = replace(physical_state.FittedMovements.at(torch.arange(1), one, TINY.of_physical()))
    made = physical.next_state(physical_state.State.initial(fitted), fitted, 10)
    state.components = physical_state.population_components(made, fitted)
    with pytest.raises(
        ConfigError, match=r"`movements that strokes were fitted to >= 2` in a population, but got [01];"
    ):
        own.physical(state)


def fitted_checkpoint(config: PhysicalConfig, splits: DataSplits, folder: Path) -> tuple[str, Tensors]:
    fitted = physical_state.FittedMovements.of(splits["train"], config)
    made = physical.next_state(physical_state.State.initial(fitted), fitted, 2)
    physical_state.save_state(made, physical_state.population_components(made, fitted), config, splits, folder)
    return str(folder), made.tensors()


def test_a_fit_begins_with_a_physical_checkpoint_of_the_same_form(splits: DataSplits, tmp_path: Path) -> None:
    config = TINY.of_physical()
    fitted = physical_state.FittedMovements.of(splits["train"], config)
    folder, strokes = fitted_checkpoint(config, splits, tmp_path / "same")
    assert_same(initial_fit(replace(TINY, physical_checkpoint=folder), fitted, splits.sha256).tensors(), strokes)
    other = replace(config, fit=replace(config.fit, form="minimum_jerk"))
    folder, _ = fitted_checkpoint(other, splits, tmp_path / "other")
    with pytest.raises(
        CheckpointError, match=r"physical model of fit\.form=sigma_lognormal, but got minimum_jerk; fit"
    ):
        initial_fit(replace(TINY, physical_checkpoint=folder), fitted, splits.sha256)
    with pytest.raises(CheckpointError, match="trained on other data"):
        initial_fit(replace(TINY, physical_checkpoint=folder), fitted, "0" * 64)


def test_a_refit_that_diverges_names_the_generated_movement_and_leaves_the_state(
    uncut: tuple[list[Epoch], Path], splits: DataSplits, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, state = state_of(uncut[1] / str(LAST - 1))
    whole = physical_state.State.initial

    def broken(fitted: physical_state.FittedMovements) -> physical_state.State:
        made = whole(fitted)
        made.optimised.strokes.free[1, 0, 0] = math.nan
        return made

    monkeypatch.setattr(physical_state.State, "initial", broken)
    before = {name: tensor.clone() for name, tensor in state.tensors().items()}
    law = r"^the loss of 1 movements is not finite in epoch 1, first of row 1 of the generated movements of cycle 1; "
    with pytest.raises(TrainingDivergedError, match=law):
        train.fit_physical(state, own, place_of(LAST, TINY))
    assert_same(state.tensors(), before)


def test_generated_movements_change_no_stroke_of_a_real_one(
    uncut: tuple[list[Epoch], Path], splits: DataSplits
) -> None:
    """The fit of both together, in any order of rows, is that of each alone."""
    own, state = state_of(uncut[1] / str(LAST - 1))
    generated = own.training_set(1, state).dataset.generated.take(torch.arange(5))
    made = physical_state.FittedMovements.at(torch.arange(5), generated, TINY.of_physical())
    joint = refit.joined(state.physical, physical_state.State.initial(made), own.fitted.form)
    strokes, kept = joint.optimised.strokes, state.physical.optimised.strokes
    together = concatenate(own.fitted.movements, generated)
    trajectories = physical_state.FittedMovements.at(torch.arange(65), together, TINY.of_physical()).trajectories
    path = strokes.path(own.fitted.form, trajectories.t_s)[:60]
    expected = kept.path(own.fitted.form, own.fitted.trajectories.t_s)
    ticks = own.fitted.trajectories.ticks
    torch.testing.assert_close(path[:, : ticks.shape[1]][ticks], expected[ticks], rtol=0.0, atol=1e-9)
