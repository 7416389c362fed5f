"""Two workers compute what one process computes: rows, losses, gradients, steps; in groups of processes (gloo)."""

from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.multiprocessing.spawn import spawn
from torch.nn import functional as F
from torch.nn.parallel import DistributedDataParallel

from trainables.contrastive.club import CLUB, inner_steps
from trainables.contrastive.gather import gather
from trainables.contrastive.supervised import supervised_contrastive
from trainables.core.config import ConfigError

WORKERS, ROWS, STEPS = 2, 12, 3  # rows of the whole batch
TASKS = torch.tensor(
    [0, 1, 2, 3, 4, 0, 5, 6, 7, 8, 1, 9]
)  # two rows of a task, 0 and 5, 1 and 10, are never one worker's
Found = dict[str, Any]


class Heads(nn.Module):
    """Two embeddings and a logit."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(5, 16), nn.Tanh())
        self.heads = nn.ModuleList(nn.Linear(16, width) for width in (4, 4, 1))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        h = self.trunk(x)
        task, embodiment, logit = (head(h) for head in self.heads)
        return F.normalize(task, dim=1), F.normalize(embodiment, dim=1), logit.squeeze(1)


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Inputs, tasks and whether a bot."""
    x = torch.randn(ROWS, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return x, TASKS, torch.arange(ROWS) // 2 % 2


def parts() -> tuple[Heads, CLUB]:
    torch.manual_seed(1)
    return Heads().double(), CLUB(4, 4, 8).double()


def train(model: nn.Module, network: Heads, club: CLUB, given: tuple[Tensor, ...]) -> Found:
    """Three steps on the same rows; the first one's loss and gradients, and all weights after the last."""
    optimisers = torch.optim.SGD(network.parameters(), lr=0.5), torch.optim.Adam(club.parameters(), lr=1e-2)
    found: Found = {}
    for step in range(STEPS):
        x, tasks, bots = given
        task, embodiment, logit = model(x)
        task, embodiment, all_tasks, all_bots = gather(task, embodiment, tasks, bots)
        inner_steps(club, optimisers[1], task, embodiment, 2)
        together = supervised_contrastive(task, all_tasks) + 0.5 * supervised_contrastive(embodiment, all_bots)
        together = together + 0.1 * club.upper_bound(task, embodiment)
        loss = together + F.binary_cross_entropy_with_logits(logit, bots.double())
        optimisers[0].zero_grad()
        loss.backward()
        if step == 0:
            found = {"together": together.item(), "loss": loss.item()}
            found |= {"rows": task.detach(), "labels": all_tasks, "gradients": gradients(network)}
        optimisers[0].step()
    return found | {"weights": weights(network), "club": weights(club)}


def gradients(module: nn.Module) -> list[Tensor]:
    return [parameter.grad.clone() for parameter in module.parameters() if parameter.grad is not None]


def weights(module: nn.Module) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in module.parameters()]


def adjoint(rank: int) -> Found:
    """Return the gradient of own rows where every worker has another loss over all rows."""
    x = torch.arange(6.0).reshape(3, 2).requires_grad_()
    (rows,) = gather(x)
    (rows * loss_weights(rank)).sum().backward()
    return {"adjoint": x.grad}


def loss_weights(rank: int) -> Tensor:
    return torch.randn(3 * WORKERS, 2, generator=torch.Generator().manual_seed(rank))


def refusals(rank: int) -> Found:
    """Return the errors about uneven shards, of workers and of one worker's tensors."""
    errors = []
    for tensors in ([torch.ones(3 + rank, 2)], [torch.ones(3, 2), torch.ones(4)]):
        with pytest.raises(ConfigError) as exc_info:
            gather(*tensors)
        errors.append(str(exc_info.value))
    return {"errors": errors}


def work(rank: int, folder: str) -> None:
    """One of the workers; what it finds goes into a file."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=WORKERS)
    network, club = parts()
    shard = tuple(part[rank::WORKERS] for part in batch())
    found = train(DistributedDataParallel(network), network, club, shard)
    torch.save(found | adjoint(rank) | refusals(rank), f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> list[Found]:
    folder = tmp_path_factory.mktemp("workers")
    spawn(work, args=(str(folder),), nprocs=WORKERS)
    return [torch.load(folder / f"{rank}.pt") for rank in range(WORKERS)]


@pytest.fixture(scope="module")
def alone() -> Found:
    network, club = parts()
    return train(network, network, club, batch())


@pytest.mark.heavy
def test_every_worker_has_all_rows_in_the_order_of_the_batch(workers: list[Found], alone: Found) -> None:
    for found in workers:
        torch.testing.assert_close(found["rows"], alone["rows"], rtol=0, atol=1e-12)
        assert torch.equal(found["labels"], TASKS)
    assert torch.equal(workers[0]["rows"], workers[1]["rows"])


@pytest.mark.heavy
def test_the_loss_of_all_rows_is_the_single_processes_on_every_worker(workers: list[Found], alone: Found) -> None:
    for found in workers:
        assert found["together"] == pytest.approx(alone["together"], abs=1e-12)
    assert sum(found["loss"] for found in workers) / WORKERS == pytest.approx(alone["loss"], abs=1e-12)


@pytest.mark.heavy
def test_the_mean_gradient_over_workers_is_the_single_processes(workers: list[Found], alone: Found) -> None:
    """Return the parameters after DistributedDataParallel; the tolerance is 1e-5, and float64 reaches less."""
    assert len(alone["gradients"]) == 8
    for found in workers:
        for mine, whole in zip(found["gradients"], alone["gradients"], strict=True):
            assert float(whole.abs().max()) > 1e-3
            torch.testing.assert_close(mine, whole, rtol=0, atol=1e-10)


@pytest.mark.heavy
def test_steps_of_the_network_and_of_the_bound_give_the_same_weights(workers: list[Found], alone: Found) -> None:
    for found in workers:
        for part in ("weights", "club"):
            for mine, whole in zip(found[part], alone[part], strict=True):
                torch.testing.assert_close(mine, whole, rtol=0, atol=1e-9)
    assert all(torch.equal(a, b) for a, b in zip(workers[0]["club"], workers[1]["club"], strict=True))


@pytest.mark.heavy
def test_the_gradients_of_all_workers_are_summed_at_the_worker_of_a_row(workers: list[Found]) -> None:
    """The adjoint: sum over workers of <gather(x), u_w> is <x, sum over workers of the own rows of u_w>."""
    for rank, found in enumerate(workers):
        for row in range(3):
            expected = sum(loss_weights(worker)[row * WORKERS + rank] for worker in range(WORKERS))
            torch.testing.assert_close(found["adjoint"][row], expected)


@pytest.mark.heavy
def test_uneven_shards_are_refused_by_all_workers_alike(workers: list[Found]) -> None:
    assert workers[0]["errors"] == workers[1]["errors"]
    between, within = workers[0]["errors"]
    law = "expected the same number of rows in each worker, but got"
    assert between == f"{law} [[3], [4]]; let the workers divide the batch"
    assert within == f"{law} [[3, 4], [3, 4]]; let the workers divide the batch"


def test_with_one_worker_the_tensors_are_returned_unchanged() -> None:
    x, labels = torch.randn(3, 2, requires_grad=True), torch.arange(3)
    found = gather(x, labels)
    assert found[0] is x
    assert found[1] is labels


def test_without_gathering_no_worker_has_a_loss() -> None:
    """Alternative: no worker has two rows of one task, so each would find no loss at all."""
    network, _ = parts()
    x, tasks, _ = batch()
    task = network(x)[0].detach()
    shares = [supervised_contrastive(task[rank::WORKERS], tasks[rank::WORKERS]) for rank in range(WORKERS)]
    assert [float(share) for share in shares] == [0.0, 0.0]
    assert float(supervised_contrastive(task, tasks)) > 0.1
