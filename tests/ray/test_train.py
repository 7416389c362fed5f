"""Runs in worker groups under a real Ray: recorded in a folder, gone on from it, errors as the worker raised them."""

import signal
import threading
import time
from pathlib import Path

import pytest

from tests.ray.jobs import tiny_job
from tests.ray.processes import below
from trainables.checkpoint import load_checkpoint
from trainables.config import build
from trainables.data.recording_set import RecordingError
from trainables.names import EPOCH
from trainables.session import TRAINABLES, Job, ScalingConfig, run
from trainables.training_run import RunFolder, opened

pytestmark = [
    pytest.mark.ray,
    pytest.mark.usefixtures("ray_with_dashboard"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # Ray sets its own old names
]


def trained(job: Job, path: Path) -> RunFolder:
    """One run of the job in its folder, to its end."""
    config = build(TRAINABLES[job.trainable].config, job.config)
    with opened(path, job.trainable, config) as folder:
        run(job, folder, lambda line: None)
    return folder


def kill_a_worker_after(folder: RunFolder, epoch: int, killed: threading.Event) -> None:
    """SIGKILL to one worker of this test's Ray, once the folder holds a checkpoint of `epoch`."""
    ends = time.monotonic() + 300
    while time.monotonic() < ends and not (folder.last and int(folder.last.name[-4:]) >= epoch):
        time.sleep(0.05)
    below(title="RayTrainWorker")[0].send_signal(signal.SIGKILL)
    killed.set()


def test_a_group_whose_worker_is_killed_goes_on_from_the_folder(tmp_path: Path) -> None:
    killed, path = threading.Event(), tmp_path / "run"
    killer = threading.Thread(target=kill_a_worker_after, args=(RunFolder(path), 1, killed))
    killer.start()
    folder = trained(tiny_job(tmp_path, 8, ScalingConfig(num_workers=2, max_failures=1)), path)
    killer.join()
    assert killed.is_set()
    assert [line[EPOCH] for line in folder.metrics()] == list(range(9))
    assert folder.last is not None
    assert load_checkpoint(folder.last)[1]["epoch"] == 8


def test_what_a_worker_raises_reaches_the_caller(tmp_path: Path) -> None:
    job = tiny_job(tmp_path, 1, ScalingConfig(num_workers=1, max_failures=0), **{"data.path": "/nowhere.csv"})
    with pytest.raises(RecordingError, match=r"nowhere\.csv"):
        trained(job, tmp_path / "run")
