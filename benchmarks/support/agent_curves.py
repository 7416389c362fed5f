"""Learning curves of agents as a table and as a picture."""

from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.support.agent_runs import Curve, seeds_of
from trainables.core.formatting import format_interval
from trainables.critic.environment.controller import CONTROLLERS
from trainables.eval.detection.calibration import wilson
from trainables.eval.plot_style import DPI

TERA = 1e12


@dataclass(frozen=True)
class Reference:
    """Success of a controller, or of random actions, in the same episodes."""

    layout: str
    name: str
    success: float
    seconds: float


def table(curves: list[Curve], rows: list[Reference], episodes: int) -> str:
    """Return the last epochs and the references as text."""
    head = f"{'layout':<11}{'agent':<33}{'depth':>6}{'seed':>5}{'steps':>9}{'updates':>9}{'TFLOP':>8}{'CPU s':>7}"
    lines = [f"{head}{'success [95 %]':>24}{'seconds':>9}{'95 % after':>12}"]
    for one in curves:
        run, last, needed = one.run, one.points[-1], one.steps_needed
        shown = format_interval(last.success, *wilson(last.success, episodes))
        reached = "never" if needed is None else str(needed)
        lines.append(
            f"{run.layout:<11}{run.name:<33}{run.depth:>6}{run.seed:>5}{last.environment_steps:>9}{one.updates:>9}"
            f"{one.flops / TERA:>8.2f}{one.cpu_s:>7.0f}{shown:>24}{last.seconds:>9.2f}{reached:>12}"
        )
    for row in rows:
        shown = format_interval(row.success, *wilson(row.success, episodes))
        lines.append(f"{row.layout:<11}{row.name:<33}{'':>44}{shown:>24}{row.seconds:>9.2f}")
    return "\n".join(lines)


def picture(curves: list[Curve], rows: list[Reference]) -> Figure:
    """Return the learning curves, a panel for each layout."""
    layouts = list(dict.fromkeys(one.run.layout for one in curves))
    figure = Figure(figsize=(6.0 * len(layouts), 4.0), dpi=DPI, layout="constrained")
    for axis, layout in zip(figure.subplots(1, len(layouts), squeeze=False)[0], layouts, strict=True):
        draw_curves(axis, [one for one in curves if one.run.layout == layout])
        for row in rows:
            if row.layout == layout and row.name in CONTROLLERS:
                axis.axhline(row.success, color="0.6", linestyle=":" if row.name == "proportional" else "--")
        axis.set(title=layout.replace("_", " "), xlabel="steps of the environment", ylabel="success", ylim=(0.0, 1.02))
        axis.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2)
    return figure


def draw_curves(axis: Axes, curves: list[Curve]) -> None:
    """Draw each run, seeds in one colour; those without steps of the environment as the level that they end at."""
    kinds = list(dict.fromkeys((one.run.name, one.run.depth) for one in curves))
    names, depths = ({kind[at] for kind in kinds} for at in range(2))
    for one in curves:
        run = one.run
        colour = f"C{kinds.index((run.name, run.depth))}"
        parts = [run.name.replace("_", " ")] if len(names) > 1 or len(depths) == 1 else []
        label = ", ".join([*parts, f"depth {run.depth}"] if len(depths) > 1 else parts)
        shown = label if run.seed == seeds_of(curves, run)[0] else None
        steps = [point.environment_steps for point in one.points]
        if steps[-1] == 0:
            axis.axhline(one.points[-1].success, color=colour, linewidth=0.8, label=shown)
        else:
            axis.plot(steps, [point.success for point in one.points], color=colour, marker=".", label=shown)
