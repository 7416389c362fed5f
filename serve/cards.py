"""The card of a model: what it is, how well it did when it was published, and what it must not be used for.

Figures are those of the decision that published it, over people whom it had not seen, with their intervals; nothing is
computed here. What the decision does not hold is None.
"""

from collections.abc import Mapping
from typing import Any

from trainables.core.config import plain
from trainables.diffusion.sampling import SamplingChanges
from trainables.generators import ServedGenerator
from trainables.model_registry.registry import Published
from trainables.training import metric_names as names
from trainables.training.checkpoint import load_record

FIGURES = (
    names.VAL_C2ST,
    names.VAL_C2ST_AUC,
    names.VAL_MMD,
    names.VAL_PRD_PRECISION,
    names.VAL_PRD_RECALL,
    names.VAL_PRECISION,
    names.VAL_RECALL,
    names.VAL_DENSITY,
    names.VAL_COVERAGE,
    names.VAL_MEMORISED_SHARE,
    names.VAL_CONDITION_ERROR,
    names.VAL_REJECTED,
)
GENERATOR_LIMITS = (
    "It exists to harden detectors: its movements are synthetic negatives, and every reply says so.",
    "It returns canonical normalised deltas; it injects no input, schedules no clicks and drives no browser.",
    "It imitates no particular person, and nothing optimises evasion of a detector for a client.",
)
DETECTOR_LIMITS = (
    "A score is never the sole basis to block a person.",
    "Touchpads, motor impairments and remote desktops raise false positives.",
)


def generator_card(published: Published, generator: ServedGenerator) -> dict[str, Any]:
    """The card of a champion, as plain values for JSON."""
    sampling = generator.sampling_with(SamplingChanges())
    return {
        **_origin(published),
        "parameters": sum(parameter.numel() for parameter in generator.model.parameters()),
        "representation": generator.canonical.representation,
        "sequence_length": generator.canonical.sequence_length,
        "channels": generator.canonical.form.channels,
        "target_widths": generator.known.tell_widths,
        "sampling": None if sampling is None else plain(sampling),
        "limits_of_use": list(GENERATOR_LIMITS),
    }


def detector_card(published: Published) -> dict[str, Any]:
    """The card of a detector, as plain values for JSON."""
    return {**_origin(published), "limits_of_use": list(DETECTOR_LIMITS)}


def _origin(published: Published) -> dict[str, Any]:
    """Which model, of which data, why it was published, and its figures then."""
    decision, record = published.decision, load_record(published.checkpoint)
    return {
        "id": published.id,
        "weights_sha256": record["weights_sha256"],
        "kind": record.get("kind"),
        "data_sha256": record.get("data_sha256"),
        "published": decision["published"].get("time"),
        "reason": decision.get("reason"),
        **_judged(decision),
    }


def _judged(decision: Mapping[str, Any]) -> dict[str, Any]:
    """Figures with interval, movements and groups, on which split of the data, and how sure the intervals are."""
    data, figures = decision.get("data", {}), decision.get("figures", {})
    count = {"n": data.get("movements"), "groups": len(data["groups"]) if "groups" in data else None}
    found = {name: figures.get(name, {}).get("challenger") for name in FIGURES}
    ends = ("value", "low", "high")
    return {
        "judged_on": {"split": data.get("split", data.get("part")), "data_sha256": data.get("data_sha256"), **count},
        "confidence": decision.get("confidence_of_intervals"),
        "figures": {name: {**{end: f[end] for end in ends}, **count} for name, f in found.items() if f},
    }
