"""The 18 features at 125 Hz: movements whose values follow by hand, the definitions in loops, both rates, refusals."""

import math

import numpy as np
import numpy.typing as npt
import pytest
import torch

from trainables.data.canonical import Canonical, encode, pack, usable
from trainables.data.config import CanonicalConfig
from trainables.data.observation import PERIOD_MS, Events
from trainables.data.readers.recordings import Recording, read_recordings
from trainables.data.splits.parts import observe_recordings
from trainables.eval.features.mime import MIME_FEATURES, TICK_MS, events_of, mime_features, observed_mime_features

Floats = npt.NDArray[np.float64]
FORM = CanonicalConfig("fixed_dt", 128)
DT_S = TICK_MS / 1000


def of(t_ms: Floats, xy_px: Floats) -> dict[str, float]:
    """Features of one movement."""
    [row] = mime_features([Events(t_ms, xy_px)]).tolist()
    return dict(zip(MIME_FEATURES, row, strict=True))


def at_ticks(*xy_px: tuple[float, float]) -> dict[str, float]:
    """Features of a movement with an event at every tick of 125 Hz."""
    return of(TICK_MS * np.arange(float(len(xy_px))), np.array(xy_px, dtype=np.float64))


def test_names_are_eighteen_and_different() -> None:
    assert len(set(MIME_FEATURES)) == len(MIME_FEATURES) == 18


@pytest.mark.parametrize("angle", [0.0, 0.7, math.pi / 2, -2.5])
@pytest.mark.parametrize("period_ms", [8.0, 10.0, PERIOD_MS])
def test_a_straight_uniform_movement(angle: float, period_ms: float) -> None:
    """500 px/s for 0.3 s in any direction, from any recorder and anywhere on the screen."""
    t_ms = np.append(np.arange(0, 300.0 - 1e-9, period_ms), 300.0)
    direction = np.array([math.cos(angle), math.sin(angle)])
    found = of(t_ms + 12_345, np.array([812.3, 407.9]) + 0.5 * t_ms[:, None] * direction)
    exact = {"speed_mean_px_s": 500, "speed_max_px_s": 500, "path_efficiency": 1, "duration_s": 0.3}
    for name, value in found.items():
        scale = 500 / DT_S**2 if "px_s" in name else 1.0  # of the rounding of a difference
        assert value == pytest.approx(exact.get(name, 0.0), abs=1e-9 * scale), name
    for name in ("speed_skewness", "turn_sign_changes", "time_to_peak_share", "angular_speed_mean_rad_s"):
        assert found[name] == 0.0


def test_a_half_circle() -> None:
    """A polygon of equal chords: each turns by w dt, and its curvature is cos(w dt / 2) / R."""
    radius, steps = 200.0, 50
    turn = math.pi / steps
    angle = turn * np.arange(steps + 1)
    found = of(TICK_MS * np.arange(steps + 1.0), radius * np.stack([1 - np.cos(angle), np.sin(angle)], axis=1))
    chord = 2 * radius * math.sin(turn / 2)
    assert found["speed_mean_px_s"] == pytest.approx(chord / DT_S)
    assert found["speed_std_px_s"] == pytest.approx(0, abs=1e-8)
    assert found["speed_skewness"] == 0
    assert found["path_efficiency"] == pytest.approx(2 * radius / (steps * chord))
    assert found["deviation_max_px"] == pytest.approx(radius)
    assert found["curvature_mean_per_px"] == pytest.approx(math.cos(turn / 2) / radius)
    assert found["curvature_std_per_px"] == pytest.approx(0, abs=1e-12)
    assert found["angular_speed_mean_rad_s"] == pytest.approx(turn / DT_S)
    assert found["angular_velocity_std_rad_s"] == pytest.approx(0, abs=1e-9)
    assert found["turn_sign_changes"] == 0
    assert found["duration_s"] == pytest.approx(steps * DT_S)


def test_a_constant_acceleration() -> None:
    """Steps of 8, 16, ... 40 px: speeds of 1,000 to 5,000 px/s, each 1,000 px/s over one tick after the other."""
    found = at_ticks(*((4.0 * k * (k + 1), 0.0) for k in range(6)))
    assert found["speed_mean_px_s"] == pytest.approx(3000)
    assert found["speed_std_px_s"] == pytest.approx(1000 * math.sqrt(2))
    assert found["speed_max_px_s"] == pytest.approx(5000)
    assert found["speed_skewness"] == pytest.approx(0, abs=1e-12)
    assert found["acceleration_mean_px_s2"] == pytest.approx(1000 / DT_S)
    assert found["acceleration_max_px_s2"] == pytest.approx(1000 / DT_S)
    assert found["acceleration_std_px_s2"] == pytest.approx(0, abs=1e-6)
    assert found["jerk_mean_px_s3"] == pytest.approx(0, abs=1e-3)
    assert found["time_to_peak_share"] == pytest.approx(4 / 5)


def test_skewness_and_jerk_of_a_single_fast_step() -> None:
    """Speeds 1, 1, 1, 1, 6 times 1,000 px/s: mean 2, deviations -1 (four times) and 4, in thousands."""
    found = at_ticks((0, 0), (8, 0), (16, 0), (24, 0), (32, 0), (80, 0))
    assert found["speed_std_px_s"] == pytest.approx(2000)
    assert found["speed_skewness"] == pytest.approx((4 * -1 + 64) / 5 / 8)
    assert found["acceleration_mean_px_s2"] == pytest.approx(5000 / DT_S / 4)
    assert found["jerk_mean_px_s3"] == pytest.approx(5000 / DT_S**2 / 3)
    assert found["jerk_std_px_s3"] == pytest.approx(5000 / DT_S**2 * math.sqrt(2) / 3)


def test_a_still_step_has_the_heading_of_the_screens_x_axis() -> None:
    """Up, up, still, up, up: turns of 0, -90, 90 and 0 degrees; to the right there is no turn at all."""
    up = at_ticks((0, 0), (0, 8), (0, 16), (0, 16), (0, 24), (0, 32))
    assert up["turn_sign_changes"] == 3
    assert up["angular_speed_mean_rad_s"] == pytest.approx(math.pi / 4 / DT_S)
    assert up["angular_velocity_std_rad_s"] == pytest.approx(math.pi / 2 / DT_S / math.sqrt(2))
    assert up["curvature_mean_per_px"] == 0
    right = at_ticks((0, 0), (8, 0), (16, 0), (16, 0), (24, 0), (32, 0))
    assert right["turn_sign_changes"] == right["angular_speed_mean_rad_s"] == 0
    assert (right["speed_mean_px_s"], right["jerk_std_px_s3"]) == (up["speed_mean_px_s"], up["jerk_std_px_s3"])


def test_a_movement_that_returns_or_never_moves_has_finite_features() -> None:
    back = at_ticks((0, 0), (8, 0), (16, 0), (16, 8), (8, 8), (0, 0))
    assert back["path_efficiency"] == back["deviation_max_px"] == 0
    still = at_ticks(*[(3.0, 4.0)] * 6)
    assert still == {name: pytest.approx(0.04 if name == "duration_s" else 0) for name in MIME_FEATURES}


def test_of_equal_times_the_last_event_holds() -> None:
    once = of(np.array([0.0, 20.0, 40.0]), np.array([(0.0, 0.0), (30.0, 9.0), (50.0, 5.0)]))
    twice = of(np.array([0.0, 20.0, 20.0, 40.0]), np.array([(0.0, 0.0), (7.0, 7.0), (30.0, 9.0), (50.0, 5.0)]))
    assert once == twice


def in_loops(t_ms: list[float], xy_px: list[list[float]]) -> list[float]:
    """The definitions, one point at a time."""

    def position(at: float) -> tuple[float, float]:
        k = max(i for i in range(len(t_ms) - 1) if t_ms[i] <= at)
        share = (at - t_ms[k]) / (t_ms[k + 1] - t_ms[k])
        x, y = (a + share * (b - a) for a, b in zip(xy_px[k], xy_px[k + 1], strict=True))
        return x, y

    times = [8.0 * k for k in range(1000) if 8.0 * k < t_ms[-1]] + [t_ms[-1]]
    points, n = [position(at) for at in times], len(times) - 1
    dt = [(times[k + 1] - times[k]) / 1000 for k in range(n)]
    vx, vy = ([(points[k + 1][c] - points[k][c]) / dt[k] for k in range(n)] for c in (0, 1))
    s = [math.hypot(x, y) for x, y in zip(vx, vy, strict=True)]
    a = [(s[k + 1] - s[k]) / dt[k] for k in range(n - 1)]
    j = [(a[k + 1] - a[k]) / dt[k] for k in range(n - 2)]
    heading = [math.atan2(y, x) if (x, y) != (0, 0) else 0.0 for x, y in zip(vx, vy, strict=True)]
    turn = [math.remainder(heading[k + 1] - heading[k], 2 * math.pi) for k in range(n - 1)]
    turn = [-math.pi if math.pi - abs(angle) < 1e-9 else angle for angle in turn]  # an exact reversal has one sign
    w = [turn[k] / dt[k] for k in range(n - 1)]
    sign = [0 if abs(angle) < 1e-9 else math.copysign(1, angle) for angle in turn]
    curved = [
        abs(vx[k] * (vy[k + 1] - vy[k]) - vy[k] * (vx[k + 1] - vx[k])) / dt[k] / s[k] ** 3 if s[k] else 0.0
        for k in range(n - 1)
    ]
    (x0, y0), (x1, y1) = points[0], points[-1]
    net = math.hypot(x1 - x0, y1 - y0)
    travelled = sum(s[k] * dt[k] for k in range(n))

    def mean(values: list[float]) -> float:
        return sum(values) / len(values)

    def std(values: list[float]) -> float:
        return math.sqrt(mean([(value - mean(values)) ** 2 for value in values]))

    return [
        *(mean(s), std(s), max(s), mean([(value - mean(s)) ** 3 for value in s]) / std(s) ** 3),
        *(mean(a), std(a), max(map(abs, a)), mean(j), std(j)),
        *(net / travelled, max(abs((x - x0) * (y1 - y0) - (y - y0) * (x1 - x0)) / net for x, y in points)),
        *(mean(curved), std(curved), sum(sign[k + 1] != sign[k] for k in range(n - 2))),
        *(t_ms[-1] / 1000, times[s.index(max(s))] / t_ms[-1], mean(list(map(abs, w))), std(w)),
    ]


@pytest.mark.parametrize("seed", range(8))
def test_features_are_their_definitions_in_loops(seed: int) -> None:
    random = np.random.default_rng(seed)
    t_ms = np.append(0.0, random.integers(3, 40, size=30)).cumsum() + 0.25  # no whole number of ticks
    xy_px = random.integers(-9, 10, size=(31, 2)).cumsum(axis=0).astype(np.float64)
    xy_px[10:13] = xy_px[10]  # a stop
    [found] = mime_features([Events(t_ms, xy_px + 700)]).tolist()
    assert found == pytest.approx(in_loops((t_ms - 0.25).tolist(), xy_px.tolist()), rel=1e-6, abs=1e-6)


@pytest.fixture(scope="module")
def recordings() -> list[Recording]:
    return list(read_recordings("cursory").recordings[:80])


@pytest.fixture(scope="module")
def humans(recordings: list[Recording]) -> Canonical:
    movements = observe_recordings(recordings)
    return encode(movements.take(usable(movements, FORM)[0]), FORM)


def test_recordings_have_finite_features_at_both_rates(recordings: list[Recording], humans: Canonical) -> None:
    raw = mime_features([Events(one.t_ms, np.stack([one.x, one.y], axis=1)) for one in recordings])
    for table in (raw, observed_mime_features(humans)):
        assert table.shape[1] == len(MIME_FEATURES)
        assert table.dtype == torch.float64
        assert bool(table.isfinite().all())
    assert bool((raw.std(dim=0) > 0).all())


def test_steps_of_60_hz_have_no_mean_jerk(humans: Canonical) -> None:
    """Two ticks of 125 Hz lie in the first step, and two in the last: no speed changes at either end."""
    column = MIME_FEATURES.index("jerk_mean_px_s3")
    assert observed_mime_features(humans)[:, column].tolist() == [0.0] * len(humans)


def test_canonical_movements_are_read_as_they_lie_on_the_screen(recordings: list[Recording]) -> None:
    movements = observe_recordings(recordings)
    movements = movements.take(usable(movements, FORM)[0])
    assert torch.equal(observed_mime_features(movements), observed_mime_features(encode(movements, FORM)))


def test_60_hz_steps_are_the_events_at_their_ticks() -> None:
    steps = np.array([(1.0, 0), (0, 0), (3, 3), (0, 7), (20, 5), (-2, 1), (0, -1), (1, 1)])
    path = np.pad(steps, ((1, 0), (0, 0))).cumsum(axis=0)
    movements = pack([path, path[:5]], ["one", "two"])
    by_hand = [Events(PERIOD_MS * np.arange(float(len(part))), part) for part in (path, path[:5])]
    assert [len(events.t_ms) for events in events_of(movements)] == [9, 5]
    assert torch.equal(observed_mime_features(movements), mime_features(by_hand))


def test_no_movements_have_an_empty_table() -> None:
    assert mime_features([]).shape == (0, len(MIME_FEATURES))


GOOD = Events(TICK_MS * np.arange(6.0), np.arange(12.0).reshape(6, 2))


@pytest.mark.parametrize(
    ("events", "message"),
    [
        (GOOD._replace(xy_px=np.where(GOOD.xy_px == 4, np.nan, GOOD.xy_px)), "row 1: expected finite .* but got nan"),
        (GOOD._replace(t_ms=np.where(GOOD.t_ms == 16, np.inf, GOOD.t_ms)), "row 1: expected finite .* but got inf"),
        (GOOD._replace(t_ms=GOOD.t_ms[::-1]), "row 1: expected times that do not decrease, but got 32 ms after 40 ms"),
        (GOOD._replace(t_ms=GOOD.t_ms[:5]), r"row 1: expected times .* but got \[5\] and \[6, 2\]"),
        (GOOD._replace(t_ms=GOOD.t_ms / 2), "row 1: expected a movement of 5 points at 125 Hz, but got 4 in 20 ms"),
        (GOOD._replace(t_ms=np.zeros(6)), "row 1: expected a movement of 5 points at 125 Hz, but got 1 in 0 ms"),
    ],
)
def test_bad_movements_are_refused_by_their_row(events: Events, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mime_features([GOOD, events])
