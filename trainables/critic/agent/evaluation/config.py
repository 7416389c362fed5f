"""Configuration of an agent's evaluation, without torch."""

from dataclasses import dataclass

from trainables.core.bounds import AnyInt, Checkpoint, PositiveInt, check
from trainables.critic.evaluation.config import CriticSplit


@dataclass(frozen=True)
class AgentEvaluationCommand:
    """Agent and tasks of an evaluation."""

    ckpt: Checkpoint = ""  # checkpoint folder of the agent
    out_dir: str = "evaluation"  # folder to write
    split: CriticSplit = "test"  # tasks of this name, and the recordings that are drawn beside the agent
    eval_seeds: PositiveInt = 3  # sets of tasks, over which the metrics are means
    seed: AnyInt = 7  # seed of the first of them
    # write the agent's movements between the ends of those of the split too, as a file of samples
    movements: bool = False

    def __post_init__(self) -> None:
        check(self)
