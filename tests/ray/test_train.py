"""Runs in worker groups under a real Ray: recorded in a folder, gone on from it, errors as the worker raised them."""

import signal
import threading
import time
from pathlib import Path

import pytest

from tests.ray.jobs import TINY, tiny_job
from tests.ray.processes import below
from trainables.core.config import build
from trainables.cotraining.config import CotrainingConfig
from trainables.cotraining.train import epochs as cotraining_epochs
from trainables.critic.config import CriticConfig
from trainables.critic.train import epochs as critic_epochs
from trainables.data.readers.recording_set import RecordingError
from trainables.detector.config import DetectorConfig
from trainables.detector.train import epochs
from trainables.metric_registry import METRIC_SETS
from trainables.session import Job, run
from trainables.specs import TRAINABLES
from trainables.training.checkpoint import load_checkpoint
from trainables.training.metric_names import EPOCH, TRAIN_CROSS_ENTROPY, TRAIN_LOSS, TRAIN_SECONDS, VAL_SECONDS
from trainables.training.run_folder import RunFolder, opened
from trainables.training.scaling import ScalingConfig

pytestmark = [
    pytest.mark.ray,
    pytest.mark.usefixtures("ray_with_dashboard"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:ray.data.context"),  # Ray sets its own old names
]


def trained(job: Job, path: Path) -> RunFolder:
    """One run of the job in its folder, to its end."""
    config = build(TRAINABLES[job.trainable].config, job.config)
    with opened(path, job.trainable, config, METRIC_SETS[job.trainable].epoch_order) as folder:
        run(job, folder, lambda line: None)
    return folder


def kill_a_worker_after(folder: RunFolder, epoch: int, killed: threading.Event) -> None:
    """SIGKILL to one worker of this test's Ray, once the folder holds a checkpoint of `epoch`."""
    ends = time.monotonic() + 300
    while time.monotonic() < ends and not (folder.last and int(folder.last.name[-4:]) >= epoch):
        time.sleep(0.05)
    below(title="RayTrainWorker")[0].send_signal(signal.SIGKILL)
    killed.set()


@pytest.mark.heavy
@pytest.mark.parametrize("trainable", TINY)
def test_a_group_whose_worker_is_killed_resumes_from_the_folder(trainable: str, tmp_path: Path) -> None:
    killed, path = threading.Event(), tmp_path / "run"
    killer = threading.Thread(target=kill_a_worker_after, args=(RunFolder(path, ()), 1, killed))
    killer.start()
    folder = trained(tiny_job(tmp_path, 8, ScalingConfig(num_workers=2, max_failures=1), trainable), path)
    killer.join()
    assert killed.is_set()
    assert [line[EPOCH] for line in folder.metrics()] == list(range(9))
    assert folder.last is not None
    assert load_checkpoint(folder.last)[1]["epoch"] == 8


ALIKE = {
    "model.dropout": 0.0,  # each worker draws its own
    "model.drop_part": 0.0,
    "loss.task_weight": 0.2,
    "loss.embodiment_weight": 0.2,
    "loss.club_weight": 0.1,
}
OWN = (TRAIN_LOSS, TRAIN_CROSS_ENTROPY, TRAIN_SECONDS, VAL_SECONDS)  # of the first worker's rows, and clocks


@pytest.mark.heavy
def test_two_workers_train_the_detector_that_one_trains(tmp_path: Path) -> None:
    """Each has 32 rows of the 64, and the contrastive losses see all of them. Equal to rounding: seen were 7e-7 of the
    way that the weights went, 2e-6 of a figure; where the figure is a count of bots, one or two may change sides."""
    job = tiny_job(tmp_path, 2, ScalingConfig(num_workers=2), "detector", **ALIKE)
    folder = trained(job, tmp_path / "run")
    for line, epoch in zip(folder.metrics(), epochs(build(DetectorConfig, job.config)), strict=True):
        epoch.save(tmp_path / str(epoch.number))
        assert line.keys() == epoch.metrics.keys()
        for name in epoch.metrics.keys() - OWN:
            assert line[name] == pytest.approx(epoch.metrics[name], abs=0.01 if "miss" in name else 1e-4), name
    assert folder.last is not None
    before, expected, found = (load_checkpoint(path)[0] for path in (tmp_path / "0", tmp_path / "2", folder.last))
    for part in ("network.", "club.", "ema."):
        weights = [name for name in expected if name.startswith(part)]
        moved, apart = (sum(float((expected[n] - of[n]).square().sum()) for n in weights) for of in (before, found))
        assert apart**0.5 < 1e-4 * moved**0.5


@pytest.mark.heavy
def test_two_workers_train_the_pair_that_one_trains(tmp_path: Path) -> None:
    """Both make and fit the same movements, and each trains the diffusion on 32 of the 64 rows: equal to rounding.
    A sample of the diffusion may fall on the next pixel, so that of the physical model the strokes are compared that
    real movements have."""
    job = tiny_job(tmp_path, 4, ScalingConfig(num_workers=2), "cotraining", **{"cycles": 1, "model.dropout": 0.0})
    folder = trained(job, tmp_path / "run")
    for epoch in cotraining_epochs(build(CotrainingConfig, job.config)):
        epoch.save(tmp_path / str(epoch.number))
    assert folder.last is not None
    before, expected, found = (load_checkpoint(path) for path in (tmp_path / "0", tmp_path / "4", folder.last))
    for side in ("diffusion", "physical"):
        one, other = (record["cycles"][0][side] for _, record in (expected, found))
        assert (one["balance"], one["decision"]["kept"]) == (other["balance"], other["decision"]["kept"])
    for part in ("diffusion.model.", "diffusion.ema.", "physical.fit.free"):
        weights = [name for name in expected[0] if name.startswith(part)]
        moved, apart = (
            sum(float((expected[0][n] - of[0][n]).square().sum()) for n in weights) for of in (before, found)
        )
        assert apart**0.5 < 1e-4 * moved**0.5


@pytest.mark.heavy
def test_two_workers_train_the_critic_that_one_trains(tmp_path: Path) -> None:
    """Each embeds 32 of the 64 rows and has the goals of all. Equal to rounding, but for rows whose two best goals are
    as good as each other: of a figure that counts rows, one or two in a hundred may change sides. Adam makes small
    gradients large: in float32 4e-4 of the way that the weights went was seen, in float64 the weights are equal
    (`tests/trainables/critic/test_workers.py`)."""
    job = tiny_job(tmp_path, 2, ScalingConfig(num_workers=2), "critic")
    folder = trained(job, tmp_path / "run")
    for line, epoch in zip(folder.metrics(), critic_epochs(build(CriticConfig, job.config)), strict=True):
        epoch.save(tmp_path / str(epoch.number))
        assert line.keys() == epoch.metrics.keys()
        for name in epoch.metrics.keys() - {TRAIN_SECONDS, VAL_SECONDS}:
            counted = "accuracy" in name or "shortfall" in name
            assert line[name] == pytest.approx(epoch.metrics[name], rel=1e-3, abs=0.02 if counted else 1e-3), name
    assert folder.last is not None
    before, expected, found = (load_checkpoint(path)[0] for path in (tmp_path / "0", tmp_path / "2", folder.last))
    for part in ("network.", "ema."):
        weights = [name for name in expected if name.startswith(part)]
        moved, apart = (sum(float((expected[n] - of[n]).square().sum()) for n in weights) for of in (before, found))
        assert apart**0.5 < 2e-3 * moved**0.5


@pytest.mark.heavy
def test_an_error_of_a_worker_is_raised_to_the_caller(tmp_path: Path) -> None:
    job = tiny_job(tmp_path, 1, ScalingConfig(num_workers=1, max_failures=0), **{"data.path": "/nowhere.csv"})
    with pytest.raises(RecordingError, match=r"nowhere\.csv"):
        trained(job, tmp_path / "run")
