"""The door to Ray: runs any trainable under Ray Train and reports each of its epochs.

    one-process trial   Tune function -> TorchTrainer in local mode (num_workers = 0) -> epochs() in the same process
    worker group        Tune function -> TorchTrainer with N workers (DDP) -> epochs() in each -> TuneReportCallback
    a run of its own    TorchTrainer, either way -> epochs() -> the run's folder, from which it also resumes

All drain the same generator. They differ in what they are handed: `report`, where to resume, and the worker's place.
A one-process trial costs no process start when Tune reuses its actor. A worker group has a placement group of its own,
so its Tune trial holds the custom resource `trial_driver` instead of a CPU: it never takes a CPU its workers wait for.
"""

import errno
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import ray.train
import ray.train.torch
import torch
from ray import tune
from ray.train import TrainingFailedError, WorkerGroupError
from ray.tune.integration.ray_train import TuneReportCallback

from trainables.core.config import build, plain, require, require_member, with_values
from trainables.specs import TRAINABLES
from trainables.training.manifest import Manifest
from trainables.training.metric_names import EPOCH
from trainables.training.plot_events import PlotWriter
from trainables.training.run_folder import EVENTS, Line, RunFolder, recording
from trainables.training.scaling import ScalingConfig
from trainables.training.trainable import Epoch, metrics_of
from trainables.training.trial_keys import BEFORE, FAILURE, INTERRUPTED, METRICS_FILE, RESUME_FROM, TRIALS
from trainables.training.trial_log import TrialLog
from trainables.training.worker import Worker

PLOTS = "plots"  # the events with the plots of a trial, in the folder of those with its metrics
CONTROLLER_RETRIES = 3
RESTART_DELAY_S = 3.0  # before a lost group is started anew; a stopped trial's controller outlives its workers by 0.2 s
RUN = "ray"  # what Ray Train itself keeps of a run, beside our files

Report = Callable[[Epoch], object]


@dataclass(frozen=True)
class Job:
    """Description of what a trial or a run trains: plain values, so that it can be sent to any worker.

    Attributes:
        data_sha256, source: Of the data and of the driver's checkout, for the manifest.
        plots_every: Epochs between two plots in the events of a trial or a run; 0: none.
    """

    trainable: str
    config: Mapping[str, Any]
    scaling: ScalingConfig
    storage_path: str
    data_sha256: str = ""
    source: Mapping[str, Any] = field(default_factory=dict)
    plots_every: int = 0

    def __post_init__(self) -> None:
        require_member("trainable", self.trainable, TRAINABLES)
        require(Path(self.storage_path).is_absolute(), "`storage_path` to be an absolute path", self.storage_path)

    def with_parameters(self, parameters: Mapping[str, Any]) -> "Job":
        """The same job with searched parameters in place, by dotted key."""
        return replace(self, config=with_values(self.config, parameters))


def drain(job: Job, report: Report, resume: Path | None, worker: Worker) -> None:
    """Run the trainable to its end, handing every epoch to `report`."""
    torch.set_num_threads(job.scaling.cpus_per_worker)
    spec = TRAINABLES[job.trainable]
    config = build(spec.config, job.config, at="trainable")
    for epoch in spec.load().epochs(config, resume=resume, worker=worker):
        report(epoch)


def trial(parameters: Mapping[str, Any], job: Job) -> None:
    """Tune's function trainable: one trial of `job` with the suggested `parameters`.

    What cannot be helped by trying again (a diverged loss, wrong data) is reported as a failure and not raised, and a
    full disk as an interruption: Tune would start the trial again.
    """
    searched = dict(parameters)
    start = searched.pop(RESUME_FROM, None)
    job, log = job.with_parameters(searched), TrialLog(_trial_folder(job))
    try:
        log.start(searched, start)
        (_train_in_group if job.scaling.num_workers else _train_in_process)(job, Path(start) if start else None)
    except (TrainingFailedError, OSError, ValueError, RuntimeError) as error:
        raised = _as_raised(error)
        log.error(raised)
        tune.report(_as_result(raised))


def _as_result(error: BaseException) -> dict[str, str]:
    """Return a trial's last result after an error; one that is neither ours nor a full disk is raised again."""
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return {INTERRUPTED: f"no space is left on the disk ({text})"}
    if type(error).__module__.partition(".")[0] == "trainables":
        return {FAILURE: text}
    raise error


def _as_raised(error: BaseException) -> BaseException:
    """The error as a worker of the group raised it; one of this process as it is."""
    failures = getattr(error, "worker_failures", None) or {}
    first = next(iter(failures.values()), error)
    cause: BaseException = getattr(first, "_base_exc", first)
    return cause


def run(job: Job, folder: RunFolder, show: Callable[[Line], object]) -> None:
    """One run without Tune, recorded in `folder` and continued from it; a group reads and writes it on every node.

    Args:
        show: Is handed every epoch in local mode; those of a group are seen in the folder.
    """
    if job.scaling.num_workers == 0:
        _fit_here(job, lambda: _record_here(job, folder, show), RUN)
        return
    try:
        _fit_group(job, _recording_loop, {"job": job, "folder": folder}, RUN, [])
    except WorkerGroupError as error:
        raise _as_raised(error) from error  # the user's errors are one line


def _train_in_process(job: Job, start: Path | None) -> None:
    def train() -> None:
        latest = tune.get_checkpoint()
        with latest.as_directory() if latest else nullcontext(start) as folder:
            worker = Worker(device=local_device(job.scaling))
            _write_manifest(job, worker, _trial_folder(job))
            resume = Path(folder) if folder else None
            with closing(PlotWriter(_plots_folder(job), job.plots_every)) as plot:
                log = TrialLog(_trial_folder(job))
                drain(job, _Reports(_to_tune, resume, plot, log), resume, worker)

    _fit_here(job, train, tune.get_context().get_trial_id())


def _trial_folder(job: Job) -> Path:
    """Return the folder where Tune keeps this trial; Tune's own trial directory is a local one of the same name."""
    return Path(job.storage_path).parent / TRIALS / Path(tune.get_context().get_trial_dir()).name


def _plots_folder(job: Job) -> Path:
    """Return the folder of the events with this trial's plots, in that of its metrics, which the driver writes."""
    context = tune.get_context()
    run = Path(context.get_trial_dir()).name.removesuffix(f"-{context.get_trial_id()}")
    return Path(job.storage_path).parent / EVENTS / run / PLOTS


def _write_manifest(job: Job, worker: Worker, folder: Path) -> None:
    """Write what a trial is trained with into its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _manifest(job, worker).write(folder)


def _manifest(job: Job, worker: Worker) -> Manifest:
    """Return what a trial or a run is trained with, taken with the threads that it will have."""
    torch.set_num_threads(job.scaling.cpus_per_worker)
    config = plain(build(TRAINABLES[job.trainable].config, job.config, at="trainable"))
    return Manifest.here(
        job.trainable, config, job.data_sha256, job.source, device=worker.device, workers=worker.world_size
    )


def _fit_here(job: Job, train: Callable[[], None], name: str) -> None:
    ray.train.torch.TorchTrainer(
        train,
        scaling_config=ray.train.ScalingConfig(num_workers=0),
        run_config=ray.train.RunConfig(name=name, storage_path=job.storage_path),
    ).fit()


def local_device(scaling: ScalingConfig) -> torch.device:
    """The GPU that was reserved for this process, else the CPU."""
    return torch.device("cuda" if scaling.gpus_per_worker > 0 else "cpu")


def _to_tune(metrics: Mapping[str, Any], checkpoint: Path | None) -> None:
    tune.report(dict(metrics), checkpoint=tune.Checkpoint.from_directory(checkpoint) if checkpoint else None)


class _Reports:
    """Reports every epoch; its checkpoint carries the metrics of all epochs so far.

    A killed driver may have missed the last few; a run that resumes from the checkpoint does not repeat them. Plots and
    the log (`before`) are written before the report, in which a pruned trial ends.
    """

    def __init__(
        self, report: Callable[[Mapping[str, Any], Path | None], object], resume: Path | None, *before: Report
    ) -> None:
        self.report = report
        self.before = before
        last = json.loads((resume / METRICS_FILE).read_text()) if resume else {}
        self.reported: list[dict[str, Any]] = [*last.pop(BEFORE, []), last] if last else []

    def __call__(self, epoch: Epoch) -> None:
        metrics, before = {EPOCH: epoch.number, **metrics_of(epoch.metrics)}, list(self.reported)
        self.reported.append(metrics)
        for note in self.before:
            note(epoch)
        if epoch.number == 0:
            self.report(epoch.metrics, None)
            return
        with tempfile.TemporaryDirectory(prefix="epoch-") as folder:
            checkpoint = Path(folder) / "checkpoint"
            epoch.save(checkpoint)
            (checkpoint / METRICS_FILE).write_text(json.dumps({**metrics, BEFORE: before}))
            self.report(epoch.metrics, checkpoint)


def _train_in_group(job: Job, start: Path | None) -> None:
    """Lead a worker group; its reports reach Tune through the callback, its checkpoints stay in Train's own storage.

    The run's name is the trial's, so that a restarted trial finds its run and resumes from the last checkpoint.
    """
    name = f"group-{tune.get_context().get_trial_id()}"
    settings = {"job": job, "start": start, "folder": _trial_folder(job), "plots": _plots_folder(job)}
    _fit_group(job, _worker_loop, settings, name, [TuneReportCallback()])


def _fit_group(
    job: Job, loop: Callable[[dict[str, Any]], None], settings: dict[str, Any], name: str, callbacks: list[Any]
) -> None:
    """`loop(settings)` in each worker of a group, restarted after a failure as often as the job allows."""
    os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", "0.2")  # by default a report, and an end, wait for 2 s
    scaling, patient = job.scaling, [*callbacks, DelayedRestart()]
    per_worker = {"CPU": float(scaling.cpus_per_worker)}
    if scaling.gpus_per_worker:
        per_worker["GPU"] = scaling.gpus_per_worker
    ray.train.torch.TorchTrainer(
        loop,
        train_loop_config=settings,
        scaling_config=ray.train.ScalingConfig(
            num_workers=scaling.num_workers, use_gpu=scaling.gpus_per_worker > 0, resources_per_worker=per_worker
        ),
        run_config=ray.train.RunConfig(
            name=name,
            storage_path=job.storage_path,
            callbacks=patient,
            failure_config=ray.train.FailureConfig(  # type: ignore[call-arg]  # Train V2 has the second limit
                max_failures=scaling.max_failures, controller_failure_limit=CONTROLLER_RETRIES
            ),
            checkpoint_config=ray.train.CheckpointConfig(num_to_keep=1),
        ),
    ).fit()


class DelayedRestart(ray.train.UserCallback):
    """Waits before a lost worker group is started anew.

    Where Tune stops a trial, Ray 2.60 ends the workers a moment before their controller. One that looks in between
    starts others, in a placement group that is registered after its owner's death: nothing would ever remove it.
    """

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Long enough for a controller that is to end as well."""
        time.sleep(RESTART_DELAY_S)


def _worker_loop(settings: dict[str, Any]) -> None:
    latest = ray.train.get_checkpoint()
    with latest.as_directory() if latest else nullcontext(settings["start"]) as folder:
        worker = _worker_of_group()
        if worker.rank == 0:
            _write_manifest(settings["job"], worker, settings["folder"])
        resume = Path(folder) if folder else None
        with closing(PlotWriter(settings["plots"], settings["job"].plots_every)) as plot:
            log = TrialLog(settings["folder"])
            report = _Reports(_to_train, resume, plot, log) if worker.rank == 0 else _take_part
            drain(settings["job"], report, resume, worker)


def _worker_of_group() -> Worker:
    context = ray.train.get_context()
    return Worker(
        context.get_world_rank(),
        context.get_world_size(),
        ray.train.torch.get_device(),
        ray.train.torch.prepare_model,
        _mean_over_workers,
    )


def _mean_over_workers(value: torch.Tensor) -> torch.Tensor:
    total = value.clone()
    torch.distributed.all_reduce(total)
    return total / torch.distributed.get_world_size()


def _to_train(metrics: Mapping[str, Any], checkpoint: Path | None) -> None:
    ray.train.report(dict(metrics), checkpoint=ray.train.Checkpoint.from_directory(checkpoint) if checkpoint else None)


def _take_part(epoch: Epoch) -> None:
    """Train waits for the report of every worker, and takes that of rank 0."""
    ray.train.report(dict(epoch.metrics))


def _record_here(job: Job, folder: RunFolder, show: Callable[[Line], object]) -> None:
    worker = Worker(device=local_device(job.scaling))
    with recording(folder, job.plots_every) as record:
        recorded = _with_manifest(record, job, worker, folder)
        drain(job, lambda epoch: show(recorded(epoch)), folder.last, worker)


def _with_manifest(
    record: Callable[[Epoch], Line], job: Job, worker: Worker, folder: RunFolder
) -> Callable[[Epoch], Line]:
    """Return `record`, which at first writes the manifest of a run: one that has no epoch left keeps its own."""
    written = False

    def record_with_manifest(epoch: Epoch) -> Line:
        nonlocal written
        if not written:
            _manifest(job, worker).write_after(folder.last_epoch, folder.path)
            written = True
        return record(epoch)

    return record_with_manifest


def _recording_loop(settings: dict[str, Any]) -> None:
    """Run in each worker of a group: rank 0 writes the folder, from which all resume if the group is restarted."""
    job, folder, worker = settings["job"], settings["folder"], _worker_of_group()
    if worker.rank == 0:
        folder.cut()  # what a worker that was killed had begun to write
    start = folder.last
    if worker.rank:
        drain(job, _take_part, start, worker)
        return
    with recording(folder, job.plots_every) as record:
        recorded = _with_manifest(record, job, worker, folder)

        def report(epoch: Epoch) -> None:
            recorded(epoch)
            _take_part(epoch)

        drain(job, report, start, worker)
