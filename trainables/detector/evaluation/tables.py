"""Tables of a judgement, written once and drawn twice: for a terminal and in Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

from rich.cells import cell_len
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from trainables.detector.evaluation.per_source_thresholds import OwnThreshold
from trainables.detector.evaluation.report import BotRow, DetectorJudgement, PeopleRow
from trainables.detector.evaluation.sessions import SessionRow
from trainables.eval.detection.calibration import Reliability
from trainables.eval.intervals.cluster_bootstrap import Estimate, Share

SHOWN_PEOPLE = 10  # of all; the rest is in the JSON
NONE = "-"
WIDE = 300  # columns of a line that goes into a file or a pipe


@dataclass(frozen=True)
class Sheet:
    """A table as text; the first column stands to the left, all others to the right."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def terminal(self, width: int) -> Group:
        """For a terminal of `width` columns, without lines: the first columns that fit, and the names of the others."""
        gap = 2 if len(self._widths(width, 2)) == len(self.columns) else 1
        widths = self._widths(width, gap)
        shown = len(widths)
        drawn = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0))
        for number, (name, columns) in enumerate(zip(self.columns, widths, strict=False)):
            drawn.add_column(Text(name), justify="right" if number else "left", overflow="fold", width=columns)
        for row in self.rows:
            drawn.add_row(*map(Text, row[:shown]))
        left_out = f"too wide for this terminal: {', '.join(self.columns[shown:])}"
        more = [Text(left_out, style="dim")] if shown < len(self.columns) else []
        return Group(Text(self.title, style="bold"), drawn, *more)

    def _widths(self, width: int, gap: int) -> list[int]:
        """Of the columns that stand side by side, with `gap` between two; a head is wrapped where it has no room."""
        least = [self._wide(number) for number in range(len(self.columns))]
        ends = accumulate((wide + gap for wide in least), initial=-gap)
        shown = max(sum(end <= width for end in ends) - 1, 1)
        room = width - sum(least[:shown]) - gap * (shown - 1)
        widths = []
        for wide, name in zip(least[:shown], self.columns, strict=False):
            more = max(min(cell_len(name) - wide, room), 0)
            widths.append(wide + more)
            room -= more
        return widths

    def _wide(self, number: int) -> int:
        words = self.columns[number].split()
        return max(map(cell_len, [*words, *(row[number] for row in self.rows)]), default=0)

    def markdown(self) -> str:
        """With the title as a paragraph in bold."""
        ruler = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [_line(row) for row in (self.columns, ruler, *self.rows)]
        return f"**{self.title}**\n\n" + "\n".join(lines) + "\n"


def show(console: Console, tables: Iterable[Sheet]) -> None:
    """Print tables with an empty line after each: in a terminal what fits, into a file or a pipe all of it."""
    page = console if console.is_terminal else Console(file=console.file, width=WIDE)
    for sheet in tables:
        page.print(sheet.terminal(page.width), Text())


def sheets(judgement: DetectorJudgement) -> tuple[Sheet, ...]:
    """Everything that is read of a judgement, in the order in which it is read."""
    return (
        bots_sheet("Bots by style, fewest caught first", judgement.styles, judgement),
        bots_sheet("Bots by family", judgement.families, judgement),
        people_sheet("People by source, most accused first", judgement.sources, judgement),
        *([own_thresholds_sheet(judgement)] if judgement.own_thresholds else []),
        people_sheet(_people_title(judgement), judgement.people[:SHOWN_PEOPLE], judgement),
        thresholds_sheet(judgement),
        calibration_sheet(judgement),
        sessions_sheet(judgement),
    )


def bots_sheet(title: str, rows: Iterable[BotRow], judgement: DetectorJudgement) -> Sheet:
    """A row per style or family."""
    caught = [f"TPR at {percent(t.target_fpr)} FPR" for t in judgement.thresholds]
    columns = ("bots", "met as", *caught, "ROC-AUC", "n", "family", "PR-AUC", "F1", "EER")
    lines = [
        (
            *(row.name, row.training, *map(share_text, row.caught), interval(row.figures.auc)),
            *(str(row.figures.bots), row.family),
            *map(interval, (row.figures.pr_auc, row.figures.f1, row.figures.eer)),
        )
        for row in rows
    ]
    return Sheet(f"{title} ({percent(judgement.level)} intervals)", columns, tuple(lines))


def people_sheet(title: str, rows: Iterable[PeopleRow], judgement: DetectorJudgement) -> Sheet:
    """A row per source or person: how many are accused of how many."""
    accused = [f"FPR, asked for {percent(t.target_fpr)}" for t in judgement.thresholds]
    lines = [
        (row.name, row.source, str(row.accused[0].groups), str(row.accused[0].n), *map(counted, row.accused))
        for row in rows
    ]
    return Sheet(title, ("who", "source", "people", "movements", *accused), tuple(lines))


def own_thresholds_sheet(judgement: DetectorJudgement) -> Sheet:
    """A row per source of people that the thresholds are not from."""
    rate = percent(judgement.thresholds[0].target_fpr)
    title = f"Thresholds of a source's own for {rate} FPR, fixed on half of its people, measured on the other half"
    columns = ("source", "threshold", "FPR of the other half", "bots caught", "usually", "fixed on", "people")
    return Sheet(title, columns, tuple(_own_threshold(row) for row in judgement.own_thresholds))


def thresholds_sheet(judgement: DetectorJudgement) -> Sheet:
    """What the thresholds were fixed on, and what may be expected of them."""
    lines = [
        (
            percent(t.target_fpr),
            f"{t.value:.6f}",
            f"{t.accused} of {t.people}",
            percent(t.expected_fpr),
            "yes" if t.is_resolved else "no: too few people",
        )
        for t in judgement.thresholds
    ]
    columns = ("FPR asked for", "threshold", "accused there", "expected of new people", "resolved")
    return Sheet("Thresholds, fixed on validation people", columns, tuple(lines))


def calibration_sheet(judgement: DetectorJudgement) -> Sheet:
    """Errors of the probabilities without and with the temperature."""
    found = judgement.calibration
    bound = " (at its bound: none is best)" if found.temperature.is_at_bound else ""
    title = f"Calibration on held-out movements ({percent(found.prior)} bots)"
    return Sheet(
        title,
        ("", "temperature", "ECE", "ECE if calibrated", "Brier score"),
        (
            _calibration("as it is", 1.0, found.before),
            _calibration("with temperature" + bound, found.temperature.value, found.after),
        ),
    )


def sessions_sheet(judgement: DetectorJudgement) -> Sheet:
    """A row per number of movements that are fused."""
    found = judgement.sessions
    alike = (f"{kind} {_optional(rho)}" for kind, rho in _correlations(judgement))
    title = f"Sessions: n movements fused; correlation within a session: {', '.join(alike)}"
    lines = [_session(row) for row in found.rows]
    columns = ("bots", "n", "ROC-AUC", "if independent", f"TPR at {percent(found.fpr)} FPR", "FPR")
    return Sheet(title, columns, tuple(lines))


def interval(figure: Estimate) -> str:
    """`0.912 (0.880-0.940)`."""
    return f"{figure.value:.3f} ({figure.low:.3f}-{figure.high:.3f})"


def share_text(figure: Share) -> str:
    """`0.71 (0.60-0.80)`."""
    return f"{figure.value:.2f} ({figure.low:.2f}-{figure.high:.2f})"


def counted(figure: Share) -> str:
    """`3/260 = 1.2 % (0.4-2.1)`."""
    low, high = 100 * figure.low, 100 * figure.high
    return f"{figure.hits}/{figure.n} = {percent(figure.value)} ({low:.1f}-{high:.1f})"


def percent(value: float) -> str:
    """`1 %`, `0.1 %`, `1.19 %`."""
    return f"{100 * value:.3g} %"


def _people_title(judgement: DetectorJudgement) -> str:
    total = len(judgement.people)
    return "People, most accused first" + (f" ({SHOWN_PEOPLE} of {total})" if total > SHOWN_PEOPLE else "")


def _own_threshold(row: OwnThreshold) -> tuple[str, ...]:
    if row.fixed is None or row.accused is None or row.caught is None or row.caught_usually is None:
        return (row.source, "none: one person", NONE, NONE, NONE, NONE, str(row.people))
    caught = (share_text(row.caught), share_text(row.caught_usually))
    on = f"{row.fixed.people} of {row.people - row.accused.groups}"
    return (row.source, f"{row.fixed.value:.6f}", counted(row.accused), *caught, on, str(row.people))


def _calibration(name: str, temperature: float, found: Reliability) -> tuple[str, ...]:
    return (name, f"{temperature:.3f}", *(f"{v:.4f}" for v in (found.ece, found.ece_if_calibrated, found.brier)))


def _session(row: SessionRow) -> tuple[str, ...]:
    caught, accused = (
        NONE if part is None else form(part) for part, form in ((row.caught, share_text), (row.accused, counted))
    )
    return (row.bots, str(row.n), interval(row.auc), f"{row.auc_if_independent:.3f}", caught, accused)


def _correlations(judgement: DetectorJudgement) -> tuple[tuple[str, float | None], ...]:
    found = judgement.sessions
    return ("people", found.people_correlation), ("bots", found.bots_correlation)


def _optional(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
