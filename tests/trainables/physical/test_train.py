"""The loop of the physical trainable: its epochs, resuming bit for bit, and what is refused in one line."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.serve import published
from trainables.data.canonical import decode
from trainables.data.config import DataConfig
from trainables.data.frames import FRAMES
from trainables.data.splits.loading import load_splits
from trainables.eval.generation.config import EvaluationConfig
from trainables.physical import state, train
from trainables.physical.api import load_physical
from trainables.physical.config import FitConfig, PhysicalConfig
from trainables.physical.cost import measure
from trainables.physical.fit_report import fit_report, relative_parameters, variance_shares
from trainables.physical.forms import FORMS
from trainables.training import metric_names as names
from trainables.training.checkpoint import CheckpointError, load_checkpoint
from trainables.training.trainable import Epoch, TrainingDivergedError

TINY = PhysicalConfig(
    epochs=2,
    fit=FitConfig(movements=60, iterations=5),
    evaluation=EvaluationConfig(movements=40, folds=2, probes=("features",)),
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Sequence[Epoch], Path]:
    folder = tmp_path_factory.mktemp("run")
    found = []
    for epoch in train.epochs(TINY):
        epoch.save(folder / str(epoch.number))
        found.append(epoch)
    return found, folder


def test_epochs_begin_with_the_initial_values_and_fit_better_from_one_to_the_next(
    run: tuple[Sequence[Epoch], Path],
) -> None:
    found, _ = run
    assert [epoch.number for epoch in found] == [0, 1, 2]
    one, two, three = (epoch.metrics[names.TRAIN_PATH_SNR] for epoch in found)
    assert one < two < three
    assert found[0].metrics[names.TRAIN_SPEED_SNR] < found[-1].metrics[names.TRAIN_SPEED_SNR]
    assert all(names.VAL_AUC_EXCESS in epoch.metrics for epoch in found)
    assert [epoch.metrics[names.TRAIN_STEPS] for epoch in found] == [0, 5, 10]


def test_a_resumed_run_ends_where_the_whole_one_does(run: tuple[Sequence[Epoch], Path], tmp_path: Path) -> None:
    found, folder = run
    (last,) = train.epochs(TINY, resume=folder / "1")
    last.save(tmp_path / "last")
    ours, theirs = load_checkpoint(tmp_path / "last"), load_checkpoint(folder / "2")
    assert ours == (ours[0], theirs[1])
    assert ours[0].keys() == theirs[0].keys()
    assert all(torch.equal(tensor, theirs[0][name]) for name, tensor in ours[0].items())
    evaluated = {name for name in found[-1].metrics if name.startswith("val/") and name != names.VAL_SECONDS}
    assert {name: last.metrics[name] for name in evaluated} == {name: found[-1].metrics[name] for name in evaluated}


def test_a_run_of_another_form_is_not_resumed(run: tuple[Sequence[Epoch], Path]) -> None:
    other = replace(TINY, fit=replace(TINY.fit, form="minimum_jerk"))
    with pytest.raises(
        CheckpointError,
        match=r"another configuration, now fit\.form=minimum_jerk \(there: \w+\); start a new run instead$",
    ):
        next(train.epochs(other, resume=run[1] / "1"))


def test_a_fit_that_diverges_ends_the_run_in_one_line() -> None:
    splits = load_splits(TINY.data)
    fitted = state.FittedMovements.of(splits["train"], TINY)
    began = state.State.initial(fitted)
    began.optimised.strokes.free[5, 0, 0] = torch.nan
    with pytest.raises(
        TrainingDivergedError, match=r"^the loss of 1 movements is not finite in epoch 1, first of row \d+"
    ):
        train.next_state(began, fitted, 2)


def test_movements_that_are_not_fitted_are_counted_and_left_out(run: tuple[Sequence[Epoch], Path]) -> None:
    found, folder = run
    for epoch in found:
        components = load_physical(folder / str(epoch.number)).population.components
        assert len(components) == TINY.fit.movements - epoch.metrics[names.TRAIN_NOT_FITTED]


def test_the_cost_of_a_run_is_measured() -> None:
    found = measure(TINY)
    assert found.step_s > 0
    assert found.steps_per_epoch == TINY.fit.iterations
    assert found.checkpoint_bytes > 10_000


def test_a_report_of_a_fit() -> None:
    splits = load_splits(TINY.data)
    fitted = state.FittedMovements.of(splits["train"], TINY)
    found = fit_report(fitted.trajectories, fitted.form, 5).to_json()
    assert found["movements"] == 60
    assert found["strokes"]["q0.5"] <= 7
    for ticks in ("all_ticks", "fitted_ticks", "held_out_ticks"):
        ratios = found[ticks]
        assert ratios["path"]["q0.1"] <= ratios["path"]["q0.5"] <= ratios["path_bound"]["q0.5"]
        assert 0 <= ratios["speed_above_25_db"] <= ratios["speed_above_15_db"] <= 1
    assert found["held_out_ticks"]["speed"]["q0.5"] < found["fitted_ticks"]["speed"]["q0.5"]


def test_shares_of_variance_of_conditions_and_users() -> None:
    """A parameter of the condition alone, one of the user alone, and one of neither, for 40 users of 25 movements."""
    random = torch.Generator().manual_seed(0)
    condition = torch.randn(1000, 2, generator=random, dtype=torch.float64)
    users = [str(row % 40) for row in range(1000)]
    own = torch.randn(40, generator=random, dtype=torch.float64)[torch.arange(1000) % 40]
    noise = torch.randn(1000, 3, generator=random, dtype=torch.float64)
    values = torch.stack([condition[:, 0] + noise[:, 0], own + noise[:, 1], noise[:, 2]], dim=1)
    found = variance_shares(values, condition, users, ("task", "user", "neither"))
    assert found["task"]["condition"] == pytest.approx(0.5, abs=0.06)
    assert found["user"]["user"] == pytest.approx(float(own.var() / (own.var() + 1)), abs=0.08)
    small = (found["task"]["user"], found["user"]["condition"], *found["neither"].values())
    assert max(small) < 0.03


def test_parameters_of_a_movement_are_relative_to_its_duration_and_distance() -> None:
    fitted = state.FittedMovements.of(load_splits(TINY.data)["train"], published.PHYSICAL)
    strokes = state.State.initial(fitted).optimised.strokes
    duration, distance = fitted.movements.duration_s.double(), fitted.movements.distance_px.double()
    found = relative_parameters(strokes, duration, distance)
    row = 3
    kept = strokes.free[row][strokes.present[row]]
    assert float(found[row, 1]) == pytest.approx(float((kept[:, 1] / duration[row]).mean()))
    assert float(found[row, 0]) == pytest.approx(float((kept[:, 0] - distance[row].log()).mean()))
    assert len(FORMS["sigma_lognormal"].free) == found.shape[1]


def test_samples_of_strokes_do_not_depend_on_the_frame(tmp_path: Path) -> None:
    """In whole pixels: strokes are drawn on the screen, and the frame only says how they are standardised."""
    real, drawn = load_splits(DataConfig())["validation"].take(torch.arange(20)), []
    for frame in FRAMES:
        config = replace(published.PHYSICAL, data=DataConfig(frame=frame))
        source = load_physical(published.physical(tmp_path / frame, config))
        assert source.statistics.frame == frame
        drawn.append(decode(source.sample_matching(real, seed=0), config.data.canonical).steps_px)
    assert bool(drawn[0].any())
    assert torch.equal(*drawn)
