"""Fusion over a session: Bayes' rule where movements are independent, and a measure of their dependence."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.core.seeding import generator
from trainables.eval.detection.calibration import log_odds
from trainables.eval.detection.session_fusion import fuse, intraclass_correlation, session_rows, shuffle_within

SESSIONS = ["a", "b", "a", "a", "b", "a", "c"]


def test_a_session_is_fused_in_order_n_at_a_time_and_the_rest_is_counted() -> None:
    assert session_rows(SESSIONS, 1).tolist() == [[0], [2], [3], [5], [1], [4], [6]]
    assert session_rows(SESSIONS, 2).tolist() == [[0, 2], [3, 5], [1, 4]]
    assert session_rows(SESSIONS, 3).tolist() == [[0, 2, 3]]
    assert session_rows(SESSIONS, 5).shape == (0, 5)
    found = fuse(torch.full((7,), 0.5), SESSIONS, 3)
    assert (found.rows.tolist(), found.unused) == ([[0, 2, 3]], 4)


def test_a_single_movement_keeps_its_score_at_any_prior() -> None:
    scores = torch.linspace(0.1, 0.9, 7)
    for prior in (0.5, 0.01):
        assert fuse(scores, list("abcdefg"), 1, prior).log_odds == pytest.approx(log_odds(scores))


@pytest.mark.parametrize("prior", [0.5, 0.2])
def test_for_independent_movements_it_is_bayes_rule(prior: float) -> None:
    """The oracle multiplies likelihoods of two outcomes: P(1 | bot) = 0.8, P(1 | human) = 0.3."""
    outcomes = [1, 1, 0, 1, 0]
    bot = math.prod(0.8 if outcome else 0.2 for outcome in outcomes)
    user = math.prod(0.3 if outcome else 0.7 for outcome in outcomes)
    posterior = prior * bot / (prior * bot + (1 - prior) * user)
    single = {1: prior * 0.8 / (prior * 0.8 + (1 - prior) * 0.3), 0: prior * 0.2 / (prior * 0.2 + (1 - prior) * 0.7)}
    scores = torch.tensor([single[outcome] for outcome in outcomes], dtype=torch.float64)
    found = fuse(scores, ["s"] * 5, 5, prior)
    assert torch.sigmoid(found.log_odds).item() == pytest.approx(posterior)


def test_shuffling_keeps_the_values_of_each_kind_and_not_those_of_sessions() -> None:
    values, kinds = torch.arange(40.0, dtype=torch.float64), ["p", "b"] * 20
    found = shuffle_within(values, kinds, generator(0, "deal"))
    for kind in (0, 1):
        assert sorted(found[kind::2].tolist()) == values[kind::2].tolist()
        assert found[kind::2].tolist() != values[kind::2].tolist()
    assert torch.equal(found, shuffle_within(values, kinds, generator(0, "deal")))


def test_every_order_is_equally_frequent() -> None:
    """Six orders of three values, 3,000 deals: the s.d. of a count is 20.4; 5 of them (false failure 4e-6)."""
    random, counts = generator(1, "deal"), dict[tuple[float, ...], int]()
    for _ in range(3000):
        order = tuple(shuffle_within(torch.arange(3.0), ["x"] * 3, random).tolist())
        counts[order] = counts.get(order, 0) + 1
    assert len(counts) == 6
    assert all(abs(count - 500) < 102 for count in counts.values())


def one_way(seed: int, sizes: list[int], rho: float) -> tuple[Tensor, list[str]]:
    """Values of unit variance, `rho` of it the session's own."""
    rng = np.random.default_rng(seed)
    own = np.repeat(rng.normal(size=len(sizes)), sizes)
    values = math.sqrt(rho) * own + math.sqrt(1 - rho) * rng.normal(size=sum(sizes))
    return torch.from_numpy(values), [f"s{k}" for k, size in enumerate(sizes) for _ in range(size)]


def test_the_correlation_is_the_definition() -> None:
    values, sessions = one_way(0, [3, 5, 2, 7], 0.4)
    rows = list(zip(values.tolist(), sessions, strict=True))
    parts = [[v for v, s in rows if s == name] for name in sorted(set(sessions))]
    everything, N, G = [v for v, _ in rows], 17, 4
    grand = sum(everything) / N
    between = sum(len(p) * (sum(p) / len(p) - grand) ** 2 for p in parts) / (G - 1)
    within = sum((v - sum(p) / len(p)) ** 2 for p in parts for v in p) / (N - G)
    m = (N - sum(len(p) ** 2 for p in parts) / N) / (G - 1)
    expected = (between - within) / (between + (m - 1) * within)
    assert intraclass_correlation(values, sessions) == pytest.approx(expected)


def test_the_correlation_is_zero_for_independent_movements_and_rho_for_dependent_ones() -> None:
    """200 sessions of 4 to 16: the s.d. is 0.0106 at rho = 0 and 0.031 at 0.4; 4.5 of them (7e-6 each)."""
    sizes = np.random.default_rng(3).integers(4, 17, 200).tolist()
    assert intraclass_correlation(*one_way(1, sizes, 0.0)) == pytest.approx(0.0, abs=0.048)
    assert intraclass_correlation(*one_way(2, sizes, 0.4)) == pytest.approx(0.4, abs=0.14)
    assert intraclass_correlation(torch.ones(10), list("aabbccddee")) == 0.0
    assert intraclass_correlation(torch.tensor([1.0, 1.0, 2.0, 2.0]), list("aabb")) == 1.0


def test_the_variance_of_a_sum_is_inflated_by_rho() -> None:
    """1 + (n - 1) rho = 3.7 with n = 10 and rho = 0.3; the s.d. of the ratio over 3,000 sums is 0.1; 5 of them."""
    values, sessions = one_way(4, [10] * 3000, 0.3)
    sums = values[session_rows(sessions, 10)].sum(dim=1)
    dealt = shuffle_within(values, ["one"] * 30_000, generator(0, "deal"))[session_rows(sessions, 10)].sum(dim=1)
    assert (sums.var() / dealt.var()).item() == pytest.approx(3.7, abs=0.5)


def test_invalid_input_is_refused() -> None:
    with pytest.raises(ValueError, match=r"n >= 1.*got 0"):
        session_rows(SESSIONS, 0)
    with pytest.raises(ValueError, match=r"0 < prior < 1.*got 1\.0"):
        fuse(torch.full((7,), 0.5), SESSIONS, 2, prior=1.0)
    with pytest.raises(ValueError, match="got 1 sessions and 3 movements"):
        intraclass_correlation(torch.rand(3), ["a"] * 3)
    with pytest.raises(ValueError, match="got 3 sessions and 3 movements"):
        intraclass_correlation(torch.rand(3), list("abc"))
