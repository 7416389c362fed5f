"""Runs of agents at equal compute: deeper networks take fewer updates, on as many episodes."""

from dataclasses import asdict, replace

import pytest

from benchmarks.support.agent_runs import (
    LAYOUTS,
    RUNS,
    Curve,
    Point,
    Run,
    Work,
    config_of,
    rounds,
    seeds_of,
    with_equal_compute,
    work_of,
)
from benchmarks.support.flops import counted_flops
from tests.trainables.critic.agent.tiny import TINY
from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.critic.agent.collect import collect, exploring
from trainables.critic.agent.state import initial_state
from trainables.data.splits.loading import load_splits
from trainables.training.worker import ALONE

BASE = replace(TINY, epochs=3, steps_per_epoch=40, collection=replace(TINY.collection, capacity=120_000))


def test_every_run_of_every_layout_has_a_configuration() -> None:
    for name, (_, mode) in RUNS.items():
        for layout in LAYOUTS if mode == "online" else ("free",):
            config = config_of(Run(layout, name, 8, 1), replace(BASE, offline_epochs=1))
            assert (config.environment, config.model.depth, config.seed) == (LAYOUTS[layout], 8, 1)


def test_the_work_of_a_run_is_that_of_its_updates_and_rounds() -> None:
    assert rounds(BASE) == 4  # one of each epoch, and the first one
    assert rounds(replace(BASE, mode="offline")) == 0
    assert Work(10, 7).of_run(BASE) == 3 * 40 * 10 + 4 * 7
    assert Work(10, 7).steps_within(3 * 40 * 10 + 4 * 7, BASE) == 40
    assert Work(21, 7).steps_within(3 * 40 * 10 + 4 * 7, BASE) == 19  # 400 / 21


@pytest.mark.parametrize("algorithm", ["contrastive", "sac"])
def test_at_equal_compute_a_deeper_run_has_the_work_of_the_shallow_one(algorithm: str) -> None:
    shallow = replace(BASE, algorithm=algorithm, batch_size=16)
    deep = with_equal_compute(replace(shallow, model=replace(shallow.model, depth=16)), depth=4)
    assert deep.epochs == shallow.epochs
    assert 1 < deep.steps_per_epoch < shallow.steps_per_epoch / 2
    least, most = (work_of(one).of_run(one) for one in (deep, shallow))
    one_more = deep.epochs * work_of(deep).update
    assert least <= most < least + one_more
    assert with_equal_compute(shallow, depth=4) == shallow


def test_the_work_of_a_round_is_that_of_its_episodes() -> None:
    act = exploring(initial_state(BASE, load_splits(BASE.data), ALONE).learner.policy.actor, generator(0, "actions"))
    made = counted_flops(lambda: collect(act, BASE.environment, BASE.collection.copies, generator(0), "start"))
    assert work_of(BASE).round == made > 0


def test_a_run_that_leaves_no_update_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^expected one update or more in each epoch, but got .* at depth 4; raise"):
        Work(10, 7).steps_within(20, BASE)


def curve(seed: int, *points: tuple[int, float]) -> Curve:
    return Curve(Run("free", "sac", 4, seed), 10, 20, 3.0, tuple(Point(*point, 1.0) for point in points))


def test_the_steps_needed_are_those_of_the_first_point_with_the_wanted_success() -> None:
    found = curve(0, (0, 0.0), (10, 0.96), (20, 0.9), (30, 0.99))
    assert found.steps_needed == 10
    assert curve(0, (0, 0.0)).steps_needed is None
    assert Curve.from_json(asdict(found)) == found


def test_seeds_are_those_of_the_same_run() -> None:
    other = replace(curve(5), run=Run("free", "sac", 8, 5))
    assert seeds_of([curve(2), curve(1), other], curve(2).run) == [1, 2]
