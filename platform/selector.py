"""`python -m platform.selector ckpt=FOLDER`: fit what draws one of several candidates per condition, into a checkpoint.

Modules that import torch are imported when the work begins, so that `--help` starts without it.
"""

import sys

from platform.core.selector_config import SelectorConfig
from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build

ABOUT = """
Fit the selector of a diffusion checkpoint: the ratio of real to sampled density, from movements of its training users
and samples under their conditions. Sampling, evaluation and service then take candidates=K.

  python -m platform.selector ckpt=FOLDER                                  for the sources of the validation split
  python -m platform.selector ckpt=FOLDER source_names=[mine]              for the users of another source
  python -m platform.selector ckpt=FOLDER sampling.steps=8                 for samples of 8 network calls
  python -m platform.selector ckpt=FOLDER rounds=2                         and a second ratio, of selected samples
  python -m platform.selector ckpt=FOLDER replace=true                     in the place of an earlier one

It is written into the checkpoint's folder and holds for these weights alone. A promotion publishes it with them.
"""

COMMAND = Command(
    module="platform.selector",
    config_name="selector",
    about=ABOUT,
    schemas={"selector_schema": SelectorConfig},
)


def main(request: Request) -> int:
    """Fit the selector, write it, and print what it rests on."""
    config = build(SelectorConfig, request.config)
    from platform.core.fit_selector import fit_to_checkpoint

    return fit_to_checkpoint(config)


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
