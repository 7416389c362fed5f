"""A disk that fills up under a sweep: it ends cleanly, and with room again the same command ends what was begun."""

import shlex
import shutil
import subprocess
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from platform.study.budget import finished
from platform.study.resume import requeued, resumed_from
from tests.ray import standin
from tests.ray.sweeps import ROOT, SMALL, environment_of

pytestmark = [pytest.mark.ray, pytest.mark.heavy]

TRIALS, EPOCHS = 2, 5
SCRIPT = """
mount -t tmpfs -o size={size} tmpfs {disk} || exit 77
touch {hold}
{command} budget.min_free_disk={reserve} > {log}/first.txt 2>&1; echo $? > {log}/first.code
rm {hold}
mount -o remount,size=1g {disk}
{command} budget.min_free_disk={reserve} > {log}/second.txt 2>&1; echo $? > {log}/second.code
cp {disk}/small/study.journal {log}
"""


def in_a_small_disk(folder: Path, size: str, reserve: str) -> None:
    """The command twice in a mount namespace of its own: on a disk of `size`, and when it has grown."""
    disk = folder / "disk"
    disk.mkdir()
    laws = (f"budget.trials={TRIALS}", f"trainable.epochs={EPOCHS}", "scheduler.grace_epochs=50", "finalists.top=0")
    command = shlex.join([*standin.COMMAND, f"storage_path={disk}", *SMALL, *laws])
    script = SCRIPT.format(
        size=size, reserve=reserve, disk=disk, log=folder, command=command, hold=folder / standin.HOLD
    )
    done = subprocess.run(
        ["unshare", "-rm", "bash", "-c", script],
        cwd=ROOT,
        env=environment_of(folder),
        timeout=400,
        check=False,
        capture_output=True,
    )
    if done.returncode == 77 or b"unshare failed" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.decode().strip()}")


@pytest.mark.skipif(shutil.which("unshare") is None, reason="util-linux has no unshare here")
@pytest.mark.parametrize(
    ("size", "reserve", "words"),
    [("24m", "21MB", "the disk is full"), ("5500k", "0KB", "No space left on device")],
    ids=["reserve", "last byte"],
)
def test_a_full_disk_stops_the_sweep_and_loses_nothing(tmp_path: Path, size: str, reserve: str, words: str) -> None:
    in_a_small_disk(tmp_path, size, reserve)
    first = (tmp_path / "first.txt").read_text()
    assert (tmp_path / "first.code").read_text() == "1\n", first
    last = first.splitlines()[-1]
    assert last.startswith("error: ")
    assert words.casefold() in last.casefold()
    assert last.endswith("rerun the same command to resume")
    assert (tmp_path / "second.code").read_text() == "0\n", (tmp_path / "second.txt").read_text()
    storage = JournalStorage(JournalFileBackend(str(tmp_path / "study.journal")))
    study = optuna.load_study(study_name="small", storage=storage)
    assert [trial.state for trial in finished(study)] == [TrialState.COMPLETE] * TRIALS
    assert all(sorted(trial.intermediate_values) == list(range(EPOCHS + 1)) for trial in finished(study))
    cut = [trial.number for trial in study.trials if requeued(trial)]
    assert sorted(number for trial in study.trials if (number := resumed_from(trial)) is not None) == cut != []
