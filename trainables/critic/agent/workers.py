"""Several workers of one agent: the share of each in copies and batches, mean gradients, and the buffers of all.

Each worker has its own copies of the environment, with streams of its own, and its own buffer. While all buffers are
equal, as they are before the first episode, all workers draw the same batch and take their own rows of it, so that
several workers train what one trains on recordings. From then on each draws its share of a batch from its own buffer.
The numbers of episodes differ between workers.

Gradients are means over workers, taken before the step of each optimiser: an update has several losses, and the actor's
passes through the critic too, so that a data-parallel wrapper of each network would not do. The contrastive loss
compares the rows of all workers (`trainables.contrastive.gather`).
"""

from collections.abc import Iterable, Mapping

import torch
import torch.distributed as dist
from torch import Tensor, nn

from trainables.core.config import require
from trainables.core.seeding import generator
from trainables.critic.agent.config import AgentConfig
from trainables.critic.agent.modes import environment_steps, rounds_of
from trainables.critic.buffer import ADDED, ARRAYS, Buffer
from trainables.training.worker import Worker, require_equal_shares

PARTS = (*ARRAYS, "counters")  # of a buffer
NUMBERS = 2**40  # of the episodes of a worker


def require_shares(config: AgentConfig, workers: int) -> None:
    """Raise ConfigError unless the workers divide the rows of a batch, and the copies where there are episodes."""
    require_equal_shares(config, workers)
    copies = config.collection.copies if environment_steps(config, config.epochs) else workers
    got = f"workers={workers}, collection.copies={copies}"
    require(copies % workers == 0, "`workers` to divide `collection.copies`", got, "set it to a multiple")


def require_episodes(config: AgentConfig, worker: Worker) -> None:
    """Raise ConfigError if the first batch may have more rows than the buffers hold episodes of the agent, if any.

    Those are at least one per copy and round, or as many as fit where all have their full length.
    """
    rounds, collection = rounds_of(config, 0), config.collection
    fit = collection.capacity // (config.environment.max_steps + 1)
    episodes = min(rounds * collection.copies, worker.world_size * fit)
    require(
        not rounds or config.batch_size <= episodes,
        f"`batch_size` of at most the {episodes} episodes before the first batch",
        f"batch_size={config.batch_size}, collection.copies={collection.copies}, rounds={rounds}, "
        f"collection.capacity={collection.capacity}",
        "lower it, or raise collection.copies, collection.warm_up_rounds or collection.capacity",
    )


def own_stream(seed: int, worker: Worker, *names: str | int) -> torch.Generator:
    """Return the stream of a worker; that of rank 0 is the one of a single process."""
    return generator(seed, *names, *([worker.rank] if worker.rank else []))


def number_apart(buffer: Buffer, rank: int) -> None:
    """Count the episodes that are added from now on from a number that no other worker counts to."""
    buffer.counters[ADDED] += rank * NUMBERS


def average_gradients(parameters: Iterable[nn.Parameter | Tensor], worker: Worker) -> None:
    """Replace the gradients by their means over all workers; every worker has to ask for it."""
    if worker.world_size == 1:
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = worker.mean(torch.cat([gradient.flatten() for gradient in gradients]))
    for gradient, part in zip(gradients, flat.split([gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def mean_of(values: Mapping[str, float], worker: Worker) -> dict[str, float]:
    """Return the means of what each worker measured, under the same names; every worker has to ask for it."""
    mine = torch.tensor(list(values.values()), dtype=torch.float64, device=worker.device)
    return dict(zip(values, worker.mean(mine).tolist(), strict=True))


def buffers_of_others(buffer: Buffer, worker: Worker) -> dict[int, dict[str, Tensor]]:
    """Return the arrays of the other workers' buffers by rank, at rank 0; every worker has to ask for it."""
    if worker.world_size == 1:
        return {}
    gathered = {name: _at_first(getattr(buffer, name), worker) for name in PARTS}
    others = range(1, worker.world_size) if worker.rank == 0 else ()
    return {rank: {name: gathered[name][rank] for name in PARTS} for rank in others}


def _at_first(tensor: Tensor, worker: Worker) -> list[Tensor]:
    """Return the tensors of all workers at rank 0, and nothing elsewhere."""
    mine = tensor.to(worker.device)
    parts = [torch.empty_like(mine) for _ in range(worker.world_size)] if worker.rank == 0 else None
    dist.gather(mine, parts)
    return [part.cpu() for part in parts or ()]
