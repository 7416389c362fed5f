"""Every sampler over a real journal: inside the laws, repeatable by seed and history, and on after a reopening."""

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from platform.study.samplers import SAMPLERS, SEQUENCES, grid_of, grid_size, make_sampler
from tests.platform.drivers import SPACE, Driver
from trainables.core.config import ConfigError

pytestmark = pytest.mark.filterwarnings("ignore:QMCSampler is experimental")

ROOT = Path(__file__).resolve().parents[3]


def lies_inside(value: Any, law: BaseDistribution) -> bool:
    """Membership by the definition of each law."""
    if isinstance(law, CategoricalDistribution):
        return any(type(value) is type(choice) and value == choice for choice in law.choices)
    if isinstance(law, IntDistribution):
        return type(value) is int and value in range(law.low, law.high + 1, law.step)
    return isinstance(law, FloatDistribution) and type(value) is float and law.low <= value <= law.high


@pytest.mark.parametrize("name", SAMPLERS)
def test_every_sampler_suggests_inside_the_laws(tmp_path: Path, name: str) -> None:
    """Suggest twelve points: beyond the random start-up of every sampler, so that its model is used too."""
    for point in Driver(tmp_path, sampler=name).points(12):
        outside = {key: value for key, value in point.items() if not lies_inside(value, SPACE.parameters[key])}
        assert outside == {}


@pytest.mark.parametrize("name", SAMPLERS)
def test_optunasearch_defect_the_same_seed_does_not_repeat_itself_after_reopening(tmp_path: Path, name: str) -> None:
    """Whole points: a model may rightly send single parameters to the same end of their law."""
    points = [point for _ in range(3) for point in Driver(tmp_path, sampler=name).points(3)]
    assert len({tuple(point.values()) for point in points}) == 9


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_same_seed_and_history_suggest_the_same(tmp_path: Path, name: str) -> None:
    """Two copies of one journal of six trials continue with equal suggestions; another seed with others."""
    Driver(tmp_path / "origin", sampler=name).points(6)
    for copy in ("first", "second", "other"):
        shutil.copytree(tmp_path / "origin", tmp_path / copy)
    first, second = (Driver(tmp_path / copy, sampler=name).points(2) for copy in ("first", "second"))
    other = Driver(tmp_path / "other", sampler=name, seed=1).points(2)
    assert first == second
    assert first[0] != other[0]


def test_another_process_suggests_the_same() -> None:
    ask = (
        "import optuna\n"
        "from optuna.distributions import FloatDistribution\n"
        "from platform.study.samplers import make_sampler\n"
        "study = optuna.create_study(sampler=make_sampler('tpe', 7, 3))\n"
        "print(study.ask({'x': FloatDistribution(0, 1)}).params['x'])"
    )
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    here = optuna.create_study(sampler=make_sampler("tpe", 7, 3)).ask({"x": FloatDistribution(0, 1)})
    assert float(done.stdout) == here.params["x"]


def test_the_sampler_depends_on_the_number_of_trials() -> None:
    def first(trials: int) -> float:
        study = optuna.create_study(sampler=make_sampler("random", 0, trials))
        return float(study.ask({"x": FloatDistribution(0, 1)}).params["x"])

    assert len({first(trials) for trials in range(20)}) == 20


def test_an_unknown_sampler_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"expected `sampler` in \{gp, grid, nsga2, qmc, random, tpe\}.*sampler=cmaes"
    ):
        make_sampler("cmaes", 0, 0)


@pytest.mark.parametrize("high", [2.0, 0.5])
@pytest.mark.parametrize("name", ["tpe", "gp", "nsga2"])
def test_another_interval_keeps_the_joint_space(tmp_path: Path, name: str, high: float) -> None:
    """Optuna by itself finds no parameter with one distribution in all trials, and samples `weight` apart."""
    Driver(tmp_path, sampler=name).points(20)
    space = replace(SPACE, parameters={**SPACE.parameters, "weight": FloatDistribution(0.0, high)}, baselines=())
    driver = Driver(tmp_path, sampler=name, space=space)
    points = driver.points(6)
    assert all(lies_inside(value, space.parameters[key]) for point in points for key, value in point.items())
    last = driver.study.get_trials(deepcopy=False)[-1]
    assert driver.study.sampler.infer_relative_search_space(driver.study, last) == space.parameters
    alone = make_sampler(name, 0, 0).infer_relative_search_space(driver.study, last)
    assert alone.get("weight") is None


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_reopened_sequence_continues_as_if_it_had_never_stopped(tmp_path: Path, name: str) -> None:
    whole = Driver(tmp_path / "whole", sampler=name).points(12)
    reopened = [point for _ in range(3) for point in Driver(tmp_path / "parts", sampler=name).points(4)]
    assert reopened == whole
    assert Driver(tmp_path / "other", sampler=name, seed=1).points(12) != whole


def test_a_grid_has_the_ends_and_as_many_values_of_each_parameter() -> None:
    grid = grid_of(SPACE, 3)
    assert grid["weight"] == [0.0, 0.5, 1.0]
    assert grid["optim.rate"] == pytest.approx([1e-4, 10**-2.5, 1e-1])
    assert grid["depth"] == [1, 5, 7]  # 4 is no value in steps of 2 from 1
    assert grid["width"] == [16, 32]
    assert grid_size(SPACE, 3) == 3 * 3 * 3 * 2
    for key, values in grid_of(SPACE, 7).items():
        assert all(lies_inside(value, SPACE.parameters[key]) for value in values)


def test_a_grid_is_visited_whole_and_once_across_reopenings(tmp_path: Path) -> None:
    size = grid_size(SPACE, 2)
    first = Driver(tmp_path, sampler="grid", grid_values=2, space=replace(SPACE, baselines=())).points(size // 2)
    second = Driver(tmp_path, sampler="grid", grid_values=2, space=replace(SPACE, baselines=())).points(size // 2)
    assert size == 16
    assert len({tuple(point.values()) for point in first + second}) == size
