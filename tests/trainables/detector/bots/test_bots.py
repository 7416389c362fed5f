"""Properties of every style of bots, parametrised over the registry, and the differences between styles."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.trainables.detector.bots.conditions import EXTREMES, conditions, hashes, seeded
from trainables.data.canonical import Canonical, Movements, encode, usable
from trainables.data.config import CanonicalConfig, DataConfig
from trainables.data.representation import REPRESENTATIONS
from trainables.data.splits.loading import load_splits
from trainables.detector.bots import BOTS, FAMILIES
from trainables.eval.features.kinematic import movement_features
from trainables.eval.two_sample.c2st import classifier_two_sample_test

ROOT = Path(__file__).resolve().parents[4]
EXTREME = conditions(*EXTREMES.values())
NET = [[float(x), float(y)] for _, (x, y) in EXTREMES.values()]
styles = pytest.mark.parametrize("style", list(BOTS))


@pytest.fixture(scope="module")
def real() -> Canonical:
    return load_splits(DataConfig())["train"]


@pytest.fixture(scope="module")
def human(real: Canonical) -> Canonical:
    """Return every other movement of the training split."""
    return real.take(torch.arange(0, len(real), 2))


def made(style: str, like: Canonical, seed: int = 0) -> Movements:
    return BOTS[style].generate(like, seeded(seed))


def features(canonical: Canonical) -> torch.Tensor:
    return movement_features(canonical.deltas, canonical.mask)


# the registry


def test_every_documented_family_exists() -> None:
    assert set(FAMILIES) == {
        *("straight", "spline", "pid", "windmouse"),
        *("minimum_jerk", "lognormal", "noise", "replay"),
    }


def test_families_partition_the_styles() -> None:
    listed = [style for family in FAMILIES.values() for style in family]
    assert sorted(listed) == sorted(BOTS)
    assert len(listed) == len(set(listed))
    for family, members in FAMILIES.items():
        assert {BOTS[style].family for style in members} == {family}


# requested conditions


@styles
def test_every_movement_under_human_conditions_is_usable(style: str, real: Canonical) -> None:
    movements = made(style, real)
    rows, dropped = usable(movements, CanonicalConfig())
    assert rows.tolist() == list(range(len(real)))
    assert not any(dropped.values())
    canonical = encode(movements, CanonicalConfig())
    torch.testing.assert_close(canonical.distance_px, real.distance_px, rtol=0.0, atol=1e-9)
    torch.testing.assert_close(canonical.angle, real.angle, rtol=0.0, atol=1e-9)
    assert torch.equal(canonical.duration_s, real.duration_s)
    assert torch.equal(canonical.mask, real.mask)


@styles
def test_every_movement_under_extreme_conditions_is_usable(style: str) -> None:
    for seed in range(20):
        movements = made(style, EXTREME, seed)
        rows, _ = usable(movements, CanonicalConfig())
        assert rows.tolist() == list(range(len(EXTREMES)))
        assert movements.length.tolist() == [steps for steps, _ in EXTREMES.values()]
        assert movements.steps_px.sum(dim=1).tolist() == NET


@styles
def test_steps_are_whole_pixels_and_end_with_the_movement(style: str, human: Canonical) -> None:
    movements = made(style, human)
    assert bool(torch.isfinite(movements.steps_px).all())
    assert torch.equal(movements.steps_px, movements.steps_px.round())
    for steps, length in zip(movements.steps_px, movements.length.tolist(), strict=True):
        assert not bool(steps[length:].any())


@styles
def test_group_and_target_are_those_of_the_row(style: str) -> None:
    movements = made(style, EXTREME)
    assert (movements.group, movements.source) == (EXTREME.group, EXTREME.source)
    assert torch.equal(movements.target_width_px, EXTREME.target_width_px)


@styles
def test_a_displacement_between_pixels_is_rounded_once(style: str) -> None:
    like = conditions(*[(30, (300, 200))] * 12)
    between = Canonical(
        like.deltas, like.mask, like.angle, like.distance_px + torch.linspace(0, 1, 12), like.duration_s, like.group
    )
    net = made(style, between).steps_px.sum(dim=1)
    expected = torch.view_as_real(torch.polar(between.distance_px, between.angle))
    assert bool(((net - expected).abs() <= 0.5 + 1e-9).all())


@styles
@pytest.mark.parametrize("representation", list(REPRESENTATIONS))
def test_conditions_can_have_any_canonical_form(style: str, representation: str) -> None:
    like = conditions(*EXTREMES.values(), config=CanonicalConfig(representation))
    movements = made(style, like)
    assert movements.length.tolist() == [steps for steps, _ in EXTREMES.values()]
    assert movements.steps_px.sum(dim=1).tolist() == NET


@styles
def test_a_single_movement_may_be_requested(style: str) -> None:
    assert made(style, EXTREME.take(torch.tensor([5]))).steps_px.sum(dim=1).tolist() == [[431.0, -389.0]]


@styles
def test_a_movement_can_last_longer_than_a_sequence(style: str) -> None:
    """Five seconds, which the form of normalised time can hold."""
    like = conditions((300, (500, 100)), config=CanonicalConfig("normalised_time"))
    assert made(style, like).length.tolist() == [300]


# randomness


@styles
def test_movements_follow_from_the_generator(style: str) -> None:
    torch.manual_seed(3)
    state = torch.get_rng_state()
    one, same, other = (made(style, EXTREME, seed).steps_px for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.heavy
def test_a_seed_gives_the_same_movements_in_another_process() -> None:
    code = (
        "import torch; torch.set_num_threads(1)\n"
        "from tests.trainables.detector.bots.conditions import hashes; print(' '.join(hashes()))"
    )
    other = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert other.stdout.split() == hashes()


@styles
def test_bots_of_one_style_differ_under_the_same_condition(style: str) -> None:
    """Parameters and timing are drawn for every movement; of 60 steady pointers a few are observed alike."""
    steps = made(style, conditions(*[(50, (700, 300))] * 60, group="one")).steps_px
    assert len(steps.flatten(1).unique(dim=0)) >= 56


@styles
def test_movements_do_not_depend_on_the_position_of_their_row(style: str, human: Canonical) -> None:
    """First against second half of 583 movements of the same condition, by mean features.

    Each |t| of 20 features stays under 5.2 (false failure over 15 styles: 6e-5); under another condition it does not.
    """
    first, second = features(encode(made(style, conditions(*[(40, (500, 0))] * 584)), CanonicalConfig())).split(292)
    assert largest_t(first, second) < 5.2
    assert largest_t(first, features(human)) > 5.2


def largest_t(one: torch.Tensor, other: torch.Tensor) -> float:
    gap = one.mean(dim=0) - other.mean(dim=0)
    error = (one.var(dim=0) / len(one) + other.var(dim=0) / len(other)).sqrt()
    return float((gap.abs() / error.clamp(min=1e-12))[gap.abs() > 1e-9].max())


# separability


@styles
def test_a_linear_probe_separates_each_style_from_users_but_not_from_itself(style: str, human: Canonical) -> None:
    """AUC of 583 against 583: a s.d. of 0.017 by chance, so that 0.5 +- 0.085 fails falsely 6e-7 times a style."""
    bots, again = (features(encode(made(style, human, seed), CanonicalConfig())) for seed in (0, 1))

    def auc(one: torch.Tensor, other: torch.Tensor) -> float:
        group = human.group
        return classifier_two_sample_test(one, other, probe="logistic", real_groups=group, fake_groups=group).auc

    assert abs(auc(bots, again) - 0.5) < 0.085
    assert auc(features(human), bots) > 0.6


def test_a_linear_probe_separates_the_styles(human: Canonical) -> None:
    """Held-out accuracy over all styles and users: by chance 1 in 16, s.d. 0.0025; a shuffled label stays within 5."""
    tables = [features(human), *(features(encode(made(style, human), CanonicalConfig())) for style in BOTS)]
    label = np.repeat(np.arange(len(tables)), len(human))
    group = np.tile(np.unique(human.group, return_inverse=True)[1], len(tables))
    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=200, tol=1e-2))

    def hits(truth: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        found = cross_val_predict(probe, np.concatenate(tables), truth, groups=group, cv=GroupKFold(3))
        return np.asarray(found == truth)

    found = hits(label)
    chance = 1 / len(tables)
    assert found.mean() > 0.45
    assert all(found[label == k].mean() > 2 * chance for k in range(len(tables)))
    shuffled = hits(np.random.default_rng(0).permutation(label))
    assert abs(shuffled.mean() - chance) < 5 * math.sqrt(chance * (1 - chance) / len(label))
