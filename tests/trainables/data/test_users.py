"""Properties of the number of users, and of the movements of a user that an evaluated split keeps."""

import random

import pytest

from trainables.data.users import capped, effective_users


def test_effective_users_are_all_where_they_are_of_one_size() -> None:
    assert effective_users([f"user{row % 7}" for row in range(70)]) == pytest.approx(7)
    assert effective_users(["a"] * 97 + ["b", "c", "d"]) < 1.1


@pytest.mark.parametrize("most", [1, 3, 100])
def test_a_user_keeps_the_rows_with_the_smallest_keys_whatever_the_order(most: int) -> None:
    """By the definition, row by row: fewer than `most` rows of the same user have a smaller key."""
    rng = random.Random(most)
    owners = [rng.choice("abcd") for _ in range(60)]
    keys = [rng.randbytes(8) for _ in owners]
    rows = capped(owners, keys, most)
    for row, (owner, key) in enumerate(zip(owners, keys, strict=True)):
        before = sum(o == owner and k < key for o, k in zip(owners, keys, strict=True))
        assert (row in rows) == (before < most)
    order = rng.sample(range(60), 60)
    shuffled = capped([owners[row] for row in order], [keys[row] for row in order], most)
    assert sorted(order[row] for row in shuffled) == rows


def test_more_movements_of_others_change_nothing() -> None:
    owners, keys = ["a"] * 5, [bytes([k]) for k in (5, 1, 4, 2, 3)]
    assert capped(owners, keys, 2) == capped([*owners, "b"], [*keys, b"0"], 2)[:2] == [1, 3]
