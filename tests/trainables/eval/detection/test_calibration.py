"""Properties of calibration: the best temperature, errors by the definition, and their null and alternative."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import brier_score_loss, log_loss
from torch import Tensor

from trainables.core.seeding import generator
from trainables.eval.detection.calibration import (
    CERTAIN,
    MAX_TEMPERATURE,
    brier_score,
    calibrate,
    fit_temperature,
    log_odds,
    negative_log_likelihood,
    reliability,
    wilson,
)


def labelled(seed: int, count: int, sharpness: float = 1.0, shift: float = 0.0) -> tuple[Tensor, Tensor]:
    """Probabilities whose log odds are `sharpness` times too large, with labels drawn from the true ones."""
    random = generator(seed, "labels")
    z = 1.5 * torch.randn(count, generator=random, dtype=torch.float64) + shift
    is_bot = torch.rand(count, generator=random, dtype=torch.float64) < torch.sigmoid(z)
    return torch.sigmoid(sharpness * z), is_bot


@pytest.mark.parametrize("sharpness", [0.3, 1.0, 3.0])
def test_the_temperature_corrects_overconfident_scores(sharpness: float) -> None:
    """Over 8,000 rows the relative s.d. of T is 0.023; 4.5 of them (false failure 7e-6)."""
    found = calibrate(*labelled(1, 8000, sharpness))
    assert found.value == pytest.approx(sharpness, rel=0.104)
    assert not found.is_at_bound


def smoothed(is_bot: Tensor) -> Tensor:
    """Return labels smoothed by one more bot and one more human movement of either outcome."""
    bots, human = int(is_bot.sum()), int((~is_bot).sum())
    return torch.tensor([(bots + 1) / (bots + 2) if bot else 1 / (human + 2) for bot in is_bot.tolist()]).double()


def test_no_temperature_on_a_grid_is_better() -> None:
    """The oracle weighs each row once as a bot and once as human."""
    p, is_bot = labelled(2, 300, 2.0, shift=0.8)
    found, y = calibrate(p, is_bot), smoothed(is_bot).tolist()

    def loss(temperature: float) -> float:
        calibrated = torch.sigmoid(log_odds(p) / temperature).tolist()
        terms = [-a * math.log(q) - (1 - a) * math.log(1 - q) for a, q in zip(y, calibrated, strict=True)]
        return math.fsum(terms) / len(terms)

    grid = [loss(t) for t in np.geomspace(0.5, 10, 401).tolist()]
    assert loss(found.value) <= min(grid) + 1e-12
    assert loss(found.value) == pytest.approx(min(grid), abs=1e-5)
    assert found.prior == is_bot.double().mean().item()


def test_likelihoods_equal_those_of_scikit_learn_and_grow() -> None:
    p, is_bot = labelled(2, 300, 2.0, shift=0.8)
    found = calibrate(p, is_bot)
    assert found.nll_before == pytest.approx(log_loss(is_bot, p.numpy()))
    assert found.nll_after == pytest.approx(log_loss(is_bot, found(p).numpy()))
    assert found.nll_after < found.nll_before


def test_at_the_temperature_the_slope_of_the_likelihood_is_zero() -> None:
    p, is_bot = labelled(3, 500, 0.6)
    z, t = log_odds(p), calibrate(p, is_bot).value
    assert (z * (torch.sigmoid(z / t) - smoothed(is_bot))).mean().item() == pytest.approx(0.0, abs=1e-7)


def test_separable_scores_are_not_certain() -> None:
    """300 of either kind, all at log odds -z and z: the share of the smoothed labels, for every z."""
    is_bot = torch.arange(600) >= 300
    for z in (0.2, 1.0, 30.0):
        found = calibrate(torch.sigmoid(torch.where(is_bot, z, -z).double()), is_bot)
        assert not found.is_at_bound
        assert found(torch.sigmoid(torch.tensor([z]).double())).item() == pytest.approx(301 / 302)


def test_a_temperature_keeps_the_order_and_one_half() -> None:
    found = calibrate(*labelled(4, 400, 2.0))
    p = torch.linspace(0, 1, 101, dtype=torch.float64)
    calibrated = found(p)
    assert (calibrated.diff() > 0).all()
    assert calibrated[50].item() == pytest.approx(0.5)
    assert calibrated + calibrated.flip(0) == pytest.approx(torch.ones(101))


def test_without_a_maximum_the_temperature_is_at_its_bound() -> None:
    p = torch.linspace(0.05, 0.95, 20, dtype=torch.float64)
    found = calibrate(p, p < 0.5)
    assert found.value == pytest.approx(MAX_TEMPERATURE)
    assert found.is_at_bound


def test_at_another_share_of_bots_it_is_bayes_rule() -> None:
    """Odds are multiplied by the odds of the new prior over those of the old one."""
    found = replace(calibrate(*labelled(4, 400, 2.0)), value=1.0, prior=0.4)
    p = torch.tensor([0.1, 0.4, 0.9], dtype=torch.float64)
    for old, new in zip(p.tolist(), found(p, prior=0.01).tolist(), strict=True):
        odds = old / (1 - old) * (0.01 / 0.99) / (0.4 / 0.6)
        assert new == pytest.approx(odds / (1 + odds))
    assert found(p, prior=0.4) == pytest.approx(p)


def test_certainty_is_limited_by_float64() -> None:
    z = log_odds(torch.tensor([0.0, 0.5, 1.0]))
    assert z.tolist() == pytest.approx([math.log(CERTAIN), 0.0, -math.log(CERTAIN)], rel=1e-3)
    assert math.isfinite(negative_log_likelihood(z, torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)))


@pytest.mark.parametrize(("n", "bins"), [(60, 15), (61, 15), (74, 15), (15, 15), (7, 1)])
def test_the_table_has_bins_of_equal_mass_of_sorted_rows(n: int, bins: int) -> None:
    p, is_bot = labelled(5, n, 1.7)
    found = reliability(p, is_bot, bins, generator(0, "coins"))
    pairs, start, ece = sorted(zip(p.tolist(), is_bot.tolist(), strict=True)), 0, 0.0
    for k, row in enumerate(found.bins):
        size = n // bins + (k < n % bins)
        part = pairs[start : start + size]
        start += size
        predicted, observed = (sum(values) / size for values in zip(*part, strict=True))
        assert row.n == size
        assert [row.predicted, row.observed] == pytest.approx([predicted, observed])
        assert row.low <= row.observed <= row.high
        ece += size / n * abs(predicted - observed)
    assert start == n
    assert found.ece == pytest.approx(ece)


def test_the_order_of_rows_of_equal_probability_does_not_matter() -> None:
    p = torch.tensor([0.2] * 30 + [0.7] * 30, dtype=torch.float64)
    is_bot = torch.arange(60) % 3 == 0
    found = reliability(p, is_bot, 6, generator(0, "coins"))
    assert [row.observed for row in found.bins] == pytest.approx([1 / 3] * 6)
    for seed in range(3):
        order = torch.randperm(60, generator=generator(seed, "order"))
        assert reliability(p[order], is_bot[order], 6, generator(0, "coins")).ece == pytest.approx(found.ece)
    assert found.ece == pytest.approx((1 / 3 - 0.2) / 2 + (0.7 - 1 / 3) / 2)


def test_the_brier_score_equals_that_of_scikit_learn() -> None:
    p, is_bot = labelled(6, 100, 2.0)
    assert brier_score(p, is_bot) == pytest.approx(brier_score_loss(is_bot, p.numpy()))
    assert brier_score(torch.full((4,), 0.5), torch.tensor([True, False, True, True])) == 0.25


def test_a_calibrated_detector_has_the_ece_of_chance_and_an_overconfident_one_more() -> None:
    """Null: mean ECE of 40 samples of 300 rows against the reported expectation; its s.d.: 0.0143 / sqrt(40) = 0.0023.

    Bound: 4.5 of them (7e-6). Alternative: log odds three times too large err 3.8 times as much (s.d. 0.55).
    """
    null, sure = [], []
    for seed in range(40):
        p, is_bot = labelled(seed, 300)
        null.append(reliability(p, is_bot, 15, generator(seed, "coins")))
        sure.append(reliability(torch.sigmoid(3 * log_odds(p)), is_bot, 15, generator(seed, "coins")))
    assert np.mean([r.ece - r.ece_if_calibrated for r in null]) == pytest.approx(0.0, abs=0.0104)
    assert min(r.ece / r.ece_if_calibrated for r in sure) > 1.2
    assert min(r.ece_if_calibrated for r in null) > 0.02  # never zero on finite data


def test_wilsons_interval_solves_its_equation() -> None:
    """|share - q| = z sqrt(q (1 - q) / n) at both of its ends q."""
    for share, n in ((0.0, 20), (0.3, 20), (0.5, 334), (1.0, 7)):
        low, high = wilson(share, n)
        for q in (low, high):
            if 0 < q < 1:
                assert abs(share - q) == pytest.approx(1.959963984540054 * math.sqrt(q * (1 - q) / n))
        assert 0 <= low <= share <= high <= 1


def test_invalid_input_is_refused() -> None:
    p, is_bot = labelled(7, 10)
    with pytest.raises(ValueError, match=r"in \[0, 1\], but got 1\.5 in row 3"):
        calibrate(torch.where(torch.arange(10) == 3, 1.5, p), is_bot)
    with pytest.raises(ValueError, match="expected finite `logits`, but got 1 of 10"):
        fit_temperature(torch.where(torch.arange(10) == 3, torch.inf, p), is_bot)
    with pytest.raises(ValueError, match="in row 0"):
        reliability(torch.full((10,), torch.nan), is_bot, 5, generator(0, "coins"))
    with pytest.raises(ValueError, match="but got 0 bots of 10"):
        calibrate(p, torch.zeros(10, dtype=torch.bool))
    with pytest.raises(ValueError, match="bins=11 and 10 rows"):
        reliability(p, is_bot, 11, generator(0, "coins"))
