"""Model card of a detector: intended use, limits, training data, metrics, shortcut audit and embedding probes.

One Markdown page for those who decide on its use, and the same as JSON for programs. Every number on it is in the
evaluation; what was not measured is named as such.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainables.core.config import plain
from trainables.data.training_users import UNKNOWN, users_lines
from trainables.detector.dataset.agent_bots import AGENT
from trainables.detector.evaluation.embedding_probes import EmbeddingProbes
from trainables.detector.evaluation.leave_one_out_matrix import LeaveOneOut
from trainables.detector.evaluation.per_source_thresholds import SourceThreshold
from trainables.detector.evaluation.report import RELATED, SEEN, UNSEEN, BotRow, DetectorEvaluation
from trainables.detector.evaluation.shortcut_audit import Audit
from trainables.detector.evaluation.tables import interval, percent, percent_text, rate_text, tables

PURPOSE = (
    "The detector returns the probability that one mouse movement was made by a program, from the movement alone: "
    "pixel steps at 60 Hz, the duration and the distance. It has no information on the user, the page or the device."
)
NOT_MEASURED = "Not measured."
LIMITS = {  # subject -> sentence that begins with the subject
    "Never the sole basis": (
        "to block, charge or report a user. A high score is a reason to look at other evidence, or to ask for another "
        "proof."
    ),
    "Touchpads, trackballs, tablets and touch screens": (
        "produce other movements than a mouse, and raise the false positive rate."
    ),
    "Motor impairments": (
        "(tremor, spasticity, assistive pointers, head and eye control) raise the false positive rate. Operators "
        "must offer these users a way that needs no pointer."
    ),
    "Remote desktops, virtual machines, screen sharing and slow computers": (
        "deliver events late and in bursts, and raise the false positive rate."
    ),
    "Few users": (
        "were measured. Where another source of users is listed, its false positive rate shows the effect of another "
        "device and task: measure it on your own users, and fit the threshold on them, before use."
    ),
    "A target FPR without enough data": "has an unreliable threshold: see the thresholds.",
    "The movements of one user": (
        "are alike, so that their summed log odds are overconfident. Take the threshold of a session from sessions of "
        "users, not from its probability."
    ),
    "A family that was not in the training": (
        "may go undetected, and one that replays recordings of users moves as users do."
    ),
}


@dataclass(frozen=True)
class TrainingData:
    """Data and balance that a detector was trained with.

    Attributes:
        weights_sha256, data_sha256: Hashes of its weights and of the recordings.
        splits: Split -> number of movements and users, in words.
        balance: Ratio of bots to users, in words.
        generators: Kind of generated negatives -> hash of the model that made them.
        users: Numbers of the users of the training, as `users_account` returns them.
        critic: Hash of the critic whose goal consistency is an input; "": it is none.
    """

    weights_sha256: str
    data_sha256: str
    source: str
    splits: Mapping[str, str]
    balance: str
    generators: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, Any] | str = UNKNOWN
    critic: str = ""


@dataclass(frozen=True)
class DetectorCard:
    """Model card of a detector; `audit` and `leave_one_out` are None if they were not measured.

    Attributes:
        probes: Probes of the embeddings, or the reason why there are none.
        excluded: Movements that were left out of the evaluation, a line each.
        agent: Hash of the weights of the agent that was evaluated as a family; "": none was.
    """

    name: str
    training_data: TrainingData
    evaluation: DetectorEvaluation
    audit: Audit | None = None
    leave_one_out: LeaveOneOut | None = None
    probes: EmbeddingProbes | str = NOT_MEASURED
    excluded: tuple[str, ...] = ()
    agent: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return the card as a plain mapping, with its purpose and limits."""
        return {
            "name": self.name,
            "purpose": PURPOSE,
            "limits": dict(LIMITS),
            "training_data": plain(self.training_data),
            "evaluation": self.evaluation.to_json(),
            "audit": None if self.audit is None else self.audit.to_json(),
            "leave_one_out": None if self.leave_one_out is None else self.leave_one_out.to_json(),
            "excluded": list(self.excluded),
            "agent": self.agent,
            "probes": self.probes if isinstance(self.probes, str) else self.probes.to_json(),
        }

    @property
    def findings(self) -> tuple[str, ...]:
        """Sentences on the embedding probes and the shortcut audit."""
        probed = (self.probes,) if isinstance(self.probes, str) else self.probes.findings
        return (*probed, *(self.audit.finding.splitlines() if self.audit is not None else ()))

    def markdown(self) -> str:
        """Return the card as a Markdown page."""
        parts = [
            f"# Detector card: {self.name}",
            PURPOSE,
            "## Limits of use",
            _bullets([f"**{subject}** {text}" for subject, text in LIMITS.items()]),
            "## Summary",
            _bullets(self._summary()),
            "## Training data",
            _bullets(self._training_data()),
            "## Metrics",
            *(table.markdown() for table in tables(self.evaluation)),
            "## Excluded",
            _bullets(self.excluded or ("Nothing was excluded.",)),
            "## Leave-one-family-out",
            *self._leave_one_out(),
            "## Embedding probes",
            *self._probes(),
            "## Shortcut audit",
            *self._audit(),
        ]
        return "\n\n".join(part.strip() for part in parts) + "\n"

    def _summary(self) -> list[str]:
        """Return the most important results, a sentence each."""
        first = self.evaluation.thresholds[0]
        rate = percent(first.target_fpr)
        above = f"{first.flagged} of {first.n} movements of validation users are above it"
        lines = [f"Threshold {first.value:.6f}: {above} (target FPR {rate})."]
        for row in self.evaluation.sources:
            flagged = row.flagged[0]
            users = f"{flagged.n} movements of {flagged.users} users of {row.name} who were not in the training"
            lines.append(f"FPR on {users}: {percent_text(flagged)}.")
        lines += [self._agent()] if self.agent else []
        lines += [_source_threshold(row, rate) for row in self.evaluation.source_thresholds]
        lines += [_worst(self.evaluation.worst(training), training, rate) for training in (UNSEEN, RELATED, SEEN)]
        return lines

    def _training_data(self) -> list[str]:
        data = self.training_data
        bots = ", ".join(self.evaluation.trained_on) or "none"
        lines = [
            f"Weights {data.weights_sha256[:16]}, recordings {data.source} ({data.data_sha256[:16]}).",
            *(f"Users, {split}: {count}." for split, count in data.splits.items()),
            *users_lines(data.users),
            f"Bots to users in the training: {data.balance}.",
            f"Families of bots in the training: {bots}.",
        ]
        lines += [f"Negatives of {kind}: model {sha256[:16]}." for kind, sha256 in data.generators.items()]
        return lines + ([f"Goal consistency is an input: critic {data.critic[:16]}."] if data.critic else [])

    def _agent(self) -> str:
        """Return a sentence on the evaluated agent, and whether the detector was trained on it or on another one."""
        trained = self.training_data.generators.get(AGENT)
        known = "trained on" if trained == self.agent else "never trained on, unlike another agent's"
        return f"Bots of the family {AGENT}: model {self.agent[:16]}, {known if trained else 'never trained on'}."

    def _leave_one_out(self) -> list[str]:
        if self.leave_one_out is None:
            return [NOT_MEASURED]
        return [table.markdown() for table in self.leave_one_out.tables()]

    def _probes(self) -> list[str]:
        if isinstance(self.probes, str):
            return [self.probes]
        return [_bullets(self.probes.findings), self.probes.table().markdown()]

    def _audit(self) -> list[str]:
        if self.audit is None:
            return [NOT_MEASURED]
        return [_bullets(self.audit.finding.splitlines()), self.audit.table().markdown()]


def _source_threshold(row: SourceThreshold, rate: str) -> str:
    """Return a sentence on the threshold that keeps the target FPR on another source of users."""
    if row.threshold is None or row.flagged is None or row.detected is None or row.detected_at_default is None:
        return f"{row.source} has only one user: at least two are needed to fit a threshold."
    return (
        f"{row.source}: threshold {row.threshold.value:.6f}, fitted at {rate} FPR on {row.threshold.n} movements of "
        f"{row.users - row.flagged.users} of its users; FPR on its other users {percent_text(row.flagged)}, TPR on all "
        f"bots {rate_text(row.detected)}, with the default threshold {rate_text(row.detected_at_default)}."
    )


def _worst(row: BotRow | None, training: str, rate: str) -> str:
    """Return a sentence on the family with the lowest TPR among those of a relation to the training."""
    if row is None:
        return f"No {training} families were evaluated."
    tpr = f"TPR {rate_text(row.detected[0])} at {rate} FPR, ROC-AUC {interval(row.metrics.auc)}"
    return f"Worst {training} family: {row.name}, {tpr}."


def _bullets(lines: list[str] | tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)
