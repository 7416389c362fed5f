"""The whole batch on every data-parallel worker, with gradients back to the worker that each row came from.

A contrastive loss compares rows with each other, so it is no mean of what workers find in their own shares. Here each
gathers the embeddings of all and computes the loss of the whole batch, the same on every one of W workers.

The law: the gradient of a gathered row is the sum of what all workers ask of it, W times the gradient g of the one loss
that they share. Of its own rows each worker then has W g, and the mean over workers that DistributedDataParallel takes
of the parameters' gradients leaves

    1/W  sum_w  W g_w  dz_w/dtheta  =  sum_w  g_w  dz_w/dtheta

which is the gradient of one process with the whole batch. The loss is therefore used as it is, neither multiplied nor
divided by W. It holds too where each worker computes a part of the loss: what is minimised is the mean over workers.

Rows come back in the order of the batch that `trainables.data.dataset.shared` dealt out, row k to worker k mod W.
`torch.distributed.nn.functional.all_gather` has the same gradient and is deprecated in favour of a private function.
"""

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.autograd.function import once_differentiable

from trainables.core.config import require


def gather(*rows: Tensor) -> tuple[Tensor, ...]:
    """Tensors of this worker's B rows each -> the same tensors with all W B rows, equal on every worker.

    Floating-point tensors keep their gradients; labels travel beside them. Every worker has to ask, in the same order,
    and so does every backward pass. Without a group of workers, or alone in it, the tensors come back as they are.

    Raises:
        ConfigError: workers with other numbers of rows than each other, on all of them alike.
    """
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return rows
    _require_even(rows)
    return tuple(_with_gradient(tensor) if tensor.is_floating_point() else _dealt(tensor) for tensor in rows)


def _require_even(rows: tuple[Tensor, ...]) -> None:
    counts = _dealt(torch.tensor([[len(tensor) for tensor in rows]], device=rows[0].device))
    even = bool((counts == counts[0, 0]).all())
    require(even, "the same number of rows in each worker", f"{counts.tolist()}", "let the workers divide the batch")


def _dealt(tensor: Tensor) -> Tensor:
    """All workers' rows, taken in turn: the first of each, then the second of each."""
    parts = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for _ in range(dist.get_world_size())]
    dist.all_gather(parts, tensor.contiguous())
    return torch.stack(parts, dim=1).flatten(0, 1)


class _AllGather(torch.autograd.Function):
    """`_dealt`; its adjoint sums over workers and takes the own rows."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        return _dealt(tensor)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        total = gradient.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return total[dist.get_rank() :: dist.get_world_size()]


def _with_gradient(tensor: Tensor) -> Tensor:
    gathered: Tensor = _AllGather.apply(tensor)  # type: ignore[no-untyped-call]
    return gathered
