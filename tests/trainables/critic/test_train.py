"""A critic's run: the seed determines it, interruptions leave no trace, and training finds goals."""

import math
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed
from torch.nn.parallel import DistributedDataParallel

from tests.trainables.critic.tiny import TINY
from trainables.core.config import ConfigError, build, plain
from trainables.critic.api import load_critic
from trainables.critic.buffer import Buffer, Transitions, filled
from trainables.critic.config import CriticConfig, CriticModelConfig
from trainables.critic.cost import measure
from trainables.critic.episodes import Episodes
from trainables.critic.losses import credit
from trainables.critic.measured import DIAGNOSTICS
from trainables.critic.networks import Scale
from trainables.critic.similarity import SIMILARITIES
from trainables.critic.state import initial_state
from trainables.critic.train import epochs, optimise, scale_of
from trainables.data.config import DataConfig
from trainables.training import metric_names as names
from trainables.training.checkpoint import CheckpointError, load_checkpoint, save_checkpoint
from trainables.training.trainable import Epoch, TrainingDivergedError
from trainables.training.worker import ALONE, Worker

CLOCKS = (names.TRAIN_SECONDS, names.VAL_SECONDS)
PLAIN = Scale(torch.zeros(4), torch.ones(4), torch.zeros(2), torch.ones(2))
MIXTURE = replace(TINY.model, similarity="mixture", kernels=3)
Run = tuple[list[Epoch], list[dict[str, Tensor]], Path]


def saved(epoch: Epoch, folder: Path) -> dict[str, Tensor]:
    epoch.save(folder)
    return load_checkpoint(folder)[0]


def timeless(epoch: Epoch) -> dict[str, float]:
    return {name: value for name, value in epoch.metrics.items() if name not in CLOCKS}


def straight(count: int = 64, seed: int = 0) -> Buffer:
    """Movements of 12 rows straight on, in any direction."""
    random = torch.Generator().manual_seed(seed)
    step = torch.randn(count, 1, 2, generator=random).expand(-1, 12, -1)
    position = torch.arange(12.0)[None, :, None] * step
    state = torch.cat([position, step * 60], dim=2).flatten(0, 1)
    return filled(Episodes(state, step.flatten(0, 1).contiguous(), torch.full((count,), 12)))


@pytest.fixture(scope="module")
def uncut(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run, saved after each epoch."""
    folder, run, states = tmp_path_factory.mktemp("uncut"), [], []
    for epoch in epochs(TINY):
        run.append(epoch)
        states.append(saved(epoch, folder / str(epoch.number)))
    return run, states, folder


# reproducibility


def test_a_run_resumed_after_an_epoch_equals_the_uninterrupted_run_bit_for_bit(uncut: Run, tmp_path: Path) -> None:
    run, states, folder = uncut
    torch.rand(77)  # what happened before in this process plays no part
    for cut in (0, 1):
        rest = []
        for epoch in epochs(TINY, resume=folder / str(cut)):
            rest.append(epoch.number)
            assert timeless(epoch) == timeless(run[epoch.number])
            found = saved(epoch, tmp_path / f"{cut}-{epoch.number}")
            assert found.keys() == states[epoch.number].keys()
            assert all(torch.equal(found[name], tensor) for name, tensor in states[epoch.number].items())
        assert rest == [1, 2][cut:]
    assert list(epochs(TINY, resume=folder / "2")) == []


def test_a_resumed_mixture_equals_the_uninterrupted_one_and_trains_all_of_its_parts(tmp_path: Path) -> None:
    config = replace(TINY, model=MIXTURE)
    whole = [saved(epoch, tmp_path / str(epoch.number)) for epoch in epochs(config)]
    (last,) = epochs(config, resume=tmp_path / "1")
    again = saved(last, tmp_path / "again")
    assert all(torch.equal(again[name], tensor) for name, tensor in whole[2].items())
    for part in ("linear_phi.weight", "linear_phi.bias", "linear_psi.weight", "phi.head.weight", "psi.stem.0.weight"):
        assert not torch.equal(whole[0][f"network.{part}"], whole[2][f"network.{part}"])
        assert not torch.equal(whole[0][f"ema.{part}"], whole[2][f"ema.{part}"])


def test_every_part_of_the_state_is_trained_and_saved(uncut: Run) -> None:
    """Else the test above could pass on states that never move."""
    for part in ("network.phi.", "network.psi.", "optimizer.", "ema."):
        one, two = ({k: v for k, v in state.items() if k.startswith(part)} for state in uncut[1][1:])
        assert one.keys() == two.keys() != set()
        assert not all(torch.equal(one[name], tensor) for name, tensor in two.items())


def test_the_seed_determines_the_run(uncut: Run) -> None:
    _, first = islice(epochs(replace(TINY, seed=1)), 2)
    assert timeless(first) != timeless(uncut[0][1])


# metrics of an epoch


def test_epochs_are_numbered_from_the_untrained_model_and_report_what_was_computed(uncut: Run) -> None:
    run, _, folder = uncut
    training = {names.TRAIN_LOSS, names.TRAIN_GRADIENT_NORM, names.TRAIN_PHI_NORM, names.TRAIN_PSI_NORM, *DIAGNOSTICS}
    validation = {names.VAL_GOAL_SHORTFALL, names.VAL_GOAL_ACCURACY, names.VAL_GOAL_DISTANCE, names.VAL_GOAL_LOSS}
    assert [epoch.number for epoch in run] == [0, 1, 2] == [epoch.metrics[names.EPOCH] for epoch in run]
    assert [epoch.metrics.get(names.TRAIN_STEPS) for epoch in run] == [None, 3.0, 6.0]
    assert not any(name.startswith("train/") for name in run[0].metrics)
    assert all(training <= set(epoch.metrics) for epoch in run[1:])
    assert all(validation <= set(epoch.metrics) for epoch in run)
    assert all(math.isfinite(value) for epoch in run for value in epoch.metrics.values())
    records = [load_checkpoint(folder / str(number))[1] for number in range(3)]
    assert all(record["config"] == plain(TINY) and record["kind"] == "critic" for record in records)


def test_no_worker_but_the_first_evaluates() -> None:
    config = replace(TINY, epochs=1, steps_per_epoch=1)
    run = list(epochs(config, worker=Worker(rank=1, world_size=2)))
    assert not any(name.startswith(("val/", "model/")) for epoch in run for name in epoch.metrics)
    assert names.TRAIN_LOSS in run[1].metrics


def test_what_a_step_returns_is_of_its_batch() -> None:
    """The gradient's norm before it is clipped, from a second backward pass of the loss; norms of embeddings by row."""
    drawn, state = straight().sample(16, 0.9, torch.Generator().manual_seed(1)), initial_state(TINY, PLAIN, ALONE)
    phi, psi = state.network(drawn.state, drawn.action, drawn.goal)
    f = -(torch.cdist(phi, psi, compute_mode="donot_use_mm_for_euclid_dist").square() + 1e-6).sqrt()
    masked = f.masked_fill((drawn.trajectory[:, None] == drawn.trajectory) & ~torch.eye(16).bool(), -math.inf)
    lse = masked.logsumexp(dim=1)
    loss = (lse - f.diagonal()).mean() + 0.1 * lse.square().mean()
    gradients = torch.autograd.grad(loss, [*state.network.parameters()])
    found = optimise(state, replace(TINY, tolerance_px=0.0), drawn)
    assert found[names.TRAIN_LOSS] == pytest.approx(loss.item(), rel=1e-4)
    norm = math.sqrt(sum(float(gradient.square().sum()) for gradient in gradients))
    assert found[names.TRAIN_GRADIENT_NORM] == pytest.approx(norm, rel=1e-3)
    assert found[names.TRAIN_PHI_NORM] == pytest.approx(sum(row.norm().item() for row in phi.detach()) / 16, rel=1e-5)
    assert found[names.TRAIN_PSI_NORM] == pytest.approx(sum(row.norm().item() for row in psi.detach()) / 16, rel=1e-5)
    assert found[names.TRAIN_LOGSUMEXP] == pytest.approx(lse.mean().item(), rel=1e-4)


# bad input


def test_a_checkpoint_of_another_run_is_refused(uncut: Run, tmp_path: Path) -> None:
    folder = uncut[2] / "1"
    with pytest.raises(CheckpointError, match="made with another configuration"):
        next(epochs(replace(TINY, model=replace(TINY.model, depth=8)), resume=folder))
    tensors, record = load_checkpoint(folder)
    save_checkpoint(tmp_path / "data", tensors, {**record, "data_sha256": "0" * 64})
    with pytest.raises(CheckpointError, match="trained on other data"):
        next(epochs(TINY, resume=tmp_path / "data"))
    other = {**record, "config": plain(replace(TINY, model=replace(TINY.model, depth=8)))}
    save_checkpoint(tmp_path / "depth", tensors, other)
    with pytest.raises(CheckpointError, match="weights and configuration do not fit"):
        load_critic(tmp_path / "depth")


def test_a_batch_larger_than_the_training_movements_is_refused_before_any_training() -> None:
    with pytest.raises(ConfigError, match=r"^expected `batch_size <= trajectories`, but got batch_size=4000, traj"):
        next(epochs(replace(TINY, batch_size=4000)))


def test_recordings_of_one_step_alone_are_refused_in_one_line(tmp_path: Path) -> None:
    rows = [f"{t},{10 + t + user},{20},u{user},{n}" for user in range(30) for n in range(4) for t in (0, 16)]
    (tmp_path / "short.csv").write_text("\n".join(["t_ms,x,y,user,session", *rows]) + "\n")
    config = replace(TINY, data=DataConfig(source="table", path=str(tmp_path / "short.csv")))
    with pytest.raises(
        ConfigError, match=r"^expected `users of the train split >= 1`, .* with 0 usable movements; [^\n]*$"
    ):
        next(epochs(config))


def test_a_batch_that_workers_cannot_share_equally_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"`workers` to divide `batch_size`.*workers=3, batch_size=32"):
        next(epochs(TINY, worker=Worker(rank=0, world_size=3)))


@pytest.mark.parametrize(
    ("key", "value", "law"),
    [
        ("gamma", 0.0, "`0 < gamma <= 1`"),
        ("tolerance_px", -1.0, "`0 <= tolerance_px < inf`"),
        ("model", {"depth": 6}, "`depth` to be a multiple of 4, but got depth=6; take 4 or 8"),
        ("model", {"similarity": "l1"}, "`similarity` in {cosine, dot, l2, mixture}"),
        ("loss", {"name": "infonce"}, "`name` in {backward, binary, forward, symmetric}"),
    ],
)
def test_values_out_of_bounds_are_refused(key: str, value: object, law: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        build(CriticConfig, {key: value})
    assert law in str(exc_info.value)
    assert "\n" not in str(exc_info.value)


def test_a_loss_that_is_not_finite_ends_the_run_before_the_weights_change() -> None:
    state, drawn = initial_state(TINY, PLAIN, ALONE), straight().sample(8, 0.9, torch.Generator().manual_seed(0))
    before = [parameter.clone() for parameter in state.network.parameters()]
    broken = drawn._replace(action=torch.full_like(drawn.action, math.nan))
    with pytest.raises(TrainingDivergedError, match=r"^the loss is nan at step 0; lower optim\.lr="):
        optimise(state, TINY, broken)
    assert all(map(torch.equal, state.network.parameters(), before))


# several workers


@pytest.fixture
def process_group(tmp_path: Path) -> Iterator[None]:
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("process_group")
def test_under_data_parallel_wrappers_a_step_is_the_same() -> None:
    states = [initial_state(TINY, PLAIN, worker) for worker in (ALONE, Worker(wrap=DistributedDataParallel))]
    drawn = straight().sample(16, 0.9, torch.Generator().manual_seed(0))
    for state in states:
        optimise(state, TINY, drawn)
    assert isinstance(states[1].parallel, DistributedDataParallel)
    for one, other in zip(*(state.network.parameters() for state in states), strict=True):
        torch.testing.assert_close(one, other)


# what it is for


@pytest.mark.parametrize(("similarity", "loss"), [("l2", "forward"), ("l2", "symmetric"), ("dot", "binary")])
def test_training_finds_the_goals_of_straight_movements(similarity: str, loss: str) -> None:
    """On movements that it has not seen: from the accuracy of chance, 0.03, to several times it in 150 steps."""
    config = replace(
        TINY,
        epochs=1,
        steps_per_epoch=150,
        model=CriticModelConfig(depth=4, width=32, embedding_dim=8, similarity=similarity),
        loss=replace(TINY.loss, name=loss),
        optim=replace(TINY.optim, lr=3e-3),
    )
    buffer, random = straight(400), torch.Generator().manual_seed(5)
    state = initial_state(config, scale_of(buffer), ALONE)
    for _ in range(config.steps_per_epoch):
        optimise(state, config, buffer.sample(64, 0.9, random))
    held_out = straight(32, seed=9).sample(32, 0.9, random)
    before, after = (
        optimise(of, config, held_out)[names.TRAIN_GOAL_ACCURACY]
        for of in (initial_state(config, scale_of(buffer), ALONE), state)
    )
    assert before < 0.12
    assert after > 0.2


def test_a_mixture_learns_more_than_extrapolation_and_finds_nothing_in_shuffled_goals() -> None:
    """At chance there on the very batches whose true goals it finds: no embedding of a row holds its goal."""
    config = replace(
        TINY, epochs=1, steps_per_epoch=60, model=MIXTURE, optim=replace(TINY.optim, lr=3e-3), tolerance_px=0.0
    )
    buffer, random = straight(400), torch.Generator().manual_seed(5)
    state, held_out = initial_state(config, scale_of(buffer), ALONE), straight(64, seed=9)

    def shuffled(drawn: Transitions) -> Transitions:
        order = torch.randperm(len(drawn.goal), generator=random)
        return drawn._replace(goal=drawn.goal[order], trajectory=torch.arange(len(drawn.goal)))

    def accuracy(batches: list[Transitions]) -> float:
        f = [SIMILARITIES["mixture"](*state.network(drawn.state, drawn.action, drawn.goal)) for drawn in batches]
        return float(torch.cat([credit(of, ~torch.eye(len(of), dtype=torch.bool)) for of in f]).mean())

    true = [held_out.sample(64, 0.9, random) for _ in range(8)]
    others = [shuffled(drawn) for drawn in true]
    at_first = accuracy(true)
    for _ in range(config.steps_per_epoch):
        optimise(state, config, buffer.sample(64, 0.9, random))
    chance, deviation = 1 / 64, math.sqrt(1 / 64 / 512)
    assert at_first > 10 * chance  # it begins at linear extrapolation
    assert accuracy(true) > at_first + 0.1
    assert accuracy(others) < chance + 4 * deviation


def test_the_cost_is_measured_by_real_steps() -> None:
    cost = measure(TINY)
    assert cost.step_s > 0
    assert cost.evaluation_s > 0
    parameters = sum(p.numel() for p in initial_state(TINY, PLAIN, ALONE).network.parameters())
    assert cost.checkpoint_bytes == 16 * parameters
