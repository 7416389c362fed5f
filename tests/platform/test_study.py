"""A study on disk: opened, continued, refused, ranked, and summed up."""

import io
import json
import math
from pathlib import Path
from typing import Any, cast

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from rich.console import Console

from platform import summary
from platform.search import FOLDER, METRICS, REASON
from platform.settings import Sweep, TuneConfig
from platform.study import JOURNAL, Ranked, open_study, ranking
from platform.summary import c2st_at, summarise
from search_spaces import SPACES
from trainables.config import ConfigError, plain
from trainables.data.dataset import DataParts
from trainables.diffusion.config import DiffusionConfig
from trainables.eval.metrics import NullBand
from trainables.names import CHECKPOINT_PATH, VAL_C2ST, VAL_MMD

LAW = {"x": FloatDistribution(0.0, 1.0)}
RECORD = {"data_sha256": "d1", "config_hash": "c1", "metric": "val/c2st_excess", "config": {"epochs": 12}}
NO_DATA = cast(DataParts, {})


def sweep_in(folder: Path, **settings: Any) -> Sweep:
    trainable = plain(DiffusionConfig())
    return Sweep(TuneConfig(storage_path=str(folder), **settings), trainable, SPACES["diffusion"], ())


def add(
    study: optuna.Study,
    state: TrialState,
    value: float | None = None,
    history: dict[int, float] | None = None,
    attributes: dict[str, Any] | None = None,
) -> None:
    """A trial that ended, as the bridge tells it."""
    trial = optuna.trial.create_trial(
        state=state,
        value=value,
        params={"x": 0.5},
        distributions=dict(LAW),
        intermediate_values=history or {},
        user_attrs=attributes or {},
    )
    study.add_trial(trial)


def test_a_study_is_a_journal_in_its_folder_and_goes_on(tmp_path: Path) -> None:
    sweep = sweep_in(tmp_path, study_name="mine")
    add(open_study(sweep, RECORD), TrialState.COMPLETE, 0.25)
    again = open_study(sweep, RECORD)
    assert (tmp_path / "mine" / JOURNAL).is_file()
    assert (again.study_name, again.direction.name, again.best_value) == ("mine", "MINIMIZE", 0.25)
    assert again.user_attrs == RECORD


def test_studies_of_other_names_are_apart(tmp_path: Path) -> None:
    add(open_study(sweep_in(tmp_path, study_name="a"), RECORD), TrialState.COMPLETE, 0.25)
    assert open_study(sweep_in(tmp_path, study_name="b"), {**RECORD, "data_sha256": "d2"}).trials == []


@pytest.mark.parametrize("key", ["data_sha256", "config_hash", "metric"])
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
    add(open_study(sweep, RECORD), TrialState.COMPLETE, 0.25)
    assert open_study(sweep, RECORD).best_value == 0.25
    assert not (sweep.settings.folder / JOURNAL).exists()


@pytest.mark.parametrize("url", ["nonsense", "quux://study", "sqlite:////nowhere/at/all/s.db"])
def test_a_wrong_storage_is_one_line_that_names_it(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigError, match=f"storage={url}") as caught:
        open_study(sweep_in(tmp_path, storage=url), RECORD)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_is_one_line_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"storage_path=.*/file: ") as caught:
        open_study(sweep_in(tmp_path / "file"), RECORD)
    assert "\n" not in str(caught.value)


@pytest.fixture
def mixed() -> optuna.Study:
    """Trials of every state; the number says nothing about the merit."""
    study = optuna.create_study()
    add(study, TrialState.FAIL, attributes={REASON: "val/c2st_excess is nan"})
    add(study, TrialState.PRUNED, 0.1, {0: 0.3, 2: 0.1}, attributes={METRICS: {VAL_MMD: 0.2}})
    add(study, TrialState.COMPLETE, 0.2, {0: 0.4, 4: 0.2}, attributes={METRICS: {VAL_MMD: 0.5, VAL_C2ST: 0.7}})
    add(study, TrialState.COMPLETE, 0.0, attributes={METRICS: {VAL_MMD: 0.3}})
    add(study, TrialState.RUNNING)
    add(study, TrialState.COMPLETE, 0.0, attributes={METRICS: {VAL_MMD: 0.2}})
    add(study, TrialState.PRUNED, 0.1, {2: 0.1}, attributes={METRICS: {VAL_MMD: 0.1}})
    add(study, TrialState.WAITING)
    add(study, TrialState.COMPLETE, 0.0)
    add(study, TrialState.COMPLETE, 0.0, attributes={METRICS: {VAL_MMD: 0.2}})
    return study


def test_trials_rank_by_metric_then_tie_breaker_then_number(mixed: optuna.Study) -> None:
    """Full or stopped; one without a tie breaker is the last among its equals, one without a value the last of all."""
    assert [trial.number for trial in ranking(mixed, VAL_MMD)] == [5, 9, 3, 8, 6, 1, 2, 0]


def test_a_ranked_trial_says_what_happened(mixed: optuna.Study) -> None:
    by_number = {trial.number: trial for trial in ranking(mixed, VAL_MMD)}
    full, failed = by_number[2], by_number[0]
    assert (full.state, full.epoch, full.value, full.history) == ("COMPLETE", 4, 0.2, {0: 0.4, 4: 0.2})
    assert (full.metrics, full.params, full.checkpoint) == ({VAL_MMD: 0.5, VAL_C2ST: 0.7}, {"x": 0.5}, None)
    assert (failed.state, failed.epoch, failed.reason) == ("FAIL", 0, "val/c2st_excess is nan")
    assert math.isnan(failed.value)


def test_the_checkpoint_is_the_reported_one_or_the_latest_in_the_folder(tmp_path: Path) -> None:
    for epoch in (2, 10, 9):
        (tmp_path / f"checkpoint_{epoch:06d}").mkdir()
    study = optuna.create_study()
    add(study, TrialState.COMPLETE, 0.1, attributes={FOLDER: str(tmp_path), CHECKPOINT_PATH: "/group/checkpoint"})
    add(study, TrialState.COMPLETE, 0.2, attributes={FOLDER: str(tmp_path)})
    add(study, TrialState.COMPLETE, 0.3, attributes={FOLDER: str(tmp_path / "nothing")})
    add(study, TrialState.COMPLETE, 0.4)
    expected = [Path("/group/checkpoint"), tmp_path / "checkpoint_000010", None, None]
    assert [trial.checkpoint for trial in ranking(study, VAL_MMD)] == expected


def test_c2st_is_its_excess_over_one_half() -> None:
    trial = Ranked(0, "COMPLETE", 1, 0.0, {}, {}, {0: 0.45, 1: 0.0}, None, "")
    assert [c2st_at(trial, epoch) for epoch in (0, 1, 2)] == [0.95, 0.5, None]


class KnownValidator:
    """Stands in for the judgement of real people against each other."""

    def floor(self) -> NullBand:
        return NullBand(mean=0.51, std=0.02, low=0.46, high=0.56)

    def against(self, others: object) -> float:
        return 0.62


class Fitted:
    """Stands in for the class of the validator."""

    @staticmethod
    def fit(*arguments: object) -> KnownValidator:
        return KnownValidator()


def console() -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=120), text


def test_a_sweep_without_a_result_says_why_and_fails(tmp_path: Path) -> None:
    study = optuna.create_study()
    add(study, TrialState.FAIL, attributes={REASON: "the trial raised an error"})
    screen, text = console()
    assert summarise(screen, sweep_in(tmp_path), study, NO_DATA) == 1
    assert text.getvalue() == "trial 0 failed: the trial raised an error\nno trial has a result yet\n"


def test_a_sweep_is_summed_up_on_the_screen_and_in_a_file(
    tmp_path: Path, mixed: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summary, "Validator", Fitted)
    add(mixed, TrialState.COMPLETE, 0.0, {0: 0.4, 1: 0.3}, attributes={METRICS: {VAL_C2ST: 0.5, VAL_MMD: 0.01}})
    screen, text = console()
    sweep = sweep_in(tmp_path)
    assert summarise(screen, sweep, mixed, cast(DataParts, {"train": None, "validation": None})) == 0
    written = json.loads((sweep.settings.folder / "summary.json").read_text())
    assert (written["best"]["trial"], written["best"]["checkpoint"]) == (10, None)
    assert [trial["trial"] for trial in written["trials"]] == [10, 5, 9, 3, 6, 1, 2]
    floor = {"mean": 0.51, "std": 0.02, "low": 0.46, "high": 0.56}
    assert written["reference"] == {"floor": floor, "training_people": 0.62}
    assert (written["untrained"], written["one_epoch"]) == (0.9, 0.8)
    assert (sweep.settings.folder / "pictures" / "learning_curves.png").stat().st_size > 0
    assert all(part in text.getvalue() for part in ("trial 0 failed", "0.620", "0.46", "0.56"))
    assert "ckpt=" not in text.getvalue()
