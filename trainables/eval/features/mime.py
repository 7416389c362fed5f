"""Features of the public random-forest test of mouse movements: 18 kinematic ones in pixels and seconds, at 125 Hz.

A movement is read at the multiples of `TICK_MS` after its first event, and at its last event, on the straight lines
between events, of whatever recorder; so the last step may be shorter. Step k has the length l_k, the time dt_k, the
velocity v_k and the speed s_k = |v_k| = l_k / dt_k. Differences are taken forwards and divided by the time of the first
step that they use: acceleration a_k = (s_k+1 - s_k) / dt_k of the speed, jerk (a_k+1 - a_k) / dt_k, the turn
theta_k = heading_k+1 - heading_k in [-pi, pi), angular velocity theta_k / dt_k. A still step has the heading 0, that of
the screen's +x: it is a turn there and back, so that stops dominate the last columns, and a turned movement has others.
Standard deviations are those of the population.

The definitions are those of the source, with one difference: what is smaller than rounding (`ROUNDING`) counts as
nothing. There a turn of 1e-15 rad has a direction, as has an exact reversal, and a last step may last 1e-14 s, so that
some columns depend on where on the screen a movement lies.

References: the repository 4LAU/MIME-mouse, METHODOLOGY.md, section 2, and features.py of commit 6ce26df (2026).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from trainables.data.canonical import Canonical, Movements, decode
from trainables.data.config import CanonicalConfig
from trainables.data.observation import PERIOD_MS, Events, Floats

TICK_MS = 8.0  # 125 Hz
MINIMUM_POINTS = 5  # at 125 Hz, which is a movement of more than 24 ms; fewer are refused
LARGEST = 1e6  # of curvature and angular velocity, which are cut there
ROUNDING = 1e-9  # relative, of turns in radians: speeds and headings closer than this are the same
SAME_TICKS = 1e-6  # ticks closer to the end than this are the end


@dataclass(frozen=True, eq=False)
class Path:
    """One movement read at 125 Hz.

    Attributes:
        t_s: Times [P] from 0.
        xy_px: Positions [P, 2] from the first one.
    """

    t_s: Floats
    xy_px: Floats

    @cached_property
    def dt_s(self) -> Floats:
        """[P - 1] Time of each step."""
        return np.diff(self.t_s)

    @cached_property
    def step_px(self) -> Floats:
        """[P - 1, 2] Displacement of each step."""
        return np.diff(self.xy_px, axis=0)

    @cached_property
    def length_px(self) -> Floats:
        """[P - 1] Length of each step."""
        return np.hypot(self.step_px[:, 0], self.step_px[:, 1])

    @cached_property
    def speed(self) -> Floats:
        """[P - 1] px/s."""
        return self.length_px / self.dt_s

    @cached_property
    def acceleration(self) -> Floats:
        """[P - 2] Change of the speed, px/s^2."""
        return np.diff(self.speed) / self.dt_s[:-1]

    @cached_property
    def jerk(self) -> Floats:
        """[P - 3] Change of the acceleration, px/s^3."""
        return np.diff(self.acceleration) / self.dt_s[:-2]

    @cached_property
    def turn_rad(self) -> Floats:
        """[P - 2] Turn from each step to the next; within rounding of 0 it is 0, within rounding of pi it is -pi."""
        heading = np.where(self.length_px > 0, np.arctan2(self.step_px[:, 1], self.step_px[:, 0]), 0.0)
        turn = (np.diff(heading) + np.pi) % (2 * np.pi) - np.pi
        turn = np.where(np.pi - np.abs(turn) > ROUNDING, turn, -np.pi)
        return np.where(np.abs(turn) > ROUNDING, turn, 0.0)

    @cached_property
    def angular_velocity(self) -> Floats:
        """[P - 2] rad/s, within `LARGEST`."""
        return np.clip(self.turn_rad / self.dt_s[:-1], -LARGEST, LARGEST)

    @cached_property
    def curvature(self) -> Floats:
        """[P - 2] |v x dv/dt| / |v|^3 of each step but the last, 1/px, up to `LARGEST`; 0 of a still step."""
        v = self.step_px / self.dt_s[:, None]
        dv = np.diff(v, axis=0) / self.dt_s[:-1, None]
        cross, cube = np.abs(v[:-1, 0] * dv[:, 1] - v[:-1, 1] * dv[:, 0]), self.speed[:-1] ** 3
        return np.minimum(np.divide(cross, cube, out=np.zeros_like(cross), where=cube > 0), LARGEST)

    @cached_property
    def net_px(self) -> Floats:
        """[2] Net displacement."""
        last: Floats = self.xy_px[-1]
        return last


def signed_mean(values: Floats) -> float:
    """Return the mean of values of both signs; exactly 0 if they cancel but for rounding."""
    mean = float(values.mean())
    return mean if abs(mean) > ROUNDING * np.abs(values).max() else 0.0


def speed_skewness(path: Path) -> float:
    """Return the third central moment of the speed over the cube of its standard deviation; 0 of a constant speed."""
    from_mean, std = path.speed - path.speed.mean(), path.speed.std()
    return float((from_mean**3).mean() / std**3) if std > ROUNDING * path.speed.max() else 0.0


def path_efficiency(path: Path) -> float:
    """Return the length of the net displacement over that of the path; 0 of a movement that never moves."""
    travelled = path.length_px.sum()
    return float(np.hypot(*path.net_px) / travelled) if travelled > 0 else 0.0


def largest_deviation(path: Path) -> float:
    """Return the largest distance from the line through start and end, in pixels; 0 where they are one point."""
    net = np.hypot(*path.net_px)
    cross = path.xy_px[:, 0] * path.net_px[1] - path.xy_px[:, 1] * path.net_px[0]
    return float(np.abs(cross).max() / net) if net > ROUNDING else 0.0


def turn_sign_changes(path: Path) -> float:
    """Return how often the sign of the turn, which is -1, 0 or 1, differs from that of the turn before."""
    return float((np.diff(np.sign(path.turn_rad)) != 0).sum())


def time_to_peak(path: Path) -> float:
    """Return the share of the duration that has passed where the first fastest step begins."""
    fastest = path.speed >= (1 - ROUNDING) * path.speed.max()
    return float(path.t_s[int(fastest.argmax())] / path.t_s[-1])


MIME: Mapping[str, Callable[[Path], float]] = {
    "speed_mean_px_s": lambda path: path.speed.mean(),
    "speed_std_px_s": lambda path: path.speed.std(),
    "speed_max_px_s": lambda path: path.speed.max(),
    "speed_skewness": speed_skewness,
    "acceleration_mean_px_s2": lambda path: signed_mean(path.acceleration),
    "acceleration_std_px_s2": lambda path: path.acceleration.std(),
    "acceleration_max_px_s2": lambda path: np.abs(path.acceleration).max(),
    "jerk_mean_px_s3": lambda path: signed_mean(path.jerk),
    "jerk_std_px_s3": lambda path: path.jerk.std(),
    "path_efficiency": path_efficiency,
    "deviation_max_px": largest_deviation,
    "curvature_mean_per_px": lambda path: path.curvature.mean(),
    "curvature_std_per_px": lambda path: path.curvature.std(),
    "turn_sign_changes": turn_sign_changes,
    "duration_s": lambda path: path.t_s[-1],
    "time_to_peak_share": time_to_peak,
    "angular_speed_mean_rad_s": lambda path: np.abs(path.angular_velocity).mean(),
    "angular_velocity_std_rad_s": lambda path: path.angular_velocity.std(),
}
"""Name with its unit -> definition, in the order of the source."""
MIME_FEATURES: tuple[str, ...] = tuple(MIME)


def mime_features(movements: Sequence[Events]) -> Float[Tensor, "N F"]:
    """Return the columns `MIME_FEATURES` of movements at the rate of their recorder, float64.

    Raises:
        ValueError: Naming the first bad row: times and positions that are not [P] and [P, 2], a value that is not
            finite, a time that decreases, or fewer than `MINIMUM_POINTS` points at 125 Hz.
    """
    paths = [_path(row, events) for row, events in enumerate(movements)]
    table = [[feature(path) for feature in MIME.values()] for path in paths]
    return torch.tensor(table, dtype=torch.float64).reshape(len(paths), len(MIME))


def observed_mime_features(movements: Movements | Canonical) -> Float[Tensor, "N F"]:
    """Return the columns `MIME_FEATURES` of movements in 60 Hz steps, as they lie on the screen, float64.

    Raises ValueError as `mime_features` does.
    """
    return mime_features(events_of(movements))


def events_of(movements: Movements | Canonical) -> list[Events]:
    """Return the points of movements in 60 Hz steps: one at the start, and one after each step."""
    if isinstance(movements, Canonical):
        movements = decode(movements, CanonicalConfig("fixed_dt", movements.mask.shape[1]))
    paths = np.pad(movements.steps_px.double().numpy(force=True), ((0, 0), (1, 0), (0, 0))).cumsum(axis=1)
    t_ms = PERIOD_MS * np.arange(paths.shape[1], dtype=np.float64)
    return [Events(t_ms[: n + 1], path[: n + 1]) for n, path in zip(movements.length.tolist(), paths, strict=True)]


def _path(row: int, events: Events) -> Path:
    """Return a movement read at 125 Hz; of events with one time stamp the last holds."""
    t_ms, xy_px = _checked(row, events)
    holds = np.append(np.diff(t_ms) > 0, True)
    t_ms, xy_px = t_ms[holds] - t_ms[0], xy_px[holds] - xy_px[0]
    inner = np.arange(np.ceil(t_ms[-1] / TICK_MS - SAME_TICKS))
    at_ms = np.append(TICK_MS * inner, t_ms[-1])
    if len(at_ms) < MINIMUM_POINTS:
        law, got = f"a movement of {MINIMUM_POINTS} points at 125 Hz", f"{len(at_ms)} in {t_ms[-1]:g} ms"
        raise ValueError(f"row {row}: expected {law}, but got {got}; leave such movements out")
    read = np.stack([np.interp(at_ms, t_ms, channel) for channel in xy_px.T], axis=1)
    return Path(at_ms / 1000, read)


def _checked(row: int, events: Events) -> tuple[Floats, Floats]:
    t_ms, xy_px = (np.asarray(part, dtype=np.float64) for part in events)
    if t_ms.ndim != 1 or len(t_ms) < 1 or xy_px.shape != (len(t_ms), 2):
        got = f"{list(t_ms.shape)} and {list(xy_px.shape)}"
        raise ValueError(
            f"row {row}: expected times [P >= 1] and positions [P, 2], but got {got}; give a row per event"
        )
    if not (np.isfinite(t_ms).all() and np.isfinite(xy_px).all()):
        bad = np.concatenate([t_ms, xy_px.ravel()])
        got = bad[~np.isfinite(bad)][0]
        raise ValueError(f"row {row}: expected finite times and positions, but got {got}; leave such movements out")
    if (np.diff(t_ms) < 0).any():
        at = int(np.argmax(np.diff(t_ms) < 0))
        got = f"{t_ms[at + 1]:g} ms after {t_ms[at]:g} ms"
        raise ValueError(f"row {row}: expected times that do not decrease, but got {got}; sort the events")
    return t_ms, xy_px
