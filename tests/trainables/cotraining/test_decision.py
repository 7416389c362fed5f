"""Decisions, places and exchanges against plain loops."""

import math
from collections import Counter
from dataclasses import replace

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.cotraining.config import CotrainingConfig
from trainables.cotraining.decision import SideEvaluation, better_side, decide
from trainables.cotraining.exchange import balance_of, exchanged, exchanged_count, weights_of
from trainables.cotraining.schedule import place_of
from trainables.data.balance import BalanceError
from trainables.data.canonical import Canonical, with_deltas
from trainables.data.splits.loading import load_splits
from trainables.eval.intervals.jackknife import JackknifeEstimate, jackknife
from trainables.training.trainable import TrainingDivergedError

CONFIG = CotrainingConfig()
USERS = [str(user) for user in range(8)]


def evaluation(by_user: list[float]) -> SideEvaluation:
    """Return an evaluation whose headline is the mean over users."""
    found = jackknife(lambda rows: sum(by_user[row] for row in rows) / len(rows), USERS, USERS)
    return SideEvaluation({}, found)


def test_the_bound_of_an_improvement_is_that_of_the_paired_differences() -> None:
    """Student's one-sided bound of eight differences; 0.896 is its 80 % quantile at 7 degrees of freedom."""
    random = torch.Generator().manual_seed(0)
    before, after = torch.rand(2, 8, generator=random, dtype=torch.float64).tolist()
    found = decide(evaluation(before), evaluation(after), CONFIG)
    differences = [one - other for one, other in zip(before, after, strict=True)]
    mean = sum(differences) / 8
    se = math.sqrt(sum((one - mean) ** 2 for one in differences) / 7 / 8)
    assert found.improvement == pytest.approx(mean)
    assert found.low == pytest.approx(mean - 0.8960 * se, rel=1e-3)


def test_a_small_improvement_of_every_user_counts_beside_large_differences_among_them() -> None:
    hard = [0.05 * user for user in range(8)]
    better = [value - 0.01 - 0.001 * (user % 2) for user, value in enumerate(hard)]
    assert decide(evaluation(hard), evaluation(better), CONFIG).kept
    assert not decide(evaluation(hard), evaluation(better), replace(CONFIG, margin=0.02)).kept


def test_noise_is_kept_as_often_as_the_confidence_says() -> None:
    """Null: no difference, kept in a fifth of 400 cycles; 0.12 to 0.28 is four standard deviations."""
    random, kept = torch.Generator().manual_seed(1), 0
    for _ in range(400):
        before, after = torch.randn(2, 8, generator=random, dtype=torch.float64).tolist()
        kept += decide(evaluation(before), evaluation(after), CONFIG).kept
    assert 0.12 < kept / 400 < 0.28


def test_a_version_without_movements_is_reverted_and_one_that_has_some_again_kept() -> None:
    none, some = SideEvaluation({}, None), evaluation([0.1] * 8)
    assert not decide(some, none, CONFIG).kept
    assert decide(none, some, CONFIG).kept
    assert decide(some, none, CotrainingConfig(alpha=0.0)).kept


def test_an_evaluation_survives_its_record() -> None:
    for found in (evaluation([0.1 * user for user in range(8)]), SideEvaluation({"val/rejected": 0.7}, None)):
        assert SideEvaluation.of_json(found.to_json()) == found


def test_the_better_side() -> None:
    found = {
        "diffusion": SideEvaluation({}, JackknifeEstimate(0.2, ())),
        "physical": SideEvaluation({}, JackknifeEstimate(0.1, ())),
    }
    assert better_side(found, "better") == "physical"
    assert better_side(found, "diffusion") == "diffusion"
    assert better_side({**found, "physical": SideEvaluation({}, None)}, "better") == "diffusion"


@pytest.mark.parametrize(("cycles", "inside", "more"), [(1, 1, 0), (3, 1, 4), (2, 3, 1)])
def test_every_epoch_has_its_place(cycles: int, inside: int, more: int) -> None:
    config = CotrainingConfig(epochs=2 + more + cycles * (inside + 1), cycles=cycles, epochs_per_cycle=inside)
    expected = [(0, "physical", 1), *((0, "diffusion", number + 1) for number in range(1 + more))]
    for cycle in range(1, cycles + 1):
        expected += [*((cycle, "diffusion", number + 1) for number in range(inside)), (cycle, "physical", 1)]
    assert [tuple(place_of(epoch, config)) for epoch in range(1, config.epochs + 1)] == expected
    sides = Counter(side for _, side, _ in expected)
    assert sides["diffusion"] == config.of_diffusion().epochs
    assert sides["physical"] - 1 + config.fit_epochs == config.of_physical().epochs


# exchanges


class Replaying:
    """A sampler that returns real movements, of which every third stands still in its first call."""

    def __init__(self, still: int = 3) -> None:
        self.still = still
        self.calls: list[int] = []

    def sample_matching(self, real: Canonical, *, seed: int) -> Canonical:
        self.calls.append(len(real))
        deltas = real.deltas.clone()
        if len(self.calls) == 1:
            deltas[:: self.still] = 0.0
        return with_deltas(real, deltas)


def test_samples_that_are_no_movements_are_drawn_again_and_counted() -> None:
    real, model = load_splits(CONFIG.data)["train"], Replaying()
    found = exchanged(model, "diffusion", real, 30, CONFIG, 1)
    assert (len(found.movements), found.rejected, model.calls) == (30, 10, [30, 10])
    assert found.account("balance", 300) == {"real": 300, "generated": 30, "rejected": 10, "balance": "balance"}


def test_a_model_of_which_most_samples_are_no_movements_ends_the_run() -> None:
    real = load_splits(CONFIG.data)["train"]
    law = r"^30 of 30 samples of the diffusion model are no movements in cycle 2 \(net displacement .*: 30\); train it"
    with pytest.raises(TrainingDivergedError, match=law):
        exchanged(Replaying(still=1), "diffusion", real, 30, CONFIG, 2)


def test_exchanges_are_of_seed_model_and_cycle() -> None:
    real = load_splits(CONFIG.data)["train"]

    def made(by: str = "diffusion", cycle: int = 1, seed: int = 0) -> list[float]:
        found = exchanged(Replaying(still=100), by, real, 20, replace(CONFIG, seed=seed), cycle)
        return found.movements.distance_px.tolist()

    assert made() == made()
    assert len({tuple(values) for values in (made(), made("physical"), made(cycle=2), made(seed=1))}) == 4


def test_counts_and_weights_are_checked() -> None:
    weighted = CotrainingConfig(alpha=0.0, weight=0.5)
    assert [exchanged_count(replace(CONFIG, alpha=alpha), 100) for alpha in (0.0, 0.29, 1.5)] == [0, 29, 150]
    assert exchanged_count(weighted, 100) == 100
    assert weights_of(CONFIG, 3, 1) is None
    weights = weights_of(weighted, 2, 2)
    assert weights is not None
    assert weights.tolist() == [1.0, 1.0, 0.5, 0.5]
    pair = ("movement", "condition")
    assert "ratio 0.1000" in balance_of(CONFIG, 100, 10, None, pair)
    with pytest.raises(BalanceError, match="generate as many as expected"):
        balance_of(CONFIG, 100, 9, None, pair)
    with pytest.raises(BalanceError, match="would scale it twice"):
        balance_of(weighted, 2, 1, weights_of(weighted, 2, 1), pair)
    with pytest.raises(BalanceError, match="leave out weights"):
        balance_of(CONFIG, 100, 10, None, (*pair, 0.5))


def test_a_weight_knows_no_ranking_term() -> None:
    ranked = replace(CONFIG.contrastive, weight=0.1)
    with pytest.raises(ConfigError, match="no ranking term with `weight`"):
        CotrainingConfig(alpha=0.0, weight=0.5, contrastive=ranked)
