"""`python -m platform.train`: one training run of any trainable under Ray Train, recorded in a folder.

The model is trained in this process, or with scaling.num_workers=N by a group of N workers that share each batch. The
same command again resumes after the last epoch in the folder, whichever of the two was there before. What imports
torch and Ray is imported when the training starts, so that `--help` starts without them.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from trainables.core.bounds import NonNegativeInt, check
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build
from trainables.specs import TRAINABLES, described
from trainables.training.scaling import ScalingConfig

ABOUT = """
Train one model of a trainable and evaluate it on held-out users after every epoch.

  python -m platform.train                                    the diffusion model, in this process
  python -m platform.train trainable=gan name=gan2             physical, cotraining, distill, detector, critic, agent
  python -m platform.train scaling.num_workers=2              two workers that share each batch
  python -m platform.train trainable.epochs=40 address=auto scaling.num_workers=4 storage_path=/shared/train

The run is stored in storage_path/name. The same command again resumes after its last epoch; another configuration needs
a new name. On a cluster storage_path is a folder that all nodes share.
"""


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run."""

    storage_path: str = "results/train"  # folder of all runs; on a cluster one that all nodes share
    name: str = ""  # name of this run and its folder below storage_path; empty: the name of the trainable
    plots_every: NonNegativeInt = 5  # epochs between two plots of samples or trajectories in TensorBoard; 0: none
    address: str = "local"  # Ray cluster of a worker group; auto: the one that this machine belongs to
    scaling: ScalingConfig = field(default_factory=ScalingConfig)

    def __post_init__(self) -> None:
        check(self)


COMMAND = Command(
    module="platform.train",
    config_name="train",
    about=f"{ABOUT}\n{described()}\n",
    common=("trainable", "name", "storage_path", "trainable.epochs", "trainable.seed", "scaling.num_workers"),
    schemas={
        "train_schema": TrainConfig,
        **{f"trainable/{name}_schema": trainable.config for name, trainable in TRAINABLES.items()},
    },
)


def main(request: Request) -> int:
    """Train to the last epoch and print the best metrics."""
    name = request.choices["trainable"]
    settings = build(TrainConfig, {key: value for key, value in request.config.items() if key != "trainable"})
    config = build(TRAINABLES[name].config, request.config["trainable"], at="trainable")
    path = Path(settings.storage_path) / (settings.name or name)
    from platform.core.training_run import train

    return train(name, config, path, settings.scaling, settings.address, settings.plots_every)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
