"""Cost of a suggestion in a large study: one ask and tell of each sampler at a number of trials, in a journal.

The study is a journal file with the search space of the default sweep, as `platform.tune` stores it, and contains
trials with synthetic values before the clock starts. The timed call is that of Tune's searcher: it counts the budget,
calls the sampler, and writes the attributes of the trial.

`python -m benchmarks.suggestion --trials 300 --output suggestion.json`
"""

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import optuna

from benchmarks.support.recorded_trials import recorded_trials
from platform.study.config import BudgetConfig, TuneConfig
from platform.study.ranking import OBJECTIVES
from platform.study.samplers import SAMPLERS
from platform.study.searcher import OptunaSearcher
from platform.study.study import open_study
from platform.study.sweep import Sweep
from search_spaces import SPACES
from trainables.core.config import plain
from trainables.diffusion.config import DiffusionConfig
from trainables.eval.generation.metrics import GENERATION
from trainables.training.metric_names import EPOCH, VAL_AUC_EXCESS, VAL_MMD

SPACE = SPACES["diffusion"]


def sweep_of(sampler: str, folder: Path, trials: int) -> Sweep:
    """Return a sweep of the default space with its own study."""
    settings = TuneConfig(
        study_name=sampler, storage_path=str(folder), sampler=sampler, budget=BudgetConfig(trials=trials)
    )
    return Sweep(settings, plain(DiffusionConfig()), SPACE, ())


def seconds(sampler: str, folder: Path, trials: int, repeats: int) -> list[float]:
    """Return the seconds of each suggestion; each trial is completed before the next."""
    sweep = sweep_of(sampler, folder, trials + repeats)
    study = open_study(sweep, {OBJECTIVES: [GENERATION.headline], "trainable": SPACE.trainable})
    study.add_trials(recorded_trials(trials, np.random.default_rng(0)))
    searcher = OptunaSearcher(study, SPACE, trials + repeats, sweep.goal)
    found = []
    for number in range(repeats):
        began = time.perf_counter()
        searcher.suggest(f"t{number}")
        found.append(time.perf_counter() - began)
        searcher.on_trial_complete(f"t{number}", {EPOCH: sweep.epochs, VAL_AUC_EXCESS: 0.1, VAL_MMD: 0.01})
    return found


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--trials", type=int, default=300, help="trials in the study before the first suggestion")
    parser.add_argument("--repeats", type=int, default=20, help="suggestions of each sampler")
    parser.add_argument("--output", type=Path, help="also write the measurements as JSON here")
    given = parser.parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="suggestion-") as folder:
        found = {name: seconds(name, Path(folder), given.trials, given.repeats) for name in SAMPLERS}
    print(f"{'ms per suggestion':<20}{'median':>10}{'min':>10}{'max':>10}   at {given.trials} trials")
    for name, values in found.items():
        shown = (1000 * value for value in (statistics.median(values), min(values), max(values)))
        print(f"{name:<20}" + "".join(f"{value:>10.1f}" for value in shown))
    if given.output:
        given.output.write_text(json.dumps({"trials": given.trials, "seconds": found}, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
