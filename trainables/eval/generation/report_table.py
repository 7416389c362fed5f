"""Key metrics of a report, as a table for a terminal."""

from collections.abc import Iterator, Mapping

from rich.table import Table

from trainables.core.formatting import format_interval
from trainables.eval.generation.config import HEADLINE_PROBES, ONE_USER
from trainables.eval.generation.report import PAIRS, Numbers


def key_metrics(report: Numbers) -> Table:
    """Return the key metrics as a table for a terminal, each beside its reference."""
    table = Table(
        "", "measured", "reference", title="Real against generated", title_justify="left", box=None, pad_edge=False
    )
    selection = report["evaluated"].get("selection", {})
    for row in _key_rows(report["metrics"], report["checks"], selection.get("probes", {})):
        table.add_row(*row)
    if selection:
        table.add_row(*selection_row(selection))
    for side in ("real", "fake"):
        account = report[side]
        dropped = "".join(f"; {count} {reason}" for reason, count in account["dropped"].items())
        table.add_row(f"{side} movements", str(account["evaluated"]), f"of {account['read']} read{dropped}")
    return table


def selection_row(selection: Numbers) -> tuple[str, str, str]:
    """Return the row of a selection among candidates: effective ones of all, and network calls per movement."""
    effective, calls = selection["effective_candidates"], selection["calls_per_movement"]
    value = f"{effective:.1f} effective of {selection['candidates']}"
    return "selection among candidates", value, f"{calls} network calls per movement"


def _key_rows(metrics: Numbers, checks: Numbers, seen: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield name, value and reference of each row.

    Args:
        seen: Name of a probe -> whether a selector of candidates was fitted to its columns; empty without a selection.
    """
    if probes := metrics.get("probes"):
        yield from _probe_rows(probes, seen)
    if detector := metrics.get("detector"):
        yield "AUC, detector", _interval(detector["auc"]), _with_state("other users 0.5", seen.get("detector"))
    for probe, test in metrics.get("c2st", {}).items():
        if probe != "folds":
            null = test["null"]
            value = f"{test['accuracy']:.3f} ± {test['accuracy_std']:.3f}, AUC {test['auc']:.3f}"
            yield f"C2ST, {probe}", value, f"real halves [{null['low']:.3f}, {null['high']:.3f}]"
    if mmd := metrics.get("mmd"):
        yield "MMD²", f"{mmd['mmd']:.4f}", f"p = {mmd['p_value']:.3f} over {mmd['permuted']}"
    if prd := metrics.get("prd"):
        null = prd["null"]
        for a, b in PAIRS:
            reference = f"real halves {null[a]:.3f}, {null[b]:.3f}"
            yield f"{a}, {b}".replace("prd_", "PRD "), f"{prd[a]:.3f}, {prd[b]:.3f}", reference
    if features := metrics.get("kinematics"):
        worst = max((name for name in features if name != "ks_5_percent"), key=lambda name: features[name]["ks"])
        chance = f"chance: up to {features['ks_5_percent']:.3f}"
        yield "largest KS distance", f"{features[worst]['ks']:.3f}, {worst}", chance
    if spectra := metrics.get("spectra"):
        tail = spectra["tail"]
        shares = f"{100 * tail['fake_share']:.2f} % of the power"
        yield f"tail over {tail['from_hz']:g} Hz", shares, f"{100 * tail['real_share']:.2f} %"
    near = checks["memorisation"]
    yield "distance to training split", f"{near['ratio']:.2f} of held-out users'", "1 (copies: 0)"
    conditions = checks["conditions"]
    error = conditions.get("mean_median_absolute_sd")
    yield "condition error", "-" if error is None else f"{error:.2f} s.d.", conditions.get("not_measured", "0")


def _with_state(reference: str, state: str | None) -> str:
    """Return a reference with whether the selector has seen the columns of the probe."""
    return f"{reference}; by the selector {state}" if state else reference


def _probe_rows(probes: Numbers, seen: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Yield the headline, what it rests on, and each probe beside its floor."""
    if "excess" in probes:
        band = probes["no_difference"]
        yield "excess of the AUC", _interval(probes["excess"]), f"no difference [{band['low']:.3f}, {band['high']:.3f}]"
    for name in HEADLINE_PROBES:
        one = probes[name]
        value = f"{_interval(one['auc'])}, accuracy {one['accuracy']:.3f}"
        reference = f"other users {one['floor']:.3f}" if "floor" in one else "not measured"
        yield f"AUC, {name}", value, _with_state(reference, seen.get(name))
    share = f"; one user has {100 * probes['largest_share']:.0f} %" if probes["largest_share"] > ONE_USER else ""
    users = f"{probes['users']} users, {probes['effective_users']:.1f} effective; folds by {probes['folds_by']}"
    yield "  they rest on", f"{probes['pairs']} pairs by {probes['by']}", users + share


def _interval(found: Numbers) -> str:
    return format_interval(found["value"], found["low"], found["high"])
