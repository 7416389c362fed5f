import re
from pathlib import Path

from trainables.training.metric_names import VAL_MMD
from trainables.training.trainable import Epoch
from trainables.training.trial_log import LOG, TrialLog


def nothing(folder: Path) -> None:
    """Save no checkpoint."""


def test_a_log_tells_starts_epochs_and_errors_and_is_continued(tmp_path: Path) -> None:
    log = TrialLog(tmp_path / "trial-0003")
    log.start({"optim.lr": 1e-3}, None)
    log(Epoch(2, {VAL_MMD: 0.25}, nothing))
    try:
        raise ValueError("the loss is nan")
    except ValueError as error:
        log.error(error)
    again = TrialLog(tmp_path / "trial-0003")
    again.start({"optim.lr": 1e-3}, "checkpoint_000002")
    text = (tmp_path / "trial-0003" / LOG).read_text()
    lines = [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "at ", line) for line in text.splitlines()]
    assert lines[:4] == [
        "at started optim.lr=0.001",
        f"at epoch 2 {VAL_MMD}=0.25",
        "at failed",
        "Traceback (most recent call last):",
    ]
    assert lines[-2:] == ["ValueError: the loss is nan", "at started optim.lr=0.001, resumed from checkpoint_000002"]


def test_an_error_whose_log_cannot_be_written_is_not_hidden_by_another(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    TrialLog(tmp_path / "file").error(ValueError("first"))
    assert (tmp_path / "file").read_text() == ""
