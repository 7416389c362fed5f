"""`python -m trainables.detector.leave_one_out`: one detector per family of bots, each trained without that family.

The work is done by `trainables.detector.leave_one_out_run`, which is imported when it begins, so that `--help` starts
without torch.
"""

import sys
from collections.abc import Mapping

from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build, require
from trainables.detector.config import DetectorConfig
from trainables.detector.evaluation.config import FoldsConfig

LEFT_OUT: Mapping[str, str] = {
    "trainable.negatives.held_out": "families=[...]",
    "trainable.negatives.agent": "agent_checkpoint=FOLDER, an agent with the share of one scripted family",
    "trainable.negatives.agent_checkpoint": "agent_checkpoint=FOLDER",
}
"""Key of the training that this command sets -> the key that names it here."""
ABOUT = """
Train one detector per family of scripted bots, each without that family, and evaluate all of them on all families.

  python -m trainables.detector.leave_one_out
  python -m trainables.detector.leave_one_out bots=bots.parquet trainable.negatives.alpha=2 out_dir=results/alpha2
  python -m trainables.detector.leave_one_out families=[pid,noise] trainable.epochs=2 out_dir=results/two
  python -m trainables.detector.leave_one_out agent_checkpoint=FOLDER out_dir=results/agent

With an agent all detectors but one are trained on its movements as well, and one is trained without them.
The same command resumes an interrupted run and uses complete detectors as they are; another `trainable` needs another
out_dir.
"""

COMMAND: Command = Command(
    module="trainables.detector.leave_one_out",
    config_name="detector/leave_one_out",
    about=ABOUT,
    schemas={
        "detector/leave_one_out_schema": FoldsConfig,
        "trainable/detector_schema": DetectorConfig,
    },
)


def main(request: Request) -> int:
    """Train and evaluate a detector per family, write the table, print it."""
    config, trainable = configs(request)
    from trainables.detector.leave_one_out_run import leave_one_out

    return leave_one_out(config, trainable)


def configs(request: Request) -> tuple[FoldsConfig, DetectorConfig]:
    """Return the configuration of the folds, and that of all detectors.

    Raises:
        ConfigError: An invalid value, a key of `LEFT_OUT` in the command, or an agent beside no scripted bots.
    """
    trainable = build(DetectorConfig, request.config["trainable"], at="trainable")
    config = build(FoldsConfig, {key: value for key, value in request.config.items() if key != "trainable"})
    for key, own in LEFT_OUT.items():
        require(key not in request.given, f"`{key}` to be left to this command", "it", f"name it as {own}")
    beside = not config.agent_checkpoint or trainable.negatives.bots > 0
    require(beside, "`trainable.negatives.bots > 0` with `agent_checkpoint`", f"bots={trainable.negatives.bots:g}")
    return config, trainable


if __name__ == "__main__":
    sys.exit(run(COMMAND, main))
