"""A study: opened, continued, refused where its trials could not be compared, and read without being made."""

from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution

from platform.study.config import Sweep, TuneConfig
from platform.study.ranking import OBJECTIVES
from platform.study.storage import JOURNAL
from platform.study.study import load_study, open_study
from search_spaces import SPACES
from trainables.core.config import ConfigError, plain
from trainables.diffusion.config import DiffusionConfig
from trainables.training.metric_names import VAL_C2ST_EXCESS

LAW = {"x": FloatDistribution(0.0, 1.0)}
RECORD = {
    "data_sha256": "d1",
    "config_hash": "c1",
    OBJECTIVES: [VAL_C2ST_EXCESS],
    "constraints": [],
    "rung": VAL_C2ST_EXCESS,
    "config": {"epochs": 12},
}


def sweep_in(folder: Path, **settings: Any) -> Sweep:
    trainable = plain(DiffusionConfig())
    return Sweep(TuneConfig(storage_path=str(folder), **settings), trainable, SPACES["diffusion"], ())


def run_one(study: optuna.Study) -> None:
    """A trial that ends with 0.25."""
    study.tell(study.ask(dict(LAW)), 0.25)


def test_a_study_is_a_journal_in_its_folder_and_goes_on(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    run_one(open_study(sweep, RECORD))
    again = open_study(sweep, RECORD)
    assert (tmp_path / "mine" / JOURNAL).is_file()
    assert (again.study_name, again.direction.name, again.best_value) == ("mine", "MINIMIZE", 0.25)
    assert again.user_attrs == RECORD


def test_studies_of_other_names_are_apart(tmp_path: Path) -> None:
    run_one(open_study(sweep_in(tmp_path, study_name="a"), RECORD))
    assert open_study(sweep_in(tmp_path, study_name="b"), {**RECORD, "data_sha256": "d2"}).trials == []


@pytest.mark.parametrize("key", ["data_sha256", "config_hash", OBJECTIVES, "constraints", "rung"])
def test_trials_that_cannot_be_compared_are_not_mixed(tmp_path: Path, key: str) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    open_study(sweep, RECORD)
    with pytest.raises(ConfigError) as caught:
        open_study(sweep, {**RECORD, key: "other"})
    assert all(word in str(caught.value) for word in ("study_name=mine", key, str(RECORD[key]), "other"))
    assert "\n" not in str(caught.value)
    assert open_study(sweep, RECORD).user_attrs == RECORD


def test_what_comparison_does_not_rest_on_may_differ(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path)
    open_study(sweep, RECORD)
    assert open_study(sweep, {**RECORD, "config": {"epochs": 12, "note": 1}}).user_attrs == RECORD


def test_the_sampler_is_the_one_asked_for_and_depends_on_seed_and_trials(tmp_path: Path) -> None:
    def points(folder: str, seed: int) -> list[float]:
        """What three openings of one study suggest first."""
        sweep = sweep_in(tmp_path / folder, sampler="random", seed=seed)
        studies = (open_study(sweep, RECORD) for _ in range(3))
        return [float(study.ask(dict(LAW)).params["x"]) for study in studies]

    first = points("a", 0)
    assert isinstance(open_study(sweep_in(tmp_path, sampler="random"), RECORD).sampler, optuna.samplers.RandomSampler)
    assert len(set(first)) == 3
    assert points("b", 0) == first
    assert set(points("c", 1)).isdisjoint(first)


def test_a_database_keeps_a_study_as_well(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, storage=f"sqlite:///{tmp_path}/s.db")
    run_one(open_study(sweep, RECORD))
    assert open_study(sweep, RECORD).best_value == 0.25
    assert not (sweep.settings.folder / JOURNAL).exists()


def test_a_study_is_read_where_there_is_one_and_never_made(tmp_path: Path) -> None:
    run_one(open_study(sweep_in(tmp_path, study_name="mine"), RECORD))
    before = sorted(tmp_path.rglob("*"))
    assert load_study(tmp_path, "mine").best_value == 0.25
    with pytest.raises(ConfigError, match=r"study_name=other: no such study in .*; known: mine"):
        load_study(tmp_path, "other")
    with pytest.raises(ConfigError, match=r"study_name=other: no such study in .*there is none yet"):
        load_study(tmp_path / "nowhere", "other")
    assert sorted(tmp_path.rglob("*")) == before


def test_reading_from_a_database_makes_nothing_either(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/s.db"
    with pytest.raises(ConfigError, match=r"`storage` is a database that exists.*s\.db"):
        load_study(tmp_path / "results", "mine", url)
    assert list(tmp_path.iterdir()) == []
    open_study(sweep_in(tmp_path, study_name="mine", storage=url), RECORD)
    with pytest.raises(ConfigError, match="study_name=other: no such study"):
        load_study(tmp_path / "elsewhere", "other", url)
    assert load_study(tmp_path / "elsewhere", "mine", url).user_attrs == RECORD
    assert not (tmp_path / "elsewhere").exists()
