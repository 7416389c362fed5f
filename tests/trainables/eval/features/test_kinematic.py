"""Neuromotor features against their definitions in plain loops, their invariances and their refusals."""

import math
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from trainables.eval.features.kinematic import (
    FEATURES,
    NEUROMOTOR_FEATURES,
    SPECTRAL_FEATURES,
    kinematic_summary,
    movement_features,
    neuromotor_features,
)

Path = list[tuple[float, float]]


def rows(deltas: Tensor, mask: Tensor) -> list[Path]:
    return [[(x, y) for x, y in d[m].tolist()] for d, m in zip(deltas, mask, strict=True)]


def feature(name: str, *paths: Path) -> list[float]:
    """One feature of movements of equal length."""
    deltas = torch.tensor(paths, dtype=torch.float64)
    values: list[float] = movement_features(deltas, torch.ones(deltas.shape[:2], dtype=torch.bool))[
        :, FEATURES.index(name)
    ].tolist()
    return values


def mean(values: list[float]) -> float:
    return sum(values) / len(values)


def std(values: list[float]) -> float:
    return math.sqrt(mean([(v - mean(values)) ** 2 for v in values]))


def rms(vectors: Path) -> float:
    return math.sqrt(mean([x * x + y * y for x, y in vectors]))


def differences(vectors: Path) -> Path:
    return [(b[0] - a[0], b[1] - a[1]) for a, b in pairwise(vectors)]


def heading_changes(path: Path) -> list[float]:
    headings = [math.atan2(y, x) for x, y in path if (x, y) != (0, 0)]
    turns = [b - a for a, b in pairwise(headings)]
    return [abs((turn + math.pi) % (2 * math.pi) - math.pi) for turn in turns] or [0.0]


def count_submovements(speed: list[float]) -> int:
    """Walk along the smoothed speed and count the summits, plateaus between rise and fall included."""
    padded = [0.0, *speed, 0.0]
    smooth = [sum(padded[i : i + 3]) / 3 for i in range(len(speed))]
    tolerance, level, summit, rising, count = 1e-6 * max(smooth), 0.0, 0.0, False, 0
    for value in [*smooth, 0.0]:
        if value > level + tolerance:
            rising, summit = True, value
        elif value < level - tolerance:
            count += rising and summit > 0.1 * max(smooth)
            rising = False
        level = value
    return count


def defined(path: Path) -> dict[str, float]:
    """The fifteen features of one movement as their docstrings define them."""
    n = len(path)
    length = [math.hypot(x, y) for x, y in path]
    speed = [v * n for v in length]
    lateral = [sum(y for _, y in path[: i + 1]) for i in range(n)]
    acceleration = [(x * n**2, y * n**2) for x, y in differences(path)]
    jerk = [(x * n, y * n) for x, y in differences(acceleration)]
    half = sum(length[: n // 2]) + (length[n // 2] / 2 if n % 2 else 0.0)
    fastest = next(i for i in range(n) if speed[i] >= (1 - 1e-6) * max(speed))
    moving = [(x, y) for x, y in path if (x, y) != (0, 0)]
    return {
        "path_efficiency": math.hypot(sum(x for x, _ in path), sum(y for _, y in path)) / sum(length),
        "mean_abs_heading_change": mean(heading_changes(path)),
        "heading_change_std": std(heading_changes(path)),
        "lateral_rms": math.sqrt(mean([y * y for y in lateral])),
        "lateral_max": max(abs(y) for y in lateral),
        "speed_std": std(speed),
        "log_speed_peak": math.log(max(speed)),
        "time_to_peak": (fastest + 0.5) / n,
        "log_acceleration_rms": math.log1p(rms(acceleration)),
        "log_acceleration_peak": math.log1p(max(math.hypot(x, y) for x, y in acceleration)),
        "log_jerk_rms": math.log1p(rms(jerk)),
        "path_first_half": half / sum(length),
        "still_share": mean([float(v == 0) for v in length]),
        "backward_share": mean([float(x < -1e-6 * math.hypot(x, y)) for x, y in moving]),
        "submovements": math.log1p(count_submovements(speed)),
    }


def test_every_feature_equals_its_definition_movement_by_movement(batch: tuple[Tensor, Tensor]) -> None:
    values = neuromotor_features(*batch)
    assert len(NEUROMOTOR_FEATURES) == 15
    assert values.dtype == torch.float64
    for row, path in zip(values.tolist(), rows(*batch), strict=True):
        expected = defined(path)
        assert dict(zip(NEUROMOTOR_FEATURES, row, strict=True)) == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_the_batch_exercises_still_steps_reversals_and_several_submovements(batch: tuple[Tensor, Tensor]) -> None:
    values = dict(zip(NEUROMOTOR_FEATURES, neuromotor_features(*batch).unbind(dim=1), strict=True))
    assert (values["still_share"] > 0).sum() > 10
    assert (values["backward_share"] > 0).sum() > 10
    assert (values["submovements"] > math.log1p(1.5)).sum() > 10


def test_minimum_jerk_has_the_closed_form_values() -> None:
    s = torch.arange(401, dtype=torch.float64) / 400
    x = (10 * s**3 - 15 * s**4 + 6 * s**5).diff()
    values = neuromotor_features(torch.stack([x, 0 * x], dim=1)[None], torch.ones(1, 400, dtype=torch.bool))[0]
    got = dict(zip(NEUROMOTOR_FEATURES, values.tolist(), strict=True))
    closed = {
        "path_efficiency": 1.0,
        "log_speed_peak": math.log(15 / 8),
        "log_acceleration_rms": math.log1p(math.sqrt(120 / 7)),
        "log_acceleration_peak": math.log1p(10 / math.sqrt(3)),
        "log_jerk_rms": math.log1p(math.sqrt(720)),
        "speed_std": math.sqrt(10 / 7 - 1),
        "time_to_peak": 0.5,
        "path_first_half": 0.5,
        "submovements": math.log(2),
    }
    assert {name: got[name] for name in closed} == pytest.approx(closed, rel=0.01)
    assert all(abs(got[name]) < 1e-12 for name in ("mean_abs_heading_change", "lateral_max", "backward_share"))


def test_neither_values_beyond_the_mask_nor_padding_change_a_feature(batch: tuple[Tensor, Tensor]) -> None:
    deltas, mask = batch
    junk = torch.where(mask[..., None], deltas, torch.nan)
    more = torch.cat([junk, torch.full((len(junk), 9, 2), 1e9)], dim=1)
    wider = torch.cat([mask, torch.zeros(len(mask), 9, dtype=torch.bool)], dim=1)
    torch.testing.assert_close(movement_features(more, wider), movement_features(deltas, mask), rtol=1e-12, atol=1e-12)


def test_a_movement_has_the_same_features_alone_as_in_a_batch(batch: tuple[Tensor, Tensor]) -> None:
    deltas, mask = batch
    together = movement_features(deltas, mask)
    for i, n in enumerate(mask.sum(dim=1).tolist()):
        alone = movement_features(deltas[i : i + 1, :n], mask[i : i + 1, :n])[0]
        torch.testing.assert_close(alone, together[i], rtol=1e-12, atol=1e-12)


def test_a_mirror_at_the_chord_keeps_all_features(batch: tuple[Tensor, Tensor]) -> None:
    deltas, mask = batch
    mirrored = deltas * torch.tensor([1.0, -1.0], dtype=torch.float64)
    torch.testing.assert_close(
        movement_features(mirrored, mask), movement_features(deltas, mask), rtol=1e-12, atol=1e-12
    )


def test_the_same_movement_backwards_in_time_mirrors_only_its_timing(batch: tuple[Tensor, Tensor]) -> None:
    deltas, mask = batch
    backwards = torch.zeros_like(deltas)
    for i, n in enumerate(mask.sum(dim=1).tolist()):
        backwards[i, :n] = deltas[i, :n].flip(0)
    forth, back = (dict(zip(FEATURES, movement_features(d, mask).T, strict=True)) for d in (deltas, backwards))
    torch.testing.assert_close(back["path_first_half"], 1 - forth["path_first_half"])
    for name in set(FEATURES) - {"path_first_half", "time_to_peak"}:
        torch.testing.assert_close(back[name], forth[name], rtol=1e-6, atol=1e-9, msg=name)


def test_float32_rounding_flips_no_count_and_no_peak(batch: tuple[Tensor, Tensor]) -> None:
    deltas, mask = batch
    torch.testing.assert_close(
        movement_features(deltas.float(), mask), movement_features(deltas, mask), rtol=1e-4, atol=1e-4
    )


def test_uniform_straight_motion_is_smooth_without_rest_and_one_submovement() -> None:
    for n in (4, 7, 30):
        path = [(1 / n, 0.0)] * n
        assert feature("log_jerk_rms", path)[0] == pytest.approx(0.0, abs=1e-6)
        assert feature("log_acceleration_peak", path)[0] == pytest.approx(0.0, abs=1e-9)
        assert feature("submovements", path) == [math.log(2)]
        assert feature("still_share", path) == [0.0]


def test_a_single_moving_step_has_no_heading_change() -> None:
    path = [(0.0, 0.0), (0.0, 0.0), (1.0, 0.0), (0.0, 0.0)]
    assert feature("mean_abs_heading_change", path) == [0.0]
    assert feature("heading_change_std", path) == [0.0]
    assert feature("still_share", path) == [0.75]
    assert feature("time_to_peak", path) == [0.625]


def test_headings_skip_still_steps_and_wrap() -> None:
    still = [(0.5, 0.5), (0.0, 0.0), (0.0, 0.0), (0.5, -0.5)]
    assert feature("mean_abs_heading_change", still)[0] == pytest.approx(math.pi / 2)
    wrapped = [(-0.1, 0.01), (-0.1, -0.01), (0.6, 0.0), (0.6, 0.0)]
    small = 2 * math.atan2(0.01, 0.1)
    assert feature("mean_abs_heading_change", wrapped)[0] == pytest.approx((small + math.pi - small / 2) / 3)


def test_a_step_across_the_chord_is_not_backward_by_rounding() -> None:
    path = [(0.5, 0.5), (-1e-9, -1.0), (0.6, 0.5), (-0.1, 0.0)]
    assert feature("backward_share", path) == [0.25]


def test_submovements_below_a_tenth_of_the_peak_do_not_count() -> None:
    def two_bumps(height: float) -> Path:
        speed = [0.0, 1.0, 2.0, 1.0, 0.0, 0.0, height, 2 * height, height, 0.0]
        return [(v / sum(speed), 0.0) for v in speed]

    assert feature("submovements", two_bumps(0.09), two_bumps(0.11)) == pytest.approx([math.log(2), math.log(3)])


def test_the_summary_has_mean_and_std_of_each_column(batch: tuple[Tensor, Tensor]) -> None:
    values = movement_features(*batch)
    summary = kinematic_summary(values)
    assert set(summary) == {f"{name}_{key}" for name in FEATURES for key in ("mean", "std")}
    column = values[:, FEATURES.index("log_jerk_rms")].tolist()
    assert summary["log_jerk_rms_mean"] == pytest.approx(mean(column))
    assert summary["log_jerk_rms_std"] == pytest.approx(std(column) * math.sqrt(len(column) / (len(column) - 1)))
    assert len(kinematic_summary(values[:, :15])) == 30
    assert len(kinematic_summary(values[:, 15:])) == 2 * len(SPECTRAL_FEATURES)
    with pytest.raises(ValueError, match="features"):
        kinematic_summary(values[:, :7])
