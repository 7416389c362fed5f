"""Users who are left out: counted, refused where no recording has the name, and no other user changes the split."""

from collections import Counter
from dataclasses import replace

import pytest
import torch

from trainables.core.config import ConfigError
from trainables.data.canonical import TENSORS, Canonical
from trainables.data.config import SPLITS, DataConfig
from trainables.data.readers.left_out import LEFT_OUT_USER, suggestion
from trainables.data.readers.recordings import read_data
from trainables.data.splits.loading import NOT_IN_FOLDS, load_splits

DATA = DataConfig()


@pytest.fixture(scope="module")
def names() -> dict[str, str]:
    """A user of each split."""
    splits = load_splits(DATA)
    return {name: next(user for user in splits[name].group if user.startswith("sapimouse/")) for name in SPLITS}


def of_others(movements: Canonical, left_out: str) -> Canonical:
    return movements.take(torch.tensor([row for row, user in enumerate(movements.group) if user != left_out]))


@pytest.mark.parametrize("split", SPLITS)
def test_a_user_who_is_left_out_is_counted_and_no_other_user_changes_the_split(
    split: str, names: dict[str, str]
) -> None:
    user = names[split]
    whole, others = load_splits(DATA), load_splits(replace(DATA, leave_out_users=(user,)))
    recorded = Counter(recording.user for recording in read_data(DATA).recordings)
    assert others.dropped[LEFT_OUT_USER] == recorded[user]
    assert others.read == whole.read
    for name in SPLITS:
        expected = of_others(whole[name], user)
        assert others[name].group == expected.group
        for tensor in TENSORS:
            assert torch.equal(getattr(others[name], tensor).nan_to_num(), getattr(expected, tensor).nan_to_num())
    assert f"dropped: {LEFT_OUT_USER}" in others.table()


def test_the_account_adds_up(names: dict[str, str]) -> None:
    found = load_splits(replace(DATA, leave_out_users=tuple(names.values())))
    kept = sum(map(len, found.splits.values())) + sum(found.capped.values())
    assert found.read == kept + sum(found.dropped.values())


def test_folds_are_of_the_users_that_are_left(names: dict[str, str]) -> None:
    user, count = names["validation"], 3
    folds = [load_splits(DataConfig(fold=f"{n}/{count}", leave_out_users=(user,))) for n in range(1, count + 1)]
    splits = load_splits(DATA)
    expected = sorted(
        {one for name in SPLITS[:3] for one in splits[name].group if one.startswith("sapimouse/")} - {user}
    )
    assert sorted(one for fold in folds for one in set(fold["validation"].group)) == expected
    for fold in folds:
        assert user not in {*fold["train"].group, *fold["validation"].group}
        assert fold.dropped[NOT_IN_FOLDS] == len(splits["holdout"]) + splits.capped["holdout"]


def test_a_name_of_no_recording_is_refused_with_names_like_it(names: dict[str, str]) -> None:
    user = names["train"]
    number = user.removeprefix("sapimouse/")
    law = rf"^expected each of `leave_out_users` to be one of the 65 users .*, but got {number}; did you mean {user}"
    with pytest.raises(ConfigError, match=law) as info:
        read_data(replace(DATA, leave_out_users=(names["test"], number)))
    assert "\n" not in str(info.value)


def test_a_name_like_no_other_is_refused_without_names() -> None:
    assert suggestion("zzz", ["sapimouse/user1"]) == "name users as the splits do"
    with pytest.raises(ConfigError, match=r"but got zzz; name users as the splits do$"):
        read_data(replace(DATA, leave_out_users=("zzz",)))


def test_a_user_is_kept() -> None:
    users = tuple(sorted({recording.user for recording in read_data(DATA).recordings}))
    with pytest.raises(ConfigError, match=r"^expected a user who is not left out, but got leave_out_users="):
        read_data(replace(DATA, leave_out_users=users))


def test_a_name_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected `leave_out_users` to name each entry once"):
        DataConfig(leave_out_users=("a", "a"))
