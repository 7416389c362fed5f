"""A sweep over a detector at its end: tables, files and report as a generator has them, by its own figures."""

import io
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from ray.tune.experiment import Trial
from rich.console import Console

from platform.core.provenance import source_of
from platform.leaderboard import finalists
from platform.leaderboard.archive import EVALUATIONS
from platform.leaderboard.model_types import ModelFunctions
from platform.report.browse import list_studies, show
from platform.report.compare_trials import compare
from platform.study.config import FinalistsConfig, TuneConfig
from platform.study.objectives import Goal, Objective
from platform.study.ranking import OBJECTIVES
from platform.study.resume import FOLDER, METRICS, OVERRIDES
from platform.study.searcher import OptunaSearcher
from platform.study.sweep import Sweep
from platform.sweep import summary
from platform.sweep.progress import Progress
from platform.sweep.reproduce import REPORT, REPRODUCED, reproduce
from platform.sweep.summary import summarise
from search_spaces import SPACES
from tests.platform.studies import add, study_in
from trainables.core.config import build, plain, with_values
from trainables.data.splits.loading import load_splits
from trainables.detector.config import DetectorConfig
from trainables.detector.train import epochs
from trainables.eval.intervals.jackknife import JackknifeEstimate
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint import RECORD
from trainables.training.manifest import Manifest
from trainables.training.metric_names import (
    EPOCH,
    VAL_AUC_EXCESS,
    VAL_BRIER,
    VAL_FNR_SEEN,
    VAL_FNR_UNSEEN,
    VAL_FNR_WORST_UNSEEN,
)
from trainables.training.trainable import metrics_of
from trainables.training.trial_keys import METRICS_FILE

SPACE = SPACES["detector"]
OF_STUDY = {"scheduler_metric": VAL_FNR_WORST_UNSEEN, "trainable": "detector"}


def sweep_in(folder: Path, **settings: Any) -> Sweep:
    tune = TuneConfig(storage_path=str(folder), study_name="mine", space="detector", **settings)
    return Sweep(tune, plain(DetectorConfig()), SPACE, ())


def metrics(worst: float) -> dict[str, float]:
    return {VAL_FNR_WORST_UNSEEN: worst, VAL_FNR_UNSEEN: worst / 2, VAL_FNR_SEEN: worst / 10}


def evaluated(checkpoint: Path, split: str, seeds: tuple[int, ...]) -> EvaluationResult:
    """Return an FNR that depends on the weights' hash, 0.1 higher on the holdout split."""
    weights = json.loads((checkpoint / RECORD).read_text())["weights_sha256"]
    figures = {
        name: JackknifeEstimate(value, (value - 0.01, value + 0.01))
        for name, value in metrics(float(weights) + 0.1 * (split == "holdout")).items()
    }
    by_seed = {name: (figure.value - 0.02, figure.value + 0.02) for name, figure in figures.items()}
    return EvaluationResult(weights, "detector", split, "d1", seeds, ("a", "b"), 40, figures, by_seed)


def add_trial(study: optuna.Study, folder: Path, searched: float, again: str) -> None:
    """A trial that ran to its end, its checkpoint named by what it misses of fresh bots."""
    place = folder / again / "checkpoint_000000"
    place.mkdir(parents=True)
    (place / RECORD).write_text(json.dumps({"weights_sha256": again, "data_sha256": "d1", "config": {}}))
    (place / METRICS_FILE).write_text(json.dumps({EPOCH: 1, **metrics(searched)}))
    study.add_trial(
        optuna.trial.create_trial(
            value=searched,
            params={"loss.temperature": searched},
            distributions={"loss.temperature": FloatDistribution(0.0, 1.0)},
            intermediate_values={0: 0.99, 1: 0.5, 6: searched},
            user_attrs={METRICS: metrics(searched), FOLDER: str(place.parent)},
        )
    )


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, EvaluationResult | None]]:
    """Replace evaluations by those of hashes; return the calls that plot."""
    calls: list[tuple[Path, EvaluationResult | None]] = []

    def draw(checkpoint: Path, config: Any, evaluation: EvaluationResult | None, pictures: Path) -> None:
        calls.append((checkpoint, evaluation))

    monkeypatch.setattr(finalists, "try_evaluate", evaluated)
    functions = ModelFunctions(None, draw, lambda checkpoint: id)
    monkeypatch.setattr(summary, "MODEL_FUNCTIONS", {"detector": functions})
    return calls


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    """The search liked trial 0 best, fresh bots like trial 1."""
    study = study_in(tmp_path / "mine", (VAL_FNR_WORST_UNSEEN,), **OF_STUDY)
    add_trial(study, tmp_path, 0.20, "0.35")
    add_trial(study, tmp_path, 0.22, "0.25")
    return study


def console(width: int = 120) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=width), text


def test_the_end_of_a_sweep_prints_detector_metrics(
    tmp_path: Path, study: optuna.Study, drawn: list[tuple[Path, EvaluationResult | None]]
) -> None:
    screen, text = console()
    assert summarise(screen, sweep_in(tmp_path), study) == 0
    printed = text.getvalue()
    assert "excess" not in printed
    assert "MMD" not in printed
    rows = {
        "untrained": "0.990",
        "after 1 epoch": "0.500",
        "(search estimate)": "0.220",
        "with new bots": "0.250 [",
        "on the holdout split": "0.350 [",
    }
    after = printed[printed.index("FNR of the worst bot family") :].splitlines()
    for name, value in rows.items():
        assert any(name in line and value in line for line in after), name
    assert "(floor)" not in printed
    assert "Leaderboard on 3 new seeds of the bots" in printed
    for finalists_on in ("2 finalist(s) on the validation split", "1 finalist(s) on the holdout split"):
        assert f"re-evaluating {finalists_on} with 3 new seed(s) of the bots each" in printed
    assert f"platform.evaluate ckpt={tmp_path}/0.25/checkpoint_000000" in printed
    rows_of = json.loads((tmp_path / "mine" / "leaderboard.json").read_text())["rows"]
    assert [(row["trial"], row["holdout"] is None) for row in rows_of] == [(1, False), (0, True)]  # hardly the best
    [(checkpoint, evaluation)] = drawn
    assert (checkpoint.parent.name, evaluation and evaluation.checkpoint_sha256) == ("0.25", "0.25")
    assert (tmp_path / "mine" / "pictures" / "learning_curves.png").stat().st_size > 0


def test_the_files_hold_no_reference_that_there_is_none_of(
    tmp_path: Path, study: optuna.Study, drawn: list[tuple[Path, EvaluationResult | None]]
) -> None:
    summarise(console()[0], sweep_in(tmp_path), study)
    board, written = (
        json.loads((tmp_path / "mine" / f"{name}.json").read_text()) for name in ("leaderboard", "summary")
    )
    assert (board["reference"], board["by"]) == (None, VAL_FNR_WORST_UNSEEN)
    assert [row["trial"] for row in board["rows"]] == [1, 0]
    assert board["rows"][0]["searched"] == {VAL_FNR_WORST_UNSEEN: 0.22, VAL_FNR_UNSEEN: 0.11}
    assert "reference" not in written
    assert (written["best"]["trial"], written["untrained"], written["one_epoch"]) == (1, 0.99, 0.5)


def test_the_tables_fit_a_narrow_screen(
    tmp_path: Path, study: optuna.Study, drawn: list[tuple[Path, EvaluationResult | None]]
) -> None:
    screen, text = console(width=80)
    summarise(screen, sweep_in(tmp_path), study)
    assert not any("…" in line for line in text.getvalue().splitlines())


def test_without_finalists_there_still_is_an_end(
    tmp_path: Path, study: optuna.Study, drawn: list[tuple[Path, EvaluationResult | None]]
) -> None:
    assert summarise(console()[0], sweep_in(tmp_path, finalists=FinalistsConfig(top=0)), study) == 0
    assert drawn == [(tmp_path / "0.35" / "checkpoint_000000", None)]


def test_the_report_shows_detector_metrics(
    tmp_path: Path, study: optuna.Study, drawn: list[tuple[Path, EvaluationResult | None]]
) -> None:
    summarise(console()[0], sweep_in(tmp_path), study)
    page = (tmp_path / "mine" / "report.html").read_text()
    page = page[page.rindex("<body>") :]
    for words in (
        "The best is trial 1, worst FNR 0.250 [",
        "with new bots (the search's own, optimistic estimate: 0.220)",
        "worst FNR,<br>new bots",
        "evaluated again with new bots",
        "Scores of the best",
        "unseen FNR,<br>new bots",
        'id="forest"',
        'id="pareto"',
        "worst FNR (0: every bot is detected)",
    ):
        assert words in page, words
    assert [word for word in ("MMD", "no difference", "(floor)", "excess") if word in page] == []


def test_studies_of_several_kinds_are_listed_with_the_names_of_their_metrics(
    tmp_path: Path, study: optuna.Study, drawn: list[tuple[Path, EvaluationResult | None]]
) -> None:
    screen, text = console(200)
    list_studies(screen, tmp_path)
    assert "best worst FNR" in text.getvalue().splitlines()[0]
    generator = study_in(tmp_path / "theirs")
    add(generator, TrialState.COMPLETE, 0.1)
    summarise(console()[0], sweep_in(tmp_path), study)
    screen, text = console(200)
    list_studies(screen, tmp_path)
    head, *rows = [" ".join(line.split()) for line in text.getvalue().splitlines()]
    assert head == "study objectives trials best last activity"
    assert any(row.startswith("mine val/fnr_at_fpr_worst_unseen 2 COMPLETE worst FNR 0.250 [") for row in rows)
    assert any("AUC excess 0.100 (search estimate)" in row for row in rows)


def test_a_study_and_its_trials_are_shown_and_compared(
    tmp_path: Path, study: optuna.Study, drawn: list[tuple[Path, EvaluationResult | None]]
) -> None:
    summarise(console()[0], sweep_in(tmp_path), study)
    screen, text = console(200)
    assert show(screen, study, tmp_path / "mine") == 0
    assert show(screen, study, tmp_path / "mine", 0) == 0
    assert compare(screen, study, tmp_path / "mine", [0, 1]) == 0
    printed = text.getvalue()
    for words in ("new bots", "worst FNR", "unseen FNR", "0.250 [", "0.350 [", f"{VAL_FNR_WORST_UNSEEN} "):
        assert words in printed, words
    assert VAL_AUC_EXCESS not in printed
    assert "Re-evaluated" in printed


def test_the_progress_of_a_sweep_shows_the_figures_of_the_kind() -> None:
    text = io.StringIO()
    goal = Goal((Objective.parse(VAL_FNR_WORST_UNSEEN),), (), VAL_FNR_WORST_UNSEEN, 6)
    searcher = OptunaSearcher(optuna.create_study(), SPACE, 2, goal)
    progress = Progress(searcher, 6, time_limit_s=60.0, console=Console(file=text, width=200))
    trial = cast(Trial, SimpleNamespace(trial_id="a", error_file=""))
    assert isinstance(searcher.suggest("a"), dict)
    progress.on_trial_start(0, [], trial)
    progress.on_trial_result(0, [], trial, {EPOCH: 1, **metrics(0.4)})
    assert "epoch 1/6  worst FNR 0.400  unseen FNR 0.200  ~" in text.getvalue()


# trained again


TINY = {"epochs": 1, "steps_per_epoch": 2, "batch_size": 16, "model.width": 8, "model.fused_width": 16}
CONFIG = with_values(plain(DetectorConfig()), TINY)


def reproduced(folder: Path, changed: Mapping[str, float]) -> tuple[int, str, dict[str, Any]]:
    """A trained trial, some of whose metrics are changed, trained again: exit code, words, and rows by metric."""
    data = load_splits(DetectorConfig().data)
    *_, last = epochs(build(DetectorConfig, CONFIG))
    study = optuna.create_study(study_name="mine")
    for key, value in {
        OBJECTIVES: [VAL_FNR_WORST_UNSEEN],
        **OF_STUDY,
        "data_sha256": data.sha256,
        "config": CONFIG,
    }.items():
        study.set_user_attr(key, value)
    (folder / "trial").mkdir(parents=True)
    Manifest.here("detector", CONFIG, data.sha256, source_of().facts()).write(folder / "trial")
    written = {METRICS: {**metrics_of(last.metrics), **changed}, FOLDER: str(folder / "trial"), OVERRIDES: {}}
    study.add_trial(optuna.trial.create_trial(value=0.5, intermediate_values={1: 0.5}, user_attrs=written))
    (folder / "mine" / EVALUATIONS).mkdir(parents=True)
    by_seed = {VAL_FNR_WORST_UNSEEN: (0.5, 0.52, 0.51)}
    kept = EvaluationResult("c", "detector", "validation", data.sha256, (1, 2, 3), ("a",), 40, {}, by_seed)
    (folder / "mine" / EVALUATIONS / "one.json").write_text(json.dumps(kept.to_json()))
    screen, text = console(200)
    code = reproduce(screen, Sweep(sweep_in(folder).settings, CONFIG, SPACE, ()), study, 0)
    rows = json.loads((folder / "mine" / REPRODUCED / "trial-0000" / REPORT).read_text())["figures"]
    return code, text.getvalue(), {row["metric"]: row for row in rows}


def test_a_detector_is_reproduced_bit_for_bit(tmp_path: Path) -> None:
    code, printed, rows = reproduced(tmp_path, {})
    assert (code, {row["verdict"] for row in rows.values()}) == (0, {"equal"})
    assert "worst FNR" in printed
    assert "reproduced bit for bit" in printed


@pytest.mark.heavy
def test_the_band_of_a_detectors_figure_is_what_fresh_bots_change(tmp_path: Path) -> None:
    """Two draws differ by t(2, 97.5 %) = 4.303 times sqrt(2) times the s.d. 0.01 of these three."""
    *_, last = epochs(build(DetectorConfig, CONFIG))
    then = last.metrics[VAL_FNR_WORST_UNSEEN]
    band = 4.3027 * 2**0.5 * 0.01
    code, printed, rows = reproduced(tmp_path / "near", {VAL_FNR_WORST_UNSEEN: then + 0.9 * band, VAL_BRIER: 0.9})
    assert (code, rows[VAL_FNR_WORST_UNSEEN]["verdict"]) == (0, "within")
    assert rows[VAL_FNR_WORST_UNSEEN]["tolerance"] == pytest.approx(band, rel=1e-4)
    assert rows[VAL_BRIER]["verdict"] == "no tolerance"
    code, printed, rows = reproduced(tmp_path / "far", {VAL_FNR_WORST_UNSEEN: then + 1.1 * band})
    assert code == 1
    assert f"outside of the tolerance: {VAL_FNR_WORST_UNSEEN}" in printed
