"""Several workers of an agent: on recordings two train what one does; online each has episodes of its own."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn

from tests.trainables.critic.agent.tiny import TINY
from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.critic.agent.config import AgentConfig, CollectionConfig
from trainables.critic.agent.learners import LEARNERS
from trainables.critic.agent.state import State, initial_state
from trainables.critic.agent.train import add_episodes, epochs, share_of_batch, stream_of_updates, update
from trainables.critic.agent.workers import NUMBERS, average_gradients, number_apart, own_stream
from trainables.critic.buffer import Buffer
from trainables.critic.episodes import Episodes
from trainables.data.splits.loading import load_splits
from trainables.training import metric_names as names
from trainables.training.checkpoint import CheckpointError, load_checkpoint
from trainables.training.trainable import Epoch
from trainables.training.worker import ALONE, Worker

WORKERS, STEPS = 2, 4
RECORDED = CollectionConfig(copies=8, capacity=120_000)
OFFLINE = {
    name: replace(TINY, algorithm=name, mode="offline", collection=RECORDED, policy=replace(TINY.policy, **more))
    for name, more in {"contrastive": {"cloning_weight": 0.1}, "sac": {}, "cloning": {}}.items()
}
BOTH = replace(TINY, mode="offline_then_online", offline_epochs=1, collection=RECORDED)
ONLINE = {"contrastive": TINY, "sac": replace(TINY, algorithm="sac")}
Found = dict[str, list[Tensor]]
Lines = list[dict[str, float]]


def networks(state: State) -> list[nn.Module]:
    parts = (getattr(state.learner, name, None) for name in ("critic", "q", "slow"))
    return [state.learner.policy.actor, state.ema.model, *(part for part in parts if part is not None)]


def weights(state: State) -> list[Tensor]:
    found = [parameter.detach().clone() for network in networks(state) for parameter in network.parameters()]
    return [*found, state.learner.policy.log_alpha.detach().clone()]


def train_offline(config: AgentConfig, worker: Worker) -> Found:
    """Return what some updates measure in float64, and the weights after them."""
    state = initial_state(config, load_splits(config.data), worker)
    for network in networks(state):
        network.double()
    state.buffer.state, state.buffer.action = state.buffer.state.double(), state.buffer.action.double()
    random, found = stream_of_updates(config, 0, worker), []
    for _ in range(STEPS):
        measured = torch.tensor([*update(state, config, random, worker).values()], dtype=torch.float64)
        found.append(worker.mean(measured))
    return {"metrics": found, "weights": weights(state)}


def train_online(config: AgentConfig, worker: Worker) -> Found:
    """Return the weights after every update, and the episodes of the worker."""
    state, found = initial_state(config, load_splits(config.data), worker), []
    add_episodes(state, config, worker)
    random = stream_of_updates(config, 0, worker)
    for _ in range(STEPS):
        update(state, config, random, worker)
        found += weights(state)
    rows = state.buffer.found.rows
    return {"weights": found, "state": [state.buffer.state[rows]], "trajectory": [state.buffer.trajectory[rows]]}


def mean(value: Tensor) -> Tensor:
    total = value.clone()
    dist.all_reduce(total)
    return total / WORKERS


def work(rank: int, folder: Path, job: Callable[[Worker, Path], object]) -> None:
    """One of the workers; what it finds goes into a file."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORKERS)
    torch.save(job(Worker(rank=rank, world_size=WORKERS, mean=mean), folder), folder / f"{rank}.pt")
    dist.destroy_process_group()


def by_rank(folder: Path, job: Callable[[Worker, Path], object]) -> list[Any]:
    spawn(work, args=(folder, job), nprocs=WORKERS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(WORKERS)]


def train_all(worker: Worker, folder: Path) -> dict[str, Found]:
    offline = {name: train_offline(config, worker) for name, config in OFFLINE.items()}
    return offline | {f"online {name}": train_online(config, worker) for name, config in ONLINE.items()}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Found]]:
    """What both workers find, of every algorithm, in one start of processes."""
    return by_rank(tmp_path_factory.mktemp("workers"), train_all)


@pytest.mark.heavy
@pytest.mark.parametrize("algorithm", LEARNERS)
def test_on_recordings_two_workers_have_the_weights_and_metrics_of_one(
    algorithm: str, trained: list[dict[str, Found]]
) -> None:
    alone = train_offline(OFFLINE[algorithm], ALONE)
    assert len(alone["weights"]) > 10
    for found in trained:
        for part in ("metrics", "weights"):
            for mine, whole in zip(found[algorithm][part], alone[part], strict=True):
                torch.testing.assert_close(mine, whole, rtol=0, atol=1e-6)


@pytest.mark.heavy
@pytest.mark.parametrize("algorithm", ONLINE)
def test_online_the_weights_are_equal_after_every_update_and_the_episodes_are_not(
    algorithm: str, trained: list[dict[str, Found]]
) -> None:
    first, second = (found[f"online {algorithm}"] for found in trained)
    assert all(map(torch.equal, first["weights"], second["weights"]))
    per_update = len(first["weights"]) // STEPS
    assert not all(map(torch.equal, first["weights"][:per_update], first["weights"][-per_update:]))
    numbers = [set(found["trajectory"][0].tolist()) for found in (first, second)]
    assert numbers[0] & numbers[1] == set()
    assert [len(found["state"][0]) for found in (first, second)] == [2 * 4 * 20] * 2  # rounds, copies, steps
    assert not torch.equal(first["state"][0], second["state"][0])


def run_and_resume(worker: Worker, folder: Path) -> dict[str, list[Lines]]:
    """Return the metrics of whole runs and of those resumed at every epoch; rank 0 writes the checkpoints."""
    found: dict[str, list[Lines]] = {}
    for name, config in {"online": TINY, "both": BOTH}.items():
        found[name] = [drained(epochs(config, worker=worker), worker, folder / name)]
        for cut in (0, 1):
            dist.barrier()
            resumed = epochs(config, resume=folder / name / str(cut), worker=worker)
            found[name].append(drained(resumed, worker, folder / f"{name}-{cut}"))
    return found


def drained(run: Iterator[Epoch], worker: Worker, folder: Path) -> Lines:
    lines = []
    for epoch in run:
        if worker.rank == 0:
            epoch.save(folder / str(epoch.number))
        lines.append({key: value for key, value in epoch.metrics.items() if not key.endswith("seconds")})
    return lines


@pytest.mark.heavy
def test_a_resumed_run_of_two_workers_equals_the_uninterrupted_one(tmp_path: Path) -> None:
    for found in by_rank(tmp_path, run_and_resume):
        for whole, *parts in found.values():
            assert [len(whole), *map(len, parts)] == [3, 2, 1]
            for part in parts:
                assert part == whole[-len(part) :]
    for name in ("online", "both"):
        tensors, record = load_checkpoint(tmp_path / name / "2")
        assert record["buffers"] == WORKERS
        assert not torch.equal(tensors["buffer.state"], tensors["buffer_1.state"])
        for cut in (0, 1):
            resumed, _ = load_checkpoint(tmp_path / f"{name}-{cut}" / "2")
            assert tensors.keys() == resumed.keys()
            assert all(torch.equal(resumed[key], tensor) for key, tensor in tensors.items())
    with pytest.raises(CheckpointError, match=r"expected the episodes of workers=1, but got those of 2; resume with"):
        next(epochs(TINY, resume=tmp_path / "online" / "1"))
    alone = next(epochs(BOTH, resume=tmp_path / "both" / "1"))  # recordings alone: all workers have the same
    assert alone.number == 2


# what is whose, without processes


def test_a_worker_takes_its_rows_of_a_common_batch_or_draws_its_own() -> None:
    second = Worker(rank=1, world_size=2)
    assert share_of_batch(BOTH, 0, second) == (8, slice(1, None, 2))
    assert share_of_batch(BOTH, 1, second) == (4, slice(None))
    for config in (TINY, BOTH):
        for epoch in range(2):
            size, rows = share_of_batch(config, epoch, ALONE)
            assert list(range(size))[rows] == list(range(8))


def first_of(stream: torch.Generator) -> float:
    return float(torch.rand(1, generator=stream))


def test_streams_are_common_on_recordings_and_apart_online() -> None:
    workers = [Worker(rank=rank, world_size=3) for rank in range(3)]
    common = [first_of(stream_of_updates(BOTH, 0, worker)) for worker in workers]
    own = [first_of(stream_of_updates(BOTH, 1, worker)) for worker in workers]
    assert len(set(common)) == 1
    assert len(set(own)) == 3
    assert first_of(own_stream(0, workers[0], "episodes", 1, 0)) == first_of(generator(0, "episodes", 1, 0))


def test_no_number_stands_for_episodes_of_two_workers() -> None:
    recorded, made = (Episodes(torch.zeros(6, 4), torch.zeros(6, 2), torch.full((3,), 2)) for _ in range(2))
    numbers = []
    for rank in range(2):
        buffer = Buffer.in_memory(20)
        buffer.add(recorded)
        number_apart(buffer, rank)
        buffer.add(made)
        numbers.append(buffer.trajectory[buffer.found.rows].tolist())
    assert numbers == [[0, 1, 2, 3, 4, 5], [0, 1, 2, *(NUMBERS + at for at in (3, 4, 5))]]


def test_gradients_are_replaced_by_means_in_their_own_shapes() -> None:
    """With one other worker that has no gradient."""
    one, two = nn.Parameter(torch.zeros(2, 3)), nn.Parameter(torch.zeros(()))
    expected = [torch.arange(6.0).reshape(2, 3) / 2.0, torch.tensor(3.5)]
    one.grad, two.grad = torch.arange(6.0).reshape(2, 3), torch.tensor(7.0)
    average_gradients([one, two], ALONE)
    assert torch.equal(one.grad, 2.0 * expected[0])
    average_gradients([one, two], Worker(rank=0, world_size=2, mean=lambda flat: flat / 2.0))
    assert torch.equal(one.grad, expected[0])
    assert torch.equal(two.grad, expected[1])


@pytest.mark.parametrize(
    ("config", "workers", "law"),
    [
        (TINY, 3, r"^expected `workers` to divide `batch_size`, but got workers=3, batch_size=8"),
        (replace(TINY, batch_size=6), 3, r"^expected `workers` to divide `collection\.copies`.* collection\.copies=8"),
    ],
)
def test_workers_that_do_not_divide_are_refused(config: AgentConfig, workers: int, law: str) -> None:
    with pytest.raises(ConfigError, match=law):
        next(epochs(config, worker=Worker(rank=0, world_size=workers)))


def test_recordings_need_no_copies_to_divide() -> None:
    config = replace(OFFLINE["cloning"], batch_size=6)
    first = next(epochs(config, worker=Worker(rank=1, world_size=3)))
    assert names.VAL_REACH_FAILURE not in first.metrics  # rank 0 evaluates
