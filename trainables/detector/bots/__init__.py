"""Scripted bots by style and family: the first negatives of a detector, and the unseen families of its evaluation.

Every bot makes timed events under the conditions of recordings (distance, direction, duration, group and target of
each row), which then pass the observation model of the recordings. It ends on the requested displacement, each
coordinate rounded to whole pixels once, and takes the requested number of steps, so that every movement is usable.
Styles of one family share a mechanism and are held out together.
"""

from trainables.detector.bots.bot import Bot
from trainables.detector.bots.kinematic import KINEMATIC
from trainables.detector.bots.noise import NOISE
from trainables.detector.bots.pid import PID
from trainables.detector.bots.replay import REPLAY
from trainables.detector.bots.spline import SPLINE
from trainables.detector.bots.straight import STRAIGHT
from trainables.detector.bots.windmouse import WINDMOUSE

__all__ = ["BOTS", "FAMILIES", "Bot"]

BOTS: dict[str, Bot] = {**STRAIGHT, **SPLINE, **PID, **WINDMOUSE, **KINEMATIC, **NOISE, **REPLAY}
FAMILIES: dict[str, tuple[str, ...]] = {
    family: tuple(style for style, bot in BOTS.items() if bot.family == family)
    for family in dict.fromkeys(bot.family for bot in BOTS.values())
}
