"""Configuration of the reaching environment; it imports no torch."""

import math
from dataclasses import dataclass, field
from typing import Annotated

from trainables.core.bounds import Choice, Length, NonNegativeFloat, PositiveFloat, PositiveInt, Range, check
from trainables.core.config import require

LAYOUT_NAMES = ("free", "obstacles", "u_maze")  # the keys of `trainables.critic.environment.layouts.LAYOUTS`
PixelRange = Annotated[tuple[PositiveFloat, ...], Length(2, 2)]


@dataclass(frozen=True)
class MotorConfig:
    """How an action becomes a movement: see `trainables.critic.environment.motor`."""

    # of an axis, at an action of 1: 100 px in a 60 Hz step; some action then makes 97 % of the steps of the default
    # recordings on ways of up to 900 px
    max_speed_px_s: PositiveFloat = 6000.0
    time_constant_s: PositiveFloat = 0.04  # of the muscle, as in Todorov (2005)
    noise: NonNegativeFloat = 0.103  # standard deviation over command, as in van Beers et al. (2004)

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class ReachingConfig:
    """A screen, the episodes that are drawn on it, and what counts as a success."""

    width_px: Annotated[int, Range(ge=2)] = 1920  # of the screen
    height_px: Annotated[int, Range(ge=2)] = 1080  # of the screen
    layout: Annotated[str, Choice(LAYOUT_NAMES)] = "free"  # obstacles
    detour: bool = False  # only episodes whose straight way meets an obstacle
    distance_px: PixelRange = (30.0, 900.0)  # from start to target; those of most recordings
    target_width_px: PixelRange = (20.0, 100.0)  # diameter of the target: from a small icon to a large button
    slow_px_s: PositiveFloat = 100.0  # speed below which the pointer rests: steps of less than two pixels
    dwell_steps: PositiveInt = 6  # steps at rest in the target that are a success: 100 ms
    max_steps: PositiveInt = 180  # of an episode: 3 s
    motor: MotorConfig = field(default_factory=MotorConfig)  # from action to movement

    def __post_init__(self) -> None:
        check(self)
        require(
            not self.detour or self.layout != "free",
            "a layout with obstacles where `detour=True`",
            f"layout={self.layout}",
            "take obstacles or u_maze",
        )
        for name in ("distance_px", "target_width_px"):
            low, high = getattr(self, name)
            require(low <= high, f"`{name}` from low to high", f"{name}=[{low:g}, {high:g}]", "swap them")
        narrow, wide = min(self.width_px, self.height_px) - 1, self.target_width_px[1]
        got = f"target_width_px up to {wide:g} on {self.width_px} x {self.height_px} px"
        require(wide <= narrow, "targets that fit on the screen", got, f"lower it to {narrow} or less")
        longest, least = math.hypot(self.width_px - 1, self.height_px - 1), self.distance_px[0]
        got = f"distance_px from {least:g} on {self.width_px} x {self.height_px} px"
        require(least < longest, "targets at a distance that is on the screen", got, "lower it")
        require(
            self.dwell_steps <= self.max_steps,
            "`dwell_steps <= max_steps`",
            f"dwell_steps={self.dwell_steps}, max_steps={self.max_steps}",
            "a shorter episode has no success",
        )
