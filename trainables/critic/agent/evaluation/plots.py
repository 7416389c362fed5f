"""Plot the ways of an agent from the start to the target, and beside them those of users."""

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from torch import Tensor

from trainables.core.seeding import generator
from trainables.critic.agent.api import Agent
from trainables.critic.agent.collect import Act, origin_of, seen_from
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.layouts import rectangles
from trainables.critic.environment.reaching import Reaching
from trainables.critic.episodes import POSITION, episodes_of_split
from trainables.data.canonical import Canonical
from trainables.eval.plot_image import PlotTarget
from trainables.eval.plot_style import DPI, FAKE, REAL

EPISODES = 12  # of a panel


def plot_trajectories(agent: Agent, movements: Canonical, file: PlotTarget) -> None:
    """Plot episodes of an agent, without exploration and with it, beside movements of users, a dot per 60 Hz step."""
    config, coordinates = agent.config.environment, agent.config.coordinates
    figure = Figure(figsize=(15.0, 4.0), layout="constrained")
    quiet, noisy, users = figure.subplots(1, 3)
    plot_episodes(quiet, agent.act, config, coordinates, seed=0)
    plot_episodes(noisy, agent.sampling(generator(0, "plotted actions")), config, coordinates, seed=0)
    quiet.set_title("agent, without exploration")
    noisy.set_title("agent, actions of the policy")
    _plot_movements(users, agent, movements)
    figure.savefig(file, dpi=DPI)


def plot_episodes(
    axis: Axes, act: Act, config: ReachingConfig, coordinates: str, seed: int, colour: str = FAKE
) -> None:
    """Draw the first episodes of some copies, from the ring to the disc."""
    environment = Reaching(config, EPISODES, generator(seed, "plotted episodes"))
    origin, (_, goal, width) = origin_of(environment.observation, coordinates), environment.observation
    states, running = [environment.observation.state], []
    for _ in range(config.max_steps):
        result = environment.step(act(*seen_from(origin, environment.observation.state, goal)))
        states.append(result.final_state)
        running.append(result.episode < EPISODES)
    for left, top, right, bottom in rectangles(config.layout, config.width_px, config.height_px).tolist():
        axis.add_patch(Rectangle((left, top), right - left, bottom - top, color="0.75"))
    ways, lengths = torch.stack(states)[..., :POSITION], torch.stack(running).sum(dim=0)
    for copy in range(EPISODES):
        centre = (float(goal[copy, 0]), float(goal[copy, 1]))
        axis.add_patch(Circle(centre, float(width[copy]) / 2.0, color=colour, alpha=0.25, linewidth=0))
        _draw_way(axis, ways[: int(lengths[copy]) + 1, copy], colour)
    _frame(axis, config)


def _plot_movements(axis: Axes, agent: Agent, movements: Canonical) -> None:
    """Draw movements of users on ways that the tasks have too, each from a place where it lies on the screen."""
    config = agent.config.environment
    low, high = config.distance_px
    fits = ((movements.distance_px >= low) & (movements.distance_px <= high)).nonzero().squeeze(1)
    chosen = fits[torch.linspace(0, len(fits) - 1, min(EPISODES, len(fits))).long()]
    found = episodes_of_split(movements.take(chosen), agent.config.data.canonical)
    size = torch.tensor([float(config.width_px), float(config.height_px)])
    random = generator(0, "plotted movements")
    for state in found.state.split(found.length.tolist()):
        way = state[:, :POSITION]
        least, room = way.amin(dim=0), size - (way.amax(dim=0) - way.amin(dim=0))
        _draw_way(axis, way - least + room.clamp(min=0.0) * torch.rand(POSITION, generator=random), REAL)
    _frame(axis, config)
    axis.set_title("users")


def _draw_way(axis: Axes, way: Tensor, colour: str) -> None:
    axis.plot(way[:, 0], way[:, 1], color=colour, linewidth=0.8, marker=".", markersize=3)
    axis.plot(*way[0].tolist(), color="0.2", marker="o", markersize=5, fillstyle="none")


def _frame(axis: Axes, config: ReachingConfig) -> None:
    axis.set(xlim=(0, config.width_px - 1), ylim=(config.height_px - 1, 0), aspect="equal", xticks=[], yticks=[])
