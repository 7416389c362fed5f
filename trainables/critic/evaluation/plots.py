"""Plot what a critic makes of positions: f of the steps that start there towards one goal, and along movements."""

from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from trainables.critic.api import Critic
from trainables.critic.episodes import POSITION, STATE, episodes_of_split
from trainables.data.canonical import Canonical
from trainables.eval.plot_style import DPI, FAKE, REAL

CELLS = 61  # of a side of a map
REACH = 1.3  # half the side of a map, in distances of the movement
MAPS = 3


def plot_value_maps(critic: Critic, movements: Canonical, file: Path) -> None:
    """Plot a map of f around the end of movements of three distances, for a pointer at rest and a step of nothing."""
    by_distance = movements.distance_px.argsort()
    places = torch.linspace(0, len(movements) - 1, MAPS + 2)[1:-1].long()
    figure = Figure(figsize=(4.2 * MAPS, 4.0), layout="constrained")
    for axis, row in zip(figure.subplots(1, MAPS, squeeze=False)[0], by_distance[places].tolist(), strict=True):
        _plot_map(axis, critic, movements.take(torch.tensor([row])))
    figure.savefig(file, dpi=DPI)


def value_map(critic: Critic, goal: torch.Tensor, reach_px: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return offsets [G] in px, and f [G, G] (rows are y) of a pointer at rest, without a step, at each offset."""
    offset = torch.linspace(-reach_px, reach_px, CELLS)
    y, x = torch.meshgrid(offset, offset, indexing="ij")
    state = torch.zeros(CELLS * CELLS, STATE)
    state[:, :POSITION] = torch.stack([x, y], dim=-1).flatten(0, 1) + goal[:, :POSITION]
    f = critic(state, torch.zeros(len(state), 2), goal)
    return offset, f.view(CELLS, CELLS)


def _plot_map(axis: Axes, critic: Critic, movement: Canonical) -> None:
    path = episodes_of_split(movement, critic.canonical).state
    goal = path[-1:, : STATE if critic.goal_velocity else POSITION]
    offset, f = value_map(critic, goal, REACH * float(movement.distance_px))
    end = goal[0, :POSITION]
    image = axis.pcolormesh(*(np.asarray(offset + origin) for origin in end), np.asarray(f), cmap="viridis")
    axis.plot(*np.asarray(path[:, :POSITION]).T, color=FAKE, linewidth=1.2, label="movement")
    axis.plot(*np.asarray(end), marker="+", color=REAL, markersize=12, linestyle="none", label="goal")
    axis.set_aspect("equal")
    axis.invert_yaxis()  # y of a screen points down
    axis.set_title(f"f towards the goal, {float(movement.distance_px):.0f} px")
    axis.set(xlabel="x in px from the start", ylabel="y in px")
    axis.figure.colorbar(image, ax=axis, shrink=0.8)
    axis.legend(frameon=False, loc="upper left", labelcolor="white")
