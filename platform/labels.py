"""`python -m platform.labels`: every movement has the same labels in every batch, order, worker and process.

Modules that import torch are imported when the labels are computed, so that `--help` starts without it.
"""

import sys

from platform.preflight.config import LabelsConfig
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build
from trainables.detector.config import DetectorConfig

ABOUT = """
Check that labels are the same everywhere: those of the human movements of all splits and of bots of every style are
computed again in batches of several sizes, in random orders, by DataLoader workers and in a new process, and compared.

  python -m platform.labels
  python -m platform.labels trainable.data.source=table trainable.data.path=mine.parquet
  python -m platform.labels batch_sizes=[1,100] num_workers=[0,4]
"""

COMMAND = Command(
    module="platform.labels",
    config_name="labels",
    about=ABOUT,
    exit_codes={0: "all labels agree", 1: "some labels differ"},
    schemas={"labels_schema": LabelsConfig, "trainable/detector_schema": DetectorConfig},
    refused={"check": "`labels check` was renamed: use python -m platform.labels"},
)


def main(request: Request) -> int:
    """Label the data, print the labels, check them, print the findings."""
    trainable = build(DetectorConfig, request.config["trainable"], at="trainable")
    config = build(LabelsConfig, {key: value for key, value in request.config.items() if key != "trainable"})
    from platform.preflight.label_command import check_labels

    return check_labels(config, trainable)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
