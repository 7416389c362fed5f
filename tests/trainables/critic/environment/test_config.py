"""Settings and layouts: names, sides, and one line for each wrong value."""

from typing import Any

import pytest
import torch

from trainables.core.config import ConfigError, build
from trainables.critic.environment.config import ReachingConfig
from trainables.critic.environment.layouts import LAYOUTS, rectangles
from trainables.critic.environment.tasks import TaskSource

ON_SCREEN = "on 1920 x 1080 px; lower it"


@pytest.mark.parametrize("layout", LAYOUTS)
def test_obstacles_lie_on_the_screen_and_their_sides_are_whole_pixels(layout: str) -> None:
    sides = rectangles(layout, 1920, 1080)
    assert torch.equal(sides, sides.round())
    assert (sides[:, :2] < sides[:, 2:]).all()
    assert (sides >= 0).all()
    assert (sides[:, 2:] <= torch.tensor([1919.0, 1079.0])).all()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("detour", [False, True])
def test_every_layout_has_room_for_tasks(layout: str, detour: bool) -> None:
    if detour and layout == "free":
        return
    config = ReachingConfig(layout=layout, detour=detour)
    drawn = TaskSource(config, rectangles(layout, 1920, 1080), torch.Generator().manual_seed(0)).next(100)
    assert len(drawn.width) == 100


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"layout": "spiral"}, "expected `layout` in {free, obstacles, u_maze}, but got layout=spiral"),
        (
            {"target_width_px": [20.0, 1200.0]},
            f"expected targets that fit on the screen, but got target_width_px up to 1200 {ON_SCREEN} to 1079 or less",
        ),
        (
            {"distance_px": [90.0, 30.0]},
            "expected `distance_px` from low to high, but got distance_px=[90, 30]; swap them",
        ),
        (
            {"distance_px": [5000.0, 6000.0]},
            f"expected targets at a distance that is on the screen, but got distance_px from 5000 {ON_SCREEN}",
        ),
        (
            {"max_steps": 3},
            "expected `dwell_steps <= max_steps`, but got dwell_steps=6, max_steps=3; a shorter episode has no success",
        ),
        (
            {"detour": True},
            "expected a layout with obstacles where `detour=True`, but got layout=free; take obstacles or u_maze",
        ),
        ({"motor": {"noise": float("nan")}}, "motor: expected `0 <= noise < inf`, but got noise=nan"),
        ({"width_px": 1}, "expected `width_px >= 2`, but got width_px=1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_wrong_setting_is_one_line(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        build(ReachingConfig, settings)
    assert str(error.value) == message
