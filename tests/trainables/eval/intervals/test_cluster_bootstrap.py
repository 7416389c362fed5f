"""The cluster bootstrap: groups are resampled with all rows, and intervals have their coverage."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.core.config import ConfigError
from trainables.core.seeding import generator
from trainables.eval.intervals.cluster_bootstrap import (
    binomial_interval,
    cluster_weights,
    estimate,
    proportion,
)
from trainables.eval.intervals.config import BootstrapConfig

CONFIG = BootstrapConfig(replicates=400)
MEAN_RATE = 0.2  # of Beta(2, 8)
USERS = ["a", "b", "b", "c", "c", "c"]


def no_bots(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.bool)


def test_a_replicate_samples_as_many_groups_as_there_are_each_with_all_its_rows() -> None:
    weights = cluster_weights(USERS, no_bots(6), 300, generator(0, "weights"))
    assert weights.shape == (301, 6)
    assert weights[0].tolist() == [1.0] * 6
    for row in weights.tolist():
        by_group = {name: {w for w, owner in zip(row, USERS, strict=True) if owner == name} for name in "abc"}
        assert all(len(found) == 1 for found in by_group.values())
        assert sum(found.pop() for found in by_group.values()) == 3.0


def test_groups_are_sampled_equally_often() -> None:
    """The mean of 4,000 multinomial counts has a s.d. of 0.013; 4.5 of them (false failure 2e-5 over three groups)."""
    weights = cluster_weights(["a", "b", "c"], no_bots(3), 4000, generator(1, "weights"))[1:]
    assert weights.mean(dim=0).tolist() == pytest.approx([1.0] * 3, abs=0.058)
    assert weights.var(dim=0).tolist() == pytest.approx([2 / 3] * 3, abs=0.1)  # of Binomial(3, 1/3)


def test_bots_are_resampled_with_the_users_they_imitate_and_other_bots_among_themselves() -> None:
    groups = [*USERS, "a", "c", "pair 1", "pair 2"]
    is_bot = torch.tensor([False] * 6 + [True] * 4)
    weights = cluster_weights(groups, is_bot, 200, generator(2, "weights"))
    assert torch.equal(weights[:, 6], weights[:, 0])
    assert torch.equal(weights[:, 7], weights[:, 3])
    users = weights[:, 0] + weights[:, 1] + weights[:, 3]
    assert users.tolist() == [3.0] * 201
    assert (weights[:, 8] + weights[:, 9]).tolist() == [2.0] * 201
    assert weights[:, 8].unique().tolist() == [0.0, 1.0, 2.0]


def test_the_same_generator_gives_the_same_weights() -> None:
    draw = [cluster_weights(USERS, no_bots(6), 50, generator(seed, "weights")) for seed in (3, 3, 4)]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])


def test_the_interval_is_that_of_the_percentiles() -> None:
    figures = torch.cat([torch.tensor([7.0]), torch.arange(101.0), torch.tensor([torch.nan])]).double()
    found = estimate(figures, 0.9)
    assert (found.value, found.replicates) == (7.0, 101)
    assert [found.low, found.high] == pytest.approx([5.0, 95.0])


def test_a_figure_without_a_value_is_refused() -> None:
    nan = torch.full((3,), torch.nan, dtype=torch.float64)
    with pytest.raises(ValueError, match="values in its replicates, but got nan and 0"):
        estimate(nan, 0.9)
    nan[0] = 0.5
    with pytest.raises(ValueError, match=r"but got 0\.5 and 0"):
        estimate(nan, 0.9)


def test_a_share_counts_rows_and_groups() -> None:
    found = proportion(torch.tensor([True, False, True, False, False, False]), USERS, CONFIG, generator(0, "share"))
    assert (found.hits, found.n, found.users, found.value) == (2, 6, 3, 2 / 6)
    assert 0.0 <= found.low < found.value < found.high <= 1.0


def test_the_interval_of_a_share_is_that_of_its_replicates_one_by_one_if_it_holds_the_binomial_one() -> None:
    """Half of the users are always hits, the others never: 200 rows, but 20 users."""
    groups = [f"p{k}" for k in range(20) for _ in range(10)]
    hit = torch.tensor([k % 2 == 0 for k in range(20) for _ in range(10)])
    found = proportion(hit, groups, CONFIG, generator(5, "share"))
    names = sorted(set(groups))
    drawn = []
    for counts in cluster_weights(names, no_bots(20), CONFIG.replicates, generator(5, "share"))[1:].tolist():
        weight = dict(zip(names, counts, strict=True))
        rows = [(float(one), weight[owner]) for one, owner in zip(hit.tolist(), groups, strict=True)]
        drawn.append(sum(one * w for one, w in rows) / sum(w for _, w in rows))
    assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist())
    alone = binomial_interval(100, 200, 0.95)
    assert found.low < alone[0] < alone[1] < found.high


@pytest.mark.parametrize(("hits", "n"), [(0, 334), (1, 7), (3, 260), (6, 7), (50, 50)])
def test_one_row_per_user_gives_the_interval_of_independent_rows(hits: int, n: int) -> None:
    """Clopper and Pearson: at either end, a share as far off or further comes with probability 2.5 %."""
    found = proportion(torch.arange(n) < hits, ["a"] * n, CONFIG, generator(0, "share"))
    if hits:
        assert sum(math.comb(n, k) * found.low**k * (1 - found.low) ** (n - k) for k in range(hits, n + 1)) == (
            pytest.approx(0.025)
        )
    if hits < n:
        assert sum(math.comb(n, k) * found.high**k * (1 - found.high) ** (n - k) for k in range(hits + 1)) == (
            pytest.approx(0.025)
        )
    assert (found.low == 0, found.high == 1) == (hits == 0, hits == n)


def beta_shares(rng: np.random.Generator, users: int) -> tuple[list[bool], list[str]]:
    """Return rows of users that differ: each has its own rate, of mean `MEAN_RATE`, and 5 to 40 rows."""
    sizes, rates = rng.integers(5, 41, users), rng.beta(2.0, 8.0, users)
    hits = [bool(hit) for size, rate in zip(sizes, rates, strict=True) for hit in rng.random(size) < rate]
    return hits, [f"p{k}" for k, size in enumerate(sizes) for _ in range(size)]


def coverage(samples: int, covers: Callable[[list[bool], list[str], int], bool]) -> float:
    rng, users = np.random.default_rng(11), 40
    drawn = [beta_shares(rng, users) for _ in range(samples)]
    return sum(covers(hits, groups, sample) for sample, (hits, groups) in enumerate(drawn)) / samples


def test_intervals_by_group_cover_the_truth() -> None:
    """Null: 40 users. Over 1,000 samples the coverage is 0.924; bounds are 4 s.d. of 300 samples (6e-5)."""

    def by_group(hits: list[bool], groups: list[str], sample: int) -> bool:
        found = proportion(torch.tensor(hits), groups, BootstrapConfig(replicates=300), generator(sample, "coverage"))
        return found.low <= MEAN_RATE <= found.high

    assert 0.86 < coverage(300, by_group) < 0.985


def test_intervals_that_assume_independent_rows_do_not() -> None:
    """Alternative: 1.96 s.e. of independent rows cover 0.71 of 1,000 samples; 4 s.d. of 300 samples above is 0.82."""

    def by_row(hits: list[bool], groups: list[str], sample: int) -> bool:
        rate = float(np.mean(hits))
        return abs(rate - MEAN_RATE) <= 1.96 * math.sqrt(rate * (1 - rate) / len(hits))

    assert coverage(300, by_row) < 0.82


def test_invalid_input_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"replicates >= 20.*replicates=5"):
        BootstrapConfig(replicates=5)
    with pytest.raises(ConfigError, match=r"0 < level < 1.*level=1\.0"):
        BootstrapConfig(level=1.0)
    with pytest.raises(ValueError, match="but got 0"):
        proportion(no_bots(0), [], CONFIG, generator(0, "share"))
