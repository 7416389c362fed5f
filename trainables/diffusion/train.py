"""`python -m trainables.diffusion.train`: one training run in this process, recorded in a folder.

The file `configs/diffusion/NAME.yaml` of `experiment=NAME` is the whole configuration; every key can be overridden.
What imports torch is imported when the training starts, so that `--help` starts without it.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

from trainables.core.bounds import NonNegativeInt, check
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build, plain
from trainables.core.device import require_device
from trainables.diffusion.config import DiffusionConfig

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
        require_device(self.device)


COMMAND: Command = Command(
    module="trainables.diffusion.train",
    config_name="diffusion/train",
    about=ABOUT,
    schemas={"diffusion/experiment_schema": (DiffusionConfig, PlaceConfig)},
    preset_key="experiment",
)


def main(request: Request) -> int:
    """Train to the last epoch and print the best metrics."""
    here = {key: request.config[key] for key in plain(PlaceConfig())}
    place = build(PlaceConfig, here)
    config = build(DiffusionConfig, {key: value for key, value in request.config.items() if key not in here})
    from trainables.diffusion.run import train

    return train(config, Path(place.out_dir), place.device, place.plots_every)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
