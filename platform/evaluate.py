"""`python -m platform.evaluate`: evaluate a checkpoint by its kind, generator or detector, or any file of samples.

    python -m platform.evaluate ckpt=FOLDER
    python -m platform.evaluate samples=FILE.parquet split=test

A generator's samples are compared with held-out users (`trainables.model_evaluation.evaluate_generator`); a detector is
evaluated on users and bots outside its training, and gets its model card (`trainables.detector.evaluate`). Both import
torch when the work begins, so that `--help` starts without it.
"""

import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build
from trainables.detector import evaluate as detector
from trainables.detector.evaluation.config import DetectorEvaluationCommand
from trainables.eval import diffusion_eval as generator
from trainables.model_evaluation.config import EvalConfig
from trainables.training.checkpoint_record import CheckpointError, load_record

ABOUT = """
Evaluate a checkpoint of any kind, or a file of samples, on users outside its training.

  python -m platform.evaluate ckpt=FOLDER                                   a generator, or a detector with its card
  python -m platform.evaluate ckpt=FOLDER metrics=[c2st,mmd,prd,kinematics,spectra]
  python -m platform.evaluate ckpt=FOLDER crossfit=5                        five models, to evaluate all users
  python -m platform.evaluate ckpt=FOLDER bots=bots.parquet users=users.parquet          a detector on your recordings
  python -m platform.evaluate ckpt=FOLDER leave_one_out=results/leave_one_out/leave_one_out.json
  python -m platform.evaluate ckpt=FOLDER leave_one_source_out=true         models trained without each source in turn
  python -m platform.evaluate samples=FILE.parquet split=test               movements made elsewhere
  python -m platform.evaluate samples=[A.parquet,B.parquet] split=test      files side by side, with their differences

The keys are those of a generator or of a detector, whichever ckpt holds; `--help ckpt=FOLDER` prints them.
"""


def keys_of(config: type[Any]) -> frozenset[str]:
    """Return the keys of a command's configuration."""
    return frozenset(field.name for field in fields(config))


def command_of(own: Command, config: type[Any], kind: str, other: type[Any], other_kind: str) -> Command:
    """Return the command for one kind, which refuses the keys that the other kind alone has."""
    foreign = keys_of(other) - keys_of(config)
    line = "`{{argument}}`: `{key}` is for {other}, but this is the evaluation of {kind}; leave it out"
    refused = {f"{key}=": line.format(key=key, other=other_kind, kind=kind) for key in foreign}
    return replace(own, module="platform.evaluate", about=ABOUT, refused={**own.refused, **refused})


COMMAND = command_of(generator.COMMAND, EvalConfig, "a generator or a file", DetectorEvaluationCommand, "detectors")
DETECTOR_COMMAND = command_of(
    detector.COMMAND, DetectorEvaluationCommand, "a detector", EvalConfig, "generators and files"
)


def main(arguments: Sequence[str]) -> int:
    """Run the evaluation of the kind that `ckpt` holds; returns the exit code."""
    command: Command = COMMAND
    work: Callable[[Request], int] = generator.main
    if holds_detector(arguments):
        command, work = DETECTOR_COMMAND, evaluate_detector
    return run(command, work, arguments)


def evaluate_detector(request: Request) -> int:
    """Evaluate a detector, or detectors that were each trained without a source; returns the exit code."""
    config = build(DetectorEvaluationCommand, request.config)
    if not config.leave_one_source_out:
        return detector.main(request)
    from trainables.model_evaluation.leave_one_source_out import leave_one_source_out

    return leave_one_source_out(config)


def holds_detector(arguments: Sequence[str]) -> bool:
    """Whether `ckpt` of the command line is the checkpoint of a detector; errors of one are reported later."""
    given = [argument.removeprefix("ckpt=") for argument in arguments if argument.startswith("ckpt=")]
    try:
        return bool(given) and load_record(Path(given[-1])).get("kind") == "detector"
    except CheckpointError:
        return False


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
