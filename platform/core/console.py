"""Print lines and tables to a terminal, and to a file or a pipe without truncation."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trainables.core.formatting import format_interval, number
from trainables.core.page import page
from trainables.eval.intervals.jackknife import Interval
from trainables.metric_registry import digits, title
from trainables.training.metric import MetricSet

BOUNDS = ("value", "low", "high")


def columns(*titles: str, title: str | None = None) -> Table:
    """Return a table without lines; a title that begins with > is right-aligned, one with ~ may be wrapped."""
    drawn = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name in titles:
        right, wrapped = name.startswith(">"), name.startswith("~")
        drawn.add_column(
            Text(name.lstrip(">~")),
            justify="right" if right else "left",
            no_wrap=not wrapped,
            overflow="fold" if wrapped else "ellipsis",  # a wrapped path is shown in full
        )
    return drawn


def print_table(console: Console, drawn: Table) -> None:
    """Print a table as wide as the terminal; in a file or a pipe as wide as its content, one line per row."""
    page(console).print(drawn)


def print_facts(console: Console, facts: Mapping[str, str]) -> None:
    """Print names and values, without empty ones."""
    width = max(map(len, facts), default=0)
    for name, value in facts.items():
        if value:
            print_line(console, f"  {name:<{width}}  {value}")


def print_heading(console: Console, text: str) -> None:
    """Print a line in bold."""
    console.print(Text(text, style="bold"), soft_wrap=True)


def print_line(console: Console, line: str) -> None:
    """Print a line literally, without markup."""
    console.print(Text(line), soft_wrap=True)


def metric(name: str, value: float | None) -> str:
    """Return a metric with its digits; a dash where there is none."""
    return number(value, digits(name))


def figure_columns(metric_set: MetricSet) -> list[str]:
    """Titles of the columns of a kind's figures."""
    return [f">{title(name)}" for name in metric_set.shown]


def figures_of(metrics: Mapping[str, float], metric_set: MetricSet) -> list[str]:
    """The figures of a kind among metrics, each with its digits."""
    return [metric(name, metrics.get(name)) for name in metric_set.shown]


def metric_interval(name: str, interval: Interval | Mapping[str, Any] | None) -> str:
    """Return a metric with its interval, each with the metric's digits; a dash where there is none."""
    if interval is None:
        return "-"
    value, low, high = (interval[key] if isinstance(interval, Mapping) else getattr(interval, key) for key in BOUNDS)
    return format_interval(value, low, high, digits(name))


def plain(value: Any) -> str:
    """Return a value in few digits; a mapping as names and values."""
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {plain(one)}" for name, one in value.items())
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def describe(params: dict[str, Any]) -> str:
    """Return parameters in a short line: the last part of each key and its value."""
    return "  ".join(
        f"{key.rpartition('.')[2]} {value:.3g}" if isinstance(value, float) else f"{key.rpartition('.')[2]} {value}"
        for key, value in params.items()
    )
