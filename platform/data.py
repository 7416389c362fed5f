"""`python -m platform.data VERB`: inspect and convert recordings, write conditions, list prepared data, remove a user.

Modules that import torch are imported when the recordings are read, so that `--help` starts without it.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import replace

from platform.core.data_config import CONDITIONS, CONVERT, INSPECT, ConvertConfig, EvaluationRowsConfig, InspectConfig
from platform.core.store_verbs import STORE_COMMANDS, STORE_SWITCHES, STORE_VERBS, run_store_verb, verb_command
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build, require

ABOUT = """
Inspect recordings, convert them into one file, write the conditions of a split, list or delete prepared data, or remove
a user from them.

  python -m platform.data inspect recordings.csv              what became of recordings, and how to train on them
  python -m platform.data convert lab out=lab.parquet         a folder of recordings as one file
  python -m platform.data conditions split=test out=conditions.parquet
  python -m platform.data conditions split=validation out=conditions.csv
  python -m platform.data conditions data.source=table data.path=mine.parquet

  python -m platform.data store                     the sets of prepared data: what they hold, and their sizes
  python -m platform.data forget user=NAME          delete the prepared data of a user, and list models trained on them

`VERB --help` explains the keys of the other verbs, the keys below are those of `conditions`. It writes the conditions
under which generators are evaluated, one row per recorded movement of a split: row id, user, source, duration,
distance, path ratio, turning, target width, direction, and start and end in pixels. A file of samples names the row
that each sample was made for in a column row_id; python -m platform.evaluate samples=FILE then compares pair by pair.
"""
ABOUT_INSPECT = """
Read recordings and print what became of them: the reader, what was dropped and why, how many movements are usable,
users, clock, screen, durations and distances, warnings with what to do, and the lines that train on them. A picture of
twenty movements is written to out.

  python -m platform.data inspect recordings.csv
  python -m platform.data inspect lab source=mousetracker     the reader is named, not guessed
  python -m platform.data inspect 'lab/**/*.mt'               a glob, in quotes
  python -m platform.data inspect log.csv time_unit=s json=inspect.json
  python -m platform.data inspect source=cursory              the default recordings
"""
ABOUT_CONVERT = """
Read recordings and write the movements that are kept as one Parquet file, with the account of what was dropped.

  python -m platform.data convert recordings.csv out=recordings.parquet
  python -m platform.data convert lab source=mousetracker out=lab.parquet
  python -m platform.data convert 'sources=[{reader:cursory},{reader:table,path:mine.csv,name:mine}]' out=both.parquet

Columns: t_ms, x, y (lists: milliseconds from 0, pixels), source, user, session, target_x, target_y, target_width. The
file is read with source=table and gives the same movements, splits and account as the recordings themselves.
"""


COMMAND = Command(
    module="platform.data",
    config_name="data",
    about=ABOUT,
    schemas={"data_schema": EvaluationRowsConfig},
    verbs={
        INSPECT: "PATH: what became of recordings, warnings, and the lines that train on them",
        CONVERT: "PATH out=FILE.parquet: recordings as one file of movements",
        CONDITIONS: "the evaluation conditions of a split, as Parquet or CSV by the suffix of out",
        **STORE_VERBS,
    },
    own={
        INSPECT: replace(verb_command(INSPECT, ABOUT_INSPECT, InspectConfig), argument="path"),
        CONVERT: replace(verb_command(CONVERT, ABOUT_CONVERT, ConvertConfig), argument="path"),
        **STORE_COMMANDS,
    },
    switches=STORE_SWITCHES,
)


def conditions(request: Request) -> int:
    """Write the conditions of a split; returns the exit code."""
    config = build(EvaluationRowsConfig, request.config)
    from platform.core.export_data import export_conditions

    return export_conditions(config)


def inspect(request: Request) -> int:
    """Print what became of recordings; returns the exit code."""
    config = build(InspectConfig, request.config)
    from platform.core.inspect_data import inspect_recordings

    return inspect_recordings(config)


def convert(request: Request) -> int:
    """Write recordings as one file; returns the exit code."""
    config = build(ConvertConfig, request.config)
    from platform.core.convert_data import convert_recordings

    return convert_recordings(config)


VERBS: Mapping[str, Callable[[Request], int]] = {
    INSPECT: inspect,
    CONVERT: convert,
    CONDITIONS: conditions,
    **dict.fromkeys(STORE_VERBS, run_store_verb),
}


def main(request: Request) -> int:
    """Do what the verb names."""
    require(bool(request.verb), "a verb", "none", f"use python -m platform.data with one of {', '.join(VERBS)}")
    return VERBS[request.verb](request)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
