"""Readable log of a trial: one line per start, epoch and error, in the trial's own folder."""

import traceback
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from trainables.training.trainable import Epoch, metrics_of

LOG = "trial.log"


class TrialLog:
    """Appends lines to the log of a trial, each with the local time; a restarted trial continues its own."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / LOG

    def start(self, parameters: Mapping[str, Any], checkpoint: str | None) -> None:
        """Write the searched parameters, and the checkpoint that the trial resumes from."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        shown = " ".join(f"{key}={value}" for key, value in parameters.items())
        self._write(f"started {shown}" + (f", resumed from {checkpoint}" if checkpoint else ""))

    def __call__(self, epoch: Epoch) -> None:
        """Write the metrics of an epoch."""
        metrics = " ".join(f"{name}={value:.6g}" for name, value in metrics_of(epoch.metrics).items())
        self._write(f"epoch {epoch.number} {metrics}")

    def error(self, error: BaseException) -> None:
        """Write an error with its traceback; nothing where the log itself cannot be written, as on a full disk."""
        try:
            self._write("failed\n" + "".join(traceback.format_exception(error)).rstrip())
        except OSError:
            return

    def _write(self, text: str) -> None:
        with self.file.open("a", encoding="utf-8") as stream:
            stream.write(f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S} {text}\n")
