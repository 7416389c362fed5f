"""The augmentations: what each preserves and may change, and that the seed determines them."""

import cmath
import dataclasses
import math
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.trainables.data.takes import assert_same_movements, gap, positions, takes
from trainables.core.config import ConfigError, build, plain
from trainables.core.seeding import generator
from trainables.data.augment import (
    AUGMENTATIONS,
    JITTERED_PX,
    SLOW,
    Augmentation,
    augment,
    crop,
    cut,
    jitter,
    mirror,
    quarter_turn,
    replace_rows,
    shift_goal,
    stretch,
    warp,
)
from trainables.data.canonical import Movements, encode, usable
from trainables.data.config import (
    CanonicalConfig,
    Crop,
    GoalShift,
    Jitter,
    Mirror,
    QuarterTurn,
    TimeStretch,
    TimeWarp,
    Variation,
    VariationsConfig,
)
from trainables.data.representation import prefix_mask

PIXEL = math.sqrt(0.5) + 1e-9  # the farthest that rounding both coordinates moves a point
FORM = CanonicalConfig()
OFF = {name: {"probability": 0.0} for name in AUGMENTATIONS}
each = pytest.mark.parametrize("name", list(AUGMENTATIONS))
STRONG: dict[str, Variation] = {
    "crop": Crop(1.0, 0.4),
    "stretch": TimeStretch(1.0, 0.2),
    "warp": TimeWarp(1.0, 0.5),
    "goal": GoalShift(1.0, 0.3),
    "mirror": Mirror(1.0),
    "quarter_turn": QuarterTurn(1.0),
    "jitter": Jitter(1.0, 1.0),
}

ALWAYS_ALIKE = ("mirror", "quarter_turn")  # draw nothing and have no strength


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def variations(**given: Any) -> VariationsConfig:
    """All off but those given."""
    return build(VariationsConfig, OFF | given)


@pytest.fixture(scope="module")
def movements() -> Movements:
    return takes([12, 18, 25, 33, 41, 50, 58, 64] * 4)


def stills(movements: Movements) -> torch.Tensor:
    return (movements.steps_px == 0).all(dim=-1)


# all of them


@each
@pytest.mark.parametrize("seed", range(3))
def test_movements_in_whole_pixels_stay_so(name: str, seed: int, movements: Movements) -> None:
    before = movements.steps_px.clone()
    found = AUGMENTATIONS[name](movements, STRONG[name], seeded(seed))
    assert torch.equal(found.steps_px, found.steps_px.round())
    behind = torch.arange(found.steps_px.shape[1]) >= found.length[:, None]
    assert bool((found.steps_px[behind] == 0).all())
    assert (found.group, found.source) == (movements.group, movements.source)
    assert torch.equal(movements.steps_px, before)
    assert not torch.equal(found.steps_px[:, :8], before[:, :8])


@each
def test_the_seed_alone_decides(name: str, movements: Movements) -> None:
    torch.manual_seed(1)
    one = AUGMENTATIONS[name](movements, STRONG[name], seeded(4))
    torch.manual_seed(2)
    assert_same_movements(AUGMENTATIONS[name](movements, STRONG[name], seeded(4)), one)
    other = AUGMENTATIONS[name](movements, STRONG[name], seeded(5))
    assert name in ALWAYS_ALIKE or not torch.equal(other.steps_px[:, :8], one.steps_px[:, :8])


@each
def test_without_strength_nothing_changes(name: str, movements: Movements) -> None:
    if name not in ALWAYS_ALIKE:
        still = getattr(variations(**{name: {"strength": 0.0}}), name)
        assert_same_movements(AUGMENTATIONS[name](movements, still, seeded()), movements)


@each
def test_the_target_keeps_its_width(name: str, movements: Movements) -> None:
    found = AUGMENTATIONS[name](movements, STRONG[name], seeded()).target_width_px
    assert bool(found.isnan().any()) is not bool(found.isnan().all())
    torch.testing.assert_close(found, movements.target_width_px, rtol=0.0, atol=0.0, equal_nan=True)


def test_rows_are_replaced_entirely_whichever_is_longer() -> None:
    """Steps, length and target width; the user of a row does not change."""
    movements, others = takes([12, 30, 20, 18]), takes([40, 9, 25], seed=1).take(torch.tensor([1, 0]))
    rows = [3, 1]
    found = replace_rows(movements, torch.tensor(rows), others)
    expected = [movements.take(torch.tensor([row])) for row in range(4)]
    for place, row in enumerate(rows):
        theirs = others.take(torch.tensor([place]))
        expected[row] = dataclasses.replace(theirs, group=(movements.group[row],), source=(movements.source[row],))
    for row in range(4):
        assert_same_movements(found.take(torch.tensor([row])), expected[row])


@each
def test_no_movement_is_no_error(name: str, movements: Movements) -> None:
    assert len(AUGMENTATIONS[name](movements.take(torch.arange(0)), STRONG[name], seeded())) == 0


# each of them


def test_a_mirror_changes_the_lateral_sign_alone_and_undoes_itself(movements: Movements) -> None:
    mirrored = mirror(movements, Mirror(), seeded())
    here, there = encode(movements, FORM), encode(mirrored, FORM)
    assert torch.equal(there.deltas[..., 0], here.deltas[..., 0])
    assert torch.equal(there.deltas[..., 1], -here.deltas[..., 1])
    assert torch.equal(there.angle, -here.angle)
    torch.testing.assert_close(there.condition(), here.condition(), rtol=0.0, atol=0.0, equal_nan=True)
    assert_same_movements(mirror(mirrored, Mirror(), seeded()), movements)


def test_a_stretch_scales_the_duration_within_a_step_and_keeps_the_path(movements: Movements) -> None:
    found = stretch(movements, TimeStretch(1.0, 0.2), seeded())
    change = (found.length - movements.length).abs()
    assert bool((change <= 0.2 * movements.length + 0.5).all())
    assert int((change >= 0.1 * movements.length).sum()) > len(movements) // 4
    assert torch.equal(found.steps_px.sum(dim=1), movements.steps_px.sum(dim=1))
    for row in range(len(movements)):
        assert max(gap(point, positions(movements, row)) for point in positions(found, row)) <= PIXEL


def test_a_warp_keeps_duration_and_path_and_moves_points_in_time(movements: Movements) -> None:
    """Of the clock by at most n a / pi, and half a tick for the whole ticks at its bounds."""
    found = warp(movements, TimeWarp(1.0, 0.3), seeded())
    assert torch.equal(found.length, movements.length)
    assert torch.equal(found.steps_px.sum(dim=1), movements.steps_px.sum(dim=1))
    for row, length in enumerate(movements.length.tolist()):
        line, slack = positions(movements, row), math.ceil((0.3 * length / math.pi + 0.5) / 0.7) + 1
        for now, point in enumerate(positions(found, row)):
            assert gap(point, line[max(now - slack, 0) : now + slack + 1]) <= PIXEL
    assert not torch.equal(found.steps_px, movements.steps_px)


@pytest.mark.parametrize(("augmentation", "config"), [(stretch, TimeStretch(1.0, 0.1)), (warp, TimeWarp(1.0, 0.1))])
def test_another_time_keeps_the_share_of_still_steps(augmentation: Augmentation, config: Variation) -> None:
    """Null: within 0.01 (s.d. over 40 seeds 0.0007). Alternative: reading
    the same movements at equal distances loses most of the rests of one step.
    """
    many = takes([40] * 400, seed=3)
    share = float(stills(many).double().mean())
    found = augmentation(many, config, seeded())
    assert float(
        (stills(found) & prefix_mask(found.length, found.steps_px.shape[1])).sum() / found.length.sum()
    ) == pytest.approx(share, abs=0.01)
    halfway = (many.steps_px[:, 1:] + many.steps_px[:, :-1]) / 2
    assert float((halfway == 0).all(dim=-1).double().mean()) < share - 0.05


def test_a_goal_moves_by_at_most_its_share_and_the_shape_with_it(movements: Movements) -> None:
    """One complex factor for all steps, found from those of movements so large that rounding is nothing."""
    large = Movements(movements.steps_px * 1e6, movements.length, movements.group)
    factors = []
    for row, (steps, net) in enumerate(
        zip(
            shift_goal(large, GoalShift(1.0, 0.3), seeded()).steps_px.sum(dim=1), large.steps_px.sum(dim=1), strict=True
        )
    ):
        factors.append(complex(*steps.tolist()) / complex(*net.tolist()))
        assert abs(factors[row] - 1) <= 0.3 + 1e-6
    found = shift_goal(movements, GoalShift(1.0, 0.3), seeded())
    for row, factor in enumerate(factors):
        for old, new in zip(movements.steps_px[row].tolist(), found.steps_px[row].tolist(), strict=True):
            assert abs(complex(*new) - factor * complex(*old)) <= PIXEL + 1e-3
    assert torch.equal(stills(found), stills(movements))
    assert len({cmath.phase(factor - 1) > 0 for factor in factors}) == 2


def test_goals_fill_the_disc_evenly() -> None:
    """Uniform in the disc: E |z|^2 = 1/2, s.d. 0.289 / sqrt(4000) = 0.0046, and E z = 0, s.d. 0.5 / sqrt(4000) = 0.008
    per coordinate; at 4.5 s.d. the three fail together once in 50,000 seeds. A uniform radius would give 1/3.
    """
    steps = torch.zeros(4000, 8, 2, dtype=torch.float64)
    steps[:, 0, 0] = 1e9
    line = Movements(steps, torch.full((4000,), 8), ("a",) * 4000)
    z = (shift_goal(line, GoalShift(1.0, 0.3), seeded()).steps_px[:, 0] / 1e9 - torch.tensor([1.0, 0.0])) / 0.3
    assert float(z.square().sum(dim=1).mean()) == pytest.approx(0.5, abs=4.5 * 0.0046)
    assert z.mean(dim=0).tolist() == pytest.approx([0.0, 0.0], abs=4.5 * 0.008)
    assert abs(1 / 3 - 0.5) > 4.5 * 0.0046


def free_points(movements: Movements, row: int) -> list[int]:
    speed = [math.hypot(*step) for step in movements.steps_px[row].tolist()]
    return [i for i in range(1, len(speed)) if min(speed[i - 1], speed[i]) >= JITTERED_PX]


def test_jitter_moves_fast_points_by_one_pixel_and_nothing_else(movements: Movements) -> None:
    found = jitter(movements, Jitter(1.0, 1.0), seeded())
    assert torch.equal(stills(found), stills(movements))
    slow = movements.steps_px.norm(dim=-1) < JITTERED_PX
    assert torch.equal(found.steps_px[slow], movements.steps_px[slow])
    assert torch.equal(found.length, movements.length)
    for row in range(len(movements)):
        moved = [math.dist(a, b) for a, b in zip(positions(movements, row), positions(found, row), strict=True)]
        assert moved == [float(i in free_points(movements, row)) for i in range(len(moved))]


def test_jitter_has_mean_zero_and_the_configured_share() -> None:
    """About 10,000 points at a share of 0.3: s.d. of the share 0.005, of each mean coordinate 0.004; at 4.5 s.d. the
    three fail together once in 50,000 seeds. A share of 0.35 or a drift of 0.05 px would be seen.
    """
    many = takes([50] * 700, seed=1)
    free = sum(len(free_points(many, row)) for row in range(len(many)))
    noise = (jitter(many, Jitter(1.0, 0.3), seeded()).steps_px - many.steps_px).cumsum(dim=1)
    assert 10_000 < free < 12_000
    assert float(noise.abs().sum()) / free == pytest.approx(0.3, abs=4.5 * 0.005)
    assert (noise.sum(dim=(0, 1)) / free).tolist() == pytest.approx([0.0, 0.0], abs=4.5 * 0.004)


def test_four_quarter_turns_are_none_and_two_reverse_every_step(movements: Movements) -> None:
    turns = [movements]
    for _ in range(4):
        turns.append(quarter_turn(turns[-1], QuarterTurn(1.0), seeded()))
    for row, length in enumerate(movements.length.tolist()):
        turned = [[-dy, dx] for dx, dy in movements.steps_px[row, :length].tolist()]
        assert turns[1].steps_px[row, :length].tolist() == turned
    assert torch.equal(turns[2].steps_px, -movements.steps_px)
    assert torch.equal(turns[4].steps_px, movements.steps_px)


def lengths_along_the_axes(movements: Movements, row: int) -> Counter[tuple[float, ...]]:
    """How often a movement has each step, up to quarter turns and mirrors."""
    steps = movements.steps_px[row, : int(movements.length[row])].tolist()
    return Counter(tuple(sorted(map(abs, step))) for step in steps)


@each
def test_crop_mirror_and_quarter_turn_alone_make_no_new_step(name: str, movements: Movements) -> None:
    found = AUGMENTATIONS[name](movements, STRONG[name], seeded())
    rows = range(len(movements))
    kept = all(lengths_along_the_axes(found, row) <= lengths_along_the_axes(movements, row) for row in rows)
    assert kept is (name in ("crop", "mirror", "quarter_turn"))


def cuts_by_loop(movements: Movements, row: int, strength: float) -> set[tuple[int, int]]:
    """(first tick, last tick) that a crop may choose: whole, or at ticks in the margin with slow steps beside."""
    steps, n = movements.steps_px[row].tolist(), int(movements.length[row])
    speed = [math.hypot(*step) for step in steps[:n]]
    quiet = [i for i in range(n + 1) if max(speed[max(i - 1, 0) : i + 1]) <= SLOW * max(speed)]
    first = {0} | {i for i in quiet if i <= strength * n}
    last = {n} | {i for i in quiet if i >= n - strength * n}
    return {(i, j) for i in first for j in last}


def test_a_crop_is_a_contiguous_part_between_quiet_ticks() -> None:
    """Every allowed cut is found, and no other: the rarest of k is missed in 300 draws with (1 - 1/k)^300 < 1e-5."""
    few = takes([20, 30, 40], seed=2)
    found: list[set[tuple[int, int]]] = [set(), set(), set()]
    lengths = few.length.tolist()
    allowed = [cuts_by_loop(few, row, 0.25) for row in range(3)]
    for seed in range(300):
        cropped = crop(few, Crop(1.0, 0.25), seeded(seed))
        for row, length in enumerate(cropped.length.tolist()):
            steps = cropped.steps_px[row, :length].tolist()
            whole = few.steps_px[row, : lengths[row]].tolist()
            found[row] |= {(i, i + length) for i, j in allowed[row] if whole[i:j] == steps}
    assert max(map(len, allowed)) <= 25
    assert found == allowed
    assert min(map(len, allowed)) > 1


def test_a_crop_consists_of_the_chosen_steps(movements: Movements) -> None:
    first = torch.arange(len(movements)) % 4
    found = cut(movements, first, movements.length - 7)
    for row, length in enumerate(movements.length.tolist()):
        i = row % 4
        assert torch.equal(found.steps_px[row, : length - 7], movements.steps_px[row, i : i + length - 7])
        assert not found.steps_px[row, length - 7 :].any()


# together


def test_the_configuration_names_each_augmentation_once() -> None:
    config = VariationsConfig()
    assert [field.name for field in dataclasses.fields(config)] == list(AUGMENTATIONS)
    assert build(VariationsConfig, plain(config)) == config


def test_when_off_no_random_numbers_are_used(movements: Movements) -> None:
    random = seeded()
    varied = augment(movements, variations(), FORM, random)
    assert torch.equal(random.get_state(), seeded().get_state())
    assert varied.movements is movements
    assert not varied.changed.any()
    assert varied.refused == {}


@pytest.mark.parametrize("seed", range(3))
def test_every_row_stays_in_order_and_usable(seed: int, movements: Movements) -> None:
    strong = build(VariationsConfig, {name: plain(augmentation) for name, augmentation in STRONG.items()})
    varied = augment(movements, strong, FORM, seeded(seed))
    rows, _ = usable(varied.movements, FORM)
    assert rows.tolist() == list(range(len(movements)))
    assert (varied.movements.group, varied.movements.source) == (movements.group, movements.source)
    assert list(varied.refused) == list(AUGMENTATIONS)


def test_a_row_that_would_become_unusable_is_left_unchanged_and_counted() -> None:
    """Of movements of 64 steps those that a stretch would make longer than T."""
    full = takes([64] * 40)
    longer = int((stretch(full, TimeStretch(1.0, 0.1), _stream(seeded(2), "stretch", 40)).length > 64).sum())
    varied = augment(full, variations(stretch={"probability": 1.0}), FORM, seeded(2))
    assert varied.refused == {"stretch": longer}
    assert 10 < longer < 30
    assert int(varied.changed.sum()) == 40 - longer
    kept = (~varied.changed).nonzero().squeeze(1)
    assert_same_movements(varied.movements.take(kept), full.take(kept))
    assert int(varied.movements.length.max()) <= 64


def _stream(random: torch.Generator, name: str, rows: int) -> torch.Generator:
    """The stream of one augmentation after the choice of its rows."""
    stream = generator(int(torch.randint(2**62, (), generator=random)), name)
    torch.rand(rows, generator=stream)
    return stream


def test_each_augmentation_has_a_stream_of_its_own(movements: Movements) -> None:
    """The same rows are mirrored whether or not others are cropped: a crop of all by 0 changes none."""
    alone = augment(movements, variations(mirror={"probability": 0.5}), FORM, seeded())
    both = augment(
        movements,
        variations(mirror={"probability": 0.5}, crop={"probability": 1.0, "strength": 0.0}),
        FORM,
        seeded(),
    )
    assert_same_movements(both.movements, alone.movements)
    assert bool(both.changed.all())
    assert not alone.changed.all()


def test_the_probability_is_the_share_of_the_rows() -> None:
    """3,000 rows at 0.3: s.d. 0.0084; fails once in 150,000 seeds at 4.5 s.d., and sees 0.25 or 0.35."""
    many = takes([12] * 30).take(torch.arange(30).repeat(100))
    varied = augment(many, variations(mirror={"probability": 0.3}), FORM, seeded())
    assert float(varied.changed.double().mean()) == pytest.approx(0.3, abs=4.5 * 0.0084)
    mirrored = (varied.movements.steps_px != many.steps_px).any(dim=2).any(dim=1)
    assert torch.equal(mirrored, varied.changed)


@pytest.mark.parametrize(
    ("make", "law"),
    [
        (lambda: Mirror(1.1), r"expected `0 <= probability <= 1`, but got probability=1\.1"),
        (lambda: Jitter(math.nan), "probability=nan"),
        (lambda: Crop(0.5, 0.45), r"expected `0 <= strength <= 0\.4`, but got strength=0\.45"),
        (lambda: TimeStretch(0.5, -0.1), r"strength=-0\.1"),
        (lambda: TimeWarp(0.5, 0.6), r"`0 <= strength <= 0\.5`"),
        (lambda: GoalShift(0.5, 0.4), r"`0 <= strength <= 0\.3`"),
        (lambda: Jitter(0.5, 2.0), "`0 <= strength <= 1`"),
        (lambda: build(VariationsConfig, {"warp": {"probability": 2.0}}, "augmentation"), r"^augmentation\.warp: "),
    ],
)
def test_a_config_checks_itself(make: Callable[[], Variation], law: str) -> None:
    with pytest.raises(ConfigError, match=law):
        make()
