"""Properties of the nuisance features: the definition of each column, and no nuisance in observed movements."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.data.canonical import Canonical, Movements, encode
from trainables.data.config import CanonicalConfig
from trainables.data.readers.recordings import Recording
from trainables.detector.evaluation.nuisance_features import (
    CANONICAL,
    CONDITIONS,
    RAW,
    canonical_nuisances,
    conditions,
    raw_nuisances,
)

FORM = CanonicalConfig()


def recording(t_ms: list[float], x: list[float], y: list[float] | None = None) -> Recording:
    t, across, down = (np.array(values, dtype=np.float64) for values in (t_ms, x, y or [0.0] * len(x)))
    return Recording(t, across, down, "lab", "somebody", "first")


def of_raw(one: Recording) -> dict[str, float]:
    return dict(zip(RAW, raw_nuisances([one])[0].tolist(), strict=True))


def movement(lengths_px: list[int]) -> Movements:
    steps = torch.zeros(1, len(lengths_px), 2, dtype=torch.float64)
    steps[0, :, 0] = torch.tensor(lengths_px)
    return Movements(steps, torch.tensor([len(lengths_px)]), ("somebody",))


def seen(canonical: Canonical) -> dict[str, float]:
    return dict(zip(CANONICAL, canonical_nuisances(canonical, FORM)[0].tolist(), strict=True))


def test_raw_columns_have_their_defined_values() -> None:
    found = of_raw(recording([0, 7, 14, 14, 30.5], [0, 3.5, 3.5, 9, 12], [0, 0, 0, 1, 4]))
    assert found["interval_ms_q50"] == 7.0
    assert found["first_interval_ms"] == 7.0
    assert found["zero_interval_share"] == 1 / 4
    assert found["distinct_interval_share"] == 3 / 4  # 7, 0 and 16.5
    assert found["whole_ms_share"] == 4 / 5
    assert found["whole_px_share"] == 8 / 10
    assert found["log_points"] == pytest.approx(np.log(5))
    assert found["log_points_per_s"] == pytest.approx(np.log(5 / 0.0305))
    assert found["repeated_point_share"] == 1 / 4
    assert set(found) == set(RAW)


def test_a_recording_of_no_duration_has_finite_columns() -> None:
    assert all(np.isfinite(value) for value in of_raw(recording([0, 0], [0, 3])).values())


@pytest.mark.parametrize(
    ("lengths_px", "held"),
    [
        ([5, 5, 0, 5, 5, 5, 5, 5], 1),  # a missed event at full speed
        ([5, 3, 0, 3, 5, 0, 5, 5], 2),
        ([5, 5, 0, 2, 5, 5, 5, 5], 0),  # slow beside it: a hand may rest
        ([5, 5, 0, 0, 5, 5, 5, 5], 0),  # two ticks: a rest
        ([0, 5, 5, 5, 5, 5, 5, 0], 0),  # the ends
        ([1, 1, 0, 1, 0, 1, 2, 2], 0),  # less than a pixel per tick
    ],
)
def test_a_step_is_held_if_it_is_a_single_still_one_between_fast_ones(lengths_px: list[int], held: int) -> None:
    assert seen(encode(movement(lengths_px), FORM))["held_share"] == held / 8


def test_padding_and_other_rows_do_not_matter() -> None:
    alone = encode(movement([5, 5, 0, 5, 5, 5, 5, 5]), FORM)
    steps = torch.zeros(2, 12, 2, dtype=torch.float64)
    steps[0, :8] = movement([5, 5, 0, 5, 5, 5, 5, 5]).steps_px[0]
    steps[1, :, 0] = 7
    both = encode(Movements(steps, torch.tensor([8, 12]), ("a", "b")), FORM)
    assert torch.equal(canonical_nuisances(both, FORM)[0], canonical_nuisances(alone, FORM)[0])


def test_an_observed_movement_has_no_other_nuisance() -> None:
    found = seen(encode(movement([3, 4, 5, 6, 5, 4, 3, 2]), FORM))
    assert found == {"off_pixel_share": 0.0, "off_tick": 0.0, "width_known": 0.0, "held_share": 0.0}


def bent(canonical: Canonical) -> Canonical:
    deltas = canonical.deltas.clone()
    deltas[0, 2, 1] += 0.01
    return replace(canonical, deltas=deltas)


@pytest.mark.parametrize(
    ("column", "change", "value"),
    [
        ("off_pixel_share", bent, 1 / 8),
        ("off_tick", lambda c: replace(c, duration_s=c.duration_s + 0.004), 1.0),
        ("width_known", lambda c: replace(c, target_width_px=torch.tensor([20.0], dtype=torch.float64)), 1.0),
    ],
)
def test_a_movement_without_the_observation_model_is_detected(
    column: str, change: Callable[[Canonical], Canonical], value: float
) -> None:
    assert seen(change(encode(movement([3, 4, 5, 6, 5, 4, 3, 2]), FORM)))[column] == value


def test_float32_and_any_direction_are_no_nuisance() -> None:
    steps = torch.zeros(40, 20, 2, dtype=torch.float64)
    steps[:] = torch.randint(-90, 100, (40, 20, 2), generator=torch.Generator().manual_seed(0)).double()
    canonical = encode(Movements(steps, torch.full((40,), 20), ("a",) * 40), FORM)
    coarse = replace(canonical, deltas=canonical.deltas.float().double())
    assert canonical_nuisances(coarse, FORM)[:, :2].abs().max() == 0


def test_conditions_are_duration_distance_and_direction() -> None:
    canonical = encode(movement([3, 4, 5, 6, 5, 4, 3, 2]), FORM)
    expected: Tensor = torch.tensor([np.log(8 / 60), np.log(32.0), 1.0, 0.0])
    assert conditions(canonical)[0].tolist() == pytest.approx(expected.tolist())
    assert len(CONDITIONS) == 4
