"""An adversarial run: the seed determines it, interruptions leave no trace, and only one network moves per step."""

import copy
import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, repeat
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.nn.parallel import DistributedDataParallel

from trainables.augmentation.config import AugmentationConfig
from trainables.core.config import ConfigError, build, plain
from trainables.data.config import CONDITION_WIDTH
from trainables.data.dataset import Batch, Sequences
from trainables.data.splits.statistics import Statistics
from trainables.eval.generation.config import EvaluationConfig
from trainables.gan.config import GanConfig, GanModelConfig, GanOptimConfig
from trainables.gan.cost import measure
from trainables.gan.objective import StepRandomness, critic_loss, generator_loss, sample_randomness
from trainables.gan.state import NetworkAndOptimizer, State, initial_state
from trainables.gan.train import epochs, learning_rates, shard, train_critic, train_generator, train_step
from trainables.training import metric_names as names
from trainables.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from trainables.training.trainable import Epoch, TrainingDivergedError
from trainables.training.worker import ALONE, Worker

TINY = GanConfig(
    epochs=2,
    steps_per_epoch=2,
    batch_size=16,
    model=GanModelConfig(widths=(8, 12), latent_dim=4, noise_channels=2, embedding_dim=16),
    optim=GanOptimConfig(critic_steps=2, warmup_steps=0),
    evaluation=EvaluationConfig(movements=60, folds=2, probes=("features",)),
)
BUSY = replace(TINY, augmentation=AugmentationConfig(0.3))
CLOCKS = (names.TRAIN_SECONDS, names.VAL_SECONDS)
C, D = 2, CONDITION_WIDTH
STATISTICS = Statistics(torch.zeros(C), torch.ones(C), torch.zeros(D), torch.ones(D), torch.tensor(1.0))
Tensors = dict[str, Tensor]


def saved(epoch: Epoch, folder: Path) -> Tensors:
    epoch.save(folder)
    return load_checkpoint(folder)[0]


def timeless(epoch: Epoch) -> dict[str, float]:
    return {name: value for name, value in epoch.metrics.items() if name not in CLOCKS}


def assert_equal(found: Tensors, expected: Tensors) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


def differ(one: Tensors, other: Tensors) -> bool:
    return not all(torch.equal(one[name], tensor) for name, tensor in other.items())


def weights(player: NetworkAndOptimizer) -> Tensors:
    return {name: tensor.clone() for name, tensor in player.network.state_dict().items()}


def toy_batch(rows: int = 16, steps: int = 12, seed: int = 0) -> Batch:
    """Sequences of three lengths whose level is 2 plus their condition's first column."""
    random = torch.Generator().manual_seed(seed)
    condition = torch.randn(rows, D, generator=random)
    mask = torch.arange(steps) < torch.tensor([8, 10, 12]).repeat(rows)[:rows, None]
    z = (2.0 + condition[:, None, :1] + 0.1 * torch.randn(rows, steps, C, generator=random)) * mask[..., None]
    return Batch(Sequences(z, mask), condition)


def toy_draw(batch: Batch, seed: int = 0) -> StepRandomness:
    return sample_randomness(batch.sequences.mask, 4, 2, torch.Generator().manual_seed(seed))


def toy_state(worker: Worker = ALONE, config: GanConfig = TINY) -> State:
    return initial_state(config, STATISTICS, worker)


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Epoch], list[Tensors], Path]:
    """A run with generated movements in its training set, saved after each epoch."""
    folder, run, states = tmp_path_factory.mktemp("uncut"), [], []
    for epoch in epochs(BUSY):
        run.append(epoch)
        states.append(saved(epoch, folder / str(epoch.number)))
    return run, states, folder


# reproducibility


def test_a_run_resumed_after_an_epoch_equals_the_uninterrupted_run_bit_for_bit(
    uncut: tuple[list[Epoch], list[Tensors], Path], tmp_path: Path
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


def test_every_part_of_the_state_is_trained_and_saved(uncut: tuple[list[Epoch], list[Tensors], Path]) -> None:
    """Else the test above could pass on states that never move."""
    parts = [f"{player}.{part}." for player in ("generator", "critic") for part in ("network", "optimizer")]
    for part in (*parts, "ema."):
        one, two = ({k: v for k, v in state.items() if k.startswith(part)} for state in uncut[1][1:])
        assert one.keys() == two.keys() != set()
        assert differ(one, two)


def test_the_training_set_and_the_seed_determine_the_run(uncut: tuple[list[Epoch], list[Tensors], Path]) -> None:
    for other in (replace(BUSY, seed=1), TINY):
        _, first = islice(epochs(other), 2)
        assert timeless(first) != timeless(uncut[0][1])


def test_the_weights_at_the_start_are_the_seeds_alone() -> None:
    def start(seed: int) -> list[Tensor]:
        torch.rand(seed + 3)
        state = initial_state(replace(TINY, seed=seed), STATISTICS, ALONE)
        return [*state.generator.network.parameters(), *state.critic.network.parameters()]

    assert all(map(torch.equal, start(0), start(0)))
    assert not all(map(torch.equal, start(0), start(1)))


# metrics of an epoch


def test_epochs_are_numbered_from_the_untrained_model(uncut: tuple[list[Epoch], list[Tensors], Path]) -> None:
    run, _, folder = uncut
    assert [epoch.number for epoch in run] == [0, 1, 2] == [epoch.metrics[names.EPOCH] for epoch in run]
    assert [epoch.metrics.get(names.TRAIN_STEPS) for epoch in run] == [None, 2.0, 4.0]
    records = [load_checkpoint(folder / str(number))[1] for number in range(3)]
    assert [record["step"] for record in records] == [0, 2, 4] == [record["ema_updates"] for record in records]
    assert all(record["config"] == plain(BUSY) and record["kind"] == "gan" for record in records)


def test_only_what_was_computed_is_reported(uncut: tuple[list[Epoch], list[Tensors], Path]) -> None:
    run, _, _ = uncut
    game = {
        names.TRAIN_CRITIC,
        names.TRAIN_GENERATOR,
        names.TRAIN_WASSERSTEIN,
        names.TRAIN_GRADIENT_PENALTY,
    }
    assert not any(name.startswith("train/") for name in run[0].metrics)
    assert all(game <= set(epoch.metrics) for epoch in run[1:])
    assert all(names.VAL_AUC_EXCESS in epoch.metrics and names.VAL_LOSS not in epoch.metrics for epoch in run)
    assert all(math.isfinite(value) for epoch in run for value in epoch.metrics.values())


def test_no_worker_but_the_first_evaluates() -> None:
    config = replace(TINY, epochs=1, steps_per_epoch=1)
    run = list(epochs(config, worker=Worker(rank=1, world_size=2)))
    assert not any(name.startswith(("val/", "model/")) for epoch in run for name in epoch.metrics)
    assert names.TRAIN_CRITIC in run[1].metrics


# resuming is for the same run


def test_a_checkpoint_of_another_run_is_refused(uncut: tuple[list[Epoch], list[Tensors], Path], tmp_path: Path) -> None:
    folder = uncut[2] / "1"
    with pytest.raises(CheckpointError, match="made with another configuration"):
        next(epochs(replace(BUSY, seed=1), resume=folder))
    tensors, record = load_checkpoint(folder)
    save_checkpoint(tmp_path / "data", tensors, {**record, "data_sha256": "0" * 64})
    with pytest.raises(CheckpointError, match="trained on other data"):
        next(epochs(BUSY, resume=tmp_path / "data"))
    missing = {name: tensor for name, tensor in tensors.items() if not name.startswith("critic.network.stem")}
    save_checkpoint(tmp_path / "part", missing, record)
    with pytest.raises(CheckpointError, match="not a whole checkpoint of this run"):
        next(epochs(BUSY, resume=tmp_path / "part"))


# one step of the game


def test_only_the_player_at_move_moves() -> None:
    state, batch = toy_state(), toy_batch()
    before = weights(state.generator), weights(state.critic)
    train_critic(state, TINY, batch, toy_draw(batch))
    assert not differ(weights(state.generator), before[0])
    assert differ(middle := weights(state.critic), before[1])
    train_generator(state, TINY, batch, toy_draw(batch))
    assert differ(weights(state.generator), before[0])
    assert not differ(weights(state.critic), middle)
    assert all(parameter.requires_grad for parameter in state.critic.network.parameters())


def test_a_step_is_so_many_batches_of_the_critic_and_one_of_the_generator() -> None:
    batches, state = iter([toy_batch(seed=seed) for seed in range(4)]), toy_state()
    reference = copy.deepcopy(state)
    measured = train_step(
        state,
        replace(TINY, optim=GanOptimConfig(critic_steps=3, warmup_steps=0)),
        batches,
        torch.Generator().manual_seed(5),
    )
    assert next(batches, None) is None
    assert (state.step, state.ema.updates) == (1, 1)
    random, losses = torch.Generator().manual_seed(5), []
    for player in (reference.critic, reference.generator):
        player.optimizer.param_groups[0]["lr"] = 1e-3 if player is reference.critic else 5e-4
    for seed in range(4):
        batch = toy_batch(seed=seed)
        drawn = sample_randomness(batch.sequences.mask, 4, 2, random)
        if seed < 3:
            losses.append(train_critic(reference, TINY, batch, drawn)[names.TRAIN_CRITIC])
        else:
            assert train_generator(reference, TINY, batch, drawn) == measured[names.TRAIN_GENERATOR]
    assert measured[names.TRAIN_CRITIC] == pytest.approx(sum(losses) / 3)
    assert not differ(weights(state.generator), weights(reference.generator))
    assert not differ(weights(state.critic), weights(reference.critic))


@pytest.mark.parametrize(("move", "key"), [(train_critic, "critic_lr"), (train_generator, "generator_lr")])
def test_a_loss_that_is_not_finite_ends_the_run_before_the_weights_change(move: Any, key: str) -> None:
    state, batch = toy_state(), toy_batch()
    before = weights(state.generator), weights(state.critic)
    drawn = toy_draw(batch)
    bad = drawn._replace(latent=torch.full_like(drawn.latent, float("nan")))
    with pytest.raises(TrainingDivergedError, match=rf"^the loss is nan at step 0; lower optim\.{key}="):
        move(state, TINY, batch, bad)
    assert not differ(weights(state.generator), before[0])
    assert not differ(weights(state.critic), before[1])


@pytest.mark.parametrize("warmup", [0, 4, 20])
def test_the_rates_fall_linearly_and_the_generators_warms_up_first(warmup: int) -> None:
    config = GanOptimConfig(critic_lr=0.5, generator_lr=0.1, final_lr_share=0.2, warmup_steps=warmup)
    for step in range(15):
        share = 1.0 - 0.08 * step if step < 10 else 0.2
        warm = (step + 1) / warmup if step < warmup else 1.0
        assert learning_rates(step, 10, config) == pytest.approx((0.5 * share, 0.1 * share * warm))


# several workers


def test_workers_share_a_batch_and_their_mean_losses_are_its_losses() -> None:
    batch, state = toy_batch(), toy_state()
    drawn = toy_draw(batch)
    shares = [shard(batch, drawn, Worker(rank=rank, world_size=2)) for rank in range(2)]
    for row in range(16):
        (mine, my_draw), place = shares[row % 2], row // 2
        expected = (*batch.sequences, batch.condition, *drawn)
        for found, whole in zip((*mine.sequences, mine.condition, *my_draw), expected, strict=True):
            assert torch.equal(found[place], whole[row])

    def losses(part: tuple[Batch, StepRandomness]) -> Tensor:
        given, random = part
        fake = state.generator.network(random.latent, random.noise, given.sequences.mask, given.condition)
        ours = critic_loss(state.critic.network, given, fake.detach(), random.mix, 10.0).total
        return torch.stack([ours, generator_loss(state.critic.network, given, fake)]).detach()

    torch.testing.assert_close(torch.stack([losses(part) for part in shares]).mean(dim=0), losses((batch, drawn)))


def test_a_batch_that_workers_cannot_share_equally_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`workers` to divide `batch_size`.*workers=3, batch_size=16"):
        next(epochs(TINY, worker=Worker(rank=0, world_size=3)))


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


class Counted(nn.Module):
    """Counts the calls with and without a gradient."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.calls = network, Counter[bool]()

    def forward(self, *given: Tensor) -> Tensor:
        self.calls[torch.is_grad_enabled()] += 1
        scores: Tensor = self.network(*given)
        return scores


@pytest.mark.filterwarnings("ignore:Grad strides do not match bucket view strides")  # of speed, not of numbers
@pytest.mark.usefixtures("process_group")
def test_under_data_parallel_wrappers_a_step_is_the_same() -> None:
    """The gradient penalty differentiates the wrapped critic twice; one worker's mean gradient is its own."""
    plain_state, wrapped = toy_state(), toy_state(Worker(wrap=DistributedDataParallel))
    for state in (plain_state, wrapped):
        for _ in range(2):
            train_step(state, TINY, repeat(toy_batch()), torch.Generator().manual_seed(0))
    for one, other in ((plain_state.critic, wrapped.critic), (plain_state.generator, wrapped.generator)):
        assert isinstance(other.parallel, DistributedDataParallel)
        for name, tensor in weights(one).items():
            torch.testing.assert_close(weights(other)[name], tensor)


def test_a_network_learns_through_its_wrapper_alone_and_once_a_step() -> None:
    """More than one call, or one beside it, would leave workers with gradients that are not common."""
    state = toy_state(Worker(wrap=Counted))
    train_step(state, TINY, repeat(toy_batch()), torch.Generator().manual_seed(0))
    calls = [player.parallel.calls for player in (state.critic, state.generator)]
    assert calls == [{True: TINY.optim.critic_steps}, {True: 1}]


# what it is for


def test_training_brings_fakes_nearer_to_the_real_sequences() -> None:
    """The level of a toy sequence follows its condition: 60 steps bring the averaged generator's mean error down.

    To 0.22-0.49 of the untrained one for the seeds 0, 1 and 2, of which the first is run.
    """
    optim = GanOptimConfig(critic_lr=5e-3, generator_lr=5e-3, warmup_steps=0, ema_decay=0.9)
    config = replace(TINY, epochs=1, steps_per_epoch=60, optim=optim)
    state, held_out = toy_state(config=config), toy_batch(64, seed=5000)

    def error() -> float:
        drawn = toy_draw(held_out, 7)
        with torch.no_grad():
            fake = state.ema.model(drawn.latent, drawn.noise, held_out.sequences.mask, held_out.condition)
        level = fake.sum(dim=1) / held_out.sequences.mask.sum(dim=1, keepdim=True)
        return float((level - 2.0 - held_out.condition[:, :1]).abs().mean())

    untrained, random = error(), torch.Generator().manual_seed(0)
    stream = (toy_batch(32, seed=seed) for seed in range(1000))
    for _ in range(config.steps_per_epoch):
        train_step(state, config, stream, random)
    assert error() < 0.6 * untrained


# configuration and cost


def test_a_configuration_is_restored_from_its_plain_form() -> None:
    assert build(GanConfig, plain(BUSY)) == BUSY


@pytest.mark.parametrize(
    ("key", "value", "law"),
    [
        ("epochs", 0, "`epochs >= 1`"),
        ("steps_per_epoch", 0, "`steps_per_epoch >= 1`"),
        ("batch_size", 1, "`batch_size >= 2`"),
        ("model", {"blocks": 0}, "`blocks >= 1`"),
        ("optim", {"critic_steps": 0}, "`critic_steps >= 1`"),
        ("optim", {"critic_lr": 0.0}, "`0 < critic_lr < inf`"),
        ("optim", {"generator_lr": float("inf")}, "`0 < generator_lr < inf`"),
        ("optim", {"betas": [0.0]}, "`betas` to have 2 entries, but got betas=[0.0]"),
        ("optim", {"gradient_penalty": -1.0}, "`0 <= gradient_penalty < inf`"),
        ("optim", {"warmup_steps": -1}, "`warmup_steps >= 0`"),
        ("optim", {"ema_decay": 1.0}, "`0 <= ema_decay < 1`"),
        ("optim", {"final_lr_share": 2.0}, "`0 <= final_lr_share <= 1`"),
    ],
)
def test_an_invalid_value_is_refused(key: str, value: Any, law: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        build(GanConfig, {key: value}, at="trainable")
    assert law in str(exc_info.value)


def test_the_measured_size_of_a_checkpoint_is_that_of_the_file(
    uncut: tuple[list[Epoch], list[Tensors], Path],
) -> None:
    """Beside the conditions and statistics, which do not grow with the networks."""
    cost = measure(TINY)
    tensors = uncut[1][2]
    held = sum(t.numel() * t.element_size() for name, t in tensors.items() if not name.startswith(("known", "stat")))
    steps = sum(4 for name in tensors if name.endswith(".step"))
    assert cost.checkpoint_bytes == held - steps
    assert cost.steps_per_epoch == TINY.steps_per_epoch
    assert min(cost.step_s, cost.evaluation_s) > 0
