"""`python -m platform.data VERB`: write the conditions of a split, list prepared data, remove a user.

Modules that import torch are imported when the recordings are read, so that `--help` starts without it.
"""

import sys

from platform.core.data_config import CONDITIONS, EvaluationRowsConfig
from platform.core.store_verbs import STORE_COMMANDS, STORE_SWITCHES, STORE_VERBS, run_store_verb
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build, require

ABOUT = """
Write the conditions under which generators are evaluated, one row per recorded movement of a split: row id, user,
source, duration, distance, path ratio, turning, target width, direction, and start and end in pixels.

  python -m platform.data conditions split=test out=conditions.parquet
  python -m platform.data conditions split=validation out=conditions.csv
  python -m platform.data conditions data.source=table data.path=mine.parquet

A file of samples names the row that each sample was made for in a column row_id; python -m platform.evaluate
samples=FILE then compares pair by pair.

  python -m platform.data store                     the sets of prepared data: what they hold, and their sizes
  python -m platform.data forget user=NAME          delete the prepared data of a user, and list models trained on them

`store --help` and `forget --help` explain the keys of these verbs.
"""

COMMAND = Command(
    module="platform.data",
    config_name="data",
    about=ABOUT,
    schemas={"data_schema": EvaluationRowsConfig},
    verbs={
        CONDITIONS: "the evaluation conditions of a split, as Parquet or CSV by the suffix of out",
        **STORE_VERBS,
    },
    own=STORE_COMMANDS,
    switches=STORE_SWITCHES,
)


def main(request: Request) -> int:
    """Do what the verb names."""
    if request.verb in STORE_COMMANDS:
        return run_store_verb(request)
    config = build(EvaluationRowsConfig, request.config)
    require(bool(request.verb), "a verb", "none", f"use python -m platform.data with one of {', '.join(COMMAND.verbs)}")
    from platform.core.export_data import EXPORTS

    return EXPORTS[request.verb](config)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
