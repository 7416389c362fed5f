"""Episodes of movements and of windows, against loops over steps."""

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.critic.episodes import Episodes, episodes_of, episodes_of_split, episodes_of_windows
from trainables.data.canonical import Movements, decode
from trainables.data.config import DataConfig
from trainables.data.splits.loading import load_splits


def movements(*steps: list[tuple[int, int]]) -> Movements:
    longest = max(map(len, steps))
    padded = [[*one, *[(0, 0)] * (longest - len(one))] for one in steps]
    lengths = torch.tensor([len(one) for one in steps])
    return Movements(torch.tensor(padded, dtype=torch.float64), lengths, ("u",) * len(steps))


def test_positions_velocities_and_actions_are_those_of_the_steps() -> None:
    tracks = [[(1, 2), (3, 4), (0, -1)], [(5, 0)], [(0, 0), (2, 2)]]
    found = episodes_of(movements(*tracks))
    state, action = [], []
    for track in tracks:
        x, y, before = 0, 0, (0, 0)
        for step in [*track, (0, 0)]:
            state.append([x, y, before[0] * 60.0, before[1] * 60.0])
            action.append([*map(float, step)])
            x, y, before = x + step[0], y + step[1], step
    assert found.length.tolist() == [4, 2, 3]
    assert found.state.tolist() == state
    assert found.action.tolist() == action


def test_no_state_shows_the_step_that_follows() -> None:
    """Causal: another last step changes the last state and the action before it alone."""
    one, other = (episodes_of(movements([(1, 2), (3, 4), last])) for last in [(5, 6), (-5, 9)])
    assert torch.equal(one.state[:3], other.state[:3])
    assert torch.equal(one.action[:2], other.action[:2])
    assert not torch.equal(one.state[3], other.state[3])


def test_a_split_is_decoded_in_parts_to_the_same_movements() -> None:
    config = DataConfig()
    split = load_splits(config)["validation"]
    found, expected = episodes_of_split(split, config.canonical), episodes_of(decode(split, config.canonical))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert torch.equal(found.state, found.state.round())


def test_windows_end_at_ends_and_at_their_own_end() -> None:
    """Two episodes in the first window, one that ended early at once in the second, none that ended in the third."""
    ends = torch.tensor([[0, 1, 0, 1], [1, 0, 0, 0], [0, 0, 0, 0]]).bool()
    state = torch.arange(48.0).view(3, 4, 4)
    found = episodes_of_windows(state, torch.zeros(3, 4, 2), ends)
    assert found.length.tolist() == [2, 2, 1, 3, 4]
    assert torch.equal(found.state, state.view(12, 4))


@pytest.mark.parametrize(("column", "name"), [(0, "states"), (1, "actions")])
def test_rows_that_are_not_finite_are_refused(column: int, name: str) -> None:
    parts = [torch.zeros(5, 4), torch.zeros(5, 2)]
    parts[column][3, 1] = float("nan")
    with pytest.raises(
        ConfigError, match=rf"^expected finite {name}, but got NaN or infinity in 1 rows, first in row 3$"
    ):
        Episodes(parts[0], parts[1], torch.tensor([5])).checked()


def test_lengths_that_do_not_fit_the_rows_are_refused() -> None:
    with pytest.raises(ConfigError, match="the lengths to sum to the rows"):
        Episodes(torch.zeros(5, 4), torch.zeros(5, 2), torch.tensor([4])).checked()
    with pytest.raises(ConfigError, match="at least one row in each episode"):
        Episodes(torch.zeros(5, 4), torch.zeros(5, 2), torch.tensor([5, 0])).checked()
