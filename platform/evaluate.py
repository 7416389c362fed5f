"""`python -m platform.evaluate`: evaluate a checkpoint by its kind, or any file of samples.

    python -m platform.evaluate ckpt=FOLDER
    python -m platform.evaluate samples=FILE.parquet split=test

A generator's samples are compared with held-out users (`trainables.model_evaluation.evaluate_generator`); a detector is
evaluated on users and bots outside its training, and gets its model card (`trainables.detector.evaluate`); a critic is
compared with distance and extrapolation (`trainables.model_evaluation.evaluate_critic`), an agent with scripted
controllers (`trainables.model_evaluation.evaluate_agent`). They import torch when the work begins, so that `--help`
starts without it.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from trainables.core.cli import run
from trainables.core.command import Command, Request
from trainables.core.config import build
from trainables.critic.agent.evaluation.config import AgentEvaluationCommand
from trainables.critic.evaluation.config import CriticEvaluationCommand
from trainables.detector import evaluate as detector
from trainables.detector.evaluation.config import DetectorEvaluationCommand
from trainables.eval import diffusion_eval as generator
from trainables.model_evaluation import evaluate_agent as agent
from trainables.model_evaluation import evaluate_critic as critic
from trainables.model_evaluation.config import EvalConfig
from trainables.training.checkpoint_record import CheckpointError, load_record

ABOUT = """
Evaluate a checkpoint of any kind, or a file of samples, on users outside its training.

  python -m platform.evaluate ckpt=FOLDER                                   a generator, a detector, a critic, an agent
  python -m platform.evaluate ckpt=FOLDER metrics=[c2st,mmd,prd,kinematics,spectra]
  python -m platform.evaluate ckpt=FOLDER crossfit=5                        five models, to evaluate all users
  python -m platform.evaluate ckpt=FOLDER bots=bots.parquet users=users.parquet          a detector on your recordings
  python -m platform.evaluate ckpt=FOLDER agent_checkpoint=FOLDER           a detector on the movements of an agent
  python -m platform.evaluate ckpt=FOLDER leave_one_out=results/leave_one_out/leave_one_out.json
  python -m platform.evaluate ckpt=FOLDER leave_one_source_out=true         models trained without each source in turn
  python -m platform.evaluate samples=FILE.parquet split=test               movements made elsewhere
  python -m platform.evaluate samples=[A.parquet,B.parquet] split=test      files side by side, with their differences

The keys are those of the kind that ckpt holds; `--help ckpt=FOLDER` prints them.
"""


def keys_of(config: type[Any]) -> frozenset[str]:
    """Return the keys of a command's configuration."""
    return frozenset(field.name for field in fields(config))


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of one kind.

    Attributes:
        command: Its own command.
        config: Configuration of that command.
        name: As it is called in a refusal, in the singular and in the plural.
    """

    command: Command
    config: type[Any]
    name: tuple[str, str]


EVALUATIONS: Mapping[str, Evaluation] = {
    "generator": Evaluation(generator.COMMAND, EvalConfig, ("a generator or a file", "generators and files")),
    "detector": Evaluation(detector.COMMAND, DetectorEvaluationCommand, ("a detector", "detectors")),
    "critic": Evaluation(critic.COMMAND, CriticEvaluationCommand, ("a critic", "critics")),
    "agent": Evaluation(agent.COMMAND, AgentEvaluationCommand, ("an agent", "agents")),
}


def command_of(kind: str) -> Command:
    """Return the command for one kind, which refuses the keys that other kinds alone have."""
    own = EVALUATIONS[kind]
    line = "`{{argument}}`: `{key}` is for {others}, but this is the evaluation of {kind}; leave it out"
    refused = {
        f"{key}=": line.format(key=key, others=other.name[1], kind=own.name[0])
        for other in EVALUATIONS.values()
        for key in sorted(keys_of(other.config) - keys_of(own.config))
    }
    return replace(own.command, module="platform.evaluate", about=ABOUT, refused={**own.command.refused, **refused})


COMMAND = command_of("generator")
DETECTOR_COMMAND = command_of("detector")
CRITIC_COMMAND = command_of("critic")
AGENT_COMMAND = command_of("agent")


def main(arguments: Sequence[str]) -> int:
    """Run the evaluation of the kind that `ckpt` holds; returns the exit code."""
    commands: Mapping[str, tuple[Command, Callable[[Request], int]]] = {
        "detector": (DETECTOR_COMMAND, evaluate_detector),
        "critic": (CRITIC_COMMAND, critic.main),
        "agent": (AGENT_COMMAND, agent.main),
    }
    command, work = commands.get(kind_of(arguments), (COMMAND, generator.main))
    return run(command, work, arguments)


def evaluate_detector(request: Request) -> int:
    """Evaluate a detector, or detectors that were each trained without a source; returns the exit code."""
    config = build(DetectorEvaluationCommand, request.config)
    if not config.leave_one_source_out:
        return detector.main(request)
    from trainables.model_evaluation.leave_one_source_out import leave_one_source_out

    return leave_one_source_out(config)


def kind_of(arguments: Sequence[str]) -> str:
    """Return the kind of the checkpoint that `ckpt` of the command line names; empty where none can be read."""
    given = [argument.removeprefix("ckpt=") for argument in arguments if argument.startswith("ckpt=")]
    try:
        return str(load_record(Path(given[-1])).get("kind")) if given else ""
    except CheckpointError:  # reported later
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
