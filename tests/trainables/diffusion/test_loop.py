"""A training run: the seed determines it, interruptions leave no trace, and features that are off change nothing."""

import math
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from trainables.augmentation.config import AugmentationConfig
from trainables.core.config import ConfigError, build, plain
from trainables.core.seeding import generator
from trainables.data.config import MEASURED_CONDITIONS, DataConfig
from trainables.data.dataset import Batch, SequenceDataset
from trainables.data.splits.loading import load_splits
from trainables.diffusion import loop
from trainables.diffusion.config import DiffusionConfig, EarlyStoppingConfig, ModelConfig, MotionConfig, OptimConfig
from trainables.diffusion.loop import autocast, epochs, optimise
from trainables.diffusion.models.unet1d import UNet1D
from trainables.diffusion.noise.config import NoiseConfig
from trainables.diffusion.noise.schedule import cosine_schedule
from trainables.diffusion.noise.times import TIMES
from trainables.diffusion.objective import Objective, StepRandomness, diffusion_loss, sample_randomness, shard
from trainables.diffusion.ranking_config import ContrastiveConfig
from trainables.diffusion.sampling_config import SamplingConfig
from trainables.diffusion.state import State as DiffusionState
from trainables.diffusion.state import initial_state
from trainables.eval.generation.config import HEADLINE_PROBES, EvaluationConfig
from trainables.eval.generation.validator import Validator
from trainables.nn.lr_schedule import learning_rate
from trainables.training import metric_names as names
from trainables.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from trainables.training.trainable import Epoch, TrainingDivergedError
from trainables.training.worker import ALONE, Worker

TINY = DiffusionConfig(
    epochs=2,
    steps_per_epoch=4,
    batch_size=16,
    model=ModelConfig(base_channels=16),
    optim=OptimConfig(lr=1e-2, warmup_steps=3),
    sampling=SamplingConfig(steps=2),
    evaluation=EvaluationConfig(movements=40, folds=2, probes=("features",)),
)
BARE = replace(TINY, motion=MotionConfig(channel=False, ends=False))  # of batches that are steps and nothing else
BUSY = replace(
    TINY,
    augmentation=AugmentationConfig(0.3),
    contrastive=ContrastiveConfig(weight=0.5, negatives=2, source="queue", queue_size=20, every=2),
    diffusion=NoiseConfig(timesteps=100, condition_dropout=0.3),
    early_stopping=EarlyStoppingConfig(patience=9),
)  # every stream of randomness is in use
SCHEDULE = cosine_schedule()
OBJECTIVE = Objective.of(TINY.diffusion)
CPU = torch.device("cpu")
CLOCKS = (names.TRAIN_SECONDS, names.VAL_SECONDS)
State = dict[str, Tensor]


def saved(epoch: Epoch, folder: Path) -> State:
    epoch.save(folder)
    return load_checkpoint(folder)[0]


def timeless(epoch: Epoch) -> dict[str, float]:
    return {name: value for name, value in epoch.metrics.items() if name not in CLOCKS}


def trained(config: DiffusionConfig, folder: Path) -> State:
    """Weights, averaged weights and optimiser after the last epoch."""
    *_, last = epochs(config)
    return saved(last, folder)


def assert_equal(found: State, expected: State) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def differ(one: State, other: State) -> bool:
    return not all(torch.equal(one[name], tensor) for name, tensor in other.items())


def untrained(config: DiffusionConfig) -> DiffusionState:
    """Return the state before the first step, for the conditions of the default data."""
    return initial_state(config, ALONE, load_splits(config.data).statistics.condition_width)


def first_batch(size: int = 16) -> Batch:
    splits = load_splits(DataConfig())
    return SequenceDataset(splits["train"], splits.statistics)[torch.arange(size)]


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Epoch], list[State], Path]:
    """A run with everything switched on, saved after each epoch."""
    folder, run, states = tmp_path_factory.mktemp("uncut"), [], []
    for epoch in epochs(BUSY):
        run.append(epoch)
        states.append(saved(epoch, folder / str(epoch.number)))
    return run, states, folder


@pytest.fixture(scope="module")
def baseline(tmp_path_factory: pytest.TempPathFactory) -> State:
    return trained(TINY, tmp_path_factory.mktemp("baseline") / "last")


# reproducibility


def test_a_run_resumed_after_an_epoch_equals_the_uninterrupted_run_bit_for_bit(
    uncut: tuple[list[Epoch], list[State], Path], tmp_path: Path
) -> None:
    run, states, folder = uncut
    torch.rand(77)  # what happened before in this process plays no part
    for cut in (0, 1):
        rest = []
        for epoch in epochs(BUSY, resume=folder / str(cut)):
            rest.append(epoch.number)
            assert timeless(epoch) == timeless(run[epoch.number])
            assert_equal(saved(epoch, tmp_path / f"{cut}-{epoch.number}"), states[epoch.number])
        assert rest == [1, 2][cut:]
    assert list(epochs(BUSY, resume=folder / "2")) == []


def test_every_part_of_the_state_is_trained_and_saved(uncut: tuple[list[Epoch], list[State], Path]) -> None:
    """Else the test above could pass on states that never move."""
    _, states, _ = uncut
    for part in ("model.", "ema.", "optimizer."):
        one, two = ({k: v for k, v in state.items() if k.startswith(part)} for state in states[1:])
        assert one.keys() == two.keys() != set()
        assert differ(one, two)
    assert differ(
        {k: v for k, v in states[2].items() if k.startswith("model.")},
        {k.replace("ema.", "model."): v for k, v in states[2].items() if k.startswith("ema.")},
    )


def test_random_numbers_used_between_epochs_change_nothing(baseline: State, tmp_path: Path) -> None:
    torch.manual_seed(12345)
    run = epochs(TINY)
    for number in range(TINY.epochs):
        assert next(run).number == number
        torch.rand(number + 1)
    assert_equal(saved(next(run), tmp_path / "last"), baseline)


def test_no_two_steps_share_their_randomness(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the rows of a batch nor times, noise and forgotten conditions come again in a later epoch."""
    steps: list[tuple[Batch, StepRandomness]] = []

    def watched(batch: Batch, *given: Any, estimates: bool = False) -> StepRandomness:
        steps.append((batch, sample_randomness(batch, *given, estimates=estimates)))
        return steps[-1][1]

    monkeypatch.setattr(loop, "sample_randomness", watched)
    for _ in epochs(TINY):
        pass
    taken = [pair for pair in steps if len(pair[0].condition) == TINY.batch_size]
    assert len(taken) == 8
    for part in (lambda batch, _: batch.condition, lambda _, drawn: drawn.t, lambda _, drawn: drawn.eps):
        assert len({tuple(part(*pair).flatten().tolist()) for pair in taken}) == 8


def test_the_seed_decides(baseline: State, tmp_path: Path) -> None:
    other = trained(replace(TINY, seed=1), tmp_path / "other")
    trained_parts = [name for name in baseline if name.startswith(("model.", "ema."))]
    assert differ({k: other[k] for k in trained_parts}, {k: baseline[k] for k in trained_parts})


def test_the_weights_at_the_start_are_the_seeds_alone() -> None:
    def start(seed: int) -> list[Tensor]:
        torch.rand(seed + 3)
        return list(initial_state(replace(TINY, seed=seed), ALONE).model.parameters())

    assert all(map(torch.equal, start(0), start(0)))
    assert not all(map(torch.equal, start(0), start(1)))


# what is off changes nothing


@pytest.mark.parametrize(
    "off",
    [
        {"contrastive": ContrastiveConfig(weight=0.0, temperature=0.01, negatives=999, share=1.0)},
        {"augmentation": AugmentationConfig(alpha=0.0, generator="minimum_jerk")},
    ],
    ids=["contrastive weight 0", "alpha 0"],
)
def test_features_that_are_off_leave_the_baseline_bit_for_bit(
    baseline: State, off: dict[str, Any], tmp_path: Path
) -> None:
    assert_equal(trained(replace(TINY, **off), tmp_path / "off"), baseline)


@pytest.mark.parametrize(
    "on",
    [{"contrastive": ContrastiveConfig(weight=1e-3)}, {"augmentation": AugmentationConfig(alpha=0.01)}],
    ids=["contrastive weight", "alpha"],
)
def test_features_that_are_on_change_the_baseline(baseline: State, on: dict[str, Any], tmp_path: Path) -> None:
    assert differ(trained(replace(TINY, **on), tmp_path / "on"), baseline)


# metrics of an epoch


def test_epochs_are_numbered_from_the_untrained_model(uncut: tuple[list[Epoch], list[State], Path]) -> None:
    run, _, folder = uncut
    assert [epoch.number for epoch in run] == [0, 1, 2] == [epoch.metrics[names.EPOCH] for epoch in run]
    assert [epoch.metrics.get(names.TRAIN_STEPS) for epoch in run] == [None, 4.0, 8.0]
    records = [load_checkpoint(folder / str(number))[1] for number in range(3)]
    assert [record["step"] for record in records] == [0, 4, 8] == [record["ema_updates"] for record in records]
    assert all(record["config"] == plain(BUSY) and record["kind"] == "diffusion" for record in records)


def test_only_what_was_computed_is_reported(uncut: tuple[list[Epoch], list[State], Path]) -> None:
    run, _, _ = uncut
    ranking = {names.TRAIN_RANKING, names.TRAIN_RANKING_ACCURACY}
    known = {value for name, value in vars(names).items() if name.isupper() and isinstance(value, str)}
    of_probes = names.probe_auc, names.probe_accuracy, names.probe_floor
    known |= {of(probe) for probe in HEADLINE_PROBES for of in of_probes}
    known |= {names.condition_error(column) for column in MEASURED_CONDITIONS}
    assert not any(name.startswith("train/") for name in run[0].metrics)
    assert all(ranking <= set(epoch.metrics) <= known for epoch in run[1:])
    assert all(math.isfinite(value) for epoch in run for value in epoch.metrics.values())
    *_, plain_epoch = epochs(TINY)
    assert not ranking & set(plain_epoch.metrics)


def test_the_untrained_model_has_the_loss_of_predicting_nothing() -> None:
    """Its head is zero, so the validation loss is the mean square of v over valid steps, movement by movement."""
    splits = load_splits(DataConfig())
    validator = Validator.fit(splits["validation"], splits["train"], BARE.data.canonical, BARE.evaluation)
    dataset = SequenceDataset(validator.held_out, splits.statistics)
    batch = dataset[torch.arange(len(dataset))]
    drawn = sample_randomness(batch, BARE.diffusion, generator(BARE.evaluation.seed, "validation loss"))
    total = 0.0
    for z, mask, eps, t in zip(*batch.sequences, drawn.eps, drawn.t, strict=True):
        v = (SCHEDULE.alpha[t] * eps - SCHEDULE.sigma[t] * z)[mask]
        total += float(v.square().mean())
    untrained = next(epochs(BARE))
    assert untrained.metrics[names.VAL_LOSS] == pytest.approx(total / len(dataset), rel=1e-5)


def test_training_lowers_the_loss_on_held_out_users() -> None:
    start, *_, end = epochs(replace(TINY, steps_per_epoch=30))
    assert end.metrics[names.VAL_LOSS] < 0.9 * start.metrics[names.VAL_LOSS]


@pytest.mark.heavy
def test_a_network_that_predicts_the_noise_learns_as_well() -> None:
    """Untrained it generates no movements, so that only their absence is reported."""
    noise = replace(TINY, steps_per_epoch=30, diffusion=NoiseConfig(objective="eps"))
    start, *_, end = epochs(noise)
    assert start.metrics[names.VAL_REJECTED] == 1.0
    assert names.VAL_AUC_EXCESS not in start.metrics
    assert end.metrics[names.VAL_LOSS] < 0.9 * start.metrics[names.VAL_LOSS]


def test_the_validation_loss_takes_uniform_times_whatever_the_training_takes() -> None:
    uniform, other = (next(epochs(replace(TINY, diffusion=NoiseConfig(times=times)))) for times in TIMES)
    assert other.metrics[names.VAL_LOSS] == uniform.metrics[names.VAL_LOSS]


@pytest.mark.heavy
@pytest.mark.parametrize(
    "noise",
    [NoiseConfig(times="lognormal", min_snr_gamma=0), NoiseConfig(objective="flow", schedule="linear")],
    ids=["log-normal times", "straight path"],
)
def test_other_processes_learn_as_well(noise: NoiseConfig) -> None:
    start, *_, end = epochs(replace(TINY, steps_per_epoch=30, diffusion=noise))
    assert end.metrics[names.VAL_LOSS] < 0.9 * start.metrics[names.VAL_LOSS]


def test_no_worker_but_the_first_evaluates() -> None:
    config = replace(TINY, epochs=1, steps_per_epoch=1)
    run = list(epochs(config, worker=Worker(rank=1, world_size=2)))
    assert not any(name.startswith(("val/", "model/")) for epoch in run for name in epoch.metrics)
    assert names.TRAIN_LOSS in run[1].metrics


# resuming is for the same run


@pytest.mark.parametrize(
    "other", [{"seed": 1}, {"epochs": 3}, {"optim": OptimConfig(lr=2e-2, warmup_steps=3)}], ids=str
)
def test_a_checkpoint_of_another_configuration_is_refused(
    uncut: tuple[list[Epoch], list[State], Path], other: dict[str, Any]
) -> None:
    with pytest.raises(CheckpointError, match="made with another configuration"):
        next(epochs(replace(BUSY, **other), resume=uncut[2] / "1"))


def test_a_checkpoint_of_other_data_is_refused(uncut: tuple[list[Epoch], list[State], Path], tmp_path: Path) -> None:
    tensors, record = load_checkpoint(uncut[2] / "1")
    save_checkpoint(tmp_path / "other", tensors, {**record, "data_sha256": "0" * 64})
    with pytest.raises(CheckpointError, match="trained on other data"):
        next(epochs(BUSY, resume=tmp_path / "other"))


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such file"):
        next(epochs(BUSY, resume=tmp_path / "nowhere"))


# one step


def test_a_loss_that_is_not_finite_ends_the_run_before_the_weights_change() -> None:
    state, batch = untrained(BARE), first_batch()
    drawn = sample_randomness(batch, BARE.diffusion, torch.Generator().manual_seed(0))
    before = [parameter.detach().clone() for parameter in state.model.parameters()]
    bad = drawn._replace(eps=torch.full_like(drawn.eps, float("nan")))
    with pytest.raises(TrainingDivergedError, match=r"^the loss is nan at step 0; lower optim\.lr=0\.01$"):
        optimise(state, BARE, batch, bad, OBJECTIVE)
    assert all(map(torch.equal, before, state.model.parameters()))
    assert (state.step, state.ema.updates) == (0, 0)


def test_gradients_are_clipped_to_the_configured_norm() -> None:
    """Plain gradient descent with rate 1 then moves the weights by at most that far, and here by exactly that."""
    config = replace(BARE, optim=replace(BARE.optim, grad_clip=1e-3))
    state, batch = untrained(config), first_batch()
    state.optimizer = torch.optim.SGD(state.model.parameters(), lr=1.0)
    before = torch.cat([parameter.detach().flatten() for parameter in state.model.parameters()])
    drawn = sample_randomness(batch, BARE.diffusion, torch.Generator().manual_seed(0))
    parts = optimise(state, config, batch, drawn, OBJECTIVE)
    after = torch.cat([parameter.detach().flatten() for parameter in state.model.parameters()])
    assert parts[names.TRAIN_GRADIENT_NORM] > 1e-2
    assert float((after - before).norm()) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("world_size", [2, 4])
def test_workers_share_a_batch_and_its_randomness_and_their_mean_loss_is_its_loss(world_size: int) -> None:
    batch = first_batch()
    model = UNet1D(TINY.model.unet(condition_dim=batch.condition.shape[1])).eval()
    torch.nn.init.normal_(model.head.weight, std=0.1)
    drawn = sample_randomness(batch, BUSY.diffusion, torch.Generator().manual_seed(0))
    shares = [shard(batch, drawn, rank, world_size, CPU) for rank in range(world_size)]
    for row in range(16):
        (mine, my_draw), place = shares[row % world_size], row // world_size
        expected = (*batch.sequences, batch.condition, *drawn[:4])
        for found, whole in zip((*mine.sequences, mine.condition, *my_draw[:4]), expected, strict=True):
            assert torch.equal(found[place], whole[row])

    def loss(given: tuple[Batch, StepRandomness]) -> Tensor:
        return diffusion_loss(model, OBJECTIVE, *given, ContrastiveConfig()).total.detach()

    torch.testing.assert_close(torch.stack([loss(share) for share in shares]).mean(), loss((batch, drawn)))


def gradients_of(config: DiffusionConfig) -> Tensor:
    """Of one step of plain descent with rate 1: how far it moves the weights."""
    state, batch = untrained(config), first_batch()
    torch.nn.init.normal_(state.model.get_parameter("head.weight"), std=0.1)
    state.optimizer = torch.optim.SGD(state.model.parameters(), lr=1.0)
    before = torch.cat([parameter.detach().flatten() for parameter in state.model.parameters()])
    drawn = sample_randomness(batch, config.diffusion, torch.Generator().manual_seed(0), estimates=True)
    optimise(state, config, batch, drawn, OBJECTIVE)
    return torch.cat([parameter.detach().flatten() for parameter in state.model.parameters()]) - before


@pytest.mark.parametrize("accumulate", [2, 8])
def test_accumulated_parts_have_the_gradient_of_the_full_batch(accumulate: int) -> None:
    config = replace(BARE, model=ModelConfig(base_channels=16, dropout=0.0), optim=replace(BARE.optim, grad_clip=1e9))
    whole = gradients_of(config)
    parts = gradients_of(replace(config, optim=replace(config.optim, accumulate=accumulate)))
    assert float((whole - parts).norm()) < 1e-5 * float(whole.norm())
    assert float(whole.norm()) > 1e-3


def test_a_batch_that_its_workers_cannot_share_is_refused() -> None:
    config = replace(TINY, optim=replace(TINY.optim, accumulate=2))
    with pytest.raises(ConfigError, match="but got workers=3, accumulate=2, batch_size=16"):
        next(epochs(config, worker=Worker(rank=0, world_size=3)))


# early stopping


def with_validation_losses(values: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Replace validation losses by given ones, epoch by epoch; nothing else is computed."""
    replayed = iter(values)
    monkeypatch.setattr(loop, "validation_loss", lambda *_: next(replayed))
    monkeypatch.setattr(Validator, "__call__", lambda *_: {})


def stopping(patience: int, min_delta: float = 0.0) -> DiffusionConfig:
    config = EarlyStoppingConfig(patience=patience, min_delta=min_delta)
    return replace(TINY, epochs=6, steps_per_epoch=1, early_stopping=config)


@pytest.mark.parametrize(
    ("patience", "min_delta", "last"), [(0, 0.0, 6), (1, 0.0, 3), (2, 0.0, 6), (2, 0.3, 4), (5, 0.5, 6)]
)
def test_a_run_stops_when_validation_has_not_improved_for_the_patience(
    patience: int, min_delta: float, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_validation_losses([5.0, 4.0, 3.0, 3.5, 2.9, 2.8, 2.7], monkeypatch)
    assert [epoch.number for epoch in epochs(stopping(patience, min_delta))][-1] == last


def test_a_resumed_run_has_not_forgotten_how_long_it_waited(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with_validation_losses([5.0, 4.0, 4.5, 4.4, 4.3], monkeypatch)
    *_, second = islice(epochs(stopping(2)), 3)
    second.save(tmp_path / "2")
    assert [epoch.number for epoch in epochs(stopping(2), resume=tmp_path / "2")] == [3]


def test_the_first_worker_decides_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another worker, which never evaluates, stops if the mean of all flags is above 0, and not before."""
    flags = iter([0.0, 0.0, 0.5])
    worker = Worker(rank=1, world_size=2, mean=lambda _: torch.tensor(next(flags)))
    assert [epoch.number for epoch in epochs(stopping(1), worker=worker)] == [0, 1, 2]


# the learning rate


@pytest.mark.parametrize(("warmup", "total"), [(0, 50), (10, 50), (50, 50), (80, 50)])
def test_the_learning_rate_warms_up_linearly_and_falls_by_half_a_cosine(warmup: int, total: int) -> None:
    config = OptimConfig(lr=0.4, warmup_steps=warmup, final_lr_share=0.1)
    for step in range(total):
        if step < warmup:
            expected = 0.4 * (step + 1) / warmup
        else:
            expected = 0.04 + 0.36 * (math.cos((step - warmup) / (total - warmup) * math.pi) + 1) / 2
        assert learning_rate(step, total, config) == pytest.approx(expected, rel=1e-12)
    if warmup < total:
        assert learning_rate(warmup, total, config) == pytest.approx(0.4)
        assert learning_rate(total, total, config) == learning_rate(total + 5, total, config) == pytest.approx(0.04)


def test_the_reported_learning_rate_is_the_last_one_used(uncut: tuple[list[Epoch], list[State], Path]) -> None:
    found = [epoch.metrics[names.TRAIN_LEARNING_RATE] for epoch in uncut[0][1:]]
    assert found == [learning_rate(step, 8, BUSY.optim) for step in (3, 7)]


# configuration


def test_a_configuration_is_restored_from_its_plain_form() -> None:
    assert build(DiffusionConfig, plain(BUSY)) == BUSY


@pytest.mark.parametrize(
    ("key", "value", "law"),
    [
        ("epochs", 0, "`epochs >= 1`"),
        ("steps_per_epoch", 0, "`steps_per_epoch >= 1`"),
        ("batch_size", 1, "`batch_size >= 2`"),
        ("contrastive", {"weight": 1.0, "negatives": 64}, "`contrastive.negatives < batch_size`"),
        ("model", {"base_channels": 20}, "`groups` to divide every width"),
        ("diffusion", {"schedule": "sigmoid"}, "`schedule` in {cosine, linear, log_snr}"),
        ("diffusion", {"timesteps": 0}, "`timesteps >= 1`"),
        ("diffusion", {"condition_dropout": 1.0}, "`0 <= condition_dropout < 1`"),
        ("diffusion", {"objective": "x0"}, "`objective` in {eps, flow, v}"),
        ("diffusion", {"min_snr_gamma": -1.0}, "`0 <= min_snr_gamma < inf`"),
        ("diffusion", {"estimate_share": 1.5}, "`0 <= estimate_share <= 1`"),
        ("optim", {"accumulate": 0}, "`accumulate >= 1`"),
        ("optim", {"accumulate": 3}, "`accumulate` to divide `batch_size`"),
        ("early_stopping", {"metric": "val/nothing"}, "`metric` in {val/auc_excess, val/loss, val/mmd}"),
        ("early_stopping", {"patience": -1}, "`patience >= 0`"),
        ("early_stopping", {"min_delta": -0.5}, "`0 <= min_delta < inf`"),
        ("optim", {"lr": 0.0}, "`0 < lr < inf`"),
        ("optim", {"weight_decay": -1.0}, "`0 <= weight_decay < inf`"),
        ("optim", {"betas": [0.9, 1.0]}, "`0 <= betas < 1`, but got betas=1.0"),
        ("optim", {"betas": [0.9]}, "`betas` to have 2 entries, but got betas=[0.9]"),
        ("optim", {"grad_clip": 0.0}, "`0 < grad_clip < inf`"),
        ("optim", {"ema_decay": 1.0}, "`0 <= ema_decay < 1`"),
        ("optim", {"ema_width": 0.0}, "`0 < ema_width <= 0.28`"),
        ("optim", {"ema_width": 0.29}, "`0 < ema_width <= 0.28`"),
        ("data", {"frame": "hexagonal"}, "`frame` in {chord, quarter_turn}"),
        ("optim", {"warmup_steps": -1}, "`warmup_steps >= 0`"),
        ("optim", {"final_lr_share": 2.0}, "`0 <= final_lr_share <= 1`"),
    ],
)
def test_an_invalid_value_is_refused(key: str, value: Any, law: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        build(DiffusionConfig, {key: value}, at="trainable")
    assert str(exc_info.value).startswith("trainable")
    assert law in str(exc_info.value)


def test_reduced_precision_is_for_devices_that_compute_in_it() -> None:
    x = torch.randn(4, 4)
    for wanted in (True, False):
        with autocast(torch.device("cpu"), wanted):
            assert (x @ x).dtype == torch.float32
