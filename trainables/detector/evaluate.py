"""Evaluate a detector on users and bots outside its training, and write its card: `python -m platform.evaluate`.

The work is done by `trainables.detector.evaluate_run`, which is imported when it begins: `--help` starts without torch.
"""

from trainables.core.command import Command, Request
from trainables.core.config import build
from trainables.detector.evaluation.config import DetectorEvaluationCommand

COMMAND = Command(
    module="platform.evaluate",
    config_name="detector/evaluate",
    about="Evaluate a detector on users and bots outside its training, and write its card:\n\n"
    "  python -m platform.evaluate ckpt=FOLDER\n"
    "  python -m platform.evaluate ckpt=FOLDER bots=bots.parquet users=users.parquet\n"
    "  python -m platform.evaluate ckpt=FOLDER agent_checkpoint=FOLDER\n"
    "  python -m platform.evaluate ckpt=FOLDER leave_one_out=results/leave_one_out/leave_one_out.json",
    schemas={"detector/evaluate_schema": DetectorEvaluationCommand},
)


def main(request: Request) -> int:
    """Evaluate, write the card and its plots, print its tables."""
    config = build(DetectorEvaluationCommand, request.config)
    from trainables.detector.evaluate_run import write_card

    return write_card(config)
