"""Evaluate an agent in new episodes, beside the scripted controllers: `python -m platform.evaluate`.

The work is done by `trainables.model_evaluation.agent_report`, which is imported when it begins: `--help` starts
without torch.
"""

from trainables.core.command import Command, Request
from trainables.core.config import build
from trainables.critic.agent.evaluation.config import AgentEvaluationCommand

COMMAND = Command(
    module="platform.evaluate",
    config_name="agent/evaluate",
    about="Evaluate an agent in new episodes, beside scripted controllers in the same ones:\n\n"
    "  python -m platform.evaluate ckpt=FOLDER",
    schemas={"agent/evaluate_schema": AgentEvaluationCommand},
)


def main(request: Request) -> int:
    """Evaluate, write report and plot, print the table; returns the exit code."""
    config = build(AgentEvaluationCommand, request.config)
    from trainables.model_evaluation.agent_report import write_report

    return write_report(config)
