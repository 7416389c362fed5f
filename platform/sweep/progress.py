"""Show a running sweep: a live table in a terminal, one line per event in a log."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from platform.core.console import columns, describe, figure_columns, figures_of, metric
from platform.study.searcher import OptunaSearcher
from trainables.core.formatting import clock
from trainables.metric_registry import METRIC_SETS, title
from trainables.training import metric_names as names
from trainables.training.trial_keys import FAILURE, INTERRUPTED

REFRESH_S = 0.5  # Tune steps many times a second; only the clock moves between events
SHOWN = 14  # rows of the live table; older finished trials scroll into the ranking


@dataclass
class TrialRow:
    """One trial in the table."""

    trial: int
    params: dict[str, Any]
    state: str = "RUNNING"
    epoch: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)


class Progress(Callback):
    """Shows trials by their Optuna numbers as Tune reports them.

    Args:
        searcher: Source of trial numbers and of the count towards the budget.
        epochs: Epochs of a trial that is not pruned.
        time_limit_s: Time limit of the sweep.
    """

    def __init__(self, searcher: OptunaSearcher, epochs: int, time_limit_s: float, console: Console) -> None:
        self.searcher = searcher
        self.metric_set = METRIC_SETS[searcher.space.trainable]
        self.epochs = epochs
        self.console = console
        self.began = time.monotonic()
        self.deadline = self.began + time_limit_s
        self.rows: dict[str, TrialRow] = {}
        self.refreshed_at = 0.0
        self.live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def setup(self, *args: Any, **info: Any) -> None:
        if self.live is not None:
            self.live.start()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        suggested = self.searcher.running.get(trial.trial_id)
        if suggested is not None and trial.trial_id not in self.rows:
            self.rows[trial.trial_id] = TrialRow(suggested.number, dict(suggested.params))
            self._log(f"trial {suggested.number}: {describe(suggested.params)}")
        self._refresh()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        row, shown = self.rows.get(trial.trial_id), self.metric_set.shown
        for key, state in ((FAILURE, "FAIL"), (INTERRUPTED, "INTERRUPTED")):
            if row is not None and key in result:
                row.state = state
                self._log(f"trial {row.trial}: {state}: {result[key]}")
        if row is None or names.EPOCH not in result:
            return
        row.epoch, row.metrics = result[names.EPOCH], {name: result[name] for name in shown if name in result}
        values = "  ".join(f"{title(name)} {metric(name, row.metrics.get(name))}" for name in shown)
        self._log(f"trial {row.trial}: epoch {row.epoch}/{self.epochs}  {values}  ~{clock(self.remaining_s())} left")
        self._refresh()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        row = self.rows.get(trial.trial_id)
        if row is not None and row.state == "RUNNING":
            row.state = "PRUNED" if row.trial in self.searcher.pruned else "COMPLETE"
            self._log(f"trial {row.trial}: {row.state} at epoch {row.epoch}")
        self._refresh()

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        row = self.rows.get(trial.trial_id)
        if row is not None:
            row.state = "FAIL"
            self._log(f"trial {row.trial}: FAIL; see {trial.error_file}")
        self._refresh()

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if time.monotonic() - self.refreshed_at > REFRESH_S:
            self._refresh()

    def __getstate__(self) -> dict[str, Any]:
        """Return nothing: Tune pickles callbacks for `Tuner.restore`, which is not used, and a terminal cannot be."""
        return {}

    def close(self) -> None:
        """Remove the live table."""
        if self.live is not None:
            self.live.stop()

    def remaining_s(self) -> float:
        """Return the estimated seconds left: to the time limit, or less if the pace so far ends the trials earlier."""
        now = time.monotonic()
        ended = sum(row.state != "RUNNING" for row in self.rows.values())
        if not ended:
            return self.deadline - now
        return min(self.deadline - now, (now - self.began) / ended * self.searcher.remaining())

    def _log(self, line: str) -> None:
        if self.live is None:
            self.console.print(f"{clock(time.monotonic() - self.began):>7}  {line}", highlight=False, soft_wrap=True)

    def _refresh(self) -> None:
        if self.live is not None:
            self.live.update(self._table(), refresh=True)
            self.refreshed_at = time.monotonic()

    def _table(self) -> Group:
        table = columns(">trial", ">state", ">epoch", *figure_columns(self.metric_set), "~parameters")
        for row in list(self.rows.values())[-SHOWN:]:
            style = {"FAIL": "red", "PRUNED": "dim", "COMPLETE": "green"}.get(row.state, "")
            epoch = "-" if row.epoch is None else f"{row.epoch}/{self.epochs}"
            values = figures_of(row.metrics, self.metric_set)
            table.add_row(str(row.trial), row.state, epoch, *values, describe(row.params), style=style)
        spent = time.monotonic() - self.began
        head = Text(
            f"{self.searcher.remaining()} trials remaining, {clock(spent)} elapsed, ~{clock(self.remaining_s())} left"
        )
        return Group(head, table)
