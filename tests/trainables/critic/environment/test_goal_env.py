"""The Gymnasium interface: its checker without a warning, goals, rewards of stored steps, seeds, pictures, errors."""

import warnings
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from trainables.core.config import ConfigError
from trainables.critic.environment.drawing import BACKGROUND, OBSTACLE, POINTER, TARGET
from trainables.critic.environment.goal_env import REACHING, ReachingGoalEnv
from trainables.critic.environment.layouts import LAYOUTS

PLACE = {"start": [200.0, 300.0], "goal": [260.0, 300.0], "width_px": 40.0}


def made(**settings: Any) -> ReachingGoalEnv:
    return cast(ReachingGoalEnv, gymnasium.make(REACHING, **settings).unwrapped)


def towards(observation: dict[str, Any]) -> Any:
    """A slow proportional action."""
    return np.clip(0.001 * (observation["desired_goal"] - observation["achieved_goal"]), -1, 1).astype(np.float32)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_checker_of_gymnasium_finds_nothing(layout: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(made(layout=layout))


def test_importing_registers_nothing() -> None:
    assert REACHING.id not in gymnasium.registry


def test_rewards_ends_and_goals_agree_with_gymnasium_robotics() -> None:
    """reward == compute_reward(achieved, desired, info), and so for both ends."""
    environment = made(max_steps=80)
    ends = {"terminated": 0, "truncated": 0}
    for seed in range(12):
        observation, _ = environment.reset(seed=seed)
        terminated = truncated = False
        while not (terminated or truncated):
            action = towards(observation) if seed % 3 else np.zeros(2, dtype=np.float32)
            observation, reward, terminated, truncated, info = environment.step(action)
            goals = observation["achieved_goal"], observation["desired_goal"]
            assert reward == environment.compute_reward(*goals, info)
            assert terminated == environment.compute_terminated(*goals, info)
            assert truncated == environment.compute_truncated(*goals, info)
            assert np.array_equal(observation["observation"][:2], goals[0])
            assert info["speed_px_s"] == pytest.approx(float(np.linalg.norm(observation["observation"][2:])))
        ends["terminated"] += terminated
        ends["truncated"] += truncated
    assert min(ends.values()) >= 4


def test_rewards_for_other_goals_are_computed_from_stored_steps() -> None:
    environment = made()
    environment.reset(seed=0)
    steps = [environment.step(np.array([0.02, 0.0], dtype=np.float32)) for _ in range(5)]
    steps += [environment.step(np.zeros(2, dtype=np.float32)) for _ in range(20)]
    achieved, infos = np.stack([step[0]["achieved_goal"] for step in steps]), [step[4] for step in steps]
    rewards = environment.compute_reward(achieved, np.tile(achieved[-1], (len(steps), 1)), infos)
    assert rewards[-1] == 1.0
    assert rewards.tolist() == [
        environment.compute_reward(each, achieved[-1], info) for each, info in zip(achieved, infos, strict=True)
    ]
    assert rewards.tolist() == [
        float(np.linalg.norm(each - achieved[-1]) <= info["width_px"] / 2 and info["speed_px_s"] < 100.0)
        for each, info in zip(achieved, infos, strict=True)
    ]


def test_a_seed_fixes_all_episodes_that_follow() -> None:
    def episodes(seed: int) -> list[list[float]]:
        environment, found = made(max_steps=15), []
        for at in range(4):
            observation, _ = environment.reset(seed=seed if at == 0 else None)
            for _ in range(5):
                observation, *_ = environment.step(np.array([0.5, -0.2], dtype=np.float32))
                found.append(np.concatenate([observation["observation"], observation["desired_goal"]]).tolist())
        return found

    assert episodes(3) == episodes(3)
    assert episodes(3) != episodes(4)


def test_an_episode_of_ones_own_is_played() -> None:
    environment = made(motor={"noise": 0.0})
    observation, info = environment.reset(seed=0, options=PLACE)
    assert observation["achieved_goal"].tolist() == PLACE["start"]
    assert observation["desired_goal"].tolist() == PLACE["goal"]
    assert info == {"width_px": 40.0, "speed_px_s": 0.0, "steps": 0, "is_success": False}
    terminated, rewards = False, [0.0]
    while not terminated:
        observation, reward, terminated, truncated, info = environment.step(towards(observation))
        assert not truncated
        rewards.append(float(reward))
    assert (rewards[-1], info["is_success"]) == (1.0, True)


def test_the_picture_shows_obstacles_target_and_pointer() -> None:
    environment = made(layout="u_maze", render_mode="rgb_array")
    environment.reset(seed=0, options=PLACE)
    picture = environment.render()
    assert picture.shape == (270, 480, 3)
    for (x, y), colour in (((50, 75), POINTER), ((65, 75), TARGET), ((100, 135), OBSTACLE), ((400, 135), BACKGROUND)):
        assert tuple(picture[y, x]) == colour
    assert made().render() is None


def test_wrong_input_is_one_line() -> None:
    with pytest.raises(ConfigError, match=r"^expected `layout` in \{free, obstacles, u_maze\}, but got layout=spiral$"):
        made(layout="spiral")
    with pytest.raises(ConfigError, match=r"^expected `render_mode` in \{rgb_array\}, but got render_mode=human$"):
        ReachingGoalEnv(render_mode="human")
    environment = made()
    with pytest.raises(gymnasium.error.ResetNeeded, match=r"^expected a running episode, but got none; call reset\(\)"):
        environment.step(np.zeros(2, dtype=np.float32))
    with pytest.raises(ConfigError, match=r"^expected the options start, goal, width_px, but got goal; give all three"):
        environment.reset(options={"goal": [1.0, 2.0]})
    with pytest.raises(ConfigError, match=r"^expected a free start, and a target of a width over 0 that lies on the"):
        environment.reset(options=PLACE | {"goal": [5000.0, 300.0]})
    environment.reset()
    with pytest.raises(ConfigError, match=r"^expected actions in \[-1, 1\], but got \[nan, 0.0\] of copy 0"):
        environment.step(np.array([np.nan, 0.0], dtype=np.float32))


@pytest.mark.parametrize(
    ("option", "law"),
    [
        ({"start": "left"}, "option start to be two numbers in px, but got 'left'"),
        ({"goal": [1.0, 2.0, 3.0]}, r"option goal to be two numbers in px, but got \[1.0, 2.0, 3.0\]"),
        ({"width_px": [20.0]}, r"option width_px to be a number in px, but got \[20.0\]"),
    ],
)
def test_an_option_of_another_type_is_one_line(option: dict[str, Any], law: str) -> None:
    with pytest.raises(ConfigError, match=f"^expected the {law}$"):
        made().reset(options=PLACE | option)


def test_an_episode_that_ended_waits_for_reset() -> None:
    environment = made(max_steps=6)
    environment.reset(seed=0, options=PLACE)
    still = np.zeros(2, dtype=np.float32)
    for step in range(1, 7):
        assert environment.step(still)[3] == (step == 6)
    with pytest.raises(gymnasium.error.ResetNeeded):
        environment.step(still)
    environment.reset()
    environment.step(still)
