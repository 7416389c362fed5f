"""Frames: quarter turns keep the pixel grid, nothing is lost, and no feature knows which frame a generator has."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.data.augment import AUGMENTATIONS, augment
from trainables.data.canonical import Canonical, Movements, decode, encode, reobserve, turned, with_deltas
from trainables.data.config import (
    CONDITION_WIDTH,
    CanonicalConfig,
    DataConfig,
    GoalShift,
    Jitter,
    Mirror,
    QuarterTurn,
    TimeStretch,
    TimeWarp,
    VariationsConfig,
)
from trainables.data.dataset import SequenceDataset
from trainables.data.frames import FRAMES, rest_of_quarter_turns
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.data.splits.statistics import Statistics, steps_in_frame
from trainables.detector.dataset.training_set import Scaling
from trainables.eval.features.kinematic import movement_features

FORM = CanonicalConfig()
every_frame = pytest.mark.parametrize("frame", FRAMES)
ANGLES = torch.linspace(-math.pi, math.pi, 1441, dtype=torch.float64)


def loaded(frame: str, representation: str = "fixed_dt") -> DataSplits:
    return load_splits(DataConfig(canonical=CanonicalConfig(representation), frame=frame))


def walks(count: int = 60, steps: int = 24) -> Movements:
    """Random walks on the pixel grid in all directions, a third of their steps still."""
    random = generator(0, "walks")
    drift = 9.0 * torch.randn(count, 1, 2, generator=random, dtype=torch.float64)
    drawn = (drift + 5.0 * torch.randn(count, steps, 2, generator=random, dtype=torch.float64)).round()
    drawn *= torch.rand(count, steps, 1, generator=random) > 1 / 3
    return Movements(drawn, torch.full((count,), steps), tuple(f"u{row % 5}" for row in range(count)))


def quarter_turns(steps: Tensor, turns: int) -> Tensor:
    """Exact rotations by multiples of 90 degrees: (x, y) -> (-y, x), so many times."""
    for _ in range(turns % 4):
        x, y = steps.unbind(-1)
        steps = torch.stack([-y, x], dim=-1)
    return steps


def test_the_rest_is_within_half_a_quarter_turn_and_whole_turns_away() -> None:
    rest = rest_of_quarter_turns(ANGLES)
    assert float(rest.abs().max()) <= math.pi / 4 + 1e-12
    turns = (ANGLES - rest) / (math.pi / 2)
    torch.testing.assert_close(turns, turns.round(), rtol=0, atol=1e-12)


def test_the_columns_tell_the_direction_up_to_half_turns() -> None:
    """Away from the diagonals, where two rests meet, directions apart have columns apart, but for half turns."""
    columns = FRAMES["quarter_turn"].columns(ANGLES)
    assert float(columns.abs().max()) <= 1.0
    half = FRAMES["quarter_turn"].columns(ANGLES + math.pi)
    away = (rest_of_quarter_turns(ANGLES).abs() < math.pi / 4 - 1e-6)[:, None]
    torch.testing.assert_close(half * away, columns * away, rtol=0, atol=1e-9)
    some = torch.arange(-44.0, 136.0).double().deg2rad()  # half of all directions, without both diagonals
    some = some[rest_of_quarter_turns(some).abs() < math.radians(44.5)]
    apart = torch.cdist(FRAMES["quarter_turn"].columns(some), FRAMES["quarter_turn"].columns(some))
    assert float((apart + torch.eye(len(some))).min()) > 1e-3


def test_a_mirror_image_has_the_other_side_and_a_quarter_turn_the_other_axis() -> None:
    sine, cosine = FRAMES["quarter_turn"].columns(ANGLES[1:-1]).unbind(1)
    mirrored = FRAMES["quarter_turn"].columns(-ANGLES[1:-1])
    torch.testing.assert_close(mirrored, torch.stack([-sine, cosine], dim=1), rtol=0, atol=1e-9)
    inside = rest_of_quarter_turns(ANGLES).abs() < math.pi / 4 - 1e-6
    upright = FRAMES["quarter_turn"].columns(ANGLES[inside] + math.pi / 2)
    own = FRAMES["quarter_turn"].columns(ANGLES[inside])
    torch.testing.assert_close(upright, own * torch.tensor([1.0, -1.0]).double(), rtol=0, atol=1e-9)


def test_quarter_turns_keep_whole_pixels_and_the_chord_does_not() -> None:
    """Against exact turns of the steps on the screen, row by row."""
    movements = walks()
    canonical = encode(movements, FORM)
    found = steps_in_frame(canonical, "quarter_turn")[:, : movements.steps_px.shape[1]]
    for row in range(len(movements)):
        turns = round(float(canonical.angle[row]) / (math.pi / 2))
        torch.testing.assert_close(found[row], quarter_turns(movements.steps_px[row], -turns), rtol=0, atol=1e-9)
    assert torch.equal((found == 0).all(dim=2), (movements.steps_px == 0).all(dim=2))  # stillness is exact
    chord = steps_in_frame(canonical, "chord")
    assert torch.equal(chord, canonical.steps_px())
    assert float((chord - chord.round()).abs().max()) > 0.4


@every_frame
def test_the_net_displacement_in_the_frame_is_its_own(frame: str) -> None:
    canonical = encode(walks(), FORM)
    net = loaded(frame).statistics.net_px(canonical)
    torch.testing.assert_close(net, steps_in_frame(canonical, frame).sum(dim=1), rtol=0, atol=1e-9)
    assert bool((net[:, 0] >= net[:, 1].abs() - 1e-9).all())
    assert bool((net[:, 1].abs() < 1e-9).all()) is (frame == "chord")


@every_frame
@pytest.mark.parametrize("representation", ["fixed_dt", "events"])  # the third interpolates
def test_standardised_movements_come_back_to_the_pixel(frame: str, representation: str) -> None:
    splits, form = loaded(frame, representation), CanonicalConfig(representation)
    real = splits["validation"]
    z = splits.statistics.normalise(real)
    back = with_deltas(real, splits.statistics.denormalise(z, real))
    assert torch.equal(decode(back, form).steps_px, decode(real, form).steps_px)
    valid = z[real.mask].double()
    assert float((z * ~real.mask[..., None]).abs().max()) == 0.0
    assert bool((valid.std(dim=0) - 1).abs().max() < 0.5)


def test_movements_and_their_features_are_the_same_in_every_frame() -> None:
    """Bit for bit: the data and their hash, samples after the observation, and the inputs of a detector."""
    chord, quarter = loaded("chord"), loaded("quarter_turn")
    assert chord.sha256 == quarter.sha256
    assert chord.statistics.frame != quarter.statistics.frame
    seen = []
    for splits in (chord, quarter):
        real = splits["validation"]
        sample = with_deltas(real, splits.statistics.denormalise(splits.statistics.normalise(real), real))
        shown, rows = reobserve(sample, FORM)
        inputs = Scaling.fit(splits).inputs(shown)
        features = movement_features(shown.deltas, shown.mask)
        seen.append([real.deltas, real.angle, rows, shown.deltas, features, inputs.z, inputs.features])
    for one, other in zip(*seen, strict=True):
        assert torch.equal(one, other)
    one, other = (splits.statistics.normalise(splits["validation"]) for splits in (chord, quarter))
    assert not torch.allclose(one, other, atol=0.1)


def test_the_condition_has_the_columns_of_the_frame_behind_the_sources_and_the_ends_last() -> None:
    """Column by column from the movements, in plain loops."""
    splits = loaded("quarter_turn").with_ends(True)
    real = splits["train"].take(torch.arange(0, 400, 7))
    condition = SequenceDataset(real, splits.statistics).condition
    sources = len(splits.statistics.sources)
    assert condition.shape[1] == splits.statistics.condition_width == CONDITION_WIDTH + sources + 2 + 2
    plain = SequenceDataset(real, loaded("chord").statistics).condition
    assert torch.equal(condition[:, : CONDITION_WIDTH + sources], plain)
    for row in range(len(real)):
        angle, length = float(real.angle[row]), int(real.mask[row].sum())
        rest = angle - math.pi / 2 * round(angle / (math.pi / 2))
        ends = [1.0 if bool((real.deltas[row, step] != 0).any()) else -1.0 for step in (0, length - 1)]
        expected = [math.sin(rest), math.cos(2 * angle), *ends]
        assert condition[row, CONDITION_WIDTH + sources :].tolist() == pytest.approx(expected, abs=1e-6)
    forgotten = SequenceDataset(real, splits.statistics).without_sources(torch.ones(len(real), dtype=torch.bool))
    assert not bool(forgotten.condition[:, CONDITION_WIDTH : CONDITION_WIDTH + sources].any())
    assert torch.equal(forgotten.condition[:, CONDITION_WIDTH + sources :], condition[:, CONDITION_WIDTH + sources :])


OFF = VariationsConfig(
    stretch=TimeStretch(0.0), warp=TimeWarp(0.0), goal=GoalShift(0.0), mirror=Mirror(0.0), jitter=Jitter(0.0)
)


@pytest.mark.parametrize(
    "config",
    [
        replace(OFF, stretch=TimeStretch(1.0)),
        replace(OFF, warp=TimeWarp(1.0)),
        replace(OFF, goal=GoalShift(1.0)),
        replace(OFF, mirror=Mirror(1.0)),
        replace(OFF, quarter_turn=QuarterTurn(1.0)),
        replace(OFF, jitter=Jitter(1.0)),
    ],
    ids=lambda config: ", ".join(config.active()),
)
def test_augmented_movements_stay_on_the_grid(config: VariationsConfig) -> None:
    varied = augment(walks(), config, FORM, generator(1, "varied"))
    assert bool(varied.changed.any())
    steps = steps_in_frame(encode(varied.movements, FORM), "quarter_turn")
    torch.testing.assert_close(steps, steps.round(), rtol=0, atol=1e-9)


def test_a_mirrored_movement_is_the_mirror_image_in_its_frame() -> None:
    movements = walks()
    flip = torch.tensor([1.0, -1.0]).double()
    one, other = (encode(each, FORM) for each in (movements, replace(movements, steps_px=movements.steps_px * flip)))
    rest = rest_of_quarter_turns(one.angle)
    torch.testing.assert_close(rest_of_quarter_turns(other.angle), -rest, rtol=0, atol=1e-12)
    mirrored = steps_in_frame(one, "quarter_turn") * flip
    torch.testing.assert_close(steps_in_frame(other, "quarter_turn"), mirrored, rtol=0, atol=1e-9)


def test_a_quarter_turn_changes_what_tells_horizontal_from_vertical_alone() -> None:
    """In no frame the steps; of the columns the sign of cos(2 angle). Two turns change nothing: they need no option.

    But for exact diagonals, which are 45 degrees from two axes.
    """
    net = walks().steps_px.sum(dim=1).abs()
    movements = walks().take((net[:, 0] != net[:, 1]).nonzero().squeeze(1))
    assert len(movements) >= 50
    once = AUGMENTATIONS["quarter_turn"](movements, QuarterTurn(1.0), generator(0, "turn"))
    twice = AUGMENTATIONS["quarter_turn"](once, QuarterTurn(1.0), generator(0, "turn"))
    real, turned_once, turned_twice = (encode(each, FORM) for each in (movements, once, twice))
    for name, frame in FRAMES.items():
        for other in (turned_once, turned_twice):
            found, expected = (steps_in_frame(each, name) for each in (other, real))
            torch.testing.assert_close(found, expected, rtol=0, atol=1e-9)
        columns = [frame.columns(each.angle) for each in (real, turned_once, turned_twice)]
        sign = torch.tensor([1.0, -1.0]).double()[: frame.width]
        torch.testing.assert_close(columns[1], columns[0] * sign, rtol=0, atol=1e-12)
        torch.testing.assert_close(columns[2], columns[0], rtol=0, atol=1e-12)


def test_steps_of_the_chord_are_left_as_they_are_to_the_last_bit() -> None:
    """No rotation by an angle of 0, which would lose the sign of a zero."""
    canonical = encode(walks(), FORM)
    negative = with_deltas(canonical, -0.0 * canonical.deltas.abs())
    assert bool(torch.signbit(steps_in_frame(negative, "chord")).all())
    assert turned(canonical.deltas, torch.zeros_like(canonical.angle)).shape == canonical.deltas.shape


def test_an_unknown_frame_is_refused() -> None:
    statistics: Statistics = loaded("chord").statistics
    with pytest.raises(ConfigError, match=r"^expected `frame` in \{chord, quarter_turn\}, but got frame=hexagonal; "):
        replace(statistics, frame="hexagonal")


def test_the_ends_of_a_movement_are_its_first_and_last_step() -> None:
    canonical: Canonical = encode(walks(), FORM)
    for row, ends in enumerate(canonical.ends().tolist()):
        steps = decode(canonical, FORM).steps_px[row, : int(canonical.mask[row].sum())]
        assert ends == [1 if bool((step != 0).any()) else -1 for step in (steps[0], steps[-1])]
