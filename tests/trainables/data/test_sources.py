"""Properties of the tables of sources."""

import pytest

from trainables.data.sources import LABORATORIES, TRAINED_ON_ONLY, laboratory_of


@pytest.mark.parametrize("prefix", LABORATORIES)
def test_a_source_with_a_known_prefix_is_of_its_laboratory(prefix: str) -> None:
    assert laboratory_of(f"{prefix}exp7") == LABORATORIES[prefix]
    assert laboratory_of(f"our_{prefix}") == f"our_{prefix}"


def test_experiments_whose_users_may_repeat_are_of_one_laboratory() -> None:
    repeated = ("acta2015_exp1", "acta2015_exp2", "acta2015_exp3", "flanker_exp1", "flanker_exp2", "numberline")
    assert len({laboratory_of(source) for source in repeated}) == 1
    assert len({laboratory_of(source) for source in (*repeated, "kh2017", "freihaut_click", "balabit")}) == 4


def test_each_source_that_is_trained_on_only_says_why() -> None:
    assert all(TRAINED_ON_ONLY.values())
