"""The detector card: what a detector is for, what it was made of, how good it is for whom, and where its use ends.

One Markdown page for those who decide on its use, and the same as JSON for programs. Every figure on it stands in the
judgement; a thing that was not measured is said not to have been.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from trainables.core.config import plain
from trainables.detector.evaluation.embedding_probes import EmbeddingProbes
from trainables.detector.evaluation.leave_one_out_matrix import LeaveOneOut
from trainables.detector.evaluation.per_source_thresholds import OwnThreshold
from trainables.detector.evaluation.report import KIN, NEW, SEEN, BotRow, DetectorJudgement
from trainables.detector.evaluation.shortcut_audit import Audit
from trainables.detector.evaluation.tables import interval, percent, share_text, sheets

PURPOSE = (
    "It gives the probability that one movement of a mouse was made by a program, from the movement alone: pixel steps "
    "at 60 Hz, the duration and the distance. It knows nothing of who moves, of the page or of the device."
)
NOT_MADE = "Not made."
LIMITS = {  # subject -> what is to be said of it: sentences that begin with the subject
    "Never the sole basis": (
        "to block, charge or report a person. A high score is a reason to look at other evidence, or to ask for "
        "another proof."
    ),
    "Touchpads, trackballs, tablets and touch screens": "move otherwise than a mouse, and raise false positives.",
    "Motor impairments": (
        "(tremor, spasticity, assistive pointers, head and eye control) raise false positives. Whoever uses the scores "
        "owes these people a way through that needs no pointer."
    ),
    "Remote desktops, virtual machines, screen sharing and slow computers": (
        "bring events late and in bunches, and raise false positives."
    ),
    "Few people": (
        "stand behind the figures. Where another source of people is listed, its false-positive rate shows what a "
        "change of device and task does: measure it on your own people, and fix the threshold there, before use."
    ),
    "A rate that too few people were there to resolve": "has a threshold that is a guess: see the thresholds.",
    "The movements of one person": (
        "are alike, so that the sum over a session says more than is known. Take its threshold from sessions of "
        "people, not from its probability."
    ),
    "A family that was not in the training": (
        "may pass unseen, and one that plays back recordings of people moves as people do."
    ),
}


@dataclass(frozen=True)
class Origin:
    """What a detector was made of.

    Attributes:
        weights_sha256, data_sha256: Of its weights, and of the recordings that it learned from.
        people: Split -> movements and people, in words.
        generators: Kind of generated negatives -> hash of the model that made them.
    """

    weights_sha256: str
    data_sha256: str
    source: str
    people: Mapping[str, str]
    alpha: str
    generators: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class DetectorCard:
    """A detector in words and figures; `audit` and `leave_one_out` where they were made.

    Attributes:
        probes: Of the embeddings, or why there are none.
        left_out: What could not be judged, a line each.
    """

    name: str
    origin: Origin
    judgement: DetectorJudgement
    audit: Audit | None = None
    leave_one_out: LeaveOneOut | None = None
    probes: EmbeddingProbes | str = NOT_MADE
    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """A plain mapping: all of the card, with purpose and limits."""
        return {
            "name": self.name,
            "purpose": PURPOSE,
            "limits": dict(LIMITS),
            "origin": plain(self.origin),
            "judgement": self.judgement.to_json(),
            "audit": None if self.audit is None else self.audit.to_json(),
            "leave_one_out": None if self.leave_one_out is None else self.leave_one_out.to_json(),
            "left_out": list(self.left_out),
            "probes": self.probes if isinstance(self.probes, str) else self.probes.to_json(),
        }

    @property
    def findings(self) -> tuple[str, ...]:
        """Sentences on what was examined beside the figures."""
        probed = (self.probes,) if isinstance(self.probes, str) else self.probes.findings
        return (*probed, *(self.audit.finding.splitlines() if self.audit is not None else ()))

    def markdown(self) -> str:
        """The page."""
        parts = [
            f"# Detector card: {self.name}",
            PURPOSE,
            "## Limits of use",
            _bullets([f"**{subject}** {text}" for subject, text in LIMITS.items()]),
            "## In short",
            _bullets(self._short()),
            "## Made of",
            _bullets(self._made_of()),
            "## Figures",
            *(sheet.markdown() for sheet in sheets(self.judgement)),
            "## Not judged",
            _bullets(self.left_out or ("Nothing was left out.",)),
            "## Families left out of the training, one at a time",
            *self._left_out(),
            "## What the embeddings tell",
            *self._probed(),
            "## Shortcut audit",
            *self._audited(),
        ]
        return "\n\n".join(part.strip() for part in parts) + "\n"

    def _short(self) -> list[str]:
        """What has to be known if nothing else is read."""
        first = self.judgement.thresholds[0]
        rate = percent(first.target_fpr)
        above = f"{first.accused} of {first.people} movements of validation people are above it"
        lines = [f"Threshold {first.value:.6f}: {above} ({rate} asked for)."]
        for row in self.judgement.sources:
            found = row.accused[0]
            span = f"{percent(found.low)} to {percent(found.high)}"
            who = f"{found.groups} people of {row.name} whom it had not met"
            lines.append(f"Of {found.n} movements of {who}, {percent(found.value)} are accused ({span}).")
        lines += [_own(row, rate) for row in self.judgement.own_thresholds]
        lines += [_worst(self.judgement.worst(training), training, rate) for training in (NEW, KIN, SEEN)]
        return lines

    def _made_of(self) -> list[str]:
        origin = self.origin
        bots = ", ".join(self.judgement.trained_on) or "none"
        lines = [
            f"Weights {origin.weights_sha256[:16]}, recordings {origin.source} ({origin.data_sha256[:16]}).",
            *(f"People, {split}: {told}." for split, told in origin.people.items()),
            f"Bots to people in the training: {origin.alpha}.",
            f"Families of bots in the training: {bots}.",
        ]
        return lines + [f"Negatives of {kind}: model {sha256[:16]}." for kind, sha256 in origin.generators.items()]

    def _left_out(self) -> list[str]:
        if self.leave_one_out is None:
            return ["Not measured."]
        return [sheet.markdown() for sheet in self.leave_one_out.sheets()]

    def _probed(self) -> list[str]:
        if isinstance(self.probes, str):
            return [self.probes]
        return [_bullets(self.probes.findings), self.probes.sheet().markdown()]

    def _audited(self) -> list[str]:
        if self.audit is None:
            return [NOT_MADE]
        return [_bullets(self.audit.finding.splitlines()), self.audit.sheet().markdown()]


def _own(row: OwnThreshold, rate: str) -> str:
    """Which threshold would accuse as few of another source's people, as far as that can be told."""
    if row.fixed is None or row.accused is None or row.caught is None or row.caught_usually is None:
        return f"For {row.source} no threshold of its own can be told: that takes two people, and one was there."
    found = f"{percent(row.accused.value)} of the others' ({100 * row.accused.low:.1f} to {100 * row.accused.high:.1f})"
    return (
        f"For {row.source} a threshold of {row.fixed.value:.6f}, fixed for {rate} of {row.fixed.people} movements of "
        f"{row.people - row.accused.groups} of its people, accuses {found}, and catches {share_text(row.caught)} of "
        f"all bots; the one above catches {share_text(row.caught_usually)}."
    )


def _worst(row: BotRow | None, training: str, rate: str) -> str:
    """The family of a kind that is caught least."""
    kind = {NEW: "never met", KIN: "whose like it was trained on", SEEN: "trained on"}[training]
    if row is None:
        return f"Families {kind}: none was judged."
    caught = f"{share_text(row.caught[0])} caught at {rate} FPR, ROC-AUC {interval(row.figures.auc)}"
    return f"Worst family {kind}: {row.name}, {caught}."


def _bullets(lines: list[str] | tuple[str, ...]) -> str:
    return "\n".join(f"- {line}" for line in lines)
