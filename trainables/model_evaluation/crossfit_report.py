"""Figures of a crossfit: means over folds with intervals over all users, as tables and as JSON.

The probes are fitted within each fold, and scores of different fits are never pooled: a figure is the mean over folds,
with the interval of a mean over strata (`trainables.eval.intervals.jackknife.over_strata`). It is over the users that
are evaluated, the K models being as they are: what the models owe to the training users, which most of them share, and
to the seed, is not part of it; the rows of the folds show how much they differ.

References: Cross-validation: what does it estimate and how well does it do it? (Bates, Hastie & Tibshirani, 2023),
arXiv:2104.00673, on what such an interval leaves out.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version

from trainables.core.config import plain
from trainables.core.formatting import number
from trainables.data.users import effective_users, largest_share
from trainables.detector.evaluation.tables import Table
from trainables.eval.generation.config import HEADLINE_PROBES
from trainables.eval.generation.metrics import GENERATION
from trainables.eval.generation.report import Numbers
from trainables.eval.intervals.jackknife import Interval, JackknifeEstimate, difference, over_strata
from trainables.model_evaluation.config import EvalConfig
from trainables.model_evaluation.crossfit_plan import Crossfit
from trainables.model_evaluation.evaluate_generator import PACKAGES
from trainables.model_evaluation.metric_rows import CONFIDENCE, shown_interval
from trainables.model_evaluation.result import EvaluationResult
from trainables.training import metric_names as names

EXCESS = "excess"  # prefix of the excess of one probe, beside the headline, which is the largest of each fold


def estimates(result: EvaluationResult) -> dict[str, JackknifeEstimate]:
    """Return the metrics of a fold, and for each probe the excess of its AUC over its floor."""
    found = dict(result.metrics)
    for probe in HEADLINE_PROBES:
        auc, floor = (found.get(name(probe)) for name in (names.probe_auc, names.probe_floor))
        if auc and floor:
            found[f"{EXCESS}/{probe}"] = difference(auc, floor)
    return found


def means(results: Sequence[EvaluationResult]) -> dict[str, Interval]:
    """Return the mean over folds of each metric that every fold has, with its interval over all users."""
    by_fold = [estimates(result) for result in results]
    common = [name for name in by_fold[0] if all(name in found for found in by_fold)]
    return {name: over_strata([found[name] for found in by_fold], CONFIDENCE, _range(name)) for name in common}


def _range(name: str) -> tuple[float, float]:
    return GENERATION[names.VAL_AUC_EXCESS if name.startswith(EXCESS) else name].range


def report(config: EvalConfig, crossfit: Crossfit, results: Sequence[EvaluationResult]) -> Numbers:
    """Return the numbers of the report."""
    owners, record = crossfit.owners, crossfit.record
    folds = [
        {
            "fold": str(run.fold),
            "users": list(run.users),
            "movements": len(run.owners),
            "effective_users": effective_users(run.owners),
            "checkpoint_sha256": result.checkpoint_sha256,
            "data_sha256": run.data_sha256,
            "metrics": {name: asdict(over_strata([one], CONFIDENCE, _range(name))) for name, one in found.items()},
        }
        for run, result, found in zip(crossfit.runs, results, map(estimates, results), strict=True)
    ]
    holdout = crossfit.splits["holdout"]
    return {
        "checkpoint": config.ckpt,
        **{key: record[key] for key in ("kind", "weights_sha256", "data_sha256", "epoch") if key in record},
        "users": len(set(owners)),
        "effective_users": effective_users(owners),
        "largest_share": largest_share(owners),
        "movements": len(owners),
        "mean": {name: asdict(found) for name, found in means(results).items()},
        "folds": folds,
        "left_out": {"split": "holdout", "users": len(set(holdout.group))},
        "confidence": CONFIDENCE,
        "trainable": record["config"],
        "config": plain(config),
        "versions": {"python": sys.version.split()[0], **{package: version(package) for package in PACKAGES}},
    }


def tables(crossfit: Crossfit, results: Sequence[EvaluationResult]) -> tuple[Table, ...]:
    """Return the table of the folds with their mean, and that of the mean excess of each probe."""
    owners, mean = crossfit.owners, means(results)
    probes = [probe for probe in HEADLINE_PROBES if f"{EXCESS}/{probe}" in mean]
    headline = GENERATION[names.VAL_AUC_EXCESS].column
    by_probe = (f"{part}, {probe}" for probe in probes for part in ("AUC", "floor"))
    columns = ("fold", "users", "effective", "movements", headline, *by_probe)

    def row(name: str, of: Sequence[str], found: Mapping[str, Interval]) -> tuple[str, ...]:
        values = [key(probe) for probe in probes for key in (names.probe_auc, names.probe_floor)]
        counts = (str(len(set(of))), f"{effective_users(of):.1f}", str(len(of)))
        excess = _shown(names.VAL_AUC_EXCESS, found)
        return (name, *counts, excess, *(number(found[value].value if value in found else None) for value in values))

    rows = [row(str(run.fold), run.owners, means([result])) for run, result in zip(crossfit.runs, results, strict=True)]
    title = f"{len(rows)} models, each evaluated on its fold, {100 * CONFIDENCE:g} % intervals over users"
    of_probes = f"Mean excess of each probe's AUC over its floor, {len(set(owners))} users"
    excess = tuple((probe, _shown(f"{EXCESS}/{probe}", mean)) for probe in probes)
    return (
        Table(title, columns, (*rows, row("mean", owners, mean))),
        Table(of_probes, ("probe", "excess"), excess),
    )


def _shown(name: str, found: Mapping[str, Interval]) -> str:
    """Return a metric with its interval; a dash where most samples of a fold are no movements, so that it has none."""
    return shown_interval(names.VAL_AUC_EXCESS, found[name]) if name in found else number(None)
