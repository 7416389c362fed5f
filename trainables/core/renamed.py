"""Former names of configuration keys and metrics -> today's: the one table by which old input is refused or read.

What a user types under a former name is refused in one line that says today's. What a file of an older version holds is
read under today's name.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

KEYS: Mapping[str, str] = {
    "part": "split",
    "wall": "time_limit",
    "reserve": "min_free_disk",
    "noise": "eval_seeds",
    "repeats": "retrain_seeds",
    "people": "users",
    "figures": "report",
    "judgement": "evaluation",
    "game": "optim",
    "kept_batches": "max_stored_batches",
    "kept_bytes": "max_store_bytes",
    "batch.patience": "batch.wait_fraction",
    "data.dataset_id": "data.source",
    "data.sequence_length": "data.canonical.sequence_length",
    "data.batch_size": "batch_size",
    "optim.epochs": "epochs",
    "optim.amp": "optim.mixed_precision",
    "logging.sample_interval": "plots_every",
    "logging.num_eval_samples": "evaluation.movements",
}
"""Former key or group of keys -> today's, where a command has it."""

WITHOUT_SUCCESSOR: Mapping[str, str] = {
    "model.cond_dim": "the data decide the width of the condition; diffusion.condition_dropout=0 trains without "
    "unconditional rows",
    "min_snr_weight": "the weighting is a number, diffusion.min_snr_gamma=5; 0 switches it off",
    "diffusion.min_snr_weight": "the weighting is a number, diffusion.min_snr_gamma=5; 0 switches it off",
    "model.attn_bottleneck": "the bottleneck always has attention",
    "data.canonicalize_path": "the canonical form is data.canonical.representation",
    "data.canonicalize_duration": "the canonical form is data.canonical.representation",
    "data.rotate_to_plus_x": "every movement is rotated to +x; the canonical form is data.canonical.representation",
    "data.normalize_sequences": "sequences are always standardised with the training split",
    "data.feature_mode": "the features of an evaluation are fixed; `metrics` of platform.evaluate chooses metrics",
    "data.num_workers": "batches are made in the process that trains; scaling.num_workers of platform.train counts "
    "processes that train together",
    "logging.log_interval": "losses are logged once an epoch; steps_per_epoch sets its length",
    "evaluation.probe": "evaluation.probes chooses among three, each against its floor; comparison.probes of "
    "platform.evaluate chooses classifiers on the kinematic features",
    "limits.c2st": "limits.auc_excess bounds the headline of today, whose values do not compare with those of C2ST",
    "logging.eval_interval": "every epoch ends with an evaluation; steps_per_epoch sets its length",
}
"""Key of the specification or of an older version that has no counterpart -> what there is in its place."""

OUTPUT_FOLDERS: Mapping[str, str] = {
    "study_name": "use storage_path=FOLDER study_name=STUDY; the study lies in FOLDER/STUDY",
    "name": "use storage_path=FOLDER name=RUN; the run lies in FOLDER/RUN",
    "storage_path": "use storage_path=FOLDER",
    "out_dir": "use out_dir=FOLDER",
}
"""Key by which a command is told where to write -> how it is, for who gives the key of another command."""

METRICS: Mapping[str, str] = {
    "val/worst_family_miss": "val/fnr_at_fpr_worst_unseen",
    "val/unseen_miss": "val/fnr_unseen",
    "val/seen_miss": "val/fnr_seen",
}
"""Former name of a metric -> today's."""

RETIRED_METRICS: Mapping[str, str] = dict.fromkeys(
    ("val/c2st", "val/c2st_auc", "val/c2st_excess"),
    "versions up to 0.2 measured it with folds and a reference that hid what users differ in; use val/auc_excess, in a "
    "study of its own, since its values do not compare with those",
)
"""Metric that is no longer measured -> why, and what to use instead."""

METRIC_GROUPS: Mapping[str, str] = {"val/miss/": "val/fnr/"}
"""The same for the beginnings of names that end in a family."""

GROUPS: Mapping[str, str] = {"judgement": "evaluation", "game": "optim"}
"""Group of a trainable's configuration in older files -> today's."""

REMOVED: Mapping[str, Collection[str]] = {"evaluation": ("probe",)}
"""Group of a trainable's configuration -> keys of older files that it has no more."""


def key_today(key: str, known: Collection[str]) -> str | None:
    """Return the present name of a former key, if the command has it; the part before it may have been left out.

    >>> key_today("judgement.fpr", ["trainable.evaluation.fpr"]), key_today("epochs", ["epochs"])
    ('trainable.evaluation.fpr', None)
    """
    padded = f".{key}."
    for former, today in KEYS.items():
        if f".{former}." in padded:
            candidate = padded.replace(f".{former}.", f".{today}.", 1).strip(".")
            for name in (candidate, f"trainable.{candidate}"):
                if name in known:
                    return name
    return None


def refusal(key: str, value: str, known: Collection[str]) -> str | None:
    """Return the line that refuses a key of an older version, of the specification or of another command's folder.

    None for any other key.

    >>> refusal("out_dir", "results", ["storage_path", "seed"])
    '`out_dir` is no key here: use storage_path=FOLDER'
    """
    today = key_today(key, known)
    if today is not None:
        return f"`{key}` was renamed: use {today}" + (f"={value}" if value else "")
    instead = WITHOUT_SUCCESSOR.get(key.removeprefix("trainable.")) or _output_folder(key, known)
    return f"`{key}` is no key here: {instead}" if instead else None


def _output_folder(key: str, known: Collection[str]) -> str | None:
    """Return how this command is told where to write, if that is what the key does in another command."""
    return next((use for own, use in OUTPUT_FOLDERS.items() if own in known), None) if key in OUTPUT_FOLDERS else None


def metric_today(name: str) -> str:
    """Return the present name of a metric.

    >>> metric_today("val/unseen_miss"), metric_today("val/miss/pid"), metric_today("val/mmd")
    ('val/fnr_unseen', 'val/fnr/pid', 'val/mmd')
    """
    for former, today in METRIC_GROUPS.items():
        if name.startswith(former):
            return today + name.removeprefix(former)
    return METRICS.get(name, name)


BEFORE: Mapping[str, Mapping[str, Any]] = {  # group of a configuration -> newer groups as it was without them
    "diffusion": {"motion": {"channel": False, "ends": False}},
}


def config_today(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a trainable's configuration as an older version wrote it, under today's keys.

    >>> config_today({"seed": 0, "game": {"lr": 0.01}, "evaluation": {"folds": 5, "probe": "forest"}})
    {'seed': 0, 'optim': {'lr': 0.01}, 'evaluation': {'folds': 5}}
    """
    today = {GROUPS.get(key, key): value for key, value in config.items()}
    for group, keys in REMOVED.items():
        if isinstance(today.get(group), Mapping):
            today[group] = {key: value for key, value in today[group].items() if key not in keys}
    for group, without in BEFORE.items():
        if group in today:
            today = {**without, **today}
    return today


def removed_from(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the dotted keys of an older configuration that there are no more, with their values.

    >>> list(removed_from({"seed": 0, "evaluation": {"folds": 5, "probe": "forest"}}))
    [('evaluation.probe', 'forest')]
    """
    for group, value in config.items():
        name = GROUPS.get(group, group)
        for key in REMOVED.get(name, ()):
            if isinstance(value, Mapping) and key in value:
                yield f"{name}.{key}", value[key]
