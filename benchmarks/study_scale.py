"""Cost of a large study: the driver's time at one trial's end, and `list`, `show` and `report`.

The study is a journal file with the search space of the default sweep and synthetic trials, each with its folder, one
checkpoint, metrics and a curve. The end of a trial is what the driver does between the last result of one trial and
the start of the next: it records the result, keeps the quota of checkpoints, and suggests the next parameters.
CPU time is that of this process, and does not depend on what else the machine does.

`python -m benchmarks.study_scale --trials 100 1000 --output study_scale.json`
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from rich.console import Console

from benchmarks.support.recorded_trials import recorded_trials
from platform.report.browse import list_studies, show
from platform.report.html import write_report
from platform.study.config import BudgetConfig, TuneConfig
from platform.study.ranking import OBJECTIVES, SCHEDULER_METRIC
from platform.study.resume import FOLDER, METRICS
from platform.study.searcher import OptunaSearcher
from platform.study.study import load_study, open_study
from platform.study.sweep import Sweep
from platform.sweep.disk_budget import BudgetStopper, CheckpointQuota
from search_spaces import SPACES
from trainables.core.config import plain
from trainables.diffusion.config import DiffusionConfig
from trainables.training.checkpoint_record import RECORD
from trainables.training.metric_names import EPOCH, VAL_AUC_EXCESS, VAL_MMD
from trainables.training.trial_keys import METRICS_FILE, TRIALS

SPACE = SPACES["diffusion"]
NAME = "large"
ENDS = 10  # trials that end while the clock runs


def sweep_in(storage_path: Path, trials: int) -> Sweep:
    """Return a sweep of the default space and its defaults."""
    budget = BudgetConfig(trials=trials + ENDS)
    settings = TuneConfig(study_name=NAME, storage_path=str(storage_path), budget=budget)
    return Sweep(settings, plain(DiffusionConfig()), SPACE, ())


def study_of(sweep: Sweep, trials: int) -> optuna.Study:
    """Return a study with trials at random points, two of three of them pruned."""
    record = {OBJECTIVES: [VAL_AUC_EXCESS], SCHEDULER_METRIC: VAL_AUC_EXCESS, "trainable": SPACE.trainable}
    study = open_study(sweep, record)
    for number, trial in enumerate(recorded_trials(trials, np.random.default_rng(0))):
        folder = f"{TRIALS}/trial-{number:04d}"
        write_checkpoint(sweep.settings.folder / folder, max(trial.intermediate_values), trial.value or 0.0)
        trial.set_user_attr(FOLDER, folder)
        trial.set_user_attr(METRICS, {VAL_AUC_EXCESS: trial.value, VAL_MMD: (trial.value or 0.0) / 3})
        study.add_trial(trial)
    return study


def write_checkpoint(trial: Path, epoch: int, value: float) -> None:
    """Write the records of a checkpoint without weights."""
    folder = trial / f"checkpoint_{epoch:06d}"
    folder.mkdir(parents=True)
    record = {"weights_sha256": f"{value}", "data_sha256": "", "config": {}}
    (folder / RECORD).write_text(json.dumps(record))
    (folder / METRICS_FILE).write_text(json.dumps({EPOCH: epoch, VAL_AUC_EXCESS: value}))


def trial_end(sweep: Sweep, study: optuna.Study) -> dict[str, float]:
    """Return the seconds of one trial's end, the mean over `ENDS` that end one after the other."""
    searcher = OptunaSearcher(study, SPACE, sweep.settings.budget.trials, sweep.goal)
    stopper = BudgetStopper(sweep.settings.budget, sweep.settings.folder, searcher, time.monotonic() + 3600)
    quota = CheckpointQuota(stopper, sweep.settings.finalists.top)
    quota.keep()  # the first one of a sweep reads the size of every trial

    def all_ends() -> None:
        for number in range(ENDS):
            _end(searcher, quota, f"t{number}", sweep.epochs)

    clock = timed(all_ends)
    return {name: seconds / ENDS for name, seconds in clock.items()}


def _end(searcher: OptunaSearcher, quota: CheckpointQuota, name: str, epochs: int) -> None:
    """Start a trial and end it."""
    searcher.suggest(name)
    searcher.on_trial_complete(name, {EPOCH: epochs, VAL_AUC_EXCESS: 0.1, VAL_MMD: 0.01})
    quota.keep()


def timed(call: Callable[[], Any]) -> dict[str, float]:
    """Return the seconds of a call, by the clock and of CPU."""
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def measure(trials: int, storage_path: Path) -> dict[str, Any]:
    """Return the seconds of each action on a study of so many trials, and the bytes of its report."""
    sweep = sweep_in(storage_path, trials)
    folder = sweep.settings.folder
    study = study_of(sweep, trials)
    end = trial_end(sweep, study)
    console = Console(file=StringIO())
    return {
        "trial_end": end,
        "list": timed(lambda: list_studies(console, storage_path)),
        "show": timed(lambda: show(console, load_study(storage_path, NAME), folder)),
        "report": timed(lambda: write_report(load_study(storage_path, NAME), folder)),
        "report_bytes": (folder / "report.html").stat().st_size,
    }


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000, 10000], help="recorded trials")
    parser.add_argument("--output", type=Path, help="also write the measurements as JSON here")
    given = parser.parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found = {}
    print(f"{'CPU seconds':<14}{'trial end':>12}{'list':>10}{'show':>10}{'report':>10}{'report, MB':>12}")
    for trials in given.trials:
        folder = Path(tempfile.mkdtemp(prefix="study-scale-"))
        try:
            found[trials] = measure(trials, folder)
        finally:
            shutil.rmtree(folder)
        seconds = [found[trials][name]["cpu_s"] for name in ("trial_end", "list", "show", "report")]
        row = f"{trials:<14,}{seconds[0]:>12.3f}" + "".join(f"{value:>10.2f}" for value in seconds[1:])
        print(f"{row}{found[trials]['report_bytes'] / 1e6:>12.1f}", flush=True)
    if given.output:
        given.output.write_text(json.dumps(found, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
