"""Folds of users: every user in exactly one, balanced, whatever the order, and nothing of the holdout split."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest

from tests.trainables.data.test_dataset import table
from trainables.core.config import ConfigError
from trainables.data.config import DataConfig, Fold
from trainables.data.folds import folds_of_users
from trainables.data.sources import TRAINED_ON_ONLY
from trainables.data.splits.assignment import split_of
from trainables.data.splits.data_splits import DataSplits
from trainables.data.splits.loading import NOT_IN_FOLDS, load_splits
from trainables.data.users import capped

FOLDS = 5


@pytest.fixture(scope="module")
def folds() -> list[DataSplits]:
    return [load_splits(DataConfig(fold=str(Fold(number, FOLDS)))) for number in range(1, FOLDS + 1)]


def users(splits: DataSplits, split: str) -> set[str]:
    return {
        user for user, source in zip(splits[split].group, splits[split].source, strict=True) if source == "sapimouse"
    }


def test_every_user_outside_of_the_holdout_split_is_evaluated_exactly_once(folds: list[DataSplits]) -> None:
    four = load_splits(DataConfig())
    named = [user for name in ("train", "validation", "test") for user in sorted(users(four, name))]
    evaluated = [user for fold in folds for user in sorted(users(fold, "validation"))]
    assert sorted(evaluated) == sorted(named)
    assert len(set(evaluated)) == len(evaluated)
    for fold in folds:
        assert users(fold, "train") == set(named) - users(fold, "validation")


def test_the_holdout_split_is_neither_trained_on_nor_evaluated_and_its_movements_are_counted(
    folds: list[DataSplits],
) -> None:
    four = load_splits(DataConfig())
    for fold in folds:
        assert set(fold.splits) == {"train", "validation"}
        assert not users(four, "holdout") & (users(fold, "train") | users(fold, "validation"))
        assert fold.dropped[NOT_IN_FOLDS] == len(four["holdout"]) + four.capped["holdout"]
        kept = sum(map(len, fold.splits.values())) + sum(fold.capped.values()) + sum(fold.dropped.values())
        assert kept == fold.read
        assert f"dropped: {NOT_IN_FOLDS}" in fold.table()


def test_sources_that_are_trained_on_only_are_in_every_training_set(folds: list[DataSplits]) -> None:
    blocks = Counter(load_splits(DataConfig())["train"].source)["cursory"]
    assert [Counter(fold["train"].source)["cursory"] for fold in folds] == [blocks] * FOLDS
    assert not any(TRAINED_ON_ONLY.keys() & set(fold["validation"].source) for fold in folds)


def test_the_folds_have_like_numbers_of_evaluated_movements(folds: list[DataSplits]) -> None:
    sizes = [len(fold["validation"]) for fold in folds]
    assert max(sizes) - min(sizes) <= 1
    assert max(Counter(folds[0]["validation"].group).values()) <= DataConfig().rows_per_user


def test_each_fold_is_another_data_set_and_the_same_again(folds: list[DataSplits]) -> None:
    assert len({fold.sha256 for fold in folds} | {load_splits(DataConfig()).sha256}) == FOLDS + 1
    load_splits.cache_clear()
    assert load_splits(DataConfig(fold="1/5")).sha256 == folds[0].sha256


def test_a_fold_has_no_other_splits(folds: list[DataSplits]) -> None:
    with pytest.raises(ConfigError, match=r"expected `split` in \{train, validation\}, but got split=test; a fold"):
        folds[0]["test"]


# the assignment


def test_folds_depend_neither_on_the_order_nor_on_the_number_of_rows_over_the_most() -> None:
    rows = [("a", "s")] * 20 + [("b", "s")] * 9 + [("c", "s")] * 5 + [("d", "t")] * 3 + [("e", "t")] * 3

    def folds_of(rows: list[tuple[str, str]]) -> Mapping[str, int]:
        return folds_of_users([user for user, _ in rows], [source for _, source in rows], most=8, count=2)

    shuffled = random.Random(0).sample(rows, len(rows))
    assert folds_of(shuffled) == folds_of([*rows, *[("a", "s")] * 50]) == folds_of(rows)


def test_each_source_is_spread_over_all_folds_and_the_sizes_are_balanced() -> None:
    rng = random.Random(1)
    rows = [(f"{source}{i}", source) for source in "stu" for i in range(11) for _ in range(rng.randint(1, 30))]
    owners, sources = zip(*rows, strict=True)
    fold_of = folds_of_users(owners, sources, most=12, count=4)
    assert set(fold_of) == set(owners)
    of_source, size = defaultdict(set), Counter[int]()
    kept = capped(owners, [str(row).encode() for row in range(len(rows))], 12)
    for row in kept:
        of_source[sources[row]].add(fold_of[owners[row]])
        size[fold_of[owners[row]]] += 1
    assert all(folds == {1, 2, 3, 4} for folds in of_source.values())
    assert max(size.values()) - min(size.values()) <= 12


def test_a_user_of_two_sources_is_in_one_fold_with_the_source_of_most_rows() -> None:
    rows = [("a", "s"), ("a", "t"), ("a", "t"), ("b", "t"), ("c", "s"), ("d", "s"), ("e", "t")]
    owners, sources = zip(*rows, strict=True)
    fold_of = folds_of_users(owners, sources, most=12, count=2)
    assert set(fold_of) == set("abcde")
    with pytest.raises(ConfigError, match="expected users of s outside of the holdout split >= 3"):
        folds_of_users(owners, sources, most=12, count=3)


# errors


@pytest.mark.parametrize("text", ["0/5", "6/5", "1/1", "1", "a/b", "1/5/2", "", "-1/5"])
def test_a_fold_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=f"^expected `fold` to be k/K with .* but got fold={text}; write 1/5 for"):
        DataConfig(fold=text)


def test_more_folds_than_users_are_refused_in_one_line() -> None:
    with pytest.raises(ConfigError, match=r"users of sapimouse outside of the holdout split >= 99, .*; use few"):
        load_splits(DataConfig(fold="1/99"))


def test_a_table_is_split_by_fold_too(tmp_path: Path) -> None:
    frame: pd.DataFrame = table()
    frame.drop(columns="split").to_parquet(tmp_path / "t.parquet", index=False)
    found = [load_splits(DataConfig("table", str(tmp_path / "t.parquet"), fold=f"{k}/2")) for k in (1, 2)]
    evaluated = [set(splits["validation"].group) for splits in found]
    assert not evaluated[0] & evaluated[1]
    assert evaluated[0] | evaluated[1] == {user for user in frame["user"] if split_of(user) != "holdout"}
    assert [set(splits["train"].group) for splits in found] == evaluated[::-1]
