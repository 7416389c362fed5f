import io
from pathlib import Path

import pandas
import pytest
from optuna.trial import TrialState
from rich.console import Console

from platform import tune
from platform.report.export import CSV, PARQUET, export
from platform.study.comparable import MADE_WITH
from platform.study.resume import ATTEMPT, OVERRIDES, PRIOR, REASON
from tests.platform.studies import add, add_cut, add_many, study_in
from trainables.core.cli import WRONG_INPUT, run
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_MMD


def test_a_study_is_exported_with_every_trial_in_both_forms(tmp_path: Path) -> None:
    study = study_in(tmp_path / "s", config={"seed": 5})
    add_many(study, 12)
    add_cut(study, "the driver ended")
    made = {MADE_WITH: {"sampler": "tpe", "seed": 3}, OVERRIDES: {"seed": 9}, ATTEMPT: 1}
    own = add(study, TrialState.COMPLETE, 0.3, attributes=made)
    prior = add(study, TrialState.COMPLETE, 0.2, attributes={PRIOR: ["other", 4]})
    out = io.StringIO()
    assert export(Console(file=out), study, tmp_path / "s") == 0
    assert CSV in out.getvalue()
    assert PARQUET in out.getvalue()
    trials = study.get_trials()
    for table in (pandas.read_csv(tmp_path / "s" / CSV), pandas.read_parquet(tmp_path / "s" / PARQUET)):
        assert list(table["trial"]) == list(range(len(trials)))
        for trial in trials:
            row = table.iloc[trial.number]
            for key in ("contrastive.weight", "optim.lr", "model.base_channels"):
                assert row[f"trainable.{key}"] == pytest.approx(trial.params[key], rel=1e-12)
            assert pandas.isna(row["trainable.contrastive.margin"]) == ("contrastive.margin" not in trial.params)
            value = trial.value if trial.state == TrialState.COMPLETE else None
            assert pandas.isna(row[f"value:{VAL_AUC_EXCESS}"]) == (value is None)
            assert value is None or row[f"value:{VAL_AUC_EXCESS}"] == pytest.approx(value)
            assert pandas.Timestamp(row["started"]) == trial.datetime_start
        assert set(table["state"]) == {"COMPLETE", "PRUNED", "FAIL", "INTERRUPTED", "RUNNING", "PRIOR"}
        assert table.iloc[7]["reason"] == trials[7].user_attrs[REASON]
        assert (table.iloc[own][["attempt", "seed", "sampler", "sampler_seed"]] == [2, 9, "tpe", 3]).all()
        assert (table.iloc[0][["attempt", "seed"]] == [1, 5]).all()
        assert table.iloc[prior]["prior"] == "other/4"
        assert pandas.isna(table.iloc[prior]["seed"])  # not of this configuration
        assert table.iloc[13]["resumed_from"] == 12
        assert table.iloc[own][VAL_MMD] == pytest.approx(0.05 * 0.32)


def test_the_verb_writes_into_the_folder_of_the_study(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_many(study_in(tmp_path / "s"), 3)
    assert run(tune.COMMAND, tune.main, ["export", "study_name=s", f"storage_path={tmp_path}"]) == 0
    assert len(pandas.read_parquet(tmp_path / "s" / PARQUET)) == 3
    assert run(tune.COMMAND, tune.main, ["export", "study_name=none", f"storage_path={tmp_path}"]) == WRONG_INPUT
    assert "no such study" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_many(study_in(tmp_path / "s"), 3)
    (tmp_path / "s" / CSV).mkdir()
    assert run(tune.COMMAND, tune.main, ["export", "study_name=s", f"storage_path={tmp_path}"]) == WRONG_INPUT
    error = capsys.readouterr().err
    assert len(error.splitlines()) == 1
    assert CSV in error
