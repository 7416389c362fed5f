"""The noise between trainings of one configuration, and the gain that a number of seeds can show."""

import math

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState
from scipy import stats

from platform.study.noise import MEASURED, Noise, noise_for, noise_of, repeats_of
from platform.study.objectives import Objective
from platform.study.resume import METRICS, OVERRIDES, REPEATS
from trainables.training.metric_names import VAL_AUC_EXCESS, VAL_MMD

OBJECTIVE = Objective.parse(VAL_AUC_EXCESS)


def study_of(*repeats: tuple[int, int, float | None], state: TrialState = TrialState.COMPLETE) -> optuna.Study:
    """A study of repeats: the trial that each repeats, its seed, and its value."""
    study = optuna.create_study()
    for of, seed, value in repeats:
        metrics = {} if value is None else {VAL_AUC_EXCESS: value}
        attributes = {REPEATS: of, OVERRIDES: {"seed": seed}, METRICS: metrics}
        value = 0.0 if state == TrialState.COMPLETE else None
        study.add_trial(optuna.trial.create_trial(state=state, value=value, user_attrs=attributes))
    return study


@pytest.mark.parametrize(("seeds", "gain"), [(3, 0.025), (6, 0.018)])
def test_the_smallest_gain_of_three_and_of_six_seeds_at_the_measured_noise(seeds: int, gain: float) -> None:
    assert MEASURED["diffusion", VAL_AUC_EXCESS].smallest_gain(seeds) == pytest.approx(gain, abs=5e-4)


@pytest.mark.parametrize("seeds", [2, 3, 6, 20])
def test_with_known_noise_the_gain_is_that_of_the_normal_distribution(seeds: int) -> None:
    expected = (stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) * 0.3 * math.sqrt(2 / seeds)
    assert Noise(0.3, 1e6, "").smallest_gain(seeds) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("seeds", "df"), [(3, 4), (6, 10), (3, 12)])
def test_a_two_sided_t_test_finds_the_smallest_gain_with_the_stated_power(seeds: int, df: int) -> None:
    """By simulation with a fixed seed: 20,000 experiments, so that 0.8 is met within 0.011 in all but one of 10^4."""
    rng, sd = np.random.default_rng(0), 0.7
    gain = Noise(sd, df, "").smallest_gain(seeds)
    difference = rng.normal(gain, sd * math.sqrt(2 / seeds), 20_000)
    error = sd * np.sqrt(rng.chisquare(df, 20_000) / df) * math.sqrt(2 / seeds)
    found = np.abs(difference / error) > stats.t.ppf(0.975, df)
    assert found.mean() == pytest.approx(0.8, abs=0.011)


def test_more_seeds_and_less_noise_show_smaller_gains() -> None:
    gains = [Noise(0.01, 8, "").smallest_gain(seeds) for seeds in (2, 3, 6)]
    assert gains == sorted(gains, reverse=True)
    assert Noise(0.02, 8, "").smallest_gain(2) == pytest.approx(2 * gains[0])


def test_the_noise_is_pooled_within_configurations() -> None:
    """By the definition; what configurations differ by does not count, nor does one that was trained once."""
    study = study_of((0, 1, 0.1), (0, 2, 0.3), (4, 1, 5.0), (4, 2, 5.1), (4, 3, 5.4), (7, 1, 99.0))
    noise = noise_of(study, OBJECTIVE)
    squares = 0.1**2 + 0.1**2 + sum((value - 5.5 / 3 - 10 / 3) ** 2 for value in (5.0, 5.1, 5.4))
    assert noise is not None
    assert noise.df == 3
    assert noise.sd == pytest.approx(math.sqrt(squares / 3))
    assert noise.source == "5 repeats of 2 configuration(s) of this study"


def test_repeats_without_the_objective_or_before_their_end_do_not_count() -> None:
    assert repeats_of(study_of((0, 1, None), (0, 2, 0.1)), OBJECTIVE)[0].seed == 2
    assert repeats_of(study_of((0, 1, 0.1), (0, 2, 0.1), state=TrialState.FAIL), OBJECTIVE) == []
    assert noise_of(study_of((0, 1, 0.1), (1, 1, 0.2)), OBJECTIVE) is None


def test_a_study_with_repeats_goes_before_the_measured_noise() -> None:
    own, bare = study_of((0, 1, 0.1), (0, 2, 0.3)), study_of()
    assert noise_for(own, "diffusion", OBJECTIVE) == noise_of(own, OBJECTIVE)
    for study in (bare, None):
        assert noise_for(study, "diffusion", OBJECTIVE) == MEASURED["diffusion", VAL_AUC_EXCESS]
        assert noise_for(study, "diffusion", Objective.parse(VAL_MMD)) is None
