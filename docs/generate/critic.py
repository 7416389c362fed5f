"""`python -m docs.generate.critic CRITIC AGENT`: write the pictures of docs/critic.md into docs/images/.

`values.png` shows f around the ends of three recorded movements, `agent.png` recorded movements beside those of an
agent between the same ends, and `learning.png` the learning curves of both runs. Recordings are those that
`docs.generate.movements` draws, without times and positions.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from docs.generate.movements import COLUMNS, DPI, PICTURE, ROWS, draw, shown, write
from trainables.critic.agent.api import load_agent
from trainables.critic.api import Critic, load_critic
from trainables.critic.episodes import POSITION, STATE, episodes_of_split
from trainables.critic.evaluation.plots import value_map
from trainables.data.canonical import Canonical
from trainables.detector.dataset.agent_bots import read_agent
from trainables.eval.plot_style import FAKE
from trainables.model_evaluation.agent_report import learning_curve
from trainables.model_evaluation.critic_report import CURVE
from trainables.model_evaluation.learning_curve import draw_learning_curve
from trainables.training.run_folder import epochs_of

IMAGES = PICTURE.parent
MAPS, REACH = 3, 1.3  # half the side of a map is so many distances of the movement
LEVELS, COLOURS = 24, 64


def draw_maps(critic: Critic, movements: Canonical) -> Figure:
    """Return the figure of three movements: of distances at a quarter, a half and three quarters of all."""
    order = movements.distance_px.argsort()
    rows = order[torch.linspace(0, len(order) - 1, MAPS + 2)[1:-1].long()]
    figure = Figure(figsize=(9.0, 3.2), dpi=DPI, layout="constrained", facecolor="white")
    for axis, row in zip(figure.subplots(1, MAPS), rows.tolist(), strict=True):
        draw_map(axis, critic, movements.take(torch.tensor([row])))
    return figure


def draw_map(axis: Axes, critic: Critic, movement: Canonical) -> None:
    """Draw f of a pointer at rest around the end of a movement, and the movement from the ring to the dot."""
    path = episodes_of_split(movement, critic.canonical).state
    goal = path[-1:, : STATE if critic.goal_velocity else POSITION]
    offset, f = value_map(critic, goal, REACH * float(movement.distance_px))
    places = [np.asarray(offset + end) for end in goal[0, :POSITION]]
    axis.contourf(*places, np.asarray(f), levels=LEVELS, cmap="viridis")
    way = np.asarray(path[:, :POSITION])
    axis.plot(*way.T, color="white", linewidth=1.0, marker=".", markersize=4)
    axis.plot(*way[0], color="white", marker="o", markersize=7, fillstyle="none")
    axis.plot(*way[-1], color=FAKE, marker="o", markersize=6)
    axis.set(aspect="equal", xticks=[], yticks=[])
    axis.invert_yaxis()  # y of a screen points down


def pairs(agent: Path, movements: Canonical, critic: Critic, seed: int) -> tuple[Canonical, Canonical]:
    """Return recorded movements, and those of an agent between the same ends."""
    made = read_agent(agent, movements, critic.canonical, seed)
    first = torch.arange(ROWS * COLUMNS)
    return movements.take(made.rows[first]), made.bots.canonical.take(first)


def draw_curves(critic: Path, agent: Path) -> Figure:
    """Return the figure of the learning curves of the runs of two checkpoints."""
    figure = Figure(figsize=(9.0, 3.4), dpi=DPI, layout="constrained", facecolor="white")
    of_critic, of_agent = figure.subplots(1, 2)
    draw_learning_curve(of_critic, CURVE, epochs_of(critic))
    log = epochs_of(agent)
    draw_learning_curve(of_agent, learning_curve(load_agent(agent).config, log), log)
    return figure


def main() -> None:
    """Draw and write the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("critic", type=Path, help="folder of a critic's checkpoint, in the folder of its run")
    parser.add_argument("agent", type=Path, help="folder of an agent's checkpoint, in the folder of its run")
    parser.add_argument("--seed", type=int, default=3, help="of the choice of recordings and of the agent's episodes")
    parser.add_argument("--output", type=Path, default=IMAGES, help="folder of the pictures")
    arguments = parser.parse_args()
    critic, movements = load_critic(arguments.critic), shown(arguments.critic, arguments.seed)
    write(draw_maps(critic, movements), arguments.output / "values.png", COLOURS)
    made = pairs(arguments.agent, movements, critic, arguments.seed)
    write(draw(*made, "agent"), arguments.output / "agent.png")
    write(draw_curves(arguments.critic, arguments.agent), arguments.output / "learning.png")


if __name__ == "__main__":
    main()
