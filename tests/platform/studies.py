"""Studies as sweeps leave them, made by hand: trials of every state, and the leaderboard's file."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState, create_trial

from platform.leaderboard.archive import LEADERBOARD
from platform.study.ranking import OBJECTIVES
from platform.study.resume import METRICS, REASON, REQUEUED, RESUMED_FROM
from platform.study.storage import JOURNAL
from trainables.core.version import VERSION
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_MMD, VAL_RECALL

LAST = 4  # epoch
LAWS: dict[str, BaseDistribution] = {
    "contrastive.weight": FloatDistribution(0.0, 0.3),
    "optim.lr": FloatDistribution(1e-4, 1e-2, log=True),
    "model.base_channels": CategoricalDistribution((32, 48, 64)),
    "contrastive.margin": FloatDistribution(0.05, 1.0),  # suggested in every third trial only
}
REFERENCE = {
    "no_difference": {"mean": 0.01, "std": 0.03, "low": -0.05, "high": 0.08},
    "floors": {"features": 0.61, "pixels": 0.632},
    "effective_users": 5.24,
    "folds_by": "users",
}


def study_in(folder: Path, objectives: tuple[str, ...] = (VAL_AUC_EXCESS,), **attributes: Any) -> optuna.Study:
    """An empty study in the journal of a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    storage = JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    study = optuna.create_study(storage=storage, study_name=folder.name, directions=["minimize" for _ in objectives])
    for key, value in {
        OBJECTIVES: list(objectives),
        "scheduler_metric": VAL_AUC_EXCESS,
        "trainable": "diffusion",
        "version": VERSION,
        **attributes,
    }.items():
        study.set_user_attr(key, value)
    return study


def params_of(number: int) -> dict[str, Any]:
    """A point of its own for each trial."""
    rng = np.random.default_rng(number)
    point = {
        "contrastive.weight": float(rng.uniform(0.0, 0.3)),
        "optim.lr": float(math.exp(rng.uniform(math.log(1e-4), math.log(1e-2)))),
        "model.base_channels": int(rng.choice((32, 48, 64))),
    }
    return point | ({"contrastive.margin": float(rng.uniform(0.05, 1.0))} if number % 3 == 0 else {})


def add(
    study: optuna.Study,
    state: TrialState,
    excess: float | None = None,
    attributes: Mapping[str, Any] = MappingProxyType({}),
    epoch: int = LAST,
) -> int:
    """Add a trial as the searcher records it, and return its number."""
    number = len(study.get_trials(deepcopy=False))
    point = params_of(number)
    metrics = {} if excess is None else metrics_of(excess)
    goals = [excess, metrics[VAL_MMD]][: len(study.directions)] if excess is not None else None
    single = len(study.directions) == 1
    study.add_trial(
        create_trial(
            state=state,
            values=goals if state == TrialState.COMPLETE or (state == TrialState.PRUNED and single) else None,
            params=point,
            distributions={key: LAWS[key] for key in point},
            user_attrs={METRICS: metrics, **attributes} if metrics else dict(attributes),
            intermediate_values={} if excess is None else _history(excess, epoch),
        )
    )
    return number


def metrics_of(excess: float) -> dict[str, float]:
    """Return the metrics of a trial with this excess of the AUC."""
    return {VAL_AUC_EXCESS: excess, VAL_MMD: 0.05 * (excess + 0.02), VAL_RECALL: 0.6}


def _history(excess: float, epoch: int) -> dict[int, float]:
    return {at: excess + 0.4 * 2.0**-at * (at < epoch) for at in range(epoch + 1)}


def add_many(study: optuna.Study, count: int) -> None:
    """Add trials of every state, whose excess grows with the weight of the contrastive term."""
    for number in range(count):
        excess = 0.02 + params_of(number)["contrastive.weight"] + 0.001 * (number % 7)
        if number % 10 == 7:
            add(study, TrialState.FAIL, attributes={REASON: f"{VAL_AUC_EXCESS} is nan"})
        elif number % 2:
            add(study, TrialState.PRUNED, excess, epoch=2, attributes={REASON: f"stopped after epoch 2 of {LAST}"})
        else:
            add(study, TrialState.COMPLETE, excess)


def add_cut(study: optuna.Study, reason: str) -> None:
    """Add an interrupted trial, and the running one that resumes it."""
    cut = add(study, TrialState.FAIL, 0.2, epoch=1, attributes={REASON: reason, REQUEUED: True})
    add(study, TrialState.RUNNING, 0.15, epoch=2, attributes={RESUMED_FROM: cut})


def write_board(study: optuna.Study, folder: Path, trials: list[int], **more: Any) -> None:
    """Write the leaderboard: trials in this order, re-evaluated 0.02 worse than searched, holdout 0.04."""

    def span(value: float) -> dict[str, float]:
        return {"value": value, "se": 0.02, "low": value - 0.05, "high": value + 0.05, "df": 8}

    rows = []
    for number in trials:
        trial = study.get_trials(deepcopy=False)[number]
        excess, mmd = (trial.user_attrs[METRICS][name] for name in (VAL_AUC_EXCESS, VAL_MMD))
        rows.append(
            {
                "trial": number,
                "epoch": trial.last_step,
                "state": trial.state.name,
                "feasible": True,
                "params": trial.params,
                "checkpoint": "/nowhere",
                "searched": {VAL_AUC_EXCESS: excess, VAL_MMD: mmd},
                "validation": {VAL_AUC_EXCESS: span(excess + 0.02), VAL_MMD: span(mmd)},
                "holdout": {VAL_AUC_EXCESS: span(excess + 0.04), VAL_MMD: span(mmd)},
                "repeats": None,
                "probability_best": 1 / len(trials),
            }
        )
    board = {
        "study": study.study_name,
        "reference": REFERENCE,
        "noise_seeds": [1, 2, 3],
        "holdout": {"asked": 3, "budget": 32, "refused": None},
        "left_out": [],
        "rows": rows,
        **more,
    }
    (folder / LEADERBOARD).write_text(json.dumps(board))
