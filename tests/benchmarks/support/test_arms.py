"""Tests of the comparison of arms: differences paired by seed, tables and plot."""

import json
from pathlib import Path

import pytest

from benchmarks.support.arms import METRICS, TEST_FPR, Outcome, by_family, comparison, differences, plot, tables
from benchmarks.support.intervals import Interval
from trainables.core.config import ConfigError, plain

BASE, OTHER = "simple", "simple + hard"


def outcomes() -> list[Outcome]:
    """Return two families and three seeds, unordered; the other arm has 0.1 more TPR, and some variation of its own."""
    tpr = {0: (0.2, 0.6), 1: (0.4, 0.8), 2: (0.1, 0.9)}
    own = {0: 0.0, 1: 0.03, 2: -0.03}
    base = [Outcome(BASE, seed, {"one": a, "the_other": b}, 0.01) for seed, (a, b) in tpr.items()]
    other = [Outcome(OTHER, seed, {"one": a + 0.1 + own[seed], "the_other": b}, 0.02) for seed, (a, b) in tpr.items()]
    return [base[0], *other[::-1], *base[:0:-1]]


def test_the_mean_over_families_is_unweighted() -> None:
    found = Outcome("a", 0, {"one": 0.2, "two": 0.3, "three": 0.7}, 0.0)
    assert found.mean == pytest.approx(0.4)
    assert found.worst == 0.2


def test_differences_are_of_the_same_seed_whatever_the_order() -> None:
    found = differences(outcomes(), OTHER, BASE, METRICS["worst family TPR"])
    assert found == pytest.approx([0.1, 0.13, 0.07])
    paired = Interval.over(found)
    alone = comparison(outcomes(), BASE)[OTHER]["worst family TPR"]
    assert paired.half_width < alone.half_width / 3  # the variation that is common to a seed cancels


def test_arms_with_different_seeds_are_not_compared() -> None:
    missing = [each for each in outcomes() if (each.arm, each.seed) != (OTHER, 1)]
    with pytest.raises(ConfigError, match=r"expected `seeds of simple \+ hard == seeds of simple`, but got \[0, 2\]"):
        comparison(missing, BASE)


def test_every_arm_has_its_metrics_and_all_but_the_base_their_differences() -> None:
    found = comparison(outcomes(), BASE)
    assert list(found) == [BASE, OTHER]
    assert set(found[BASE]) == {*METRICS, TEST_FPR}
    assert set(found[OTHER]) - set(found[BASE]) == {f"{name} - {BASE}" for name in METRICS}
    assert found[OTHER]["mean TPR - simple"].mean == pytest.approx(0.05)
    assert found[OTHER][TEST_FPR].mean == pytest.approx(0.02)
    json.dumps({arm: {name: plain(each) for name, each in row.items()} for arm, row in found.items()}, allow_nan=False)


def test_families_are_sorted_by_the_tpr_of_the_base() -> None:
    found = by_family(outcomes())
    assert list(found) == ["one", "the_other"]
    assert found["one"][BASE].mean == pytest.approx(0.7 / 3)


def test_the_tables_hold_every_arm_and_family_with_its_interval() -> None:
    arms, families = tables(outcomes(), BASE).split("\n\n")
    head, _, base, other = arms.splitlines()
    assert head == (
        "| trained on | mean TPR | worst family TPR | mean TPR - simple | worst family TPR - simple "
        "| FPR on test users |"
    )
    assert base.endswith(" |  |  | 0.010 [0.010, 0.010] |")
    assert f"{Interval.over([0.1, 0.13, 0.07])}" in other
    assert [line.split(" | ")[0] for line in families.splitlines()[2:]] == ["| one", "| the other"]
    assert len({line.count("|") for line in arms.splitlines()}) == 1


def test_the_plot_depends_on_the_outcomes(tmp_path: Path) -> None:
    plot(outcomes(), 0.01, tmp_path / "one.png")
    moved = [Outcome(each.arm, each.seed, {**each.tpr, "one": 0.0}, 0.0) for each in outcomes()]
    plot(moved, 0.01, tmp_path / "other.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "other.png").read_bytes()
