"""Laws of collision: nothing enters, what is free is untouched, sliding as in plain loops, along the whole segment."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.trainables.critic.environment.oracle import moved
from trainables.critic.environment.collision import clearance, inside, keep_on_screen, slide
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.layouts import LAYOUTS, borders, rectangles
from trainables.critic.environment.tasks import last_pixel

WIDTH, HEIGHT = 320, 200
BLOCK = torch.tensor([[100.0, 50.0, 200.0, 150.0]])


def walls(layout: str) -> Tensor:
    return torch.cat([rectangles(layout, WIDTH, HEIGHT), borders(WIDTH, HEIGHT)])


def one(position: list[float], step: list[float], obstacles: Tensor = BLOCK) -> tuple[list[float], list[bool]]:
    end = slide(torch.tensor([position]), torch.tensor([step]), obstacles)
    return end.position[0].tolist(), end.blocked[0].tolist()


@pytest.mark.parametrize(
    ("start", "step", "end", "blocked"),
    [
        ((50, 100), (20, 5), (70, 105), (False, False)),  # free
        ((50, 100), (100, 10), (100, 110), (True, False)),  # slides down along the left side
        ((50, 100), (400, 0), (100, 100), (True, False)),  # does not jump across
        ((150, 20), (10, 60), (160, 50), (False, True)),  # slides right along the top
        ((100, 100), (0, 70), (100, 170), (False, False)),  # along a side
        ((100, 100), (-30, 10), (70, 110), (False, False)),  # away from a side
        ((100, 100), (30, 10), (100, 110), (True, False)),  # into the side that it touches
        ((80, 30), (20, 20), (100, 50), (True, False)),  # ends at a corner
        ((80, 30), (60, 60), (100, 90), (True, False)),  # through a corner: x is lost
        ((95, 60), (20, -20), (100, 40), (True, False)),  # slides past the corner, x stays at the side
    ],
)
def test_steps_of_which_the_end_is_known(
    start: tuple[float, float], step: tuple[float, float], end: tuple[float, float], blocked: tuple[bool, bool]
) -> None:
    found = one([float(x) for x in start], [float(x) for x in step])
    assert found == ([float(x) for x in end], list(blocked))


def test_an_inner_corner_ends_a_step() -> None:
    shelf = torch.tensor([[100.0, 0.0, 200.0, 150.0], [0.0, 100.0, 100.0, 150.0]])
    assert one([50.0, 50.0], [80.0, 90.0], shelf) == ([100.0, 100.0], [True, True])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_steps_are_those_of_plain_loops(layout: str) -> None:
    random, obstacles = torch.Generator().manual_seed(0), walls(layout).double()
    start = torch.rand(2000, 2, generator=random, dtype=torch.float64) * last_pixel(SMALL).double()
    start = start[~inside(start, obstacles)]
    step = 120.0 * torch.randn(len(start), 2, generator=random, dtype=torch.float64)
    end = slide(start, step, obstacles)
    sides = [tuple(row) for row in obstacles.tolist()]
    for row in range(len(start)):
        position, blocked = moved(start[row].tolist(), step[row].tolist(), sides)
        assert end.position[row].tolist() == pytest.approx(position, abs=1e-9)
        assert end.blocked[row].tolist() == blocked
    assert int(end.blocked.all(dim=1).sum()) >= 5
    assert int((~end.blocked).all(dim=1).sum()) >= 200


def test_without_obstacles_sliding_is_keeping_on_the_screen() -> None:
    random = torch.Generator().manual_seed(1)
    start = torch.rand(2000, 2, generator=random) * last_pixel(SMALL)
    step = 150.0 * torch.randn(2000, 2, generator=random)
    slid, kept = slide(start, step, walls("free")), keep_on_screen(start, step, last_pixel(SMALL))
    torch.testing.assert_close(slid.position, kept.position, rtol=0.0, atol=1e-3)
    assert torch.equal(slid.blocked, kept.blocked)


SMALL = ReachingConfig(width_px=WIDTH, height_px=HEIGHT, distance_px=(30.0, 200.0))
WHOLE = st.integers(-400, 400).map(float)  # whole numbers meet corners and sides exactly
ANY = st.floats(-1e4, 1e4, width=32, allow_subnormal=False)
STEPS = st.lists(st.tuples(WHOLE | ANY, WHOLE | ANY), min_size=1, max_size=12)


@given(steps=STEPS, seed=st.integers(0, 1000), layout=st.sampled_from(sorted(LAYOUTS)), whole=st.booleans())
@settings(max_examples=60, deadline=None)
def test_no_sequence_of_steps_enters_an_obstacle_or_leaves_the_screen(
    steps: list[tuple[float, float]], seed: int, layout: str, whole: bool
) -> None:
    obstacles = walls(layout)
    position = torch.rand(64, 2, generator=torch.Generator().manual_seed(seed)) * last_pixel(SMALL)
    position = position.round() if whole else position
    position = position[~inside(position, obstacles)]
    for step in steps:
        position = slide(position, torch.tensor([step]).expand(len(position), -1), obstacles).position
        assert not inside(position, obstacles).any()
        assert not inside(position.round(), obstacles).any()  # sides are whole pixels
        assert ((position >= 0.0) & (position <= last_pixel(SMALL))).all()


def test_no_step_that_is_aimed_at_a_corner_ends_inside_by_rounding() -> None:
    """400,000 steps that end within some rounding errors of a corner, on either side of it."""
    random, block = torch.Generator().manual_seed(2), torch.tensor([[640.0, 360.0, 1280.0, 720.0]])
    corner = torch.cartesian_prod(block[0, [0, 2]], block[0, [1, 3]])[torch.randint(4, (400_000,), generator=random)]
    start = corner + 200.0 * (torch.rand(400_000, 2, generator=random) - 0.5)
    start, corner = start[~inside(start, block)], corner[~inside(start, block)]
    step = corner - start + 1e-4 * torch.randn(start.shape, generator=random)
    assert inside(start + step, block).sum() > 10_000  # what would enter without a collision
    assert not inside(slide(start, step, block).position, block).any()


def test_clearance_is_the_distance_to_the_nearest_point_of_a_rectangle() -> None:
    random = torch.Generator().manual_seed(3)
    position = torch.rand(40, 2, generator=random) * 300.0
    two = torch.cat([BLOCK, torch.tensor([[10.0, 160.0, 30.0, 190.0]])])
    for row in range(40):
        near = [position[row].clamp(sides[:2], sides[2:]) for sides in two]
        least = min(float((position[row] - each).norm()) for each in near)
        assert float(clearance(position[row : row + 1], two)) == pytest.approx(least, abs=1e-4)
    assert clearance(position, torch.empty(0, 4)).isinf().all()
