"""Seeds of trials and of their repeats: of the training, and of the noise that the evaluated samples begin with.

Trials of one seed share its luck, and a search fits that luck: its best value is too good. Each trial therefore has
seeds of its own, which follow from the study's seed, the configured ones and the trial's number, so that the same
command repeats them. Repeat k has the same seeds in every configuration, so that configurations are compared in pairs.
"""

from collections.abc import Mapping
from typing import Any

from platform.study.sweep import Sweep
from trainables.core.derived_seeds import derive
from trainables.core.fields import defaults
from trainables.specs import TRAINABLES

TRAINING_SEED = "seed"
NOISE_SEED = "evaluation.noise_seed"  # of generators alone: other evaluations share their bots, goals or tasks
LIMIT = 2**32


def seeds_of_trial(sweep: Sweep, number: int) -> dict[str, int]:
    """Return the seeds of a trial by dotted key; none with `common_seeds`, and none for a key that is searched."""
    if sweep.settings.common_seeds:
        return {}
    study, configured = sweep.settings.seed, sweep.trainable["seed"]
    return {
        key: derive(configured, "trial", study, number, key) % LIMIT
        for key in varied_keys(sweep.space.trainable)
        if key not in sweep.space.parameters
    }


def seeds_of_repeat(trainable: str, configured: int, k: int) -> dict[str, int]:
    """Return the seeds of repeat k = 1, 2, ... of any configuration, by dotted key.

    Args:
        configured: `trainable.seed` of the study.
    """
    seeds = {TRAINING_SEED: configured + k, NOISE_SEED: derive(configured, "noise of a repeat", k) % LIMIT}
    return {key: seeds[key] for key in varied_keys(trainable)}


def varied_keys(trainable: str) -> tuple[str, ...]:
    """Return the keys of a trainable's configuration that hold seeds which differ between trials."""
    config: Mapping[str, Any] = defaults(TRAINABLES[trainable].config)
    return (TRAINING_SEED, NOISE_SEED) if "noise_seed" in config.get("evaluation", {}) else (TRAINING_SEED,)
