"""Check of a torch device by its name; torch is imported for another one than the CPU only."""

from trainables.core.config import ConfigError


def require_device(device: str) -> None:
    """Raise ConfigError for a torch device that this machine does not have, such as cuda:1 with one GPU."""
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(f"device={device}: not available ({str(error).splitlines()[0]}); use cpu") from None
