"""A trainable that trains nothing, and the sweep's command with it in place of the diffusion model.

A sweep records, resumes, stops and ends its trials in the same way for every trainable. An epoch of this one takes a
millisecond, and its checkpoint is as large as that of a small network. Tests trigger events by files in a folder that
the environment names, not by the clock:

    hold   trials wait before epoch 3 as long as it exists
    late   once it exists, the time limit of the sweep is reached

A process that waits names itself there, as held-1234 by its process id.
"""

import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch

from trainables import session
from trainables.diffusion.config import DiffusionConfig
from trainables.specs import TRAINABLES
from trainables.training.checkpoint import load_record, save_checkpoint
from trainables.training.metric_names import EPOCH, VAL_AUC_EXCESS, VAL_MMD
from trainables.training.trainable import Cost, Epoch
from trainables.training.worker import ALONE, Worker

SIGNALS = "STANDIN_SIGNALS"  # names the folder
HOLD, LATE, HELD = "hold", "late", "held-"
HELD_EPOCH = 3
FLOATS = 700_000  # of a checkpoint
COMMAND = (sys.executable, "-c", "import sys; from tests.ray import standin; sys.exit(standin.main(sys.argv[1:]))")


def epochs(config: DiffusionConfig, *, resume: Path | None = None, worker: Worker = ALONE) -> Iterator[Epoch]:
    """Yield epochs whose metrics fall with their number and grow with the weight of the contrastive term."""
    first = 0 if resume is None else load_record(resume)["epoch"] + 1
    for number in range(first, config.epochs + 1):
        if number == HELD_EPOCH:
            _wait()
        excess = 0.1 * config.contrastive.weight + 0.5**number / 4
        metrics = {EPOCH: number, VAL_AUC_EXCESS: excess, VAL_MMD: excess / 10}
        yield Epoch(number, metrics, partial(save, number))


def _wait() -> None:
    while signal_of(HOLD).exists():
        signal_of(f"{HELD}{os.getpid()}").touch()
        time.sleep(0.02)


def save(number: int, folder: Path) -> None:
    """Write the checkpoint of an epoch."""
    save_checkpoint(folder, {"model.weight": torch.zeros(FLOATS)}, {"kind": "diffusion", "epoch": number})


def measure(config: DiffusionConfig) -> Cost:
    """Return what such a run costs."""
    return Cost(1e-3, 1, 1e-3, 4 * FLOATS)


def signal_of(name: str) -> Path:
    """Return the path of a file that a test makes or removes."""
    return Path(os.environ[SIGNALS]) / name


def register() -> None:
    """Put the stand-in in place in this process."""
    TRAINABLES["diffusion"] = TRAINABLES["diffusion"].with_parts(epochs=epochs, measure=measure)


WORKER_LOOP = session._worker_loop


def worker_loop(settings: dict[str, Any]) -> None:
    """The session's loop in a worker of a group."""
    register()
    WORKER_LOOP(settings)


def trial(parameters: Mapping[str, Any], job: session.Job) -> None:
    """The session's trial in the process of one."""
    register()
    session._worker_loop = worker_loop
    session.trial(parameters, job)


def clock() -> float:
    """Return the seconds by which a sweep's wall time is measured."""
    return time.monotonic() + 1e6 * signal_of(LATE).exists()


def main(arguments: Sequence[str]) -> int:
    """Run `platform.tune` with the stand-in; nothing of it is evaluated again or drawn."""
    from platform import tune
    from platform.sweep import disk_budget, runner, summary
    from trainables.core.cli import run

    register()
    with (
        patch.object(runner, "make_tuner", partial(runner.make_tuner, function=trial)),
        patch.object(disk_budget, "time", SimpleNamespace(monotonic=clock)),
        patch.object(summary, "MODEL_FUNCTIONS", {}),
    ):
        return run(tune.COMMAND, tune.main, arguments)
