"""A study can be moved and copied: its paths are relative to its folder, and pruning never leaves it."""

import shutil
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState

from platform.study.paths import folder_of, path_within, relative_path
from platform.study.ranking import ranking
from platform.study.resume import FOLDER, START, checkpoints, requeue_orphans
from platform.study.study import load_study
from platform.sweep.disk_budget import prune
from tests.platform.drivers import LAST, Driver, saved
from trainables.training.metric_names import CHECKPOINT_PATH, VAL_AUC_EXCESS
from trainables.training.trial_keys import GROUPS, RESUME_FROM, TRIALS


def of_two_trials(folder: Path) -> Driver:
    """A study with one ended trial, and one that was interrupted after a checkpoint."""
    driver = Driver(folder)
    for value in (0.2, 0.1):
        trial = driver.start()
        checkpoint = driver.checkpoint(trial, 1, value)
        more: dict[str, Any] = {CHECKPOINT_PATH: str(checkpoint)}
        if value == 0.2:
            driver.end(trial, LAST, value, **more)
        else:
            driver.report(trial, 2, value, **more)
    return driver


def whole(folder: Path) -> dict[str, bytes]:
    """Content of all files below a folder."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def as_recorded_before(study: optuna.Study, folder: Path) -> None:
    """Give the trials the absolute paths that earlier versions recorded."""
    storage = study._storage
    for trial in study.get_trials(deepcopy=False):
        for name in (FOLDER, CHECKPOINT_PATH):
            if name in trial.user_attrs and trial.state == TrialState.RUNNING:
                storage.set_trial_user_attr(trial._trial_id, name, str(folder / trial.user_attrs[name]))


def paths_of(trial: FrozenTrial) -> list[str]:
    """All paths that a trial records."""
    start = trial.user_attrs.get(START, {})
    return [
        *(trial.user_attrs[name] for name in (FOLDER, CHECKPOINT_PATH) if name in trial.user_attrs),
        *([start["checkpoint"]] if start else []),
    ]


def test_no_trial_records_where_its_study_is(tmp_path: Path) -> None:
    driver = of_two_trials(tmp_path)
    requeue_orphans(driver.study)
    Driver(tmp_path).start()
    recorded = [path for trial in driver.study.trials for path in paths_of(trial)]
    assert len(recorded) == 6
    assert not [path for path in recorded if Path(path).is_absolute()]


@pytest.mark.parametrize("older", [False, True])
def test_a_moved_study_resumes_and_ranks_from_where_it_is_now(tmp_path: Path, older: bool) -> None:
    driver = of_two_trials(tmp_path / "here")
    if older:
        as_recorded_before(driver.study, driver.sweep.settings.folder)
    (tmp_path / "there").mkdir()
    shutil.move(tmp_path / "here" / "s", tmp_path / "there" / "s")
    moved = Driver(tmp_path / "there")
    assert requeue_orphans(moved.study) == 1
    taken = moved.start().config[RESUME_FROM]
    assert Path(taken).is_relative_to(tmp_path / "there")
    assert Path(taken).is_dir()
    found = [trial.checkpoint for trial in ranking(load_study(tmp_path / "there", "s"))]
    assert all(path is not None and path.is_relative_to(tmp_path / "there") and path.is_dir() for path in found)


@pytest.mark.parametrize("older", [False, True])
def test_the_quota_of_a_copy_leaves_the_original_as_it_is(tmp_path: Path, older: bool) -> None:
    driver = of_two_trials(tmp_path / "here")
    if older:
        as_recorded_before(driver.study, driver.sweep.settings.folder)
    (tmp_path / "there").mkdir()
    shutil.copytree(tmp_path / "here" / "s", tmp_path / "there" / "s")
    before = whole(tmp_path / "here")
    copy = Driver(tmp_path / "there")
    requeue_orphans(copy.study)
    again = copy.start()
    copy.checkpoint(again, 3, 0.05)
    copy.end(again, LAST, 0.05)
    left = prune(copy.study, 1, 0)
    assert left > 0
    assert whole(tmp_path / "here") == before
    assert [trial.number for trial in copy.study.trials if checkpoints(trial, copy.study.folder)] == [
        len(copy.study.trials) - 1
    ]


@pytest.mark.parametrize("path", ["../../outside/trials/x", "/elsewhere/x", "trials/../../../outside", "trials/linked"])
def test_pruning_never_leaves_the_folder_of_the_study(tmp_path: Path, path: str) -> None:
    driver = Driver(tmp_path / "home")
    outside = saved(tmp_path / "outside" / "trials" / "x", 1, {VAL_AUC_EXCESS: 0.9}).parent
    saved(tmp_path / "outside", 1, {VAL_AUC_EXCESS: 0.9})
    (driver.study.folder / TRIALS).mkdir(exist_ok=True)
    (driver.study.folder / TRIALS / "linked").symlink_to(outside)
    before = whole(tmp_path / "outside")
    for value in (0.1, 0.2):
        trial = driver.start()
        if value == 0.2:
            driver.searcher.running[trial.trial_id].set_user_attr(FOLDER, path)
            driver.searcher.running[trial.trial_id].set_user_attr(CHECKPOINT_PATH, f"{path}/checkpoint_000001")
        else:
            driver.checkpoint(trial, 1, value)
        driver.end(trial, LAST, value)
    assert checkpoints(driver.study.trials[1], driver.study.folder) == []
    prune(driver.study, 0, 0)
    assert whole(tmp_path / "outside") == before


def test_a_link_in_place_of_a_checkpoint_is_none(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    trial = driver.start()
    real = driver.checkpoint(trial, 1, 0.4)
    (real.parent / "checkpoint_000002").symlink_to(real)
    assert checkpoints(driver.recorded(trial), driver.study.folder) == [real]


def test_paths_are_relative_within_a_folder_and_as_they_are_without_one(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "s")
    inside = tmp_path / "s" / TRIALS / "trial-0000-a"
    assert relative_path(inside, tmp_path / "s") == relative_path(inside, tmp_path / "link") == f"{TRIALS}/trial-0000-a"
    assert relative_path(inside, None) == str(inside)
    assert relative_path("/elsewhere/x", tmp_path / "s") == "/elsewhere/x"
    assert path_within(f"/old/trials/s/{GROUPS}/group-1", tmp_path / "s") == tmp_path / "s" / GROUPS / "group-1"
    assert path_within(inside, None) == inside
    assert path_within("/elsewhere/x", tmp_path / "s") is None
    assert folder_of(optuna.create_study()) is None
