"""Evaluate a critic on users outside its training, beside both baselines: `python -m platform.evaluate`.

The work is done by `trainables.model_evaluation.critic_report`, which is imported when it begins: `--help` starts
without torch.
"""

from trainables.core.command import Command, Request
from trainables.core.config import build
from trainables.critic.evaluation.config import CriticEvaluationCommand

COMMAND = Command(
    module="platform.evaluate",
    config_name="critic/evaluate",
    about="Evaluate a critic on users outside its training, beside distance and extrapolation on the same goals:\n\n"
    "  python -m platform.evaluate ckpt=FOLDER",
    schemas={"critic/evaluate_schema": CriticEvaluationCommand},
)


def main(request: Request) -> int:
    """Evaluate, write report and plots, print the table; returns the exit code."""
    config = build(CriticEvaluationCommand, request.config)
    from trainables.model_evaluation.critic_report import write_report

    return write_report(config)
