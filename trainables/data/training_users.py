"""The users of a model's training, as the record of its checkpoint names them: needed where one withdraws consent.

    "users": {"train": {NAME: movements, ...}, "validation": {NAME: movements, ...}}

Those of `train` are trained on; on those of `validation` epochs and thresholds are chosen. Cards and the service state
numbers alone: names are personal data and stay in the record.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trainables.data.config import FOLD_SPLITS
from trainables.data.users import effective_number
from trainables.training.checkpoint_record import RECORD, CheckpointError

USERS = "users"  # key of a checkpoint's record
SINCE = "0.3.0"  # the first version that records them
UNKNOWN = f"unknown: trained before version {SINCE}"
NAMED_IN = f"`{USERS}` in {RECORD} of the checkpoint"
TRAINED_ON, CHOSEN_ON = FOLD_SPLITS
PURPOSES = {TRAINED_ON: "trained on", CHOSEN_ON: "epochs and thresholds chosen on"}


@dataclass(frozen=True)
class TrainingUsers:
    """Users of a training: split -> name -> number of movements."""

    splits: Mapping[str, Mapping[str, int]]

    @classmethod
    def of_owners(cls, owners: Mapping[str, Iterable[str]]) -> "TrainingUsers":
        """Return the users of the movements of a training split and a validation split, by name.

        Args:
            owners: Split -> user of each movement; other splits are left out.
        """
        return cls({name: dict(sorted(Counter(owners[name]).items())) for name in FOLD_SPLITS})

    @classmethod
    def of_record(cls, record: Mapping[str, Any], folder: Path | str = "") -> "TrainingUsers | None":
        """Return the users that the record of a checkpoint names; None where an older version wrote it.

        Args:
            folder: Of the checkpoint, for the message.

        Raises:
            CheckpointError: the record names them in another form.
        """
        given = record.get(USERS)
        if given is None:
            return None
        whole = isinstance(given, Mapping) and set(given) == set(FOLD_SPLITS) and all(map(_counted, given.values()))
        if not whole:
            law = f"`{USERS}` of the record to give a number of movements by user, by split"
            raise CheckpointError(f"{folder or RECORD}: expected {law}, but got {str(given)[:60]}; train it again")
        return cls({name: dict(given[name]) for name in FOLD_SPLITS})

    def to_json(self) -> dict[str, dict[str, int]]:
        """Return plain values for a record; inverse of `of_record`."""
        return {name: dict(users) for name, users in self.splits.items()}

    def movements_of(self, user: str) -> dict[str, int]:
        """Return the number of movements of a user in each split that has some."""
        return {name: users[user] for name, users in self.splits.items() if user in users}


def users_account(record: Mapping[str, Any]) -> dict[str, Any] | str:
    """Return what a card states: numbers of users by split and where their names stand, or that they are unknown."""
    found = TrainingUsers.of_record(record)
    if found is None:
        return UNKNOWN
    return {**{name: _numbers(users) for name, users in found.splits.items()}, "names": NAMED_IN}


def users_lines(account: Mapping[str, Any] | str) -> list[str]:
    """Return the same in sentences."""
    if isinstance(account, str):
        return [f"Users of the training: {account}."]
    lines = [
        f"Users {PURPOSES[name]}: {numbers['users']:,} ({numbers['effective_users']:.1f} effective), "
        f"{numbers['movements']:,} movements."
        for name, numbers in account.items()
        if name in PURPOSES
    ]
    return [*lines, f"Names of these users: {account['names']}."]


def _numbers(users: Mapping[str, int]) -> dict[str, float]:
    sizes = list(users.values())
    return {"users": len(sizes), "effective_users": effective_number(sizes), "movements": sum(sizes)}


def _counted(users: object) -> bool:
    """Whether a value is a number of movements by name."""
    if not isinstance(users, Mapping) or not users:
        return False
    return all(isinstance(name, str) and type(count) is int and count > 0 for name, count in users.items())
