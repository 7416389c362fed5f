"""Tables of an evaluation: written once, printed in a terminal and in Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rich import table as rich_table
from rich.cells import cell_len
from rich.console import Console, Group
from rich.text import Text

from trainables.core.formatting import format_interval
from trainables.core.page import page
from trainables.detector.evaluation.per_source_thresholds import SourceThreshold
from trainables.detector.evaluation.report import BotRow, DetectorEvaluation, UserRow
from trainables.detector.evaluation.sessions import SessionRow
from trainables.eval.detection.calibration import Reliability
from trainables.eval.intervals.cluster_bootstrap import Estimate, Proportion

SHOWN_USERS = 10  # of all; the JSON file has the others
NONE = "-"


@dataclass(frozen=True)
class Table:
    """Table of text cells; the first column is aligned left, all others right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def terminal(self, width: int) -> Group:
        """Return the table for a terminal of `width` columns: the columns that fit, and the names of the others."""
        gap = 2 if len(self._widths(width, 2)) == len(self.columns) else 1
        widths = self._widths(width, gap)
        shown = len(widths)
        grid = rich_table.Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
        for number, (name, columns) in enumerate(zip(self.columns, widths, strict=False)):
            grid.add_column(Text(name), justify="right" if number else "left", overflow="fold", width=columns)
        for row in self.rows:
            grid.add_row(*map(Text, row[:shown]))
        hidden = f"too wide for this terminal: {', '.join(self.columns[shown:])}"
        more = [Text(hidden, style="dim")] if shown < len(self.columns) else []
        return Group(Text(self.title, style="bold"), grid, *more)

    def _widths(self, width: int, gap: int) -> list[int]:
        """Return the widths of the columns that fit, with `gap` between two; a heading wraps if it has no room."""
        least = [self._minimum(number) for number in range(len(self.columns))]
        ends = accumulate((wide + gap for wide in least), initial=-gap)
        shown = max(sum(end <= width for end in ends) - 1, 1)
        room = width - sum(least[:shown]) - gap * (shown - 1)
        widths = []
        for wide, name in zip(least[:shown], self.columns, strict=False):
            more = max(min(cell_len(name) - wide, room), 0)
            widths.append(wide + more)
            room -= more
        return widths

    def _minimum(self, number: int) -> int:
        words = self.columns[number].split()
        return max(map(cell_len, [*words, *(row[number] for row in self.rows)]), default=0)

    def markdown(self) -> str:
        """Return the table in Markdown, with the title as a paragraph in bold."""
        ruler = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [_line(row) for row in (self.columns, ruler, *self.rows)]
        return f"**{self.title}**\n\n" + "\n".join(lines) + "\n"


def show(console: Console, tables: Iterable[Table]) -> None:
    """Print tables with an empty line after each: in a terminal the columns that fit, to a file or a pipe all."""
    shown = page(console)
    for table in tables:
        shown.print(table.terminal(shown.width), Text())


def tables(evaluation: DetectorEvaluation) -> tuple[Table, ...]:
    """Return all tables of an evaluation, in reading order."""
    return (
        bots_table("Bots by style, lowest TPR first", evaluation.styles, evaluation),
        bots_table("Bots by family", evaluation.families, evaluation),
        users_table("Users by source, highest FPR first", evaluation.sources, evaluation),
        *([source_thresholds_table(evaluation)] if evaluation.source_thresholds else []),
        users_table(_users_title(evaluation), evaluation.users[:SHOWN_USERS], evaluation),
        thresholds_table(evaluation),
        calibration_table(evaluation),
        sessions_table(evaluation),
    )


def bots_table(title: str, rows: Iterable[BotRow], evaluation: DetectorEvaluation) -> Table:
    """Return a table with a row per style or family."""
    rates = [f"TPR at {percent(t.target_fpr)} FPR" for t in evaluation.thresholds]
    columns = ("bots", "in training", *rates, "ROC-AUC", "n", "family", "PR-AUC", "F1", "EER")
    lines = [
        (
            *(row.name, row.training, *map(rate_text, row.detected), interval(row.metrics.auc)),
            *(str(row.metrics.bots), row.family),
            *map(interval, (row.metrics.pr_auc, row.metrics.f1, row.metrics.eer)),
        )
        for row in rows
    ]
    return Table(f"{title} ({percent(evaluation.level)} intervals)", columns, tuple(lines))


def users_table(title: str, rows: Iterable[UserRow], evaluation: DetectorEvaluation) -> Table:
    """Return a table with a row per source or user: the number and the rate of flagged movements."""
    rates = [f"FPR at a target of {percent(t.target_fpr)}" for t in evaluation.thresholds]
    lines = [
        (row.name, row.source, str(row.flagged[0].users), str(row.flagged[0].n), *map(counted, row.flagged))
        for row in rows
    ]
    return Table(title, ("user", "source", "users", "movements", *rates), tuple(lines))


def source_thresholds_table(evaluation: DetectorEvaluation) -> Table:
    """Return a table with a row per source of users other than that of the thresholds."""
    rate = percent(evaluation.thresholds[0].target_fpr)
    title = f"Thresholds per source at {rate} FPR, fitted on half of its users, tested on the other half"
    columns = ("source", "threshold", "FPR of the other half", "TPR", "default-threshold TPR", "fitted on", "users")
    return Table(title, columns, tuple(_source_threshold(row) for row in evaluation.source_thresholds))


def thresholds_table(evaluation: DetectorEvaluation) -> Table:
    """Return a table of the thresholds, their false positives on the users of the fit, and their expected FPR."""
    lines = [
        (
            percent(t.target_fpr),
            f"{t.value:.6f}",
            f"{t.flagged} of {t.n}",
            percent(t.expected_fpr),
            "yes" if t.is_resolved else "no: too few movements",
        )
        for t in evaluation.thresholds
    ]
    columns = ("target FPR", "threshold", "FP at threshold", "expected FPR on new users", "enough data")
    return Table("Thresholds, fitted on validation users", columns, tuple(lines))


def calibration_table(evaluation: DetectorEvaluation) -> Table:
    """Return a table of the calibration errors before and after the temperature."""
    calibration = evaluation.calibration
    bound = " (at its bound: no maximum)" if calibration.temperature.is_at_bound else ""
    title = f"Calibration on held-out movements ({percent(calibration.prior)} bots)"
    return Table(
        title,
        ("", "temperature", "ECE", "ECE if calibrated", "Brier score"),
        (
            _calibration("uncalibrated", 1.0, calibration.before),
            _calibration("with temperature" + bound, calibration.temperature.value, calibration.after),
        ),
    )


def sessions_table(evaluation: DetectorEvaluation) -> Table:
    """Return a table with a row per number of fused movements."""
    sessions = evaluation.sessions
    correlations = f"users {_optional(sessions.human_correlation)}, bots {_optional(sessions.bots_correlation)}"
    title = f"Sessions: n movements fused; correlation within a session: {correlations}"
    lines = [_session(row) for row in sessions.rows]
    columns = ("bots", "n", "ROC-AUC", "ROC-AUC if independent", f"TPR at {percent(sessions.fpr)} FPR", "FPR")
    return Table(title, columns, tuple(lines))


def interval(metric: Estimate) -> str:
    """Return `0.912 [0.880, 0.940]`."""
    return format_interval(metric.value, metric.low, metric.high)


def rate_text(rate: Proportion) -> str:
    """Return `0.71 [0.60, 0.80]`."""
    return format_interval(rate.value, rate.low, rate.high, 2)


def percent_text(rate: Proportion) -> str:
    """Return `1.2 [0.4, 2.1] %`."""
    return f"{format_interval(100 * rate.value, 100 * rate.low, 100 * rate.high, 1)} %"


def counted(rate: Proportion) -> str:
    """Return `3/260 = 1.2 [0.4, 2.1] %`."""
    return f"{rate.hits}/{rate.n} = {percent_text(rate)}"


def percent(value: float) -> str:
    """Return `1 %`, `0.1 %`, `1.19 %`."""
    return f"{100 * value:.3g} %"


def _users_title(evaluation: DetectorEvaluation) -> str:
    total = len(evaluation.users)
    return "Users, highest FPR first" + (f" ({SHOWN_USERS} of {total})" if total > SHOWN_USERS else "")


def _source_threshold(row: SourceThreshold) -> tuple[str, ...]:
    if row.threshold is None or row.flagged is None or row.detected is None or row.detected_at_default is None:
        return (row.source, "none: one user", NONE, NONE, NONE, NONE, str(row.users))
    rates = (rate_text(row.detected), rate_text(row.detected_at_default))
    fitted_on = f"{row.threshold.n} of {row.users - row.flagged.users}"
    return (row.source, f"{row.threshold.value:.6f}", counted(row.flagged), *rates, fitted_on, str(row.users))


def _calibration(name: str, temperature: float, table: Reliability) -> tuple[str, ...]:
    return (name, f"{temperature:.3f}", *(f"{v:.4f}" for v in (table.ece, table.ece_if_calibrated, table.brier)))


def _session(row: SessionRow) -> tuple[str, ...]:
    tpr = NONE if row.detected is None else rate_text(row.detected)
    fpr = NONE if row.flagged is None else counted(row.flagged)
    return (row.bots, str(row.n), interval(row.auc), f"{row.auc_if_independent:.3f}", tpr, fpr)


def _optional(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
