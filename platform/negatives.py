"""`python -m platform.negatives url=URL out_dir=FOLDER`: fetch movements of the service for the training of detectors.

Modules that import torch are imported when the movements are requested, so that `--help` starts without it.
"""

import sys

from platform.core.negatives_config import NegativesConfig
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build

ABOUT = """
Fetch hard negatives from the service into a folder, for trainable=detector negatives.served_folder=FOLDER.

  python -m platform.negatives url=http://127.0.0.1:8000 out_dir=results/negatives n=2000
  python -m platform.negatives url=http://127.0.0.1:8000 out_dir=results/hard n=500 hardness=[0.0,0.5]

A token is read from HUMOUSE_TOKEN.
"""

COMMAND = Command(
    module="platform.negatives",
    config_name="negatives",
    about=ABOUT,
    exit_codes={0: "written", 1: "the service refuses or does not respond"},
    schemas={"negatives_schema": NegativesConfig},
)


def main(request: Request) -> int:
    """Fetch the movements, write them, and print their champion."""
    config = build(NegativesConfig, request.config)
    from platform.core.fetch_negatives import fetch_to_folder

    return fetch_to_folder(config)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
