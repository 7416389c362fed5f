"""Seeds of trials differ, follow from the study's seed and the trial's number, and are recorded."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import IntDistribution
from optuna.trial import TrialState

from platform.study.config import TuneConfig
from platform.study.resume import OVERRIDES, requeue_orphans
from platform.study.seeds import NOISE_SEED, TRAINING_SEED, seeds_of_repeat, seeds_of_trial, varied_keys
from platform.study.sweep import Sweep
from search_spaces import SPACES
from tests.platform.drivers import LAST, Driver
from trainables.core.config import build, plain, with_values
from trainables.specs import TRAINABLES


def sweep_of(name: str = "diffusion", trainable_seed: int = 0, **settings: Any) -> Sweep:
    config = {**plain(TRAINABLES[name].config()), "seed": trainable_seed}
    return Sweep(TuneConfig(**settings), config, SPACES[TRAINABLES[name].space], ())


@pytest.mark.parametrize("name", TRAINABLES)
def test_the_seeds_are_keys_of_the_trainable(name: str) -> None:
    """The noise of samples is a generator's; others share bots, goals or tasks."""
    config, seeds = plain(TRAINABLES[name].config()), seeds_of_trial(sweep_of(name), 3)
    built = build(TRAINABLES[name].config, with_values(config, seeds))
    assert tuple(seeds) == varied_keys(name) == tuple(seeds_of_repeat(name, 0, 1))
    assert built.seed == seeds[TRAINING_SEED]
    assert (NOISE_SEED in seeds) == (name not in ("detector", "critic", "agent"))
    if NOISE_SEED in seeds:
        assert built.evaluation.sampling_seed == seeds[NOISE_SEED] != config["evaluation"]["seed"]


def test_the_seeds_differ_between_trials_and_studies_and_are_the_same_again() -> None:
    sweeps = [sweep_of(seed=study, trainable_seed=own) for study in (0, 1) for own in (0, 1)]
    seeds = [tuple(seeds_of_trial(sweep, number).values()) for sweep in sweeps for number in range(50)]
    assert len(set(seeds)) == len({seed for pair in seeds for seed in pair}) // 2 == 200
    assert seeds == [tuple(seeds_of_trial(sweep, number).values()) for sweep in sweeps for number in range(50)]


def test_repeats_of_all_configurations_have_the_same_fresh_seeds() -> None:
    repeats = [seeds_of_repeat("diffusion", 7, k) for k in (1, 2, 3)]
    assert [repeat[TRAINING_SEED] for repeat in repeats] == [8, 9, 10]
    assert len({repeat[NOISE_SEED] for repeat in repeats}) == 3


def test_one_seed_is_kept_for_all_where_that_is_asked_for_or_the_seed_is_searched() -> None:
    assert seeds_of_trial(sweep_of(common_seeds=True), 3) == {}
    sweep = sweep_of()
    searched = replace(sweep.space, parameters={**sweep.space.parameters, TRAINING_SEED: IntDistribution(0, 9)})
    assert tuple(seeds_of_trial(replace(sweep, space=searched), 3)) == (NOISE_SEED,)


def test_the_searcher_hands_the_seeds_to_a_trial_and_records_them(tmp_path: Path) -> None:
    driver = Driver(tmp_path)
    driver.searcher.seeds = lambda number: {TRAINING_SEED: 100 + number}
    for number in range(2):
        trial = driver.start()
        assert trial.config[TRAINING_SEED] == 100 + number
        assert driver.recorded(trial).user_attrs[OVERRIDES] == {TRAINING_SEED: 100 + number}
        driver.end(trial, LAST, 0.1)


@pytest.mark.parametrize("recorded", [True, False])
def test_a_resumed_trial_keeps_its_seeds_and_one_of_an_older_version_the_configured_ones(
    tmp_path: Path, recorded: bool
) -> None:
    first = Driver(tmp_path)
    first.searcher.seeds = (lambda number: {TRAINING_SEED: 100 + number}) if recorded else None
    first.start()
    again = Driver(tmp_path)
    again.searcher.seeds = lambda number: {TRAINING_SEED: 200 + number}
    requeue_orphans(again.study)
    assert again.start().config.get(TRAINING_SEED) == (100 if recorded else None)
    assert len(again.in_state(TrialState.FAIL)) == 1
