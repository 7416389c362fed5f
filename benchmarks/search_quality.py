"""Search quality: Optuna samplers against random search at an equal budget of trials.

Every sampler searches the default space on the default data, once per seed, with the same trials, epochs and early
stopping. `+baseline` enqueues the baseline point first, as a sweep does; the others do not. The best trial of each
sweep, by the ranking of the sweep, is re-evaluated with new seeds on the validation users, and on the test users. Runs
of one seed are compared with each other: the interval of the difference to random search is Student's over the seeds.

`python -m benchmarks.search_quality --seeds 5 --trials 16 --output search_quality.json`
"""

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
from rich.console import Console

from benchmarks.support.intervals import format_mean
from platform.core.ray_instance import ray_instance
from platform.study.budget import enqueue_baselines
from platform.study.config import BudgetConfig, TuneConfig
from platform.study.ranking import OBJECTIVES, ranking
from platform.study.searcher import OptunaSearcher
from platform.study.study import open_study
from platform.study.sweep import Sweep
from platform.sweep.disk_budget import BudgetStopper
from platform.sweep.progress import Progress
from platform.sweep.runner import concurrency, make_tuner
from search_spaces import SPACES
from trainables.core.config import plain, with_values
from trainables.diffusion.config import DiffusionConfig
from trainables.eval.generation.metrics import GENERATION
from trainables.model_evaluation.reevaluate import evaluate
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_MMD

SPACE = SPACES["diffusion"]
BASELINE = "+baseline"
SHORT = {"epochs": 6, "steps_per_epoch": 50, "sampling.steps": 10}
EVAL_SEEDS = (71, 72, 73)  # seeds of the re-evaluation, which no trial used
METRICS = {
    "AUC excess, validation": ("validation", VAL_AUC_EXCESS),
    "AUC excess, test": ("test", VAL_AUC_EXCESS),
    "MMD, validation": ("validation", VAL_MMD),
}


def sweep_of(name: str, seed: int, trials: int, folder: Path) -> Sweep:
    """Return a sweep of short trials with its own study; `name` is a sampler, or a sampler and `+baseline`."""
    sampler = name.removesuffix(BASELINE)
    space = SPACE if sampler != name else replace(SPACE, baselines=())
    settings = TuneConfig(
        study_name=f"{sampler}-{len(space.baselines)}-{seed}",
        storage_path=str(folder),
        sampler=sampler,
        seed=seed,
        budget=BudgetConfig(trials, time_limit="1h"),
    )
    return Sweep(settings, with_values(plain(DiffusionConfig()), SHORT), space, ())


def run(sweep: Sweep, cpus: int) -> dict[str, Any]:
    """Run a sweep and re-evaluate its best trial; return its metrics and the seconds of the search."""
    settings = sweep.settings
    study = open_study(sweep, {OBJECTIVES: [GENERATION.headline], "trainable": SPACE.trainable})
    enqueue_baselines(study, sweep.space, settings.budget.trials)
    searcher = OptunaSearcher(study, sweep.space, settings.budget.trials, sweep.goal)
    progress = Progress(searcher, sweep.epochs, settings.budget.time_limit_s, Console(file=io.StringIO()))
    stopper = BudgetStopper(settings.budget, settings.folder, searcher, progress.deadline)
    began = time.monotonic()
    make_tuner(sweep, searcher, progress, stopper, concurrency(settings, cpus)).fit()
    spent = time.monotonic() - began
    best = ranking(study)[0]
    if best.checkpoint is None:
        raise RuntimeError(f"{settings.study_name}: the best trial has no checkpoint")
    results = {split: evaluate(best.checkpoint, split, EVAL_SEEDS) for split in ("validation", "test")}
    metrics = {title: results[split].metrics[name].value for title, (split, name) in METRICS.items()}
    return {"best": best.params, "searched": best.value, "seconds": spent, **metrics}


def table(found: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """Return a table with one row per sampler, and one per difference to random search, paired by seed."""
    rows = {name: {title: [run[title] for run in runs] for title in METRICS} for name, runs in found.items()}
    for name in [name for name in found if name != "random" and "random" in found]:
        rows[f"{name} - random"] = {
            title: [a - b for a, b in zip(rows[name][title], rows["random"][title], strict=True)] for title in METRICS
        }
    lines = [f"{'':<16}" + "".join(f"{title:>24}" for title in METRICS)]
    lines += [
        f"{name:<16}" + "".join(f"{format_mean(row[title]):>24}" for title in METRICS) for name, row in rows.items()
    ]
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its table; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--trials", type=int, default=16, help="trials of each sweep")
    parser.add_argument("--samplers", nargs="+", default=["random", "tpe", f"tpe{BASELINE}"])
    parser.add_argument("--output", type=Path, help="also write the measurements as JSON here")
    given = parser.parse_args(argv)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in given.samplers}
    with tempfile.TemporaryDirectory(prefix="search-") as folder:
        for seed in range(given.seeds):
            for name in given.samplers:
                sweep = sweep_of(name, seed, given.trials, Path(folder))
                with ray_instance("local", sweep.settings.scaling) as cpus:
                    found[name].append(run(sweep, cpus))
                last = found[name][-1]
                print(
                    f"seed {seed} {name}: " + ", ".join(f"{title} {last[title]:.3f}" for title in METRICS), flush=True
                )
            if given.output:
                given.output.write_text(json.dumps({"trials": given.trials, "runs": found}, indent=2) + "\n")
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
