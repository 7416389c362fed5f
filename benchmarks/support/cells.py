"""Long grids of trainings: each cell is written when it is finished, so that the same command continues a stopped one.

A folder has `settings.json`, which says what all its cells have in common, and `cells/`, with a JSON file for each
finished cell. Cells run in processes of one thread each.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from trainables.core.atomic_files import write_atomically
from trainables.core.config import ConfigError, require
from trainables.data.readers.recordings import RecordingError

Result = dict[str, Any]
"""What a cell found, as plain values; its `seconds` are among them."""
Work = Callable[[], Result]
"""Runs one cell. It is sent to another process, so it is a function of a module, with its arguments by `partial`."""


def open_folder(out: Path, settings: Mapping[str, Any]) -> Path:
    """Return the folder of the cells, made if it is new.

    Raises:
        ConfigError: It holds cells of another grid.
    """
    file, cells = out / "settings.json", out / "cells"
    if file.exists():
        got = json.loads(file.read_text())
        differing = sorted(key for key in settings if got.get(key) != settings[key])
        law = f"`--out={out}` to hold cells of the same grid"
        require(not differing, law, f"other {', '.join(differing)}", "name another folder")
    cells.mkdir(parents=True, exist_ok=True)
    write_atomically(file, json.dumps(settings, indent=1) + "\n")
    return cells


def finished(names: Iterable[str], cells: Path) -> dict[str, Result]:
    """Return the results of the cells that are finished, by name."""
    files = {name: cells / f"{name}.json" for name in names}
    return {name: json.loads(file.read_text()) for name, file in files.items() if file.exists()}


def run(work: Mapping[str, Work], cells: Path, processes: int) -> Iterator[tuple[str, Result]]:
    """Run the cells that are not finished, and yield the name and the results of each as it ends.

    Args:
        work: Of each cell, by its name, in the order in which they begin.
    """
    todo = {name: each for name, each in work.items() if not (cells / f"{name}.json").exists()}
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(partial(write_cell, each, cells / f"{name}.json")): name for name, each in todo.items()}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def write_cell(work: Work, file: Path) -> Result:
    """Run one cell and write its results in one atomic step."""
    found = work()
    write_atomically(file, json.dumps(found) + "\n")
    return found


def seconds_left(kinds: Mapping[str, str], results: Mapping[str, Result], processes: int) -> float:
    """Estimate the time that the other cells take: as the finished ones of their kind, or as all finished ones.

    Args:
        kinds: What the time of each cell depends on, by its name.
    """
    by_kind: dict[str, list[float]] = {}
    for name, kind in kinds.items():
        if name in results:
            by_kind.setdefault(kind, []).append(results[name]["seconds"])
    every = [seconds for found in by_kind.values() for seconds in found]
    if not every:
        return 0.0
    open_cells = [by_kind.get(kind, every) for name, kind in kinds.items() if name not in results]
    return sum(sum(found) / len(found) for found in open_cells) / processes


def exit_code(command: Callable[[], int]) -> int:
    """Return the exit code of a command that runs cells: its own, 2 for wrong input, 130 after Ctrl-C."""
    try:
        return command()
    except (ConfigError, RecordingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted: what is finished is kept, and the same command continues", file=sys.stderr)
        return 130
