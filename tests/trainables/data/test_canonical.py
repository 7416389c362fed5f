"""The canonical form: removed and kept information, and the inverse."""

import itertools
import math
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.data.canonical import (
    MINIMUM_DISTANCE_PX,
    SAMPLE,
    TENSORS,
    Canonical,
    Movements,
    concatenate,
    decode,
    encode,
    pack,
    reobserve,
    rotate,
    usable,
    with_deltas,
)
from trainables.data.config import CONDITION_NAMES, MEASURED_CONDITIONS, MINIMUM_STEPS, CanonicalConfig
from trainables.data.observation import Events, observe
from trainables.data.representation import REPRESENTATIONS, interpolate, prefix_mask

Path2D = npt.NDArray[np.float64]
Recorded = tuple[Path2D, Path2D, Path2D]
FIXED = CanonicalConfig("fixed_dt", 64)
both = pytest.mark.parametrize("representation", list(REPRESENTATIONS))


def recording(seed: int, points: int = 40) -> Recorded:
    """A recording with uneven times (some equal, some gaps) and positions between the pixels, never halfway."""
    rng = np.random.default_rng(seed)
    gaps = rng.choice([0.0, 1.0, 7.5, 8.0, 16.0, 16.7, 40.0, 120.0], size=points - 1)
    t_ms = np.concatenate([[0.0], np.cumsum(gaps)])
    steps = rng.normal(3.0, 4.0, size=(points, 2))
    x, y = (np.floor(steps.cumsum(axis=0)) + rng.uniform(-0.4, 0.4, size=(points, 2))).T
    return t_ms, x, y


def pixel_paths(lengths: list[int], seed: int = 0) -> Movements:
    """Random walks on the pixel grid with a common drift, so that each has a net displacement."""
    rng = np.random.default_rng(seed)
    walks = [np.rint(rng.normal((4.0, -3.0), 4.0, size=(length, 2))).cumsum(axis=0) for length in lengths]
    packed = pack([np.concatenate([[[7.0, 9.0]], walk]) for walk in walks], [f"g{i % 3}" for i in range(len(lengths))])
    width_px = torch.tensor([math.nan if i % 3 == 0 else 8.0 * i for i in range(len(lengths))], dtype=torch.float64)
    return replace(packed, target_width_px=width_px, source=tuple(f"s{i % 2}" for i in range(len(lengths))))


def observed(recordings: list[Recorded]) -> Movements:
    paths = observe(Events(t_ms, np.stack([x, y], axis=1)) for t_ms, x, y in recordings)
    return pack(paths, ["someone"] * len(recordings))


@pytest.fixture(scope="module")
def movements() -> Movements:
    return pixel_paths([8, 9, 20, 37, 63, 64, 64, 12])


ROUNDING = 1e-12


def assert_near(found: Tensor, expected: Tensor, atol: float = ROUNDING) -> None:
    torch.testing.assert_close(found, expected, rtol=0.0, atol=atol, equal_nan=True)


def assert_same(found: Canonical, expected: Canonical, but: str = "", atol: float = 0.0) -> None:
    for name in TENSORS:
        if name != but:
            assert_near(getattr(found, name), getattr(expected, name), atol)
    assert (found.group, found.source) == (expected.group, expected.source)


# what encoding forgets


@pytest.mark.parametrize("seed", range(5))
@both
def test_a_recording_somewhere_else_on_the_screen_has_the_same_canonical_form(representation: str, seed: int) -> None:
    config = CanonicalConfig(representation, 400)
    t_ms, x, y = recording(seed)
    moved = encode(observed([(t_ms, x + 1024.0, y - 333.0)]), config)
    assert_same(moved, encode(observed([(t_ms, x, y)]), config))


@pytest.mark.parametrize("seed", range(5))
@both
def test_a_recording_turned_by_a_right_angle_differs_in_its_angle_alone(representation: str, seed: int) -> None:
    config = CanonicalConfig(representation, 400)
    t_ms, x, y = recording(seed)
    here = encode(observed([(t_ms, x, y)]), config)
    turned = encode(observed([(t_ms, -y, x)]), config)
    assert_same(turned, here, but="angle", atol=ROUNDING)
    turn = (turned.angle - here.angle).remainder(2 * math.pi)
    assert_near(turn, torch.full_like(turn, math.pi / 2))


@both
def test_canonical_deltas_sum_to_one_along_x(representation: str, movements: Movements) -> None:
    canonical = encode(movements, CanonicalConfig(representation, 64))
    net = canonical.deltas[..., :2].sum(dim=1)
    assert_near(net, torch.tensor([1.0, 0.0]).double().expand(len(movements), 2))
    assert torch.equal(canonical.deltas, canonical.deltas * canonical.mask[..., None])


def test_conditions_removed_from_the_sequence_are_stored_beside_it(movements: Movements) -> None:
    """Distance, angle, duration and the condition, movement by movement from the pixels."""
    canonical = encode(movements, FIXED)
    measured = ("log_duration_s", "log_distance_px", "log_path_ratio", "log1p_turning_rad")
    assert (*measured, "log_target_width_px") == CONDITION_NAMES
    assert measured == MEASURED_CONDITIONS
    assert_near(canonical.measured_condition(), canonical.condition()[:, :4], 0.0)
    for i, (steps, length) in enumerate(zip(movements.steps_px.tolist(), movements.length.tolist(), strict=True)):
        dx, dy = sum(step[0] for step in steps), sum(step[1] for step in steps)
        path = sum(math.hypot(*step) for step in steps)
        headings = [math.atan2(step[1], step[0]) for step in steps if step != [0.0, 0.0]]
        changes = [abs(math.remainder(b - a, math.tau)) for a, b in itertools.pairwise(headings)]
        distance, duration_s = math.hypot(dx, dy), length / 60
        found = [canonical.distance_px[i], canonical.angle[i], canonical.duration_s[i], *canonical.condition()[i]]
        expected = [distance, math.atan2(dy, dx), duration_s]
        expected += [math.log(duration_s), math.log(distance), math.log(path / distance), math.log1p(sum(changes))]
        expected.append(math.nan if i % 3 == 0 else math.log(8.0 * i))
        assert [float(value) for value in found] == pytest.approx(expected, rel=1e-6, nan_ok=True)
        assert canonical.mask[i].tolist() == [step < length for step in range(64)]
    assert (canonical.group, canonical.source) == (movements.group, movements.source)


# and that it can be undone


@pytest.mark.parametrize("representation", ["fixed_dt", "events"])
def test_native_steps_are_restored_exactly(representation: str, movements: Movements) -> None:
    config = CanonicalConfig(representation, 64)
    back = decode(encode(movements, config), config)
    steps = back.steps_px.shape[1]
    assert torch.equal(back.steps_px, torch.nn.functional.pad(movements.steps_px, (0, 0, 0, steps - 64)))
    assert torch.equal(back.length, movements.length)
    assert_near(back.target_width_px, movements.target_width_px, 0.0)
    assert (back.group, back.source) == (movements.group, movements.source)


def test_target_widths_are_unknown_unless_they_are_given(movements: Movements) -> None:
    plain = Movements(movements.steps_px, movements.length, movements.group)
    for part in (plain, plain.take(torch.tensor([3, 1])), encode(plain, FIXED), decode(encode(plain, FIXED), FIXED)):
        assert part.target_width_px.shape == (len(part),)
        assert bool(part.target_width_px.isnan().all())


@both
def test_no_form_loses_a_target_width(representation: str, movements: Movements) -> None:
    config = CanonicalConfig(representation, 64)
    canonical = encode(movements, config)
    again, rows = reobserve(canonical, config)
    given = movements.target_width_px
    for found in (decode(canonical, config), again, with_deltas(canonical, canonical.deltas), concatenate(canonical)):
        assert_near(found.target_width_px, given, 0.0)
    assert_near(canonical.with_steps_px(2 * canonical.steps_px()).target_width_px, given, 0.0)
    assert len(rows) == len(movements)


def test_reobservation_leaves_recorded_movements_as_they_are(movements: Movements) -> None:
    canonical = encode(movements, FIXED)
    again, rows = reobserve(canonical, FIXED)
    assert rows.tolist() == list(range(len(movements)))
    assert_same(again, canonical)


@both
def test_reobservation_gives_sixty_hertz_steps_for_every_form(representation: str, movements: Movements) -> None:
    config = CanonicalConfig(representation, 64)
    again, _ = reobserve(encode(movements, config), config)
    assert again.deltas.shape[2] == 2
    assert torch.equal(again.mask.sum(dim=1), movements.length)


def test_events_are_the_moves_and_the_ticks_since_the_move_before() -> None:
    moves = {1: (3.0, 0.0), 2: (2.0, 1.0), 5: (0.0, -4.0), 9: (8.0, 0.0)}
    steps = torch.zeros(1, 12, 2, dtype=torch.float64)
    for tick, move in moves.items():
        steps[0, tick - 1] = torch.tensor(move)
    sequence, mask = REPRESENTATIONS["events"].encode(steps, torch.tensor([12]), 6)
    expected = [[3, 0, 1], [2, 1, 1], [0, -4, 3], [8, 0, 4], [0, 0, 1], [0, 0, 1]]
    assert sequence[0].tolist() == expected
    assert bool(mask.all())


def test_events_after_the_requested_end_are_dropped() -> None:
    sequence = torch.tensor([[[1.0, 0, 2], [0, 1.4, 0.2], [5, 5, 1.6], [7, 7, 1.0]]]).double()
    steps = REPRESENTATIONS["events"].decode(sequence, torch.ones(1, 4, dtype=torch.bool), torch.tensor([4]))
    assert steps[0].tolist() == [[0, 0], [1, 0], [0, 1], [0, 0]]


def test_reobservation_drops_what_no_longer_moves(movements: Movements) -> None:
    canonical = encode(movements, FIXED)
    still = canonical.deltas.clone()
    still[[1, 4]] = 0.0
    again, rows = reobserve(with_deltas(canonical, still), FIXED)
    assert rows.tolist() == [0, 2, 3, 5, 6, 7]
    assert_same(again, canonical.take(rows))


def test_normalised_time_is_restored_exactly_when_t_is_a_multiple_of_the_length() -> None:
    config = CanonicalConfig("normalised_time", 144)
    movements = pixel_paths([8, 9, 12, 16, 18, 24, 36, 48, 72, 144])
    back = decode(encode(movements, config), config)
    assert torch.equal(back.steps_px, movements.steps_px)
    assert torch.equal(back.length, movements.length)


def test_normalised_time_is_restored_nearly_at_any_other_length(movements: Movements) -> None:
    """Where T >= length, interpolation errs by at most |change of step| / 4 at a tick; rounding comes on top."""
    config = CanonicalConfig("normalised_time", 64)
    back = decode(encode(movements, config), config)
    assert torch.equal(back.length, movements.length)
    change = torch.nn.functional.pad(movements.steps_px, (0, 0, 1, 1)).diff(dim=1).abs() / 4
    bound = change[:, :-1] + change[:, 1:] + 1.0
    assert bool(((back.steps_px - movements.steps_px).abs() <= bound + 1e-9).all())
    assert not torch.equal(back.steps_px, movements.steps_px)


def test_interpolation_is_linear_between_points() -> None:
    torch.manual_seed(0)
    path, at = torch.randn(3, 6, 2).double(), torch.rand(3, 11).double() * 5
    at[:, 0], at[:, 1], at[:, 2] = 0.0, 5.0, 2.0
    found = interpolate(path, at)
    for n in range(3):
        for q in range(11):
            k = min(int(at[n, q]), 4)
            share = float(at[n, q]) - k
            for c in range(2):
                expected = float(path[n, k, c]) * (1 - share) + float(path[n, k + 1, c]) * share
                assert float(found[n, q, c]) == pytest.approx(expected, abs=1e-12)


def test_a_rotation_is_undone_by_its_inverse_and_is_that_of_complex_numbers() -> None:
    torch.manual_seed(1)
    vectors, angle = torch.randn(6, 5, 2).double(), torch.linspace(-7.0, 7.0, 6).double()
    turned = rotate(vectors, angle)
    assert_near(rotate(turned, -angle), vectors)
    product = torch.view_as_complex(vectors) * torch.polar(torch.ones_like(angle), angle)[:, None]
    assert_near(turned, torch.view_as_real(product))


# which movements it can hold


def test_each_unusable_movement_is_dropped_for_the_first_law_that_it_breaks() -> None:
    steps = torch.zeros(7, 70, 2, dtype=torch.float64)
    length = torch.tensor([8, 7, 64, 65, 20, 20, 5])
    steps[:, 0, 0] = torch.tensor([8.0, 50.0, 9.0, 50.0, 7.0, 0.0, 1.0])
    movements = Movements(steps, length, ("a",) * 7)
    rows, dropped = usable(movements, FIXED)
    kept, reasons = [], Counter[str]()
    for i in range(7):
        if int(length[i]) < MINIMUM_STEPS:
            reasons["fewer"] += 1
        elif int(length[i]) > 64:
            reasons["longer"] += 1
        elif math.hypot(*steps[i].sum(dim=0).tolist()) < MINIMUM_DISTANCE_PX:
            reasons["net"] += 1
        else:
            kept.append(i)
    assert rows.tolist() == kept == [0, 2]
    assert {reason.split()[0]: count for reason, count in dropped.items() if count} == reasons
    assert reasons == {"fewer": 2, "longer": 1, "net": 2}


def test_normalised_time_holds_movements_of_any_length() -> None:
    movements = pixel_paths([8, 200, 64])
    rows, dropped = usable(movements, CanonicalConfig("normalised_time", 64))
    assert rows.tolist() == [0, 1, 2]
    assert sum(dropped.values()) == 0


def test_a_movement_that_is_too_long_is_refused_and_not_truncated() -> None:
    with pytest.raises(ConfigError, match=r"^expected `length <= sequence_length`.*T=64"):
        encode(pixel_paths([20, 65]), FIXED)


@pytest.mark.parametrize(
    ("make", "law"),
    [
        (lambda: CanonicalConfig("fixed_time", 64), "`representation` in {events, fixed_dt, normalised_time}"),
        (lambda: CanonicalConfig("fixed_dt", 7), "`sequence_length >= 8`"),
    ],
)
def test_a_config_checks_itself(make: Callable[[], CanonicalConfig], law: str) -> None:
    with pytest.raises(ConfigError) as exc_info:
        make()
    assert str(exc_info.value).startswith(f"expected {law}, but got ")


# sets of movements


def test_taking_and_concatenating_keep_rows_together(movements: Movements) -> None:
    rows = torch.tensor([5, 0, 0, 3])
    canonical = encode(movements, FIXED)
    assert_same(encode(movements.take(rows), FIXED), canonical.take(rows))
    halves = (canonical.take(torch.arange(0, 3)), canonical.take(torch.arange(3, 8)))
    assert_same(concatenate(*halves), canonical)
    assert_same(concatenate(canonical.take(torch.arange(0)), canonical), canonical)


def test_the_steps_of_a_packed_path_lead_along_it() -> None:
    paths = [np.array([[3.0, 4.0], [5.0, 4.0], [5.0, 9.0]]), np.array([[1.0, 1.0], [0.0, 2.0]])]
    packed = pack(paths, ["a", "b"])
    assert packed.steps_px.tolist() == [[[2.0, 0.0], [0.0, 5.0]], [[-1.0, 1.0], [0.0, 0.0]]]
    assert (packed.length.tolist(), packed.group, packed.source) == ([2, 1], ("a", "b"), (SAMPLE, SAMPLE))
    assert len(pack([], [])) == 0


def test_a_prefix_mask_is_true_before_the_length() -> None:
    mask: Tensor = prefix_mask(torch.tensor([0, 2, 5, 9]), 5)
    assert mask.tolist() == [[step < length for step in range(5)] for length in (0, 2, 5, 9)]
