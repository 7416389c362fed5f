"""Fit of strokes to the training movements, and the population of them against the users of a split.

For each form of strokes: seconds of the fit, the ratios of path and speed against what whole pixels allow, on all ticks
and on a held-out fifth of them, the number of strokes, and what of each parameter the condition and the user explain.
Then the samples of each fitted population, and of the minimum-jerk model that is fitted to nothing, are evaluated
against the users of a split, with intervals over users of the differences to that model. `--picture` draws fits.

`python -m benchmarks.physical`
"""

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.core.formatting import format_interval
from trainables.core.seeding import generator
from trainables.data.canonical import Canonical, encode
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.eval.generation.config import HEADLINE_PROBES, MetricConfig
from trainables.eval.indices import Indices
from trainables.eval.intervals.jackknife import JackknifeEstimate, difference, interval, jackknife, mean
from trainables.generation.conditions import conditions_of
from trainables.model_evaluation.metric_rows import CONFIDENCE, metric_row, validator_of
from trainables.physical.api import PhysicalGenerator
from trainables.physical.config import FORM_NAMES, FitConfig, PhysicalConfig
from trainables.physical.fit import extracted, refined
from trainables.physical.fit_plots import plot_fit
from trainables.physical.fit_report import CONDITION, USER, FitReport, fit_report, relative_parameters, variance_shares
from trainables.physical.minimum_jerk import MinimumJerk
from trainables.physical.population import Population
from trainables.physical.state import FittedMovements, State, population_components
from trainables.training import metric_names as names
from trainables.training.metric import SHARE, UNBOUNDED

UNFITTED = "minimum jerk, not fitted"
AUCS = (names.VAL_AUC_EXCESS, *(names.probe_auc(probe) for probe in HEADLINE_PROBES))
BESIDE = (names.VAL_MEMORISED_SHARE, names.VAL_COPIED_SHARE, names.VAL_CONDITION_ERROR)
Sampler = Callable[[Canonical, int], Canonical]


@dataclass(frozen=True)
class FitRow:
    """The fit of one form: seconds of one fit, the figures of the report, and shares of variance with intervals."""

    form: str
    wall_s: float
    cpu_s: float
    figures: dict[str, Any]
    variance: dict[str, Any]


@dataclass(frozen=True)
class EvaluationRow:
    """Samples of one generator: each metric with its interval over users, and its difference to the unfitted model."""

    generator: str
    metrics: dict[str, dict[str, float]]
    difference: dict[str, dict[str, float]]
    beside: dict[str, float]


def fit(form: str, config: PhysicalConfig, splits: DataSplits) -> tuple[FitRow, FitReport, FittedMovements]:
    """Fit the training movements, timed, and report it."""
    fitted = FittedMovements.of(splits["train"], replace(config, fit=replace(config.fit, form=form)))
    iterations = config.epochs * config.fit.iterations
    wall, cpu = time.perf_counter(), time.process_time()
    refined(extracted(fitted.trajectories, fitted.form), fitted.trajectories, fitted.form, iterations)
    spent = time.perf_counter() - wall, time.process_time() - cpu
    report = fit_report(fitted.trajectories, fitted.form, iterations, config.seed)
    kept = report.whole.fitted.nonzero().squeeze(1)
    movements, strokes = fitted.movements.take(kept), report.strokes.take(kept)
    values = relative_parameters(strokes, movements.duration_s.double(), movements.distance_px.double())
    condition, users = movements.measured_condition().double(), movements.group
    variance = variance_intervals(values, condition, users, fitted.form.free)
    return FitRow(form, *spent, report.to_json(), variance), report, fitted


def variance_intervals(
    values: Float[Tensor, "N J"], condition: Float[Tensor, "N D"], users: Sequence[str], names_of: Sequence[str]
) -> dict[str, dict[str, dict[str, float]]]:
    """Return the shares of `variance_shares` with their intervals over users, by parameter and by what explains it."""

    def share(rows: Indices, name: str, by: str) -> float:
        at = torch.from_numpy(rows)
        return variance_shares(values[at], condition[at], [users[row] for row in rows], names_of)[name][by]

    groups = sorted(set(users))
    found = {
        name: {by: jackknife(partial(share, name=name, by=by), users, groups) for by in (CONDITION, USER)}
        for name in names_of
    }
    return {
        name: {by: asdict(interval(one, CONFIDENCE, SHARE)) for by, one in shares.items()}
        for name, shares in found.items()
    }


def sampler(report: FitReport, fitted: FittedMovements, config: PhysicalConfig, splits: DataSplits) -> Sampler:
    """Return the samples of the population of a fit."""
    start = extracted(fitted.trajectories.take(torch.arange(1)), fitted.form)
    state = State(replace(start, strokes=report.strokes))
    population = Population.of(fitted.form, config.population, population_components(state, fitted))
    known = conditions_of(splits["train"])
    model = PhysicalGenerator(population, splits.statistics, config.data.canonical, known)
    return lambda real, seed: model.sample_matching(real, seed=seed)


def evaluation(samplers: dict[str, Sampler], split: str, config: PhysicalConfig, seeds: int) -> list[EvaluationRow]:
    """Evaluate the samples of all generators against the users of a split; the first is what others differ from."""
    splits, form = load_splits(config.data), config.data.canonical
    validator, _ = validator_of(splits[split], splits["train"], form, MetricConfig())
    estimates: dict[str, dict[str, JackknifeEstimate]] = {}
    beside = {}
    for name, sample in samplers.items():
        rows = [metric_row(validator, sample(validator.held_out, seed)) for seed in range(seeds)]
        estimates[name] = {metric: mean([row.estimates[metric] for row in rows]) for metric in AUCS}
        beside[name] = {metric: sum(row.values[metric] for row in rows) / seeds for metric in BESIDE}
    first = next(iter(estimates.values()))
    return [
        EvaluationRow(
            name,
            {metric: asdict(interval(one, CONFIDENCE, UNBOUNDED)) for metric, one in found.items()},
            {
                metric: asdict(interval(difference(one, first[metric]), CONFIDENCE, UNBOUNDED))
                for metric, one in found.items()
                if found is not first
            },
            beside[name],
        )
        for name, found in estimates.items()
    ]


def unfitted(config: PhysicalConfig) -> Sampler:
    """Return the samples of the minimum-jerk model with its published parameters."""
    return lambda real, seed: encode(MinimumJerk()(real, generator(seed, "unfitted")), config.data.canonical)


def table(fits: Sequence[FitRow], rows: Sequence[EvaluationRow]) -> str:
    """Return both tables as text."""
    lines = []
    for row in fits:
        figures = row.figures
        lines.append(
            f"{row.form}: {figures['movements']} movements in {row.wall_s:.0f} s ({row.cpu_s:.0f} s of CPU), "
            f"{figures['strokes']['q0.5']:g} strokes, {figures['not_fitted']} not fitted"
        )
        for ticks in ("all_ticks", "fitted_ticks", "held_out_ticks"):
            found = figures[ticks]
            path, speed, bound = (found[name]["q0.5"] for name in ("path", "speed", "speed_bound"))
            shares = f"above 15 dB {found['speed_above_15_db']:.0%}, above 25 dB {found['speed_above_25_db']:.0%}"
            lines.append(f"  {ticks:<15} path {path:.1f} dB, speed {speed:.1f} dB of {bound:.1f} dB; {shares}")
        lines.append(f"  {'share of variance':<20}{'condition':>22}{'user':>22}")
        lines += [
            f"  {name:<20}{_share(one[CONDITION]):>22}{_share(one[USER]):>22}" for name, one in row.variance.items()
        ]
    for evaluated in rows:
        lines.append(evaluated.generator)
        for metric, found in evaluated.metrics.items():
            apart = evaluated.difference.get(metric)
            text = f", difference {format_interval(apart['value'], apart['low'], apart['high'], 3)}" if apart else ""
            lines.append(f"  {metric:<24}{format_interval(found['value'], found['low'], found['high'], 3)}{text}")
        lines.append("  " + ", ".join(f"{metric} {value:.3f}" for metric, value in evaluated.beside.items()))
    return "\n".join(lines)


def _share(found: dict[str, float]) -> str:
    return format_interval(found["value"], found["low"], found["high"], 2)


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--split", default="test", help="whose users the samples are evaluated against")
    parser.add_argument("--seeds", type=int, default=3, help="samples of each generator")
    parser.add_argument("--movements", type=int, default=FitConfig.movements, help="training movements at most")
    parser.add_argument("--epochs", type=int, default=PhysicalConfig.epochs, help="of 10 steps of the optimisation")
    parser.add_argument("--picture", type=Path, help="draw fits of the first form here")
    parser.add_argument("--output", type=Path, help="also write the rows as JSON here")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run the benchmark and print its tables; return the exit code."""
    given = arguments(argv)
    config = PhysicalConfig(epochs=given.epochs, fit=FitConfig(movements=given.movements))
    splits, fits, samplers = load_splits(config.data), [], {UNFITTED: unfitted(config)}
    for form in FORM_NAMES:
        row, report, fitted = fit(form, config, splits)
        fits.append(row)
        samplers[f"{form}, fitted"] = sampler(report, fitted, config, splits)
        if given.picture and form == FORM_NAMES[0]:
            plot_fit(fitted.trajectories, report.strokes, fitted.form, report.whole, given.picture)
    rows = evaluation(samplers, given.split, config, given.seeds)
    print(table(fits, rows))
    if given.output:
        settings = {name: getattr(given, name) for name in ("split", "seeds", "movements", "epochs")}
        parts = {"fit": [asdict(row) for row in fits], "evaluation": [asdict(row) for row in rows]}
        given.output.write_text(json.dumps({"settings": settings, "torch": torch.__version__} | parts, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
