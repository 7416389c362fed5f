"""Does alpha pay where data are scarce? Learning curves of a diffusion with and without generated movements.

Trained on 25, 100, 400 and all training movements (of 3, 5, 15 and all training users) of two sources, with alpha 0,
0.3 and 1 times as many generated movements beside them, by each of three generators:

    minimum_jerk    the minimum-jerk model with its published parameters, which is fitted to nothing
    physical        sigma-lognormal strokes, fitted to the same training movements and to no others
    cotraining      the same strokes and the diffusion, in three cycles that are decided on validation users

Every diffusion has the same number of steps, warm-up and cycles together, and the seeds draw other training movements
and users as well. Training sets of a seed are nested. Samples under the conditions of the movements of test users, whom
nothing was decided on, are evaluated: the excess of the AUC over that of other users, MMD, precision, recall, and the
condition error, with 95 % intervals over users and seeds, and their changes from alpha = 0, paired by user, seed, size
and source (`benchmarks.support.intervals.over_users_and_seeds`).

The rule of decision, written before any cell was run:

1. alpha > 0 *pays* for a generator at a size if the interval of the change of the AUC excess lies below 0 in both
   sources; it *harms* if the interval lies above 0 in both. The other metrics decide nothing. If nothing differs, one
   of the 24 pairs of intervals lies below 0 with a probability of at most 24 * 0.025^2 = 0.015 (the sources are
   independent), so nothing is corrected for their number.
2. The default of `augmentation.alpha` is the alpha that pays at all training movements, for `minimum_jerk`, the default
   generator; of two the one with the lower mean. If none does it is 0.
3. The default of `alpha` of a co-training is found in the same way for `cotraining`. If none pays it stays at 0.1,
   since with 0 nothing is co-trained, unless 0.3 harms at any size: then it is 0.
4. The search spaces end at the largest alpha that harms neither at 400 nor at all movements, for `minimum_jerk` and
   for `cotraining`; if both harm, alpha leaves the space.

The command runs the cells in two processes of one thread each and writes each finished one, so that the same command
continues what was interrupted. Its folder holds `cells/`, and at the end `results.json`, `tables.md` and `curves.png`.

`python -m benchmarks.scarce_data --recordings TABLE.parquet MORE.parquet --out results/scarce_data`
"""

import argparse
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.support.cells import exit_code, finished, open_folder, run, seconds_left
from benchmarks.support.scarce_cells import run_cell
from benchmarks.support.scarce_grid import Cell, Grid
from benchmarks.support.scarce_tables import picture, plain, rows_of, tables
from benchmarks.support.source_tables import tables_of_sources
from trainables.core.atomic_files import staged_file, write_atomically
from trainables.core.config import digest, require
from trainables.core.formatting import clock
from trainables.training.checkpoint import file_sha256

SOURCES = ("freihaut_click", "sapimouse")


def settings_of(grid: Grid, tables_of: Mapping[str, Path]) -> dict[str, Any]:
    """Return everything that the results depend on beside the code, as plain values."""
    own = {"recordings_sha256": {source: file_sha256(path) for source, path in tables_of.items()}}
    plain_values: dict[str, Any] = json.loads(json.dumps(asdict(grid) | own))
    return plain_values


def kind_of(cell: Cell) -> str:
    """Return what the time of a cell depends on."""
    return digest([cell.size.name, cell.generator, cell.alpha])


def show_progress(grid: Grid, results: Mapping[str, Any], name: str, began: float, processes: int) -> None:
    """Print a line for a finished cell, with the time left."""
    kinds, found = {cell.name: kind_of(cell) for cell in grid.cells()}, results[name]
    what = found["failure"] if "failure" in found else f"AUC excess {found['metrics']['val/auc_excess']['value']:.3f}"
    left = f"~{clock(seconds_left(kinds, results, processes))} left"
    spent = clock(time.monotonic() - began)
    print(f"{spent:>8}  {len(results)}/{len(kinds)}  {name}: {what}, {found['seconds']:.0f} s  {left}", file=sys.stderr)


def report(grid: Grid, results: Mapping[str, Any], settings: Mapping[str, Any], out: Path) -> str:
    """Write results, tables and picture of a complete grid, and return the tables."""
    rows = rows_of(grid, results)
    text = tables(rows, grid)
    failures = {name: found["failure"] for name, found in results.items() if "failure" in found}
    seconds = sum(found["seconds"] for found in results.values())
    content = {"settings": settings, "rows": plain(rows), "failures": failures, "seconds_of_cells": seconds}
    write_atomically(out / "results.json", json.dumps(content, indent=1) + "\n")
    write_atomically(out / "tables.md", text + "\n")
    with staged_file(out / "curves.png") as file:
        picture(rows, grid).savefig(file, format="png")
    return text


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--recordings", type=Path, nargs="+", required=True, help="Parquet tables of movements")
    parser.add_argument("--sources", nargs="+", default=SOURCES, help="of the tables, of 15 training users or more")
    parser.add_argument("--out", type=Path, required=True, help="folder of cells, tables and picture")
    parser.add_argument("--seeds", type=int, default=Grid.seeds, help="trainings of each kind")
    parser.add_argument("--steps", type=int, default=Grid.steps, help="optimiser steps of a diffusion")
    parser.add_argument("--processes", type=int, default=2, help="cells at a time, each on one thread")
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run what is missing of the grid, then print its tables; return 2 for wrong input, 130 after Ctrl-C, else 0."""
    given = arguments(argv)

    def command() -> int:
        grid = Grid(tuple(given.sources), seeds=given.seeds, steps=given.steps)
        return measure(grid, given.recordings, given.out, given.processes)

    return exit_code(command)


def measure(grid: Grid, recordings: Sequence[Path], out: Path, processes: int) -> int:
    """Run what is missing of a grid, write its report, and print the tables; return the exit code.

    Raises:
        ConfigError: Wrong recordings, no process, or a folder with cells of another grid.
    """
    require(processes >= 1, "`--processes >= 1`", str(processes))
    tables_of, began = tables_of_sources(recordings, grid.sources, out / "tables"), time.monotonic()
    settings = settings_of(grid, tables_of)
    folder = open_folder(out, settings)
    work = {cell.name: partial(run_cell, cell, grid, tables_of[cell.source]) for cell in grid.cells()}
    results = finished(work, folder)
    for name, found in run(work, folder, processes):
        results[name] = found
        show_progress(grid, results, name, began, processes)
    print(report(grid, results, settings, out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
