"""The record of a promotion decision, which is kept in either case, and the tables printed from it."""

import json
import math
import statistics
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from platform.core.console import columns, print_table
from platform.core.provenance import source_of
from platform.promotion.challenger import Challenger
from platform.promotion.latency import Latency
from platform.promotion.power import powers
from platform.promotion.rule import Decision, Rule, to_json
from trainables.core.config import plain
from trainables.core.formatting import format_interval, now, number
from trainables.core.version import VERSION
from trainables.eval.intervals.jackknife import Interval, difference, interval
from trainables.metric_registry import METRIC_SETS, title
from trainables.model_evaluation.result import EvaluationResult
from trainables.model_registry.registry import Published, Registry, RegistryError
from trainables.training.manifest import CODE, PACKAGES, code_sha256, installed
from trainables.training.metric import MetricSet

DIGITS = 4
LATEST = 5  # refusals that are listed


def decision_header(challenger: Challenger, champion: Published | None) -> dict[str, Any]:
    """Return the first part of the record: challenger, champion, time, versions and code."""
    record = challenger.record
    kept = {key: record[key] for key in ("kind", "epoch", "weights_sha256", "data_sha256") if key in record}
    came = {"study": challenger.study, "trial": challenger.trial, "params": dict(challenger.params)}
    return {
        "version": VERSION,
        "time": now(),
        "challenger": {"checkpoint": str(challenger.checkpoint), **kept, **came},
        "champion": None if champion is None else {"id": champion.id, "weights_sha256": champion.weights_sha256},
        "versions": {"python": sys.version.split()[0], **{package: installed(package) for package in PACKAGES}},
        "code_sha256": code_sha256(CODE),
        "source": source_of().facts(),
    }


def refusal_record(reason: str) -> dict[str, Any]:
    """Return the record of a refusal that needed no measurement."""
    return {"decision": "refused", "reason": reason, "figures": {}, "checks": []}


def decision_record(
    decision: Decision, challenger: EvaluationResult, champion: EvaluationResult | None, latency: Latency, rule: Rule
) -> dict[str, Any]:
    """Return the decision with everything it was computed from, so that it can be reproduced."""
    data = {"data_sha256": challenger.data_sha256, "split": challenger.split, "movements": challenger.movements}
    return {
        **to_json(decision),
        "data": {
            **data,
            "groups": list(challenger.users),
            "users": len(challenger.users),
            "effective_users": challenger.effective_users,
            "seeds": list(challenger.seeds),
        },
        "power": _power(challenger, champion, rule),
        "rule": plain(rule),
        "confidence_of_intervals": round(rule.two_sided, 9),  # 2 * 0.95 - 1 is no 0.9 in binary
        "latency_ms_per_movement": {side: list(values) for side, values in vars(latency).items()},
        "judgements": {"challenger": challenger.to_json(), "champion": champion and champion.to_json()},
    }


def _power(challenger: EvaluationResult, champion: EvaluationResult | None, rule: Rule) -> list[dict[str, float]]:
    """Return the power of the test of the headline for some gains; none where there is no test."""
    name = METRIC_SETS[challenger.kind].headline
    sides = [side.metrics.get(name) for side in (challenger, champion) if side is not None]
    estimates = [side for side in sides if side is not None]
    if len(estimates) < 2:
        return []
    apart, users = interval(difference(*estimates)), challenger.effective_users or len(challenger.users)
    if not math.isfinite(apart.se):
        return []
    return [vars(one) for one in powers(apart, 1 - rule.headline_confidence, users)]


def power_lines(record: Mapping[str, Any]) -> list[str]:
    """Return the power that a decision record states, a line for each gain."""
    return [
        f"power at a gain of {one['gain']:g}: {one['alike']:.0%} if every user gains alike, {one['differing']:.0%} if "
        f"gains differ between users (s.d. = the gain); {record['data']['users']} users"
        for one in record["power"]
    ]


def print_decision(console: Console, decision: Decision, latency: Latency, rule: Rule) -> None:
    """Print the metrics of both sides, the latency, and each check."""
    print_table(console, _figures(decision, rule))
    ratio = f", the champion's {_spread(latency.champion)}, ratio {_spread(latency.ratios)}" if latency.ratios else ""
    console.print(f"ms per movement: {_spread(latency.challenger)}{ratio}", highlight=False, soft_wrap=True)
    print_table(console, _checks(decision))


def _figures(decision: Decision, rule: Rule) -> Table:
    heading = f"Metrics with {100 * rule.two_sided:g} % intervals"
    table = columns("~metric", ">challenger", ">champion", ">difference", title=heading)
    for name, figure in decision.figures.items():
        table.add_row(_short(name), *(_interval(side) for side in vars(figure).values()))
    return table


def _checks(decision: Decision) -> Table:
    table = columns("~metric", "~requirement", ">value", "met", title="Checks")
    for check in decision.checks:
        style = None if check.held else "bold red"
        value, held = number(check.value, DIGITS), "yes" if check.held else "NO"
        table.add_row(_short(check.figure), check.law, value, held, style=style)
    return table


def _short(name: str) -> str:
    return name.removeprefix("val/")


def _interval(found: Interval | None) -> str:
    return "-" if found is None else format_interval(found.value, found.low, found.high, DIGITS)


def _spread(values: Sequence[float]) -> str:
    """Return the median with the smallest and the largest value."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def history_table(registry: Registry, metric_set: MetricSet) -> Table:
    """Return all published models in order with their metrics at promotion; a star marks the champion."""
    shown = metric_set.shown[:2]
    titles = ("~", "~entry", "~published", *(f"~{title(name)}" for name in shown), "~from")
    table, champion = columns(*titles, title="Champions"), registry.champion_id()
    for name in registry.history():
        mark = "*" if name == champion else ""
        try:
            decision = registry.entry(name).decision
        except RegistryError as error:
            table.add_row(mark, name, "incomplete", "-", "-", str(error), style="red")
            continue
        values = (_recorded_metric(decision, figure) for figure in shown)
        table.add_row(mark, name, _minute(decision["published"]["time"]), *values, _origin(decision))
    return table


def refusals_table(registry: Registry) -> Table:
    """Return the latest refusals with their reasons."""
    table = columns("~decided", "~challenger", "~reason", title="Latest refusals")
    for file in registry.refusals()[-LATEST:]:
        table.add_row(*_refusal(file))
    return table


def _refusal(file: Path) -> tuple[str, str, str]:
    try:
        decision = json.loads(file.read_text())
        return _minute(decision["time"]), _origin(decision), str(decision["reason"])
    except (AttributeError, OSError, ValueError, KeyError, TypeError):
        return "-", "-", f"{file}: cannot be read"


def _origin(decision: Mapping[str, Any]) -> str:
    came = decision.get("challenger", {})
    return f"trial {came['trial']} of {came['study']}" if came.get("study") else str(came.get("checkpoint", "-"))


def _recorded_metric(decision: Mapping[str, Any], name: str) -> str:
    """Return a metric of a published model at its promotion."""
    found = decision["figures"].get(name, {}).get("challenger")
    return f"{found['value']:.{DIGITS}f}" if found and found["value"] is not None else "-"


def _minute(time: str) -> str:
    return time[:16].replace("T", " ")
