"""Table of the two-sample tests by source, with their mean over sources."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from trainables.core.formatting import format_interval
from trainables.data.splits.parts import Kept
from trainables.detector.evaluation.tables import NONE, Table
from trainables.eval.generation.config import HEADLINE_PROBES
from trainables.eval.generation.report import Numbers
from trainables.eval.intervals.jackknife import JackknifeEstimate, interval
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.metric_names import VAL_AUC_EXCESS, probe_auc, probe_floor

MEAN = "mean over sources"
COLUMNS = ("rows", "users", "effective users", "kept", *HEADLINE_PROBES, "AUC excess [95 %]")


def with_kept(probes: Numbers, kept: Mapping[str, Kept]) -> Numbers:
    """Return the tests of a report with the share of each source's recorded movements that is usable."""
    if "by_source" not in probes:
        return probes
    found = probes["by_source"].items()
    return {**probes, "by_source": {source: {**one, "kept": kept[source].share} for source, one in found}}


def numbers_of(evaluation: EvaluationResult) -> Numbers:
    """Return the tests of a re-evaluation as a report has them, of each source and their mean; none of one source."""
    if not evaluation.sources:
        return {}
    sources = {
        name: _tests(of.metrics, of.movements, len(of.users), of.effective_users) | {"kept": of.kept}
        for name, of in evaluation.sources.items()
    }
    effective = evaluation.effective_users
    assert effective is not None, "results with sources have effective users"
    mean = _tests(evaluation.metrics, evaluation.movements, len(evaluation.users), effective)
    return {**mean, "by_source": sources}


def _tests(metrics: Mapping[str, JackknifeEstimate], movements: int, users: int, effective: float) -> Numbers:
    """Return the tests of one source, or their mean, as a report has them."""
    numbers: Numbers = {"pairs": movements, "users": users, "effective_users": effective}
    for name in HEADLINE_PROBES:
        auc, floor = metrics.get(probe_auc(name)), metrics.get(probe_floor(name))
        if auc is not None and floor is not None:
            numbers[name] = {"auc": asdict(interval(auc)), "floor": floor.value}
    return {**numbers, "excess": asdict(interval(metrics[VAL_AUC_EXCESS]))}


def source_tables(probes: Numbers) -> tuple[Table, ...]:
    """Return the table of the tests of each source and their mean; none where there is one source.

    Args:
        probes: Tests of a report, `probes` of its metrics.
    """
    if "by_source" not in probes:
        return ()
    rows = [(source, *_cells(one)) for source, one in (*probes["by_source"].items(), (MEAN, probes))]
    title = "By source: AUC of each probe (and of other users of the source), and the largest excess over it"
    return (Table(title, ("source", *COLUMNS), tuple(rows)),)


def _cells(tests: Numbers) -> Iterator[str]:
    """Yield the cells of one row."""
    yield from (str(tests["pairs"]), str(tests["users"]), f"{tests['effective_users']:.1f}")
    yield f"{tests['kept']:.0%}" if "kept" in tests else NONE
    for name in HEADLINE_PROBES:
        if name not in tests:
            yield NONE
            continue
        floor = f"{tests[name]['floor']:.3f}" if "floor" in tests[name] else NONE
        yield f"{tests[name]['auc']['value']:.3f} ({floor})"
    excess = tests.get("excess")
    yield NONE if excess is None else format_interval(excess["value"], excess["low"], excess["high"])
