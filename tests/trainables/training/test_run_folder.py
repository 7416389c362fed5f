"""A run's folder: complete at every moment, the same after an interruption, and locked by one process."""

import io
import itertools
import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from matplotlib.image import imread
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from trainables.core import atomic_files
from trainables.core.config import ConfigError
from trainables.eval.generation.metrics import GENERATION
from trainables.training import run_folder
from trainables.training.checkpoint import load_checkpoint, save_checkpoint
from trainables.training.metric_names import EPOCH, TRAIN_LOSS, VAL_AUC_EXCESS, VAL_MMD
from trainables.training.run_folder import (
    BEST,
    CHECKPOINTS,
    CONFIG,
    EVENTS,
    LAST,
    METRICS,
    best_epoch,
    opened,
    recording,
)
from trainables.training.trainable import Epoch

ORDER = GENERATION.epoch_order

EXCESS = (0.5, 0.3, 0.2, 0.25, 0.2, 0.4)  # of epochs 0 to 5; epochs 2 and 4 are equal, and MMD decides
MMD = (0.9, 0.5, 0.4, 0.1, 0.3, 0.2)
LAST_EPOCH = len(EXCESS) - 1


@dataclass(frozen=True)
class Inner:
    lr: float = 1e-3


@dataclass(frozen=True)
class Config:
    epochs: int = LAST_EPOCH
    optim: Inner = Inner()


def epoch(number: int) -> Epoch:
    """An epoch whose checkpoint holds its number."""
    metrics = {EPOCH: number, VAL_AUC_EXCESS: EXCESS[number], VAL_MMD: MMD[number], TRAIN_LOSS: 1 / (number + 1)}
    return Epoch(
        number, metrics, lambda folder: save_checkpoint(folder, {"w": torch.tensor([number])}, {"epoch": number})
    )


def train(path: Path, until: int = LAST_EPOCH, config: Config | None = None, trainable: str = "toy") -> list[int]:
    """Resume from the state of the folder and return the epochs that were run."""
    numbers = []
    with opened(path, trainable, config or Config(), ORDER) as folder, recording(folder) as record:
        start = load_checkpoint(folder.last)[1]["epoch"] + 1 if folder.last else 0
        for number in range(start, until + 1):
            record(epoch(number))
            numbers.append(number)
    return numbers


def content(path: Path) -> dict[str, Any]:
    """Everything in a run's folder but TensorBoard's files, whose names hold the clock."""
    found: dict[str, Any] = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.is_symlink():
            found[name] = str(file.readlink())
        elif file.is_file() and not name.startswith(EVENTS):
            found[name] = file.read_bytes()
    return found


def test_a_run_writes_its_configuration_its_metrics_and_two_checkpoints(tmp_path: Path) -> None:
    assert train(tmp_path) == list(range(LAST_EPOCH + 1))
    lines = [json.loads(line) for line in (tmp_path / METRICS).read_text().splitlines()]
    assert lines == [dict(epoch(number).metrics) for number in range(LAST_EPOCH + 1)]
    links = {name: str((tmp_path / CHECKPOINTS / name).readlink()) for name in (LAST, BEST)}
    assert links == {LAST: "epoch-0005", BEST: "epoch-0004"}
    assert sorted(path.name for path in (tmp_path / CHECKPOINTS).iterdir()) == [
        "best",
        "epoch-0004",
        "epoch-0005",
        "last",
    ]
    assert load_checkpoint(tmp_path / CHECKPOINTS / BEST)[0]["w"].item() == 4


def test_the_same_command_again_trains_nothing_and_changes_nothing(tmp_path: Path) -> None:
    train(tmp_path)
    before = content(tmp_path)
    assert train(tmp_path) == []
    assert content(tmp_path) == before


@pytest.mark.parametrize("until", range(LAST_EPOCH))
def test_a_run_in_two_parts_writes_the_same_as_in_one(tmp_path: Path, until: int) -> None:
    train(tmp_path / "uncut")
    train(tmp_path / "cut", until)
    train(tmp_path / "cut")
    assert content(tmp_path / "cut") == content(tmp_path / "uncut")


class Cut(BaseException):
    """Stands in for the end of the process; nothing of ours catches it."""


def cut_before(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Let the process end before its `step`-th change of a file, a link or a folder."""
    changes = itertools.count()

    def counted(change: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **options: Any) -> Any:
            if next(changes) == step:
                raise Cut
            return change(*args, **options)

        return call

    for name in ("rename", "replace", "symlink_to", "unlink"):
        monkeypatch.setattr(Path, name, counted(getattr(Path, name)))
    append = counted(atomic_files.append)
    for module in (atomic_files, run_folder):
        monkeypatch.setattr(module, "append", append)
    monkeypatch.setattr(shutil, "rmtree", counted(shutil.rmtree))


def test_a_run_interrupted_between_any_two_writes_resumes_to_the_same_end(tmp_path: Path) -> None:
    train(tmp_path / "uncut")
    expected = content(tmp_path / "uncut")
    for step in itertools.count():
        path = tmp_path / f"cut-{step}"
        with pytest.MonkeyPatch.context() as patch:
            cut_before(patch, step)
            try:
                train(path)
                break
            except Cut:
                pass
        train(path)
        assert content(path) == expected, step
    assert step > 40  # the loop ended because no change was left to cut


def test_a_line_that_was_being_written_is_no_epoch(tmp_path: Path) -> None:
    train(tmp_path, 3)
    whole = content(tmp_path)
    with (tmp_path / METRICS).open("a") as stream:
        stream.write('{"epoch": 4, "val/c2')
    with opened(tmp_path, "toy", Config(), ORDER) as folder:
        assert [line[EPOCH] for line in folder.metrics()] == [0, 1, 2, 3]
    assert content(tmp_path) == whole


def test_the_rest_of_an_interrupted_save_is_removed(tmp_path: Path) -> None:
    train(tmp_path, 3)
    whole = content(tmp_path)
    for name in (".epoch-0004.xyz", "epoch-0004"):
        (tmp_path / CHECKPOINTS / name).mkdir()
        (tmp_path / CHECKPOINTS / name / "weights.safetensors").write_bytes(b"half")
    with opened(tmp_path, "toy", Config(), ORDER):
        assert content(tmp_path) == whole


def test_tensorboard_shows_each_epoch_once_after_an_interruption(tmp_path: Path) -> None:
    train(tmp_path, 3)
    point = tmp_path / CHECKPOINTS / LAST
    shutil.copytree(point.resolve(), tmp_path / CHECKPOINTS / "epoch-0002", dirs_exist_ok=True)
    point.unlink()
    point.symlink_to("epoch-0002")  # as if epoch 3 had never got its checkpoint
    shutil.rmtree(tmp_path / CHECKPOINTS / "epoch-0002")
    save_checkpoint(tmp_path / CHECKPOINTS / "epoch-0002", {"w": torch.tensor([2])}, {"epoch": 2})
    assert train(tmp_path) == [3, 4, 5]
    events = EventAccumulator(str(tmp_path / EVENTS)).Reload()
    assert [event.step for event in events.Scalars(VAL_MMD)] == list(range(LAST_EPOCH + 1))
    assert [event.value for event in events.Scalars(VAL_MMD)] == pytest.approx(MMD)


@pytest.mark.parametrize(("plots_every", "steps"), [(0, []), (1, [1, 2, 3, 4, 5]), (2, [2, 4]), (6, [])])
def test_tensorboard_has_plots_every_so_many_epochs(tmp_path: Path, plots_every: int, steps: list[int]) -> None:
    """None of the untrained model, and none is made that is not written."""
    made: list[int] = []

    def plots(number: int) -> dict[str, Any]:
        made.append(number)
        return {"plots/square": np.full((4, 6, 4), 10 * number, dtype=np.uint8)}

    with opened(tmp_path, "toy", Config(), ORDER) as folder, recording(folder, plots_every) as record:
        for number in range(LAST_EPOCH + 1):
            record(replace(epoch(number), plots=partial(plots, number)))
    events = EventAccumulator(str(tmp_path / EVENTS), size_guidance={"images": 0}).Reload()  # 0: all of them
    assert made == steps
    assert events.Tags()["images"] == (["plots/square"] if steps else [])
    if steps:
        images = events.Images("plots/square")
        assert [image.step for image in images] == steps
        decoded = imread(io.BytesIO(images[-1].encoded_image_string))
        assert (decoded.shape, round(float(decoded[0, 0, 0]) * 255)) == ((4, 6, 4), 10 * steps[-1])


def test_an_epoch_without_plots_writes_none(tmp_path: Path) -> None:
    with opened(tmp_path, "toy", Config(), ORDER) as folder, recording(folder, 1) as record:
        record(epoch(0))
        record(epoch(1))
    assert EventAccumulator(str(tmp_path / EVENTS)).Reload().Tags()["images"] == []


def test_the_best_epoch_is_the_first_of_the_smallest_pairs() -> None:
    draws = random.Random(0)
    for _ in range(300):
        lines = [
            {EPOCH: n, VAL_AUC_EXCESS: draws.choice([0.0, 0.1]), VAL_MMD: draws.choice([0.0, 0.1])}
            for n in range(draws.randint(2, 6))
        ]
        expected = 1
        for n in range(2, len(lines)):
            mine, best = lines[n], lines[expected]
            if mine[VAL_AUC_EXCESS] < best[VAL_AUC_EXCESS] or (
                mine[VAL_AUC_EXCESS] == best[VAL_AUC_EXCESS] and mine[VAL_MMD] < best[VAL_MMD]
            ):
                expected = n
        assert best_epoch(lines, ORDER) == expected


def test_the_untrained_model_is_never_the_best_and_what_was_not_computed_is_the_worst() -> None:
    zero = {EPOCH: 0, VAL_AUC_EXCESS: 0.0, VAL_MMD: 0.0}
    assert best_epoch([zero, {EPOCH: 1}, {EPOCH: 2, VAL_AUC_EXCESS: 0.5}], ORDER) == 2
    assert best_epoch([zero, {EPOCH: 1}, {EPOCH: 2}], ORDER) == 1


# whose folder it is


def refusal(path: Path, **options: Any) -> str:
    """The one line that a folder is refused with; the folder stays as it is."""
    before = content(path) if path.is_dir() else None
    with pytest.raises(ConfigError) as exc_info:
        train(path, **options)
    assert (content(path) if path.is_dir() else None) == before
    assert "\n" not in str(exc_info.value)
    return str(exc_info.value)


@pytest.fixture
def started(tmp_path: Path) -> Path:
    train(tmp_path, 2)
    return tmp_path


def test_another_configuration_is_refused_by_its_key(started: Path) -> None:
    line = refusal(started, config=Config(optim=Inner(lr=0.5)))
    assert "optim.lr=0.001, but now it is 0.5; choose another folder" in line


def test_a_run_that_failed_before_its_first_epoch_may_be_corrected(tmp_path: Path) -> None:
    with opened(tmp_path, "trainable", Config(epochs=1), ORDER):
        pass
    with opened(tmp_path, "trainable", Config(), ORDER):
        pass
    assert f"epochs: {LAST_EPOCH}" in (tmp_path / CONFIG).read_text()


def test_another_trainable_is_refused(started: Path) -> None:
    assert "trainable=toy, but now it is other" in refusal(started, trainable="other")


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("\\documentclass{article}")
    assert f"holds files and no {CONFIG}" in refusal(tmp_path)


def test_a_folder_with_nothing_but_a_lock_is_accepted(tmp_path: Path) -> None:
    atomic_files.try_lock(tmp_path).close()
    assert train(tmp_path, 1) == [0, 1]


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "cannot write there" in refusal(tmp_path / "file")


def test_two_processes_do_not_share_a_folder(started: Path) -> None:
    with opened(started, "toy", Config(), ORDER):
        assert "another process is training there" in refusal(started)
    assert train(started) == [3, 4, 5]


def test_an_unreadable_configuration_is_reported(started: Path) -> None:
    (started / CONFIG).write_text("config: [1")
    with pytest.raises(ConfigError, match="not a readable configuration"):
        train(started)


def test_a_copy_without_links_is_refused_before_anything_is_removed(started: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    shutil.copytree(started, copied, symlinks=False, ignore=shutil.ignore_patterns("copy"))
    assert "not a link to a checkpoint beside it" in refusal(copied)


def test_a_link_to_a_checkpoint_elsewhere_is_refused(started: Path, tmp_path: Path) -> None:
    link = started / CHECKPOINTS / LAST
    link.unlink()
    link.symlink_to(tmp_path / "elsewhere" / "epoch-0009")
    assert "not a link to a checkpoint beside it" in refusal(started)


@pytest.mark.parametrize("kept", [0, 1, 2])
def test_metrics_that_lack_an_epoch_are_refused(started: Path, kept: int) -> None:
    lines = (started / METRICS).read_text().splitlines(keepends=True)
    (started / METRICS).write_text("".join(lines[:kept]))
    assert "lacks epochs up to 2" in refusal(started)


def test_metrics_that_are_no_json_are_refused(started: Path) -> None:
    (started / METRICS).write_text("epoch 0\n")
    assert "not one JSON object per line" in refusal(started)
