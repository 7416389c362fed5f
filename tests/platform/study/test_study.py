"""A study: opened, continued, refused where its trials could not be compared, and read without being made."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from platform.study.comparable import MADE_WITH, config_hash, other_code
from platform.study.config import TuneConfig
from platform.study.ranking import OBJECTIVES, SCHEDULER_METRIC
from platform.study.resume import requeued, resumed_from
from platform.study.storage import JOURNAL, open_storage
from platform.study.study import load_study, open_study
from platform.study.sweep import Sweep
from search_spaces import SPACES
from trainables.core.config import ConfigError, plain
from trainables.core.version import VERSION
from trainables.diffusion.config import DiffusionConfig
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_MMD

LAW = {"x": FloatDistribution(0.0, 1.0)}
RECORD = {
    "data_sha256": "d1",
    "config_hash": "c1",
    OBJECTIVES: [VAL_AUC_EXCESS],
    "constraints": [],
    "scheduler_metric": VAL_AUC_EXCESS,
    "config": {"epochs": 12},
    "version": VERSION,
}


def sweep_in(folder: Path, **settings: Any) -> Sweep:
    trainable = plain(DiffusionConfig())
    return Sweep(TuneConfig(storage_path=str(folder), **settings), trainable, SPACES["diffusion"], ())


def run_one(study: optuna.Study) -> None:
    """A trial that ends with 0.25."""
    study.tell(study.ask(dict(LAW)), 0.25)


def test_a_study_is_a_journal_in_its_folder_and_can_be_continued(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    run_one(open_study(sweep, RECORD))
    again = open_study(sweep, RECORD)
    assert (tmp_path / "mine" / JOURNAL).is_file()
    assert (again.study_name, again.direction.name, again.best_value) == ("mine", "MINIMIZE", 0.25)
    assert again.user_attrs == RECORD


def test_studies_of_other_names_are_apart(tmp_path: Path) -> None:
    run_one(open_study(sweep_in(tmp_path, study_name="a"), RECORD))
    assert open_study(sweep_in(tmp_path, study_name="b"), {**RECORD, "data_sha256": "d2"}).trials == []


@pytest.mark.parametrize("key", ["data_sha256", OBJECTIVES, "constraints", "scheduler_metric"])
def test_trials_that_cannot_be_compared_are_not_mixed(tmp_path: Path, key: str) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    open_study(sweep, RECORD)
    with pytest.raises(ConfigError) as exc_info:
        open_study(sweep, {**RECORD, key: "other"})
    assert all(word in str(exc_info.value) for word in ("study_name=mine", key, str(RECORD[key]), "other"))
    assert "\n" not in str(exc_info.value)
    assert open_study(sweep, RECORD).user_attrs == RECORD


def of_config(sweep: Sweep, *left_out: str, **changed: Any) -> dict[str, Any]:
    """The record of a configuration with other values, without some of its keys."""
    whole = {**sweep.trainable, **changed}
    config = {key: value for key, value in whole.items() if key not in left_out}
    return {**RECORD, "config": config, "config_hash": config_hash(config, sweep.space.parameters)}


def test_a_refused_configuration_names_the_keys_that_differ_with_both_values(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    open_study(sweep, of_config(sweep))
    changed = {"epochs": 99, "optim": {**sweep.trainable["optim"], "weight_decay": 0.5}, "seed": 7}
    with pytest.raises(ConfigError) as exc_info:
        open_study(sweep, of_config(sweep, **changed))
    for part in (
        f"trainable.epochs=99 (there: {sweep.epochs})",
        "trainable.optim.weight_decay=0.5 (there: 0.01)",
        "trainable.seed=7",
    ):
        assert part in str(exc_info.value)
    assert "\n" not in str(exc_info.value)


def test_a_long_list_of_differing_keys_is_cut(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    open_study(sweep, of_config(sweep))
    model = dict.fromkeys(sweep.trainable["diffusion"], 7)
    with pytest.raises(ConfigError, match=r"\(there: .*\) and \d+ more; choose another study_name"):
        open_study(sweep, of_config(sweep, diffusion=model))


def test_a_key_that_the_study_does_not_know_has_to_be_at_its_default(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    older = of_config(sweep, "plots_every", "batch_size")
    open_study(sweep, older)
    assert open_study(sweep, of_config(sweep)).user_attrs["config"] == older["config"]
    default = sweep.trainable["batch_size"]
    with pytest.raises(ConfigError, match=rf"trainable\.batch_size=7 \(there: {default}\); choose"):
        open_study(sweep, of_config(sweep, batch_size=7))


def test_the_same_recordings_may_lie_elsewhere(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    here, there = ({**sweep.trainable["data"], "path": path} for path in ("/here/a.csv", "/there/a.csv"))
    open_study(sweep, of_config(sweep, data=here))
    open_study(sweep, of_config(sweep, data=there))
    with pytest.raises(ConfigError, match="data_sha256"):
        open_study(sweep, of_config(sweep, data=there) | {"data_sha256": "d2"})


def test_a_space_that_searches_other_keys_is_named(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    study = open_study(sweep, {**of_config(sweep), "config_hash": config_hash(sweep.trainable, ["seed"])})
    study.add_trial(create_trial(value=0.1, params={"seed": 3}, distributions={"seed": IntDistribution(0, 9)}))
    with pytest.raises(ConfigError, match=r"trainable\.seed fixed \(there: searched\)|searched \(there: fixed\)"):
        open_study(sweep, of_config(sweep))


def test_trials_of_other_code_are_counted(tmp_path: Path) -> None:
    study = open_study(sweep_in(tmp_path), RECORD)
    for made_with in ({}, {"code_sha256": "a"}, {"code_sha256": "b"}):
        study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={MADE_WITH: made_with}))
    study.add_trial(create_trial(state=TrialState.FAIL))
    assert other_code(study.trials, "a") == [0, 2]


def test_settings_that_do_not_affect_comparability_may_differ(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path)
    open_study(sweep, RECORD)
    assert open_study(sweep, {**RECORD, "config": {"epochs": 12, "note": 1}}).user_attrs == RECORD


def test_the_sampler_is_the_configured_one_and_depends_on_seed_and_trials(tmp_path: Path) -> None:
    def points(folder: str, seed: int) -> list[float]:
        """Return the first suggestions of three openings of one study."""
        sweep = sweep_in(tmp_path / folder, sampler="random", seed=seed)
        studies = (open_study(sweep, RECORD) for _ in range(3))
        return [float(study.ask(dict(LAW)).params["x"]) for study in studies]

    first = points("a", 0)
    assert isinstance(open_study(sweep_in(tmp_path, sampler="random"), RECORD).sampler, optuna.samplers.RandomSampler)
    assert len(set(first)) == 3
    assert points("b", 0) == first
    assert set(points("c", 1)).isdisjoint(first)


def test_a_database_stores_a_study_as_well(tmp_path: Path) -> None:
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
    with pytest.raises(ConfigError, match=r"expected `storage` to be an existing database.*s\.db"):
        load_study(tmp_path / "results", "mine", url)
    assert list(tmp_path.iterdir()) == []
    open_study(sweep_in(tmp_path, study_name="mine", storage=url), RECORD)
    with pytest.raises(ConfigError, match="study_name=other: no such study"):
        load_study(tmp_path / "elsewhere", "other", url)
    assert load_study(tmp_path / "elsewhere", "mine", url).user_attrs == RECORD
    assert not (tmp_path / "elsewhere").exists()


def test_the_attributes_of_an_earlier_version_are_read_and_compared(tmp_path: Path) -> None:
    """Earlier versions wrote `rung`, `resumes` and `enqueued_again`."""
    sweep = sweep_in(tmp_path, study_name="mine")
    study = open_study(sweep, {("rung" if key == SCHEDULER_METRIC else key): value for key, value in RECORD.items()})
    study.add_trial(create_trial(state=TrialState.FAIL, user_attrs={"enqueued_again": True}))
    study.enqueue_trial({}, user_attrs={"resumes": 0})
    interrupted, resumed = study.trials
    assert (requeued(interrupted), resumed_from(resumed), resumed_from(interrupted)) == (True, 0, None)
    assert SCHEDULER_METRIC not in open_study(sweep, RECORD).user_attrs
    with pytest.raises(ConfigError, match="scheduler_metric of the study, val/auc_excess, but got val/mmd"):
        open_study(sweep, RECORD | {SCHEDULER_METRIC: VAL_MMD})


READS: tuple[Callable[[Sweep], optuna.Study], ...] = (
    lambda sweep: open_study(sweep, RECORD),
    lambda sweep: load_study(Path(sweep.settings.storage_path), "mine", sweep.settings.storage),
)


@pytest.mark.parametrize("trainable", ["detector", "gan"])
@pytest.mark.parametrize("storage", ["", "sqlite:///{}/s.db"])
def test_a_study_whose_names_changed_is_refused_with_the_version_that_wrote_it(
    tmp_path: Path, storage: str, trainable: str
) -> None:
    sweep = sweep_in(tmp_path, study_name="mine", storage=storage.format(tmp_path))
    study = optuna.create_study(study_name="mine", storage=open_storage(sweep.settings.storage, sweep.settings.folder))
    for key, value in {**RECORD, "trainable": trainable}.items():
        if key != "version":
            study.set_user_attr(key, value)
    law = rf"^study_name=mine: expected a {trainable} study of version 0\.2\.0 or later, but version 0\.1\.0 wrote it; "
    for read in READS:
        with pytest.raises(ConfigError, match=law) as exc_info:
            read(sweep)
        assert "\n" not in str(exc_info.value)
    study.set_user_attr("version", "0.2.7")
    assert load_study(tmp_path, "mine", sweep.settings.storage).user_attrs["version"] == "0.2.7"


@pytest.mark.parametrize(
    ("attributes", "metric"),
    [
        ({OBJECTIVES: ["val/c2st_excess"]}, "val/c2st_excess"),
        ({OBJECTIVES: [VAL_MMD], "constraints": ["val/mmd<=1", "val/c2st<=0.7"]}, "val/c2st"),
        ({OBJECTIVES: [VAL_MMD], SCHEDULER_METRIC: "val/c2st_auc"}, "val/c2st_auc"),
        ({OBJECTIVES: [VAL_MMD], "rung": "val/c2st_excess"}, "val/c2st_excess"),
    ],
)
def test_a_study_searched_by_a_retired_metric_is_neither_continued_nor_read(
    tmp_path: Path, attributes: dict[str, object], metric: str
) -> None:
    """Also the names that version 0.1.0 gave the attributes, which did not write its number."""
    sweep = sweep_in(tmp_path, study_name="mine")
    study = optuna.create_study(study_name="mine", storage=open_storage("", sweep.settings.folder))
    for key, value in attributes.items():
        study.set_user_attr(key, value)
    law = f"^study_name=mine: expected a study of metrics that are still measured, but got {metric}, by which version "
    for read in READS:
        with pytest.raises(ConfigError, match=law + r"0\.1\.0 searched it; choose another study_name: ") as exc_info:
            read(sweep)
        assert "\n" not in str(exc_info.value)


def test_a_diffusion_study_of_an_older_version_can_be_continued(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    study = optuna.create_study(study_name="mine", storage=open_storage("", sweep.settings.folder))
    for key, value in {**RECORD, "trainable": "diffusion"}.items():
        if key != "version":
            study.set_user_attr(key, value)
    run_one(study)
    for read in READS:
        assert len(read(sweep).trials) == 1
