"""Configurations of a detector's evaluation: of its report, and of the commands that write one; without torch."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Annotated

from trainables.core.bounds import AnyInt, Checkpoint, Choice, Distinct, Length, PositiveInt, Range, check
from trainables.core.config import require
from trainables.detector.config import FAMILY_NAMES
from trainables.eval.intervals.config import BootstrapConfig

REFUSED_SPLITS = {
    "validation": "the thresholds are fitted on the validation split",
    "holdout": "the holdout split is reserved for the promotion",
}
DetectorSplit = Annotated[str, Choice(("test",), remedies=REFUSED_SPLITS)]
"""Split that a detector may be evaluated on."""


@dataclass(frozen=True)
class DetectorReportConfig:
    """Target FPRs, sizes of sessions, and intervals of a report."""

    # target FPRs, falling: shares of users' movements that may be flagged; the first one orders the tables
    fprs: Annotated[tuple[Annotated[float, Range(gt=0, lt=1)], ...], Length()] = (0.01, 0.001)
    bins: PositiveInt = 15  # bins of the reliability table
    # movements per session in the tables of sessions, rising
    movements: Annotated[tuple[PositiveInt, ...], Length()] = (1, 3, 5, 10)
    bootstrap: BootstrapConfig = field(default_factory=BootstrapConfig)
    seed: AnyInt = 20240  # seed of the intervals

    def __post_init__(self) -> None:
        check(self)
        falling = all(high > low for high, low in pairwise(self.fprs))
        require(falling, "`fprs` to be falling", f"fprs={self.fprs}")
        rising = all(low < high for low, high in pairwise(self.movements))
        require(rising, "`movements` to be rising", f"movements={self.movements}")


@dataclass(frozen=True)
class DetectorEvaluationCommand:
    """Detector and data of an evaluation."""

    ckpt: Checkpoint = ""  # checkpoint folder of the detector
    out_dir: str = "evaluation"  # folder to write
    split: DetectorSplit = "test"  # split of the recordings
    bots: str = ""  # table of recordings of third-party bots: style, trajectory_id, t_ms, x, y
    users: str = ""  # table of recordings of users of other sources
    agent_checkpoint: str = ""  # checkpoint folder of an agent that is evaluated as a family of bots
    # leave_one_out.json of detectors with the same configuration, for the card
    leave_one_out: str = ""
    leave_one_source_out: bool = False  # train a model without each source in turn, and evaluate it on that source
    seed: AnyInt = 7  # seed of the bots
    report: DetectorReportConfig = field(default_factory=DetectorReportConfig)

    def __post_init__(self) -> None:
        check(self)
        alone = not (
            self.leave_one_source_out and (self.bots or self.users or self.agent_checkpoint or self.leave_one_out)
        )
        law = "`leave_one_source_out` without bots, users, agent_checkpoint and leave_one_out"
        require(alone, law, "others", "leave them out")


@dataclass(frozen=True)
class FoldsConfig:
    """Families that are left out, one at a time, and data on which the detectors are evaluated."""

    out_dir: str = "results/leave_one_out"  # folder to write
    # families of scripted bots that are left out, one at a time
    families: Annotated[tuple[Annotated[str, Choice(FAMILY_NAMES)], ...], Length(), Distinct()] = FAMILY_NAMES
    # checkpoint folder of an agent that is one more family: all detectors but one are trained on it; empty: it is none
    agent_checkpoint: str = ""
    split: DetectorSplit = "test"  # split of the recordings that the detectors are evaluated on
    bots: str = ""  # table of recordings of third-party bots: style, trajectory_id, t_ms, x, y
    seed: AnyInt = 7  # seed of the bots
    report: DetectorReportConfig = field(default_factory=DetectorReportConfig)

    def __post_init__(self) -> None:
        check(self)

    @property
    def folds(self) -> tuple[str, ...]:
        """All families that are left out, the agent last."""
        return (*self.families, "agent") if self.agent_checkpoint else self.families
