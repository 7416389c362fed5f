"""Plot the learning curves of a study."""

from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from platform.study.ranking import RankedTrial
from trainables.eval.two_sample.null_band import NullBand
from trainables.metric_registry import METRICS
from trainables.training.metric import MetricSet

MARGIN = 0.08  # below chance, where a headline has one


def plot_learning_curves(
    trials: list[RankedTrial], scheduler_metric: str, metric_set: MetricSet, band: NullBand | None, file: Path
) -> None:
    """Plot the headline metric of every trial over its epochs above the real-against-real band.

    Args:
        scheduler_metric: Metric of their histories: the headline.
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    if band is not None:
        axis.axhspan(band.low, band.high, color="#009e73", alpha=0.2, label="no difference, 95 %")
    for rank, trial in enumerate(trials):
        epochs = sorted(trial.history)
        values = [trial.history[epoch] for epoch in epochs]
        best = rank == 0
        axis.plot(
            epochs,
            values,
            color="#d55e00" if best else "#999999",
            linewidth=2.2 if best else 1.0,
            marker="o",
            markersize=4 if best else 2,
            zorder=3 if best else 2,
            label=f"trial {trial.number} (best)" if best else ("other trials" if rank == 1 else None),
        )
    chance = METRICS[metric_set.headline].chance
    axis.set_xlabel("epoch (0: untrained)")
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_ylabel(metric_set.headline_title)
    axis.set_ylim(-0.02 if chance is None else chance - MARGIN, 1.02 if chance is None else None)
    axis.legend(frameon=False)
    figure.savefig(file, dpi=110)
