"""Print what became of recordings, and write the picture and the figures of them."""

import dataclasses
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from platform.core.config_lines import data_keys, run_name, train_command, yaml_block
from platform.core.console import columns, print_facts, print_heading, print_line, print_table
from platform.core.data_config import InspectConfig
from platform.core.output_files import writable
from trainables.core.atomic_files import staged_file, write_atomically
from trainables.core.config import require
from trainables.data.config import DataConfig
from trainables.data.inspection.advice import warnings_of
from trainables.data.inspection.figures import GAP_MS, LENGTHS, MovementFigures, Spread
from trainables.data.inspection.inspection import Inspection
from trainables.data.readers.converted import readers_of
from trainables.data.readers.guess import Guess, guess_reader
from trainables.data.readers.reading_progress import read_shown
from trainables.data.readers.recording_set import account_table
from trainables.eval.recording_plots import plot_recordings

WRITTEN_BY = "python -m platform.data inspect"  # in the picture and in the file of figures
HEAD = 4096  # bytes in which it stands


def inspect_recordings(config: InspectConfig) -> int:
    """Read recordings and print what became of them; returns the exit code.

    Raises:
        ConfigError: a file of another program is in the place of one to write, or one cannot be written.
        RecordingError: the recordings cannot be read.
    """
    for name in ("out", "json"):
        _require_own(name, getattr(config, name))
    path = Path(config.path) if config.path else None
    reader = reader_of(path, config.source)
    data = DataConfig(reader.name, config.path, time_unit=config.time_unit)
    inspection = Inspection.of(read_shown(data), config.seed)
    warnings = warnings_of(inspection)
    steps = inspection.figures.sequence_length if inspection.figures else LENGTHS[0]
    keys = data_keys(reader.name, config.path, config.time_unit, steps)
    lines = (
        (train_command(run_name(config.path or reader.name), keys), yaml_block(keys))
        if inspection.figures
        else ("", "")
    )
    written = []
    if config.out and inspection.shown:
        with writable("out", Path(config.out)), staged_file(Path(config.out)) as staged:
            plot_recordings(inspection.shown, staged, WRITTEN_BY)
        written.append(config.out)
    if config.json:
        content = _as_json(config, reader, inspection, warnings, lines)
        with writable("json", Path(config.json)):
            Path(config.json).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(Path(config.json), content)
        written.append(config.json)
    _print(Console(), config, reader, inspection, warnings, lines, written)
    return 0


def reader_of(path: Path | None, source: str) -> Guess:
    """Return the reader that is named, else the one that is recognised, with the reason."""
    if source:
        return Guess(source, "named by source")
    assert path is not None
    guess = guess_reader(path)
    converted = readers_of(path) if path.is_file() else ()
    reason = f"converted from {', '.join(converted)}" if converted else guess.reason
    return Guess(guess.name, f"guessed: {reason}")


def _require_own(key: str, name: str) -> None:
    """Require that a file to write is a new one, or one of an earlier inspection."""
    file = Path(name)
    with writable(key, file):
        own = not name or not file.exists() or (file.is_file() and WRITTEN_BY.encode() in _head(file))
    law = f"`{key}` to be a new file, or one that this command wrote"
    require(own, law, f"{name}, which is another", f"give {key}=NAME, or remove the file")


def _head(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(HEAD)


def _as_json(
    config: InspectConfig, reader: Guess, inspection: Inspection, warnings: Sequence[str], lines: Sequence[str]
) -> str:
    account: dict[str, Any] = {
        field.name: getattr(inspection, field.name) for field in dataclasses.fields(inspection) if field.name != "shown"
    }
    content = {
        "written_by": WRITTEN_BY,
        "path": config.path,
        "reader": reader.name,
        "reason": reader.reason,
        **account,
        "figures": inspection.figures and _plain(inspection.figures),
        "warnings": list(warnings),
        "command": lines[0],
        "yaml": lines[1],
    }
    return json.dumps(content, indent=2, allow_nan=False) + "\n"


def _plain(figures: MovementFigures) -> dict[str, Any]:
    found = dataclasses.asdict(figures)
    for name, source in figures.sources.items():
        found["sources"][name]["usable"] = {steps: kept._asdict() for steps, kept in source.usable.items()}
    return found


def _print(
    console: Console,
    config: InspectConfig,
    reader: Guess,
    inspection: Inspection,
    warnings: Sequence[str],
    lines: Sequence[str],
    written: Sequence[str],
) -> None:
    print_facts(console, {"path": config.path or "", "reader": f"{reader.name} ({reader.reason})"})
    print_line(console, "")
    print_line(console, account_table(inspection.read, inspection.kept, inspection.dropped, inspection.repaired_events))
    if inspection.figures:
        _print_figures(console, inspection.figures)
    if warnings:
        print_heading(console, "\nWarnings")
        for line in warnings:
            print_line(console, f"  {line}")
    if lines[0]:
        print_heading(console, "\nTrain on them")
        print_line(console, lines[0])
        print_heading(console, "\nor the same at the end of configs/train.yaml")
        print_line(console, lines[1].rstrip())
    for file in written:
        print_line(console, f"\nwrote {file}")


def _print_figures(console: Console, figures: MovementFigures) -> None:
    lengths = [f">usable, T={steps}" for steps in LENGTHS]
    table = columns("source", ">movements", ">users", *lengths, ">median step")
    for name, source in figures.sources.items():
        usable = (f"{source.usable[steps].usable:,} ({source.usable[steps].share:.0%})" for steps in LENGTHS)
        step = f"{source.step_ms.median:.1f} ms"
        table.add_row(name, f"{source.movements:,}", f"{source.users:,}", *usable, step)
    print_heading(console, "\nUsable in canonical form")
    print_table(console, table)
    splits = columns("split", ">movements", ">users", ">effective users")
    for name, split in figures.splits.items():
        splits.add_row(name, f"{split.movements:,}", str(split.users), f"{split.effective_users:.1f}")
    print_heading(console, f"\nSplits by user, T={figures.sequence_length}")
    print_table(console, splits)
    print_heading(console, "\nMovements")
    print_facts(console, dict(_facts(figures)))


def _facts(figures: MovementFigures) -> Iterator[tuple[str, str]]:
    """Yield names and values of the figures of all sources together."""
    users, width = figures.users, figures.target_width_px
    yield "users", f"{users.count:,} ({users.effective:.1f} effective)"
    yield "sessions", f"{figures.sessions:,}"
    yield "per user", f"{users.fewest:,} to {users.most:,} movements, median {users.median:g}; most: {users.largest}"
    yield "step", _spread(figures.step_ms, "ms", 1)
    yield (
        "clock",
        f"{figures.whole_ms:.0%} whole milliseconds; {figures.gaps:.1%} of the movements with a gap over {GAP_MS:g} ms",
    )
    x, y = (f"{low:g} to {high:g}" for low, high in (figures.x_px, figures.y_px))
    yield "screen", f"x {x}, y {y} px; {figures.at_edges:.1%} of the movements reach an edge"
    yield "positions", f"{figures.whole_px:.1%} whole pixels"
    yield "duration", _spread(figures.duration_s, "s", 2)
    yield "distance", _spread(figures.distance_px, "px", 0)
    yield (
        "targets",
        f"known of {figures.targets:.0%}, the width of {figures.widths:.0%}" if figures.targets else "unknown",
    )
    yield "width", _spread(width, "px", 0) if width else ""


def _spread(spread: Spread, unit: str, digits: int) -> str:
    low, median, high = (f"{value:,.{digits}f}" for value in (spread.low, spread.median, spread.high))
    return f"{median} {unit}, 5 to 95 %: {low} to {high} {unit}"
