"""Two workers train the critic that one trains: each embeds half of a batch and has the goals of the whole one."""

from dataclasses import replace

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from tests.trainables.critic.tiny import TINY
from trainables.critic.buffer import filled
from trainables.critic.config import CriticConfig
from trainables.critic.episodes import Episodes
from trainables.critic.networks import Scale
from trainables.critic.state import initial_state
from trainables.critic.train import optimise
from trainables.training.worker import ALONE, Worker

WORKERS, STEPS = 2, 5
PLAIN = Scale(torch.zeros(4), torch.ones(4), torch.zeros(2), torch.ones(2))
CONFIG = replace(TINY, batch_size=16)
CONFIGS = {
    "l2": CONFIG,
    "mixture": replace(CONFIG, model=replace(CONFIG.model, similarity="mixture", kernels=3)),
}
Found = dict[str, list[Tensor]]


def train(worker: Worker, config: CriticConfig = CONFIG) -> Found:
    """Return the diagnostics of some steps in float64, and the weights after them."""
    state = initial_state(config, PLAIN, Worker())
    state.network.double()
    state = replace(
        state,
        parallel=worker.wrap(state.network),
        optimizer=torch.optim.Adam(state.network.parameters(), lr=1e-3),
    )
    state.ema.model.double()
    random = torch.Generator().manual_seed(0)
    rows = torch.randn(400, 6, generator=random).double()
    buffer, found = filled(Episodes(rows[:, :4], rows[:, 4:], torch.full((40,), 10))), []
    for _ in range(STEPS):
        drawn = buffer.sample(CONFIG.batch_size, 0.9, random)
        drawn = drawn._replace(**{name: getattr(drawn, name).double() for name in ("state", "action", "goal")})
        found.append(torch.tensor([*optimise(state, config, drawn, worker).values()]))
    return {"metrics": found, "weights": [p.detach().clone() for p in state.network.parameters()]}


def work(rank: int, folder: str) -> None:
    """One of the workers; what it finds goes into a file."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORKERS)
    worker = Worker(rank=rank, world_size=WORKERS, wrap=DistributedDataParallel)
    torch.save({name: train(worker, config) for name, config in CONFIGS.items()}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.heavy
def test_two_workers_have_the_weights_and_the_diagnostics_of_one(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("workers")
    spawn(work, args=(str(folder),), nprocs=WORKERS)
    for name, config in CONFIGS.items():
        alone = train(ALONE, config)
        for rank in range(WORKERS):
            found = torch.load(folder / f"{rank}.pt")[name]
            for part in ("metrics", "weights"):
                for mine, whole in zip(found[part], alone[part], strict=True):
                    torch.testing.assert_close(mine, whole, rtol=0, atol=1e-6)


def test_without_the_goals_of_the_others_a_worker_has_another_loss() -> None:
    """The alternative: half a batch has half the candidates."""
    state, whole = (
        initial_state(CONFIG, PLAIN, Worker()),
        Episodes(torch.randn(400, 4), torch.randn(400, 2), torch.full((40,), 10)),
    )
    drawn = filled(whole).sample(16, 0.9, torch.Generator().manual_seed(0))
    half = drawn._replace(**{name: part[::2] for name, part in drawn._asdict().items()})
    losses = [optimise(state, CONFIG, part)["train/loss"] for part in (drawn, half)]
    assert abs(losses[0] - losses[1]) > 0.1
