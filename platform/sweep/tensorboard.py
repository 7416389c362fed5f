"""Write TensorBoard events: one run per trial, every metric by its name, parameters as HPARAMS."""

from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from platform.study.searcher import OptunaSearcher
from trainables.training.metric_names import EPOCH
from trainables.training.trainable import metrics_of


class TensorBoard(Callback):
    """Callback that writes `folder/trial-N/` from the driver."""

    def __init__(self, searcher: OptunaSearcher, folder: Path) -> None:
        self.searcher = searcher
        self.folder = folder
        self.writers: dict[str, SummaryWriter] = {}
        self.params: dict[str, dict[str, Any]] = {}

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        suggested = self.searcher.running.get(trial.trial_id)
        if suggested is None or trial.trial_id in self.writers:
            return
        self.writers[trial.trial_id] = SummaryWriter(str(self.folder / f"trial-{suggested.number:04d}"))
        self.params[trial.trial_id] = dict(suggested.params)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        writer = self.writers.get(trial.trial_id)
        if writer is None or EPOCH not in result:
            return
        for name, value in metrics_of(result).items():
            writer.add_scalar(name, value, result[EPOCH])
        writer.flush()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._close(trial)

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        self._close(trial)

    def _close(self, trial: Trial) -> None:
        """Write the HPARAMS summary into the trial's own run (SummaryWriter.add_hparams would open another)."""
        writer = self.writers.pop(trial.trial_id, None)
        if writer is None:
            return
        final = metrics_of(trial.last_result or {})
        for summary in hparams(self.params[trial.trial_id], final):
            writer._get_file_writer().add_summary(summary)
        writer.close()
