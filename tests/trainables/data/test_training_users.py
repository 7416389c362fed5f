"""Users of a training: the list equals a count by hand, comes back from a record, and cards state numbers alone."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from trainables.data.training_users import UNKNOWN, TrainingUsers, users_account, users_lines
from trainables.training.checkpoint_record import CheckpointError

OWNERS = {"train": ["b", "a", "b", "b"], "validation": ["c", "d"], "test": ["e"]}
USERS = {"train": {"a": 1, "b": 3}, "validation": {"c": 1, "d": 1}}


def test_users_are_counted_in_the_splits_that_a_training_uses() -> None:
    found = TrainingUsers.of_owners(OWNERS)
    assert found.to_json() == USERS
    assert [list(names) for names in found.to_json().values()] == [["a", "b"], ["c", "d"]]
    assert [found.movements_of(name) for name in "bce"] == [{"train": 3}, {"validation": 1}, {}]


def test_the_list_is_that_of_the_users_whatever_the_order_of_the_movements() -> None:
    owners = [f"user{number % 37}" for number in range(1000)]
    shuffled = random.Random(0).sample(owners, len(owners))
    first, second = (TrainingUsers.of_owners({"train": of, "validation": ["c"]}) for of in (owners, shuffled))
    assert json.dumps(first.to_json()) == json.dumps(second.to_json())


def test_a_record_gives_the_same_users_back() -> None:
    record = json.loads(json.dumps({"users": TrainingUsers.of_owners(OWNERS).to_json()}, sort_keys=True))
    assert TrainingUsers.of_record(record) == TrainingUsers.of_owners(OWNERS)


def test_ten_thousand_users_take_less_than_half_a_megabyte_in_a_record() -> None:
    owners = {"train": [f"laboratory/user{n}" for n in range(10_000)], "validation": ["c"]}
    assert len(json.dumps(TrainingUsers.of_owners(owners).to_json(), indent=1)) < 500_000


def test_a_record_of_an_older_version_is_accepted_and_its_users_are_unknown() -> None:
    assert TrainingUsers.of_record({"kind": "gan"}) is None
    assert users_account({"kind": "gan"}) == UNKNOWN == "unknown: trained before version 0.3.0"
    assert users_lines(UNKNOWN) == ["Users of the training: unknown: trained before version 0.3.0."]


@pytest.mark.parametrize(
    "users",
    [[], {"train": {}}, {**USERS, "train": ["a"]}, {**USERS, "train": {"a": -1}}, {**USERS, "validation": {}}],
)
def test_users_in_another_form_are_refused_in_one_line(users: Any) -> None:
    with pytest.raises(CheckpointError, match=r"^runs/last: expected `users` of the record .* train it again$") as info:
        TrainingUsers.of_record({"users": users}, Path("runs/last"))
    assert "\n" not in str(info.value)


def test_a_card_states_numbers_of_users_and_where_their_names_stand_but_no_name() -> None:
    owners = {"train": ["sapimouse/a", "sapimouse/b", "sapimouse/b", "sapimouse/b"], "validation": ["lab/c", "lab/d"]}
    account = users_account({"users": TrainingUsers.of_owners(owners).to_json()})
    assert account == {
        "train": {"users": 2, "effective_users": 1.6, "movements": 4},
        "validation": {"users": 2, "effective_users": 2.0, "movements": 2},
        "names": "`users` in record.json of the checkpoint",
    }
    lines = users_lines(account)
    assert lines == [
        "Users trained on: 2 (1.6 effective), 4 movements.",
        "Users epochs and thresholds chosen on: 2 (2.0 effective), 2 movements.",
        "Names of these users: `users` in record.json of the checkpoint.",
    ]
    assert not any(
        name in text for name in (*owners["train"], *owners["validation"]) for text in (*lines, json.dumps(account))
    )
