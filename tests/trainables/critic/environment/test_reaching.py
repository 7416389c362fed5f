"""Laws of the vectorised environment: the plain loop of one copy, copies apart, success, truncation, new episodes."""

from collections.abc import Iterator
from typing import NamedTuple

import pytest
import torch
from torch import Tensor

from tests.trainables.critic.environment.oracle import Copy
from trainables.core.config import ConfigError
from trainables.critic.environment.collision import inside
from trainables.critic.environment.config import MotorConfig, ReachingConfig
from trainables.critic.environment.controller import bell_shaped
from trainables.critic.environment.layouts import LAYOUTS, rectangles
from trainables.critic.environment.reaching import Reaching, Step
from trainables.critic.environment.tasks import Tasks

QUIET = MotorConfig(noise=0.0)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def double() -> Iterator[None]:
    """Numbers of 64 bits, as the plain loops have them."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


class Rollout(NamedTuple):
    """Steps of an environment, with the states that they were taken in."""

    before: list[Tensor]
    steps: list[Step]
    goals: list[Tensor]
    widths: list[Tensor]


def wandering(environment: Reaching, steps: int, kick: float, seed: int) -> Rollout:
    """Follow the controller, but for random actions in a share of the steps."""
    random, rollout = seeded(seed), Rollout([], [], [], [])
    for _ in range(steps):
        observation = environment.observation
        wild = 2.0 * torch.rand(environment.copies, 2, generator=random) - 1.0
        kicked = torch.rand(environment.copies, 1, generator=random) < kick
        step = environment.step(torch.where(kicked, wild, bell_shaped(observation, environment.config.motor)))
        rollout.before.append(observation.state)
        rollout.steps.append(step)
        rollout.goals.append(observation.goal)
        rollout.widths.append(observation.width)
    return rollout


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_step_is_that_of_the_plain_loop_of_one_copy(layout: str) -> None:
    random, copies = seeded(1), 40
    config = ReachingConfig(layout=layout, max_steps=60)
    environment = Reaching(config, copies, random)
    sides = [tuple(row) for row in rectangles(layout, config.width_px, config.height_px).tolist()]
    start, goal, width = environment.position, environment.observation.goal, environment.observation.width
    loops = [Copy(config, sides, start[row].tolist(), goal[row].tolist(), float(width[row])) for row in range(copies)]
    wild, met, ended = seeded(2), 0, torch.zeros(copies, dtype=torch.bool)
    for at in range(60):
        action = bell_shaped(environment.observation, config.motor)
        if at % 15 < 6:
            action = 2.0 * torch.rand(copies, 2, generator=wild) - 1.0
        state = random.get_state()
        eps = torch.randn(copies, 2, generator=random)
        random.set_state(state)
        step = environment.step(action)
        for row in (~ended).nonzero()[:, 0].tolist():
            observed, reward, success, truncated = loops[row].step(action[row].tolist(), eps[row].tolist())
            assert step.final_state[row].tolist() == pytest.approx(observed, abs=1e-5)
            assert (float(step.reward[row]), bool(step.terminated[row]), bool(step.truncated[row])) == (
                reward,
                success,
                truncated,
            )
            if not (success or truncated):
                assert environment.position[row].tolist() == pytest.approx(loops[row].position, abs=1e-5)
                assert environment.velocity[row].tolist() == pytest.approx(loops[row].velocity, abs=1e-5)
            met += 0.0 in loops[row].velocity
        ended |= step.terminated | step.truncated
    assert ended.all()
    assert met > 10  # something was in the way


@pytest.mark.parametrize("layout", LAYOUTS)
def test_pointers_stay_on_the_screen_and_outside_of_obstacles(layout: str) -> None:
    """Also as observed, under actions that are mostly the largest."""
    config = ReachingConfig(layout=layout)
    environment, random = Reaching(config, 500, seeded(3)), seeded(4)
    sides, last = rectangles(layout, 1920, 1080), torch.tensor([1919.0, 1079.0])
    action = torch.zeros(500, 2)
    for at in range(200):
        action = (4.0 * torch.rand(500, 2, generator=random) - 2.0).clamp(-1, 1) if at % 20 == 0 else action
        for position in (environment.step(action).final_state[:, :2], environment.position):
            assert not inside(position, sides).any()
            assert ((position >= 0) & (position <= last)).all()


def test_observed_are_whole_pixels_and_the_velocity_between_them() -> None:
    environment = Reaching(ReachingConfig(max_steps=30), 50, seeded(5))
    rollout = wandering(environment, 100, 0.1, 6)
    for before, step in zip(rollout.before, rollout.steps, strict=True):
        assert torch.equal(step.final_state[:, :2], step.final_state[:, :2].round())
        torch.testing.assert_close(step.final_state[:, 2:], 60.0 * (step.final_state[:, :2] - before[:, :2]))
    true = environment.position
    assert not torch.equal(true, true.round())
    assert torch.equal(environment.observation.state[:, :2], true.round())


def test_reward_is_of_the_state_after_the_step() -> None:
    rollout = wandering(Reaching(ReachingConfig(max_steps=60), 100, seeded(7)), 120, 0.05, 8)
    differs = 0
    for before, step, goal, width in zip(*rollout, strict=True):
        after, earlier = (
            [
                float(((x - g_x) ** 2 + (y - g_y) ** 2) ** 0.5 <= w / 2.0 and (v_x**2 + v_y**2) ** 0.5 < 100.0)
                for (x, y, v_x, v_y), (g_x, g_y), w in zip(state.tolist(), goal.tolist(), width.tolist(), strict=True)
            ]
            for state in (step.final_state, before)
        )
        assert step.reward.tolist() == after
        differs += after != earlier
    assert differs > 50


NEXT_TO_TARGETS = ReachingConfig(max_steps=60, distance_px=(10.1, 10.6), target_width_px=(20.0, 20.0))


@pytest.mark.parametrize("config", [ReachingConfig(max_steps=60), NEXT_TO_TARGETS], ids=["far", "next to the target"])
def test_success_is_six_steps_at_rest_in_the_target_in_a_row(config: ReachingConfig) -> None:
    """In every copy and step: it ends by success exactly if the last six rewards of its episode are 1."""
    rollout = wandering(Reaching(config, 100, seeded(9)), 200, 0.08, 10)
    rewards: dict[int, list[float]] = {}
    broken = successes = 0
    for step in rollout.steps:
        for episode, reward, success in zip(
            *(p.tolist() for p in (step.episode, step.reward, step.terminated)), strict=True
        ):
            so_far = rewards.setdefault(episode, [])
            broken += reward == 0.0 and so_far[-2:] == [1.0, 1.0]
            so_far.append(reward)
            assert success == (so_far[-6:] == [1.0] * 6)
            successes += success
    assert broken > 20  # rests that were too short were there
    assert successes > 100


def test_an_episode_without_success_is_truncated_after_its_steps() -> None:
    environment = Reaching(ReachingConfig(max_steps=20), 30, seeded(11))
    for at in range(1, 61):
        step = environment.step(torch.zeros(30, 2))
        assert not step.terminated.any()
        assert step.truncated.tolist() == [at % 20 == 0] * 30
        assert step.episode.tolist() == [row + 30 * ((at - 1) // 20) for row in range(30)]


def given(goal: tuple[float, float] = (400.0, 300.0)) -> Tasks:
    return Tasks(torch.tensor([[200.0, 300.0]]), torch.tensor([goal]), torch.tensor([60.0]))


def steps_to_end(max_steps: int) -> tuple[int, Step]:
    environment = Reaching(ReachingConfig(max_steps=max_steps, motor=QUIET), 1, seeded())
    environment.reset(given())
    for at in range(1, max_steps + 1):
        step = environment.step(bell_shaped(environment.observation, QUIET))
        if step.terminated or step.truncated:
            return at, step
    raise AssertionError("an episode without end")


def test_a_success_in_the_last_step_is_no_truncation() -> None:
    needed, step = steps_to_end(180)
    assert bool(step.terminated)
    for allowed, success in ((needed, True), (needed - 1, False)):
        at, step = steps_to_end(allowed)
        assert (at, bool(step.terminated), bool(step.truncated)) == (allowed, success, not success)


def test_no_transition_crosses_episodes() -> None:
    """An ended copy shows its last state as final and a new one, at rest, as observation; ids are used once."""
    environment = Reaching(ReachingConfig(max_steps=40), 60, seeded(12))
    rollout = wandering(environment, 200, 0.05, 13)
    seen: set[int] = set(range(60))
    for at, step in enumerate(rollout.steps[:-1]):
        ended = step.terminated | step.truncated
        following, later = rollout.steps[at + 1], step.observation
        assert torch.equal(following.episode, step.episode + 60 * ended)
        assert torch.equal(later.state[~ended], step.final_state[~ended])
        assert torch.equal(later.goal[~ended], rollout.goals[at][~ended])
        assert (later.state[ended, 2:] == 0.0).all()
        new = set(following.episode[ended].tolist())
        assert not new & seen
        seen |= new
        if ended.any():
            assert (later.goal[ended] != rollout.goals[at][ended]).any(dim=1).all()
    assert len(seen) > 200


def test_a_new_episode_starts_at_rest_where_it_is_seen() -> None:
    environment = Reaching(ReachingConfig(max_steps=6), 20, seeded(14))
    for _ in range(5):
        environment.step(torch.full((20, 2), 0.3))
    assert (environment.velocity != 0.0).any()
    environment.step(torch.full((20, 2), 0.3))
    assert (environment.velocity == 0.0).all()
    assert torch.equal(environment.observation.state[:, :2], environment.position.round())


def test_what_was_returned_is_not_changed_by_later_steps() -> None:
    environment = Reaching(ReachingConfig(max_steps=10), 20, seeded(14))
    step = environment.step(torch.ones(20, 2))
    held = [part.clone() for part in (*step.observation, *step[1:])]
    for _ in range(30):
        environment.step(torch.ones(20, 2))
    assert all(torch.equal(a, b) for a, b in zip(held, (*step.observation, *step[1:]), strict=True))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_permuted_copies_give_permuted_results(layout: str) -> None:
    config, order = ReachingConfig(layout=layout), torch.randperm(200, generator=seeded(15))
    one, other = Reaching(config, 200, seeded(16)), Reaching(config, 200, seeded(17))
    tasks = Tasks(one.position, one.observation.goal, one.observation.width)
    other.reset(tasks.take(order))
    random = seeded(18)
    for _ in range(40):
        action, eps = 2.0 * torch.rand(200, 2, generator=random) - 1.0, torch.randn(200, 2, generator=random)
        one.advance(action, eps)
        other.advance(action[order], eps[order])
        assert torch.equal(one.position[order], other.position)
        assert torch.equal(one.velocity[order], other.velocity)


def test_the_action_of_one_copy_moves_no_other() -> None:
    one, other = (Reaching(ReachingConfig(layout="obstacles"), 20, seeded(19)) for _ in range(2))
    action = torch.full((20, 2), 0.3)
    changed = action.clone()
    changed[7] = -0.9
    left, right = one.step(action), other.step(changed)
    differ = (left.final_state != right.final_state).any(dim=1).nonzero()[:, 0].tolist()
    assert differ == [7]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_seed_gives_the_same_results_and_another_one_others(seed: int) -> None:
    config = ReachingConfig(layout="u_maze", max_steps=30)
    first, second = (wandering(Reaching(config, 50, seeded(20 + each)), 80, 0.1, 21).steps for each in (0, seed))
    same = all(
        torch.equal(a.final_state, b.final_state) and torch.equal(a.observation.goal, b.observation.goal)
        for a, b in zip(first, second, strict=True)
    )
    assert same == (seed == 0)


@pytest.mark.parametrize(
    ("start", "goal", "width", "shown"),
    [
        ((200, 300), (2500, 300), 60, "goal=[2500.0, 300.0], width=60"),  # outside of the screen
        ((200, 300), (1900, 300), 60, "goal=[1900.0, 300.0], width=60"),  # its edge is
        ((200, 300), (600, 540), 60, "goal=[600.0, 540.0], width=60"),  # in the obstacle
        ((600, 540), (200, 200), 60, "start=[600.0, 540.0]"),
        ((200, 300), (210, 300), 60, "goal=[210.0, 300.0], width=60"),  # start in the target
        ((200, 300), (float("nan"), 300), 60, "goal=[nan, 300.0], width=60"),
        ((200, 300), (400, 300), 5000, "width=5000"),
        ((200, 300), (400, 300), 0, "width=0"),
        ((200, 300), (400, 300), -20, "width=-20"),
    ],
)
def test_a_task_without_a_place_is_one_line(
    start: tuple[float, float], goal: tuple[float, float], width: float, shown: str
) -> None:
    environment = Reaching(ReachingConfig(layout="u_maze"), 1, seeded())
    with pytest.raises(ConfigError) as error:
        environment.reset(Tasks(torch.tensor([start]), torch.tensor([goal]), torch.tensor([float(width)])))
    message = str(error.value)
    assert message.startswith(
        "expected a free start, and a target of a width over 0 that lies on the screen, outside of obstacles and of "
        "the start, but got start="
    )
    assert shown in message
    assert message.endswith("on 1920 x 1080 px, layout=u_maze; move that of copy 0")
    assert "\n" not in message


@pytest.mark.parametrize(
    ("action", "message"),
    [
        ([[0.0, 0.0], [0.5, float("nan")]], "expected actions in [-1, 1], but got [0.5, nan] of copy 1"),
        ([[0.0, 0.0], [1.5, 0.0]], "expected actions in [-1, 1], but got [1.5, 0.0] of copy 1"),
    ],
    ids=["NaN", "too large"],
)
def test_a_wrong_action_is_one_line(action: list[list[float]], message: str) -> None:
    environment = Reaching(ReachingConfig(), 2, seeded())
    with pytest.raises(ConfigError) as error:
        environment.step(torch.tensor(action))
    assert str(error.value) == message + "; clip them or look for NaN in the actor"


def test_a_wrong_number_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^expected `copies >= 1`, but got copies=0$"):
        Reaching(ReachingConfig(), 0, seeded())
    environment = Reaching(ReachingConfig(), 2, seeded())
    with pytest.raises(ConfigError, match=r"^expected actions of shape \(2, 2\), but got shape \(3, 2\)$"):
        environment.step(torch.zeros(3, 2))
    with pytest.raises(ConfigError, match=r"^expected 2 tasks, but got 1; one for each copy$"):
        environment.reset(given())
