from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState

from platform.study.sweep import Sweep
from platform.sweep import points
from platform.sweep.points import enqueue_points, read_points
from search_spaces import Space
from search_spaces.space import Condition
from tests.platform.drivers import Driver, sweep_in
from trainables.core.config import ConfigError

SPACE = Space(
    trainable="diffusion",
    parameters={
        "optim.lr": FloatDistribution(1e-4, 1e-1, log=True),
        "steps": IntDistribution(1, 7, step=2),
        "kind": CategoricalDistribution(("a", "64", 64, True, None)),
        "margin": FloatDistribution(0.0, 1.0),
    },
    baselines=(),
    conditions={"margin": Condition("kind", ("a",))},
)
YAML = """
- {optim.lr: 1e-3, trainable.steps: 3, kind: a, margin: 0}
- {kind: 64}
- {kind: "64"}
- {kind: null, optim.lr: 0.1}
"""
TABLE = "trainable.optim.lr,steps,kind,margin\n1e-3,3,a,0\n,,64,\n,5.0,true,\n"


@pytest.fixture(autouse=True)
def _no_laws(monkeypatch: pytest.MonkeyPatch) -> None:
    """The space is one of no trainable: only its distributions are checked."""
    monkeypatch.setattr(points, "require_laws", lambda *args, **more: None)


def sweep_with(folder: Path, text: str, name: str = "points.yaml", **settings: Any) -> Sweep:
    (folder / name).write_text(text)
    return sweep_in(folder, space=SPACE, enqueue=str(folder / name), **settings)


def test_no_file_is_no_point(tmp_path: Path) -> None:
    assert read_points(sweep_in(tmp_path)) == ()


def test_points_of_yaml_have_the_types_of_the_space(tmp_path: Path) -> None:
    found = read_points(sweep_with(tmp_path, YAML))
    assert found == (
        {"optim.lr": 1e-3, "steps": 3, "kind": "a", "margin": 0.0},
        {"kind": 64},
        {"kind": "64"},
        {"optim.lr": 0.1, "kind": None},
    )
    assert [type(point["kind"]) for point in found] == [str, int, str, type(None)]


def test_points_of_a_table_have_the_types_of_the_space(tmp_path: Path) -> None:
    found = read_points(sweep_with(tmp_path, TABLE, "points.csv"))
    assert found == (
        {"optim.lr": 1e-3, "steps": 3, "kind": "a", "margin": 0.0},
        {"kind": "64"},  # text in a table, where a choice of text is written so
        {"steps": 5, "kind": True},
    )
    assert found[2]["kind"] is True


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("- {optim.lr: 1e-3}\n- {optim.rl: 1e-3}", "row 2: expected keys of the search space, but got optim.rl"),
        ("- {optim.lr: 2}", "row 1, optim.lr"),
        ("- {optim.lr: nan}", "row 1, optim.lr"),
        ("- {optim.lr: fast}", "row 1, optim.lr"),
        ("- {optim.lr: true}", "row 1, optim.lr"),
        ("- {steps: 2}", "row 1, steps"),
        ("- {steps: 2.5}", "row 1, steps"),
        ("- {kind: b}", "row 1, kind"),
        ("- {kind: 64, margin: 0.5}", "row 1: expected kind=a beside margin, but got 64"),
        ("- {margin: 0.5}", "row 1: expected kind=a beside margin, but got none"),
        ("- 3", "expected a list of points"),
        ("", "expected a list of points"),
        ("optim.lr: 1e-3", "expected a list of points"),
        ("- {optim.lr: [", "not readable as YAML or CSV"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line_with_the_row(tmp_path: Path, text: str, named: str) -> None:
    with pytest.raises(ConfigError) as raised:
        read_points(sweep_with(tmp_path, text))
    assert named in str(raised.value)
    assert "points.yaml" in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["steps\n3,4\n", "steps\n9\n"])
def test_a_wrong_table_is_refused_with_the_row(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match="row 1"):
        read_points(sweep_with(tmp_path, text, "points.csv"))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_points(sweep_in(tmp_path, space=SPACE, enqueue=str(tmp_path / "none.yaml")))


def test_a_grid_needs_whole_points(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="row 1: expected a value of every parameter"):
        read_points(sweep_with(tmp_path, "- {kind: 64}", sampler="grid"))


def test_enqueued_points_are_tried_first_and_once(tmp_path: Path) -> None:
    driver = Driver(tmp_path, space=SPACE)
    given: list[dict[str, Any]] = [{"optim.lr": 1e-3, "steps": 3, "kind": None}, {"kind": 64}]
    assert enqueue_points(driver.study, given) == 2
    trials = [driver.start() for _ in given]
    first, second = (dict(trial.config) for trial in trials)
    assert first == given[0]
    assert second["kind"] == 64
    assert set(second) == {"optim.lr", "steps", "kind"}  # the sampler suggests what the point leaves open
    assert enqueue_points(driver.study, given[:1]) == 0
    assert driver.in_state(TrialState.WAITING) == []
