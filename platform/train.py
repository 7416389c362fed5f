"""`python -m platform.train`: one training run of any trainable under Ray Train, recorded in a folder.

The model is trained in this process, or with scaling.num_workers=N by a group of N workers that share each batch. The
same command again goes on after the last epoch in the folder, whichever of the two was there before.
"""

import logging
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from platform.core.ray_instance import ray_instance
from trainables.core.cli import Command, Request, run
from trainables.core.config import build, plain
from trainables.metric_registry import METRIC_SETS
from trainables.session import Job
from trainables.session import run as run_job
from trainables.specs import TRAINABLES
from trainables.training.progress import Progress
from trainables.training.run_folder import RunFolder, opened
from trainables.training.scaling import ScalingConfig

ABOUT = """
Train one model of a trainable and judge it on held-out people after every epoch.

  python -m platform.train                                    the diffusion model, in this process
  python -m platform.train trainable=gan out_dir=results/gan  another trainable: gan, or detector
  python -m platform.train scaling.num_workers=2              two workers that share each batch
  python -m platform.train trainable.epochs=40 address=auto scaling.num_workers=4 out_dir=/shared/run

The same command again goes on after the last epoch in out_dir; another configuration takes another out_dir. On a
cluster out_dir is a folder that all nodes share.
"""
LOOKED_S = 0.5  # how often the epochs of a group are looked for


@dataclass(frozen=True)
class TrainConfig:
    """Where and by whom one model is trained."""

    out_dir: str = ""  # empty: results/train/<trainable>
    address: str = "local"  # of Ray, for a group; "auto": the cluster that this machine belongs to
    scaling: ScalingConfig = field(default_factory=ScalingConfig)


COMMAND = Command(
    module="platform.train",
    config_name="train",
    about=ABOUT,
    schemas={
        "train_schema": TrainConfig,
        **{f"trainable/{name}_schema": trainable.config for name, trainable in TRAINABLES.items()},
    },
)


def main(request: Request) -> int:
    """Train to the last epoch, and say what came of it."""
    logging.getLogger("ray.train").setLevel(logging.WARNING)
    name = request.choices["trainable"]
    settings = build(TrainConfig, {key: value for key, value in request.config.items() if key != "trainable"})
    config = build(TRAINABLES[name].config, request.config["trainable"], at="trainable")
    metric_set, path = METRIC_SETS[name], Path(settings.out_dir or f"results/train/{name}")
    with opened(path, name, config, metric_set.epoch_order) as folder:
        job = Job(name, plain(config), settings.scaling, str(folder.path))
        progress = Progress(Console(), folder, config.epochs, metric_set)
        with progress:
            if settings.scaling.num_workers:
                _train_in_group(job, folder, progress, settings.address)
            else:
                run_job(job, folder, progress)
        progress.print_end(f"{metric_set.evaluate_command} ckpt=BEST")
    return 0


def _train_in_group(job: Job, folder: RunFolder, progress: Progress, address: str) -> None:
    """Follow in the folder what the workers do; Ctrl-C reaches this thread, and ends Ray and the workers with it."""
    with ThreadPoolExecutor(1) as trainer, ray_instance(address, job.scaling):
        future = trainer.submit(run_job, job, folder, progress)
        while not future.done():
            time.sleep(LOOKED_S)
            _show_new(folder, progress)
        future.result()
        _show_new(folder, progress)


def _show_new(folder: RunFolder, progress: Progress) -> None:
    for line in folder.metrics()[len(progress.lines) :]:
        progress(line)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
