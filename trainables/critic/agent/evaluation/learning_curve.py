"""Plot the success of an agent against its training: each epoch of a run, with intervals over episodes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from trainables.eval.detection.calibration import wilson
from trainables.eval.plot_style import DPI, FAKE
from trainables.training.checkpoint_record import load_record
from trainables.training.metric_names import EPOCH, TRAIN_ENVIRONMENT_STEPS, TRAIN_STEPS, VAL_REACH_SUCCESS
from trainables.training.run_folder import CHECKPOINTS, RunFolder

Lines = Sequence[Mapping[str, float]]
"""Metrics by name, one mapping per epoch in their order."""


def run_of(checkpoint: Path) -> Lines:
    """Return the epochs of the run that a checkpoint belongs to, up to its own; none where it stands in no run."""
    folder = checkpoint.resolve().parent
    if folder.name != CHECKPOINTS:
        return ()
    last = load_record(checkpoint)["epoch"]
    return [line for line in RunFolder(folder.parent, ()).metrics() if line[EPOCH] <= last]


def plot_learning(lines: Lines, episodes: int, references: Mapping[str, float], file: Path) -> None:
    """Plot success against steps of the environment, or against updates where there are none.

    Args:
        lines: Epochs of a run.
        episodes: Of each evaluation, for Wilson's 95 % intervals.
        references: Success of controllers in the same episodes, by name.
    """
    online = lines[-1][TRAIN_ENVIRONMENT_STEPS] > 0
    steps = [line[TRAIN_ENVIRONMENT_STEPS] if online else line.get(TRAIN_STEPS, 0.0) for line in lines]
    success = [line[VAL_REACH_SUCCESS] for line in lines]
    low, high = zip(*(wilson(value, episodes) for value in success), strict=True)
    figure = Figure(figsize=(7.0, 4.0), layout="constrained")
    axis = figure.subplots()
    axis.fill_between(steps, low, high, color=FAKE, alpha=0.25, linewidth=0, label="95 %")
    axis.plot(steps, success, color=FAKE, marker=".", label="agent, without exploration")
    for at, (name, value) in enumerate(references.items()):
        axis.axhline(value, color="0.5", linestyle=("--", ":")[at % 2], label=name)
    axis.set(xlabel="steps of the environment" if online else "updates", ylabel="success", ylim=(-0.02, 1.02))
    axis.legend(frameon=False, loc="lower right")
    figure.savefig(file, dpi=DPI)
