"""`python -m trainables.diffusion.train`: one training run in this process, recorded in a folder.

The file `configs/diffusion/NAME.yaml` of `experiment=NAME` is the whole configuration; every key can be overridden.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from trainables.core.bounds import NonNegativeInt, check
from trainables.core.cli import Command, Request, run
from trainables.core.config import ConfigError, build, plain
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.loop import epochs
from trainables.eval.generation.metrics import GENERATION
from trainables.training.progress import Progress
from trainables.training.run_folder import opened, recording
from trainables.training.worker import Worker

ABOUT = """
Train the diffusion model on recorded movements and evaluate it on held-out users after every epoch.

  python -m trainables.diffusion.train experiment=train                  configs/diffusion/train.yaml, the default
  python -m trainables.diffusion.train experiment=cpu                    a small model, minutes on one core
  python -m trainables.diffusion.train experiment=cpu optim.lr=1e-3 out_dir=results/slower

The same command again resumes after the last epoch in out_dir; another configuration needs another out_dir.
"""


@dataclass(frozen=True)
class PlaceConfig:
    """Device and output folder: the only keys that may differ between two starts of one run."""

    out_dir: str = "results/diffusion/run"  # folder of the run
    device: str = "cpu"  # torch device, such as cpu or cuda:0
    plots_every: NonNegativeInt = 5  # epochs between two plots of spectra and kinematics in TensorBoard; 0: none

    def __post_init__(self) -> None:
        check(self)
        try:
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            raise ConfigError(f"device={self.device}: not here ({str(error).splitlines()[0]}); take cpu") from None


COMMAND: Command = Command(
    module="trainables.diffusion.train",
    config_name="diffusion/train",
    about=ABOUT,
    schemas={"diffusion/experiment_schema": (DiffusionConfig, PlaceConfig)},
    preset_key="experiment",
)


def main(request: Request) -> int:
    """Train to the last epoch, and say what came of it."""
    here = {key: request.config[key] for key in plain(PlaceConfig())}
    place = build(PlaceConfig, here)
    config = build(DiffusionConfig, {key: value for key, value in request.config.items() if key not in here})
    with opened(Path(place.out_dir), "diffusion", config, GENERATION.epoch_order) as folder:
        progress = Progress(Console(), folder, config.epochs, GENERATION)
        with progress, recording(folder, place.plots_every) as record:
            for epoch in epochs(config, resume=folder.last, worker=Worker(device=torch.device(place.device))):
                progress(record(epoch))
        progress.print_end(
            "trainables.diffusion.sample ckpt=CHECKPOINT n=2000 out_dir=generated", GENERATION.recommended
        )
    return 0


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
