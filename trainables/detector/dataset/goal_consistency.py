"""Goal consistency as columns of a detector: its critic, what that was trained on, and its place in checkpoints.

A critic whose training met the users that the detector is evaluated on would know their movements: it must have been
trained on the training users of the very same data. Its weights are part of the detector's checkpoint, which therefore
scores where the critic's own folder is not.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from torch import Tensor

from trainables.critic.api import Critic, critic_of, load_critic
from trainables.critic.consistency import consistency
from trainables.data.canonical import Canonical
from trainables.data.splits.data_splits import DataSplits
from trainables.data.training_users import TRAINED_ON, UNKNOWN, TrainingUsers
from trainables.training.checkpoint import CheckpointError, flatten, load_record, select

CRITIC = "critic"  # key of the record, and prefix of the tensors


@dataclass(frozen=True, eq=False)
class GoalConsistency:
    """A critic, with what identifies it.

    Attributes:
        weights_sha256: Of the critic's checkpoint.
        config: Recorded configuration of the critic.
    """

    critic: Critic
    weights_sha256: str
    config: Mapping[str, Any]

    @classmethod
    def of_checkpoint(cls, folder: str, splits: DataSplits) -> "GoalConsistency | None":
        """Return the critic of a checkpoint, None for "".

        Raises:
            CheckpointError: no checkpoint of a critic, or not one of the training users of these very data.
        """
        if not folder:
            return None
        critic, record = load_critic(Path(folder).expanduser()), load_record(Path(folder).expanduser())
        require_training_users(record, splits, folder)
        return cls(critic, str(record["weights_sha256"]), record["config"])

    @classmethod
    def of_record(cls, record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> "GoalConsistency | None":
        """Return the critic in a detector's checkpoint, None where it has none; raises as `critic_of`."""
        if CRITIC not in record:
            return None
        given = record[CRITIC]
        critic = critic_of(given["config"], select(CRITIC, tensors))
        return cls(critic, str(given["weights_sha256"]), given["config"])

    def columns(self, canonical: Canonical) -> Float[Tensor, "N 5"]:
        """Return the columns `trainables.critic.consistency.COLUMNS`, float64."""
        return consistency(self.critic, canonical)

    def tensors(self) -> dict[str, Tensor]:
        """Return the weights of the critic, for a detector's checkpoint."""
        return flatten(CRITIC, self.critic.network.state_dict())

    def account(self) -> dict[str, Any]:
        """Return the rest, for the record of a detector's checkpoint."""
        return {CRITIC: {"weights_sha256": self.weights_sha256, "config": self.config}}


def require_training_users(record: Mapping[str, Any], splits: DataSplits, folder: str) -> None:
    """Raise CheckpointError unless a critic was trained on these data, and on none of their held-out users."""
    theirs = str(record.get("data_sha256"))
    if theirs != splits.sha256:
        hashes = f"{theirs[:12]}, not {splits.sha256[:12]}"
        raise CheckpointError(f"{folder}: the critic was trained on other data ({hashes}); train it with the same data")
    users = TrainingUsers.of_record(record, folder)
    if users is None:
        raise CheckpointError(f"{folder}: the users of the critic's training are {UNKNOWN}; train it again")
    held_out = {user for name, split in splits.splits.items() if name != TRAINED_ON for user in split.group}
    leaked = sorted(held_out & set(users.splits[TRAINED_ON]))
    if leaked:
        found = f"{len(leaked)} of the held-out users, {leaked[0]} among them"
        raise CheckpointError(f"{folder}: the critic was trained on {found}; train it with the same data")


def require_same_critic(own: "GoalConsistency | None", record: Mapping[str, Any], folder: Path) -> None:
    """Raise CheckpointError where a run that resumes has another critic than its checkpoint."""
    theirs = record.get(CRITIC, {}).get("weights_sha256", "")
    ours = own.weights_sha256 if own else ""
    if theirs != ours:
        hashes = f"{theirs[:12] or 'none'}, not {ours[:12] or 'none'}"
        raise CheckpointError(f"{folder}: trained with another critic ({hashes}); start a new run instead")
