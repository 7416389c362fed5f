"""The command `python -m trainables.diffusion.train`: its outputs, its resumption, and refused input."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from trainables.core.atomic_files import LOCK
from trainables.core.cli import INTERRUPTED, WRONG_INPUT, run
from trainables.diffusion.train import COMMAND, main
from trainables.training.checkpoint import RECORD, WEIGHTS, load_checkpoint, load_record
from trainables.training.run_folder import BEST, CHECKPOINTS, CONFIG, LAST, METRICS

ROOT = Path(__file__).resolve().parents[3]
TINY = (
    "experiment=cpu",
    "steps_per_epoch=2",
    "batch_size=8",
    "model.base_channels=16",
    "evaluation.movements=40",
    "sampling.steps=1",
    "evaluation.folds=2",
    "evaluation.probes=[features]",
)


def train(folder: Path, *overrides: str) -> int:
    return run(COMMAND, main, [*TINY, f"out_dir={folder}", *overrides])


def lines(folder: Path) -> list[dict[str, Any]]:
    """Metrics of every epoch without the clocks."""
    found = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    return [{name: value for name, value in line.items() if not name.endswith("seconds")} for line in found]


def complaint(capsys: pytest.CaptureFixture[str], folder: Path, *overrides: str) -> str:
    """The one line that wrong input is answered with."""
    assert train(folder, *overrides) == WRONG_INPUT
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    return err


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two epochs, as a user starts it."""
    folder = tmp_path_factory.mktemp("results") / "run"
    done = start(folder, "epochs=2")
    out, err = done.communicate(timeout=300)
    assert done.returncode == 0, err
    assert "\x1b" not in out
    assert [f"epoch {epoch}/2" in out for epoch in range(4)] == [True, True, True, False]
    return folder


CTRL_C_AFTER_THE_FIRST_EPOCH = """
import os, signal, sys
from trainables.core.cli import run
from trainables.diffusion import loop, train

plain = loop.epochs

def epochs(*arguments, **settings):
    for epoch in plain(*arguments, **settings):
        yield epoch
        if epoch.number == 1:
            os.kill(os.getpid(), signal.SIGINT)

loop.epochs = epochs
sys.exit(run(train.COMMAND, train.main))
"""


def start(folder: Path, *overrides: str, code: str = "") -> "subprocess.Popen[str]":
    python = ["-c", code] if code else ["-m", "trainables.diffusion.train"]
    return subprocess.Popen(
        [sys.executable, *python, *TINY, f"out_dir={folder}", *overrides],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=listen,
    )


def listen() -> None:
    """Receive Ctrl-C even where the tests were started in the background, whose children ignore it."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def copied(folder: Path, to: Path) -> Path:
    subprocess.run(["cp", "-a", str(folder), str(to)], check=True)
    return to


def test_a_run_leaves_all_that_sampling_and_resuming_need(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {CONFIG, METRICS, CHECKPOINTS, "tensorboard", LOCK}
    assert [line["epoch"] for line in lines(trained)] == [0, 1, 2]
    for link in (LAST, BEST):
        tensors, record = load_checkpoint(trained / CHECKPOINTS / link)
        assert record["kind"] == "diffusion"
        assert any(name.startswith("ema.") for name in tensors)


@pytest.mark.heavy
def test_an_interrupted_run_resumes_with_identical_results(trained: Path, tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    process = start(cut, "epochs=2", code=CTRL_C_AFTER_THE_FIRST_EPOCH)
    _, err = process.communicate(timeout=300)
    assert process.returncode == INTERRUPTED, err
    assert err == "interrupted: progress is saved\n"
    assert load_record(cut / CHECKPOINTS / LAST)["epoch"] == 1
    assert train(cut, "epochs=2") == 0
    assert lines(cut) == lines(trained)
    assert (cut / CHECKPOINTS / BEST).readlink() == (trained / CHECKPOINTS / BEST).readlink()


def test_a_length_that_the_strides_do_not_divide_is_padded_under_the_mask(tmp_path: Path) -> None:
    assert train(tmp_path / "odd", "epochs=1", "data.canonical.sequence_length=45") == 0
    assert len(lines(tmp_path / "odd")) == 2


# what is refused


WRONG: dict[str, tuple[str, ...]] = {
    "experiment=quux": ("`experiment` in {cpu, train}", "experiment=quux"),
    "experiment=sample": ("`experiment` in {cpu, train}", "experiment=sample"),
    "experiment=../tune": ("`experiment` in {cpu, train}", "experiment=../tune"),
    "steps_per_epoch=0": ("`steps_per_epoch >= 1`", "steps_per_epoch=0"),
    "epochs=0": ("`epochs >= 1`", "epochs=0"),
    "sampling.steps=0": ("sampling: expected `steps >= 1`", "steps=0"),
    "sampling.steps=-3": ("sampling: expected `steps >= 1`", "steps=-3"),
    "diffusion.timesteps=0": ("diffusion: expected `timesteps >= 1`", "timesteps=0"),
    "data.canonical.sequence_length=4": ("data.canonical: expected `sequence_length >= 8`", "4"),
    "model.base_channels=20": ("model: ", "groups"),
    "optim.lrr=1": ("unknown key optim.lrr; did you mean `optim.lr`?",),
    "optim.lr=nan": ("optim: expected `0 < lr < inf`", "lr=nan"),
    "epochs=interval(1,3)": ("expected one value per key",),
    "device=quux": ("device=quux",),
    "data.path=nowhere.csv": ("nowhere.csv",),
}


@pytest.mark.parametrize("override", WRONG)
def test_wrong_input_is_one_line_that_names_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, override: str
) -> None:
    line = complaint(capsys, tmp_path / "run", override)
    assert [part for part in WRONG[override] if part not in line] == []


def test_another_configuration_is_refused_and_named(capsys: pytest.CaptureFixture[str], trained: Path) -> None:
    line = complaint(capsys, trained, "epochs=2", "optim.lr=1e-4")
    assert "holds a run with optim.lr=0.002, but now it is 0.0001" in line


def test_a_truncated_checkpoint_is_refused(capsys: pytest.CaptureFixture[str], trained: Path, tmp_path: Path) -> None:
    folder = copied(trained, tmp_path / "run")
    weights = folder / CHECKPOINTS / LAST / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:1000])
    assert "truncated or altered" in complaint(capsys, folder, "epochs=2")


def test_a_checkpoint_without_its_record_is_refused(
    capsys: pytest.CaptureFixture[str], trained: Path, tmp_path: Path
) -> None:
    folder = copied(trained, tmp_path / "run")
    (folder / CHECKPOINTS / LAST / RECORD).unlink()
    assert "no such file; a checkpoint is a folder" in complaint(capsys, folder, "epochs=2")


def test_a_checkpoint_of_another_run_is_refused(
    capsys: pytest.CaptureFixture[str], trained: Path, tmp_path: Path
) -> None:
    folder, other = copied(trained, tmp_path / "run"), tmp_path / "other"
    assert train(other, "epochs=2", "seed=3") == 0
    last = (folder / CHECKPOINTS / LAST).resolve()
    subprocess.run(["rm", "-r", str(last)], check=True)
    copied((other / CHECKPOINTS / LAST).resolve(), last)
    capsys.readouterr()
    assert "another configuration" in complaint(capsys, folder, "epochs=2")
