"""The few figures of a report that are read first, as a table for a terminal."""

from collections.abc import Iterator

from rich.table import Table

from trainables.eval.generation.report import PAIRS, Numbers


def key_metrics(report: Numbers) -> Table:
    """The figures that matter most as a table for a terminal, each beside its reference."""
    table = Table("", "measured", "reference", title="Real against generated", title_justify="left", box=None)
    for row in _key_rows(report["metrics"], report["checks"]):
        table.add_row(*row)
    for side in ("real", "fake"):
        account = report[side]
        dropped = "".join(f"; {count} {reason}" for reason, count in account["dropped"].items())
        table.add_row(f"{side} movements", str(account["judged"]), f"of {account['read']} read{dropped}")
    return table


def _key_rows(metrics: Numbers, checks: Numbers) -> Iterator[tuple[str, str, str]]:
    """Name, value and reference."""
    for probe, test in metrics.get("c2st", {}).items():
        if probe != "folds":
            null = test["null"]
            value = f"{test['accuracy']:.3f} ± {test['accuracy_std']:.3f}, AUC {test['auc']:.3f}"
            yield f"C2ST, {probe}", value, f"real halves {null['low']:.3f} to {null['high']:.3f}"
    if mmd := metrics.get("mmd"):
        yield "MMD²", f"{mmd['mmd']:.4f}", f"p = {mmd['p_value']:.3f} over {mmd['exchanged']}"
    if found := metrics.get("prd"):
        null = found["null"]
        for a, b in PAIRS:
            reference = f"real halves {null[a]:.3f}, {null[b]:.3f}"
            yield f"{a}, {b}".replace("prd_", "PRD "), f"{found[a]:.3f}, {found[b]:.3f}", reference
    if features := metrics.get("kinematics"):
        worst = max((name for name in features if name != "ks_5_percent"), key=lambda name: features[name]["ks"])
        chance = f"{worst}; chance gives up to {features['ks_5_percent']:.3f}"
        yield "largest KS distance", f"{features[worst]['ks']:.3f}", chance
    if spectra := metrics.get("spectra"):
        tail = spectra["tail"]
        shares = f"{100 * tail['fake_share']:.2f} % of the power"
        yield f"tail over {tail['from_hz']:g} Hz", shares, f"{100 * tail['real_share']:.2f} %"
    near = checks["memorisation"]
    yield "distance to the training split", f"{near['ratio']:.2f} of other people's", "1 (copies: 0)"
    asked = checks["conditions"]
    error = asked.get("mean_median_absolute_sd")
    yield "condition error", "-" if error is None else f"{error:.2f} s.d.", asked.get("not_measured", "0")
