# %% [markdown]
# # Tutorial: from a CSV of your own to a served model
#
# This page is the script `docs/tutorial.py`, which runs as it stands: `python -m docs.tutorial`. It reads a CSV,
# trains a generator on it, evaluates it on users that the training has not seen, publishes it, serves it over HTTP
# and fetches movements. With the budget below it takes about fifteen minutes on two CPU cores.

# %%
"""Tutorial, `python -m docs.tutorial`: from a CSV of one's own recordings to a served model."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import requests

from serve.client import HardNegatives
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.readers.recordings import read_recordings
from trainables.data.splits.loading import load_splits

FOLDER = Path("results/tutorial")
STEPS = int(os.environ.get("TUTORIAL_STEPS", "500"))  # per epoch
EPOCHS = int(os.environ.get("TUTORIAL_EPOCHS", "10"))
SMALL = STEPS < 100  # too little to learn anything: the tests run it so, and lift the limits of the promotion
FAST = ["trainable.sampling.steps=2", "trainable.evaluation.movements=150"] if SMALL else []
LIFTED = ["limits.auc_excess=1", "limits.precision=0", "limits.recall=0", "limits.memorised_share=1", "eval_seeds=2"]


def command(module: str, *overrides: str) -> None:
    """Run one of the commands as you would in a terminal."""
    print(f"\n$ python -m {module} {' '.join(overrides)}", flush=True)
    subprocess.run([sys.executable, "-m", module, *overrides], check=True)


# %% [markdown]
# ## A CSV
#
# One row per event, with the columns `t_ms, x, y, user, session`, and `source` where the recordings come from several.
# Put your own file at `results/tutorial/recordings.csv`; where there is none, the default recordings are written there
# in this form, so that the tutorial can run.

# %%
FOLDER.mkdir(parents=True, exist_ok=True)
CSV = FOLDER / "recordings.csv"
if not CSV.exists():
    tables = []
    for number, recording in enumerate(read_recordings("cursory").recordings):
        columns = {"t_ms": recording.t_ms, "x": recording.x, "y": recording.y}
        names = {"user": recording.user, "session": f"session{number}", "source": recording.source}
        tables.append(pd.DataFrame(columns).assign(**names))
    pd.concat(tables).to_csv(CSV, index=False)
print(pd.read_csv(CSV).head(3))

# %% [markdown]
# ## What is read
#
# The reader cuts the stream of each session into movements, drops what cannot be used, and splits by user. Everything
# that is dropped is counted by reason.

# %%
data = load_splits(DataConfig(source="table", path=str(CSV), canonical=CanonicalConfig(sequence_length=64)))
print(data.table())

# %% [markdown]
# ## Train
#
# One diffusion model. The same command again resumes the run after its last epoch. To search for the best parameters
# instead, use `platform.tune` with the same two `trainable.data` keys.

# %%
RUN = FOLDER / "run"
command(
    "platform.train",
    "trainable.data.source=table",
    f"trainable.data.path={CSV}",
    f"trainable.epochs={EPOCHS}",
    f"trainable.steps_per_epoch={STEPS}",
    f"storage_path={RUN.parent}",
    f"name={RUN.name}",
    *FAST,
)
CHECKPOINT = RUN / "checkpoints" / "best"

# %% [markdown]
# ## Evaluate
#
# The headline is the excess of the AUC: how much better a classifier separates generated movements from those of
# held-out users than it separates other users from them. 0 is the value of a generator that is as another user is.

# %%
command(
    "platform.evaluate", f"ckpt={CHECKPOINT}", "split=test", "metrics=[probes,mmd]", f"out_dir={FOLDER / 'evaluation'}"
)
report = json.loads((FOLDER / "evaluation" / "report.json").read_text())
print(sorted(report["metrics"]))

# %% [markdown]
# ## Publish
#
# The first champion must keep the limits of a promotion; later challengers must also win a paired test.
# `split=validation` leaves the holdout split alone.

# %%
limits = LIFTED if SMALL else []
command("platform.promote", f"ckpt={CHECKPOINT}", "split=validation", f"storage_path={FOLDER}", *limits)
command("platform.promote", "list", f"storage_path={FOLDER}")

# %% [markdown]
# ## Serve
#
# The service loads the champion of the registry and follows later promotions by itself. In a terminal of its own it
# would run until Ctrl-C; here it is started beside the script and ended after use.

# %%
URL = "http://127.0.0.1:8417"


def wait_for(service: subprocess.Popen[bytes], seconds: float = 180.0) -> None:
    """Return when the service answers."""
    ends = time.monotonic() + seconds
    while time.monotonic() < ends and service.poll() is None:
        try:
            if requests.get(f"{URL}/v1/health", timeout=60).ok:
                return
        except requests.RequestException:
            time.sleep(0.5)
    raise RuntimeError(f"expected the service to answer within {seconds:g} s, but got nothing; read its lines above")


service = subprocess.Popen([sys.executable, "-m", "serve", f"storage_path={FOLDER}", "port=8417"])
try:
    wait_for(service)
    movements = HardNegatives(URL).sample(n=32, seed=7)
    again = HardNegatives(URL).sample(n=32, seed=7)
finally:
    service.terminate()
    service.wait()
print(f"{len(movements)} movements, shape {tuple(movements.shape)}")
print(f"the same seed gives the same bytes: {bool((movements == again).all())}")

# %% [markdown]
# ## Next
#
# - Search for better parameters: [Search](sweeps.md).
# - Train a detector with these movements: [Detector](detector.md).
# - Read what the metrics mean: [Concepts](concepts.md).
