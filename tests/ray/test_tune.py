"""The main command as a user types it: small sweeps, their outputs, and the same command again with a larger budget."""

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import make_archive, unpack_archive

import pytest
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # type: ignore[import-untyped]

from platform.promote import COMMAND as PROMOTE
from platform.promote import main as promote
from platform.tune import COMMAND, main
from trainables.core.cli import WRONG_INPUT, run
from trainables.model_registry.registry import Registry
from trainables.session import PLOTS
from trainables.training.checkpoint import load_record
from trainables.training.metric_names import VAL_FNR_WORST_UNSEEN
from trainables.training.run_folder import EVENTS

pytestmark = pytest.mark.ray
ROOT = Path(__file__).resolve().parents[2]
SMALL = ("trainable.epochs=2", "scheduler.grace_epochs=2", "finalists.eval_seeds=2", "study_name=small")
GENERATORS = (
    "trainable.steps_per_epoch=18",
    "trainable.model.base_channels=16",
    "trainable.evaluation.movements=150",
    "trainable.sampling.steps=2",
    "trainable.evaluation.probes=[features]",
)
ANY_MODEL = (
    "split=validation",
    "eval_seeds=2",
    "latency.movements=8",
    "latency.repeats=6",
    "limits.auc_excess=1",
    "limits.memorised_share=1",
    "limits.precision=0",
    "limits.recall=0",
)
"""What promotes a model of 36 steps: limits that every one keeps."""
DETECTORS = ("trainable=detector", "space=detector", "trainable.steps_per_epoch=12", "trainable.negatives.alpha=0.2")


def tune(home: Path, *overrides: str, of: tuple[str, ...] = GENERATORS) -> subprocess.CompletedProcess[str]:
    """Run the command with an empty home folder, as on a fresh machine."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RAY_")} | {"HOME": str(home)}
    command = [sys.executable, "-m", "platform.tune", f"storage_path={home / 'results'}", *SMALL, *of, *overrides]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=540, check=False)


def tune_here(home: Path, *overrides: str) -> int:
    """Run the command in this process, where it has no trial to run and starts no Ray; return its exit code."""
    return run(COMMAND, main, [f"storage_path={home / 'results'}", *SMALL, *GENERATORS, *overrides])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A home folder with a sweep of two trials in it, and what the command printed."""
    home = tmp_path_factory.mktemp("home")
    done = tune(home, "budget.trials=2")
    assert done.returncode == 0, done.stderr
    return home, done.stdout


def test_a_sweep_runs_and_writes_its_results(small: tuple[Path, str]) -> None:
    home, printed = small
    assert "\x1b" not in printed  # no terminal: no control characters
    for words in (
        "Plan",
        "trial 0: epoch 2/2",
        "Ranking",
        "Leaderboard",
        "effective",
        "untrained model",
        "floor",
        "report",
        "Next",
    ):
        assert words in printed
    study = home / "results" / "small"
    summary = json.loads((study / "summary.json").read_text())
    board = json.loads((study / "leaderboard.json").read_text())
    assert {row["trial"] for row in board["rows"]} == {0, 1}
    assert board["holdout"] == {"asked": 2, "budget": 32, "refused": None}
    assert "Leaderboard" in (study / "report.html").read_text()
    record = load_record(Path(summary["best"]["checkpoint"]))
    for trial in summary["trials"]:
        [manifest] = (study / "trials").glob(f"trial-{trial['trial']:04d}-*/manifest.json")
        assert json.loads(manifest.read_text())["data_sha256"] == record["data_sha256"]
    assert record["epoch"] == 2
    assert 0.3 <= summary["untrained"] <= 0.6  # white noise is almost always detected: an AUC of 1 less the floor
    for picture in ("learning_curves", "gallery", "features"):
        with Image.open(study / "pictures" / f"{picture}.png") as image:
            assert min(image.size) > 400
    assert {path.name for path in (study / EVENTS).iterdir()} == {"trial-0000", "trial-0001"}


def test_a_finished_sweep_starts_no_ray_and_another_configuration_is_refused(
    small: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    home, _ = small
    assert tune_here(home, "budget.trials=2") == 0
    assert "budget.trials=2 reached" in capsys.readouterr().out
    assert tune_here(home, "budget.trials=4", "trainable.epochs=3") == WRONG_INPUT
    refused = capsys.readouterr().err
    assert refused.count("\n") == 1
    assert "study_name=small" in refused


@pytest.mark.heavy
def test_a_zipped_study_continues_reports_and_promotes_elsewhere(small: tuple[Path, str], tmp_path: Path) -> None:
    """The folder that it came from is not there meanwhile, as on another machine."""
    home, hidden = small[0], tmp_path / "hidden"
    archive = make_archive(str(tmp_path / "study"), "zip", home / "results")
    home.rename(hidden)
    try:
        elsewhere = tmp_path / "elsewhere"
        unpack_archive(archive, elsewhere / "results")
        done = tune(elsewhere, "budget.trials=3", "plots_every=2")
        assert done.returncode == 0, done.stderr
        assert "1 to run of 3" in done.stdout
        study = elsewhere / "results" / "small"
        summary = json.loads((study / "summary.json").read_text())
        assert sorted(trial["trial"] for trial in summary["trials"]) == [0, 1, 2]
        board = json.loads((study / "leaderboard.json").read_text())
        assert {row["trial"] for row in board["rows"]} == {0, 1, 2}
        assert Path(summary["best"]["checkpoint"]).is_relative_to(study)
        events = EventAccumulator(str(study / EVENTS / "trial-0002" / PLOTS)).Reload()
        assert [image.step for image in events.Images("plots/velocity_spectra")] == [2]
        (study / "report.html").unlink()
        place = [f"storage_path={elsewhere / 'results'}", "study_name=small"]
        assert run(COMMAND, main, ["report", *place]) == 0
        assert "Leaderboard" in (study / "report.html").read_text()
        assert run(PROMOTE, promote, [*place, *ANY_MODEL]) == 0
        champion = Registry.below(elsewhere / "results").champion()
        assert champion is not None
        assert champion.decision["challenger"]["trial"] == board["rows"][0]["trial"]
    finally:
        hidden.rename(home)


@pytest.mark.heavy
def test_a_sweep_over_detectors_ends_with_a_leaderboard_by_new_bots(tmp_path: Path) -> None:
    done = tune(tmp_path, "budget.trials=2", of=DETECTORS)
    assert done.returncode == 0, done.stderr
    for words in (
        "trial 1: epoch 2/2  worst FNR",
        "Leaderboard on 2 new seeds of the bots",
        "platform.evaluate",
    ):
        assert words in done.stdout
    study = tmp_path / "results" / "small"
    board, summary = (json.loads((study / f"{name}.json").read_text()) for name in ("leaderboard", "summary"))
    assert board["by"] == VAL_FNR_WORST_UNSEEN
    assert {row["trial"] for row in board["rows"]} == {0, 1}
    assert summary["best"]["trial"] == board["rows"][0]["trial"]
    record = load_record(Path(summary["best"]["checkpoint"]))
    assert (record["kind"], record["epoch"]) == ("detector", 2)
    assert "Leaderboard" in (study / "report.html").read_text()
