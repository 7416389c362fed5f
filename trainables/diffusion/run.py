"""One training run of the diffusion model in this process, recorded in a folder."""

from pathlib import Path

import torch
from rich.console import Console

from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.loop import epochs
from trainables.eval.generation.metrics import GENERATION
from trainables.training.progress import Progress
from trainables.training.run_folder import opened, recording
from trainables.training.worker import Worker


def train(config: DiffusionConfig, out_dir: Path, device: str, plots_every: int) -> int:
    """Train to the last epoch and print the best metrics."""
    with opened(out_dir, "diffusion", config, GENERATION.epoch_order) as folder:
        progress = Progress(Console(), folder, config.epochs, GENERATION)
        with progress, recording(folder, plots_every) as record:
            for epoch in epochs(config, resume=folder.last, worker=Worker(device=torch.device(device))):
                progress(record(epoch))
        progress.print_end(
            "trainables.diffusion.sample ckpt=CHECKPOINT n=2000 out_dir=generated", GENERATION.recommended
        )
    return 0
