"""Progress of a training run: lines for a log, a table for a terminal, and its end."""

import io
import re
import time
from pathlib import Path

import pytest
from rich.console import Console

from trainables.eval.generation.metrics import GENERATION
from trainables.training.metric_names import EPOCH, TRAIN_LOSS, VAL_AUC_EXCESS, VAL_MMD
from trainables.training.progress import SHOWN, Progress
from trainables.training.run_folder import BEST, LAST, METRICS, Line, RunFolder

EPOCHS = 4


class Clock:
    """Stands in for `time.monotonic`."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    return clock


def line(epoch: int) -> Line:
    trained = {TRAIN_LOSS: 1 / epoch} if epoch else {}
    return {EPOCH: epoch, **trained, VAL_AUC_EXCESS: 0.25, VAL_MMD: 1 / (epoch + 1)}


def started(folder: Path, before: str = "", terminal: bool = False) -> tuple[Progress, io.StringIO]:
    (folder / METRICS).write_text(before)
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100, height=40)
    return Progress(console, RunFolder(folder, GENERATION.epoch_order), EPOCHS, GENERATION), text


def test_a_log_has_one_plain_line_per_epoch(tmp_path: Path, now: Clock) -> None:
    progress, text = started(tmp_path)
    with progress:
        for epoch in range(3):
            now.now += 30  # the first brings the start with it, which is no pace
            progress(line(epoch))
    assert text.getvalue().splitlines() == [
        "   0:30  epoch 0/4  AUC excess 0.250  MMD 1.0000  left -",
        "   1:00  epoch 1/4  loss 1.0000  AUC excess 0.250  MMD 0.5000  left 1:30",
        "   1:30  epoch 2/4  loss 0.5000  AUC excess 0.250  MMD 0.3333  left 1:00",
    ]


def test_the_notes_of_an_epoch_are_printed_below_it(tmp_path: Path, now: Clock) -> None:
    progress, text = started(tmp_path)
    progress.notes = lambda line: [f"loss {line[TRAIN_LOSS]:.1f}"] if line[EPOCH] else []
    with progress:
        progress(line(0))
        progress(line(2))
    assert [row.strip() for row in text.getvalue().splitlines()[1:]][1:] == ["loss 0.5"]


def test_a_resumed_run_prints_that_it_resumes(tmp_path: Path) -> None:
    progress, text = started(tmp_path, '{"epoch": 0}\n{"epoch": 1}\n')
    with progress:
        progress(line(2))
    first, second = text.getvalue().splitlines()
    assert first == f"{tmp_path} holds 1 of 4 epochs; resuming"
    assert "epoch 2/4" in second


def test_the_end_compares_the_best_epoch_with_the_untrained_model(tmp_path: Path) -> None:
    progress, text = started(tmp_path)
    with progress:
        for epoch in (0, 1, 2):
            progress(line(epoch))
    text.truncate(0)
    progress.print_end("evaluate ckpt=CHECKPOINT", BEST)
    printed = text.getvalue().lstrip("\0")
    assert "Best of 2 epochs" in printed
    assert [row.split()[0] for row in printed.splitlines()[2:4]] == ["0", "2"]
    assert f"-m evaluate ckpt={tmp_path}/checkpoints/best\n" in printed
    assert "nothing is left" not in printed
    text.truncate(0)
    progress.print_end("evaluate ckpt=CHECKPOINT", LAST)
    assert f"-m evaluate ckpt={tmp_path}/checkpoints/last\n" in text.getvalue()
    assert "checkpoints/best" not in text.getvalue()


def test_a_complete_run_prints_that_it_is_complete(tmp_path: Path) -> None:
    progress, text = started(tmp_path, "".join(f'{{"epoch": {epoch}}}\n' for epoch in range(5)))
    with progress:
        pass
    progress.print_end("evaluate", BEST)
    assert "training already complete" in text.getvalue()


def test_a_terminal_shows_the_latest_epochs_and_restores_the_cursor(tmp_path: Path) -> None:
    progress, text = started(tmp_path, terminal=True)
    with progress:
        for epoch in range(30):
            progress(line(epoch))
        text.truncate(0)
        assert progress.live is not None
        progress.live.refresh()
        shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.getvalue())
    rows = [int(match) for match in re.findall(r"^\s*(\d+) +[-0-9.]+ +0\.250", shown, re.MULTILINE)]
    assert rows[-SHOWN:] == list(range(30 - SHOWN, 30))  # its own thread may have drawn a table before
    assert text.getvalue().rfind("\x1b[?25h") > text.getvalue().rfind("\x1b[?25l")
