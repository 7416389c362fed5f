"""Reproduction of a recorded trial: bit for bit here, within tolerances elsewhere, refused on other data."""

import io
import json
import math
import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import optuna
import pytest
import torch
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from rich.console import Console
from scipy import stats

from platform.core.provenance import source_of
from platform.study.config import TuneConfig
from platform.study.resume import FOLDER, METRICS, OVERRIDES
from platform.study.sweep import Sweep
from platform.sweep.metric_tolerance import (
    EQUAL,
    NO_TOLERANCE,
    OUTSIDE,
    WITHIN,
    compare,
    conclude,
    noise_tolerances,
    verdict_of,
)
from platform.sweep.reproduce import REPORT, REPRODUCED, original_of, reproduce
from search_spaces import SPACES
from trainables.core.config import ConfigError, build, plain, with_values
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import load_splits
from trainables.diffusion.config import DiffusionConfig
from trainables.diffusion.loop import epochs
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.manifest import MANIFEST, Manifest
from trainables.training.metric_names import (
    EPOCH,
    PARAMETERS,
    TRAIN_LOSS,
    TRAIN_SECONDS,
    VAL_AUC_EXCESS,
    VAL_MMD,
)
from trainables.training.run_folder import RunFolder
from trainables.training.trainable import metrics_of

TINY = {
    "epochs": 3,
    "steps_per_epoch": 2,
    "batch_size": 8,
    "model.base_channels": 16,
    "evaluation.movements": 40,
    "evaluation.folds": 2,
    "evaluation.probes": ["features"],
    "sampling.steps": 1,
}
CONFIG = with_values(plain(DiffusionConfig()), TINY)
SEARCHED = {"optim.lr": 1e-3}
SEED = 5
LAST = 2  # of 3: the trial was stopped


def printed(console: Console) -> str:
    return cast(io.StringIO, console.file).getvalue()


def quiet() -> Console:
    return Console(file=io.StringIO(), width=200)


@pytest.fixture(scope="module")
def data() -> DataSplits:
    return load_splits(DiffusionConfig().data)


@pytest.fixture(scope="module")
def trained() -> tuple[dict[str, Any], list[Mapping[str, Any]]]:
    """A trial's configuration and what it reported."""
    config = with_values(CONFIG, {**SEARCHED, "seed": SEED})
    lines = []
    for epoch in epochs(build(DiffusionConfig, config)):
        lines.append(epoch.metrics)
        if epoch.number == LAST:
            break
    return config, lines


def sweep_in(folder: Path) -> Sweep:
    return Sweep(TuneConfig(storage_path=str(folder), study_name="s"), CONFIG, SPACES["diffusion"], ())


def study_with(
    folder: Path,
    data: DataSplits,
    trained: tuple[dict[str, Any], list[Mapping[str, Any]]],
    changed: Mapping[str, float] | None = None,
    manifest: Manifest | None = None,
) -> optuna.Study:
    """A study whose trial 0 is the trained one, some of its metrics changed."""
    config, lines = trained
    study = optuna.create_study(study_name="s")
    for key, value in {"data_sha256": data.sha256, "config": CONFIG, "trainable": "diffusion"}.items():
        study.set_user_attr(key, value)
    place = folder / "trial"
    place.mkdir()
    (manifest or Manifest.here("diffusion", config, data.sha256, source_of().facts())).write(place)
    trial = optuna.trial.create_trial(
        state=TrialState.PRUNED,
        params=dict(SEARCHED),
        distributions={key: FloatDistribution(1e-5, 1e-1) for key in SEARCHED},
        intermediate_values={line[EPOCH]: line[VAL_AUC_EXCESS] for line in lines},
        user_attrs={
            METRICS: {**metrics_of(lines[-1]), **(changed or {})},
            FOLDER: str(place),
            OVERRIDES: {"seed": SEED},
        },
    )
    study.add_trial(trial)
    return study


Trained = tuple[dict[str, Any], list[Mapping[str, Any]]]


def test_a_trial_is_reproduced_bit_for_bit_to_its_last_epoch(
    tmp_path: Path, data: DataSplits, trained: Trained
) -> None:
    console, study = quiet(), study_with(tmp_path, data, trained)
    threads = torch.get_num_threads()
    assert reproduce(console, sweep_in(tmp_path), study, 0) == 0
    assert torch.get_num_threads() == threads
    for words in ("no differences", "reproduced bit for bit", f"epoch {LAST}/{LAST}", VAL_MMD):
        assert words in printed(console)
    place = tmp_path / "s" / REPRODUCED / "trial-0000"
    report = json.loads((place / REPORT).read_text())
    assert {row["verdict"] for row in report["figures"]} == {EQUAL}
    assert TRAIN_SECONDS not in {row["metric"] for row in report["figures"]}
    [run] = place.glob("run-*")
    assert (run / MANIFEST).is_file()


def test_a_trial_without_a_manifest_takes_the_studys_configuration(
    tmp_path: Path, data: DataSplits, trained: Trained
) -> None:
    study = study_with(tmp_path, data, trained)
    (tmp_path / "trial" / MANIFEST).unlink()
    console = quiet()
    assert reproduce(console, sweep_in(tmp_path), study, 0) == 0
    assert "has no manifest" in printed(console)
    assert "bit for bit" in printed(console)


def test_an_interrupted_reproduction_is_resumed(
    tmp_path: Path, data: DataSplits, trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, sweep = study_with(tmp_path, data, trained), sweep_in(tmp_path)
    began: list[int] = []
    recorded = RunFolder.record

    def cut(folder: Any, epoch: Any) -> Any:
        began.append(epoch.number)
        if len(began) == 2:
            raise KeyboardInterrupt
        return recorded(folder, epoch)

    monkeypatch.setattr(RunFolder, "record", cut)
    with pytest.raises(KeyboardInterrupt):
        reproduce(quiet(), sweep, study, 0)
    began.append(-1)
    assert reproduce(quiet(), sweep, study, 0) == 0
    assert began[:2] == [0, 1]
    again = list(began)
    assert reproduce(quiet(), sweep, study, 0) == 0
    assert began == again  # it was whole: nothing is trained


def test_recorded_metrics_outside_of_the_tolerance_fail_by_name(
    tmp_path: Path, data: DataSplits, trained: Trained
) -> None:
    then = metrics_of(trained[1][-1])
    changed = {VAL_AUC_EXCESS: then[VAL_AUC_EXCESS] - 0.4, TRAIN_LOSS: then[TRAIN_LOSS] + 1}
    console = quiet()
    assert reproduce(console, sweep_in(tmp_path), study_with(tmp_path, data, trained, changed), 0) == 1
    assert f"outside of the tolerance: {VAL_AUC_EXCESS} (+0.4, tolerance ±0." in printed(console)
    report = json.loads((tmp_path / "s" / REPRODUCED / "trial-0000" / REPORT).read_text())
    verdicts = {row["metric"]: row["verdict"] for row in report["figures"]}
    assert (verdicts[VAL_AUC_EXCESS], verdicts[TRAIN_LOSS], verdicts[VAL_MMD]) == (OUTSIDE, NO_TOLERANCE, EQUAL)


def test_differences_to_the_recorded_manifest_are_printed(tmp_path: Path, data: DataSplits, trained: Trained) -> None:
    then = Manifest.here("diffusion", trained[0], data.sha256, {"commit": "e" * 40})
    then = replace(then, versions={**then.versions, "numpy": "1.0"})
    small = {VAL_AUC_EXCESS: metrics_of(trained[1][-1])[VAL_AUC_EXCESS] + 1e-4}
    console = quiet()
    assert reproduce(console, sweep_in(tmp_path), study_with(tmp_path, data, trained, small, then), 0) == 0
    assert "versions.numpy: 1.0, now" in printed(console)
    assert "commit: eeeeeeeeeeee, now" in printed(console)
    assert "reproduced within the tolerance" in printed(console)


def test_other_data_are_refused_in_one_line(tmp_path: Path, data: DataSplits, trained: Trained) -> None:
    study = study_with(tmp_path, replace(data, sha256="f" * 64), trained)
    with pytest.raises(ConfigError, match="cannot be reproduced on other data") as exc_info:
        reproduce(quiet(), sweep_in(tmp_path), study, 0)
    assert "\n" not in str(exc_info.value)
    assert not (tmp_path / "s").exists()


OTHER = {"data.canonical.sequence_length": 48}


def elsewhere(folder: Path) -> Sweep:
    """A command line, or a default of today, with other data than the trial's."""
    return replace(sweep_in(folder), trainable=with_values(CONFIG, OTHER))


def test_a_trial_is_reproduced_on_its_own_data_whatever_the_defaults_are_now(
    tmp_path: Path, data: DataSplits, trained: Trained
) -> None:
    console, study = quiet(), study_with(tmp_path, data, trained)
    assert reproduce(console, elsewhere(tmp_path), study, 0, ["trials", "trainable.epochs"]) == 0
    assert "reproduced bit for bit" in printed(console)


def test_data_keys_of_the_command_line_that_differ_are_refused_in_one_line(
    tmp_path: Path, data: DataSplits, trained: Trained
) -> None:
    study, given = study_with(tmp_path, data, trained), ["trainable.data.canonical.sequence_length"]
    with pytest.raises(
        ConfigError, match=r"sequence_length` as trial 0 recorded it \(64\).*48; leave it out"
    ) as exc_info:
        reproduce(quiet(), elsewhere(tmp_path), study, 0, given)
    assert "\n" not in str(exc_info.value)
    assert not (tmp_path / "s").exists()
    assert reproduce(quiet(), sweep_in(tmp_path), study, 0, given) == 0  # given, and equal


def test_a_trial_that_is_not_there_or_has_no_result_is_refused(tmp_path: Path) -> None:
    study = optuna.create_study()
    with pytest.raises(ConfigError, match=r"`trials` in the study's \(none\).*trials=\[0\]"):
        reproduce(quiet(), sweep_in(tmp_path), study, 0)
    study.add_trial(optuna.trial.create_trial(state=TrialState.FAIL))
    with pytest.raises(ConfigError, match="expected an ended trial with metrics, but got FAIL"):
        reproduce(quiet(), sweep_in(tmp_path), study, 0)
    with pytest.raises(ConfigError, match="0 to 0"):
        reproduce(quiet(), sweep_in(tmp_path), study, -1)


def test_the_configuration_of_a_trial_without_a_manifest_is_read_under_the_keys_of_today() -> None:
    study = optuna.create_study()
    former = {"seed": 0, "optim": {"lr": 0.1}, "evaluation": {"folds": 2, "probe": "quadratic"}}
    for key, value in {"config": former, "trainable": "diffusion"}.items():
        study.set_user_attr(key, value)
    trial = optuna.trial.create_trial(
        value=0.1,
        params=dict(SEARCHED),
        distributions={key: FloatDistribution(1e-5, 1e-1) for key in SEARCHED},
        intermediate_values={1: 0.1},
        user_attrs={METRICS: {VAL_MMD: 0.1}},
    )
    study.add_trial(trial)
    found = original_of(study, 0)
    assert found.manifest is None
    assert found.config == {"seed": 0, "optim": {"lr": SEARCHED["optim.lr"]}, "evaluation": {"folds": 2}}


# the comparison


@pytest.mark.parametrize(
    ("then", "now", "band", "verdict"),
    [
        (0.5, 0.5, None, EQUAL),
        (0.5, 0.5, 0.0, EQUAL),
        (0.5, math.nextafter(0.5, 1), None, NO_TOLERANCE),
        (0.5, math.nextafter(0.5, 1), 0.0, OUTSIDE),
        (0.5, 0.75, 0.25, WITHIN),
        (0.75, 0.5, 0.25, WITHIN),
        (0.5, 0.76, 0.25, OUTSIDE),
        (0.5, None, None, OUTSIDE),
        (None, 0.5, 0.1, NO_TOLERANCE),
    ],
)
def test_a_metric_is_equal_inside_or_outside_of_its_tolerance_or_has_none(
    then: float | None, now: float | None, band: float | None, verdict: str
) -> None:
    assert verdict_of(then, now, band) == verdict


def test_seconds_and_parameters_are_not_compared() -> None:
    assert compare({TRAIN_SECONDS: 1.0, "config/optim.lr": 0.1}, {TRAIN_SECONDS: 2.0}, {}) == []


def test_without_any_tolerance_the_trial_is_not_reproduced() -> None:
    text, code = conclude(compare({VAL_MMD: 0.1, PARAMETERS: 5.0}, {VAL_MMD: 0.2, PARAMETERS: 5.0}, {}))
    assert code == 1
    assert "none of them has a measured tolerance" in text


def test_the_metric_closest_to_its_tolerance_is_named() -> None:
    text, code = conclude(
        compare({"val/x": 0.0, "val/y": 0.0}, {"val/x": 0.1, "val/y": 0.2}, {"val/x": 0.11, "val/y": 1.0})
    )
    assert code == 0
    assert "the farthest is val/x (+0.1, tolerance ±0.11)" in text


def evaluation(
    folder: Path, name: str, values: Mapping[str, list[float]], split: str = "validation", of: str = "d"
) -> None:
    folder.mkdir(exist_ok=True)
    by_seed = {metric: tuple(drawn) for metric, drawn in values.items()}
    found = EvaluationResult("c", "diffusion", split, of, (1, 2), ("g",), 40, {}, by_seed)
    (folder / f"{name}.json").write_text(json.dumps(found.to_json()))


def test_the_tolerance_pools_the_variances_of_all_evaluations_of_these_data(tmp_path: Path) -> None:
    folder = tmp_path / "judgements"
    evaluation(folder, "a", {VAL_MMD: [1.0, 2.0, 4.0], "val/never": [0.0, 0.0], "val/once": [3.0]})
    evaluation(folder, "b", {VAL_MMD: [7.0, 7.5]})
    evaluation(folder, "c", {VAL_MMD: [0.0, 100.0]}, split="holdout")
    evaluation(folder, "d", {VAL_MMD: [0.0, 100.0]}, of="other")
    variance = (2 * statistics.variance([1.0, 2.0, 4.0]) + statistics.variance([7.0, 7.5])) / 3
    found = noise_tolerances(folder, "d")
    assert set(found) == {VAL_MMD}
    assert found[VAL_MMD] == pytest.approx(stats.t.ppf(0.975, 3) * math.sqrt(2 * variance))
    assert noise_tolerances(tmp_path / "absent", "d") == {}


def test_the_tolerance_covers_95_percent_of_the_differences_of_two_samples(tmp_path: Path) -> None:
    """1,000 studies with four draws each: a share beyond 0.95 ± 0.028 (4.06 s.e.) comes once in 20,000 seeds.

    Two draws whose means are twelve standard deviations apart are outside.
    """
    draws = torch.Generator().manual_seed(0)
    inside, found = 0, 0
    for _ in range(1000):
        *values, then, now = torch.randn(6, generator=draws, dtype=torch.float64).tolist()
        evaluation(tmp_path / "j", "one", {VAL_MMD: values})
        band = noise_tolerances(tmp_path / "j", "d")[VAL_MMD]
        inside += verdict_of(then, now, band) == WITHIN
        found += verdict_of(then, now + 12.0, band) == OUTSIDE
    assert abs(inside / 1000 - 0.95) < 0.028
    assert found / 1000 > 0.95
