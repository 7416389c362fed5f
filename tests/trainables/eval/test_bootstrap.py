"""Laws of the cluster bootstrap: whole groups are drawn, intervals cover, and none is narrower than is known."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from trainables.config import ConfigError
from trainables.eval.bootstrap import BootstrapConfig, cluster_weights, estimate, share
from trainables.seeding import generator

CONFIG = BootstrapConfig(replicates=400)
MEAN_RATE = 0.2  # of Beta(2, 8)
PEOPLE = ["a", "b", "b", "c", "c", "c"]


def nobody(count: int) -> Tensor:
    return torch.zeros(count, dtype=torch.bool)


def test_a_replicate_draws_as_many_groups_as_there_are_each_with_all_its_rows() -> None:
    weights = cluster_weights(PEOPLE, nobody(6), 300, generator(0, "weights"))
    assert weights.shape == (301, 6)
    assert weights[0].tolist() == [1.0] * 6
    for row in weights.tolist():
        by_group = {name: {w for w, owner in zip(row, PEOPLE, strict=True) if owner == name} for name in "abc"}
        assert all(len(found) == 1 for found in by_group.values())
        assert sum(found.pop() for found in by_group.values()) == 3.0


def test_groups_are_drawn_equally_often() -> None:
    """The mean of 4,000 multinomial counts has a s.d. of 0.013; 4.5 of them (false failure 2e-5 over three groups)."""
    weights = cluster_weights(["a", "b", "c"], nobody(3), 4000, generator(1, "weights"))[1:]
    assert weights.mean(dim=0).tolist() == pytest.approx([1.0] * 3, abs=0.058)
    assert weights.var(dim=0).tolist() == pytest.approx([2 / 3] * 3, abs=0.1)  # of Binomial(3, 1/3)


def test_bots_are_drawn_with_the_people_they_imitate_and_others_among_themselves() -> None:
    groups = [*PEOPLE, "a", "c", "pair 1", "pair 2"]
    is_bot = torch.tensor([False] * 6 + [True] * 4)
    weights = cluster_weights(groups, is_bot, 200, generator(2, "weights"))
    assert torch.equal(weights[:, 6], weights[:, 0])
    assert torch.equal(weights[:, 7], weights[:, 3])
    people = weights[:, 0] + weights[:, 1] + weights[:, 3]
    assert people.tolist() == [3.0] * 201
    assert (weights[:, 8] + weights[:, 9]).tolist() == [2.0] * 201
    assert weights[:, 8].unique().tolist() == [0.0, 1.0, 2.0]


def test_the_same_generator_gives_the_same_weights() -> None:
    draw = [cluster_weights(PEOPLE, nobody(6), 50, generator(seed, "weights")) for seed in (3, 3, 4)]
    assert torch.equal(draw[0], draw[1])
    assert not torch.equal(draw[0], draw[2])


def test_the_interval_is_that_of_the_percentiles() -> None:
    figures = torch.cat([torch.tensor([7.0]), torch.arange(101.0), torch.tensor([torch.nan])]).double()
    found = estimate(figures, 0.9)
    assert (found.value, found.replicates) == (7.0, 101)
    assert [found.low, found.high] == pytest.approx([5.0, 95.0])


def test_a_figure_without_a_value_is_refused() -> None:
    nan = torch.full((3,), torch.nan, dtype=torch.float64)
    with pytest.raises(ValueError, match="must have values, but got nan and 0"):
        estimate(nan, 0.9)
    nan[0] = 0.5
    with pytest.raises(ValueError, match=r"but got 0\.5 and 0"):
        estimate(nan, 0.9)


def test_a_share_counts_rows_and_groups() -> None:
    found = share(torch.tensor([True, False, True, False, False, False]), PEOPLE, CONFIG, generator(0, "share"))
    assert (found.hits, found.n, found.groups, found.value) == (2, 6, 3, 2 / 6)
    assert 0.0 <= found.low < found.value < found.high <= 1.0


def test_the_interval_of_a_share_is_that_of_its_replicates_one_by_one() -> None:
    hit = torch.tensor([True, False, True, False, False, True])
    found = share(hit, PEOPLE, CONFIG, generator(5, "share"))
    drawn = []
    for counts in cluster_weights(["a", "b", "c"], nobody(3), CONFIG.replicates, generator(5, "share"))[1:].tolist():
        rows = [(h, dict(zip("abc", counts, strict=True))[o]) for h, o in zip(hit.tolist(), PEOPLE, strict=True)]
        drawn.append(sum(h * weight for h, weight in rows) / sum(weight for _, weight in rows))
    assert [found.low, found.high] == pytest.approx(np.quantile(drawn, [0.025, 0.975]).tolist())


@pytest.mark.parametrize("all_of_them", [False, True])
def test_none_or_all_of_n_rows_are_as_sure_as_n_independent_rows(all_of_them: bool) -> None:
    """Clopper and Pearson: the bound p at which n rows give none with probability 2.5 %."""
    found = share(torch.full((334,), all_of_them), ["a"] * 200 + ["b"] * 134, CONFIG, generator(0, "share"))
    bound = 1 - found.low if all_of_them else found.high
    assert math.comb(334, 0) * (1 - bound) ** 334 == pytest.approx(0.025)
    assert found.value in (found.low, found.high)


def beta_shares(rng: np.random.Generator, people: int) -> tuple[list[bool], list[str]]:
    """Rows of people who differ: each has a rate of his own, of mean `MEAN_RATE`, and 5 to 40 rows."""
    sizes, rates = rng.integers(5, 41, people), rng.beta(2.0, 8.0, people)
    hits = [bool(hit) for size, rate in zip(sizes, rates, strict=True) for hit in rng.random(size) < rate]
    return hits, [f"p{k}" for k, size in enumerate(sizes) for _ in range(size)]


def coverage(samples: int, covers: Callable[[list[bool], list[str], int], bool]) -> float:
    rng, people = np.random.default_rng(11), 40
    drawn = [beta_shares(rng, people) for _ in range(samples)]
    return sum(covers(hits, groups, sample) for sample, (hits, groups) in enumerate(drawn)) / samples


def test_intervals_by_group_cover_the_truth() -> None:
    """Null: 40 people. Over 1,000 samples the coverage is 0.924; bounds are 4 s.d. of 300 samples (6e-5)."""

    def by_group(hits: list[bool], groups: list[str], sample: int) -> bool:
        found = share(torch.tensor(hits), groups, BootstrapConfig(replicates=300), generator(sample, "coverage"))
        return found.low <= MEAN_RATE <= found.high

    assert 0.86 < coverage(300, by_group) < 0.985


def test_intervals_that_take_rows_for_independent_do_not() -> None:
    """Alternative: 1.96 s.e. of independent rows cover 0.71 of 1,000 samples; 4 s.d. of 300 samples above is 0.82."""

    def by_row(hits: list[bool], groups: list[str], sample: int) -> bool:
        rate = float(np.mean(hits))
        return abs(rate - MEAN_RATE) <= 1.96 * math.sqrt(rate * (1 - rate) / len(hits))

    assert coverage(300, by_row) < 0.82


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"replicates >= 20.*replicates=5"):
        BootstrapConfig(replicates=5)
    with pytest.raises(ConfigError, match=r"0 < level < 1.*level=1\.0"):
        BootstrapConfig(level=1.0)
    with pytest.raises(ValueError, match="but got 0"):
        share(nobody(0), [], CONFIG, generator(0, "share"))
