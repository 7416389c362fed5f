"""One training run under Ray Train, in this process or in a worker group, recorded in a folder."""

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console

from platform.core.provenance import source_of
from platform.core.ray_instance import ray_instance
from trainables.core.config import plain, with_absolute_paths
from trainables.data.splits.loading import load_splits
from trainables.metric_registry import METRIC_SETS
from trainables.session import Job
from trainables.session import run as run_job
from trainables.specs import TRAINABLES
from trainables.training.progress import Progress
from trainables.training.run_folder import RunFolder, opened
from trainables.training.scaling import ScalingConfig

LOOKED_S = 0.5  # how often the epochs of a group are looked for


def train(name: str, config: Any, path: Path, scaling: ScalingConfig, address: str, plots_every: int) -> int:
    """Train to the last epoch and print the best metrics.

    Args:
        name: Of the trainable whose configuration it is.
        path: The folder of the run.
        plots_every: Epochs between two plots in TensorBoard; 0: none.
    """
    logging.getLogger("ray.train").setLevel(logging.WARNING)
    metric_set, parts, processes = METRIC_SETS[name], TRAINABLES[name].load(), max(scaling.num_workers, 1)
    parts.require_shares(config, processes)  # before Ray starts, which takes minutes on a busy machine
    with opened(path, name, config, metric_set.epoch_order) as folder:
        if folder.last:
            parts.check_processes(folder.last, config, processes)
        data_sha256, source = load_splits(config.data).sha256, source_of().keep(folder.path)
        absolute = with_absolute_paths(plain(config))
        job = Job(name, absolute, scaling, str(folder.path), data_sha256, source, plots_every)
        progress = Progress(Console(), folder, config.epochs, metric_set, TRAINABLES[name].notes)
        with progress:
            if scaling.num_workers:
                _train_in_group(job, folder, progress, address)
            else:
                run_job(job, folder, progress)
        progress.print_end(f"{metric_set.evaluate_command} ckpt=CHECKPOINT", metric_set.recommended)
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
