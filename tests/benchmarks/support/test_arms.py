"""Laws of arms: pairs by seed, Student's interval, and tables that say what was measured."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from benchmarks.support.arms import FIGURES, Interval, Outcome, by_family, compared, differences, picture, tables
from trainables.core.config import ConfigError, plain

BASE, OTHER = "simple", "simple + hard"
T975 = {1: 12.7062, 2: 4.3027, 4: 2.7764}  # from a printed table


def outcomes() -> list[Outcome]:
    """Two families, three seeds, out of order; the other arm catches 0.1 more, and a little of its own."""
    caught = {0: (0.2, 0.6), 1: (0.4, 0.8), 2: (0.1, 0.9)}
    own = {0: 0.0, 1: 0.03, 2: -0.03}
    base = [Outcome(BASE, seed, {"one": a, "the_other": b}, 0.01) for seed, (a, b) in caught.items()]
    other = [
        Outcome(OTHER, seed, {"one": a + 0.1 + own[seed], "the_other": b}, 0.02) for seed, (a, b) in caught.items()
    ]
    return [base[0], *other[::-1], *base[:0:-1]]


def test_a_figure_is_over_families_that_count_alike() -> None:
    found = Outcome("a", 0, {"one": 0.2, "two": 0.3, "three": 0.7}, 0.0)
    assert found.mean == pytest.approx(0.4)
    assert found.worst == 0.2


@pytest.mark.parametrize("count", [2, 3, 5])
def test_an_interval_is_students(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count).tolist()
    mean = sum(values) / count
    variance = sum((value - mean) ** 2 for value in values) / (count - 1)
    found = Interval.over(values)
    assert found.mean == pytest.approx(mean)
    assert found.half == pytest.approx(T975[count - 1] * math.sqrt(variance / count), rel=1e-4)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_an_interval_holds_the_truth_in_95_percent_and_finds_a_shift(shift: float) -> None:
    """Over 4,000 studies of 5 seeds the share has a standard error of 0.0034: within 4.5 of them but in 1 of 10^5.

    A shift of one standard deviation is within the interval of most such studies, but of fewer than 70 %.
    """
    studies = np.random.default_rng(0).normal(shift, 1.0, size=(4000, 5))
    found = [Interval.over(study.tolist()) for study in studies]
    held = np.mean([abs(each.mean) <= each.half for each in found])
    assert (abs(held - 0.95) < 0.0155) if shift == 0 else (0.4 < held < 0.7)


def test_one_value_has_no_interval() -> None:
    with pytest.raises(ConfigError, match="expected `seeds >= 2`, but got 1"):
        Interval.over([0.5])


def test_differences_are_of_the_same_seed_whatever_the_order() -> None:
    found = differences(outcomes(), OTHER, BASE, FIGURES["worst family"])
    assert found == pytest.approx([0.1, 0.13, 0.07])
    paired = Interval.over(found)
    alone = compared(outcomes(), BASE)[OTHER]["worst family"]
    assert paired.half < alone.half / 3  # what the seeds have in common is gone


def test_arms_of_other_seeds_are_not_compared() -> None:
    missing = [each for each in outcomes() if (each.arm, each.seed) != (OTHER, 1)]
    with pytest.raises(ConfigError, match=r"expected `seeds of simple \+ hard == seeds of simple`, but got \[0, 2\]"):
        compared(missing, BASE)


def test_every_arm_has_its_figures_and_all_but_the_base_their_differences() -> None:
    found = compared(outcomes(), BASE)
    assert list(found) == [BASE, OTHER]
    assert set(found[BASE]) == {*FIGURES, "people accused"}
    assert set(found[OTHER]) - set(found[BASE]) == {f"{name} - {BASE}" for name in FIGURES}
    assert found[OTHER]["mean over families - simple"].mean == pytest.approx(0.05)
    assert found[OTHER]["people accused"].mean == pytest.approx(0.02)
    json.dumps({arm: {name: plain(each) for name, each in row.items()} for arm, row in found.items()}, allow_nan=False)


def test_the_family_of_which_the_base_catches_least_is_on_top() -> None:
    found = by_family(outcomes())
    assert list(found) == ["one", "the_other"]
    assert found["one"][BASE].mean == pytest.approx(0.7 / 3)


def test_the_tables_hold_every_arm_and_family_with_its_interval() -> None:
    arms, families = tables(outcomes(), BASE).split("\n\n")
    head, _, base, other = arms.splitlines()
    assert head == (
        "| trained on | mean over families | worst family | mean over families - simple | worst family - simple "
        "| people accused |"
    )
    assert base.endswith(" |  |  | 0.010 ± 0.000 |")
    assert f"{Interval.over([0.1, 0.13, 0.07])}" in other
    assert [line.split(" | ")[0] for line in families.splitlines()[2:]] == ["| one", "| the other"]
    assert len({line.count("|") for line in arms.splitlines()}) == 1


def test_the_picture_is_drawn(tmp_path: Path) -> None:
    picture(outcomes(), 0.01, tmp_path / "one.png")
    moved = [Outcome(each.arm, each.seed, {**each.caught, "one": 0.0}, 0.0) for each in outcomes()]
    picture(moved, 0.01, tmp_path / "other.png")
    assert (tmp_path / "one.png").read_bytes() != (tmp_path / "other.png").read_bytes()
