"""Properties of the replays: positions of a recording, its user, and the distance from a copy."""

import pytest
import torch

from tests.trainables.detector.bots.conditions import bowed, conditions, seeded
from trainables.data.canonical import Canonical, encode, rotate
from trainables.data.config import RATE_HZ, CanonicalConfig, DataConfig
from trainables.data.observation import PERIOD_MS
from trainables.data.splits.loading import load_splits
from trainables.detector.bots import BOTS
from trainables.detector.bots.events import emit, requested_steps
from trainables.detector.bots.replay import REACH, bent, late, others, read, recorded, transferred, turned, warped

CONDITIONS = [(20, (100, 0)), (41, (300, -400)), (64, (-900, 50)), (8, (0, 30))]
LIKE = conditions(*CONDITIONS, group="one")
STILL = 3  # tick of each condition's path on which it does not move
ENDS = torch.tensor([[0.0, 0.0], [1.0, 0.0]], dtype=torch.float64)


@pytest.fixture(scope="module")
def real() -> Canonical:
    return load_splits(DataConfig())["train"]


@pytest.mark.parametrize("representation", ["fixed_dt", "events"])
def test_a_recording_is_observed_unchanged(representation: str) -> None:
    """Played at its own ticks, without jitter, a recording passes the observation model unchanged.

    Event by event its empty tick between fast steps is a lost event, through which the pointer moved on.
    """
    lost = [STILL] if representation == "events" else []
    like = conditions(*CONDITIONS, config=CanonicalConfig(representation))
    elapsed, path = recorded(like)
    played = emit(like, elapsed * requested_steps(like)[:, None] * PERIOD_MS, path)
    for row, condition in enumerate(CONDITIONS):
        expected = torch.from_numpy(bowed(*condition))
        found = played.steps_px[row, : condition[0]].cumsum(dim=0)
        differs = (found != expected[1:]).any(dim=1).nonzero().squeeze(1)
        assert differs.tolist() == lost


def test_normalised_time_gives_the_recorded_positions() -> None:
    like = conditions(*CONDITIONS, config=CanonicalConfig("normalised_time"))
    elapsed, path = recorded(like)
    for row, (steps, net) in enumerate(CONDITIONS):
        on_screen = rotate(path[row : row + 1] * like.distance_px[row], like.angle[row : row + 1])[0]
        original = bowed(steps, net)
        for tick in range(0, 65, 8):
            at = tick / 64 * steps
            low = min(int(at), steps - 1)
            expected = original[low] + (at - low) * (original[low + 1] - original[low])
            assert elapsed[row, tick] == pytest.approx(tick / 64)
            assert on_screen[tick].tolist() == pytest.approx(expected.tolist(), abs=1e-6)


def test_bent_and_turned_paths_lead_from_start_to_target() -> None:
    _, path = recorded(LIKE)
    for change in (bent, turned):
        made = change(path, seeded(2))
        torch.testing.assert_close(made[:, [0, -1]], ENDS.expand(4, -1, -1), rtol=0.0, atol=1e-12)
        assert not torch.equal(made, path)


def test_half_of_the_replays_are_mirrored() -> None:
    """Of 1,000 rows 500 +- 80 (5 s.d.)."""
    path = torch.tensor([[0.0, 0.0], [0.5, 0.2], [1.0, 0.0]], dtype=torch.float64).expand(1000, -1, -1)
    across = bent(path, seeded())[:, 1, 1]
    assert 420 < int((across < 0).sum()) < 580
    assert 0.79 * 0.2 < float(across.abs().min()) < float(across.abs().max()) < 1.26 * 0.2


def test_a_turned_path_is_multiplied_by_z_up_to_the_distributed_end_error() -> None:
    """In complex numbers p -> p + z (p - s) with the share s of the path that is behind, for one z a row."""
    path = torch.tensor([[0.0, 0.0], [0.3, 0.4], [0.6, 0.0], [1.0, 0.0]], dtype=torch.float64)[None]
    shift = torch.view_as_complex((turned(path, seeded()) - path).contiguous())[0]
    away = torch.view_as_complex(path.contiguous())[0] - torch.tensor([0.0, 0.5, 1.0, 1.4]) / 1.4
    z = shift[1] / away[1]
    assert float(z.abs()) <= 0.06
    torch.testing.assert_close(shift, z * away)


def test_warped_and_late_times_keep_their_order_and_ends() -> None:
    elapsed = torch.linspace(0.0, 1.0, 65, dtype=torch.float64).expand(500, -1)
    for change in (warped, late):
        made = change(elapsed, seeded())
        assert bool((made[:, 0] == 0).all())
        torch.testing.assert_close(made[:, -1], torch.ones(500, dtype=torch.float64), rtol=0.0, atol=1e-15)
        assert bool((made.diff(dim=1) > 0).all())
        assert float((made - elapsed).abs().max()) > 0.005


def test_the_other_movement_is_of_the_same_user_and_of_similar_distance(real: Canonical) -> None:
    for seed in range(3):
        other = others(real, seeded(seed)).tolist()
        for row, donor in list(enumerate(other))[seed::12]:
            user = [i for i, group in enumerate(real.group) if group == real.group[row]]
            assert real.group[donor] == real.group[row]
            assert donor != row or len(user) == 1
            by_distance = sorted(user, key=lambda i: (float(real.distance_px[i]), i))
            assert abs(by_distance.index(donor) - by_distance.index(row)) <= REACH


def test_every_other_movement_within_reach_is_sampled() -> None:
    """40 rows of one user, 400 draws: one of 20 neighbours is missed with probability 5e-8 a row."""
    like = conditions(*[(20, (100 + i, 0)) for i in range(40)], group="one")
    drawn = torch.stack([others(like, seeded(seed)) for seed in range(400)], dim=1)
    for row in range(40):
        reach = set(range(max(row - REACH, 0), min(row + REACH, 39) + 1)) - {row}
        assert set(drawn[row].tolist()) == reach


def test_positions_are_interpolated() -> None:
    elapsed = torch.tensor([[0.0, 0.2, 0.2, 0.6, 1.0, 1.0]], dtype=torch.float64)
    path = torch.tensor([[[0, 0], [1, 0], [2, 0], [4, 8], [5, 8], [5, 8]]], dtype=torch.float64)
    at = torch.tensor([[0.0, 0.1, 0.2, 0.4, 0.8, 1.0]], dtype=torch.float64)
    expected = [[0.0, 0.0], [0.5, 0.0], [2.0, 0.0], [3.0, 4.0], [4.5, 8.0], [5.0, 8.0]]
    assert read(elapsed, path, at)[0].tolist() == [pytest.approx(point) for point in expected]


def test_a_transferred_movement_has_the_shape_of_the_other() -> None:
    """Two movements of one user exchange their shapes, apart from the side of the chord."""
    like = conditions((20, (100, 0)), (41, (300, -400)), group="one")
    share = torch.linspace(0.0, 1.0, 50, dtype=torch.float64).expand(2, -1)
    elapsed, path = recorded(like)
    expected, made = read(elapsed, path, share).flip(0), transferred(like, share, seeded())
    torch.testing.assert_close(made[..., 0], expected[..., 0], rtol=0.0, atol=1e-12)
    torch.testing.assert_close(made[..., 1].abs(), expected[..., 1].abs(), rtol=0.0, atol=1e-12)


def test_a_jittered_replay_is_near_its_recording_but_no_copy(real: Canonical) -> None:
    """It is nearer than another movement of the same user, and never equal."""
    replay = encode(BOTS["replay_jitter"].generate(real, seeded()), CanonicalConfig())
    transfer = encode(BOTS["replay_transfer"].generate(real, seeded()), CanonicalConfig())

    def gap(other: Canonical) -> torch.Tensor:
        away = other.deltas.cumsum(dim=1) - real.deltas.cumsum(dim=1)
        mirrored = away.clone()
        mirrored[..., 1] += 2 * real.deltas.cumsum(dim=1)[..., 1]
        sides = torch.stack([away.norm(dim=-1).mean(dim=1), mirrored.norm(dim=-1).mean(dim=1)])
        return sides.amin(dim=0)

    assert float((gap(replay) == 0).double().mean()) == 0
    assert float(gap(replay).median()) < 0.5 * float(gap(transfer).median())
    assert float(replay.duration_s[0]) == pytest.approx(int(real.mask[0].sum()) / RATE_HZ)
