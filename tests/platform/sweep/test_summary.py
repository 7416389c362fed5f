"""The end of a sweep: the printed tables, the written files, and the best trial."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import TrialState
from rich.console import Console

from platform.leaderboard import finalists
from platform.leaderboard.model_types import ModelFunctions
from platform.leaderboard.reference import Reference
from platform.report.tables import headline_at
from platform.study.config import FinalistsConfig, TuneConfig
from platform.study.ranking import OBJECTIVES, RankedTrial
from platform.study.resume import FOLDER, METRICS, OVERRIDES, REASON, REPEATS
from platform.study.sweep import Sweep
from platform.sweep import summary
from platform.sweep.summary import summarise
from search_spaces import SPACES
from trainables.core.config import plain
from trainables.diffusion.config import DiffusionConfig
from trainables.eval.generation.metrics import GENERATION
from trainables.eval.intervals.jackknife import JackknifeEstimate
from trainables.eval.two_sample.null_band import NullBand
from trainables.model_evaluation.result import EvaluationResult
from trainables.training.checkpoint import RECORD
from trainables.training.metric_names import EPOCH, VAL_AUC_EXCESS, VAL_LOSS, VAL_MMD
from trainables.training.trial_keys import METRICS_FILE

REFERENCE = Reference(
    NullBand(mean=0.01, std=0.02, low=-0.04, high=0.06), {"features": 0.62, "pixels": 0.645}, 5.24, "users"
)


def sweep_in(folder: Path, **settings: Any) -> Sweep:
    tune = TuneConfig(storage_path=str(folder), study_name="mine", space="diffusion", **settings)
    return Sweep(tune, plain(DiffusionConfig()), SPACES["diffusion"], ())


def study_of(objective: str = VAL_AUC_EXCESS) -> optuna.Study:
    study = optuna.create_study()
    study.set_user_attr(OBJECTIVES, [objective])
    study.set_user_attr("trainable", "diffusion")
    return study


def add(
    study: optuna.Study,
    state: TrialState,
    value: float | None = None,
    history: dict[int, float] | None = None,
    attributes: dict[str, Any] | None = None,
) -> None:
    """Return an ended trial as the searcher records it."""
    trial = optuna.trial.create_trial(
        state=state,
        value=value,
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0.0, 1.0)},
        intermediate_values=history or {},
        user_attrs=attributes or {},
    )
    study.add_trial(trial)


@pytest.fixture(autouse=True)
def no_evaluation_of_real_checkpoints(monkeypatch: pytest.MonkeyPatch) -> None:
    known = ModelFunctions(lambda config: REFERENCE, lambda *checkpoint_and_place: None, lambda checkpoint: id)
    monkeypatch.setattr(summary, "MODEL_FUNCTIONS", {"generator": known})
    monkeypatch.setattr(finalists, "try_evaluate", evaluated)


def evaluated(
    checkpoint: Path,
    split: str,
    seeds: tuple[int, ...],
    effective_users: float | None = None,
    largest_share: float | None = None,
) -> EvaluationResult:
    """Return an excess that depends on the weights' hash, 0.05 higher on the holdout split."""
    weights = json.loads((checkpoint / RECORD).read_text())["weights_sha256"]
    excess = float(weights) + 0.05 * (split == "holdout")
    figures = {
        VAL_AUC_EXCESS: JackknifeEstimate(excess, (excess - 0.01, excess + 0.01)),
        VAL_MMD: JackknifeEstimate(0.0123, (0.01, 0.02)),
    }
    return EvaluationResult(
        weights, "diffusion", split, "d1", seeds, ("a", "b"), 40, figures, {}, effective_users, largest_share
    )


def checkpoint(folder: Path, excess_on_fresh_noise: str) -> dict[str, str]:
    """A trial's folder with a checkpoint, as a user attribute."""
    path = folder / excess_on_fresh_noise / "checkpoint_000000"
    path.mkdir(parents=True)
    record = {"weights_sha256": excess_on_fresh_noise, "data_sha256": "d1", "config": {}}
    (path / RECORD).write_text(json.dumps(record))
    (path / METRICS_FILE).write_text(json.dumps({EPOCH: 1, VAL_AUC_EXCESS: 0.05}))
    return {FOLDER: str(path.parent)}


def console(width: int = 120) -> tuple[Console, io.StringIO]:
    text = io.StringIO()
    return Console(file=text, width=width), text


def read(sweep: Sweep, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((sweep.settings.folder / name).read_text(), parse_constant=pytest.fail)
    return found


def test_the_headline_of_an_epoch_is_known_where_the_scheduler_compares_it() -> None:
    trial = RankedTrial(0, "COMPLETE", 1, 0.0, {}, {}, {0: 0.45, 1: -0.02}, None, "")
    assert [headline_at(trial, epoch, VAL_AUC_EXCESS, GENERATION) for epoch in (0, 1, 2)] == [0.45, -0.02, None]
    assert headline_at(trial, 0, VAL_MMD, GENERATION) is None


def test_a_sweep_without_a_result_prints_the_reason_and_fails(tmp_path: Path) -> None:
    study = study_of()
    add(study, TrialState.FAIL, attributes={REASON: "the trial raised an error"})
    screen, text = console()
    assert summarise(screen, sweep_in(tmp_path), study) == 1
    assert text.getvalue() == "trial 0 failed: the trial raised an error\nno trial has a result yet\n"


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    """The search liked trial 1 best, fresh noise likes trial 2; one failed, one has no checkpoint."""
    study = study_of()
    add(study, TrialState.FAIL, attributes={REASON: "val/auc_excess is nan"})
    liked = {METRICS: {VAL_AUC_EXCESS: 0.05, VAL_MMD: 0.01}, **checkpoint(tmp_path, "0.14")}
    add(study, TrialState.COMPLETE, 0.05, {0: 0.4, 1: 0.3, 9: 0.05}, liked)
    better = {METRICS: {VAL_AUC_EXCESS: 0.07, VAL_MMD: 0.02}, **checkpoint(tmp_path, "0.08")}
    add(study, TrialState.COMPLETE, 0.07, {0: 0.45, 1: 0.2, 9: 0.07}, better)
    add(study, TrialState.PRUNED, 0.2, {2: 0.2}, {METRICS: {VAL_AUC_EXCESS: 0.2, VAL_MMD: 0.03}})
    return study


def test_the_best_is_the_leaderboards_first(tmp_path: Path, study: optuna.Study) -> None:
    screen, text = console()
    sweep = sweep_in(tmp_path)
    assert summarise(screen, sweep, study) == 0
    written, board = read(sweep, "summary.json"), read(sweep, "leaderboard.json")
    assert written["best"]["trial"] == board["rows"][0]["trial"] == 2
    assert written["best"]["checkpoint"].endswith("0.08/checkpoint_000000")
    assert written["leaderboard"] == board["rows"]
    assert [trial["trial"] for trial in written["trials"]] == [1, 2, 3]
    assert written["reference"] == board["reference"] == REFERENCE.to_json()
    assert (written["untrained"], written["one_epoch"]) == (0.45, 0.2)
    assert (sweep.settings.folder / "pictures" / "learning_curves.png").stat().st_size > 0
    shown = text.getvalue()
    assert all(part in shown for part in ("trial 0 failed: val/auc_excess is nan", "Leaderboard", "Ranking", "P(best)"))
    worth = {"untrained": "0.450", "(search estimate)": "0.070", "with new noise": "0.080 [", "holdout": "0.130 ["}
    worth |= {"no difference, by chance": "0.010 [-0.040, 0.060]"}
    worth |= {"floor: AUC of other users, features": "0.620", "floor: AUC of other users, pixels": "0.645"}
    after = shown[shown.index("Excess of the AUC on held-out users") :].splitlines()
    for name, value in worth.items():
        assert any(name in line and value in line for line in after), name
    assert "ckpt=" in shown


def test_what_the_metrics_of_each_split_rest_on_is_printed_below_the_leaderboard(
    tmp_path: Path, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Effective users where the evaluation has them, and a warning where one user has more than a third."""

    def uneven(checkpoint: Path, split: str, seeds: tuple[int, ...]) -> EvaluationResult:
        return evaluated(checkpoint, split, seeds, *((1.72, 0.7) if split == "holdout" else ()))

    monkeypatch.setattr(finalists, "try_evaluate", uneven)
    screen, text = console()
    summarise(screen, sweep_in(tmp_path), study)
    lines = text.getvalue().splitlines()
    at = next(number for number, line in enumerate(lines) if line.startswith("P(best)"))
    remedy = "give recordings of more users, or fewer of that one"
    assert lines[at + 1 : at + 4] == [
        "validation: 40 movements of 2 users",
        "holdout: 40 movements of 2 users (1.7 effective)",
        f"70 % of the movements of the holdout split are of one user; {remedy}",
    ]


@pytest.mark.parametrize(("share", "warned"), [(0.3, False), (1 / 3, False), (0.34, True)])
def test_a_user_with_a_third_of_the_movements_is_no_reason_for_a_warning_but_more_is(
    tmp_path: Path, study: optuna.Study, monkeypatch: pytest.MonkeyPatch, share: float, warned: bool
) -> None:
    monkeypatch.setattr(finalists, "try_evaluate", lambda path, split, seeds: evaluated(path, split, seeds, 2.9, share))
    screen, text = console()
    summarise(screen, sweep_in(tmp_path), study)
    assert text.getvalue().count(f"{100 * share:.0f} % of the movements") == 2 * warned  # of each split


def test_the_basis_of_the_holdout_split_is_that_of_any_row_that_has_one(
    tmp_path: Path, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The budget allows one evaluation, of the trial that the search likes best, which comes second, hardly surely."""

    def unsure(checkpoint: Path, split: str, seeds: tuple[int, ...]) -> EvaluationResult:
        """Without one of the two users, the other trial comes first."""
        found = evaluated(checkpoint, split, seeds)
        excess, off = found.metrics[VAL_AUC_EXCESS].value, 0.1 if "0.14" in str(checkpoint) else -0.1
        metrics = {**found.metrics, VAL_AUC_EXCESS: JackknifeEstimate(excess, (excess - off, excess + off))}
        return replace(found, metrics=metrics)

    monkeypatch.setattr(finalists, "try_evaluate", unsure)
    screen, text = console()
    sweep = sweep_in(tmp_path, finalists=FinalistsConfig(holdout_budget=1))
    summarise(screen, sweep, study)
    assert [row["holdout"] is None for row in read(sweep, "leaderboard.json")["rows"]] == [True, False]
    assert "holdout: 40 movements of 2 users" in text.getvalue().splitlines()


def test_the_tables_fit_a_narrow_screen(tmp_path: Path, study: optuna.Study) -> None:
    screen, text = console(width=80)
    summarise(screen, sweep_in(tmp_path), study)
    lines = text.getvalue().splitlines()
    row = next(line for line in lines if "0.080 [" in line)
    assert "0.130 [" in row
    assert row.rstrip().endswith("1.00") or row.rstrip()[-4:-2] == "0."
    assert not any("…" in line for line in lines)


def test_without_finalists_the_best_is_the_rankings_first(tmp_path: Path, study: optuna.Study) -> None:
    screen, text = console()
    sweep = sweep_in(tmp_path, finalists=FinalistsConfig(top=0))
    assert summarise(screen, sweep, study) == 0
    assert (read(sweep, "summary.json")["best"]["trial"], read(sweep, "leaderboard.json")["rows"]) == (1, [])
    assert "Leaderboard" not in text.getvalue()


def test_a_best_trial_without_a_checkpoint_has_no_next_command(tmp_path: Path) -> None:
    study = study_of()
    add(study, TrialState.COMPLETE, 0.0, {0: 0.4, 1: 0.3}, {METRICS: {VAL_AUC_EXCESS: 0.0, VAL_MMD: 0.01}})
    screen, text = console()
    sweep = sweep_in(tmp_path)
    assert summarise(screen, sweep, study) == 0
    assert read(sweep, "summary.json")["best"]["checkpoint"] is None
    assert "ckpt=" not in text.getvalue()


def test_refused_and_left_out_trials_are_printed_with_reasons(
    tmp_path: Path, study: optuna.Study, monkeypatch: Any
) -> None:
    monkeypatch.setattr(
        finalists, "try_evaluate", lambda path, *rest: "no good" if "0.14" in str(path) else evaluated(path, *rest)
    )
    screen, text = console()
    summarise(screen, sweep_in(tmp_path, finalists=FinalistsConfig(holdout_budget=0)), study)
    assert "trial 1 could not be evaluated: no good" in text.getvalue()
    assert "skipped holdout evaluation: " in text.getvalue()


@pytest.mark.parametrize("objective", [VAL_LOSS, f"{VAL_AUC_EXCESS}+2*{VAL_MMD}"])
def test_another_objective_than_the_headline_has_an_end_as_well(tmp_path: Path, objective: str) -> None:
    """A scheduler metric other than the headline, and an evaluation without one."""
    study = study_of(objective)
    add(
        study, TrialState.COMPLETE, 0.3, {0: 0.9, 1: 0.3}, {METRICS: {VAL_LOSS: 0.3, VAL_AUC_EXCESS: 0.1, VAL_MMD: 0.1}}
    )
    sweep = sweep_in(tmp_path, objectives=(objective,))
    assert summarise(console()[0], sweep, study) == 0
    untrained = read(sweep, "summary.json")["untrained"]
    assert untrained == (None if objective == VAL_LOSS else 0.9)


def test_repeats_are_a_line_under_the_table(tmp_path: Path, study: optuna.Study) -> None:
    for seed, value in enumerate((0.1, 0.2)):
        repeat = {REPEATS: 2, OVERRIDES: {"seed": seed}, METRICS: {VAL_AUC_EXCESS: value}}
        add(study, TrialState.COMPLETE, value, attributes=repeat)
    screen, text = console()
    summarise(screen, sweep_in(tmp_path), study)
    assert "trial 2 retrained with 2 other seed(s): AUC excess 0.150 ± 0.050" in text.getvalue()
    assert (
        "noise of val/auc_excess between trainings: standard deviation 0.0707, 1 degrees of freedom" in text.getvalue()
    )


@pytest.mark.parametrize(
    ("broken", "part", "written"),
    [
        ("leaderboard", "leaderboard.json", {"summary.json", "report.html"}),
        ("_plot", "pictures", {"leaderboard.json", "summary.json", "report.html"}),
        ("_write", "summary.json", {"leaderboard.json", "report.html"}),
        ("write_report", "report.html", {"leaderboard.json", "summary.json"}),
    ],
)
def test_whatever_a_part_raises_the_others_are_written_and_the_next_run_repairs_it(
    tmp_path: Path, study: optuna.Study, monkeypatch: pytest.MonkeyPatch, broken: str, part: str, written: set[str]
) -> None:
    """The other side: the same call without the error writes all four."""
    sweep = sweep_in(tmp_path)

    def fails(*arguments: Any) -> None:
        raise ZeroDivisionError("of a library")

    with monkeypatch.context() as patched:
        patched.setattr(summary, broken, fails)
        shown, text = console(400)
        assert summarise(shown, sweep, study) == 1
    assert f"{part} was not written: of a library; run the same command again" in text.getvalue()
    files = {"leaderboard.json", "summary.json", "report.html"}
    assert {path.name for path in sweep.settings.folder.iterdir()} & files == written
    assert summarise(console()[0], sweep, study) == 0
    assert {path.name for path in sweep.settings.folder.iterdir()} >= files
