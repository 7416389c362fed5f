"""The sweep as it runs: a live table in a terminal, one line per event in a log."""

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
from trainables.training.trial_keys import FAILURE

REDRAWN_S = 0.5  # Tune steps many times a second; only the clock moves between events
SHOWN = 14  # rows of the live table; older finished trials scroll into the ranking


@dataclass
class Row:
    """What the table shows of one trial."""

    trial: int
    params: dict[str, Any]
    state: str = "running"
    epoch: int | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)
    began: float = field(default_factory=time.monotonic)


class Progress(Callback):
    """Draws the table; knows the trials by their Optuna numbers.

    Args:
        bridge: Source of trial numbers and of the count towards the budget.
        epochs: Of a trial that is not stopped.
        time_limit_s: The time that the sweep may take.
    """

    def __init__(self, searcher: OptunaSearcher, epochs: int, time_limit_s: float, console: Console) -> None:
        self.searcher = searcher
        self.metric_set = METRIC_SETS[searcher.space.trainable]
        self.epochs = epochs
        self.console = console
        self.began = time.monotonic()
        self.deadline = self.began + time_limit_s
        self.rows: dict[str, Row] = {}
        self.drawn = 0.0
        self.live = Live(console=console, auto_refresh=False, transient=True) if console.is_terminal else None

    def setup(self, *args: Any, **info: Any) -> None:
        if self.live is not None:
            self.live.start()

    def on_trial_start(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        asked = self.searcher.running.get(trial.trial_id)
        if asked is not None and trial.trial_id not in self.rows:
            self.rows[trial.trial_id] = Row(asked.number, dict(asked.params))
            self._say(f"trial {asked.number}: {describe(asked.params)}")
        self._draw()

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        row, figures = self.rows.get(trial.trial_id), self.metric_set.shown
        if row is not None and FAILURE in result:
            row.state = "failed"
            self._say(f"trial {row.trial}: failed: {result[FAILURE]}")
        if row is None or names.EPOCH not in result:
            return
        row.epoch, row.metrics = result[names.EPOCH], {name: result[name] for name in figures if name in result}
        told = "  ".join(f"{title(name)} {metric(name, row.metrics.get(name))}" for name in figures)
        self._say(f"trial {row.trial}: epoch {row.epoch}/{self.epochs}  {told}  left {clock(self.left_s())}")
        self._draw()

    def on_trial_complete(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        row = self.rows.get(trial.trial_id)
        if row is not None and row.state == "running":
            row.state = "done" if row.epoch == self.epochs else "stopped"
            self._say(f"trial {row.trial}: {row.state} at epoch {row.epoch}")
        self._draw()

    def on_trial_error(self, iteration: int, trials: list[Trial], trial: Trial, **info: Any) -> None:
        row = self.rows.get(trial.trial_id)
        if row is not None:
            row.state = "failed"
            self._say(f"trial {row.trial}: failed; see {trial.error_file}")
        self._draw()

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        if time.monotonic() - self.drawn > REDRAWN_S:
            self._draw()

    def __getstate__(self) -> dict[str, Any]:
        """Nothing: Tune pickles callbacks for `Tuner.restore`, which a study needs not, and a terminal cannot be."""
        return {}

    def close(self) -> None:
        """Take the live table down."""
        if self.live is not None:
            self.live.stop()

    def left_s(self) -> float:
        """Seconds left: the time limit, or less where the pace so far lets the remaining trials end earlier."""
        now = time.monotonic()
        ended = sum(row.state != "running" for row in self.rows.values())
        if not ended:
            return self.deadline - now
        return min(self.deadline - now, (now - self.began) / ended * self.searcher.left())

    def _say(self, line: str) -> None:
        if self.live is None:
            self.console.print(f"{clock(time.monotonic() - self.began):>7}  {line}", highlight=False, soft_wrap=True)

    def _draw(self) -> None:
        if self.live is not None:
            self.live.update(self._table(), refresh=True)
            self.drawn = time.monotonic()

    def _table(self) -> Group:
        table = columns(">trial", ">state", ">epoch", *figure_columns(self.metric_set), "~parameters")
        for row in list(self.rows.values())[-SHOWN:]:
            style = {"failed": "red", "stopped": "dim", "done": "green"}.get(row.state, "")
            epoch = "-" if row.epoch is None else f"{row.epoch}/{self.epochs}"
            told = figures_of(row.metrics, self.metric_set)
            table.add_row(str(row.trial), row.state, epoch, *told, describe(row.params), style=style)
        spent = time.monotonic() - self.began
        head = Text(f"{self.searcher.left()} trials to end, {clock(spent)} spent, {clock(self.left_s())} left")
        return Group(head, table)
