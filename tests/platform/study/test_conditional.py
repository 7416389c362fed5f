"""Spaces in which a parameter has a meaning only where another one took certain values."""

from pathlib import Path

import pytest

from platform.study.budget import enqueue_baselines
from platform.study.resume import requeue_orphans
from platform.study.samplers import SAMPLERS, JointSampler, make_sampler, sampled_independently
from search_spaces import SPACES
from tests.platform.drivers import LAST, SPACE, Driver
from trainables.training.metric_names import VAL_AUC_EXCESS

pytestmark = pytest.mark.filterwarnings("ignore:QMCSampler is experimental")

RANKING = SPACES["diffusion_ranking_loss"]
LOSS, TEMPERATURE, MARGIN = "contrastive.loss", "contrastive.temperature", "contrastive.margin"
CONDITIONAL = [name for name in SAMPLERS if name != "grid"]  # a grid of such a space is refused


def with_trials(folder: Path, sampler: str, count: int) -> Driver:
    driver = Driver(folder, sampler=sampler, space=RANKING)
    end_trials(driver, count)
    return driver


def end_trials(driver: Driver, count: int) -> None:
    for number in range(count):
        driver.end(driver.start(), LAST, 0.5 - 0.01 * number)


@pytest.mark.parametrize("name", CONDITIONAL)
def test_an_inactive_parameter_is_neither_suggested_nor_configured(tmp_path: Path, name: str) -> None:
    """Thirty trials, two of them of given losses; each holds the parameters that are active there alone."""
    driver = Driver(tmp_path, sampler=name, space=RANKING)
    for loss in ("triplet", "hinge0"):
        driver.study.enqueue_trial({LOSS: loss})
    end_trials(driver, 30)
    points = [trial.params for trial in driver.study.get_trials()]
    assert [point[LOSS] for point in points[:2]] == ["triplet", "hinge0"]
    for point in points:
        active = {key for key in RANKING.parameters if RANKING.active(key, point)}
        assert set(point) == active
        assert (TEMPERATURE in point, MARGIN in point) == (
            point[LOSS] in ("infonce", "softplus", "logistic"),
            point[LOSS] == "triplet",
        )
    assert driver.start().config.keys() == driver.study.get_trials()[-1].params.keys()


def jointly(driver: Driver) -> set[str]:
    """The parameters that a sampler draws together, for the next trial."""
    trial = driver.study.ask()
    last = driver.study.get_trials(deepcopy=False)[trial.number]
    return set(driver.study.sampler.infer_relative_search_space(driver.study, last))


def test_tpe_samples_conditional_parameters_jointly_with_the_others(tmp_path: Path) -> None:
    """The other side: left to itself it would draw them apart."""
    driver = with_trials(tmp_path, "tpe", 30)
    assert jointly(driver) == set(RANKING.parameters)
    assert sampled_independently("tpe", RANKING) == ()
    driver.study.sampler = make_sampler("tpe", 0, 0)
    assert jointly(driver) == set(RANKING.parameters) - {TEMPERATURE, MARGIN}


@pytest.mark.parametrize("name", ["gp", "nsga2"])
def test_independently_sampled_parameters_are_named(tmp_path: Path, name: str) -> None:
    apart = set(RANKING.parameters) - jointly(with_trials(tmp_path, name, 30))
    assert set(sampled_independently(name, RANKING)) == apart == {TEMPERATURE, MARGIN}


@pytest.mark.parametrize("name", SAMPLERS)
def test_optunasearch_defect_no_conditional_parameter_is_sampled_independently_without_notice(name: str) -> None:
    """Printed before the sweep starts; not for random and grid, where all are independent by design."""
    expected = () if name in ("tpe", "random", "grid") else (TEMPERATURE, MARGIN)
    assert sampled_independently(name, RANKING) == expected
    assert sampled_independently(name, SPACE) == ()


def test_parameters_of_one_condition_are_sampled_together(tmp_path: Path) -> None:
    sampler = Driver(tmp_path, sampler="tpe", space=RANKING).study.sampler
    assert isinstance(sampler, JointSampler)
    groups = [set(group) for group in sampler.groups]
    assert {TEMPERATURE} in groups
    assert {MARGIN} in groups
    assert set(RANKING.parameters) - {TEMPERATURE, MARGIN} in groups


def test_baselines_of_a_conditional_space_come_first_and_once_over_reopenings(tmp_path: Path) -> None:
    points = []
    for _ in range(3):
        driver = Driver(tmp_path, space=RANKING)
        requeue_orphans(driver.study)
        enqueue_baselines(driver.study, RANKING, 10)
        trial = driver.start()
        points.append(dict(trial.config))
        driver.end(trial, LAST, 0.3)
    assert points[0] == dict(RANKING.baselines[0])
    assert MARGIN not in points[0]
    assert all(point != points[0] for point in points[1:])
    assert len(Driver(tmp_path, space=RANKING).study.trials) == 3


def test_an_interrupted_trial_of_a_conditional_space_keeps_its_parameters(tmp_path: Path) -> None:
    dead = Driver(tmp_path, space=RANKING)
    points = [dead.start().config for _ in range(6)]
    driver = Driver(tmp_path, space=RANKING)
    requeue_orphans(driver.study)
    assert [driver.start().config for _ in points] == points


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.heavy) if name == "gp" else name for name in CONDITIONAL]
)
def test_two_objectives_and_a_bound_over_a_conditional_space(tmp_path: Path, name: str) -> None:
    driver = Driver(
        tmp_path,
        sampler=name,
        space=RANKING,
        objectives=(VAL_AUC_EXCESS, "val/mmd"),
        constraints=("val/recall>=0.5",),
    )
    for number in range(24):
        more = {"val/recall": number % 3 / 2}
        driver.end(driver.start(), LAST if number % 2 else 2, 0.5 - 0.01 * number, **more)
    assert len(driver.study.trials) == 24
