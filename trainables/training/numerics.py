"""Settings of torch that the last bits of a result depend on, for the manifest of a trial."""

from typing import Any

import torch


def kernels() -> str:
    """Return the vector extensions that torch's kernels are chosen for."""
    return torch.backends.cpu.get_cpu_capability()


def threads() -> int:
    """Return the threads that torch computes with in this process."""
    return torch.get_num_threads()


def switches() -> dict[str, Any]:
    """The switches on which the last bits of a result depend."""
    return {
        "deterministic_algorithms": torch.are_deterministic_algorithms_enabled(),
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "onednn": torch.backends.mkldnn.is_available(),
    }


def device_name(device: torch.device | str) -> str:
    """Return the name of a device; of a GPU its model too."""
    device = torch.device(device)
    return f"cuda ({torch.cuda.get_device_name(device)})" if device.type == "cuda" else str(device)
