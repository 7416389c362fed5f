"""A training run in a folder: the files that it writes, and how the same command resumes it.

    FOLDER/
      config.yaml              the trainable and its whole configuration; a run never changes it
      metrics.jsonl            one line per epoch, the untrained model's (epoch 0) first
      checkpoints/epoch-0007   whole checkpoints; the links `last` and `best` name the two that are kept, and further
                               links what a trainable keeps beside them (`Epoch.milestone`)
      manifest.json            code, versions and data of a run of platform.train; manifest-0004.json, say, those of
                               its epochs up to 4, where it was resumed with others
      source/                  uncommitted changes of its checkout
      tensorboard/             the same metrics as events, and plots every few epochs
      .lock                    held while a process trains

An epoch is written in this order: its metrics, its checkpoint, its own link, the link `last`, the link `best`. Each
step is atomic, and `last` is the truth: what lies beyond it was left by a run that was cut in between, and goes when
the folder is opened again. The best epoch has the smallest objective of its kind of trainable
(`MetricSet.epoch_order`), then the smallest tie-breaker; of equals it is the first.
"""

import json
import math
import re
import shutil
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import OmegaConf
from torch.utils.tensorboard import SummaryWriter

from trainables.core.atomic_files import LOCK, append, replace_symlink, staging_path, try_lock, write_atomically
from trainables.core.config import ConfigError, plain
from trainables.core.config_differences import Difference, differences
from trainables.core.renamed import metric_today, removed_from
from trainables.training.checkpoint_record import load_record
from trainables.training.metric_names import EPOCH
from trainables.training.plot_events import add_plots
from trainables.training.trainable import Epoch, TrainableSpec, metrics_of
from trainables.training.worker import Worker

CONFIG = "config.yaml"
METRICS = "metrics.jsonl"
CHECKPOINTS = "checkpoints"
EVENTS = "tensorboard"
LAST, BEST = "last", "best"
CHECKPOINT = re.compile(r"epoch-\d{4,}")

Line = Mapping[str, float]
"""One epoch of metrics.jsonl: its number under `epoch`, and its finite metrics by name."""


@dataclass(frozen=True)
class RunFolder:
    """The files of one run, as a reader finds them at any moment.

    Attributes:
        epoch_order: Names of the metrics that order its epochs, smallest first (`MetricSet.epoch_order`).
    """

    path: Path
    epoch_order: tuple[str, ...]

    @property
    def last(self) -> Path | None:
        """Return the checkpoint to resume from; None before the first."""
        return self._linked(LAST)

    @property
    def last_epoch(self) -> int:
        """Number of the last epoch with a checkpoint; 0 before the first."""
        return _number(self.last) if self.last else 0

    @property
    def best(self) -> Path | None:
        """The checkpoint with the best validation so far; None before the first."""
        return self._linked(BEST)

    def metrics(self) -> list[Line]:
        """The epochs written so far; a line without its end is being written and is left out.

        Raises:
            ConfigError: a line that is no JSON object.
        """
        file = self.path / METRICS
        text = file.read_text() if file.exists() else ""
        try:
            lines = [dict(json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        except ValueError as error:
            raise ConfigError(f"{file}: not one JSON object per line ({error}); start a new run elsewhere") from None
        return [{metric_today(name): value for name, value in line.items()} for line in lines]

    def record(self, epoch: Epoch) -> Line:
        """Write one epoch and return its line; the untrained model has metrics and no checkpoint."""
        line = {EPOCH: epoch.number, **metrics_of(epoch.metrics)}
        append(self.path / METRICS, json.dumps(line) + "\n")
        if epoch.number:
            self._save(epoch)
        return line

    def _save(self, epoch: Epoch) -> None:
        folder = self.path / CHECKPOINTS / _name(epoch.number)
        epoch.save(folder)
        if epoch.milestone:
            replace_symlink(folder.parent / epoch.milestone, folder.name)
        replace_symlink(folder.parent / LAST, folder.name)
        replace_symlink(folder.parent / BEST, _name(best_epoch(self.metrics(), self.epoch_order)))
        self._remove_unnamed()

    def cut(self) -> None:
        """Remove what a run that was cut left beyond its last checkpoint."""
        last = _number(self.last) if self.last else -1
        kept = [line for line in self.metrics() if line[EPOCH] <= last]
        if [line[EPOCH] for line in kept] != list(range(last + 1)):
            raise ConfigError(f"{self.path / METRICS}: lacks epochs up to {last}, the last one; start a new run")
        write_atomically(self.path / METRICS, "".join(json.dumps(line) + "\n" for line in kept))
        if kept:
            replace_symlink(self.path / CHECKPOINTS / BEST, _name(best_epoch(kept, self.epoch_order)))
        for link in self._milestones():
            if _number(link.readlink()) > last:
                link.unlink()
        self._remove_unnamed()

    def _milestones(self) -> list[Path]:
        """Links other than `last` and `best`; a link that was cut while it was made has a name with a dot."""
        links = [path for path in (self.path / CHECKPOINTS).glob("[!.]*") if path.is_symlink()]
        return [link for link in links if link.name not in (LAST, BEST) and CHECKPOINT.fullmatch(str(link.readlink()))]

    def _linked(self, name: str) -> Path | None:
        link = self.path / CHECKPOINTS / name
        if not link.is_symlink() and not link.exists():
            return None
        if not link.is_symlink() or not CHECKPOINT.fullmatch(str(link.readlink())):
            raise ConfigError(f"{link}: not a link to a checkpoint beside it; copy runs with links (cp -a)")
        return link.parent / link.readlink()

    def _remove_unnamed(self) -> None:
        """Checkpoints that no link names, and what an interrupted save left beside them."""
        kept = {self.last, self.best, *(link.parent / link.readlink() for link in self._milestones())}
        for path in (self.path / CHECKPOINTS).glob("*epoch-*"):
            if not path.is_symlink() and path not in kept:
                shutil.rmtree(path)


def epochs_of(checkpoint: Path) -> list[Line]:
    """Return the epochs of the run that a checkpoint is of, up to its own; none where it lies in no folder of a run.

    Raises:
        CheckpointError: The checkpoint cannot be read.
        ConfigError: A line of metrics.jsonl is no JSON object.
    """
    folder = checkpoint.expanduser().resolve().parent
    if folder.name != CHECKPOINTS:
        return []
    last = load_record(checkpoint)["epoch"]
    return [line for line in RunFolder(folder.parent, ()).metrics() if line[EPOCH] <= last]


def best_epoch(lines: Sequence[Line], order: Sequence[str]) -> int:
    """Return the trained epoch with the smallest metrics in this order; of equals the first; what is missing is last.

    >>> lines = [{"epoch": 0, "val/mmd": 0.1}, {"epoch": 1, "val/mmd": 0.4}, {"epoch": 2, "val/mmd": 0.3}]
    >>> best_epoch(lines, ["val/auc_excess", "val/mmd"])
    2
    """
    trained = [line for line in lines if line[EPOCH] > 0]
    return int(min(trained, key=lambda line: [line.get(name, math.inf) for name in order])[EPOCH])


@contextmanager
def opened(path: Path, trainable: str, config: Any, epoch_order: tuple[str, ...]) -> Iterator[RunFolder]:
    """The folder of a run, new or left by the same command, held against a second process while it is open.

    Args:
        trainable: Its name.
        config: The dataclass with its whole configuration.
        epoch_order: Of its kind of trainable (`MetricSet.epoch_order`).

    Raises:
        ConfigError: the folder cannot be written, is in use, or holds something else than this very run.
    """
    folder = RunFolder(path.expanduser().absolute(), epoch_order)
    with _held(folder.path):
        _check_same_run(folder, trainable, config)
        folder.cut()
        yield folder


@contextmanager
def recording(folder: RunFolder, plots_every: int = 0) -> Iterator[Callable[[Epoch], Line]]:
    """Yield a function that writes each epoch into the folder, TensorBoard's events included.

    Args:
        plots_every: Epochs between two plots among these events; 0: none.
    """
    last = folder.last
    writer = SummaryWriter(str(folder.path / EVENTS), purge_step=_number(last) + 1 if last else 0)

    def record(epoch: Epoch) -> Line:
        line = folder.record(epoch)
        for name, value in metrics_of(line).items():
            writer.add_scalar(name, value, epoch.number)
        add_plots(writer, epoch, plots_every)
        writer.flush()
        return line

    try:
        yield record
    finally:
        writer.close()


def remaining_epochs(
    path: Path, spec: TrainableSpec, config: Any, last: int | None = None, device: str = "cpu"
) -> Generator[Line, None, None]:
    """Train the run of a folder up to an epoch, resumed after its last checkpoint; yield the line of each epoch.

    A run that has that epoch yields none.

    Args:
        last: Number of the last epoch; without it that of the configuration.

    Raises:
        ConfigError: The folder cannot be written, is in use, or holds another run.
        CheckpointError: Its checkpoint was trained on other data.
    """
    end = config.epochs if last is None else last
    with opened(path, spec.name, config, spec.metrics.epoch_order) as folder:
        if folder.last_epoch >= end:
            return
        with recording(folder) as record:
            for epoch in spec.load().epochs(config, resume=folder.last, worker=Worker(device=torch.device(device))):
                yield record(epoch)
                if epoch.number == end:
                    return


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """A lock on the folder, which ends with the process whatever its end is."""
    try:
        _check_own_folder(path)
        lock = try_lock(path)
    except BlockingIOError:
        raise ConfigError(f"{path}: another process is training there; wait for it or choose another folder") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot write there ({error.strerror})") from None
    with lock:
        yield


def _check_own_folder(path: Path) -> None:
    """Refuse a folder with other files before the lock would leave one there."""
    found = {file.name for file in path.iterdir()} if path.is_dir() else set()
    if CONFIG not in found and found - {staging_path(path / CONFIG).name, LOCK}:
        raise ConfigError(f"{path}: holds files and no {CONFIG}; choose an empty or a new folder")


def _check_same_run(folder: RunFolder, trainable: str, config: Any) -> None:
    """Write config.yaml in a folder without an epoch, new or left by a failed run; in any other it must be equal.

    A key that is newer than the run has its default there; one that was removed since makes it another run.
    """
    file, here = folder.path / CONFIG, {"trainable": trainable, "config": plain(config)}
    if not file.exists() or not (folder.metrics() or folder.last):
        write_atomically(file, OmegaConf.to_yaml(OmegaConf.create(here)))
        return
    found = next(_differences(_read(file), here, type(config)), None)
    if found:
        raise ConfigError(
            f"{folder.path}: holds a run with {found.key}={found.there}, but now it is {found.here}; "
            "choose another folder or restore the old value"
        )


def _differences(before: Any, now: Mapping[str, Any], cls: type[Any]) -> Iterator[Difference]:
    """Yield what differs between the run of a folder and the present one, its trainable first."""
    there = before if isinstance(before, Mapping) else {}
    recorded = there.get("config")
    if there.get("trainable") != now["trainable"] or not isinstance(recorded, Mapping):
        yield Difference("trainable", there.get("trainable"), now["trainable"])
        return
    yield from (Difference(key, value, None) for key, value in removed_from(recorded))
    yield from differences(cls, recorded, now["config"])


def _read(file: Path) -> Any:
    try:
        return OmegaConf.to_container(OmegaConf.load(file))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{file}: not a readable configuration ({error})") from None


def _name(epoch: int) -> str:
    return f"epoch-{epoch:04d}"


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])
