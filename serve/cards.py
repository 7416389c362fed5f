"""Model cards: what a model is, its metrics at publication with intervals, and its limits of use.

The metrics are those of the promotion decision, over users that the model had not seen; nothing is computed here. A
value that the decision does not hold is None. Of the users of the training the numbers are stated and no names: those
stay in the registry.
"""

from collections.abc import Mapping
from typing import Any

from trainables.core.config import plain
from trainables.data.training_users import users_account
from trainables.diffusion.sampling_config import SamplingChanges
from trainables.generation.limits_of_use import LIMITS_OF_USE
from trainables.metric_registry import METRICS
from trainables.model_registry.registry import Published
from trainables.models import ServedGenerator
from trainables.training.checkpoint import load_record

DETECTOR_LIMITS = (
    "A score is never the sole basis to block a user.",
    "Touchpads, motor impairments and remote desktops raise false positives.",
)


def generator_card(published: Published, generator: ServedGenerator) -> dict[str, Any]:
    """Return the model card of a champion, as plain values for JSON."""
    sampling = generator.sampling_with(SamplingChanges())
    return {
        **_common_fields(published),
        "parameters": sum(parameter.numel() for parameter in generator.model.parameters()),
        "representation": generator.canonical.representation,
        "sequence_length": generator.canonical.sequence_length,
        "channels": generator.canonical.form.channels,
        "sources": list(generator.training_conditions.sources),
        "target_widths": generator.training_conditions.tell_widths,
        "sampling": None if sampling is None else plain(sampling),
        "limits_of_use": list(LIMITS_OF_USE),
    }


def detector_card(published: Published) -> dict[str, Any]:
    """Return the model card of a detector, as plain values for JSON."""
    return {**_common_fields(published), "limits_of_use": list(DETECTOR_LIMITS)}


def _common_fields(published: Published) -> dict[str, Any]:
    """Return id, hashes, users, reason and time of the publication, and the evaluation behind it."""
    decision, record = published.decision, load_record(published.checkpoint)
    return {
        "id": published.id,
        "weights_sha256": record["weights_sha256"],
        "kind": record.get("kind"),
        "data_sha256": record.get("data_sha256"),
        "users": users_account(record),
        "published": decision["published"].get("time"),
        "reason": decision.get("reason"),
        **_evaluation(decision),
    }


def _evaluation(decision: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics with intervals, movements and groups, the evaluation split, and the confidence level."""
    data, metrics = decision.get("data", {}), decision.get("figures", {})
    count = {"n": data.get("movements"), "groups": len(data["groups"]) if "groups" in data else None}
    found = {name: metrics.get(name, {}).get("challenger") for name in METRICS}
    ends = ("value", "low", "high")
    return {
        "evaluated_on": {"split": data.get("split"), "data_sha256": data.get("data_sha256"), **count},
        "confidence": decision.get("confidence_of_intervals"),
        "figures": {name: {**{end: m[end] for end in ends}, **count} for name, m in found.items() if m},
    }
