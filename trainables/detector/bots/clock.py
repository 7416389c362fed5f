"""Timing of a bot: the interval of its events, its rests, and its progress at each event.

A script sets the position, sleeps and repeats; the sleep overshoots. Some wait before they start, stall once on the
way, or rest on the target before they click. The requested duration is kept: the movement takes what the rests leave.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from trainables.data.canonical import Canonical
from trainables.data.observation import PERIOD_MS
from trainables.detector.bots.events import requested_steps
from trainables.detector.bots.ranges import chance, log_uniform, occasional, uniform

INTERVAL_MS = (4.0, 20.0)  # from tight loops and 125 Hz polling to WebDriver's 17 ms and a 50 Hz loop
SLOW = (0.2, (20.0, 60.0))  # probability and intervals of scripts that sleep 50 ms a step: some published bots do
OVERSHOOT = (0.0, 0.3)  # mean lateness of a sleep over the interval: from a spinning loop to a busy desktop
LEAD = (0.4, (0.0, 0.10))  # probability and share of the duration; a tenth of users start later than 7 % of it
STALL = (0.15, (0.05, 0.20))  # a garbage collection or a slow page; a quarter of users rest 4 steps or more on the way
STALL_AT = (0.15, 0.85)  # of the way
TAIL = (0.5, (0.02, 0.12))  # before the click; a tenth of users rest for more than 7 % of the duration


class Clock(NamedTuple):
    """Times of the events of N bots and the progress at each; a row with fewer events repeats its last one.

    Attributes:
        t_ms: From 0 to the end of the movement, not decreasing.
        progress: Share of the moving time that has passed, from 0 to 1.
    """

    t_ms: Float[Tensor, "N P"]
    progress: Float[Tensor, "N P"]


@dataclass(frozen=True, eq=False)
class Rests:
    """Shares of the duration of each rest, and `stall_at`, the share of the way at which the bot stalls."""

    lead: Float[Tensor, "N 1"]
    stall: Float[Tensor, "N 1"]
    tail: Float[Tensor, "N 1"]
    stall_at: Float[Tensor, "N 1"]

    @property
    def moving(self) -> Float[Tensor, "N 1"]:
        """Share of the duration that is left for the movement."""
        return 1.0 - self.lead - self.stall - self.tail

    def progress(self, tau: Float[Tensor, "N P"]) -> Float[Tensor, "N P"]:
        """Return the share of the way at the share `tau` of the duration; 0 at 0, 1 at 1."""
        spent = (tau - self.lead).clamp(min=0.0)
        stalled = torch.minimum((spent - self.stall_at * self.moving).clamp(min=0.0), self.stall)
        return ((spent - stalled) / self.moving).clamp(max=1.0)

    def time(self, progress: Float[Tensor, "N P"]) -> Float[Tensor, "N P"]:
        """Return the share of the duration at which a share of the way is reached: the inverse of `progress`."""
        return self.lead + progress * self.moving + self.stall * (progress > self.stall_at)


Resting = Callable[[int, torch.Generator], Rests]


def draw_rests(count: int, random: torch.Generator) -> Rests:
    """Draw the rests of each bot; together they leave more than half of the duration."""
    lead, stall, tail = (occasional(*law, count, random) for law in (LEAD, STALL, TAIL))
    return Rests(lead, stall, tail, uniform(STALL_AT, count, random))


def no_rests(count: int, random: torch.Generator) -> Rests:
    """Return no rests, for bots that move from the first event to the last."""
    none = torch.zeros(count, 1, dtype=torch.float64)
    return Rests(none, none, none, none)


def draw_duration_ms(like: Canonical, random: torch.Generator) -> Float[Tensor, "N 1"]:
    """Draw a duration that is observed as the requested number of steps: that is the nearest number of periods."""
    return (requested_steps(like)[:, None] + uniform((-0.499, 0.499), len(like), random)) * PERIOD_MS


def draw_interval_ms(count: int, random: torch.Generator) -> Float[Tensor, "N 1"]:
    """Draw the interval of each bot's events."""
    usual, slow = log_uniform(INTERVAL_MS, count, random), log_uniform(SLOW[1], count, random)
    return torch.where(chance(SLOW[0], count, random), slow, usual)


def draw_times(duration_ms: Float[Tensor, "N 1"], random: torch.Generator) -> Float[Tensor, "N P"]:
    """Draw event times from 0 to the duration: sleeps of a bot's own interval, each late by an exponential share."""
    count, most = len(duration_ms), math.ceil(float(duration_ms.max()) / INTERVAL_MS[0])
    interval, overshoot = draw_interval_ms(count, random), uniform(OVERSHOOT, count, random)
    late = torch.empty(count, most, dtype=torch.float64).exponential_(generator=random)
    sleeps = interval * (1.0 + overshoot * late)
    return torch.minimum(torch.cat([torch.zeros(count, 1), sleeps.cumsum(dim=1)], dim=1), duration_ms)


def draw_clock(like: Canonical, random: torch.Generator, resting: Resting = draw_rests) -> Clock:
    """Draw events and rests of one bot per row of `like`, over the requested duration."""
    duration_ms, rests = draw_duration_ms(like, random), resting(len(like), random)
    t_ms = draw_times(duration_ms, random)
    return Clock(t_ms, rests.progress(t_ms / duration_ms))
