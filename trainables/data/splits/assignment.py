"""Assign movements to splits by their users.

A split is decided by a hash of the group (the user, else the recording session), so that no user stands in two splits,
whatever the order or the number of the recordings. Sources whose groups may share a user are trained on only. In
the evaluated splits a user has at most `rows_per_user` movements.

With `fold` there are two splits: the users of one of K folds (`trainables.data.folds`) are evaluated, those of the
others are trained on, and those of the holdout split are left out.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from itertools import product
from typing import NamedTuple

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from trainables.core.config import ConfigError, require
from trainables.data.config import FOLD_SPLITS, SPLITS, DataConfig, Fold
from trainables.data.folds import folds_of_users
from trainables.data.sources import TRAINED_ON_ONLY
from trainables.data.users import capped

SHARES = (0.36, 0.32, 0.16, 0.16)  # of the hash range; the 60 named users of the default data fall 20 / 20 / 11 / 9
# Chosen among 20,000 by the sizes of the default splits alone: of those with 20 named users in training and validation,
# 15 effective users in validation and 7.5 in test and holdout, it has the most training movements of named users.
SPLIT_SALT = "split-11375"
TRAINED, HELD_OUT, RESERVED = "train", "validation", "holdout"

Rows = Mapping[str, Int[Tensor, "_"]]
"""Split -> row numbers of its movements."""


class Usable(NamedTuple):
    """What decides the split of each usable movement.

    Attributes:
        group, source: Of each movement.
        key: Hash of what each movement is, by which the movements of a user are chosen.
        has_width: Whether a target width is known.
    """

    group: Sequence[str]
    source: Sequence[str]
    key: Sequence[bytes]
    has_width: Bool[Tensor, "N"]


class Assigned(NamedTuple):
    """Rows of the splits, and how many movements the cap left out of each evaluated one."""

    rows: Rows
    capped: Mapping[str, int]


@cache
def split_of(group: str, source: str = "") -> str:
    """The split that a group belongs to, from the hash of its name alone; that of training where only that is allowed.

    Args:
        source: Of the group's recordings; one in `TRAINED_ON_ONLY` is in the training split.
    """
    if source in TRAINED_ON_ONLY:
        return SPLITS[0]
    head = hashlib.blake2b(f"{SPLIT_SALT}/{group}".encode(), digest_size=8).digest()
    position, edge = int.from_bytes(head, "big") / 2**64, 0.0
    for split, share in zip(SPLITS[:-1], SHARES[:-1], strict=True):
        edge += share
        if position < edge:
            return split
    return SPLITS[-1]


def assign(usable: Usable, config: DataConfig, sources: Collection[str]) -> Assigned:
    """Return the rows of each split.

    Args:
        sources: Of all movements that were read, usable or not.

    Raises:
        ConfigError: a split is empty, an evaluated one has no user of an evaluated source, a user stands in two splits,
            another than the training split alone has target widths, or a source has fewer users than there are folds.
    """
    split = _splits_of_rows(usable.group, usable.source, config)
    rows, left_out = dict[str, Int[Tensor, "_"]](), dict[str, int]()
    for name in SPLITS if config.fold is None else FOLD_SPLITS:
        candidates = [row for row, place in enumerate(split) if place == name]
        if not candidates:
            raise ConfigError(
                f"expected `users of the {name} split >= 1`, but got 0 of {len(set(usable.group))} with "
                f"{len(split)} usable movements; "
                + ("read recordings of more users" if split else "platform.data inspect PATH says what became of them")
            )
        chosen = candidates
        if name != TRAINED:
            owners, keys = [usable.group[row] for row in candidates], [usable.key[row] for row in candidates]
            chosen = [candidates[at] for at in capped(owners, keys, config.rows_per_user)]
            left_out[name] = len(candidates) - len(chosen)
        rows[name] = torch.tensor(chosen, dtype=torch.int64)
    _require_users_of_each_source(rows, usable.source, set(sources) - TRAINED_ON_ONLY.keys())
    _require_whole_users(rows, usable.group)
    _require_widths_to_learn_from(rows, usable.has_width)
    return Assigned(rows, left_out)


def _splits_of_rows(users: Sequence[str], sources: Sequence[str], config: DataConfig) -> list[str]:
    """Return the split of each movement: by hash, or whether its user is in the fold."""
    split = [split_of(*names) for names in zip(users, sources, strict=True)]
    if config.fold is None:
        return split
    fold, owners = Fold.parse(config.fold), list(zip(users, sources, split, strict=True))
    evaluated = [(user, source) for user, source, name in owners if source not in TRAINED_ON_ONLY and name != RESERVED]
    theirs, of_source = zip(*evaluated, strict=True) if evaluated else ((), ())
    fold_of = folds_of_users(theirs, of_source, config.rows_per_user, fold.count)

    def placed(user: str, source: str, name: str) -> str:
        if source in TRAINED_ON_ONLY or name == RESERVED:
            return name
        return HELD_OUT if fold_of[user] == fold.number else TRAINED

    return [placed(*of_row) for of_row in owners]


def _names_at(rows: Int[Tensor, "_"], names: Sequence[str]) -> set[str]:
    return {names[row] for row in rows.tolist()}


def _require_users_of_each_source(rows: Rows, source: Sequence[str], sources: Collection[str]) -> None:
    """Require a user of each evaluated source in each evaluated split: a figure would be silent about the source."""
    present = {name: _names_at(rows[name], source) for name in _evaluated(rows)}
    for name, wanted in product(present, sorted(sources)):
        require(
            wanted in present[name],
            f"`users of {wanted} in the {name} split >= 1`",
            "0",
            "read recordings of more of its users, or leave the source out",
        )


def _evaluated(rows: Rows) -> list[str]:
    return [name for name in rows if name != TRAINED]


def _require_whole_users(rows: Rows, user: Sequence[str]) -> None:
    """Require each user in one split: with recordings of a source that is trained on only one may stand in two."""
    training = _names_at(rows[TRAINED], user)
    for name in _evaluated(rows):
        both = sorted(training & _names_at(rows[name], user))
        law = f"users of the {name} split who are not trained on"
        require(not both, law, ", ".join(both[:3]), f"name the users of {', '.join(TRAINED_ON_ONLY)} apart from others")


def _require_widths_to_learn_from(rows: Rows, has_width: Bool[Tensor, "N"]) -> None:
    """Require target widths in the training split where another has some: a network cannot use an unseen condition."""
    known = [name for name, those in rows.items() if bool(has_width[those].any())]
    require(
        not known or TRAINED in known,
        "target widths in the training split where another has some",
        f"none there, but some in {', '.join(known)}",
        "read recordings of more users, or leave the widths out",
    )
