"""Laws of drawn tasks: in their ranges, free by the definition in plain loops, uniform, in one order."""

import math

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.layouts import LAYOUTS, rectangles
from trainables.critic.environment.tasks import DRAWS, Tasks, TaskSource, allowed, draw


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def free(start: list[float], goal: list[float], width: float, sides: list[list[float]], config: ReachingConfig) -> bool:
    """Return whether a task has its place, by its definition."""
    radius = width / 2.0
    for axis, size in ((0, config.width_px), (1, config.height_px)):
        if not (0.0 <= start[axis] <= size - 1 and radius <= goal[axis] <= size - 1 - radius):
            return False
    for left, top, right, bottom in sides:
        nearest = min(max(goal[0], left), right), min(max(goal[1], top), bottom)
        if math.dist(goal, nearest) < radius or (left < start[0] < right and top < start[1] < bottom):
            return False
    return math.dist(start, goal) > radius


@pytest.mark.parametrize("layout", LAYOUTS)
def test_allowed_tasks_are_those_of_the_definition(layout: str) -> None:
    config = ReachingConfig(layout=layout, distance_px=(1.0, 900.0))
    sides = rectangles(layout, config.width_px, config.height_px)
    drawn = draw(config, 1500, seeded())
    found = allowed(drawn, config, sides).tolist()
    rows = zip(drawn.start.tolist(), drawn.goal.tolist(), drawn.width.tolist(), strict=True)
    assert found == [free(start, goal, width, sides.tolist(), config) for start, goal, width in rows]
    assert 300 < sum(found) < 1200


@pytest.mark.parametrize("layout", LAYOUTS)
def test_distances_and_widths_are_in_their_ranges(layout: str) -> None:
    config = ReachingConfig(layout=layout)
    source = TaskSource(config, rectangles(layout, 1920, 1080), seeded())
    start, goal, width = source.next(20_000)
    distance = (goal - start).norm(dim=1)
    assert float(distance.min()) == pytest.approx(30.0, abs=2.0)
    assert float(distance.max()) == pytest.approx(900.0, abs=2.0)
    assert (distance > width / 2.0).all()
    assert float(width.min()) == pytest.approx(20.0, abs=0.1)
    assert float(width.max()) == pytest.approx(100.0, abs=0.1)


def test_directions_are_uniform_where_there_is_room() -> None:
    """Rayleigh's test on short distances: the mean of n directions is longer than 4.5 / sqrt(2 n) once in 25,000."""
    config = ReachingConfig(distance_px=(30.0, 31.0), target_width_px=(1.0, 2.0))
    start, goal, _ = TaskSource(config, rectangles("free", 1920, 1080), seeded(1)).next(5000)
    direction = (goal - start) / (goal - start).norm(dim=1, keepdim=True)
    assert float(direction.mean(dim=0).norm()) < 4.5 / math.sqrt(2 * 5000)
    right = direction[direction[:, 0] > -0.8]  # a fifth of the circle left out is found
    assert float(right.mean(dim=0).norm()) > 4.5 / math.sqrt(2 * 5000)


def test_with_detours_the_straight_way_meets_an_obstacle() -> None:
    """By 2,000 points of the way in plain loops."""
    config = ReachingConfig(layout="u_maze", detour=True)
    sides = rectangles("u_maze", 1920, 1080)
    start, goal, _ = TaskSource(config, sides, seeded(2)).next(200)
    share = torch.linspace(0, 1, 2000)[:, None, None]
    points = start + share * (goal - start)
    [[left, top, right, bottom]] = sides.tolist()
    inside = (points[..., 0] > left) & (points[..., 0] < right) & (points[..., 1] > top) & (points[..., 1] < bottom)
    assert inside.any(dim=0).float().mean() > 0.98  # a corner that is met over less than half a pixel is missed


def test_tasks_come_in_one_order_whatever_is_asked_for_at_once() -> None:
    config, sides = ReachingConfig(), rectangles("free", 1920, 1080)
    one, other = (TaskSource(config, sides, seeded(3)) for _ in range(2))
    whole = one.next(2 * DRAWS)
    parts = [other.next(count) for count in (1, 0, 100, DRAWS, DRAWS - 101)]
    for at, name in enumerate(Tasks._fields):
        assert torch.equal(torch.cat([part[at] for part in parts]), whole[at]), name
    assert len(whole.start.unique(dim=0)) == 2 * DRAWS


def test_a_screen_without_room_is_one_line() -> None:
    config = ReachingConfig(width_px=110, height_px=110, target_width_px=(108.0, 109.0), distance_px=(60.0, 70.0))
    with pytest.raises(ConfigError) as error:
        TaskSource(config, rectangles("free", 110, 110), seeded())
    assert str(error.value) == (
        "expected room for targets on the screen in 0.1% of the draws or more, but got 0.00% with layout=free, "
        "distance_px and target_width_px; lower them or take a larger screen"
    )
